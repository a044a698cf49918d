/* The live tail: server-sent events read with fetch, so that tenant and token can be sent. A broken connection goes on
 * with the last id; the server repeats what came meanwhile. */
import { EventParser } from '../model/events';
import { ApiError, errorText, isAbort, request } from './client';
import type { Entry, Labels } from './types';

interface Frame {
	streams?: { stream: Labels; values: [string, string, { structuredMetadata?: Labels; parsed?: Labels }?][] }[];
	dropped_count?: number;
	error?: string;
}

export interface TailHandlers {
	onEntries: (e: Entry[]) => void;
	onDropped: (n: number) => void;
	onState: (s: 'connecting' | 'connected' | 'waiting' | 'failed', why?: string) => void;
}

let number = 0;

function entriesOf(f: Frame): Entry[] {
	return (f.streams ?? []).flatMap((s) => s.values.map(([ts, line, more]) => ({ id: `live-${number++}`, ts, line, labels: s.stream, metadata: more?.structuredMetadata ?? {}, parsed: more?.parsed ?? {} })));
}

export class Tail {
	private abort: AbortController | null = null;
	private cursor: string | null = null;
	private tries = 0;
	private timer = 0;

	constructor(
		private readonly query: string,
		private readonly on: TailHandlers,
		private readonly older = 100,
	) {}

	/** Where the tail stands; a Tail with it goes on there. */
	get position(): string | null {
		return this.cursor;
	}

	start(): void {
		this.stop();
		void this.read();
	}

	stop(): void {
		clearTimeout(this.timer);
		this.abort?.abort();
		this.abort = null;
	}

	private async read(): Promise<void> {
		const abort = new AbortController();
		this.abort = abort;
		this.on.onState('connecting');
		try {
			const r = await request('/api/v1/tail', { query: this.query, categorize: true, limit: this.older, cursor: this.cursor }, { signal: abort.signal, cache: 'no-store' });
			this.on.onState('connected');
			await this.events(r.body!.getReader());
		} catch (e) {
			if (isAbort(e) || abort.signal.aborted) return;
			if (e instanceof ApiError && e.status >= 400 && e.status < 500 && e.status !== 429) {
				this.on.onState('failed', e.message);
				return;
			}
			this.on.onState('waiting', errorText(e));
		}
		if (abort.signal.aborted) return;
		this.timer = window.setTimeout(() => void this.read(), Math.min(15_000, 500 * 2 ** this.tries++));
	}

	private async events(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
		const text = new TextDecoder();
		const parser = new EventParser();
		for (;;) {
			const { value, done } = await reader.read();
			if (done) return;
			for (const e of parser.feed(text.decode(value, { stream: true }))) {
				const f = (e.data === '' ? {} : JSON.parse(e.data)) as Frame;
				if (e.type === 'failed') throw new ApiError(0, f.error ?? 'the tail failed');
				const entries = entriesOf(f);
				if (entries.length > 0) this.on.onEntries(entries);
				if ((f.dropped_count ?? 0) > 0) this.on.onDropped(f.dropped_count!);
				if (e.id !== null) this.cursor = e.id;
				this.tries = 0;
			}
		}
	}
}
