/* What a trace was waiting for, at each moment: from its end backwards the child that ended last, then the one that
 * ended last before that began, and so on; between its children the span itself. The idea: Zhang et al., CRISP: Critical
 * Path Analysis of Large-Scale Microservice Architectures, USENIX ATC 2022. */
import type { Span, Trace } from './trace_tree';

export interface Piece {
	start: bigint; // ns
	end: bigint;
}

interface Frame {
	span: Span | null; // null: the trace itself
	start: bigint;
	until: bigint; // what comes after this is known
	children: (Piece & { span: Span })[]; // the last to end in front
	next: number;
}

const min = (a: bigint, b: bigint) => (a < b ? a : b);
const max = (a: bigint, b: bigint) => (a > b ? a : b);

/** By span id. A span of one moment has a piece without length. */
export function criticalPath(t: Trace): Map<string, Piece[]> {
	const children = new Map<string | null, Span[]>();
	const path = new Map<string, Piece[]>();

	for (const s of t.spans) {
		const parent = s.depth === 0 ? null : s.parent;
		const siblings = children.get(parent);
		if (siblings === undefined) children.set(parent, [s]);
		else siblings.push(s);
	}
	/* What a child does after its parent's end nobody waited for. */
	const open = (span: Span | null, start: bigint, until: bigint): Frame => ({
		span,
		start,
		until,
		children: (children.get(span?.id ?? null) ?? [])
			.filter((c) => c.start <= until && c.end >= start)
			.map((c) => ({ span: c, start: max(c.start, start), end: min(c.end, until) }))
			.sort((a, b) => (a.end > b.end ? -1 : a.end < b.end ? 1 : a.start < b.start ? -1 : 1)),
		next: 0,
	});
	const add = (span: Span | null, start: bigint, end: bigint) => {
		if (span === null) return;
		const pieces = path.get(span.id);
		if (pieces === undefined) path.set(span.id, [{ start, end }]);
		else pieces.push({ start, end });
	};
	const stack = [open(null, t.start, t.end)];
	for (let f = stack.at(-1); f !== undefined; f = stack.at(-1)) {
		const c = f.children[f.next++];
		if (c === undefined) {
			if (f.until > f.start || f.children.length === 0) add(f.span, f.start, f.until);
			stack.pop();
		} else if (c.end <= f.until) {
			if (f.until > c.end) add(f.span, c.end, f.until);
			f.until = c.start;
			stack.push(open(c.span, c.start, c.end));
		}
	}
	return path;
}
