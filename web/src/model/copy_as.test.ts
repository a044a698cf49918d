import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { asGrafana, shellQuote } from './copy_as';

describe('shellQuote', () => {
	it.each(["a'b", '$(id) `id` $HOME', '"\\\\n', '-x; rm *\nnext', "'''", ''])('%j is one word of a shell', (text) => {
		expect(execFileSync('sh', ['-c', `printf %s ${shellQuote(text)}`]).toString()).toBe(text);
	});
});

describe('asGrafana', () => {
	it('holds the query and the time in ms', () => {
		const url = new URL(asGrafana('http://g/', '{a="&"}', { from: '1', to: '2' }, { start: '1000000000', end: '2000000000' }));
		const panes = JSON.parse(url.searchParams.get('panes')!);
		expect(panes.spoor.queries[0].expr).toBe('{a="&"}');
		expect(panes.spoor.range).toEqual({ from: '1000', to: '2000' });
	});
});
