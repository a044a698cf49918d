/* Labels, their values and what they weigh. */
import { getJson, request } from './client';
import { fetchPage } from './entries';
import type { Labels, Range } from './types';

export interface LabelCount {
	name: string;
	values: number;
	streams: number;
}

export interface LabelsAnswer {
	streams: number;
	labels: LabelCount[];
	traceIdKeys: string[];
	indexedFields: string[];
}

export async function fetchLabels(range: Range, abort: AbortSignal): Promise<LabelsAnswer> {
	return getJson('/api/v1/labels', { ...range }, abort);
}

interface Volume {
	data: { result: { metric: Labels; value: [number, string] }[] };
}

/** Bytes for each value of a label. */
export async function fetchVolumes(name: string, range: Range, abort: AbortSignal): Promise<{ value: string; bytes: number }[]> {
	const a = await getJson<Volume>('/loki/api/v1/index/volume', { query: `{${name}=~".+"}`, targetLabels: name, limit: 500, ...range }, abort);
	return a.data.result.map((r) => ({ value: r.metric[name] ?? '', bytes: Number(r.value[1]) })).sort((x, y) => y.bytes - x.bytes);
}

interface Matrix {
	data: { result: { metric: Labels; values: [number, string][] }[] };
}

/** Lines of a selector by time, all and those that are errors. */
export async function fetchCounts(selector: string, range: Range, step: number, abort: AbortSignal): Promise<{ all: number[]; errors: number }> {
	const a = await getJson<Matrix>('/loki/api/v1/query_range', { query: `sum by (detected_level) (count_over_time(${selector}[${step}s]))`, ...range, step }, abort);
	const by = new Map<number, number>();
	let errors = 0;
	for (const s of a.data.result)
		for (const [t, v] of s.values) {
			by.set(t, (by.get(t) ?? 0) + Number(v));
			if (/^(error|critical|fatal)$/.test(s.metric.detected_level ?? '')) errors += Number(v);
		}
	return { all: [...by].sort((x, y) => x[0] - y[0]).map(([, v]) => v), errors };
}

/** Times of the first and the last line of a selector; null if it has none. */
export async function fetchEnds(query: string, range: Range, abort: AbortSignal): Promise<{ first: bigint; last: bigint } | null> {
	const [first, last] = await Promise.all((['forward', 'backward'] as const).map((direction) => fetchPage({ query, ...range, direction, limit: 1 }, abort)));
	const [a, b] = [first!.entries[0], last!.entries[0]];
	return a === undefined || b === undefined ? null : { first: BigInt(a.ts), last: BigInt(b.ts) };
}

export async function countLines(query: string, range: Range, abort?: AbortSignal): Promise<number> {
	const seconds = (BigInt(range.end) - BigInt(range.start) + 999_999_999n) / 1_000_000_000n;
	const a = await getJson<{ data: { result: { value: [number, string] }[] } }>('/loki/api/v1/query', { query: `sum(count_over_time(${query}[${seconds}s]))`, time: range.end }, abort);
	return Number(a.data.result[0]?.value[1] ?? 0);
}

export async function deleteLines(query: string, range: Range): Promise<void> {
	const params = new URLSearchParams({ query, start: String(BigInt(range.start) / 1_000_000_000n), end: String(BigInt(range.end) / 1_000_000_000n) });
	await request(`/loki/api/v1/delete?${params}`, {}, { method: 'POST' });
}

export interface DeleteRequest {
	request_id: string;
	query: string;
	status: string;
	deleted_entries?: number;
}

export async function fetchDeletes(abort: AbortSignal): Promise<DeleteRequest[]> {
	return getJson('/loki/api/v1/delete', {}, abort);
}
