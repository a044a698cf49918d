/* Downloads all lines of a query, page by page, without a limit of their number. Where the browser can write to a file
 * while it reads, memory stays small. */
import { ENDINGS, HEADS, exportLine, type ExportFormat } from '../model/export';
import { fetchPage } from './entries';
import type { Direction, Range } from './types';

interface Sink {
	write: (text: string) => Promise<void>;
	close: () => Promise<void>;
}

type Picker = (o: { suggestedName: string }) => Promise<{ createWritable: () => Promise<{ write: (t: string) => Promise<void>; close: () => Promise<void> }> }>;

async function sink(name: string): Promise<Sink> {
	const picker = (window as unknown as { showSaveFilePicker?: Picker }).showSaveFilePicker;
	if (picker !== undefined && !navigator.webdriver) return await (await picker({ suggestedName: name })).createWritable();
	let blob = new Blob([]);
	return {
		write: async (text) => {
			blob = new Blob([blob, text]); // the browser may keep it on disk
		},
		close: async () => {
			const a = document.createElement('a');
			a.href = URL.createObjectURL(blob);
			a.download = name;
			a.click();
			setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
		},
	};
}

export async function download(query: string, range: Range, direction: Direction, format: ExportFormat, onProgress: (lines: number) => void, abort: AbortSignal): Promise<number> {
	const out = await sink(`spoor-${new Date().toISOString().slice(0, 19).replace(/:/g, '')}.${ENDINGS[format]}`);
	let cursor: string | null = null;
	let n = 0;

	await out.write(HEADS[format]);
	do {
		const p: Awaited<ReturnType<typeof fetchPage>> = await fetchPage({ query, ...range, direction, limit: 2000, cursor }, abort);
		await out.write(p.entries.map((e) => exportLine(e, format)).join(''));
		n += p.entries.length;
		onProgress(n);
		cursor = p.next;
	} while (cursor !== null);
	await out.close();
	return n;
}
