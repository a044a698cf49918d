/* Prometheus' text format, as /metrics has it. */
export interface Sample {
	name: string;
	labels: Record<string, string>;
	value: number;
}

export function parseMetrics(text: string): Sample[] {
	const out: Sample[] = [];
	for (const line of text.split('\n')) {
		const m = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
		if (!m) continue;
		const labels: Record<string, string> = {};
		for (const l of (m[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[l[1]!] = l[2]!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
		out.push({ name: m[1]!, labels, value: Number(m[3]) });
	}
	return out;
}

export function total(samples: Sample[], name: string, where: Record<string, string> = {}): number {
	return samples.filter((s) => s.name === name && Object.entries(where).every(([k, v]) => s.labels[k] === v)).reduce((n, s) => n + s.value, 0);
}

/** The value below which that share of a histogram's observations lie, linear within a bucket. null: none observed. */
export function quantile(samples: Sample[], name: string, q: number): number | null {
	const by = new Map<number, number>();
	for (const s of samples) if (s.name === `${name}_bucket`) by.set(s.labels.le === '+Inf' ? Infinity : Number(s.labels.le), (by.get(s.labels.le === '+Inf' ? Infinity : Number(s.labels.le)) ?? 0) + s.value);
	const buckets = [...by].sort((a, b) => a[0] - b[0]);
	const all = buckets.at(-1)?.[1] ?? 0;
	if (all === 0) return null;
	let low = 0;
	let below = 0;
	for (const [le, n] of buckets) {
		if (n >= q * all) return le === Infinity ? low : low + ((le - low) * (q * all - below)) / Math.max(1, n - below);
		low = le;
		below = n;
	}
	return low;
}
