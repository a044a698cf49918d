import { describe, expect, it } from 'vitest';
import { addFilter, addLineFilter, isMetric, levelsOf, logPart, moveFiltersLeft, needles, quote, rangeOf, selectorFor, setLevels, tokens, unquote, type FieldFilter } from './logql';

const field = (f: Partial<FieldFilter>): FieldFilter => ({ origin: 'parsed', name: 'a', value: 'v', exclude: false, ...f });

describe('strings', () => {
	it('come back as they were', () => {
		for (const v of ['', 'a"b', 'back\\slash', 'line\nnext\ttab\r', '`', 'ü 😀', '\u0001\u007f']) expect(unquote(quote(v))).toBe(v);
	});
	it('are raw in backticks', () => {
		expect(unquote('`\\d"`')).toBe('\\d"');
	});
	it('stand in selectors', () => {
		expect(selectorFor({ app: 'a"}', env: 'x' })).toBe('{app="a\\"}", env="x"}');
	});
});

describe('tokens', () => {
	it('skip all three kinds of comment, but not in strings', () => {
		expect(tokens('a # } \nb // {\nc /* | */ "d # //"').map((t) => t.text)).toEqual(['a', 'b', 'c', '"d # //"']);
	});
	it('take what is not finished to the end', () => {
		for (const q of ['{a="', '{a=`x', '{', '/* ', '"\\']) expect(tokens(q).at(-1)?.to ?? q.length).toBe(q.length);
	});
});

describe('rangeOf', () => {
	it.each([
		['sum(rate({a="[1h]"} | json [5m]))', 300n, 0n],
		['count_over_time({a="b"}[1h30m] offset 2d) / 3', 5400n, 172800n],
		['rate({a="b"}[ 90s ] offset -1m)', 90n, -60n],
	])('of %s', (q, width, offset) => expect(rangeOf(q)).toEqual({ width: width * 1_000_000_000n, offset: offset * 1_000_000_000n }));
	it.each(['{a="b"}', 'vector(1)', 'rate({a="b"}[$__auto])', 'rate({a="b"}[5m', ']['])('none of %s', (q) => expect(rangeOf(q)).toBeNull());
});

describe('logPart', () => {
	it.each([
		['{a="}"} |= "["', '{a="}"} |= "["'],
		['sum by (x) (rate({a="b"} | json [5m])) / 2', '{a="b"} | json'],
		['sum(avg_over_time({a="b"} | logfmt --strict | (x > -1 or y="2") | unwrap ms [1m]))', '{a="b"} | logfmt --strict | (x > -1 or y="2")'],
	])('of %s', (q, part) => expect(logPart(q)).toBe(part));
	it('is null without a selector', () => expect(logPart('vector(1)')).toBeNull());
	it('tells metric queries', () => {
		expect(isMetric('rate({a="b"}[1m])')).toBe(true);
		expect(isMetric('({a="b"})')).toBe(false);
	});
});

describe('addFilter', () => {
	it('edits the selector for a label', () => {
		expect(addFilter('{}', field({ origin: 'label' }))).toBe('{a="v"}');
		expect(addFilter('{b="}"} | json', field({ origin: 'label', exclude: true }))).toBe('{b="}", a!="v"} | json');
		expect(addFilter('{a=~".+"}', field({ origin: 'label' }))).toBe('{a="v"}');
	});
	it('appends a stage otherwise, in each selector, with quotes kept inside the string', () => {
		expect(addFilter('rate({x="1"}[1m]) / rate({x="2"}[1m])', field({ value: '"} or' }))).toBe('rate({x="1"} | a="\\"} or"[1m]) / rate({x="2"} | a="\\"} or"[1m])');
		expect(addFilter('{x="1"} | logfmt --strict', field({}))).toBe('{x="1"} | logfmt --strict | a="v"');
	});
	it('adds the parser of a detected field once', () => {
		const f = field({ origin: 'detected', parser: 'json' });
		expect(addFilter('{x="1"}', f)).toBe('{x="1"} | json | a="v"');
		expect(addFilter('{x="1"} | json', f)).toBe('{x="1"} | json | a="v"');
	});
});

describe('line filters', () => {
	it('stand before parsers', () => {
		expect(addLineFilter('{x="1"} |= "a" or "b" | json', 'c"', true)).toBe('{x="1"} |= "a" or "b" != "c\\"" | json');
		expect(moveFiltersLeft('{x="1"} | json |= "a" | b="c"')).toBe('{x="1"} |= "a" | json | b="c"');
	});
	it('do not move over a stage that changes the line', () => expect(moveFiltersLeft('{x="1"} | json | line_format "y" |= "a"')).toBeNull());
	it('are what is marked', () => {
		expect(needles('{x="1"} |= "a" |~ `(?i)b+` != "c"')).toEqual([
			{ text: 'a', regex: false, ignoreCase: false },
			{ text: 'b+', regex: true, ignoreCase: true },
		]);
	});
});

describe('levels', () => {
	it('are replaced and removed', () => {
		const q = setLevels('{x="1"} | json', ['error']);
		expect(q).toBe('{x="1"} | json | detected_level=~"error"');
		expect(levelsOf(setLevels(q, ['error', 'warn']))).toEqual(['error', 'warn']);
		expect(setLevels(q, null)).toBe('{x="1"} | json');
	});
});
