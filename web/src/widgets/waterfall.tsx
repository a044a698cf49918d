/* Spans on a time axis, with the lines of each below its bar. */
import { useState } from 'preact/hooks';
import type { Entry } from '../api/types';
import { entryLevel, isError } from '../model/levels';
import type { Piece } from '../model/critical_path';
import { visible } from '../model/text';
import { formatDuration } from '../model/time';
import type { Span, Trace } from '../model/trace_tree';
import { LineText } from './line_text';

const STEP = 300; // spans drawn at once

export interface WaterfallProps {
	trace: Trace;
	selected: string | null;
	onSpan: (s: Span) => void;
	onLine: (e: Entry) => void;
	lines: boolean;
	errorsOnly?: boolean;
	find?: string;
	service?: string | null;
	/** Spans without errors that are shorter (ns) are left out. */
	shortest?: bigint;
	/** What the trace waited for, by span. */
	critical?: Map<string, Piece[]> | null;
	/** Part of the trace that is shown, 0 to 1. */
	window?: [number, number];
}

const COLOURS = 8;

export function serviceColour(t: Trace, service: string): string {
	return `service-${Math.max(0, t.services.indexOf(service)) % COLOURS}`;
}

function fits(s: Span, p: WaterfallProps): boolean {
	const find = p.find?.toLowerCase() ?? '';
	if (p.errorsOnly && !s.error) return false;
	if (p.shortest !== undefined && !s.error && s.end - s.start < p.shortest) return false;
	if (p.service && s.service !== p.service) return false;
	return find === '' || [s.name, s.service, s.id, ...s.lines.map((l) => l.line.slice(0, 4096))].some((t) => t.toLowerCase().includes(find));
}

export function Waterfall(p: WaterfallProps) {
	const { trace } = p;
	const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
	const [shown, setShown] = useState(STEP);
	const [w0, w1] = p.window ?? [0, 1];
	const length = Math.max(1, Number(trace.end - trace.start));
	const place = (t: bigint) => Math.min(1, Math.max(0, (Number(t - trace.start) / length - w0) / (w1 - w0)));
	const hidden = new Set<string>();
	const spans = trace.spans.filter((s) => {
		if (s.parent !== null && (hidden.has(s.parent) || closed.has(s.parent))) {
			hidden.add(s.id);
			return false;
		}
		return fits(s, p);
	});
	const toggle = (id: string) => {
		const next = new Set(closed);
		if (!next.delete(id)) next.add(id);
		setClosed(next);
	};

	return (
		<div class="waterfall">
			<div class="waterfall-axis" aria-hidden="true">
				<span class="waterfall-name" />
				<span class="waterfall-track">
					{[0, 0.25, 0.5, 0.75, 1].map((f) => (
						<span key={f} class="waterfall-tick" style={{ left: `${f * 100}%` }}>
							{formatDuration(BigInt(Math.round((w0 + f * (w1 - w0)) * length)))}
						</span>
					))}
				</span>
			</div>
			{spans.slice(0, shown).map((s) => {
				const left = place(s.start);
				const right = place(s.end);
				return (
					<div key={s.id} class="waterfall-span" data-span={s.id}>
						<div class={`waterfall-row${s.id === p.selected ? ' selected' : ''}`}>
							<span class="waterfall-name" style={{ paddingLeft: `${4 + Math.min(s.depth, 20) * 14}px` }}>
								{s.children > 0 ? (
									<button class="row-toggle" aria-expanded={!closed.has(s.id)} aria-label={`Children of ${visible(s.name || s.id)}`} onClick={() => toggle(s.id)}>
										{closed.has(s.id) ? '▸' : '▾'}
									</button>
								) : (
									<span class="row-toggle" />
								)}
								<button class="waterfall-title" onClick={() => p.onSpan(s)}>
									{s.error && <span class="level-error-mark" title="has errors">!</span>}
									<span class={`service-dot ${serviceColour(trace, s.service)}`} aria-hidden="true" />
									<span class="waterfall-label">
										{visible(s.service)} <span class="soft">{visible(s.name || s.id.slice(0, 16))}</span>
									</span>
								</button>
							</span>
							<button class="waterfall-track" aria-label={`${visible(s.service)} ${visible(s.name)} ${formatDuration(s.end - s.start)}`} onClick={() => p.onSpan(s)}>
								<span class={`waterfall-bar ${serviceColour(trace, s.service)}${s.error ? ' error' : ''}${p.critical && !p.critical.has(s.id) ? ' aside' : ''}`} style={{ left: `${left * 100}%`, width: `${Math.max(0.3, (right - left) * 100)}%` }} />
								{p.critical?.get(s.id)?.map((c, i) => <span key={i} class="waterfall-critical" style={{ left: `${place(c.start) * 100}%`, width: `${Math.max(0.3, (place(c.end) - place(c.start)) * 100)}%` }} />)}
								<span class={right > 0.85 && left <= 0.15 ? 'waterfall-length inside' : 'waterfall-length'} style={right <= 0.85 ? { left: `${right * 100}%` } : left > 0.15 ? { right: `${(1 - left) * 100}%` } : { left: `${left * 100}%` }}>
									{formatDuration(s.end - s.start)}
								</span>
							</button>
						</div>
						{p.lines && !closed.has(s.id) && s.lines.slice(0, 200).map((e, i) => <TraceLine key={i} entry={e} at={place(BigInt(e.ts))} depth={s.depth + 1} start={trace.start} onLine={p.onLine} />)}
					</div>
				);
			})}
			{spans.length > shown && (
				<button class="show-all" onClick={() => setShown(shown + STEP)}>
					{spans.length - shown} more spans
				</button>
			)}
			{spans.length === 0 && <p class="notice">No span fits.</p>}
		</div>
	);
}

export function TraceLine({ entry, at, depth, start, onLine }: { entry: Entry; at: number; depth: number; start: bigint; onLine: (e: Entry) => void }) {
	const level = entryLevel(entry);

	return (
		<button class={`trace-line level-${level}`} data-id={entry.id} onClick={() => onLine(entry)}>
			<span class="waterfall-name" style={{ paddingLeft: `${20 + Math.min(depth, 20) * 14}px` }}>
				<span class="row-level">{level}</span>
				<span class="soft">+{formatDuration(BigInt(entry.ts) - start)}</span>
			</span>
			<span class="trace-line-text">
				<span class={`trace-dot${isError(level) ? ' error' : ''}`} style={{ left: `${at * 100}%` }} aria-hidden="true" />
				<LineText line={entry.line} max={600} />
			</span>
		</button>
	);
}
