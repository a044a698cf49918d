/* What the server answers; the paths are in docs/http-api.md. Times are decimal nanoseconds in text. */
export type Ns = string;
export type Labels = Record<string, string>;

export interface Entry {
	id: string;
	ts: Ns;
	line: string;
	labels: Labels; // of the stream
	metadata: Labels;
	parsed: Labels; // made by the query's pipeline
}

export interface Page {
	entries: Entry[];
	next: string | null; // cursor; null: the range is exhausted
	warnings: string[];
	stats: QueryStats;
}

export interface Context {
	query: string;
	start: Ns;
	end: Ns;
	entries: Entry[]; // ascending
	anchor: number | null;
	older: string | null;
	newer: string | null;
}

export interface QueryStats {
	summary?: { execTime?: number; totalBytesProcessed?: number; totalLinesProcessed?: number };
	work?: Record<string, number>;
}

export interface Series {
	metric: Labels;
	values: [number, string][]; // seconds
}

export type Direction = 'backward' | 'forward';

export interface Range {
	start: Ns;
	end: Ns; // exclusive
}

export interface TraceAnswer {
	trace_id: string;
	start: Ns | null;
	end: Ns | null;
	entries: { id?: string; ts: Ns; line: string; labels: Labels; metadata: Labels }[];
	more: boolean;
	first_error: number | null;
	trace_url: string | null;
	links?: { name: string; url: string }[];
}
