import { describe, expect, it } from 'vitest';
import { parseAnsi, stripAnsi } from './ansi';
import { EventParser } from './events';
import { parseMetrics, quantile, total } from './prometheus';
import { Ring } from './ring';
import { cutLine, hasEscapedBreaks, segments, unescapeBreaks, visible } from './text';
import { escapeHtml, traceHtml } from './trace_export';

describe('hidden characters', () => {
	it('are shown by their code, the rest as it is', () => {
		expect(visible('a\u202eb\u200bc\u0007')).toBe('aU+202EbU+200Bc\\x07');
		expect(visible('tab\tline\nünïcödé 😀')).toBe('tab\tline\nünïcödé 😀');
		expect(visible('\ud800x')).toBe('U+D800x');
		expect(segments('a\u202eb')).toEqual([
			{ text: 'a', escaped: false },
			{ text: 'U+202E', escaped: true },
			{ text: 'b', escaped: false },
		]);
	});
	it('a long line is cut between characters', () => {
		expect(cutLine('x'.repeat(1_000_000))).toMatchObject({ cut: 1_000_000 - 16384 });
		expect(cutLine(`${'x'.repeat(9)}😀`, 10).text).toBe('x'.repeat(9));
	});
	it('breaks of stack traces', () => {
		expect(hasEscapedBreaks('boom\\n\\tat x(Y.java:1)')).toBe(true);
		expect(hasEscapedBreaks('C:\\new')).toBe(false);
		expect(unescapeBreaks('a\\n\\tb')).toBe('a\n\tb');
	});
});

describe('ANSI', () => {
	it('colours become classes, the rest goes', () => {
		expect(parseAnsi('a\u001b[1;31mb\u001b[0mc')).toEqual([
			{ text: 'a', cls: '' },
			{ text: 'b', cls: 'ansi-bold ansi-fg1' },
			{ text: 'c', cls: '' },
		]);
		expect(stripAnsi('\u001b]8;;http://x\u0007link\u001b]8;;\u0007\u001b[2J')).toBe('link');
	});
	it('broken and huge sequences are text', () => {
		expect(stripAnsi('\u001b[')).toBe('\u001b[');
		expect(parseAnsi(`\u001b[${'9'.repeat(1000)}m`).map((r) => r.text).join('')).toContain('999');
	});
});

describe('server-sent events', () => {
	it('in pieces', () => {
		const p = new EventParser();
		expect(p.feed('retry: 2000\n\nid: 7\nda')).toEqual([]);
		expect(p.feed('ta: {"a":1}\n\n: \n\nid: 8\n\n')).toEqual([
			{ id: '7', type: 'message', data: '{"a":1}' },
			{ id: '8', type: 'message', data: '' },
		]);
		expect(p.feed('event: failed\r\ndata: x\r\ndata: y\r\n\r\n')).toEqual([{ id: '8', type: 'failed', data: 'x\ny' }]);
	});
});

describe('a ring', () => {
	it('keeps the newest', () => {
		const r = new Ring<number>(3);
		expect(r.add([1, 2])).toBe(0);
		expect(r.add([3, 4])).toBe(1);
		expect(r.list).toEqual([2, 3, 4]);
		expect(r.add([5, 6, 7, 8, 9])).toBe(5);
		r.resize(1);
		expect(r.list).toEqual([9]);
	});
});

describe('exports', () => {
	it('a trace as a page is text', () => {
		expect(escapeHtml('<a href="x">&\'')).not.toMatch(/[<>"']/);
		const html = traceHtml({ trace_id: 'x<y', start: null, end: null, entries: [{ ts: '1', line: '<script>alert(1)</script>\u202e', labels: {}, metadata: {} }], more: false, first_error: null, trace_url: null });
		expect(html).not.toContain('<script');
		expect(html).toContain('U+202E');
	});
});

describe('metrics', () => {
	it('samples, sums, quantiles', () => {
		const m = parseMetrics('# HELP x\nx{a="1\\"2",b="c"} 3\nx{a="z"} 4\nh_bucket{le="0.1"} 50\nh_bucket{le="1"} 100\nh_bucket{le="+Inf"} 100\n');
		expect(total(m, 'x')).toBe(7);
		expect(total(m, 'x', { a: '1"2' })).toBe(3);
		expect(quantile(m, 'h', 0.5)).toBeCloseTo(0.1);
		expect(quantile(m, 'none', 0.5)).toBeNull();
	});
});
