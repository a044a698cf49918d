/* How the server is: its metrics, what it runs, its configuration, in the forms that operators' tools read too. */
import { parseMetrics, type Sample } from '../model/prometheus';
import { getJson, request } from './client';

export interface RunningQuery {
	id: string;
	tenant: string;
	query: string;
	path: string;
	user: string;
	started: string;
	seconds: number;
}

export async function fetchMetrics(abort: AbortSignal): Promise<Sample[]> {
	return parseMetrics(await (await request('/metrics', {}, { signal: abort })).text());
}

export async function fetchHealth(abort: AbortSignal): Promise<{ ready: boolean; lines: string[] }> {
	const r = await fetch('/ready?verbose', { signal: abort });
	return { ready: r.ok, lines: (await r.text()).trim().split('\n') };
}

export async function fetchQueries(abort: AbortSignal): Promise<RunningQuery[]> {
	return (await getJson<{ queries: RunningQuery[] }>('/api/v1/queries', {}, abort)).queries;
}

export async function cancelQuery(id: string): Promise<void> {
	await request(`/api/v1/queries/${encodeURIComponent(id)}`, {}, { method: 'DELETE' });
}

export interface Refusal {
	reason: string;
	entries: number;
	pushes: number;
	first: string; // ns
	last: string;
	samples: { time: string; status: number; answer: string; stream: string; line: string; lineBytes: number }[];
}

export async function fetchRefusals(abort: AbortSignal): Promise<Refusal[]> {
	return (await getJson<{ refusals: Refusal[] }>('/api/v1/refusals', {}, abort)).refusals;
}

export interface Setting {
	section: string;
	name: string;
	value: string;
	source: string; // default, command line, or a file and line
}

/** /config is YAML, a setting in a line, with where its value comes from behind it. */
export function parseConfig(yaml: string): Setting[] {
	const out: Setting[] = [];
	let section = '';
	for (const line of yaml.split('\n')) {
		const head = /^# (.+)$/.exec(line);
		const m = /^(\w+): (.*?)\s+# ([^#]*)$/.exec(line);
		if (head) section = head[1]!;
		else if (m) out.push({ section, name: m[1]!, value: m[2]!, source: m[3]! });
	}
	return out;
}

export async function fetchConfig(abort: AbortSignal): Promise<Setting[]> {
	return parseConfig(await (await request('/config', {}, { signal: abort })).text());
}

export interface Alert {
	labels: Record<string, string>;
	state: string;
	activeAt?: string;
}

export async function fetchAlerts(abort: AbortSignal): Promise<Alert[]> {
	return (await getJson<{ data: { alerts: Alert[] } }>('/prometheus/api/v1/alerts', {}, abort)).data.alerts;
}
