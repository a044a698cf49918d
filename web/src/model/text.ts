/* Text from logs, made visible: what would hide, move or reverse other text is shown by its code. */
export interface Segment {
	text: string;
	escaped: boolean; // shown as a chip
}

export const MAX_SHOWN = 16384; // characters of a line on screen

/* Controls but tab and newline, DEL, C1, soft hyphen, zero width, bidi controls, BOM, tags, lone surrogates. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

function code(c: string): string {
	const n = c.codePointAt(0)!;
	return n < 0x100 ? `\\x${n.toString(16).padStart(2, '0')}` : `U+${n.toString(16).toUpperCase().padStart(4, '0')}`;
}

export function segments(text: string): Segment[] {
	const out: Segment[] = [];
	let from = 0;
	for (const m of text.matchAll(HIDDEN)) {
		if (m.index > from) out.push({ text: text.slice(from, m.index), escaped: false });
		out.push({ text: code(m[0]), escaped: true });
		from = m.index + m[0].length;
	}
	if (from < text.length) out.push({ text: text.slice(from), escaped: false });
	return out;
}

/** The same as one string, for attributes and titles. */
export function visible(text: string): string {
	return text.replace(HIDDEN, code);
}

export function cutLine(line: string, max = MAX_SHOWN): { text: string; cut: number } {
	if (line.length <= max) return { text: line, cut: 0 };
	const end = /[\ud800-\udbff]/.test(line[max - 1]!) ? max - 1 : max;
	return { text: line.slice(0, end), cut: line.length - end };
}

/** \n and \t that a logger wrote as two characters, as in stack traces within JSON or logfmt. */
export function unescapeBreaks(text: string): string {
	return text.replace(/\\r?\\n|\\n/g, '\n').replace(/\\t/g, '\t');
}

export function hasEscapedBreaks(text: string): boolean {
	return /\\n(\\t|\s)*(at |\.\.\.|Caused by|File ")|\\n.*\\n/.test(text);
}
