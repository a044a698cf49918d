/* The spans of a trace. Where spans themselves are not stored they are put together from the lines: those with one
 * span id, or without any those of one service, make a bar from the first to the last. Stored spans, when they come,
 * are the same `Span`. */
import type { Entry } from '../api/types';
import { entryLevel, isError } from './levels';
import { serviceOf } from './service';
import { parentSpanIdOf, spanIdOf } from './trace_id';

export interface Span {
	id: string;
	parent: string | null;
	service: string;
	name: string;
	start: bigint; // ns
	end: bigint;
	error: boolean;
	lines: Entry[]; // by time
	depth: number;
	children: number;
	rebuilt: boolean; // from lines
}

export interface Trace {
	start: bigint;
	end: bigint;
	spans: Span[]; // parents before their children, siblings by time
	loose: Entry[]; // lines that name no span
	services: string[];
	errors: number;
	root: Entry | null; // the line to look at first
}

const NAMES = ['span_name', 'operation', 'operation_name', 'otel_name', 'name'];

function nameOf(lines: Entry[]): string {
	for (const e of lines) for (const n of NAMES) if (e.metadata[n] ?? e.parsed[n]) return (e.metadata[n] ?? e.parsed[n])!;
	return '';
}

function spanOf(id: string, lines: Entry[]): Span {
	return {
		id,
		parent: lines.map(parentSpanIdOf).find((p) => p !== null && p !== id) ?? null,
		service: serviceOf(lines[0]!.labels),
		name: nameOf(lines),
		start: BigInt(lines[0]!.ts),
		end: BigInt(lines.at(-1)!.ts),
		error: lines.some((e) => isError(entryLevel(e))),
		lines,
		depth: 0,
		children: 0,
		rebuilt: true,
	};
}

/* Depth first; a span whose parent is not there, or that is its own ancestor, is a root. */
function inOrder(spans: Span[]): Span[] {
	const byId = new Map(spans.map((s) => [s.id, s]));
	const children = new Map<string | null, Span[]>();
	const byTime = (a: Span, b: Span) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.end > b.end ? -1 : 0);
	const out: Span[] = [];
	const seen = new Set<string>();

	for (const s of spans) {
		const parent = s.parent !== null && byId.has(s.parent) ? s.parent : null;
		children.set(parent, [...(children.get(parent) ?? []), s]);
	}
	const walk = (roots: Span[], depth: number) => {
		const stack = [...roots].sort(byTime).reverse().map((s) => ({ s, depth }));
		while (stack.length > 0) {
			const { s, depth: d } = stack.pop()!;
			if (seen.has(s.id)) continue;
			seen.add(s.id);
			const own = (children.get(s.id) ?? []).filter((c) => !seen.has(c.id));
			out.push({ ...s, depth: d, children: own.length });
			for (const c of own.sort(byTime).reverse()) stack.push({ s: c, depth: d + 1 });
		}
	};
	walk(children.get(null) ?? [], 0);
	for (const s of spans) if (!seen.has(s.id)) walk([s], 0);
	return out;
}

/* A parent lasts at least as long as its children. */
function widen(spans: Span[]): Span[] {
	const byId = new Map(spans.map((s) => [s.id, s]));
	for (const s of [...spans].reverse()) {
		const p = s.parent === null ? undefined : byId.get(s.parent);
		if (p === undefined || p === s || !p.rebuilt) continue;
		if (s.start < p.start) p.start = s.start;
		if (s.end > p.end) p.end = s.end;
	}
	return spans;
}

/* The first error of the deepest failing span; else the first error at all. */
function rootCause(spans: Span[], all: Entry[]): Entry | null {
	const failing = spans.filter((s) => s.error).sort((a, b) => b.depth - a.depth || (a.start < b.start ? -1 : 1));
	const lines = failing[0]?.lines ?? all;
	return lines.find((e) => isError(entryLevel(e))) ?? all.find((e) => isError(entryLevel(e))) ?? null;
}

export function buildTrace(lines: Entry[]): Trace {
	const sorted = [...lines].sort((a, b) => (BigInt(a.ts) < BigInt(b.ts) ? -1 : BigInt(a.ts) > BigInt(b.ts) ? 1 : 0));
	const groups = new Map<string, Entry[]>();
	const withSpans = sorted.some((e) => spanIdOf(e) !== null);
	const loose: Entry[] = [];

	for (const e of sorted) {
		const id = withSpans ? spanIdOf(e) : serviceOf(e.labels);
		if (id === null) loose.push(e);
		else if (groups.has(id)) groups.get(id)!.push(e);
		else groups.set(id, [e]);
	}
	const spans = widen(inOrder([...groups].map(([id, l]) => spanOf(id, l))));
	return {
		start: BigInt(sorted[0]?.ts ?? 0),
		end: BigInt(sorted.at(-1)?.ts ?? 0),
		spans,
		loose,
		services: [...new Set(sorted.map((e) => serviceOf(e.labels)))],
		errors: sorted.filter((e) => isError(entryLevel(e))).length,
		root: rootCause(spans, sorted),
	};
}
