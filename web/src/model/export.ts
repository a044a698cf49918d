/* Lines as files: text, JSON lines, CSV. */
import type { Entry } from '../api/types';
import { entryLevel } from './levels';
import { serviceOf } from './service';
import { rfc3339 } from './time';

export type ExportFormat = 'text' | 'jsonl' | 'csv';

/** RFC 4180; what a spreadsheet would take for a formula gets an apostrophe. */
export function csvCell(text: string): string {
	const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

export const HEADS: Record<ExportFormat, string> = { text: '', jsonl: '', csv: 'time,ts,level,service,labels,metadata,line\r\n' };
export const ENDINGS: Record<ExportFormat, string> = { text: 'txt', jsonl: 'jsonl', csv: 'csv' };

export function exportLine(e: Entry, format: ExportFormat): string {
	switch (format) {
		case 'text':
			return `${e.line}\n`;
		case 'jsonl':
			return `${JSON.stringify({ ts: e.ts, time: rfc3339(e.ts), labels: e.labels, metadata: e.metadata, parsed: e.parsed, line: e.line })}\n`;
		case 'csv':
			return `${[rfc3339(e.ts), e.ts, entryLevel(e), serviceOf(e.labels), JSON.stringify(e.labels), JSON.stringify(e.metadata), e.line].map(csvCell).join(',')}\r\n`;
	}
}
