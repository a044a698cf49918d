/* The fields of a query's lines, by where they come from, with their most frequent values. A click filters. */
import { useEffect, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { fetchFields, type Field, type Fields } from '../api/fields';
import type { Range } from '../api/types';
import { formatCount, formatPercent } from '../model/format';
import type { FieldFilter } from '../model/logql';

export interface FieldsPanelProps {
	query: string; // a log query
	range: Range;
	runId: number;
	onFilter(f: FieldFilter): void;
}

const GROUPS: { origin: Field['origin']; name: string; title: string }[] = [
	{ origin: 'label', name: 'Labels', title: 'of the stream, in the index' },
	{ origin: 'metadata', name: 'Metadata', title: 'sent along with each line' },
	{ origin: 'parsed', name: 'Parsed', title: 'made by the query' },
	{ origin: 'detected', name: 'In the lines', title: 'found in JSON and logfmt; a filter adds the parser' },
];

function useFields({ query, range, runId }: FieldsPanelProps) {
	const [state, setState] = useState<{ answer: Fields | null; loading: boolean; error: string | null }>({ answer: null, loading: true, error: null });

	useEffect(() => {
		if (query === '') return;
		const abort = new AbortController();
		setState((s) => ({ ...s, loading: true, error: null }));
		fetchFields(query, range, abort.signal).then(
			(answer) => abort.signal.aborted || setState({ answer, loading: false, error: null }),
			(e: unknown) => isAbort(e) || abort.signal.aborted || setState({ answer: null, loading: false, error: errorText(e) }),
		);
		return () => abort.abort();
	}, [query, range.start, range.end, runId]);
	return state;
}

function Value({ field, value, lines, onFilter }: { field: Field; value: string; lines: number; onFilter: FieldsPanelProps['onFilter'] }) {
	const filter = (exclude: boolean) => onFilter({ origin: field.origin, name: field.name, value, exclude, ...(field.parser ? { parser: field.parser } : {}) });
	const shown = value === '' ? '(empty)' : value;

	return (
		<li class="field-value">
			<div class="field-bar" style={{ width: `${field.lines <= 0 ? 0 : Math.min(100, (lines / field.lines) * 100)}%` }} aria-hidden="true" />
			<button class="field-pick" title={`${shown}\n${formatCount(lines)} lines. Click: only these; Alt-click: without these`} onClick={(e) => filter(e.altKey)}>
				<bdi>{shown}</bdi>
			</button>
			<span class="field-share soft">{formatPercent(lines, field.lines)}</span>
			<button class="field-sign" aria-label={`Only ${field.name} ${shown}`} title="Only these" onClick={() => filter(false)}>
				+
			</button>
			<button class="field-sign" aria-label={`Without ${field.name} ${shown}`} title="Without these" onClick={() => filter(true)}>
				−
			</button>
		</li>
	);
}

function FieldRow({ field, answer, onFilter }: { field: Field; answer: Fields; onFilter: FieldsPanelProps['onFilter'] }) {
	const [open, setOpen] = useState(false);
	const sampled = !field.exact && !answer.complete;

	return (
		<li>
			<button class="field-name" aria-expanded={open} title={`${field.name}: ${field.type}${field.parser ? `, ${field.parser}` : ''}`} onClick={() => setOpen(!open)}>
				<span class="field-arrow" aria-hidden="true">
					{open ? '▾' : '▸'}
				</span>
				<span class="field-text">{field.name}</span>
				<span class="soft" title="different values">
					{formatCount(field.values)}
					{field.more && '+'}
				</span>
			</button>
			{open && (
				<>
					<ul class="field-values" aria-label={`Values of ${field.name}`}>
						{field.top.map((t) => (
							<Value key={t.value} field={field} value={t.value} lines={t.lines} onFilter={onFilter} />
						))}
					</ul>
					<p class="field-note soft">
						{sampled ? `sampled: of ${formatCount(answer.sampled)} lines, ${formatPercent(field.lines, answer.sampled)} have it` : `exact: of ${formatCount(field.lines)} lines`}
					</p>
				</>
			)}
		</li>
	);
}

export function FieldsPanel(props: FieldsPanelProps) {
	const { answer, loading, error } = useFields(props);
	const [find, setFind] = useState('');
	const wanted = find.trim().toLowerCase();
	const fields = (answer?.fields ?? []).filter((f) => f.name.toLowerCase().includes(wanted) || (wanted !== '' && f.top.some((t) => t.value.toLowerCase().includes(wanted))));

	return (
		<section class="fields" aria-label="Fields" aria-busy={loading}>
			<div class="fields-head">
				<h2>Fields</h2>
				<input type="search" value={find} onInput={(e) => setFind(e.currentTarget.value)} placeholder="find" aria-label="Find a field or a value" />
			</div>
			{error !== null && (
				<p class="field-note error-text" role="alert">
					{error}
				</p>
			)}
			{answer === null && error === null && <p class="field-note soft">Reading …</p>}
			{answer !== null && fields.length === 0 && <p class="field-note soft">{wanted === '' ? 'No fields in this time.' : 'No such field.'}</p>}
			{GROUPS.map((g) => {
				const own = fields.filter((f) => f.origin === g.origin);
				return own.length === 0 ? null : (
					<div key={g.origin}>
						<h3 class="fields-group" title={g.title}>
							{g.name}
						</h3>
						<ul class="fields-list" aria-label={g.name}>
							{own.map((f) => (
								<FieldRow key={f.name} field={f} answer={answer!} onFilter={props.onFilter} />
							))}
						</ul>
					</div>
				);
			})}
			{answer !== null && answer.fields.length > 0 && !answer.complete && <p class="field-note soft">All but exact labels: from a sample of {formatCount(answer.sampled)} lines.</p>}
		</section>
	);
}
