/* Lines that say again what the one before them said, told once and counted. */
import type { Entry } from '../api/types';
import { serviceOf } from './service';

export const REPEATS = ['all', 'equal', 'numbers'] as const;
export type Repeats = (typeof REPEATS)[number];

/** What two lines have in common when they count as one. Numbers: also ids, addresses and times. */
function sameness(e: Entry, how: Repeats): string {
	const line = how === 'numbers' ? e.line.replace(/\b(?:0x)?[0-9a-f]*\d[0-9a-f]*/gi, '#') : e.line;
	return `${serviceOf(e.labels)}\n${line}`;
}

/** In the given order; a line named by `keep` always stands for itself. */
export function once(entries: Entry[], how: Repeats, keep?: string): { entry: Entry; times: number }[] {
	const out: { entry: Entry; times: number }[] = [];
	let before: string | null = null;

	for (const entry of entries) {
		const same = how === 'all' ? null : sameness(entry, how);
		if (same !== null && same === before && entry.id !== keep && out.at(-1)!.entry.id !== keep) out.at(-1)!.times++;
		else out.push({ entry, times: 1 });
		before = same;
	}
	return out;
}
