/* Streams: which labels there are, what each value weighs, and what can be done with it. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { countLines, deleteLines, fetchCounts, fetchDeletes, fetchEnds, fetchLabels, fetchVolumes, type DeleteRequest, type LabelCount, type LabelsAnswer } from '../api/streams';
import { fetchFields } from '../api/fields';
import type { Range } from '../api/types';
import { formatBytes, formatCount, formatPercent } from '../model/format';
import { selectorFor } from '../model/logql';
import { visible } from '../model/text';
import { formatTime, nowNs, resolve, type TimeSpec } from '../model/time';
import { href, location, navigate } from '../router';
import { zone } from '../settings';
import { Dialog } from '../widgets/dialog';
import { Sparkline } from '../widgets/sparkline';
import { TimePicker } from '../widgets/time_picker';
import { toast } from '../widgets/toast';

const MANY_VALUES = 1000; // a label with more makes too many streams
const FIELDS_SHOWN = 12;

function useAsked<T>(ask: ((abort: AbortSignal) => Promise<T>) | null, deps: unknown[]): { value: T | null; error: string | null } {
	const [state, setState] = useState<{ value: T | null; error: string | null }>({ value: null, error: null });

	useEffect(() => {
		const abort = new AbortController();
		setState({ value: null, error: null });
		ask?.(abort.signal).then(
			(value) => setState({ value, error: null }),
			(e) => isAbort(e) || setState({ value: null, error: errorText(e) }),
		);
		return () => abort.abort();
	}, deps);
	return state;
}

function DeleteDialog({ selector, range, onClose }: { selector: string; range: Range; onClose: () => void }) {
	const [query, setQuery] = useState(selector);
	const [typed, setTyped] = useState('');
	const count = useAsked((abort) => countLines(query, range, abort), [query]);
	const ok = count.value !== null && count.value > 0 && typed.trim() === String(count.value);

	return (
		<Dialog title="Delete lines" onClose={onClose}>
			<form
				class="form"
				onSubmit={(e) => {
					e.preventDefault();
					if (!ok) return;
					deleteLines(query, range).then(
						() => (toast('Deleted: hidden at once, removed from disk soon'), onClose()),
						(err) => toast(errorText(err), true),
					);
				}}
			>
				<label>
					What to delete, in the time that is shown
					<input class="mono" value={query} onChange={(e) => setQuery(e.currentTarget.value)} />
				</label>
				{count.error !== null ? (
					<p class="error-text" role="alert">
						{count.error}
					</p>
				) : (
					<p>{count.value === null ? 'Counting …' : `${formatCount(count.value)} lines. This cannot be undone.`}</p>
				)}
				<label>
					Type the number of lines to confirm
					<input value={typed} inputMode="numeric" onInput={(e) => setTyped(e.currentTarget.value)} />
				</label>
				<button class="button danger" disabled={!ok}>
					Delete
				</button>
			</form>
		</Dialog>
	);
}

/** How many of the lines carry each field, and which are found by the index alone. */
function FieldShares({ selector, range, indexed }: { selector: string; range: Range; indexed: string[] }) {
	const fields = useAsked((abort) => fetchFields(selector, range, abort), [selector, range.start, range.end]);
	const isIndexed = (name: string) => indexed.includes(name);
	const shown = (fields.value?.fields ?? []).filter((f) => f.origin !== 'label').sort((a, b) => Number(isIndexed(b.name)) - Number(isIndexed(a.name)) || b.lines - a.lines);

	if (fields.error !== null) return <p class="error-text">{fields.error}</p>;
	return (
		<>
			<h3>Fields</h3>
			<ul class="picks">
				{shown.slice(0, FIELDS_SHOWN).map((f) => (
					<li key={f.origin + f.name}>
						<code>{visible(f.name)}</code> {formatPercent(f.lines, fields.value!.sampled)}
						{isIndexed(f.name) && (
							<span class="soft" title="A filter on this field is answered from the index">
								{' '}
								indexed
							</span>
						)}
					</li>
				))}
			</ul>
			{fields.value !== null && !fields.value.complete && <p class="soft">Of the latest {formatCount(fields.value.sampled)} lines.</p>}
		</>
	);
}

function ValuePane({ name, value, range, spec, indexed }: { name: string; value: string; range: Range; spec: TimeSpec; indexed: string[] }) {
	const selector = selectorFor({ [name]: value });
	const seconds = Number((BigInt(range.end) - BigInt(range.start)) / 1_000_000_000n);
	const counts = useAsked((abort) => fetchCounts(selector, range, Math.max(1, Math.ceil(seconds / 60)), abort), [selector, range.start, range.end]);
	const ends = useAsked((abort) => fetchEnds(selector, range, abort), [selector, range.start, range.end]);
	const [deleting, setDeleting] = useState(false);
	const lines = counts.value?.all.reduce((a, b) => a + b, 0) ?? 0;

	return (
		<section class="value-pane" aria-label={`${name} = ${visible(value)}`}>
			<h2>
				<code>
					{name}={visible(value)}
				</code>
			</h2>
			{counts.error !== null && <p class="error-text">{counts.error}</p>}
			<Sparkline values={counts.value?.all ?? []} label="lines over time" width={260} height={40} />
			<p>
				{counts.value === null ? '…' : `${formatCount(lines)} lines · errors ${formatPercent(counts.value.errors, lines)}`}
			</p>
			<p class="soft">{ends.value === null ? ' ' : `first ${formatTime(ends.value.first, zone.value, 0)} · last ${formatTime(ends.value.last, zone.value, 0)}`}</p>
			<p class="value-actions">
				<a class="button primary" href={href('', { q: selector, from: spec.from, to: spec.to })}>
					Explore
				</a>
				<a class="button" href={href('live', { q: selector })}>
					Live
				</a>
				<button class="button danger" onClick={() => setDeleting(true)}>
					Delete …
				</button>
			</p>
			<FieldShares selector={selector} range={range} indexed={indexed} />
			{deleting && <DeleteDialog selector={selector} range={range} onClose={() => setDeleting(false)} />}
		</section>
	);
}

function Labels({ labels, streams, chosen, onChoose }: { labels: LabelCount[]; streams: number; chosen: string | null; onChoose: (n: string) => void }) {
	return (
		<table class="grid">
			<thead>
				<tr>
					<th>Label</th>
					<th class="number">Values</th>
					<th class="number">Streams</th>
					<th>Share</th>
				</tr>
			</thead>
			<tbody>
				{labels.map((l) => (
					<tr key={l.name} class={l.name === chosen ? 'chosen' : ''}>
						<td>
							<button class="show-all" aria-pressed={l.name === chosen} onClick={() => onChoose(l.name)}>
								{visible(l.name)}
							</button>
							{l.values > MANY_VALUES && (
								<span class="explore-warning" title="Each value makes streams of its own. Send it as structured metadata instead.">
									{' '}
									⚠ many values
								</span>
							)}
						</td>
						<td class="number">{formatCount(l.values)}</td>
						<td class="number">{formatCount(l.streams)}</td>
						<td>
							<span class="share">
								<span style={{ width: `${(100 * l.streams) / Math.max(1, streams)}%` }} />
							</span>
						</td>
					</tr>
				))}
			</tbody>
		</table>
	);
}

function Values({ name, range, chosen, onChoose }: { name: string; range: Range; chosen: string | null; onChoose: (v: string) => void }) {
	const [find, setFind] = useState('');
	const volumes = useAsked((abort) => fetchVolumes(name, range, abort), [name, range.start, range.end]);
	const most = volumes.value?.[0]?.bytes ?? 1;
	const all = volumes.value?.reduce((n, v) => n + v.bytes, 0) ?? 0;

	return (
		<section aria-label={`Values of ${name}`}>
			<h2>
				<code>{visible(name)}</code> <span class="soft">{formatBytes(all)}</span>
			</h2>
			<input type="search" aria-label="Find a value" placeholder="Find a value" value={find} onInput={(e) => setFind(e.currentTarget.value)} />
			{volumes.error !== null && <p class="error-text">{volumes.error}</p>}
			<ul class="values">
				{(volumes.value ?? [])
					.filter((v) => v.value.toLowerCase().includes(find.toLowerCase()))
					.slice(0, 300)
					.map((v) => (
						<li key={v.value}>
							<button aria-pressed={v.value === chosen} onClick={() => onChoose(v.value)}>
								<span class="value-name">{visible(v.value.slice(0, 200))}</span>
								<span class="soft">{formatBytes(v.bytes)}</span>
								<span class="share">
									<span style={{ width: `${(100 * v.bytes) / most}%` }} />
								</span>
							</button>
						</li>
					))}
			</ul>
		</section>
	);
}

function Indexed({ answer }: { answer: LabelsAnswer }) {
	return (
		<section>
			<h2>Indexed fields</h2>
			<p>
				Trace ids in{' '}
				{answer.traceIdKeys.map((k) => (
					<code key={k}>{visible(k)} </code>
				))}
			</p>
			{answer.indexedFields.length > 0 && (
				<p>
					Further ids in{' '}
					{answer.indexedFields.map((k) => (
						<code key={k}>{visible(k)} </code>
					))}
				</p>
			)}
			<p class="soft">
				A filter on one of these fields finds its lines without reading the others. More are named by the setting <code>indexed_fields</code>.
			</p>
		</section>
	);
}

function Deletes() {
	const list = useAsked<DeleteRequest[]>((abort) => fetchDeletes(abort), []);

	if (list.value === null || list.value.length === 0) return null;
	return (
		<section>
			<h2>Delete requests</h2>
			<ul class="picks">
				{list.value.map((d) => (
					<li key={d.request_id}>
						<code>{visible(d.query)}</code> {visible(d.status)}
						{d.deleted_entries !== undefined && <span class="soft"> · {formatCount(d.deleted_entries)} lines removed</span>}
					</li>
				))}
			</ul>
		</section>
	);
}

export function StreamsPage() {
	const p = location.value.params;
	const spec = { from: p.get('from') ?? 'now-24h', to: p.get('to') ?? 'now' };
	const range = useMemo(() => resolve(spec, nowNs()) ?? resolve({ from: 'now-24h', to: 'now' }, nowNs())!, [spec.from, spec.to]);
	const [name, value] = [p.get('label'), p.get('value')];
	const found = useAsked((abort) => fetchLabels(range, abort), [range.start, range.end]);
	const indexed = [...(found.value?.traceIdKeys ?? []), ...(found.value?.indexedFields ?? [])];
	const go = (to: Record<string, string | null>) => navigate(href('streams', { from: spec.from === 'now-24h' ? null : spec.from, to: spec.to === 'now' ? null : spec.to, label: name, value, ...to }));

	return (
		<div class="streams">
			<header class="status-head">
				<h1>Streams</h1>
				{found.value !== null && (
					<span class="soft">
						{formatCount(found.value.streams)} streams · {found.value.labels.length} labels
					</span>
				)}
				<TimePicker spec={spec} onChange={(s) => go({ from: s.from, to: s.to })} />
			</header>
			{found.error !== null && (
				<p class="error-text" role="alert">
					{found.error}
				</p>
			)}
			<div class="streams-body">
				<Labels labels={found.value?.labels ?? []} streams={found.value?.streams ?? 0} chosen={name} onChoose={(n) => go({ label: n, value: null })} />
				{name !== null && <Values name={name} range={range} chosen={value} onChoose={(v) => go({ value: v })} />}
				{name !== null && value !== null && <ValuePane name={name} value={value} range={range} spec={spec} indexed={indexed} />}
			</div>
			{found.value !== null && <Indexed answer={found.value} />}
			<Deletes />
		</div>
	);
}
