/* What completion offers: names and values of labels and fields, asked for once a minute at most. */
import type { Range } from './types';
import { getJson } from './client';

const KEPT_MS = 60_000;
const kept = new Map<string, { at: number; value: Promise<string[]> }>();

function once(key: string, ask: () => Promise<string[]>): Promise<string[]> {
	const was = kept.get(key);
	if (was && Date.now() - was.at < KEPT_MS) return was.value;
	const value = ask().catch(() => []);
	kept.set(key, { at: Date.now(), value });
	if (kept.size > 200) kept.delete(kept.keys().next().value!);
	return value;
}

export function labelNames(range: Range): Promise<string[]> {
	return once('names', async () => (await getJson<{ data?: string[] }>('/loki/api/v1/labels', { ...range })).data ?? []);
}

export function labelValues(name: string, range: Range, selector?: string): Promise<string[]> {
	return once(`values ${name} ${selector ?? ''}`, async () => {
		const a = await getJson<{ data?: string[] }>(`/loki/api/v1/label/${encodeURIComponent(name)}/values`, { ...range, query: selector });
		return (a.data ?? []).slice(0, 1000);
	});
}

export function fieldNames(query: string, range: Range): Promise<string[]> {
	return once(`fields ${query}`, async () => {
		const a = await getJson<{ fields?: { label: string }[] | null }>('/loki/api/v1/detected_fields', { query, ...range, line_limit: 200 });
		return (a.fields ?? []).map((f) => f.label);
	});
}
