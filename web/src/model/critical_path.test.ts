import { describe, expect, it } from 'vitest';
import { criticalPath } from './critical_path';
import type { Span, Trace } from './trace_tree';

function span(id: string, parent: string | null, depth: number, start: number, end: number): Span {
	return { id, parent, service: 's', name: id, start: BigInt(start), end: BigInt(end), error: false, lines: [], depth, children: 0, rebuilt: false };
}

function pathOf(spans: Span[], start = 0, end = 100): Record<string, number[][]> {
	const t: Trace = { start: BigInt(start), end: BigInt(end), spans, loose: [], services: ['s'], errors: 0, root: null };
	return Object.fromEntries([...criticalPath(t)].map(([id, pieces]) => [id, pieces.map((p) => [Number(p.start), Number(p.end)])]));
}

describe('the critical path', () => {
	it('one span is all of it', () => {
		expect(pathOf([span('a', null, 0, 0, 100)])).toEqual({ a: [[0, 100]] });
	});
	it('one after the other: between children the parent itself', () => {
		expect(pathOf([span('a', null, 0, 0, 100), span('b', 'a', 1, 10, 30), span('c', 'a', 1, 40, 90)])).toEqual({
			a: [
				[90, 100],
				[30, 40],
				[0, 10],
			],
			b: [[10, 30]],
			c: [[40, 90]],
		});
	});
	it('of children side by side the one that ended last', () => {
		expect(pathOf([span('a', null, 0, 0, 100), span('b', 'a', 1, 0, 60), span('c', 'a', 1, 10, 100)])).toEqual({ a: [[0, 10]], c: [[10, 100]] });
	});
	it('what a child does after its parent ended, or before it began, does not count', () => {
		expect(pathOf([span('a', null, 0, 0, 100), span('b', 'a', 1, 20, 60), span('c', 'b', 2, 10, 90)])).toEqual({
			a: [
				[60, 100],
				[0, 20],
			],
			c: [[20, 60]],
		});
	});
	it('roots one after the other, and spans of one moment', () => {
		expect(pathOf([span('a', null, 0, 0, 40), span('b', 'gone', 0, 70, 70), span('c', null, 0, 60, 100)])).toEqual({ a: [[0, 40]], c: [[60, 100]] });
		expect(pathOf([span('a', null, 0, 0, 100), span('b', 'a', 1, 50, 50)])).toEqual({
			a: [
				[50, 100],
				[0, 50],
			],
			b: [[50, 50]],
		});
		expect(pathOf([], 0, 0)).toEqual({});
	});
	it('20,000 spans in a chain, and as many side by side', () => {
		const chain = Array.from({ length: 20000 }, (_, i) => span(`c${i}`, i === 0 ? null : `c${i - 1}`, i, i, 40000 - i));
		expect(Object.keys(pathOf(chain, 0, 40000))).toHaveLength(20000);
		const flat = [span('r', null, 0, 0, 20000), ...Array.from({ length: 20000 }, (_, i) => span(`f${i}`, 'r', 1, i, i + 1))];
		expect(Object.keys(pathOf(flat, 0, 20000))).toHaveLength(20000);
	});
});
