/* Status: is it well, what comes in, what runs, what was refused, how it is configured, and how to send logs to it. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { cancelQuery, fetchAlerts, fetchConfig, fetchHealth, fetchMetrics, fetchQueries, fetchRefusals, type Alert, type Refusal, type RunningQuery, type Setting } from '../api/status';
import { formatBytes, formatCount, formatPercent } from '../model/format';
import { quantile, total, type Sample } from '../model/prometheus';
import { visible } from '../model/text';
import { SECOND, formatDuration, formatTime } from '../model/time';
import { zone } from '../settings';
import { SendLogs } from '../widgets/send_logs';
import { Sparkline } from '../widgets/sparkline';
import { toast } from '../widgets/toast';

const EVERY_MS = 3000;
const KEPT = 100;

interface Point {
	at: number; // ms
	bytes: number;
	entries: number;
	queries: number;
	memory: number;
	free: number;
}

function isQuery(s: Sample): boolean {
	return /query|entries|traces|context/.test(s.labels.route ?? '');
}

function point(m: Sample[]): Point {
	return {
		at: Date.now(),
		bytes: total(m, 'spoor_ingest_wire_bytes_total'),
		entries: total(m, 'spoor_store_appended_entries_total'),
		queries: m.filter((s) => s.name === 'loki_request_duration_seconds_count' && isQuery(s)).reduce((n, s) => n + s.value, 0),
		memory: total(m, 'process_resident_memory_bytes'),
		free: total(m, 'spoor_disk_free_bytes'),
	};
}

/** What of a counter came each second, between neighbours. */
function rates(p: Point[], f: (x: Point) => number): number[] {
	return p.slice(1).map((x, i) => Math.max(0, ((f(x) - f(p[i]!)) * 1000) / Math.max(1, x.at - p[i]!.at)));
}

interface Seen {
	metrics: Sample[];
	points: Point[];
	health: { ready: boolean; lines: string[] } | null;
	queries: RunningQuery[] | null;
	refusals: Refusal[];
	alerts: Alert[];
	error: string | null;
}

function useStatus(): Seen & { refresh: () => void } {
	const points = useRef<Point[]>([]);
	const ask = useRef(() => {});
	const [seen, setSeen] = useState<Seen>({ metrics: [], points: [], health: null, queries: null, refusals: [], alerts: [], error: null });

	useEffect(() => {
		const abort = new AbortController();
		const part = async <T,>(p: Promise<T>, errors: string[]): Promise<T | null> =>
			p.catch((e) => {
				if (!isAbort(e)) errors.push(errorText(e));
				return null;
			});
		ask.current = async () => {
			const errors: string[] = [];
			const [metrics, health, queries, refusals, alerts] = await Promise.all([
				part(fetchMetrics(abort.signal), errors),
				part(fetchHealth(abort.signal), errors),
				part(fetchQueries(abort.signal), errors),
				part(fetchRefusals(abort.signal), errors),
				part(fetchAlerts(abort.signal), errors),
			]);
			if (abort.signal.aborted) return;
			if (metrics !== null) points.current = [...points.current, point(metrics)].slice(-KEPT);
			setSeen({ metrics: metrics ?? [], points: points.current, health, queries, refusals: refusals ?? [], alerts: alerts ?? [], error: errors[0] ?? null });
		};
		ask.current();
		const timer = setInterval(() => document.hidden || ask.current(), EVERY_MS);
		return () => {
			clearInterval(timer);
			abort.abort();
		};
	}, []);
	return { ...seen, refresh: () => ask.current() };
}

function Tile({ title, value, note, children }: { title: string; value: string; note?: string; children?: ComponentChildren }) {
	return (
		<div class="tile">
			<h2>{title}</h2>
			<div class="tile-value">{value}</div>
			{note !== undefined && <div class="soft">{note}</div>}
			{children}
		</div>
	);
}

/* From what was written since the start: a forecast needs some hours to be worth anything. */
function forecast(m: Sample[]): string {
	const uptime = Date.now() / 1000 - total(m, 'process_start_time_seconds');
	const written = total(m, 'spoor_flushed_segment_bytes_total');
	const perDay = (written / Math.max(1, uptime)) * 86400;

	if (written === 0) return 'nothing written yet';
	const days = total(m, 'spoor_disk_free_bytes') / perDay;
	return `${formatBytes(perDay)} a day since the start; full in ${days > 3650 ? 'more than 10 years' : days < 2 ? `${Math.round(days * 24)} h` : `${Math.round(days)} days`}`;
}

function Tiles({ s }: { s: Seen }) {
	const m = s.metrics;
	const bytes = rates(s.points, (p) => p.bytes);
	const entries = rates(s.points, (p) => p.entries);
	const p99 = quantile(m.filter(isQuery), 'loki_request_duration_seconds', 0.99);
	const limit = total(m, 'spoor_memory_limit_bytes');

	return (
		<div class="tiles">
			<Tile title="Ingest" value={`${formatBytes(bytes.at(-1) ?? 0)}/s`} note={`${formatCount(entries.at(-1) ?? 0)} lines/s · ${formatCount(total(m, 'spoor_store_appended_entries_total'))} since the start`}>
				<Sparkline values={bytes} label="ingest rate" />
			</Tile>
			<Tile title="Requests" value={`${(rates(s.points, (p) => p.queries).at(-1) ?? 0).toFixed(1)} queries/s`} note={`${formatCount(total(m, 'spoor_queries_running'))} running, ${formatCount(total(m, 'spoor_queries_queued'))} waiting${p99 === null ? '' : ` · p99 ${Math.max(1, Math.round(p99 * 1000))} ms`}`}>
				<Sparkline values={rates(s.points, (p) => p.queries)} label="query rate" />
			</Tile>
			<Tile title="Memory" value={formatBytes(total(m, 'process_resident_memory_bytes'))} note={`${formatBytes(total(m, 'spoor_memory_bytes'))} accounted for${limit > 0 ? ` of ${formatBytes(limit)}` : ''}`}>
				<Sparkline values={s.points.map((p) => p.memory)} label="memory" />
			</Tile>
			<Tile title="Disk" value={`${formatBytes(total(m, 'spoor_disk_free_bytes'))} free`} note={forecast(m)}>
				<div class="tile-bar" role="img" aria-label={`${formatPercent(total(m, 'spoor_disk_size_bytes') - total(m, 'spoor_disk_free_bytes'), total(m, 'spoor_disk_size_bytes'))} of the disk used`}>
					<span style={{ width: `${100 - (100 * total(m, 'spoor_disk_free_bytes')) / Math.max(1, total(m, 'spoor_disk_size_bytes'))}%` }} />
				</div>
			</Tile>
		</div>
	);
}

function Queries({ list, refresh }: { list: RunningQuery[]; refresh: () => void }) {
	return (
		<section>
			<h2>Running queries</h2>
			{list.length === 0 && <p class="soft">None.</p>}
			{list.length > 0 && (
				<div class="scroll-x" tabIndex={0}>
					<table class="grid">
						<thead>
							<tr>
								<th>Query</th>
								<th>Tenant</th>
								<th class="number">For</th>
								<th>Cancel</th>
							</tr>
						</thead>
						<tbody>
							{list.map((q) => (
								<tr key={q.id}>
									<td>
										<code>{visible(q.query.slice(0, 300) || q.path)}</code>
									</td>
									<td>{visible(q.tenant)}</td>
									<td class="number">{formatDuration(BigInt(Math.round(q.seconds * 1000)) * (SECOND / 1000n))}</td>
									<td>
										<button
											class="button danger"
											onClick={() =>
												cancelQuery(q.id).then(
													() => (toast('Cancelled'), refresh()),
													(e) => toast(errorText(e), true),
												)
											}
										>
											Cancel
										</button>
									</td>
								</tr>
							))}
						</tbody>
					</table>
				</div>
			)}
		</section>
	);
}

function RefusalSample({ sample: x }: { sample: Refusal['samples'][number] }) {
	return (
		<dl class="refusal-sample">
			<dt>{formatTime(BigInt(x.time), zone.value)}</dt>
			<dd>
				{x.status} {visible(x.answer)}
			</dd>
			{x.stream !== '' && <dt>Stream</dt>}
			{x.stream !== '' && (
				<dd>
					<code>{visible(x.stream)}</code>
				</dd>
			)}
			{x.lineBytes > 0 && <dt>Line, {formatBytes(x.lineBytes)}</dt>}
			{x.lineBytes > 0 && (
				<dd>
					<code>{visible(x.line)}</code>
					{x.lineBytes > new Blob([x.line]).size && '…'}
				</dd>
			)}
		</dl>
	);
}

function Refusals({ list }: { list: Refusal[] }) {
	return (
		<section>
			<h2>Refused since the start</h2>
			{list.length === 0 && <p class="soft">Nothing was refused.</p>}
			{list.map((r) => (
				<details key={r.reason} class="refusal">
					<summary>
						<strong>{visible(r.reason.replace(/_/g, ' '))}</strong> {r.entries > 0 ? `${formatCount(r.entries)} ${r.entries === 1 ? 'line' : 'lines'} in ` : ''}
						{formatCount(r.pushes)} {r.pushes === 1 ? 'push' : 'pushes'}, last {formatTime(BigInt(r.last), zone.value, 0)}
					</summary>
					{r.samples.map((x) => (
						<RefusalSample key={x.time + x.line} sample={x} />
					))}
				</details>
			))}
		</section>
	);
}

function Config() {
	const [settings, setSettings] = useState<Setting[] | null>(null);
	const [error, setError] = useState<string | null>(null);
	const [find, setFind] = useState('');
	const [changed, setChanged] = useState(true);

	useEffect(() => {
		const abort = new AbortController();
		fetchConfig(abort.signal).then(setSettings, (e) => isAbort(e) || setError(errorText(e)));
		return () => abort.abort();
	}, []);
	const shown = (settings ?? []).filter((s) => (!changed || s.source !== 'default') && (s.name.includes(find) || s.value.includes(find)));

	return (
		<section>
			<h2>Configuration</h2>
			<div class="status-tools">
				<input type="search" aria-label="Find a setting" placeholder="Find a setting" value={find} onInput={(e) => setFind(e.currentTarget.value)} />
				<button class="button" aria-pressed={changed} onClick={() => setChanged(!changed)}>
					Only what is not default
				</button>
			</div>
			{error !== null && <p class="soft">{error}</p>}
			<div class="scroll-x" tabIndex={0}>
				<table class="grid">
					<thead>
						<tr>
							<th>Setting</th>
							<th>Value</th>
							<th>From</th>
						</tr>
					</thead>
					<tbody>
						{shown.map((s) => (
							<tr key={s.name}>
								<td>
									<code>{s.name}</code>
								</td>
								<td>
									<code>{visible(s.value)}</code>
								</td>
								<td class="soft">{visible(s.source)}</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
		</section>
	);
}

export function StatusPage() {
	const s = useStatus();
	const version = s.metrics.find((m) => m.name === 'spoor_build_info')?.labels.version ?? '';
	const start = total(s.metrics, 'process_start_time_seconds');
	const firing = s.alerts.filter((a) => a.state === 'firing');

	return (
		<div class="status">
			<header class="status-head">
				<h1>spoor {version}</h1>
				<span role="status">
					<span class={`live-dot ${s.health === null ? '' : s.health.ready ? 'connected' : 'failed'}`} aria-hidden="true" /> {s.health === null ? '…' : s.health.ready ? 'ready' : 'not ready'}
				</span>
				{start > 0 && <span class="soft">up {formatDuration(BigInt(Math.round(Date.now() / 1000 - start)) * SECOND)}</span>}
			</header>
			{s.error !== null && (
				<p class="error-text" role="alert">
					{s.error}
				</p>
			)}
			<Tiles s={s} />
			<div class="status-columns">
				<section>
					<h2>Health</h2>
					<ul class="picks">
						{(s.health?.lines ?? []).map((l) => (
							<li key={l}>{visible(l)}</li>
						))}
						<li>{formatCount(total(s.metrics, 'spoor_http_connections'))} connections</li>
						<li>{formatCount(total(s.metrics, 'spoor_tails'))} live tails</li>
						<li>
							merges: {formatCount(total(s.metrics, 'spoor_merges_total'))}, deletes under way: {formatCount(total(s.metrics, 'spoor_delete_requests_active'))}
						</li>
					</ul>
				</section>
				<Refusals list={s.refusals} />
				<section>
					<h2>Alerts</h2>
					{firing.length === 0 ? (
						<p class="soft">None is firing.</p>
					) : (
						<ul class="picks">
							{firing.map((a) => (
								<li key={JSON.stringify(a.labels)} class="error-text">
									{visible(a.labels.alertname ?? '')}
								</li>
							))}
						</ul>
					)}
				</section>
			</div>
			{s.queries !== null && <Queries list={s.queries} refresh={s.refresh} />}
			<Config />
			<SendLogs />
		</div>
	);
}
