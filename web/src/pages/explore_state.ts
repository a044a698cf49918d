/* What Explore shows, as it stands in the address: everything a colleague needs to see the same. */
import type { Direction, Ns, Range } from '../api/types';
import { isMetric } from '../model/logql';
import { REPEATS, type Repeats } from '../model/repeats';
import { nowNs, resolve, type TimeSpec } from '../model/time';
import { href, type Location } from '../router';

export type View = 'logs' | 'table' | 'patterns' | 'chart';
export const VIEWS: readonly View[] = ['logs', 'table', 'patterns', 'chart'];

/** Every stream has service_name. */
export const ALL_STREAMS = '{service_name=~".+"}';

export interface ExploreState {
	query: string;
	spec: TimeSpec;
	direction: Direction;
	columns: string[];
	view: View;
	repeats: Repeats;
	/** A line that the address names: its time and its id. */
	anchor: { ts: Ns; id: string } | null;
}

/** An address is written by anyone: what makes no sense is as if it were not there. */
export function stateOf(l: Location): ExploreState {
	const p = l.params;
	const query = p.get('q')?.trim() || ALL_STREAMS;
	const spec = { from: p.get('from') ?? 'now-1h', to: p.get('to') ?? 'now' };
	const view = p.get('view') as View | null;
	const repeats = p.get('repeats') as Repeats | null;
	const id = /^(\d{1,19})-[0-9a-f]{16}$/.exec(l.hash);
	return {
		query,
		spec: resolve(spec, nowNs()) === null ? { from: 'now-1h', to: 'now' } : spec,
		direction: p.get('dir') === 'forward' ? 'forward' : 'backward',
		columns: (p.get('cols') ?? '').split(',').filter((c) => c !== '').slice(0, 20),
		view: isMetric(query) ? 'chart' : view !== null && VIEWS.includes(view) && view !== 'chart' ? view : 'logs',
		repeats: repeats !== null && REPEATS.includes(repeats) ? repeats : 'all',
		anchor: id ? { ts: id[1]!, id: id[0] } : null,
	};
}

export function addressOf(s: ExploreState, hash = ''): string {
	return href(
		'',
		{
			q: s.query === ALL_STREAMS ? undefined : s.query,
			from: s.spec.from === 'now-1h' && s.spec.to === 'now' ? undefined : s.spec.from,
			to: s.spec.to === 'now' ? undefined : s.spec.to,
			dir: s.direction === 'backward' ? undefined : s.direction,
			cols: s.columns.join(','),
			view: s.view === 'logs' || s.view === 'chart' ? undefined : s.view,
			repeats: s.repeats === 'all' ? undefined : s.repeats,
		},
		hash,
	);
}

export function absolute(range: Range): TimeSpec {
	return { from: range.start, to: range.end };
}
