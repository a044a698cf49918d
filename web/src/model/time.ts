/* Times: nanoseconds as bigint, or as decimal text where they come from or go to the server. */
import type { Ns, Range } from '../api/types';

export const MS = 1_000_000n;
export const SECOND = 1_000_000_000n;
export const MINUTE = 60n * SECOND;
export const HOUR = 60n * MINUTE;
export const DAY = 24n * HOUR;

export type Zone = 'local' | 'utc';

/** What the picker holds: "now-1h" … "now", or absolute nanoseconds. */
export interface TimeSpec {
	from: string;
	to: string;
}

const UNITS: Record<string, bigint> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7n * DAY };

export function nowNs(): bigint {
	return BigInt(Date.now()) * MS;
}

/** "now", "now-15m", decimal s, ms, µs or ns (told apart by size), RFC 3339. null: none of them. */
export function parseTime(text: string, now: bigint): bigint | null {
	const t = text.trim();
	const rel = /^now(?:-(\d{1,9})([smhdw]))?$/.exec(t);
	if (rel) return rel[1] === undefined ? now : now - BigInt(rel[1]) * UNITS[rel[2]!]!;
	if (/^\d{1,19}$/.test(t)) {
		const n = BigInt(t);
		if (n < 100_000_000_000n) return n * SECOND;
		if (n < 100_000_000_000_000n) return n * MS;
		if (n < 100_000_000_000_000_000n) return n * 1000n;
		return n;
	}
	const m = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?$/.exec(t);
	if (!m) return null;
	const clock = m[2] === undefined ? '00:00:00' : m[2].length === 5 ? `${m[2]}:00` : m[2];
	const ms = Date.parse(`${m[1]}T${clock}${m[4] ?? ''}`);
	return Number.isNaN(ms) ? null : BigInt(ms) * MS + BigInt((m[3] ?? '').padEnd(9, '0') || '0');
}

/** The range that a spec means now; the end is exclusive. null: a text that is no time, or an empty range. */
export function resolve(spec: TimeSpec, now: bigint): Range | null {
	const from = parseTime(spec.from, now);
	const to = parseTime(spec.to, now);
	if (from === null || to === null || from >= to) return null;
	return { start: from.toString(), end: to.toString() };
}

function pad(n: number, width = 2): string {
	return String(n).padStart(width, '0');
}

function date(ns: bigint, zone: Zone): { y: number; mo: number; d: number; h: number; mi: number; s: number; frac: bigint } {
	const ms = ns / MS;
	const at = new Date(Number(ms));
	const frac = ns % SECOND;
	return zone === 'utc'
		? { y: at.getUTCFullYear(), mo: at.getUTCMonth() + 1, d: at.getUTCDate(), h: at.getUTCHours(), mi: at.getUTCMinutes(), s: at.getUTCSeconds(), frac }
		: { y: at.getFullYear(), mo: at.getMonth() + 1, d: at.getDate(), h: at.getHours(), mi: at.getMinutes(), s: at.getSeconds(), frac };
}

/** 2026-11-24 10:30:00.123; digits: of the fraction (0, 3, 6, 9). */
export function formatTime(ts: Ns | bigint, zone: Zone, digits = 3): string {
	const t = date(BigInt(ts), zone);
	return `${t.y}-${pad(t.mo)}-${pad(t.d)} ${formatClock(ts, zone, digits)}`;
}

/** 10:30:00.123 */
export function formatClock(ts: Ns | bigint, zone: Zone, digits = 3): string {
	const t = date(BigInt(ts), zone);
	const frac = digits === 0 ? '' : `.${t.frac.toString().padStart(9, '0').slice(0, digits)}`;
	return `${pad(t.h)}:${pad(t.mi)}:${pad(t.s)}${frac}`;
}

export function rfc3339(ts: Ns | bigint): string {
	return `${formatTime(ts, 'utc', 9).replace(' ', 'T')}Z`;
}

/** 350 ms, 1.2 s, 3 m 20 s, 2 h 5 m, 3 d 4 h */
export function formatDuration(ns: bigint): string {
	if (ns < 0n) return `-${formatDuration(-ns)}`;
	if (ns < 1000n) return `${ns} ns`;
	if (ns < MS) return `${Number(ns / 100n) / 10} µs`;
	if (ns < SECOND) return `${Number(ns / 10_000n) / 100} ms`;
	if (ns < MINUTE) return `${Number(ns / 10_000_000n) / 100} s`;
	const two = (n: bigint, u: string, m: bigint, v: string) => (m === 0n ? `${n} ${u}` : `${n} ${u} ${m} ${v}`);
	if (ns < HOUR) return two(ns / MINUTE, 'm', (ns % MINUTE) / SECOND, 's');
	if (ns < DAY) return two(ns / HOUR, 'h', (ns % HOUR) / MINUTE, 'm');
	return two(ns / DAY, 'd', (ns % DAY) / HOUR, 'h');
}

const DURATION_UNITS: Record<string, bigint> = { ns: 1n, us: 1000n, µs: 1000n, ms: MS, ...UNITS, y: 365n * DAY };

/** Whole numbers with units as LogQL writes them, "1h30m", in ns. null: another text. */
export function parseDuration(text: string): bigint | null {
	if (!/^(\d{1,9}(ns|us|µs|ms|[smhdwy]))+$/.test(text)) return null;
	let ns = 0n;
	for (const m of text.matchAll(/(\d+)(\D+)/g)) ns += BigInt(m[1]!) * DURATION_UNITS[m[2]!]!;
	return ns;
}

/** LogQL's duration in whole milliseconds, the rest cut off: 1h30m, 250ms. */
export function logqlDuration(ns: bigint): string {
	if (ns < MS) return '0s';
	let rest = ns;
	let text = '';
	for (const [unit, size] of [['h', HOUR], ['m', MINUTE], ['s', SECOND], ['ms', MS]] as const) {
		if (rest >= size) text += `${rest / size}${unit}`;
		rest %= size;
	}
	return text;
}
