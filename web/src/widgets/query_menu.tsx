/* What can be done with a query: copied for other tools, downloaded, saved, found again. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { errorText, getJson, isAbort, request, tenant } from '../api/client';
import { download, type ExportFormat } from '../api/download';
import type { Direction, Range } from '../api/types';
import { asCurl, asGrafana, asLogcli } from '../model/copy_as';
import { formatBytes } from '../model/format';
import { parseHistory, remember } from '../model/history';
import { isMetric } from '../model/logql';
import { visible } from '../model/text';
import type { TimeSpec } from '../model/time';
import { Dialog } from './dialog';
import { copyText, toast } from './toast';

const HISTORY = 'spoor.history';
const GRAFANA = 'spoor.grafana';

export interface QueryMenuProps {
	query: string;
	range: Range;
	spec: TimeSpec;
	direction: Direction;
	permalink: string; // with an absolute time
	onPick: (query: string) => void;
}

interface Saved {
	name: string;
	query: string;
	note: string;
}

function Pick({ query, name, onPick, onRemove }: { query: string; name?: string; onPick: (q: string) => void; onRemove?: () => void }) {
	return (
		<li class="pick">
			<button class="button quiet" onClick={() => onPick(query)}>
				{name !== undefined && <strong>{visible(name)}</strong>}
				<code>{visible(query.slice(0, 400))}</code>
			</button>
			{onRemove && (
				<button class="button quiet" aria-label={`Remove ${visible(name ?? '')}`} onClick={onRemove}>
					✕
				</button>
			)}
		</li>
	);
}

function Library({ query, onPick, onClose }: { query: string; onPick: (q: string) => void; onClose: () => void }) {
	const [saved, setSaved] = useState<Saved[] | null>(null);
	const [error, setError] = useState<string | null>(null);
	const name = useRef<HTMLInputElement>(null);
	const past = parseHistory(localStorage.getItem(HISTORY));
	const load = () => getJson<{ queries: Saved[] }>('/api/v1/saved-queries').then((a) => setSaved(a.queries), (e) => setError(errorText(e)));
	const change = async (method: string, key: string, body?: object) => {
		try {
			await request(`/api/v1/saved-queries/${encodeURIComponent(key)}`, {}, { method, ...(body ? { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } } : {}) });
			await load();
		} catch (e) {
			setError(errorText(e));
		}
	};
	const pick = (q: string) => (onPick(q), onClose());

	useEffect(() => void load(), []);
	return (
		<Dialog title="Queries" onClose={onClose} wide>
			<form
				class="save-query"
				onSubmit={(e) => {
					e.preventDefault();
					if (name.current!.value.trim() !== '') void change('PUT', name.current!.value.trim(), { query, note: '' });
				}}
			>
				<input ref={name} placeholder="Name" aria-label="Name for this query" maxLength={200} />
				<button class="button primary">Save this query for everyone</button>
			</form>
			{error !== null && (
				<p class="error-text" role="alert">
					{error}
				</p>
			)}
			<h3>Saved</h3>
			<ul class="picks">
				{(saved ?? []).map((s) => (
					<Pick key={s.name} name={s.name} query={s.query} onPick={pick} onRemove={() => void change('DELETE', s.name)} />
				))}
			</ul>
			{saved?.length === 0 && <p class="soft">None yet.</p>}
			<h3>Of this browser</h3>
			<ul class="picks">
				{past.map((q) => (
					<Pick key={q} query={q} onPick={pick} />
				))}
			</ul>
		</Dialog>
	);
}

export function QueryMenu(props: QueryMenuProps) {
	const { query, range, spec, direction, onPick } = props;
	const [open, setOpen] = useState(false);
	const [library, setLibrary] = useState(false);
	const [progress, setProgress] = useState<number | null>(null);
	const abort = useRef<AbortController | null>(null);
	const box = useRef<HTMLDivElement>(null);
	const origin = window.location.origin;

	useEffect(() => localStorage.setItem(HISTORY, JSON.stringify(remember(parseHistory(localStorage.getItem(HISTORY)), query))), [query]);
	useEffect(() => {
		if (!open) return;
		const close = (e: Event) => {
			if (e instanceof KeyboardEvent ? e.key === 'Escape' : !box.current?.contains(e.target as Node)) setOpen(false);
		};
		document.addEventListener('mousedown', close);
		document.addEventListener('keydown', close);
		return () => {
			document.removeEventListener('mousedown', close);
			document.removeEventListener('keydown', close);
		};
	}, [open]);

	const get = async (format: ExportFormat) => {
		setOpen(false);
		abort.current = new AbortController();
		setProgress(0);
		try {
			await download(query, range, direction, format, setProgress, abort.current.signal);
			toast('Downloaded');
		} catch (e) {
			if (!isAbort(e)) toast(errorText(e), true);
		}
		setProgress(null);
	};
	const grafana = () => {
		const where = localStorage.getItem(GRAFANA) ?? window.prompt('Address of Grafana', 'http://localhost:3000');
		if (where === null) return;
		localStorage.setItem(GRAFANA, where);
		void copyText(asGrafana(where, query, spec, range), 'Grafana link copied');
	};
	const item = (name: string, run: () => void) => (
		<button role="menuitem" onClick={() => (setOpen(false), run())}>
			{name}
		</button>
	);

	return (
		<div class="menu" ref={box}>
			<button class="button" aria-haspopup="menu" aria-expanded={open} aria-label="More: copy, download, save" onClick={() => setOpen(!open)}>
				⋯
			</button>
			{progress !== null && (
				<button class="button" onClick={() => abort.current?.abort()}>
					{formatBytes(progress)} … stop
				</button>
			)}
			{open && (
				<div class="menu-list" role="menu">
					{item('Copy link to this (absolute time)', () => void copyText(new URL(props.permalink, origin).href, 'Link copied'))}
					{item('Copy as LogQL', () => void copyText(query))}
					{item('Copy as curl', () => void copyText(asCurl(origin, query, range, direction, tenant.value)))}
					{item('Copy as logcli', () => void copyText(asLogcli(origin, query, range, direction, tenant.value)))}
					{item('Copy link to Grafana Explore', grafana)}
					{!isMetric(query) && (
						<>
							{item('Download text', () => void get('text'))}
							{item('Download JSON lines', () => void get('jsonl'))}
							{item('Download CSV', () => void get('csv'))}
						</>
					)}
					{item('History and saved queries …', () => setLibrary(true))}
				</div>
			)}
			{library && <Library query={query} onPick={onPick} onClose={() => setLibrary(false)} />}
		</div>
	);
}
