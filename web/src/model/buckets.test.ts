import { describe, expect, it } from 'vitest';
import type { Series } from '../api/types';
import { addCounts, answerNs, barsPath, bucketRange, bucketsOf, countParams, countParts, emptyCounts, niceStep, ticks, totals } from './buckets';
import { DAY, HOUR, MINUTE, MS, SECOND } from './time';

const T = 1_795_478_400n * SECOND; // a whole hour;
const range = (start: bigint, end: bigint) => ({ start: start.toString(), end: end.toString() });

describe('niceStep', () => {
	it.each([
		[HOUR, 120, 30n * SECOND],
		[HOUR, 60, MINUTE],
		[24n * HOUR, 120, 15n * MINUTE],
		[30n * DAY, 120, 6n * HOUR],
		[10n * MS, 120, 2n * MS],
		[0n, 120, 2n * MS],
	])('cuts %s ns into at most %i pieces', (span, max, step) => {
		expect(niceStep(span, max)).toBe(step);
	});

	it('never gives more pieces than asked for, however long the time', () => {
		const span = 300_000n * DAY;
		expect(span <= niceStep(span, 100) * 100n).toBe(true);
	});
});

describe('bucketsOf', () => {
	it('begins at a multiple of the step and covers the range', () => {
		const b = bucketsOf(range(T + 7n * SECOND, T + HOUR + 7n * SECOND), 120);
		expect(b).toMatchObject({ first: T, step: 30n * SECOND, n: 121 });
	});

	it('gives the part of a bucket that is in the range', () => {
		const b = bucketsOf(range(T + 7n * SECOND, T + HOUR + 7n * SECOND), 120);
		expect(bucketRange(b, 0)).toEqual(range(T + 7n * SECOND, T + 30n * SECOND));
		expect(bucketRange(b, 1, 2)).toEqual(range(T + 30n * SECOND, T + 90n * SECOND));
		expect(bucketRange(b, 120)).toEqual(range(T + HOUR, T + HOUR + 7n * SECOND));
	});
});

describe('countParts', () => {
	const cases: [string, bigint, bigint][] = [
		['aligned', T, T + HOUR],
		['cut at the start', T + SECOND, T + HOUR],
		['cut at the end', T, T + HOUR - 1n],
		['cut at both ends', T + 1n, T + HOUR + 7n],
		['one nanosecond', T + 5n, T + 6n],
		['a second of one bucket', T + 5n * SECOND, T + 6n * SECOND],
	];

	it.each(cases)('covers every nanosecond of the range once: %s', (_name, start, end) => {
		const b = bucketsOf(range(start, end), 120);
		const parts = countParts(b);
		let at = start;
		let index = 0;
		for (const p of parts) {
			expect(p.from).toBe(at);
			expect(p.index).toBe(index);
			at += BigInt(p.n) * p.step;
			index += p.n;
		}
		expect(at).toBe(end);
		expect(index).toBe(b.n);
	});

	it('asks once when the range is aligned', () => {
		expect(countParts(bucketsOf(range(T, T + HOUR), 120))).toHaveLength(1);
	});
});

describe('countParams', () => {
	it('evaluates a nanosecond before a bucket ends, since windows of LogQL exclude their start', () => {
		expect(countParams('{app="a"} # all', { index: 0, n: 3, from: T, step: MINUTE })).toEqual({
			query: 'sum by (detected_level) (count_over_time({app="a"} # all\n[1m]))',
			start: (T + MINUTE - 1n).toString(),
			end: (T + 3n * MINUTE - 1n).toString(),
			step: '1m',
		});
	});
});

describe('countParams of cut buckets', () => {
	const end = (p: { start: string }) => BigInt(p.start);

	it('has windows of whole milliseconds, rounded to the outside', () => {
		const head = countParams('{}', { index: 0, n: 1, from: T + 1n, step: 5n * MS - 1n });
		expect(head.query).toContain('[5ms]');
		expect(end(head)).toBe(T + 5n * MS - 1n);
		const tail = countParams('{}', { index: 9, n: 1, from: T, step: 5n * MS - 1n });
		expect(tail.query).toContain('[5ms]');
		expect(end(tail)).toBe(T + 5n * MS - 1n);
	});

	it('finds the line of a range of one nanosecond', () => {
		const p = countParams('{}', { index: 0, n: 1, from: T + 7n, step: 1n });
		expect(p.query).toContain('[1ms]');
		expect(end(p)).toBe(T + 7n);
	});
});

describe('addCounts', () => {
	const part = { index: 2, n: 3, from: T, step: MINUTE };
	const seconds = (i: number, off = 0) => Number((T + BigInt(i + 1) * MINUTE) / SECOND) + off;
	const answer = (metric: Record<string, string>, values: [number, string][]): Series => ({ metric, values });

	it('finds the bucket, whether milliseconds were cut or rounded', () => {
		const c = emptyCounts(6);
		addCounts(c, part, [answer({ detected_level: 'error' }, [[seconds(0, -0.001), '4'], [seconds(2), '5']])]);
		expect(c.error).toEqual([0, 0, 4, 0, 5, 0]);
	});

	it('does so for the shortest steps too', () => {
		const short = { index: 0, n: 3, from: T, step: 2n * MS };
		for (const off of [0, -0.001]) {
			const c = emptyCounts(3);
			addCounts(c, short, [answer({ detected_level: 'info' }, [0, 1, 2].map((i) => [Number(T / SECOND) + 0.002 * (i + 1) + off, String(i + 1)]))]);
			expect(c.info).toEqual([1, 2, 3]);
		}
	});

	it('adds levels that are shown as one', () => {
		const c = emptyCounts(6);
		addCounts(c, part, [answer({ detected_level: 'fatal' }, [[seconds(1), '1']]), answer({ detected_level: 'critical' }, [[seconds(1), '2']]), answer({}, [[seconds(1), '7']])]);
		expect(totals(c)).toMatchObject({ critical: 3, unknown: 7, info: 0 });
	});

	it('leaves out what is in none of the buckets', () => {
		const c = emptyCounts(6);
		addCounts(c, part, [answer({ detected_level: 'info' }, [[seconds(3), '9'], [seconds(-1), '9']])]);
		expect(totals(c).info).toBe(0);
	});
});

describe('ticks', () => {
	it('are at round times inside the range', () => {
		const b = bucketsOf(range(T + 7n * SECOND, T + HOUR + 7n * SECOND), 120);
		const all = ticks(b, 6);
		expect(all.length).toBeGreaterThan(3);
		for (const t of all) expect(t.ts % (10n * MINUTE)).toBe(0n);
		expect(all[0]!.index).toBe(Number(all[0]!.ts - b.first) / Number(b.step));
	});
});

describe('answerNs', () => {
	it('keeps milliseconds', () => {
		expect(answerNs(1795476559.779)).toBe(1_795_476_559_779n * MS);
	});
});

describe('barsPath', () => {
	it('stacks on its base, and leaves empty buckets out', () => {
		expect(barsPath([5, 0, 10], [5, 0, 0], 10, 40)).toBe('M0.08 20h0.84v-20h-0.84zM2.08 40h0.84v-40h-0.84z');
	});

	it('draws the smallest count at least a pixel high', () => {
		expect(barsPath([1], [0], 100000, 40)).toBe('M0.08 40h0.84v-1h-0.84z');
	});
});
