/* Explore: a query, a time, and what they find, as lines, table, patterns or chart. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Scope } from '../api/entries';
import type { Entry, Page, Range } from '../api/types';
import { useKeys } from '../keys';
import { formatBytes, formatCount } from '../model/format';
import type { Level } from '../model/levels';
import { addFilter, addLineFilter, addPatternFilter, isMetric, levelsOf, logPart, needles, rangeOf, setLevels, type FieldFilter } from '../model/logql';
import { REPEATS, type Repeats } from '../model/repeats';
import { nowNs, resolve } from '../model/time';
import { href, location, navigate } from '../router';
import { Chart } from '../widgets/chart';
import { ContextView } from '../widgets/context_view';
import { QueryEditor } from '../widgets/editor';
import { FieldsPanel } from '../widgets/fields_panel';
import { Histogram } from '../widgets/histogram';
import { ListOptions } from '../widgets/list_options';
import { LogList } from '../widgets/log_list';
import { PatternsView } from '../widgets/patterns_view';
import { PlanBar } from '../widgets/plan_bar';
import { QueryMenu } from '../widgets/query_menu';
import { SendLogs, useHasLogs } from '../widgets/send_logs';
import { TimePicker } from '../widgets/time_picker';
import { TraceDrawer } from '../widgets/trace_drawer';
import { absolute, addressOf, stateOf, type ExploreState, type View } from './explore_state';

const VIEW_NAMES: Record<View, string> = { logs: 'Logs', table: 'Table', patterns: 'Patterns', chart: 'Chart' };

const REPEAT_NAMES: Record<Repeats, string> = { all: 'All lines', equal: 'Merge equal', numbers: 'Merge similar' };

interface Found {
	loading: boolean;
	error: string | null;
	complete: boolean;
	loaded: number;
	page: Page | null;
}

const NOTHING: Found = { loading: false, error: null, complete: false, loaded: 0, page: null };

/** 35 ms · 18 MB of 41 chunks · 200 lines, more below */
function Summary({ found }: { found: Found }) {
	const stats = found.page?.stats.summary;
	const work = found.page?.stats.work;

	return (
		<span class="explore-summary" role="status">
			{found.loading ? (
				<>
					<span class="spinner" aria-hidden="true" /> reading …
				</>
			) : (
				<>
					{formatCount(found.loaded)} lines{found.complete ? ', complete' : ' so far'}
					{stats !== undefined && (
						<span class="soft">
							{' · '}
							{Math.max(1, Math.round((stats.execTime ?? 0) * 1000))} ms · {formatBytes(stats.totalBytesProcessed ?? 0)} looked at
							{work?.chunksRead !== undefined && ` in ${formatCount(work.chunksRead)} of ${formatCount(work.chunksConsidered ?? 0)} chunks`}
						</span>
					)}
				</>
			)}
			{(found.page?.warnings ?? []).map((w) => (
				<span key={w} class="explore-warning">
					⚠ {w}
				</span>
			))}
		</span>
	);
}

function Views({ view, metric, onView }: { view: View; metric: boolean; onView: (v: View) => void }) {
	const shown: View[] = metric ? ['chart'] : ['logs', 'table', 'patterns'];

	return (
		<div class="explore-views" role="group" aria-label="View">
			{shown.map((v) => (
				<button key={v} class="button quiet" aria-pressed={v === view} onClick={() => onView(v)}>
					{VIEW_NAMES[v]}
				</button>
			))}
		</div>
	);
}

function ColumnsField({ columns, onColumns }: { columns: string[]; onColumns: (c: string[]) => void }) {
	return (
		<form
			class="explore-columns"
			onSubmit={(e) => {
				e.preventDefault();
				const text = new FormData(e.currentTarget).get('columns');
				onColumns(String(text ?? '').split(/[\s,]+/).filter((c) => c !== ''));
			}}
		>
			<label>
				Columns <input name="columns" key={columns.join()} defaultValue={columns.join(', ')} placeholder="app, level, status" />
			</label>
			<button class="button">Show</button>
		</form>
	);
}

/** The columns of a table when none were chosen. */
const DEFAULT_COLUMNS = ['detected_level', 'service_name', 'line'];

function Lines({ state, range, runId, go, onFound }: { state: ExploreState; range: Range; runId: number; go: (s: ExploreState) => void; onFound: (f: (was: Found) => Found) => void }) {
	const [context, setContext] = useState<{ entry: Entry; scope: Scope } | null>(null);
	const [trace, setTrace] = useState<string | null>(null);
	const table = state.view === 'table';
	const columns = table ? (state.columns.length > 0 ? state.columns : DEFAULT_COLUMNS) : [];

	return (
		<>
			{table && <ColumnsField columns={columns} onColumns={(c) => go({ ...state, columns: c })} />}
			<LogList
				query={state.query}
				range={range}
				direction={state.direction}
				runId={runId}
				anchor={state.anchor}
				columns={columns}
				highlight={needles(state.query)}
				repeats={state.repeats}
				emptyText="No lines here. Widen the time, or take a filter away."
				onFilter={(f) => go({ ...state, query: addFilter(state.query, f), anchor: null })}
				onText={(text, how) => go({ ...state, query: addLineFilter(state.query, text, how === 'exclude'), anchor: null })}
				onTrace={(id, e, full) => (full ? navigate(href(`trace/${encodeURIComponent(id)}`, { span: e.metadata.span_id })) : setTrace(id))}
				onContext={(entry, scope) => setContext({ entry, scope })}
				permalink={(e) => addressOf({ ...state, spec: absolute(range) }, e.id)}
				onPage={(page, loaded) => onFound((was) => ({ ...was, page, loaded }))}
				onState={(s) => onFound((was) => ({ ...was, ...s }))}
			/>
			{context !== null && (
				<ContextView
					entry={context.entry}
					scope={context.scope}
					onClose={() => setContext(null)}
					onTrace={(id) => {
						setContext(null);
						setTrace(id);
					}}
				/>
			)}
			{trace !== null && <TraceDrawer traceId={trace} onClose={() => setTrace(null)} />}
		</>
	);
}

function Explore() {
	const state = useMemo(() => stateOf(location.value), [location.value]);
	const [draft, setDraft] = useState(state.query);
	const [error, setError] = useState<{ offset: number | null; message: string } | null>(null);
	const [runId, setRunId] = useState(0);
	const [found, setFound] = useState<Found>(NOTHING);
	const [panel, setPanel] = useState(window.innerWidth > 900);
	const range = useMemo(() => resolve(state.spec, nowNs())!, [state.spec.from, state.spec.to, runId]);
	const metric = isMetric(state.query);
	const lines = logPart(state.query);
	const editor = useRef<HTMLDivElement>(null);

	useEffect(() => setDraft(state.query), [state.query]);

	const go = (s: ExploreState) => {
		const to = addressOf(s, s.anchor?.id);
		if (to === window.location.pathname + window.location.search + window.location.hash) setRunId(runId + 1);
		else {
			navigate(to);
			setRunId(runId + 1);
		}
	};
	const filter = (f: FieldFilter) => go({ ...state, query: addFilter(state.query, f), anchor: null });
	const run = () => go({ ...state, query: draft.trim() === '' ? state.query : draft.trim(), anchor: null });
	const zoom = (r: Range) => go({ ...state, spec: absolute(r), anchor: null });

	useKeys(
		[
			{ key: '/', what: 'go to the query', run: () => editor.current?.querySelector<HTMLElement>('textarea, .query-editor-host')?.focus() },
			{ key: 'Enter', always: true, what: 'run the query', run },
			{ key: 'l', what: 'live', run: () => navigate(href('live', { q: lines ?? undefined })) },
		],
		[draft, location.value, runId],
	);

	return (
		<div class="explore">
			<h1 class="visually-hidden">Explore</h1>
			<div class="explore-bar">
				<div class="explore-editor" ref={editor}>
					<QueryEditor value={draft} onChange={(t) => (setDraft(t), setError(null))} onRun={run} range={range} error={error} />
				</div>
				<div class="explore-actions">
					<TimePicker spec={state.spec} onChange={(spec) => go({ ...state, spec, anchor: null })} />
					<button class="button primary" onClick={run}>
						Run
					</button>
					{lines !== null && (
						<a class="button" href={href('live', { q: lines })}>
							Live
						</a>
					)}
					<QueryMenu query={state.query} range={range} spec={state.spec} direction={state.direction} permalink={addressOf({ ...state, spec: absolute(range) })} onPick={(query) => go({ ...state, query, anchor: null })} />
				</div>
			</div>
			<PlanBar query={draft} range={range} onError={setError} onFix={(query) => go({ ...state, query, anchor: null })} />
			<div class={panel ? 'explore-body with-panel' : 'explore-body'}>
				{lines !== null && panel && (
					<aside class="explore-panel" aria-label="Fields">
						<FieldsPanel query={lines} range={range} runId={runId} onFilter={filter} />
					</aside>
				)}
				<section class="explore-result" aria-label="Result">
					{lines !== null && !metric && (
						<Histogram
							query={setLevels(lines, null)}
							range={range}
							runId={runId}
							onZoom={zoom}
							levels={levelsOf(state.query)}
							onLevels={(levels: Level[] | null) => go({ ...state, query: setLevels(state.query, levels), anchor: null })}
						/>
					)}
					<div class="explore-strip">
						<button class="button quiet" aria-pressed={panel} onClick={() => setPanel(!panel)}>
							Fields
						</button>
						<Views view={state.view} metric={metric} onView={(view) => go({ ...state, view })} />
						{state.view !== 'chart' && state.view !== 'patterns' && (
							<>
								<ListOptions />
								<button class="button quiet" onClick={() => go({ ...state, direction: state.direction === 'backward' ? 'forward' : 'backward', anchor: null })}>
									{state.direction === 'backward' ? 'Newest first' : 'Oldest first'}
								</button>
								<select class="button quiet" aria-label="Lines that repeat the one before" value={state.repeats} onChange={(e) => go({ ...state, repeats: e.currentTarget.value as Repeats })}>
									{REPEATS.map((r) => (
										<option key={r} value={r}>
											{REPEAT_NAMES[r]}
										</option>
									))}
								</select>
								<Summary found={found} />
							</>
						)}
					</div>
					{state.view === 'chart' ? (
						<Chart query={state.query} range={range} onZoom={zoom} onPoint={(labels, ts, step) => lines !== null && go(pointState(state, lines, labels, ts, step))} />
					) : state.view === 'patterns' ? (
						<PatternsView query={lines!} range={range} onFilter={(pattern, exclude) => go({ ...state, query: addPatternFilter(state.query, pattern, exclude), view: 'logs', anchor: null })} />
					) : (
						<Lines state={state} range={range} runId={runId} go={go} onFound={setFound} />
					)}
				</section>
			</div>
		</div>
	);
}

/** The lines behind a point of a chart. */
function pointState(s: ExploreState, lines: string, labels: Record<string, string>, ts: string, step: string): ExploreState {
	const query = Object.entries(labels).reduce((q, [name, value]) => addFilter(q, { origin: 'parsed', name, value, exclude: false }), lines);
	const of = rangeOf(s.query) ?? { width: BigInt(step), offset: 0n };
	const end = BigInt(ts) - of.offset + 1n;

	return { ...s, query, view: 'logs', anchor: null, spec: { from: (end - of.width).toString(), to: end.toString() } };
}

export function ExplorePage() {
	const has = useHasLogs();

	if (has === false) return <SendLogs first />;
	return <Explore />;
}
