/* How many lines there are over time, by level. The counts are of the range alone, also in the buckets it cuts. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { errorText, getJson, isAbort } from '../api/client';
import type { Range, Series } from '../api/types';
import { addCounts, barsPath, bucketRange, bucketsOf, countParams, countParts, emptyCounts, ticks, totals, type Buckets, type LevelCounts } from '../model/buckets';
import { formatCount } from '../model/format';
import { LEVELS, type Level } from '../model/levels';
import { zoomOutRange } from '../model/ranges';
import { DAY, formatClock, formatTime, MINUTE, SECOND, type Zone } from '../model/time';
import { zone } from '../settings';

export interface HistogramProps {
	query: string; // a log query; without its level filter, so that the other levels can be switched on again
	range: Range;
	runId: number;
	onZoom(range: Range): void;
	levels: Level[] | null; // shown; null: all
	onLevels(levels: Level[] | null): void;
}

interface Counted {
	buckets: Buckets;
	counts: LevelCounts;
}

const HEIGHT = 44; // of the bars, pixels
const DOUBLE_CLICK = 250; // ms

async function count(query: string, range: Range, max: number, abort: AbortSignal): Promise<Counted> {
	const buckets = bucketsOf(range, max);
	const counts = emptyCounts(buckets.n);
	await Promise.all(
		countParts(buckets).map(async (p) => {
			const a = await getJson<{ data: { result: Series[] } }>('/loki/api/v1/query_range', countParams(query, p), abort);
			addCounts(counts, p, a.data.result);
		}),
	);
	return { buckets, counts };
}

function useCounts({ query, range, runId }: HistogramProps, max: number) {
	const [state, setState] = useState<{ counted: Counted | null; loading: boolean; error: string | null }>({ counted: null, loading: false, error: null });

	useEffect(() => {
		if (query === '') return setState({ counted: null, loading: false, error: null });
		const abort = new AbortController();
		setState((s) => ({ ...s, loading: true, error: null }));
		count(query, range, max, abort.signal).then(
			(counted) => abort.signal.aborted || setState({ counted, loading: false, error: null }),
			(e: unknown) => isAbort(e) || abort.signal.aborted || setState({ counted: null, loading: false, error: errorText(e) }),
		);
		return () => abort.abort();
	}, [query, range.start, range.end, runId]);
	return state;
}

function tickText(ts: bigint, b: Buckets, z: Zone): string {
	const span = b.end - b.start;
	if (span > 2n * DAY) return formatTime(ts, z, 0).slice(5, 16);
	if (span < 10n * SECOND) return formatClock(ts, z, 3);
	return span < 10n * MINUTE ? formatClock(ts, z, 0) : formatClock(ts, z, 0).slice(0, 5);
}

function rangeText(r: Range, z: Zone): string {
	const digits = BigInt(r.end) - BigInt(r.start) < SECOND ? 3 : 0;
	return `${formatTime(r.start, z, digits)} – ${formatClock(r.end, z, digits)}`;
}

function toggled(levels: Level[] | null, level: Level, alone: boolean, present: Level[]): Level[] | null {
	if (alone) return levels?.length === 1 && levels[0] === level ? null : [level];
	const now = levels ?? present;
	const next = now.includes(level) ? now.filter((l) => l !== level) : [...now, level];
	return next.length === 0 || present.every((l) => next.includes(l)) ? null : LEVELS.filter((l) => next.includes(l));
}

function Legend({ sums, levels, onLevels }: { sums: Record<Level, number>; levels: Level[] | null; onLevels: HistogramProps['onLevels'] }) {
	const present = LEVELS.filter((l) => sums[l] > 0 || levels?.includes(l));

	return (
		<div class="histogram-legend" role="group" aria-label="Levels">
			{present.map((l) => (
				<button key={l} class={`histogram-level fill-${l}`} aria-pressed={levels === null || levels.includes(l)} title={`Show or hide ${l}; Alt: only ${l}`} onClick={(e) => onLevels(toggled(levels, l, e.altKey, present))}>
					<i aria-hidden="true" /> {l} <span class="soft">{formatCount(sums[l])}</span>
				</button>
			))}
		</div>
	);
}

function Bars({ counted: { buckets, counts }, shown }: { counted: Counted; shown: Level[] }) {
	const sums = counts.info.map((_, i) => shown.reduce((n, l) => n + counts[l][i]!, 0));
	const max = Math.max(1, ...sums);
	const base = sums.map(() => 0);

	return (
		<svg class="histogram-bars" viewBox={`0 0 ${buckets.n} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
			{shown.map((l) => {
				const d = barsPath(counts[l], base, max, HEIGHT);
				counts[l].forEach((c, i) => (base[i]! += c));
				return d === '' ? null : <path key={l} class={`fill-${l}`} d={d} />;
			})}
		</svg>
	);
}

function CountTable({ counted: { buckets, counts }, shown }: { counted: Counted; shown: Level[] }) {
	const rows = counts.info.map((_, i) => i).filter((i) => shown.some((l) => counts[l][i]! > 0));

	return (
		<div class="visually-hidden">
			<table>
				<caption>Lines over time</caption>
				<thead>
					<tr>
						<th scope="col">Time</th>
						{shown.map((l) => (
							<th key={l} scope="col">
								{l}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{rows.map((i) => (
						<tr key={i}>
							<th scope="row">{rangeText(bucketRange(buckets, i), zone.value)}</th>
							{shown.map((l) => (
								<td key={l}>{counts[l][i]}</td>
							))}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

/** The bars with what a pointer or the keys select in them: one bucket, or from one to another. */
function Plot({ counted, shown, range, onZoom, label }: { counted: Counted; shown: Level[]; range: Range; onZoom: HistogramProps['onZoom']; label: string }) {
	const { buckets, counts } = counted;
	const box = useRef<HTMLDivElement>(null);
	const click = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
	const [from, setFrom] = useState<number | null>(null); // where a selection began
	const [at, setAt] = useState<number | null>(null);
	const [keys, setKeys] = useState(false);

	useEffect(() => () => clearTimeout(click.current), []);
	useEffect(() => {
		setFrom(null);
		setAt(null);
	}, [buckets.first, buckets.step, buckets.n]);

	const bucketAt = (e: PointerEvent): number => {
		const r = box.current!.getBoundingClientRect();
		return Math.min(buckets.n - 1, Math.max(0, Math.floor(((e.clientX - r.left) / r.width) * buckets.n)));
	};
	const zoomTo = (a: number, b: number) => onZoom(bucketRange(buckets, Math.min(a, b), Math.max(a, b)));
	const lo = at === null ? 0 : Math.min(from ?? at, at);
	const hi = at === null ? 0 : Math.max(from ?? at, at);
	const sum = (l: Level) => counts[l].slice(lo, hi + 1).reduce((x, y) => x + y, 0);
	const parts = shown.map((l) => ({ l, n: sum(l) })).filter((p) => p.n > 0);
	const text = at === null ? '' : `${rangeText(bucketRange(buckets, lo, hi), zone.value)}: ${parts.length === 0 ? 'no lines' : parts.map((p) => `${p.l} ${formatCount(p.n)}`).join(', ')}`;

	const onKeyDown = (e: KeyboardEvent) => {
		const step = e.key === 'ArrowLeft' ? -1 : e.key === 'ArrowRight' ? 1 : 0;
		if (step !== 0) {
			const next = at === null ? (step > 0 ? 0 : buckets.n - 1) : Math.min(buckets.n - 1, Math.max(0, at + step));
			setFrom(e.shiftKey ? (from ?? at ?? next) : null);
			setAt(next);
			setKeys(true);
		} else if (e.key === 'Enter' && at !== null) zoomTo(from ?? at, at);
		else if (e.key === 'Escape' && at !== null) {
			setAt(null);
			setFrom(null);
		} else return;
		e.preventDefault();
	};
	return (
		<div
			class="histogram-plot"
			ref={box}
			role="group"
			tabIndex={0}
			aria-label={`${label} Arrow keys select a time, with Shift several; Enter zooms.`}
			onKeyDown={onKeyDown}
			onPointerDown={(e) => {
				if (e.button !== 0) return;
				e.currentTarget.setPointerCapture(e.pointerId);
				setKeys(false);
				setFrom(bucketAt(e));
				setAt(bucketAt(e));
			}}
			onPointerMove={(e) => setAt(bucketAt(e))}
			onPointerLeave={() => from === null && setAt(null)}
			onPointerCancel={() => {
				setFrom(null);
				setAt(null);
			}}
			onPointerUp={(e) => {
				if (from === null) return;
				const a = from;
				const b = bucketAt(e);
				setFrom(null);
				clearTimeout(click.current);
				/* A click may become a double click. */
				if (a === b) click.current = setTimeout(() => zoomTo(a, b), DOUBLE_CLICK);
				else zoomTo(a, b);
			}}
			onDblClick={() => {
				clearTimeout(click.current);
				onZoom(zoomOutRange(range, 3n));
			}}
		>
			<Bars counted={counted} shown={shown} />
			{at !== null && <div class="histogram-brush" style={{ left: `${(lo / buckets.n) * 100}%`, width: `${((hi + 1 - lo) / buckets.n) * 100}%` }} />}
			{at !== null && (
				<div class={`histogram-tip ${lo + hi > buckets.n ? 'left' : 'right'}`} style={lo + hi > buckets.n ? { right: `${100 - (lo / buckets.n) * 100}%` } : { left: `${((hi + 1) / buckets.n) * 100}%` }} aria-hidden="true">
					<div>{rangeText(bucketRange(buckets, lo, hi), zone.value)}</div>
					{parts.map((p) => (
						<div key={p.l} class={`fill-${p.l}`}>
							<i /> {p.l} <b>{formatCount(p.n)}</b>
						</div>
					))}
					{parts.length === 0 && <div>no lines</div>}
				</div>
			)}
			<div class="visually-hidden" aria-live="polite">
				{keys ? text : ''}
			</div>
		</div>
	);
}

export function Histogram(props: HistogramProps) {
	const { range, levels, onZoom, onLevels } = props;
	const box = useRef<HTMLElement>(null);
	const [max, setMax] = useState(0);
	const { counted, loading, error } = useCounts(max === 0 ? { ...props, query: '' } : props, max);

	useEffect(() => {
		setMax((box.current?.clientWidth ?? 1000) < 600 ? 60 : 120);
	}, []);
	const sums = counted === null ? null : totals(counted.counts);
	const shown = LEVELS.filter((l) => (levels === null || levels.includes(l)) && sums !== null && sums[l] > 0);
	const total = sums === null ? 0 : shown.reduce((n, l) => n + sums[l], 0);
	const label = counted === null ? '' : `${total} lines over time${shown.map((l, i) => `${i === 0 ? ': ' : ', '}${l} ${sums![l]}`).join('')}.`;
	return (
		<section class="histogram" ref={box} aria-label="Histogram" aria-busy={loading}>
			<div class="histogram-head">
				{sums !== null && (
					<>
						<b>{formatCount(total)}</b> {total === 1 ? 'line' : 'lines'}
						<Legend sums={sums} levels={levels} onLevels={onLevels} />
					</>
				)}
				{sums === null && loading && <span class="soft">Counting …</span>}
				{error !== null && (
					<span class="error-text" role="alert">
						{error}
					</span>
				)}
			</div>
			{counted !== null && (
				<>
					<Plot counted={counted} shown={shown} range={range} onZoom={onZoom} label={label} />
					<div class="histogram-axis" aria-hidden="true">
						{ticks(counted.buckets, max === 60 ? 4 : 10)
							.filter((t) => t.index > counted.buckets.n * 0.03 && t.index < counted.buckets.n * 0.97)
							.map((t) => (
							<span key={t.ts.toString()} style={{ left: `${(t.index / counted.buckets.n) * 100}%` }}>
								{tickText(t.ts, counted.buckets, zone.value)}
							</span>
						))}
					</div>
					<CountTable counted={counted} shown={shown} />
				</>
			)}
		</section>
	);
}
