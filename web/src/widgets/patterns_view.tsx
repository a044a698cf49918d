/* What forms of lines there are, and how often: click one to see or to hide its lines. */
import { useEffect, useState } from 'preact/hooks';
import { ApiError, errorText, getJson, isAbort } from '../api/client';
import type { Range } from '../api/types';
import { barsPath } from '../model/buckets';
import { formatCount, formatPercent } from '../model/format';
import { levelOf } from '../model/levels';
import { patternLines, patternParts, selectorOf, sparkCounts, type Pattern } from '../model/patterns';

export interface PatternsViewProps {
	query: string; // a log query; patterns are those of its streams
	range: Range;
	onFilter(pattern: string, exclude: boolean): void;
}

interface Row {
	pattern: Pattern;
	lines: number;
}

const SPARKS = 40;
const SPARK_HEIGHT = 20;
const SHOWN = 100;

function usePatterns(selector: string | null, range: Range) {
	const [state, setState] = useState<{ rows: Row[] | null; loading: boolean; error: string | null }>({ rows: null, loading: true, error: null });

	useEffect(() => {
		if (selector === null) return setState({ rows: null, loading: false, error: 'Patterns need a query that begins with a stream selector.' });
		const abort = new AbortController();
		setState((s) => ({ ...s, loading: true, error: null }));
		getJson<{ data: Pattern[] | null }>('/loki/api/v1/patterns', { query: selector, start: range.start, end: range.end }, abort.signal).then(
			(a) => abort.signal.aborted || setState({ rows: (a.data ?? []).map((pattern) => ({ pattern, lines: patternLines(pattern) })).sort((x, y) => y.lines - x.lines), loading: false, error: null }),
			(e: unknown) => {
				if (isAbort(e) || abort.signal.aborted) return;
				setState({ rows: null, loading: false, error: e instanceof ApiError && e.status === 404 ? 'Patterns are not learned here (pattern_ingester_enabled).' : errorText(e) });
			},
		);
		return () => abort.abort();
	}, [selector, range.start, range.end]);
	return state;
}

function Spark({ pattern, range }: { pattern: Pattern; range: Range }) {
	const counts = sparkCounts(pattern.samples, Number(BigInt(range.start) / 1_000_000n) / 1000, Number(BigInt(range.end) / 1_000_000n) / 1000, SPARKS);

	return (
		<svg class={`pattern-spark fill-${levelOf(pattern.level)}`} viewBox={`0 0 ${SPARKS} ${SPARK_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
			<path d={barsPath(counts, counts.map(() => 0), Math.max(1, ...counts), SPARK_HEIGHT)} />
		</svg>
	);
}

function PatternRow({ row: { pattern, lines }, all, range, onFilter }: { row: Row; all: number; range: Range; onFilter: PatternsViewProps['onFilter'] }) {
	const level = levelOf(pattern.level);

	return (
		<li class="pattern">
			<span class="pattern-count">
				{formatCount(lines)} <span class="soft">{formatPercent(lines, all)}</span>
			</span>
			<span class={`pattern-level level-${level}`}>{level}</span>
			<Spark pattern={pattern} range={range} />
			<button class="pattern-text mono" title="Click: only these lines; Alt-click: without them" onClick={(e) => onFilter(pattern.pattern, e.altKey)}>
				{patternParts(pattern.pattern).map((p, i) =>
					p.hole ? (
						<i key={i} class="pattern-hole">
							{p.text}
						</i>
					) : (
						p.text
					),
				)}
			</button>
			<span class="pattern-signs">
				<button class="button quiet" aria-label="Only lines of this pattern" title="Only these" onClick={() => onFilter(pattern.pattern, false)}>
					+
				</button>
				<button class="button quiet" aria-label="Without lines of this pattern" title="Without these" onClick={() => onFilter(pattern.pattern, true)}>
					−
				</button>
			</span>
		</li>
	);
}

export function PatternsView({ query, range, onFilter }: PatternsViewProps) {
	const found = selectorOf(query);
	const { rows, loading, error } = usePatterns(found?.selector ?? null, range);
	const [find, setFind] = useState('');
	const [most, setMost] = useState(SHOWN);
	const wanted = find.toLowerCase();
	const all = (rows ?? []).reduce((n, r) => n + r.lines, 0);
	const kept = (rows ?? []).filter((r) => r.pattern.pattern.toLowerCase().includes(wanted) || r.pattern.level === wanted);

	return (
		<section class="patterns" aria-label="Patterns" aria-busy={loading}>
			<div class="patterns-head">
				<span role="status">{rows !== null && `${formatCount(kept.length)} patterns, ${formatCount(all)} lines`}</span>
				{found !== null && found.rest !== '' && <span class="soft">of all lines of the streams, before the query's filters</span>}
				<input type="search" value={find} onInput={(e) => setFind(e.currentTarget.value)} placeholder="find" aria-label="Find a pattern" />
			</div>
			{error !== null && (
				<p class="notice error-text" role="alert">
					{error}
				</p>
			)}
			{rows === null && error === null && <p class="notice">Reading …</p>}
			{rows?.length === 0 && <p class="notice">No patterns in this time. They are learned from lines as they arrive, and kept for two days.</p>}
			<ul class="patterns-list">
				{kept.slice(0, most).map((r) => (
					<PatternRow key={`${r.pattern.level} ${r.pattern.pattern}`} row={r} all={all} range={range} onFilter={onFilter} />
				))}
			</ul>
			{kept.length > most && (
				<button class="button" onClick={() => setMost(most + SHOWN)}>
					Show more
				</button>
			)}
		</section>
	);
}
