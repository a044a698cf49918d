/* Trace: every line of a request, by service and span, on a time axis. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { fetchTrace, findTraceIds } from '../api/traces';
import type { Entry, TraceAnswer } from '../api/types';
import { criticalPath } from '../model/critical_path';
import { formatCount } from '../model/format';
import { selectorFor } from '../model/logql';
import { serviceLabel, serviceOf } from '../model/service';
import { visible } from '../model/text';
import { MINUTE, formatDuration, formatTime } from '../model/time';
import { traceHtml } from '../model/trace_export';
import { buildTrace, type Span, type Trace } from '../model/trace_tree';
import { href, location, navigate } from '../router';
import { zone } from '../settings';
import { EntryDetails } from '../widgets/entry_details';
import { LineText } from '../widgets/line_text';
import { TraceLine, Waterfall, serviceColour } from '../widgets/waterfall';

const RECENT = 'spoor.traces';

function recent(): string[] {
	try {
		const v: unknown = JSON.parse(localStorage.getItem(RECENT) ?? '[]');
		return Array.isArray(v) ? v.filter((t): t is string => typeof t === 'string').slice(0, 20) : [];
	} catch {
		return [];
	}
}

function save(name: string, type: string, text: string): void {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(new Blob([text], { type }));
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}

function safeLink(url: string): string | null {
	return /^https?:\/\//i.test(url) ? url : null;
}

function Find({ text }: { text: string }) {
	const [ids, setIds] = useState<string[] | null>(null);
	const [error, setError] = useState<string | null>(null);
	const [typed, setTyped] = useState('');

	useEffect(() => {
		setIds(null);
		setError(null);
		if (text === '') return;
		const abort = new AbortController();
		findTraceIds(text, abort.signal).then(
			(found) => (found.length === 1 ? navigate(href(`trace/${encodeURIComponent(found[0]!)}`), true) : setIds(found)),
			(e) => isAbort(e) || setError(errorText(e)),
		);
		return () => abort.abort();
	}, [text]);

	return (
		<div class="trace-find">
			<h1>Find a trace</h1>
			<form
				onSubmit={(e) => {
					e.preventDefault();
					navigate(href('trace', { text: typed.trim() }));
				}}
			>
				<textarea aria-label="Trace id, traceparent, UUID or a log line" rows={3} value={typed} onInput={(e) => setTyped(e.currentTarget.value)} placeholder="A trace id, a traceparent, a UUID, an X-Ray id, or a whole log line" />
				<button class="button primary">Find</button>
			</form>
			{error !== null && (
				<p class="error-text" role="alert">
					{error}
				</p>
			)}
			{ids?.length === 0 && (
				<p role="alert">
					There is no trace id in <code>{visible(text.slice(0, 200))}</code>
				</p>
			)}
			{(ids ?? []).length > 1 && <h2>Several ids: which one?</h2>}
			<ul class="picks">
				{(ids ?? []).map((id) => (
					<li key={id}>
						<a class="mono" href={href(`trace/${encodeURIComponent(id)}`)}>
							{id}
						</a>
					</li>
				))}
			</ul>
			{recent().length > 0 && <h2>Looked at lately</h2>}
			<ul class="picks">
				{recent().map((id) => (
					<li key={id}>
						<a class="mono" href={href(`trace/${encodeURIComponent(id)}`)}>
							{visible(id)}
						</a>
					</li>
				))}
			</ul>
		</div>
	);
}

/* Where in the trace lines and errors are; drag to look at a part. */
function Minimap({ trace, shown, onShown }: { trace: Trace; shown: [number, number]; onShown: (w: [number, number]) => void }) {
	const [from, setFrom] = useState<number | null>(null);
	const length = Math.max(1, Number(trace.end - trace.start));
	const at = (e: MouseEvent) => {
		const box = (e.currentTarget as HTMLElement).getBoundingClientRect();
		return Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));
	};

	return (
		<div
			class="minimap"
			title="Drag to look at a part, double-click for all"
			onMouseDown={(e) => setFrom(at(e))}
			onMouseUp={(e) => {
				const to = at(e);
				if (from !== null && Math.abs(to - from) > 0.01) onShown([Math.min(from, to), Math.max(from, to)]);
				setFrom(null);
			}}
			onDblClick={() => onShown([0, 1])}
			aria-hidden="true"
		>
			{trace.spans.slice(0, 400).map((s, i) => (
				<span key={s.id} class={`minimap-bar ${serviceColour(trace, s.service)}${s.error ? ' error' : ''}`} style={{ left: `${(Number(s.start - trace.start) / length) * 100}%`, width: `${Math.max(0.2, (Number(s.end - s.start) / length) * 100)}%`, top: `${4 + ((i * 4) % 32)}px` }} />
			))}
			<span class="minimap-window" style={{ left: `${shown[0] * 100}%`, width: `${(shown[1] - shown[0]) * 100}%` }} />
		</div>
	);
}

function explore(e: Entry): string {
	const name = serviceLabel(e.labels);
	const selector = name === null ? selectorFor(e.labels) : selectorFor({ [name]: e.labels[name]! });
	return href('', { q: selector, from: (BigInt(e.ts) - MINUTE).toString(), to: (BigInt(e.ts) + MINUTE).toString() });
}

function Details({ span, entry, onLine }: { span: Span | null; entry: Entry | null; onLine: (e: Entry) => void }) {
	const first = entry ?? span?.lines[0] ?? null;

	if (first === null) return <p class="soft">Choose a bar or a line.</p>;
	return (
		<>
			{span !== null && (
				<>
					<h2>
						{visible(span.service)} {visible(span.name)}
					</h2>
					<p class="soft">
						{formatDuration(span.end - span.start)} · span <code>{visible(span.id)}</code> · {span.lines.length} lines
					</p>
					<ul class="picks">
						{span.lines.slice(0, 100).map((e, i) => (
							<li key={i}>
								<button class="show-all" onClick={() => onLine(e)}>
									{visible(e.line.slice(0, 90))}
								</button>
							</li>
						))}
					</ul>
				</>
			)}
			<p>
				<a class="button" href={explore(first)}>
					All logs of this service ±1 min
				</a>
			</p>
			{entry !== null && <EntryDetails entry={entry} />}
		</>
	);
}

function TraceView({ id }: { id: string }) {
	const [data, setData] = useState<{ answer: TraceAnswer; entries: Entry[] } | null>(null);
	const [error, setError] = useState<string | null>(null);
	const [entry, setEntry] = useState<Entry | null>(null);
	const [find, setFind] = useState('');
	const [errorsOnly, setErrorsOnly] = useState(false);
	const [logs, setLogs] = useState<'inline' | 'below' | 'off'>('inline');
	const [critical, setCritical] = useState(false);
	const [hideShort, setHideShort] = useState(false);
	const [service, setService] = useState<string | null>(null);
	const [shown, setShown] = useState<[number, number]>([0, 1]);
	const trace = useMemo(() => (data === null ? null : buildTrace(data.entries)), [data]);
	const path = useMemo(() => (trace === null || !critical ? null : criticalPath(trace)), [trace, critical]);
	const selected = location.value.params.get('span');
	const span = trace?.spans.find((s) => s.id === selected) ?? null;

	useEffect(() => {
		const abort = new AbortController();
		setData(null);
		setError(null);
		setEntry(null);
		fetchTrace(id, abort.signal).then(
			(d) => {
				setData(d);
				if (d.entries.length > 0) localStorage.setItem(RECENT, JSON.stringify([id, ...recent().filter((t) => t !== id)].slice(0, 20)));
			},
			(e) => isAbort(e) || setError(errorText(e)),
		);
		return () => abort.abort();
	}, [id]);

	if (error !== null)
		return (
			<div class="notice">
				<p class="error-text" role="alert">
					{error}
				</p>
				<a href={href('trace')}>Find another</a>
			</div>
		);
	if (trace === null || data === null) return <p class="notice">Loading …</p>;
	if (data.entries.length === 0)
		return (
			<div class="notice">
				<h1>No lines of this trace</h1>
				<p>
					Nothing that is stored names <code>{visible(id)}</code>, at any time. <a href={href('trace')}>Find another</a>
				</p>
			</div>
		);
	const root = trace.root;
	const shortest = hideShort ? (trace.end - trace.start) / 100n : undefined;
	const choose = (s: Span) => {
		setEntry(null);
		navigate(href(`trace/${encodeURIComponent(id)}`, { span: s.id }), true);
	};
	const jump = (e: Entry) => {
		setEntry(e);
		document.querySelector(`[data-id="${CSS.escape(e.id)}"]`)?.scrollIntoView({ block: 'center' });
	};
	const shownLines = (list: Entry[]) => list.filter((e) => (!service || serviceOf(e.labels) === service) && (find === '' || e.line.toLowerCase().includes(find.toLowerCase())));

	return (
		<div class="trace-page">
			<header class="trace-head">
				<h1>
					Trace <code>{data.answer.trace_id}</code>
				</h1>
				<span class="soft">
					{formatTime(trace.start, zone.value)} · {formatDuration(trace.end - trace.start)} · {trace.spans.length} spans · {trace.services.length} services · {trace.errors} errors
				</span>
				<span class="trace-links">
					{(data.answer.links ?? []).map((l) => {
						const url = safeLink(l.url.replace(/\{span_id\}|%7Bspan_id%7D/g, encodeURIComponent(selected ?? '')));
						return (
							url !== null && (
								<a key={l.name} class="button" href={url} target="_blank" rel="noopener noreferrer nofollow">
									{visible(l.name)} ↗
								</a>
							)
						);
					})}
					<button class="button" onClick={() => save(`trace-${data.answer.trace_id}.html`, 'text/html', traceHtml(data.answer))}>
						Export HTML
					</button>
					<button class="button" onClick={() => save(`trace-${data.answer.trace_id}.json`, 'application/json', JSON.stringify(data.answer, null, 1))}>
						JSON
					</button>
				</span>
			</header>
			{root !== null && (
				<section class="trace-root level-error" aria-label="Root cause">
					<strong>Root cause ▸</strong> <span>{visible(serviceOf(root.labels))}</span>
					<span class="trace-root-text mono">
						<LineText line={root.line} max={300} />
					</span>
					<button class="button" onClick={() => jump(root)}>
						Jump
					</button>
				</section>
			)}
			<div class="trace-tools">
				<input type="search" placeholder="Find spans and lines" aria-label="Find spans and lines" value={find} onInput={(e) => setFind(e.currentTarget.value)} />
				<button class="button" aria-pressed={errorsOnly} onClick={() => setErrorsOnly(!errorsOnly)}>
					Errors only
				</button>
				<button class="button" aria-pressed={critical} title="What the trace was waiting for, at each moment" onClick={() => setCritical(!critical)}>
					Critical path
				</button>
				<button class="button" aria-pressed={hideShort} title="Leave out spans without errors that last less than 1 % of the trace" onClick={() => setHideShort(!hideShort)}>
					Hide &lt; 1 %
				</button>
				<span role="group" aria-label="Lines">
					{(['inline', 'below', 'off'] as const).map((m) => (
						<button key={m} class="button" aria-pressed={m === logs} onClick={() => setLogs(m)}>
							Logs {m}
						</button>
					))}
				</span>
				{trace.services.slice(0, 12).map((s) => (
					<button key={s} class="button quiet" aria-pressed={s === service} onClick={() => setService(s === service ? null : s)}>
						<span class={`service-dot ${serviceColour(trace, s)}`} aria-hidden="true" /> {visible(s)}
					</button>
				))}
			</div>
			<Minimap trace={trace} shown={shown} onShown={setShown} />
			<p class="soft trace-note">
				Rebuilt from {formatCount(data.entries.length)} lines{data.answer.more ? ' (the first of more)' : ''}; spans were not received.
			</p>
			<div class="trace-body">
				<div class="trace-main">
					<Waterfall trace={trace} selected={selected} onSpan={choose} onLine={setEntry} lines={logs === 'inline'} errorsOnly={errorsOnly} find={find} service={service} shortest={shortest} critical={path} window={shown} />
					{logs !== 'off' && (logs === 'below' ? data.entries : trace.loose).length > 0 && (
						<section class="trace-loose">
							<h2>{logs === 'below' ? 'Lines' : `Lines without a span (${trace.loose.length})`}</h2>
							{shownLines(logs === 'below' ? data.entries : trace.loose)
								.slice(0, 1000)
								.map((e, i) => (
									<TraceLine key={i} entry={e} at={Number(BigInt(e.ts) - trace.start) / Math.max(1, Number(trace.end - trace.start))} depth={0} start={trace.start} onLine={setEntry} />
								))}
						</section>
					)}
				</div>
				<aside class="trace-details" aria-label="Details">
					<Details span={span} entry={entry} onLine={setEntry} />
				</aside>
			</div>
		</div>
	);
}

export function TracePage() {
	const rest = location.value.path.split('/').slice(1).join('/');
	let id = rest;
	try {
		id = decodeURIComponent(rest);
	} catch {
		/* as it is: the server says what is wrong with it */
	}
	return id === '' ? <Find text={location.value.params.get('text') ?? ''} /> : <TraceView id={id} />;
}
