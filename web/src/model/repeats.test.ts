import { describe, expect, it } from 'vitest';
import type { Entry } from '../api/types';
import { once, type Repeats } from './repeats';

const lines = ['took 12 ms', 'took 12 ms', 'took 7 ms', 'took long', 'took 12 ms'].map((line, i): Entry => ({ id: String(i), ts: '1', line, labels: { app: 'a' }, metadata: {}, parsed: {} }));
const of = (entries: Entry[], how: Repeats, keep?: string) => once(entries, how, keep).map((r) => `${r.entry.id}×${r.times}`);

describe('lines told once', () => {
	it('equal ones, one after the other', () => {
		expect(of(lines, 'equal')).toEqual(['0×2', '2×1', '3×1', '4×1']);
		expect(of(lines, 'all')).toEqual(['0×1', '1×1', '2×1', '3×1', '4×1']);
		expect(of([], 'equal')).toEqual([]);
	});
	it('but for numbers, ids and addresses', () => {
		expect(of(lines, 'numbers')).toEqual(['0×3', '3×1', '4×1']);
		const ids = ['user 4bf92f35 at 0x7f', 'user 00aa11 at 0x1c', 'user bad at 0x1c'].map((line, i): Entry => ({ ...lines[0]!, id: String(i), line }));
		expect(of(ids, 'numbers')).toEqual(['0×2', '2×1']);
	});
	it('not those of another service, and not the line that the address names', () => {
		expect(of([lines[0]!, { ...lines[1]!, labels: { app: 'b' } }], 'equal')).toEqual(['0×1', '1×1']);
		expect(of(lines, 'numbers', '1')).toEqual(['0×1', '1×1', '2×1', '3×1', '4×1']);
	});
});
