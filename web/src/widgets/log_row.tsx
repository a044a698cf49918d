/* One line of a list: time, level, trace, service, text; opened, everything about it. */
import { useState } from 'preact/hooks';
import type { Scope } from '../api/entries';
import type { Entry } from '../api/types';
import { entryLevel } from '../model/levels';
import type { FieldFilter, Needle } from '../model/logql';
import { serviceOf } from '../model/service';
import { visible } from '../model/text';
import { formatClock, formatTime } from '../model/time';
import { traceIdOf } from '../model/trace_id';
import { wrap, zone } from '../settings';
import { EntryDetails } from './entry_details';
import { LineText } from './line_text';

export interface RowActions {
	onFilter?: (f: FieldFilter) => void;
	onContext?: (e: Entry, scope: Scope) => void;
	onTrace?: (id: string, e: Entry, full: boolean) => void;
	permalink?: (e: Entry) => string;
}

interface LogRowProps extends RowActions {
	entry: Entry;
	columns: string[];
	highlight: Needle[];
	times?: number; // that it stands for, one after the other
	pinned?: boolean;
	open?: boolean;
}

function cell(e: Entry, name: string): string {
	return name === 'line' ? e.line.slice(0, 2000) : (e.parsed[name] ?? e.metadata[name] ?? e.labels[name] ?? '');
}

export function LogRow({ entry, columns, highlight, times = 1, pinned = false, open: opened = false, ...actions }: LogRowProps) {
	const [open, setOpen] = useState(opened);
	const level = entryLevel(entry);
	const trace = traceIdOf(entry);
	const toggle = () => {
		if ((window.getSelection()?.toString() ?? '') === '') setOpen(!open);
	};

	return (
		<article class={`row level-${level}${pinned ? ' pinned' : ''}${open ? ' open' : ''}`} data-id={entry.id} data-level={level} tabIndex={-1} aria-label={`${level} ${visible(serviceOf(entry.labels))}`}>
			<div class={wrap.value === 'on' ? 'row-line wrapped' : 'row-line'} onClick={toggle}>
				<button class="row-toggle" aria-expanded={open} aria-label={open ? 'Close the line' : 'Open the line'} onClick={(e) => (e.stopPropagation(), setOpen(!open))}>
					{open ? '▾' : '▸'}
				</button>
				<time class="row-time" title={formatTime(entry.ts, zone.value, 9)}>
					{formatClock(entry.ts, zone.value)}
				</time>
				<span class="row-level">{level === 'unknown' ? '' : level}</span>
				{trace !== null && actions.onTrace ? (
					<button class="row-trace" title="Show the trace (Shift: on its own page)" aria-label="Show the trace" onClick={(e) => (e.stopPropagation(), actions.onTrace!(trace, entry, e.shiftKey))}>
						⌁
					</button>
				) : (
					<span class="row-trace" aria-hidden="true" />
				)}
				{times > 1 && (
					<span class="row-times" title={`${times} lines like this, one after the other`}>
						×{times}
					</span>
				)}
				{columns.length === 0 ? (
					<>
						<span class="row-service" title={visible(serviceOf(entry.labels))}>
							{visible(serviceOf(entry.labels))}
						</span>
						<span class="row-text">
							<LineText line={entry.line} highlight={highlight} max={wrap.value === 'on' ? 4096 : 1024} />
						</span>
					</>
				) : (
					columns.map((c) => (
						<span key={c} class={c === 'line' ? 'row-cell row-cell-line' : 'row-cell'} title={visible(cell(entry, c).slice(0, 300))}>
							{visible(cell(entry, c))}
						</span>
					))
				)}
			</div>
			{open && <EntryDetails entry={entry} {...actions} permalink={actions.permalink?.(entry) ?? ''} />}
		</article>
	);
}
