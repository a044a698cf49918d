/* What surrounds a line: of its source, of its service, of everything. The line itself stays marked. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { fetchContext, fetchPage, type Scope } from '../api/entries';
import type { Context, Entry } from '../api/types';
import { selectorFor } from '../model/logql';
import { traceIdOf } from '../model/trace_id';
import { Dialog } from './dialog';
import { LogRow } from './log_row';

const SCOPES: [Scope, string][] = [
	['source', 'Same source'],
	['service', 'Service ±1 min'],
	['all', 'All services ±1 min'],
];

interface ContextViewProps {
	entry: Entry;
	scope: Scope;
	onClose: () => void;
	onTrace?: (id: string) => void;
}

export function ContextView({ entry, scope: first, onClose, onTrace }: ContextViewProps) {
	const [scope, setScope] = useState(first);
	const [context, setContext] = useState<Context | null>(null);
	const [error, setError] = useState<string | null>(null);
	const list = useRef<HTMLDivElement>(null);
	const trace = traceIdOf(entry);

	useEffect(() => {
		const abort = new AbortController();
		setContext(null);
		setError(null);
		fetchContext({ stream: selectorFor(entry.labels), ts: entry.ts, id: entry.id, scope, before: 30, after: 30 }, abort.signal).then(setContext, (e) => isAbort(e) || setError(errorText(e)));
		return () => abort.abort();
	}, [entry, scope]);
	useEffect(() => {
		if (context !== null) list.current?.querySelector('.pinned')?.scrollIntoView({ block: 'center' });
	}, [context === null]);

	const more = async (older: boolean) => {
		if (context === null) return;
		try {
			const p = await fetchPage({ query: context.query, start: context.start, end: context.end, direction: older ? 'backward' : 'forward', limit: 50, cursor: older ? context.older : context.newer });
			setContext(older ? { ...context, entries: [...p.entries.reverse(), ...context.entries], older: p.next } : { ...context, entries: [...context.entries, ...p.entries], newer: p.next });
		} catch (e) {
			setError(errorText(e));
		}
	};

	return (
		<Dialog title="Around this line" onClose={onClose} wide>
			<div class="context-scopes" role="group" aria-label="Which lines">
				{SCOPES.map(([s, name]) => (
					<button key={s} class="button" aria-pressed={s === scope} onClick={() => setScope(s)}>
						{name}
					</button>
				))}
				{trace !== null && onTrace && (
					<button class="button" onClick={() => onTrace(trace)}>
						⌁ Same trace
					</button>
				)}
			</div>
			<div class="context-list" ref={list} tabIndex={0} role="group" aria-label="Lines around">
				{error !== null && (
					<p class="error-text" role="alert">
						{error}
					</p>
				)}
				{context === null && error === null && <p class="soft">Loading …</p>}
				{context?.older != null && (
					<button class="button" onClick={() => void more(true)}>
						▲ older
					</button>
				)}
				{context?.entries.map((e, i) => <LogRow key={`${e.id}.${i}`} entry={e} columns={[]} highlight={[]} pinned={e.id === entry.id} />)}
				{context?.newer != null && (
					<button class="button" onClick={() => void more(false)}>
						▼ newer
					</button>
				)}
			</div>
		</Dialog>
	);
}
