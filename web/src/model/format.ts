/* Numbers for people. */
const BYTES = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

export function formatBytes(n: number): string {
	let i = 0;
	let v = n;
	while (v >= 1000 && i < BYTES.length - 1) {
		v /= 1000;
		i++;
	}
	return `${i === 0 || v >= 100 ? Math.round(v) : v.toFixed(1)} ${BYTES[i]}`;
}

/** 1 204; thin spaces, so that digits line up in any language. */
export function formatCount(n: number): string {
	return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

export function formatPercent(part: number, whole: number): string {
	if (whole <= 0) return '–';
	const p = (part / whole) * 100;
	return p > 0 && p < 1 ? '<1 %' : `${Math.round(p)} %`;
}
