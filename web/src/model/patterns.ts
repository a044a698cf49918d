/* Patterns of log lines: their parts, their counts over time, the selector they are asked for with. */
export interface Pattern {
	pattern: string;
	level?: string;
	samples: [number, number][]; // seconds, lines
}

/** Words and placeholders (<_>) in turn. */
export function patternParts(pattern: string): { text: string; hole: boolean }[] {
	return pattern
		.split(/(<_>)/)
		.filter((t) => t !== '')
		.map((text) => ({ text, hole: text === '<_>' }));
}

export function patternLines(p: Pattern): number {
	return p.samples.reduce((n, [, lines]) => n + lines, 0);
}

/** The stream selector a log query begins with: patterns are kept for streams, not for what a pipeline leaves. null: none. */
export function selectorOf(query: string): { selector: string; rest: string } | null {
	const m = /^(?:\s|#[^\n]*\n|\()*(\{(?:[^}"`#]|"(?:[^"\\]|\\.)*"|`[^`]*`|#[^\n]*\n)*\})/.exec(query);
	if (!m) return null;
	return { selector: m[1]!, rest: query.slice(m[0].length).replace(/\)+\s*$/, '').trim() };
}

/** Lines in each of n equal pieces of the time from start to end, in seconds. */
export function sparkCounts(samples: [number, number][], start: number, end: number, n: number): number[] {
	const out = new Array<number>(n).fill(0);
	for (const [t, lines] of samples) {
		const i = Math.floor(((t - start) / (end - start)) * n);
		/* The first bucket may begin before the range. */
		out[Math.min(n - 1, Math.max(0, i))]! += lines;
	}
	return out;
}
