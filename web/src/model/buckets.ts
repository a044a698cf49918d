/* Equal pieces of time for the histogram and the chart: their width, and the queries that count lines in them exactly. */
import type { Ns, Range, Series } from '../api/types';
import { levelOf, LEVELS, type Level } from './levels';
import { DAY, HOUR, logqlDuration, MINUTE, MS, SECOND } from './time';

const STEPS: bigint[] = [
	...[2n, 5n, 10n, 20n, 50n, 100n, 200n, 500n].map((n) => n * MS), // not 1: answers have whole milliseconds
	...[1n, 2n, 5n, 10n, 15n, 30n].map((n) => n * SECOND),
	...[1n, 2n, 5n, 10n, 15n, 30n].map((n) => n * MINUTE),
	...[1n, 2n, 3n, 6n, 12n].map((n) => n * HOUR),
	...[1n, 2n, 5n, 10n, 30n, 90n, 365n, 3650n].map((n) => n * DAY),
];

/** The smallest step people know that cuts the span into at most max pieces. */
export function niceStep(span: bigint, max: number): bigint {
	const n = BigInt(Math.max(1, max));
	return STEPS.find((s) => s * n >= span) ?? (span + n - 1n) / n;
}

/** Buckets [first + i·step, first + (i+1)·step), i < n. The outer two may stick out of the range; no line there is counted. */
export interface Buckets {
	start: bigint;
	end: bigint;
	first: bigint;
	step: bigint;
	n: number;
}

export function bucketsOf(range: Range, max: number): Buckets {
	const start = BigInt(range.start);
	const end = BigInt(range.end);
	const step = niceStep(end - start, max);
	const first = start - (start % step);
	return { start, end, first, step, n: Number((end - first + step - 1n) / step) };
}

/** What of bucket i lies in the range. */
export function bucketRange(b: Buckets, i: number, last = i): Range {
	const from = b.first + BigInt(i) * b.step;
	const to = b.first + BigInt(last + 1) * b.step;
	return { start: (from < b.start ? b.start : from).toString(), end: (to > b.end ? b.end : to).toString() };
}

/** One request that counts lines: n buckets from `index` on, each `step` wide, the first starting at `from`. */
export interface CountPart {
	index: number;
	n: number;
	from: bigint;
	step: bigint;
}

/**
 * The whole buckets in one query, and one each for a first or last bucket that the range cuts: their windows are narrower.
 */
export function countParts(b: Buckets): CountPart[] {
	const parts: CountPart[] = [];
	const single = (i: number) => {
		const r = bucketRange(b, i);
		parts.push({ index: i, n: 1, from: BigInt(r.start), step: BigInt(r.end) - BigInt(r.start) });
	};
	const lastEnd = b.first + BigInt(b.n) * b.step;
	const cutHead = b.first < b.start || (b.n === 1 && lastEnd > b.end);
	const cutTail = b.n > 1 && lastEnd > b.end;
	const from = cutHead ? 1 : 0;
	const to = cutTail ? b.n - 1 : b.n;
	if (cutHead) single(0);
	if (to > from) parts.push({ index: from, n: to - from, from: b.first + BigInt(from) * b.step, step: b.step });
	if (cutTail) single(b.n - 1);
	return parts;
}

/**
 * The parameters of query_range for a part. A window of LogQL ends with its timestamp, (t-d, t]; buckets start with
 * theirs. So each is asked for one nanosecond before it ends. Windows are whole milliseconds: where the range is not,
 * the outer edge of the first or last bucket takes in the rest of that millisecond, never its neighbour's lines.
 */
export function countParams(query: string, p: CountPart): { query: string; start: Ns; end: Ns; step: string } {
	const window = ((p.step + MS - 1n) / MS) * MS;
	const d = logqlDuration(window);
	const at = p.from + (p.index === 0 ? p.step : window) - 1n;
	return { query: `sum by (detected_level) (count_over_time(${query}\n[${d}]))`, start: at.toString(), end: (at + BigInt(p.n - 1) * p.step).toString(), step: p.n === 1 ? '1s' : d };
}

export type LevelCounts = Record<Level, number[]>; // of each bucket

export function emptyCounts(n: number): LevelCounts {
	return Object.fromEntries(LEVELS.map((l) => [l, new Array<number>(n).fill(0)])) as LevelCounts;
}

/** A timestamp of an answer, which has milliseconds, as nanoseconds. */
export function answerNs(seconds: number): bigint {
	return BigInt(Math.round(seconds * 1000)) * MS;
}

export function addCounts(into: LevelCounts, p: CountPart, series: Series[]): void {
	for (const s of series) {
		const to = into[levelOf(s.metric.detected_level)];
		for (const [t, v] of s.values) {
			/* The answer's time is the bucket's end, or a millisecond before it when the nanoseconds were cut off. */
			const i = p.n === 1 ? 0 : Number((answerNs(t) - p.from + MS) / p.step) - 1;
			if (i >= 0 && i < p.n) to[p.index + i]! += Number(v);
		}
	}
}

export function totals(c: LevelCounts): Record<Level, number> {
	return Object.fromEntries(LEVELS.map((l) => [l, c[l].reduce((a, b) => a + b, 0)])) as Record<Level, number>;
}

/** Which buckets get a label at the axis: about `max`, on round times. */
export function ticks(b: Buckets, max: number): { index: number; ts: bigint }[] {
	const step = niceStep(b.end - b.start, max);
	const out: { index: number; ts: bigint }[] = [];
	for (let t = b.first - (b.first % step) + step; t < b.end; t += step) {
		if (t > b.start) out.push({ index: Number(((t - b.first) * 1000n) / b.step) / 1000, ts: t });
	}
	return out;
}

/** One SVG path of bars: each from base[i] to base[i] + count[i]; x in buckets, y in pixels from the top. */
export function barsPath(counts: number[], base: number[], max: number, height: number): string {
	let d = '';
	counts.forEach((c, i) => {
		if (c <= 0) return;
		const bottom = height - (base[i]! / max) * height;
		const h = Math.max((c / max) * height, 1);
		d += `M${i + 0.08} ${round(bottom)}h0.84v${-round(h)}h-0.84z`;
	});
	return d;
}

function round(n: number): number {
	return Math.round(n * 100) / 100;
}
