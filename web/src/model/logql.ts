/* LogQL as text that is edited: filters are added to what a person wrote, which is otherwise left as it is. Knows just
 * enough of the grammar to find selectors and the pipelines behind them; the server judges queries. */
import type { Labels } from '../api/types';
import { LEVELS, type Level } from './levels';
import { parseDuration } from './time';

export interface FieldFilter {
	origin: 'label' | 'metadata' | 'parsed' | 'detected';
	name: string;
	value: string;
	exclude: boolean;
	parser?: 'json' | 'logfmt';
}

export interface Needle {
	text: string;
	regex: boolean;
	ignoreCase?: boolean;
}

type Kind = 'string' | 'op' | 'word' | 'open' | 'close' | 'other';

interface Token {
	kind: Kind;
	text: string;
	from: number;
	to: number;
}

const OPS = ['|=', '|~', '|>', '!=', '!~', '!>', '=~', '==', '>=', '<=', '|', '=', '>', '<', ',', '+', '-', '*', '/', '%', '^'];

function endOfString(q: string, from: number): number {
	const quote = q[from];
	let i = from + 1;
	while (i < q.length && q[i] !== quote) i += quote === '"' && q[i] === '\\' ? 2 : 1;
	return Math.min(i + 1, q.length);
}

/** The tokens of a query, without space and comments. Never fails: what is no token is one of kind 'other'. */
export function tokens(q: string): Token[] {
	const out: Token[] = [];
	let i = 0;
	const add = (kind: Kind, to: number) => {
		out.push({ kind, text: q.slice(i, to), from: i, to });
		i = to;
	};
	while (i < q.length) {
		const c = q[i]!;
		const word = /^[A-Za-z_][A-Za-z0-9_.]*/.exec(q.slice(i, i + 256));
		const op = OPS.find((o) => q.startsWith(o, i));
		if (/\s/.test(c)) i++;
		else if (c === '#' || q.startsWith('//', i)) i = q.indexOf('\n', i) === -1 ? q.length : q.indexOf('\n', i);
		else if (q.startsWith('/*', i)) i = q.indexOf('*/', i + 2) === -1 ? q.length : q.indexOf('*/', i + 2) + 2;
		else if (c === '"' || c === '`') add('string', endOfString(q, i));
		else if ('{(['.includes(c)) add('open', i + 1);
		else if ('})]'.includes(c)) add('close', i + 1);
		else if (word) add('word', i + word[0].length);
		else if (op !== undefined) add('op', i + op.length);
		else add('other', i + 1);
	}
	return out;
}

/** What a string token means. */
export function unquote(text: string): string {
	if (text.startsWith('`')) return text.slice(1, text.endsWith('`') && text.length > 1 ? -1 : undefined);
	try {
		return JSON.parse(text.replace(/\\x([0-9a-fA-F]{2})/g, '\\u00$1').replace(/\\a/g, '\\u0007').replace(/\\v/g, '\\u000b')) as string;
	} catch {
		return text.slice(1, -1);
	}
}

export function quote(value: string): string {
	let out = '"';
	for (const c of value) {
		const n = c.codePointAt(0)!;
		if (c === '"' || c === '\\') out += `\\${c}`;
		else if (c === '\n') out += '\\n';
		else if (c === '\t') out += '\\t';
		else if (c === '\r') out += '\\r';
		else if (n < 0x20 || n === 0x7f) out += `\\x${n.toString(16).padStart(2, '0')}`;
		else out += c;
	}
	return `${out}"`;
}

/** A selector and the pipeline behind it. */
interface Part {
	from: number; // of '{'
	body: number; // after '{'
	close: number; // of '}'
	end: number; // after the last stage
	tokens: Token[]; // of the pipeline
}

/* A pipeline ends at a bracket that closes or opens a range, at an unwrapped value, or where the query does. */
function parts(q: string): Part[] {
	const all = tokens(q);
	const out: Part[] = [];

	for (let i = 0; i < all.length; i++) {
		if (all[i]!.text !== '{') continue;
		const first = i;
		while (i < all.length && all[i]!.text !== '}') i++;
		if (i >= all.length) break;
		const close = all[i]!;
		let depth = 0;
		let k = i + 1;
		for (; k < all.length; k++) {
			const t = all[k]!;
			if (t.text === '(') depth++;
			else if (t.text === ')' && depth-- === 0) break;
			else if (t.text === '[' || t.text === '{') break;
			else if (t.text === '|' && all[k + 1]?.text === 'unwrap') break;
			else if (t.text === 'offset' && all[k - 1] === close) break;
		}
		out.push({ from: all[first]!.from, body: all[first]!.to, close: close.from, end: all[k - 1]!.to, tokens: all.slice(i + 1, k) });
		i = k - 1;
	}
	return out;
}

/** Does it give numbers rather than lines? */
export function isMetric(q: string): boolean {
	const first = tokens(q).find((t) => t.text !== '(');
	return first !== undefined && first.text !== '{';
}

/** The selector and pipeline of a query; of a metric query those inside. null: none. */
export function logPart(q: string): string | null {
	const p = parts(q)[0];
	return p === undefined ? null : q.slice(p.from, p.end);
}

/** Which lines the first range of a metric query looks at for a point: those of `width` ns up to `offset` ns before it.
 * null: it has no range, or one with a variable. */
export function rangeOf(q: string): { width: bigint; offset: bigint } | null {
	const all = tokens(q);
	const open = all.findIndex((t) => t.text === '[');
	const close = all.findIndex((t) => t.text === ']');
	if (open === -1 || close < open) return null;
	const width = parseDuration(q.slice(all[open]!.to, all[close]!.from).trim());
	if (width === null) return null;
	const after = /^\s*offset\s+(-?)([\wµ]+)/.exec(q.slice(all[close]!.to));
	const offset = (after && parseDuration(after[2]!)) ?? 0n;
	return { width, offset: after?.[1] === '-' ? -offset : offset };
}

function insert(q: string, at: { pos: number; text: string }[]): string {
	return [...at].sort((a, b) => b.pos - a.pos).reduce((s, i) => s.slice(0, i.pos) + i.text + s.slice(i.pos), q);
}

export function selectorFor(labels: Labels): string {
	return `{${Object.entries(labels)
		.map(([n, v]) => `${n}=${quote(v)}`)
		.join(', ')}}`;
}

function addMatcher(q: string, p: Part, f: FieldFilter): string {
	const body = q.slice(p.body, p.close);
	const matcher = `${f.name}${f.exclude ? '!=' : '='}${quote(f.value)}`;
	const list = tokens(body);
	/* {service_name=~".+"} only stands for "everything" */
	for (let i = 0; i + 2 < list.length; i++) {
		const [name, op, value] = [list[i]!, list[i + 1]!, list[i + 2]!];
		if (name.text !== f.name || value.kind !== 'string') continue;
		const all = op.text === '=~' && /^[.][+*]$/.test(unquote(value.text));
		if (op.text === '=' && unquote(value.text) === f.value && !f.exclude) return q;
		if (!f.exclude && (all || op.text === '=')) return q.slice(0, p.body + name.from) + matcher + q.slice(p.body + value.to);
	}
	return insert(q, [{ pos: p.close, text: body.trim() === '' || /,\s*$/.test(body) ? matcher : `, ${matcher}` }]);
}

function hasParser(p: Part, parser: string): boolean {
	return p.tokens.some((t, i) => t.text === parser && p.tokens[i - 1]?.text === '|');
}

/** Labels go to the selector, other fields to the end of each pipeline, behind the parser that makes them. */
export function addFilter(q: string, f: FieldFilter): string {
	return parts(q)
		.reverse()
		.reduce((s, p) => {
			if (f.origin === 'label') return addMatcher(s, p, f);
			const parser = f.origin === 'detected' && f.parser !== undefined && !hasParser(p, f.parser) ? ` | ${f.parser}` : '';
			const stage = ` | ${f.name}${f.exclude ? '!=' : '='}${quote(f.value)}`;
			return s.slice(p.from, p.end).endsWith(stage) ? s : insert(s, [{ pos: p.end, text: parser + stage }]);
		}, q);
}

/* Line filters stand right behind the selector, before parsers: the index can use them there. */
function addLineStage(q: string, stage: string): string {
	return parts(q)
		.reverse()
		.reduce((s, p) => {
			let end = p.close + 1;
			for (let i = 0; i + 1 < p.tokens.length; i += 2) {
				if (!['|=', '|~', '|>', '!=', '!~', '!>'].includes(p.tokens[i]!.text) || p.tokens[i + 1]!.kind !== 'string') break;
				end = p.tokens[i + 1]!.to;
				while (p.tokens[i + 2]?.text === 'or' && p.tokens[i + 3]?.kind === 'string') {
					end = p.tokens[i + 3]!.to;
					i += 2;
				}
			}
			return insert(s, [{ pos: end, text: ` ${stage}` }]);
		}, q);
}

export function addLineFilter(q: string, text: string, exclude: boolean): string {
	return addLineStage(q, `${exclude ? '!=' : '|='} ${quote(text)}`);
}

export function addPatternFilter(q: string, pattern: string, exclude: boolean): string {
	return addLineStage(q, `${exclude ? '!>' : '|>'} ${quote(pattern)}`);
}

const LEVEL_STAGE = /[ \t]*\|\s*detected_level\s*=~\s*"([a-z|]*)"/;

export function levelsOf(q: string): Level[] | null {
	const m = LEVEL_STAGE.exec(q);
	return m ? LEVELS.filter((l) => m[1]!.split('|').includes(l)) : null;
}

/** Shows these levels alone; null: all. */
export function setLevels(q: string, levels: Level[] | null): string {
	const without = q.replace(new RegExp(LEVEL_STAGE, 'g'), '');
	if (levels === null) return without;
	const names = levels.join('|');
	return insert(
		without,
		parts(without).map((p) => ({ pos: p.end, text: ` | detected_level=~"${names}"` })),
	);
}

/** What to mark in lines: the texts of the positive line filters. */
export function needles(q: string): Needle[] {
	const out: Needle[] = [];
	for (const p of parts(q))
		for (let i = 0; i + 1 < p.tokens.length; i++) {
			const [op, text] = [p.tokens[i]!, p.tokens[i + 1]!];
			if (!['|=', '|~'].includes(op.text) || text.kind !== 'string') continue;
			const value = unquote(text.text);
			const flag = /^\(\?i\)/.test(value);
			if (value !== '') out.push({ text: flag ? value.slice(4) : value, regex: op.text === '|~', ignoreCase: flag });
		}
	return out;
}

/** Line filters that stand behind a parser, in front of it; null: there are none to move. */
export function moveFiltersLeft(q: string): string | null {
	for (const p of parts(q)) {
		const parser = p.tokens.findIndex((t, i) => ['json', 'logfmt', 'pattern', 'regexp', 'unpack'].includes(t.text) && p.tokens[i - 1]?.text === '|');
		if (parser === -1 || p.tokens.some((t) => ['line_format', 'decolorize'].includes(t.text))) continue;
		const i = p.tokens.findIndex((t, k) => k > parser && ['|=', '|~', '|>', '!~', '!>'].includes(t.text) && p.tokens[k + 1]?.kind === 'string' && p.tokens[k + 2]?.text !== 'or');
		if (i === -1) continue;
		const stage = `${p.tokens[i]!.text} ${p.tokens[i + 1]!.text}`;
		return addLineStage((q.slice(0, p.tokens[i]!.from).trimEnd() + q.slice(p.tokens[i + 1]!.to)), stage);
	}
	return null;
}
