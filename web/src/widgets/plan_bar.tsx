/* Under the editor: what the query will touch before it runs, or where it is wrong. */
import { useEffect, useState } from 'preact/hooks';
import { ApiError, getJson, isAbort } from '../api/client';
import type { Range } from '../api/types';
import { formatBytes, formatCount } from '../model/format';
import { moveFiltersLeft } from '../model/logql';

interface Plan {
	index: string;
	reads_lines: boolean;
	streams: number;
	chunks: number;
	chunks_skipped: number;
	bytes: number;
	entries: number;
}

export interface PlanBarProps {
	query: string;
	range: Range;
	onError: (e: { offset: number | null; message: string } | null) => void;
	onFix: (query: string) => void;
}

function describe(plan: Plan[]): string {
	const sum = (f: (p: Plan) => number) => plan.reduce((n, p) => n + f(p), 0);
	const index = [...new Set(plan.map((p) => p.index))].join(', ');
	const left = sum((p) => p.chunks);
	const skipped = sum((p) => p.chunks_skipped);
	return `${formatCount(sum((p) => p.streams))} streams · index: ${index} · ${formatCount(left)} of ${formatCount(left + skipped)} chunks · at most ${formatBytes(sum((p) => p.bytes))}, ${formatCount(sum((p) => p.entries))} lines`;
}

export function PlanBar({ query, range, onError, onFix }: PlanBarProps) {
	const [text, setText] = useState('');
	const [error, setError] = useState<string | null>(null);
	const fixed = moveFiltersLeft(query);

	useEffect(() => {
		const abort = new AbortController();
		const wait = setTimeout(async () => {
			try {
				const a = await getJson<{ data: { plan: Plan[] } }>('/api/v1/parse', { query, ...range }, abort.signal);
				setText(describe(a.data.plan ?? []));
				setError(null);
				onError(null);
			} catch (e) {
				if (isAbort(e)) return;
				const message = e instanceof Error ? e.message : String(e);
				setError(message);
				onError({ offset: e instanceof ApiError ? e.offset : null, message });
			}
		}, 250);
		return () => {
			clearTimeout(wait);
			abort.abort();
		};
	}, [query, range.start, range.end]);

	return (
		<div class="plan-bar" aria-live="polite">
			{error !== null ? <span class="error-text">⚠ {error}</span> : <span class="soft">{text}</span>}
			{fixed !== null && error === null && (
				<button class="show-all" title="A line filter behind a parser cannot use the index" onClick={() => onFix(fixed)}>
					move the line filter to the left
				</button>
			)}
		</div>
	);
}
