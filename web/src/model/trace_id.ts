/* Trace and span ids of an entry: in its fields, else in its line. The server's index knows more spellings; here it
 * is only about showing a link. */
import type { Entry, Labels } from '../api/types';

const NAMES = ['trace_id', 'traceid', 'traceId', 'TraceId', 'TraceID', 'trace.id', 'otelTraceID', 'dd.trace_id', 'dd_trace_id'];
const SPANS = ['span_id', 'spanid', 'spanId', 'SpanId', 'otelSpanID', 'dd.span_id', 'dd_span_id'];
const PARENTS = ['parent_span_id', 'parentSpanId', 'parent_id', 'parentid'];
const ID = /^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})$/;

function pick(names: string[], ...from: Labels[]): string | null {
	for (const l of from) for (const n of names) if (l[n] !== undefined && l[n] !== '') return l[n]!;
	return null;
}

function inLine(line: string, names: string): string | null {
	return new RegExp(`(?:${names})["']?\\s*[=:]\\s*["']?([0-9a-fA-F-]{16,36})`, 'i').exec(line.slice(0, 16384))?.[1] ?? null;
}

export function traceIdOf(e: Pick<Entry, 'labels' | 'metadata' | 'parsed' | 'line'>): string | null {
	const field = pick(NAMES, e.metadata, e.parsed, e.labels);
	if (field !== null && ID.test(field)) return field;
	const line = e.line.slice(0, 16384);
	const parent = /\b00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b/.exec(line)?.[1];
	const named = inLine(line, 'trace[._-]?id');
	if (parent !== undefined) return parent;
	if (named !== null && ID.test(named)) return named;
	return /(?<![0-9a-zA-Z])[0-9a-fA-F]{32}(?![0-9a-zA-Z])/.exec(line)?.[0] ?? null;
}

export function spanIdOf(e: Pick<Entry, 'labels' | 'metadata' | 'parsed' | 'line'>): string | null {
	return pick(SPANS, e.metadata, e.parsed, e.labels) ?? inLine(e.line, '(?<!parent[._-]?)span[._-]?id') ?? /\b00-[0-9a-f]{32}-([0-9a-f]{16})-[0-9a-f]{2}\b/.exec(e.line)?.[1] ?? null;
}

export function parentSpanIdOf(e: Pick<Entry, 'labels' | 'metadata' | 'parsed' | 'line'>): string | null {
	return pick(PARENTS, e.metadata, e.parsed, e.labels) ?? inLine(e.line, 'parent[._-]?(?:span[._-]?)?id');
}
