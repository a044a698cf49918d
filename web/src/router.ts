/* Where the page is: a path below /ui/ and its parameters, in the address bar and the browser's history. */
import { signal } from '@preact/signals';

export interface Location {
	path: string; // after /ui/: '' (Explore), 'live', 'trace/<id>', 'streams', 'status'
	params: URLSearchParams;
	hash: string; // without '#'
}

const BASE = '/ui/';

function read(): Location {
	const path = window.location.pathname.startsWith(BASE) ? window.location.pathname.slice(BASE.length) : '';
	let hash = window.location.hash.slice(1);
	try {
		hash = decodeURIComponent(hash);
	} catch {
		/* as it is */
	}
	return { path: path.replace(/\/+$/, ''), params: new URLSearchParams(window.location.search), hash };
}

export const location = signal<Location>(read());

export function href(path: string, params: Record<string, string | undefined | null> = {}, hash = ''): string {
	const p = new URLSearchParams();
	for (const [k, v] of Object.entries(params)) if (v !== undefined && v !== null && v !== '') p.set(k, v);
	const text = p.toString();
	return BASE + path + (text === '' ? '' : `?${text}`) + (hash === '' ? '' : `#${encodeURIComponent(hash)}`);
}

/** A new step in the history, or (replace) the same step with another address. */
export function navigate(url: string, replace = false): void {
	if (replace) history.replaceState(null, '', url);
	else history.pushState(null, '', url);
	location.value = read();
}

export function followLinks(): void {
	window.addEventListener('popstate', () => {
		location.value = read();
	});
	window.addEventListener('hashchange', () => {
		location.value = read();
	});
	document.addEventListener('click', (e) => {
		const a = (e.target as Element | null)?.closest?.('a');
		if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.hasAttribute('download')) return;
		if (a.origin !== window.location.origin || !a.pathname.startsWith(BASE)) return;
		e.preventDefault();
		navigate(a.pathname + a.search + a.hash);
	});
}
