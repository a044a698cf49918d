/* A query in the words of other tools. */
import type { Direction, Range } from '../api/types';
import { isMetric } from './logql';
import type { TimeSpec } from './time';
import { rfc3339 } from './time';

/** For a POSIX shell; nothing inside the quotes means anything. */
export function shellQuote(text: string): string {
	return `'${text.replace(/'/g, "'\\''")}'`;
}

export function asCurl(origin: string, query: string, range: Range, direction: Direction, tenant: string): string {
	const header = tenant === '' ? '' : ` -H ${shellQuote(`X-Scope-OrgID: ${tenant}`)}`;
	return `curl -sG${header} ${shellQuote(`${origin}/loki/api/v1/query_range`)} --data-urlencode ${shellQuote(`query=${query}`)} --data-urlencode start=${range.start} --data-urlencode end=${range.end} --data-urlencode direction=${direction} --data-urlencode limit=1000`;
}

export function asLogcli(origin: string, query: string, range: Range, direction: Direction, tenant: string): string {
	const org = tenant === '' ? '' : ` --org-id=${shellQuote(tenant)}`;
	return `logcli query --addr=${shellQuote(origin)}${org} --from=${shellQuote(rfc3339(range.start))} --to=${shellQuote(rfc3339(range.end))}${direction === 'forward' ? ' --forward' : ''}${isMetric(query) ? '' : ' --limit=1000'} -- ${shellQuote(query)}`;
}

/** A link to Explore of the Grafana at that address, with its Loki data source named "spoor". */
export function asGrafana(grafana: string, query: string, spec: TimeSpec, range: Range): string {
	const ms = (ns: string) => (BigInt(ns) / 1_000_000n).toString();
	const relative = spec.from.startsWith('now') && spec.to.startsWith('now');
	const panes = { spoor: { datasource: 'spoor', queries: [{ refId: 'A', expr: query, datasource: { type: 'loki', uid: 'spoor' } }], range: relative ? spec : { from: ms(range.start), to: ms(range.end) } } };
	return `${grafana.replace(/\/+$/, '')}/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify(panes))}`;
}
