import { describe, expect, it } from 'vitest';
import { fieldText, rangeName, shift, typedTime, zoomIn, zoomOut, zoomOutRange } from './ranges';
import { HOUR, MINUTE, parseTime } from './time';

const NOW = parseTime('2026-11-24T12:00:00Z', 0n)!;
const abs = (from: bigint, to: bigint) => ({ from: from.toString(), to: to.toString() });

describe('shift', () => {
	it('goes by the whole span and becomes absolute', () => {
		expect(shift({ from: 'now-1h', to: 'now' }, -1, NOW)).toEqual(abs(NOW - 2n * HOUR, NOW - HOUR));
	});

	it('comes back where it was', () => {
		const spec = abs(NOW - 3n * HOUR - 1n, NOW - 2n * HOUR);
		expect(shift(shift(spec, -1, NOW), 1, NOW)).toEqual(spec);
	});

	it('does not go before 1970, and leaves what is no range', () => {
		expect(shift(abs(5n, HOUR), -1, NOW)).toEqual(abs(5n, HOUR));
		expect(shift({ from: 'x', to: 'now' }, -1, NOW)).toEqual({ from: 'x', to: 'now' });
	});
});

describe('zoom', () => {
	it.each([
		['now-1h', 2n, 'now-2h'],
		['now-30m', 3n, 'now-90m'],
		['now-24h', 2n, 'now-2d'],
	])('out of %s ×%s ends now still', (from, factor, wide) => {
		expect(zoomOut({ from, to: 'now' }, factor, NOW)).toEqual({ from: wide, to: 'now' });
	});

	it('out keeps the middle', () => {
		const start = NOW - 10n * HOUR;
		expect(zoomOut(abs(start, start + HOUR), 3n, NOW)).toEqual(abs(start - HOUR, start + 2n * HOUR));
	});

	it('out does not pass now: the rest goes to the past', () => {
		expect(zoomOutRange({ start: (NOW - HOUR).toString(), end: NOW.toString() }, 3n, NOW)).toEqual({ start: (NOW - 3n * HOUR).toString(), end: NOW.toString() });
	});

	it('in halves, to the middle or to now', () => {
		expect(zoomIn({ from: 'now-1h', to: 'now' }, NOW)).toEqual({ from: 'now-30m', to: 'now' });
		expect(zoomIn(abs(NOW - HOUR, NOW), NOW)).toEqual(abs(NOW - 45n * MINUTE, NOW - 15n * MINUTE));
		expect(zoomIn({ from: 'now-1s', to: 'now' }, NOW)).toEqual({ from: 'now-1s', to: 'now' });
	});
});

describe('typedTime', () => {
	it.each([
		['now', 'now'],
		[' now-15m ', 'now-15m'],
		['2d', 'now-2d'],
		['-90m', 'now-90m'],
		['1795480000', '1795480000000000000'],
		['2026-11-24 12:00:00', NOW.toString()],
		['2026-11-24T12:00', NOW.toString()],
		['2026-11-24', (NOW - 12n * HOUR).toString()],
		['2026-11-24T13:00:00+01:00', NOW.toString()],
		['2026-11-24 12:00:00.000000001', (NOW + 1n).toString()],
		['yesterday', null],
		['', null],
	])('%j in UTC', (text, want) => {
		expect(typedTime(text, 'utc', NOW)).toBe(want);
	});

	it('comes back from what the field shows, to the nanosecond', () => {
		for (const ns of [NOW, NOW + 5_000_000n, NOW + 123_456_789n])
			for (const zone of ['utc', 'local'] as const) expect(typedTime(fieldText(ns.toString(), zone), zone, NOW)).toBe(ns.toString());
	});
});

describe('rangeName', () => {
	it.each([
		['now-1h', 'now', 'Last 1 h'],
		['now-45m', 'now', 'Last 45 m'],
		['now-2h', 'now-1h', 'now-2h – now-1h'],
		[(NOW - HOUR).toString(), NOW.toString(), '2026-11-24 11:00:00 – 12:00:00'],
		[(NOW - 24n * HOUR).toString(), NOW.toString(), '2026-11-23 12:00:00 – 2026-11-24 12:00:00'],
	])('%s to %s', (from, to, name) => {
		expect(rangeName({ from, to }, 'utc')).toBe(name);
	});
});
