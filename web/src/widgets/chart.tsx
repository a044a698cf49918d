/* A metric query over time: lines, and a legend with their values. A click on a point asks for the lines of the log behind it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { errorText, getJson, isAbort } from '../api/client';
import type { Labels, Ns, Range, Series } from '../api/types';
import { answerNs, niceStep } from '../model/buckets';
import { formatCount } from '../model/format';
import { columns, formatValue, largest, seriesName, timesOf } from '../model/series';
import { formatTime, logqlDuration } from '../model/time';
import { theme, zone } from '../settings';
import type { Plot } from './chart_plot';

export interface ChartProps {
	query: string; // a metric query
	range: Range;
	onPoint(labels: Labels, ts: Ns, step: Ns): void;
	onZoom?(range: Range): void; // a drag across the chart
}

interface Answer {
	series: Series[]; // those drawn
	all: number;
	step: bigint;
	times: number[];
	columns: (number | null)[][];
}

const POINTS = 240;
const MOST_SERIES = 50;
const COLOURS = 8;
const HEIGHT = 300;

async function ask(query: string, range: Range, abort: AbortSignal): Promise<Answer> {
	const step = niceStep(BigInt(range.end) - BigInt(range.start), POINTS);
	const start = BigInt(range.start) - (BigInt(range.start) % step) + step;
	const end = BigInt(range.end);
	const a = await getJson<{ data: { resultType: string; result: Series[] } }>('/loki/api/v1/query_range', { query, start: (start > end ? end : start).toString(), end: end.toString(), step: logqlDuration(step) }, abort);
	const series = largest(a.data.result, MOST_SERIES);
	const times = timesOf(series, Number(step) / 1e9);
	return { series, all: a.data.result.length, step, times, columns: columns(series, times) };
}

function useAnswer(query: string, range: Range) {
	const [state, setState] = useState<{ answer: Answer | null; loading: boolean; error: string | null }>({ answer: null, loading: true, error: null });

	useEffect(() => {
		const abort = new AbortController();
		setState((s) => ({ ...s, loading: true, error: null }));
		ask(query, range, abort.signal).then(
			(answer) => abort.signal.aborted || setState({ answer, loading: false, error: null }),
			(e: unknown) => isAbort(e) || abort.signal.aborted || setState({ answer: null, loading: false, error: errorText(e) }),
		);
		return () => abort.abort();
	}, [query, range.start, range.end]);
	return state;
}

/** uPlot's canvas; made anew for other data, another theme, another zone. */
function Canvas({ answer, hidden, props, onCursor }: { answer: Answer; hidden: Set<number>; props: ChartProps; onCursor: (index: number | null) => void }) {
	const box = useRef<HTMLDivElement>(null);
	const plot = useRef<Plot | null>(null);
	const latest = useRef(props);
	const [error, setError] = useState(false);

	latest.current = props;
	useEffect(() => {
		let gone = false;
		const el = box.current!;
		const watcher = new ResizeObserver(() => plot.current?.resize(el.clientWidth));
		const point = (s: number, i: number) => latest.current.onPoint(answer.series[s]!.metric, answerNs(answer.times[i]!).toString(), answer.step.toString());
		import('./chart_plot').then(
			({ drawPlot }) => {
				if (gone) return;
				const data = {
					names: answer.series.map((s) => seriesName(s.metric)),
					colours: answer.series.map((_, i) => `--series-${i % COLOURS}`),
					dashed: answer.series.map((_, i) => i >= COLOURS),
					times: answer.times,
					columns: answer.columns,
				};
				plot.current = drawPlot(el, data, HEIGHT, zone.value, {
					onCursor,
					onClick: point,
					onSelect: (from, to) => latest.current.onZoom?.({ start: answerNs(from).toString(), end: answerNs(to).toString() }),
				});
				for (const i of hidden) plot.current.show(i, false);
				watcher.observe(el);
			},
			() => gone || setError(true),
		);
		return () => {
			gone = true;
			watcher.disconnect();
			plot.current?.destroy();
			plot.current = null;
		};
	}, [answer, theme.value, zone.value]);
	useEffect(() => {
		answer.series.forEach((_, i) => plot.current?.show(i, !hidden.has(i)));
	}, [hidden]);
	if (error)
		return (
			<p class="error-text" role="alert">
				The chart could not be loaded. Reload to try again.
			</p>
		);
	return <div class="chart-canvas" ref={box} role="img" aria-label={`Chart of ${answer.series.length} series; their values are in the table below`} />;
}

function Legend({ answer, hidden, onHidden, cursor, onPoint }: { answer: Answer; hidden: Set<number>; onHidden: (h: Set<number>) => void; cursor: number | null; onPoint: ChartProps['onPoint'] }) {
	const toggle = (i: number, alone: boolean) => {
		const others = answer.series.map((_, k) => k).filter((k) => k !== i);
		if (alone) return onHidden(others.every((k) => hidden.has(k)) ? new Set() : new Set(others));
		const next = new Set(hidden);
		if (!next.delete(i)) next.add(i);
		onHidden(next);
	};
	const at = cursor ?? answer.times.length - 1;
	return (
		<table class="grid chart-legend">
			<thead>
				<tr>
					<th scope="col">Series</th>
					<th scope="col" class="number">
						{cursor === null ? 'Last' : formatTime(answerNs(answer.times[at]!), zone.value, 0)}
					</th>
					<th scope="col" class="number">
						Mean
					</th>
					<th scope="col" class="number">
						Highest
					</th>
					<th scope="col">
						<span class="visually-hidden">Log lines</span>
					</th>
				</tr>
			</thead>
			<tbody>
				{answer.series.map((s, i) => {
					const values = answer.columns[i]!.filter((v): v is number => v !== null);
					const name = seriesName(s.metric);
					return (
						<tr key={name}>
							<td>
								<button class="chart-series" aria-pressed={!hidden.has(i)} title="Show or hide; Alt: only this one" onClick={(e) => toggle(i, e.altKey)}>
									<i class={`series-${i % COLOURS} ${i >= COLOURS ? 'dashed' : ''}`} aria-hidden="true" />
									<span class="mono">{name}</span>
								</button>
							</td>
							<td class="number">{formatValue(answer.columns[i]![at])}</td>
							<td class="number">{formatValue(values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length)}</td>
							<td class="number">{formatValue(values.reduce<number | null>((a, b) => (a === null || b > a ? b : a), null))}</td>
							<td>
								<button class="button quiet chart-lines" aria-label={`Log lines of ${name} at its last point`} title="Log lines at the last point" onClick={() => onPoint(s.metric, answerNs(s.values[s.values.length - 1]![0]).toString(), answer.step.toString())}>
									≡
								</button>
							</td>
						</tr>
					);
				})}
			</tbody>
		</table>
	);
}

export function Chart(props: ChartProps) {
	const { answer, loading, error } = useAnswer(props.query, props.range);
	const [hidden, setHidden] = useState<Set<number>>(new Set());
	const [cursor, setCursor] = useState<number | null>(null);

	useEffect(() => {
		setHidden(new Set());
		setCursor(null);
	}, [answer]);
	return (
		<div class="chart" aria-busy={loading}>
			{error !== null ? (
				<p class="notice error-text" role="alert">
					{error}
				</p>
			) : answer === null ? (
				<p class="notice">Reading …</p>
			) : answer.series.length === 0 ? (
				<p class="notice">No values in this time.</p>
			) : (
				<>
					<Canvas answer={answer} hidden={hidden} props={props} onCursor={setCursor} />
					<p class="chart-note soft">
						A point each {logqlDuration(answer.step)}
						{answer.all > answer.series.length && ` · the ${MOST_SERIES} largest of ${formatCount(answer.all)} series are drawn`}
					</p>
					<div class="chart-scroll">
						<Legend answer={answer} hidden={hidden} onHidden={setHidden} cursor={cursor} onPoint={props.onPoint} />
					</div>
				</>
			)}
		</div>
	);
}
