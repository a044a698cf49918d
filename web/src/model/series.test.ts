import { describe, expect, it } from 'vitest';
import { columns, formatValue, largest, seriesName, timesOf } from './series';

const a = { metric: { app: 'a' }, values: [[10, '1'], [20, '2']] as [number, string][] };
const b = { metric: { app: 'b' }, values: [[20, '5'], [50, 'NaN']] as [number, string][] };

describe('series', () => {
	it('are named by their labels, in order, with quotes escaped', () => {
		expect(seriesName({ z: '1', a: 'x"y' })).toBe('{a="x\\"y", z="1"}');
		expect(seriesName({})).toBe('{}');
	});

	it('come largest first', () => {
		expect(largest([a, b], 1)).toEqual([b]);
	});

	it('share one column of times; a gap in it is a time without values', () => {
		const times = timesOf([a, b], 10);
		expect(times).toEqual([10, 20, 30, 50]);
		expect(columns([a, b], times)).toEqual([
			[1, 2, null, null],
			[null, 5, null, null],
		]);
	});

	it.each([
		[0, '0'],
		[0.123456, '0.1235'],
		[1204567, '1\u202f204\u202f567'],
		[0.00001234, '1.23e-5'],
		[null, '–'],
		[Infinity, '–'],
	])('%s reads %s', (v, text) => {
		expect(formatValue(v)).toBe(text);
	});
});
