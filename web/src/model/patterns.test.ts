import { describe, expect, it } from 'vitest';
import { patternLines, patternParts, selectorOf, sparkCounts } from './patterns';

describe('patternParts', () => {
	it('tells words from placeholders', () => {
		expect(patternParts('id=<_> took <_>')).toEqual([
			{ text: 'id=', hole: false },
			{ text: '<_>', hole: true },
			{ text: ' took ', hole: false },
			{ text: '<_>', hole: true },
		]);
	});
});

describe('selectorOf', () => {
	it.each([
		['{app="a"}', '{app="a"}', ''],
		[' {app="a}b"} |= "x"', '{app="a}b"}', '|= "x"'],
		['{app=`a}`} | json', '{app=`a}`}', '| json'],
		['{app="q\\"}"}|="x"', '{app="q\\"}"}', '|="x"'],
		['# note {x}\n{app="a"}', '{app="a"}', ''],
		['({app="a"} | json)', '{app="a"}', '| json'],
	])('of %s', (query, selector, rest) => {
		expect(selectorOf(query)).toEqual({ selector, rest });
	});

	it.each(['', 'rate({app="a"}[5m])', '{app="a'])('is none of %j', (query) => {
		expect(selectorOf(query)).toBeNull();
	});
});

describe('samples', () => {
	it('are counted once each, those before the start in the first piece', () => {
		const samples: [number, number][] = [[95, 1], [100, 2], [149, 4], [150, 8], [199, 16]];
		expect(sparkCounts(samples, 100, 200, 2)).toEqual([7, 24]);
		expect(patternLines({ pattern: '', samples })).toBe(31);
	});
});
