import { expect, it } from 'vitest';
import { expectedAt } from './complete';

it.each([
	['{', 'label'],
	['{a="b", c', 'label'],
	['{a="x', 'value'],
	['{a="b"} | js', 'stage'],
	['sum by (a', 'field'],
	['su', 'function'],
	['{a="b"} |= "x', undefined],
	['{a="b"} # | ', undefined],
])('at the end of %s: %s', (q, what) => expect(expectedAt(q, q.length)?.what).toBe(what));
