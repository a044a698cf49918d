/* Lines: pages of a query's result, and the surroundings of a line. */
import { getJson } from './client';
import type { Context, Direction, Entry, Labels, Page, Range } from './types';

interface RawEntry {
	id: string;
	stream: number;
	ts: string;
	line: string;
	metadata: Labels;
	parsed: Labels;
}

function entriesOf(streams: Labels[], raw: RawEntry[]): Entry[] {
	return raw.map((e) => ({ id: e.id, ts: e.ts, line: e.line, labels: streams[e.stream] ?? {}, metadata: e.metadata ?? {}, parsed: e.parsed ?? {} }));
}

export interface PageRequest extends Range {
	query: string;
	direction: Direction;
	limit: number;
	cursor?: string | null;
}

export async function fetchPage(r: PageRequest, abort?: AbortSignal): Promise<Page> {
	const a = await getJson<Omit<Page, 'entries'> & { streams: Labels[]; entries: RawEntry[] }>('/api/v1/entries', { ...r }, abort);
	return { ...a, warnings: a.warnings ?? [], entries: entriesOf(a.streams, a.entries) };
}

export type Scope = 'source' | 'service' | 'all';

export interface ContextRequest {
	stream: string; // a selector
	ts: string;
	id?: string;
	scope: Scope;
	pipeline?: string;
	before?: number;
	after?: number;
}

export async function fetchContext(r: ContextRequest, abort?: AbortSignal): Promise<Context> {
	const a = await getJson<Omit<Context, 'entries'> & { streams: Labels[]; entries: RawEntry[] }>('/api/v1/context', { ...r }, abort);
	return { ...a, entries: entriesOf(a.streams, a.entries) };
}
