import { describe, expect, it } from 'vitest';
import type { Entry } from '../api/types';
import { traceIdOf } from './trace_id';
import { buildTrace } from './trace_tree';

let n = 0;
function line(ts: number, service: string, level: string, text: string, metadata: Record<string, string> = {}): Entry {
	return { id: `${ts}-${n++}`, ts: String(ts), line: text, labels: { service_name: service }, metadata: { detected_level: level, ...metadata }, parsed: {} };
}

describe('a trace from its lines', () => {
	const lines = [
		line(300, 'pay', 'error', 'failed', { span_id: 'c', parent_span_id: 'b' }),
		line(0, 'gate', 'info', 'begin', { span_id: 'a' }),
		line(350, 'gate', 'error', 'answered 502', { span_id: 'a' }),
		line(50, 'order', 'info', 'order', { span_id: 'b', parent_span_id: 'a' }),
		line(340, 'mail', 'info', 'no span'),
	];
	it('parents before children, bars from the first line to the last, parents as long as their children', () => {
		const t = buildTrace(lines);
		expect(t.spans.map((s) => [s.id, s.depth, s.service, Number(s.start), Number(s.end)])).toEqual([
			['a', 0, 'gate', 0, 350],
			['b', 1, 'order', 50, 300],
			['c', 2, 'pay', 300, 300],
		]);
		expect(t.loose.map((e) => e.line)).toEqual(['no span']);
		expect([t.errors, Number(t.start), Number(t.end)]).toEqual([2, 0, 350]);
	});
	it('the root cause is the first error of the deepest failing span', () => {
		expect(buildTrace(lines).root?.line).toBe('failed');
		expect(buildTrace([line(1, 'a', 'info', 'x')]).root).toBeNull();
	});
	it('without spans each service is one', () => {
		const t = buildTrace([line(1, 'a', 'info', 'x'), line(5, 'b', 'info', 'y'), line(9, 'a', 'info', 'z')]);
		expect(t.spans.map((s) => [s.service, s.lines.length])).toEqual([
			['a', 2],
			['b', 1],
		]);
	});
	it('spans that are their own ancestors, or whose parents are missing, are all shown', () => {
		const t = buildTrace([line(1, 'a', 'info', 'x', { span_id: 'p', parent_span_id: 'q' }), line(2, 'a', 'info', 'y', { span_id: 'q', parent_span_id: 'p' }), line(3, 'a', 'info', 'z', { span_id: 'r', parent_span_id: 'gone' })]);
		expect(t.spans.map((s) => s.id).sort()).toEqual(['p', 'q', 'r']);
		expect(buildTrace([]).spans).toEqual([]);
	});
});

describe('the trace id of a line', () => {
	const id = '4bf92f3577b34da6a3ce929d0e0e4736';
	const of = (text: string, metadata = {}) => traceIdOf({ line: text, labels: {}, metadata, parsed: {} });
	it('in fields, JSON, logfmt, a traceparent, plain', () => {
		expect(of('x', { trace_id: id })).toBe(id);
		expect(of(`{"otelTraceID": "${id}"}`)).toBe(id);
		expect(of(`level=info traceID=${id}`)).toBe(id);
		expect(of(`tp 00-${id}-00f067aa0ba902b7-01`)).toBe(id);
		expect(of(`for ${id}.`)).toBe(id);
	});
	it('none in longer runs, short ones or other fields', () => {
		expect(of(`sha ${id}${id}`)).toBeNull();
		expect(of('deadbeef')).toBeNull();
		expect(of('x', { trace_id: 'nonsense' })).toBeNull();
	});
});
