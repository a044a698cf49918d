/* Traces: all lines of one, and the ids in what someone pasted. */
import { getJson } from './client';
import type { Entry, TraceAnswer } from './types';

export async function fetchTrace(id: string, abort?: AbortSignal): Promise<{ answer: TraceAnswer; entries: Entry[] }> {
	const answer = await getJson<TraceAnswer>(`/api/v1/traces/${encodeURIComponent(id)}/logs`, { limit: 5000 }, abort);
	return { answer, entries: answer.entries.map((e, i) => ({ id: e.id ?? `${e.ts}-${i}`, ts: e.ts, line: e.line, labels: e.labels, metadata: e.metadata, parsed: {} })) };
}

export async function findTraceIds(text: string, abort?: AbortSignal): Promise<string[]> {
	return (await getJson<{ ids: string[] }>('/api/v1/traces/find', { text: text.slice(0, 4000) }, abort)).ids;
}
