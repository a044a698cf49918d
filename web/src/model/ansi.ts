/* ANSI colours of lines (ECMA-48 SGR): runs of text with classes. Other escape sequences are left out of the text. */
export interface Run {
	text: string;
	cls: string;
}

/* CSI … final byte; OSC … BEL or ST; two-byte escapes. Parameters are bounded: a hostile line is only text. */
const ESCAPE = /\u001b(?:\[([0-9;:?<=>]{0,64})[ -/]{0,4}([@-~])|\][^\u0007\u001b]{0,4096}(?:\u0007|\u001b\\)|[@-Z\\^_])/g;

export function hasAnsi(text: string): boolean {
	return text.includes('\u001b');
}

export function stripAnsi(text: string): string {
	return text.replace(ESCAPE, '');
}

function apply(params: string, was: Set<string>): Set<string> {
	const now = new Set(was);
	const drop = (prefix: string) => [...now].filter((c) => c.startsWith(prefix)).forEach((c) => now.delete(c));
	const codes = params.split(/[;:]/).map((p) => (p === '' ? 0 : Number(p)));
	for (let i = 0; i < codes.length; i++) {
		const c = codes[i]!;
		if (c === 0) now.clear();
		else if (c === 1) now.add('ansi-bold');
		else if (c === 3) now.add('ansi-italic');
		else if (c === 4) now.add('ansi-underline');
		else if (c === 22) now.delete('ansi-bold');
		else if (c === 23) now.delete('ansi-italic');
		else if (c === 24) now.delete('ansi-underline');
		else if ((c >= 30 && c <= 37) || (c >= 90 && c <= 97)) {
			drop('ansi-fg');
			now.add(`ansi-fg${c % 10}`);
		} else if (c === 39) drop('ansi-fg');
		else if (c === 38 || c === 48) i += codes[i + 1] === 5 ? 2 : 4; // 256 and 24-bit colours are shown as plain text
	}
	return now;
}

export function parseAnsi(text: string): Run[] {
	const out: Run[] = [];
	let cls = new Set<string>();
	let from = 0;
	for (const m of text.matchAll(ESCAPE)) {
		if (m.index > from) out.push({ text: text.slice(from, m.index), cls: [...cls].join(' ') });
		if (m[2] === 'm') cls = apply(m[1] ?? '', cls);
		from = m.index + m[0].length;
	}
	if (from < text.length) out.push({ text: text.slice(from), cls: [...cls].join(' ') });
	return out;
}
