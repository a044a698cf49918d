/* What stands around every page: navigation, the trace field, tenant, theme, help. Pages are loaded when they are shown. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { setTenant, setToken, tenant, token, unauthorized } from './api/client';
import { allKeys, useKeys } from './keys';
import { href, location, navigate } from './router';
import { theme } from './settings';
import { Dialog } from './widgets/dialog';
import { Toasts } from './widgets/toast';

interface PageRow {
	path: string; // its first segment
	name: string;
	load: () => Promise<ComponentType>;
}

const PAGES: PageRow[] = [
	{ path: '', name: 'Explore', load: async () => (await import('./pages/explore')).ExplorePage },
	{ path: 'live', name: 'Live', load: async () => (await import('./pages/live')).LivePage },
	{ path: 'trace', name: 'Trace', load: async () => (await import('./pages/trace')).TracePage },
	{ path: 'streams', name: 'Streams', load: async () => (await import('./pages/streams')).StreamsPage },
	{ path: 'status', name: 'Status', load: async () => (await import('./pages/status')).StatusPage },
];

function pageOf(path: string): PageRow | undefined {
	const first = path.split('/')[0] ?? '';
	return PAGES.find((p) => p.path === first);
}

function useLoaded(row: PageRow | undefined): { Page: ComponentType | null; error: string | null } {
	const [loaded, setLoaded] = useState<{ row: PageRow; Page: ComponentType } | null>(null);
	const [error, setError] = useState<string | null>(null);

	useEffect(() => {
		let gone = false;
		setError(null);
		row?.load().then(
			(Page) => gone || setLoaded({ row, Page }),
			() => gone || setError('This page could not be loaded. Is the server still there? Reload to try again.'),
		);
		return () => {
			gone = true;
		};
	}, [row]);
	return { Page: loaded !== null && loaded.row === row ? loaded.Page : null, error };
}

const THEMES = { auto: 'light', light: 'dark', dark: 'auto' } as const;

function TraceField() {
	const [text, setText] = useState('');

	return (
		<form
			class="trace-field"
			role="search"
			onSubmit={(e) => {
				e.preventDefault();
				if (text.trim() === '') return;
				navigate(href('trace', { text: text.trim() }));
				setText('');
			}}
		>
			<input type="search" value={text} onInput={(e) => setText(e.currentTarget.value)} placeholder="Trace id, traceparent, log line …" aria-label="Find a trace: paste an id, a traceparent or a log line" />
		</form>
	);
}

function Access({ onClose }: { onClose: () => void }) {
	const name = useRef<HTMLInputElement>(null);
	const secret = useRef<HTMLInputElement>(null);

	return (
		<Dialog title="Tenant and token" onClose={onClose}>
			<form
				class="form"
				onSubmit={(e) => {
					e.preventDefault();
					setTenant(name.current!.value.trim());
					setToken(secret.current!.value.trim());
					unauthorized.value = null;
					onClose();
					window.location.reload();
				}}
			>
				{unauthorized.value !== null && <p class="error-text">{unauthorized.value}</p>}
				<label>
					Tenant (X-Scope-OrgID)
					<input ref={name} defaultValue={tenant.value} autocomplete="off" />
				</label>
				<label>
					Bearer token, kept for this tab
					<input ref={secret} type="password" defaultValue={token.value} autocomplete="off" />
				</label>
				<button class="button primary">Use</button>
			</form>
		</Dialog>
	);
}

function Help({ onClose }: { onClose: () => void }) {
	return (
		<Dialog title="Keys" onClose={onClose}>
			<dl class="keys">
				{allKeys().map((k) => (
					<div key={k.key + k.what}>
						<dt>
							<kbd>{k.always ? `Ctrl ${k.key}` : k.key}</kbd>
						</dt>
						<dd>{k.what}</dd>
					</div>
				))}
			</dl>
		</Dialog>
	);
}

export function Shell() {
	const row = pageOf(location.value.path);
	const { Page, error } = useLoaded(row);
	const [dialog, setDialog] = useState<'help' | 'access' | null>(null);

	useEffect(() => {
		if (unauthorized.value !== null) setDialog('access');
	}, [unauthorized.value]);
	useEffect(() => {
		document.title = row === undefined ? 'spoor' : `${row.name} · spoor`;
	}, [row]);
	useKeys([{ key: '?', what: 'these keys', run: () => setDialog('help') }]);

	return (
		<>
			<a class="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById('main')?.focus())}>
				Skip to content
			</a>
			<header class="top">
				<a class="brand" href={href('')}>
					spoor
				</a>
				<nav aria-label="Pages">
					{PAGES.map((p) => (
						<a key={p.path} href={href(p.path)} aria-current={p === row ? 'page' : undefined}>
							{p.name}
						</a>
					))}
				</nav>
				<TraceField />
				<div class="top-end">
					<button class="button quiet" title="Tenant and token" onClick={() => setDialog('access')}>
						{tenant.value === '' ? 'default' : tenant.value}
					</button>
					<button class="button quiet" aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}`} onClick={() => (theme.value = THEMES[theme.value])}>
						{theme.value === 'auto' ? '◐' : theme.value === 'light' ? '☀' : '☾'}
					</button>
					<button class="button quiet" aria-label="Keys" title="Keys (?)" onClick={() => setDialog('help')}>
						?
					</button>
				</div>
			</header>
			<main id="main" tabIndex={-1}>
				{row === undefined ? (
					<p class="notice">
						There is no such page. <a href={href('')}>Explore</a>
					</p>
				) : error !== null ? (
					<p class="notice error-text" role="alert">
						{error}
					</p>
				) : Page === null ? (
					<p class="notice" aria-busy="true">
						Loading …
					</p>
				) : (
					<Page />
				)}
			</main>
			{dialog === 'help' && <Help onClose={() => setDialog(null)} />}
			{dialog === 'access' && <Access onClose={() => setDialog(null)} />}
			<Toasts />
		</>
	);
}
