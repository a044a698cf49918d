/* Series of a metric query as a chart wants them: one column of times, and a column of values for each. */
import type { Labels, Series } from '../api/types';

/** {app="cart", level="error"}; the name of a series. */
export function seriesName(metric: Labels): string {
	const names = Object.keys(metric).sort();
	return `{${names.map((n) => `${n}=${JSON.stringify(metric[n])}`).join(', ')}}`;
}

function sum(s: Series): number {
	return s.values.reduce((n, [, v]) => (Number.isFinite(Number(v)) ? n + Math.abs(Number(v)) : n), 0);
}

/** The `max` largest, largest first. */
export function largest(series: Series[], max: number): Series[] {
	return series
		.map((s) => ({ s, sum: sum(s) }))
		.sort((a, b) => b.sum - a.sum)
		.slice(0, max)
		.map((x) => x.s);
}

/** Times of all, ascending; where a series has no value there, null: a gap in its line. */
export function columns(series: Series[], times: number[]): (number | null)[][] {
	const at = new Map(times.map((t, i) => [t, i]));

	return series.map((s) => {
		const col = new Array<number | null>(times.length).fill(null);
		for (const [t, v] of s.values) {
			const i = at.get(t);
			if (i !== undefined && Number.isFinite(Number(v))) col[i] = Number(v);
		}
		return col;
	});
}

/** Every time of the series, and those between where nobody has a value, so that gaps are seen. */
export function timesOf(series: Series[], step: number): number[] {
	const all = [...new Set(series.flatMap((s) => s.values.map(([t]) => t)))].sort((a, b) => a - b);
	const out: number[] = [];
	for (const t of all) {
		const last = out[out.length - 1];
		if (last !== undefined && t - last > step * 1.5) out.push(last + step);
		out.push(t);
	}
	return out;
}

/** At most five digits that say something: 0.00012, 3.4, 1 204 567. */
export function formatValue(v: number | null | undefined): string {
	if (v === null || v === undefined || !Number.isFinite(v)) return '–';
	const a = Math.abs(v);
	if (a !== 0 && (a < 1e-4 || a >= 1e12)) return v.toExponential(2);
	if (a >= 1000) return Math.round(v).toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
	return String(Number(v.toPrecision(4)));
}
