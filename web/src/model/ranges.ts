/* What the time picker does with a range: quick ones, typed ones, back and forward, in and out. */
import type { Range } from '../api/types';
import { DAY, formatTime, HOUR, MINUTE, nowNs, parseTime, resolve, SECOND, type TimeSpec, type Zone } from './time';

export const QUICK: { from: string; name: string }[] = [
	{ from: 'now-5m', name: 'Last 5 min' },
	{ from: 'now-15m', name: 'Last 15 min' },
	{ from: 'now-30m', name: 'Last 30 min' },
	{ from: 'now-1h', name: 'Last 1 h' },
	{ from: 'now-3h', name: 'Last 3 h' },
	{ from: 'now-6h', name: 'Last 6 h' },
	{ from: 'now-12h', name: 'Last 12 h' },
	{ from: 'now-24h', name: 'Last 24 h' },
	{ from: 'now-2d', name: 'Last 2 days' },
	{ from: 'now-7d', name: 'Last 7 days' },
	{ from: 'now-30d', name: 'Last 30 days' },
	{ from: 'now-90d', name: 'Last 90 days' },
];

/** "now-90m" for a span that ends now; whole units, seconds at least. */
function relative(span: bigint): TimeSpec {
	const units: [string, bigint][] = [['d', DAY], ['h', HOUR], ['m', MINUTE], ['s', SECOND]];
	const [name, size] = units.find(([, s]) => span % s === 0n && span >= 2n * s) ?? ['s', SECOND];
	const n = span / size;
	return { from: `now-${n < 1n ? 1n : n}${name}`, to: 'now' };
}

export function specOf(range: Range): TimeSpec {
	return { from: range.start, to: range.end };
}

/** Back (-1) or forward (1) by the whole span. */
export function shift(spec: TimeSpec, direction: -1 | 1, now: bigint = nowNs()): TimeSpec {
	const r = resolve(spec, now);
	if (r === null) return spec;
	const by = (BigInt(r.end) - BigInt(r.start)) * BigInt(direction);
	if (BigInt(r.start) + by < 0n) return spec;
	return { from: (BigInt(r.start) + by).toString(), to: (BigInt(r.end) + by).toString() };
}

/** Around its middle, `factor` times as wide; not beyond now, nor before 1970. */
export function zoomOutRange(range: Range, factor: bigint, now: bigint = nowNs()): Range {
	const start = BigInt(range.start);
	const end = BigInt(range.end);
	const more = ((end - start) * (factor - 1n)) / 2n;
	let to = end + more;
	let from = start - more;
	if (to > now && end <= now) {
		from -= to - now;
		to = now;
	}
	if (from < 0n) from = 0n;
	return { start: from.toString(), end: to.toString() };
}

/** What ends now goes on to end now. */
export function zoomOut(spec: TimeSpec, factor: bigint, now: bigint = nowNs()): TimeSpec {
	const r = resolve(spec, now);
	if (r === null) return spec;
	if (spec.to === 'now') return relative((BigInt(r.end) - BigInt(r.start)) * factor);
	return specOf(zoomOutRange(r, factor, now));
}

export function zoomIn(spec: TimeSpec, now: bigint = nowNs()): TimeSpec {
	const r = resolve(spec, now);
	if (r === null) return spec;
	const start = BigInt(r.start);
	const span = BigInt(r.end) - start;
	if (spec.to === 'now') return span < 2n * SECOND ? spec : relative(span / 2n);
	if (span < 4n) return spec;
	return { from: (start + span / 4n).toString(), to: (start + span / 4n + span / 2n).toString() };
}

/** A typed time as it stands in a spec: relative stays relative, others become nanoseconds. null: no time. */
export function typedTime(text: string, zone: Zone, now: bigint = nowNs()): string | null {
	const t = text.trim();
	if (/^now(-\d{1,9}[smhdw])?$/.test(t)) return t;
	const ago = /^-?(\d{1,9}[smhdw])$/.exec(t);
	if (ago) return `now-${ago[1]}`;
	const zoneless = /^\d{4}-\d\d-\d\d([T ][\d:.]+)?$/.test(t);
	const dated = zoneless && zone === 'utc' ? (t.length === 10 ? `${t}T00:00:00Z` : `${t}Z`) : t;
	return parseTime(dated, now)?.toString() ?? null;
}

/** The other way round: what stands in the field. No digit of an absolute time is lost. */
export function fieldText(part: string, zone: Zone): string {
	if (part.startsWith('now')) return part;
	const ns = parseTime(part, 0n);
	if (ns === null) return part;
	const digits = ns % SECOND === 0n ? 0 : ns % 1_000_000n === 0n ? 3 : 9;
	return formatTime(ns, zone, digits);
}

/** On the button: "Last 1 h", or both ends, the day said once when it is the same. */
export function rangeName(spec: TimeSpec, zone: Zone): string {
	const quick = spec.to === 'now' ? QUICK.find((q) => q.from === spec.from) : undefined;
	if (quick) return quick.name;
	const from = fieldText(spec.from, zone).replace(/\.\d+$/, '');
	const to = fieldText(spec.to, zone).replace(/\.\d+$/, '');
	if (spec.to === 'now' && spec.from.startsWith('now-')) return `Last ${spec.from.slice(4).replace(/([smhdw])$/, ' $1')}`;
	return from.slice(0, 10) === to.slice(0, 10) && from.length >= 19 && to.length >= 19 ? `${from} – ${to.slice(11)}` : `${from} – ${to}`;
}
