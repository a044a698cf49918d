/* A small line of values, for how something went lately. */
export function Sparkline({ values, label, width = 120, height = 24 }: { values: number[]; label: string; width?: number; height?: number }) {
	const max = Math.max(...values, 1e-9);
	const step = width / Math.max(1, values.length - 1);
	const points = values.map((v, i) => `${(i * step).toFixed(1)},${(height - 1 - (v / max) * (height - 3)).toFixed(1)}`).join(' ');

	return (
		<svg class="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
			{values.length > 1 && <polyline points={points} />}
		</svg>
	);
}
