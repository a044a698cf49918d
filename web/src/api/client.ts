/* One door to the server: every request goes through here, so that credentials, the tenant and errors are handled once. */
import { signal } from '@preact/signals';

export class ApiError extends Error {
	constructor(
		readonly status: number,
		message: string,
		/** Of a query that does not parse: where the mistake is, in characters from 0. */
		readonly offset: number | null = null,
	) {
		super(message);
	}
}

const TENANT = 'spoor.tenant';
const TOKEN = 'spoor.token';

/** Sent as X-Scope-OrgID; '' = not sent. */
export const tenant = signal(localStorage.getItem(TENANT) ?? '');
/** A bearer token, kept for this tab only; '' = not sent. */
export const token = signal(sessionStorage.getItem(TOKEN) ?? '');
/** Set when an answer was 401: the shell asks for tenant or token then. */
export const unauthorized = signal<string | null>(null);

export function setTenant(name: string): void {
	tenant.value = name;
	localStorage.setItem(TENANT, name);
}

export function setToken(text: string): void {
	token.value = text;
	sessionStorage.setItem(TOKEN, text);
}

export function headers(): Record<string, string> {
	const h: Record<string, string> = { 'X-Spoor-Request': '1' };
	if (tenant.value !== '') h['X-Scope-OrgID'] = tenant.value;
	if (token.value !== '') h.Authorization = `Bearer ${token.value}`;
	return h;
}

export type Params = Record<string, string | number | boolean | undefined | null>;

/** The path with its parameters; undefined, null and '' are left out. */
export function apiUrl(path: string, params: Params = {}): string {
	const p = new URLSearchParams();
	for (const [k, v] of Object.entries(params)) if (v !== undefined && v !== null && v !== '') p.append(k, String(v));
	const text = p.toString();
	return text === '' ? path : `${path}?${text}`;
}

async function failure(r: Response): Promise<ApiError> {
	const text = (await r.text()).trim();
	if ((r.headers.get('Content-Type') ?? '').startsWith('application/json')) {
		try {
			const o = JSON.parse(text) as { error?: string; message?: string; position?: { offset: number } | null };
			return new ApiError(r.status, o.error ?? o.message ?? text, o.position?.offset ?? null);
		} catch {
			/* shown as it is */
		}
	}
	return new ApiError(r.status, text === '' ? `${r.status} ${r.statusText}` : text);
}

/** The answer, or ApiError. Long queries go as a form, since URLs have limits. An aborted request throws AbortError. */
export async function request(path: string, params: Params = {}, init: RequestInit = {}): Promise<Response> {
	let url = apiUrl(path, params);
	const all: RequestInit = { ...init, headers: { ...headers(), ...(init.headers as Record<string, string> | undefined) } };
	if (url.length > 6000 && (init.method ?? 'GET') === 'GET') {
		all.method = 'POST';
		all.body = new URLSearchParams(url.slice(path.length + 1));
		url = path;
	}
	let r: Response;
	try {
		r = await fetch(url, all);
	} catch (e) {
		if (e instanceof DOMException && e.name === 'AbortError') throw e;
		throw new ApiError(0, 'the server does not answer');
	}
	if (r.ok) return r;
	const e = await failure(r);
	if (r.status === 401) unauthorized.value = e.message;
	throw e;
}

export async function getJson<T>(path: string, params: Params = {}, abort?: AbortSignal): Promise<T> {
	const r = await request(path, params, abort ? { signal: abort } : {});
	return (await r.json()) as T;
}

export function isAbort(e: unknown): boolean {
	return e instanceof DOMException && e.name === 'AbortError';
}

export function errorText(e: unknown): string {
	return e instanceof Error ? e.message : String(e);
}
