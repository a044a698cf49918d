/* The lines of a query, endless in both directions. Pages are fetched by cursor when they come near the window; far away
 * their entries are forgotten and only height and cursor stay, so that memory does not grow with what was read. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { fetchPage } from '../api/entries';
import type { Direction, Entry, Ns, Page, Range } from '../api/types';
import { useKeys } from '../keys';
import type { Needle } from '../model/logql';
import { once, type Repeats } from '../model/repeats';
import { traceIdOf } from '../model/trace_id';
import { LogRow, type RowActions } from './log_row';
import { copyText } from './toast';

const PAGE = 200; // entries
const NEAR = 1200; // pixels around the window in which entries are kept

interface Slot {
	key: number;
	side: 'down' | 'up'; // up: in front of the line that the list began with
	cursor: string | null; // with which it was fetched
	entries: Entry[] | null; // null: forgotten
	height: number;
	ids: number; // how many entries
}

export interface LogListProps extends RowActions {
	query: string;
	range: Range;
	direction: Direction;
	runId: number;
	anchor?: { ts: Ns; id?: string } | null;
	columns: string[];
	highlight: Needle[];
	repeats?: Repeats; // counted page by page
	emptyText?: string;
	onText?: (text: string, how: 'include' | 'exclude') => void;
	onPage?: (p: Page, nLoaded: number) => void;
	onState?: (s: { loading: boolean; error: string | null; complete: boolean }) => void;
}

/* Below the anchor the list goes on in its direction; above it, the other way round. */
function sideRequest(p: LogListProps, side: 'down' | 'up'): { range: Range; direction: Direction } {
	const other: Direction = p.direction === 'backward' ? 'forward' : 'backward';
	const a = p.anchor?.ts;
	if (a === undefined || a === null) return { range: p.range, direction: side === 'down' ? p.direction : other };
	const after = { start: (BigInt(a) + 1n).toString(), end: p.range.end };
	const upTo = { start: p.range.start, end: (BigInt(a) + 1n).toString() };
	const before = { start: p.range.start, end: a };
	const from = { start: a, end: p.range.end };
	if (p.direction === 'backward') return side === 'down' ? { range: upTo, direction: 'backward' } : { range: after, direction: 'forward' };
	return side === 'down' ? { range: from, direction: 'forward' } : { range: before, direction: 'backward' };
}

function Selection({ onText, root }: { onText: (text: string, how: 'include' | 'exclude') => void; root: HTMLElement | null }) {
	const [at, setAt] = useState<{ x: number; y: number; text: string } | null>(null);

	useEffect(() => {
		const look = () => {
			const s = window.getSelection();
			const text = s?.toString().trim() ?? '';
			const node = s?.anchorNode?.parentElement;
			if (!s || text === '' || text.length > 500 || text.includes('\n') || !root?.contains(node ?? null) || !node?.closest('.row-text, .details-line')) {
				setAt(null);
				return;
			}
			const box = s.getRangeAt(0).getBoundingClientRect();
			setAt({ x: Math.min(box.left, window.innerWidth - 220), y: box.bottom + 4, text });
		};
		document.addEventListener('mouseup', look);
		return () => document.removeEventListener('mouseup', look);
	}, [root]);
	if (at === null) return null;
	return (
		<div class="selection-menu" style={{ left: `${at.x}px`, top: `${at.y}px` }} onMouseUp={(e) => e.stopPropagation()}>
			<button class="button" onClick={() => (onText(at.text, 'include'), setAt(null))}>
				Search for
			</button>
			<button class="button" onClick={() => (onText(at.text, 'exclude'), setAt(null))}>
				Leave out
			</button>
			<button class="button" onClick={() => (void copyText(at.text), setAt(null))}>
				Copy
			</button>
		</div>
	);
}

export function LogList(props: LogListProps) {
	const { query, range, direction, runId, anchor, columns, highlight } = props;
	const root = useRef<HTMLDivElement>(null);
	const slots = useRef<Slot[]>([]);
	const next = useRef<{ down: string | null | undefined; up: string | null | undefined }>({ down: undefined, up: undefined });
	const busy = useRef({ down: false, up: false });
	const aborter = useRef(new AbortController());
	const keyOf = useRef(0);
	const grown = useRef(0);
	const [, redraw] = useState(0);
	const [error, setError] = useState<string | null>(null);
	const [loading, setLoading] = useState(true);
	const draw = () => redraw((n) => n + 1);

	const report = (l: boolean, e: string | null) => {
		setLoading(l);
		setError(e);
		props.onState?.({ loading: l, error: e, complete: next.current.down === null });
	};

	const get = async (side: 'down' | 'up', cursor: string | null) => {
		const { range: r, direction: d } = sideRequest(props, side);
		if (BigInt(r.start) >= BigInt(r.end)) return { entries: [], next: null, warnings: [], stats: {} } as Page;
		return fetchPage({ query, ...r, direction: d, limit: PAGE, cursor }, aborter.current.signal);
	};

	const load = async (side: 'down' | 'up') => {
		const cursor = next.current[side];
		if (busy.current[side] || cursor === null) return;
		busy.current[side] = true;
		if (slots.current.length === 0) report(true, null);
		const mine = aborter.current;
		try {
			const p = await get(side, cursor ?? null);
			if (mine !== aborter.current) return;
			next.current[side] = p.next;
			const entries = side === 'up' ? [...p.entries].reverse() : p.entries;
			const slot: Slot = { key: keyOf.current++, side, cursor: cursor ?? null, entries, height: 0, ids: entries.length };
			if (entries.length > 0) {
				grown.current = side === 'up' ? (root.current?.scrollHeight ?? 0) : 0;
				slots.current = side === 'up' ? [slot, ...slots.current] : [...slots.current, slot];
			}
			report(false, null);
			props.onPage?.(p, slots.current.reduce((n, s) => n + s.ids, 0));
			draw();
		} catch (e) {
			if (!isAbort(e) && mine === aborter.current) report(false, errorText(e));
		} finally {
			if (mine === aborter.current) busy.current[side] = false;
		}
	};

	const refill = async (slot: Slot) => {
		const mine = aborter.current;
		try {
			const p = await get(slot.side, slot.cursor);
			if (mine !== aborter.current || slot.entries !== null) return;
			slot.entries = slot.side === 'up' ? [...p.entries].reverse() : p.entries;
			draw();
		} catch (e) {
			if (!isAbort(e)) setTimeout(draw, 1000);
		}
	};

	useEffect(() => {
		aborter.current = new AbortController();
		slots.current = [];
		next.current = { down: undefined, up: anchor ? undefined : null };
		busy.current = { down: false, up: false };
		root.current?.scrollTo(0, 0);
		void load('down').then(() => {
			if (anchor) void load('up');
		});
		return () => aborter.current.abort();
	}, [query, range.start, range.end, direction, runId, anchor?.id, anchor?.ts]);

	/* What was put in front must not move what is looked at. */
	useLayoutEffect(() => {
		const r = root.current;
		if (r && grown.current > 0) {
			r.scrollTop += r.scrollHeight - grown.current;
			grown.current = 0;
		}
	});

	/* Which pages are near? */
	const look = () => {
		const r = root.current;
		if (!r) return;
		let changed = false;
		for (const el of r.querySelectorAll<HTMLElement>('[data-slot]')) {
			const slot = slots.current.find((s) => s.key === Number(el.dataset.slot));
			if (!slot) continue;
			const near = el.offsetTop < r.scrollTop + r.clientHeight + NEAR && el.offsetTop + el.offsetHeight > r.scrollTop - NEAR;
			if (slot.entries !== null) slot.height = el.offsetHeight;
			if (!near && slot.entries !== null && slots.current.length > 3) {
				slot.entries = null;
				changed = true;
			} else if (near && slot.entries === null) void refill(slot);
		}
		if (r.scrollTop + r.clientHeight > r.scrollHeight - NEAR && next.current.down !== null && error === null) void load('down');
		if (r.scrollTop < NEAR && next.current.up !== null && slots.current.length > 0 && error === null) void load('up');
		if (changed) draw();
	};
	useEffect(() => {
		const t = requestAnimationFrame(look);
		return () => cancelAnimationFrame(t);
	});
	useEffect(() => {
		if (anchor?.id === undefined || slots.current.length !== 1) return;
		root.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(anchor.id)}"]`)?.focus({ preventScroll: true });
	}, [loading]);

	const rows = () => [...(root.current?.querySelectorAll<HTMLElement>('.row') ?? [])];
	const current = () => document.activeElement?.closest<HTMLElement>('.row') ?? null;
	const go = (to: HTMLElement | undefined) => {
		to?.focus({ preventScroll: true });
		to?.scrollIntoView({ block: 'nearest' });
	};
	const step = (by: number, ok: (r: HTMLElement) => boolean = () => true) => {
		const all = rows();
		const at = current();
		const first = root.current ? all.findIndex((r) => r.offsetTop + r.offsetHeight > root.current!.scrollTop) : 0;
		for (let i = at ? all.indexOf(at) + by : Math.max(0, first); i >= 0 && i < all.length; i += by)
			if (ok(all[i]!)) return go(all[i]);
	};
	const isError = (r: HTMLElement) => r.dataset.level === 'error' || r.dataset.level === 'critical';
	const entry = () => {
		const id = current()?.dataset.id;
		return slots.current.flatMap((s) => s.entries ?? []).find((e) => e.id === id);
	};
	const withEntry = (f: (e: Entry) => void) => () => {
		const e = entry();
		if (e) f(e);
	};
	useKeys(
		[
			{ key: 'j', what: 'next line', run: () => step(1) },
			{ key: 'k', what: 'previous line', run: () => step(-1) },
			{ key: 'e', what: 'next error', run: () => step(1, isError) },
			{ key: 'E', what: 'previous error', run: () => step(-1, isError) },
			{ key: 'Enter', what: 'open or close the line', run: () => current()?.querySelector<HTMLElement>('.row-toggle')?.click() },
			{ key: 't', what: 'trace of the line', run: withEntry((e) => traceIdOf(e) !== null && props.onTrace?.(traceIdOf(e)!, e, false)) },
			{ key: 'c', what: 'lines around the line', run: withEntry((e) => props.onContext?.(e, 'source')) },
			{ key: 'y', what: 'copy the line', run: withEntry((e) => void copyText(e.line, 'Line copied')) },
		],
		[query, range.start, runId, props.onTrace, props.onContext],
	);
	const actions: RowActions = useMemo(() => ({ onFilter: props.onFilter!, onContext: props.onContext!, onTrace: props.onTrace!, permalink: props.permalink! }), [query, range.start, range.end, direction, columns.join()]);

	return (
		<div class="log-list" ref={root} onScroll={look} tabIndex={0} role="feed" aria-label="Log lines" aria-busy={loading}>
			{columns.length > 0 && (
				<div class="row-line row-head" aria-hidden="true">
					<span class="row-toggle" />
					<span class="row-time">time</span>
					<span class="row-level">level</span>
					<span class="row-trace" />
					{columns.map((c) => (
						<span key={c} class={c === 'line' ? 'row-cell row-cell-line' : 'row-cell'}>
							{c}
						</span>
					))}
				</div>
			)}
			{slots.current.map((s) => (
				<div key={s.key} data-slot={s.key} style={s.entries === null ? { height: `${s.height}px` } : {}}>
					{s.entries !== null &&
						once(s.entries, props.repeats ?? 'all', anchor?.id).map(({ entry: e, times }, i) => <LogRow key={`${e.id}.${i}`} entry={e} times={times} columns={columns} highlight={highlight} pinned={e.id === anchor?.id} {...actions} />)}
				</div>
			))}
			{error !== null ? (
				<p class="log-end error-text" role="alert">
					{error}{' '}
					<button class="button" onClick={() => (setError(null), void load('down'))}>
						Try again
					</button>
				</p>
			) : loading || next.current.down !== null ? (
				<p class="log-end soft">Loading …</p>
			) : slots.current.length === 0 ? (
				<p class="log-end soft">{props.emptyText ?? 'No lines.'}</p>
			) : (
				<p class="log-end soft">{direction === 'backward' ? 'No older lines in this time.' : 'No newer lines in this time.'}</p>
			)}
			{props.onText && <Selection onText={props.onText} root={root.current} />}
		</div>
	);
}
