/* What may stand at the cursor of a query. Pure: names and values are asked for by who calls. */
import { logPart, tokens } from './logql';

export type Expected =
	| { what: 'label'; from: number } // a name inside { }
	| { what: 'value'; from: number; name: string; selector: string } // inside the quotes
	| { what: 'stage'; from: number } // behind a |
	| { what: 'field'; from: number; query: string } // a name behind "| json |" and the like, or in by ( )
	| { what: 'function'; from: number }
	| null;

export const STAGES = ['json', 'logfmt', 'pattern', 'regexp', 'unpack', 'line_format', 'label_format', 'unwrap', 'drop', 'keep', 'decolorize', 'distinct'];
export const FUNCTIONS = [
	'rate', 'count_over_time', 'bytes_rate', 'bytes_over_time', 'sum_over_time', 'avg_over_time', 'min_over_time', 'max_over_time', 'first_over_time', 'last_over_time',
	'quantile_over_time', 'stddev_over_time', 'stdvar_over_time', 'absent_over_time', 'rate_counter', 'sum', 'avg', 'min', 'max', 'count', 'topk', 'bottomk', 'stddev', 'stdvar',
	'sort', 'sort_desc', 'label_replace', 'vector', 'approx_topk',
];

export function expectedAt(q: string, pos: number): Expected {
	const before = tokens(q.slice(0, pos));
	const last = before.at(-1);
	const typed = last !== undefined && last.kind === 'word' && last.to === pos ? last : undefined;
	const inString = last?.kind === 'string' && last.to >= pos && (last.text.length === 1 || last.text.at(-1) !== last.text[0]);
	const prev = typed ? before.at(-2) : last;
	const from = typed?.from ?? pos;
	let open = -1;

	for (let i = before.length - 1, depth = 0; i >= 0; i--) {
		const t = before[i]!;
		if (t.kind === 'close') depth++;
		else if (t.kind === 'open' && depth-- === 0) {
			open = i;
			break;
		}
	}
	const bracket = open === -1 ? undefined : before[open];
	if (inString) {
		const op = before.at(-2);
		const name = before.at(-3);
		if (bracket?.text !== '{' || !op || !name || !['=', '!=', '=~', '!~'].includes(op.text)) return null;
		const rest = q.slice(bracket.to, name.from).replace(/,\s*$/, '');
		return { what: 'value', from: last!.from + 1, name: name.text, selector: rest.trim() === '' ? '' : `{${rest}}` };
	}
	if (bracket?.text === '{') return prev === bracket || prev?.text === ',' ? { what: 'label', from } : null;
	if (bracket?.text === '(' && ['by', 'without'].includes(before[open - 1]?.text ?? '')) return { what: 'field', from, query: logPart(q) ?? '' };
	if (prev?.text === '|') return { what: 'stage', from };
	if (prev?.text === 'unwrap' || prev?.text === 'keep' || prev?.text === 'drop') return { what: 'field', from, query: logPart(q.slice(0, pos)) ?? '' };
	if (prev === undefined || prev.text === '(' || ['+', '-', '*', '/'].includes(prev.text)) return { what: 'function', from };
	return null;
}
