/* The drawing of a chart by uPlot; loaded when a chart is first shown. */
import uPlot from 'uplot';
import { formatTime, MS, type Zone } from '../model/time';

export interface PlotData {
	names: string[];
	colours: string[]; // custom properties: '--series-0'
	dashed: boolean[];
	times: number[]; // seconds
	columns: (number | null)[][];
}

export interface PlotEvents {
	onCursor(index: number | null): void;
	onClick(series: number, index: number): void;
	onSelect(from: number, to: number): void; // seconds
}

export interface Plot {
	resize(width: number): void;
	show(series: number, shown: boolean): void;
	destroy(): void;
}

function property(el: Element, name: string): string {
	return getComputedStyle(el).getPropertyValue(name).trim();
}

/** Which series is nearest to the pointer at a place, in pixels from the top. */
function nearest(u: uPlot, index: number, y: number): number | null {
	let best: number | null = null;
	let distance = Infinity;
	for (let s = 1; s < u.data.length; s++) {
		const v = u.data[s]![index];
		if (v === null || v === undefined || u.series[s]!.show === false) continue;
		const d = Math.abs(u.valToPos(v, 'y') - y);
		if (d < distance) {
			distance = d;
			best = s - 1;
		}
	}
	return best;
}

export function drawPlot(el: HTMLElement, data: PlotData, height: number, zone: Zone, events: PlotEvents): Plot {
	const grid = { stroke: property(el, '--line'), width: 1 };
	const axis: uPlot.Axis = { stroke: property(el, '--text-soft'), font: `11px ${property(el, '--sans')}`, grid, ticks: grid };
	const u = new uPlot(
		{
			width: el.clientWidth,
			height,
			legend: { show: false },
			cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 30 }, points: { size: 7 } },
			focus: { alpha: 0.35 },
			tzDate: (ts) => (zone === 'utc' ? uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC') : new Date(ts * 1000)),
			axes: [{ ...axis, values: axisTimes(zone) }, { ...axis, size: 60 }],
			scales: { y: { range: (_u, min, max) => [Math.min(0, min ?? 0), (max ?? 1) > 0 ? (max ?? 1) * 1.05 : 1] } },
			series: [
				{},
				...data.names.map((label, i): uPlot.Series => ({ label, stroke: property(el, data.colours[i]!), width: 1.5, points: { show: data.times.length < 3 }, ...(data.dashed[i] ? { dash: [6, 3] } : {}) })),
			],
			hooks: {
				setCursor: [(p) => events.onCursor(p.cursor.idx ?? null)],
				setSelect: [(p) => p.select.width > 4 && events.onSelect(p.posToVal(p.select.left, 'x'), p.posToVal(p.select.left + p.select.width, 'x'))],
			},
		},
		[data.times, ...data.columns] as uPlot.AlignedData,
		el,
	);
	u.over.addEventListener('click', () => {
		const { idx, top } = u.cursor;
		if (idx === null || idx === undefined || u.select.width > 4) return;
		const series = nearest(u, idx, top ?? 0);
		if (series !== null) events.onClick(series, idx);
	});
	return {
		resize: (width) => u.setSize({ width, height }),
		show: (series, shown) => u.setSeries(series + 1, { show: shown }),
		destroy: () => u.destroy(),
	};
}

/** 24-hour clock; the day where one begins. */
function axisTimes(zone: Zone) {
	return (_u: uPlot, splits: number[], _axis: number, _space: number, incr: number): string[] => {
		let day = '';
		return splits.map((s) => {
			const text = formatTime(BigInt(Math.round(s * 1000)) * MS, zone, incr < 1 ? 3 : 0);
			const today = text.slice(5, 10);
			const clock = incr >= 60 ? text.slice(11, 16) : text.slice(11);
			const label = incr >= 86400 ? today : today !== day && day !== '' ? `${clock}\n${today}` : clock;
			day = today;
			return label;
		});
	};
}
