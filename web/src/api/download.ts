/* Downloads all lines of a query, which the server streams. Where the browser can write to a file while it reads, memory
 * stays small. */
import { request } from './client';
import type { Direction, Range } from './types';

export type ExportFormat = 'text' | 'jsonl' | 'csv';

const ENDINGS: Record<ExportFormat, string> = { text: 'txt', jsonl: 'jsonl', csv: 'csv' };

type Picker = (o: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream<Uint8Array>> }>;

function counted(body: ReadableStream<Uint8Array>, onBytes: (all: number) => void): ReadableStream<Uint8Array> {
	let n = 0;
	return body.pipeThrough(
		new TransformStream<Uint8Array, Uint8Array>({
			transform(chunk, to) {
				onBytes((n += chunk.length));
				to.enqueue(chunk);
			},
		}),
	);
}

function save(blob: Blob, name: string): void {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(blob);
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}

/** Throws where the answer breaks off: then there is no file, or one that the browser has thrown away. */
export async function download(query: string, range: Range, direction: Direction, format: ExportFormat, onBytes: (all: number) => void, abort: AbortSignal): Promise<void> {
	const name = `spoor-${new Date().toISOString().slice(0, 19).replace(/:/g, '')}.${ENDINGS[format]}`;
	const picker = (window as unknown as { showSaveFilePicker?: Picker }).showSaveFilePicker;
	const file = picker !== undefined && !navigator.webdriver ? await (await picker({ suggestedName: name })).createWritable() : null;

	try {
		const answer = await request('/api/v1/export', { query, ...range, direction, format }, { signal: abort });
		const body = counted(answer.body!, onBytes);
		if (file === null) save(await new Response(body).blob(), name);
		else await body.pipeTo(file);
	} catch (e) {
		await file?.abort().catch(() => undefined);
		throw e;
	}
}
