/* The text of a line: colours of ANSI escapes, marks where the query matched, and what hides shown as chips. Log text
 * becomes text nodes only. */
import { useMemo, useState } from 'preact/hooks';
import { hasAnsi, parseAnsi } from '../model/ansi';
import { formatCount } from '../model/format';
import type { Needle } from '../model/logql';
import { cutLine, hasEscapedBreaks, segments, unescapeBreaks } from '../model/text';

function pattern(needles: Needle[]): RegExp | null {
	const sources = needles.flatMap((n) => {
		const source = n.regex ? n.text : n.text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
		/* Patterns are for another engine: only plain ones are marked here, for the others could take for ever. */
		if (n.regex && !/^[\w\s|.:/=-]+$/.test(source)) return [];
		return [source];
	});
	return sources.length === 0 ? null : new RegExp(sources.slice(0, 20).join('|'), needles.some((n) => n.ignoreCase) ? 'gi' : 'g');
}

function Plain({ text }: { text: string }) {
	return (
		<>
			{segments(text).map((s, i) => (s.escaped ? <span key={i} class="chip-escape">{s.text}</span> : s.text))}
		</>
	);
}

function Marked({ text, find }: { text: string; find: RegExp | null }) {
	if (find === null) return <Plain text={text} />;
	const out = [];
	let from = 0;
	for (const m of text.matchAll(find)) {
		if (m[0] === '' || out.length > 400) continue;
		out.push(<Plain key={from} text={text.slice(from, m.index)} />, <mark key={`m${m.index}`}><Plain text={m[0]} /></mark>);
		from = m.index + m[0].length;
	}
	return (
		<>
			{out}
			<Plain text={text.slice(from)} />
		</>
	);
}

export interface LineTextProps {
	line: string;
	highlight?: Needle[];
	/** Characters shown before "show all". */
	max?: number;
	/** Line breaks that were written as \n become line breaks. */
	breaks?: boolean;
}

export function LineText({ line, highlight = [], max, breaks = false }: LineTextProps) {
	const [all, setAll] = useState(false);
	const find = useMemo(() => pattern(highlight), [highlight]);
	const cut = all ? { text: line, cut: 0 } : cutLine(line, max);
	const text = breaks && hasEscapedBreaks(cut.text) ? unescapeBreaks(cut.text) : cut.text;

	return (
		<>
			{hasAnsi(text) ? (
				parseAnsi(text).map((r, i) => (
					<span key={i} class={r.cls}>
						<Marked text={r.text} find={find} />
					</span>
				))
			) : (
				<Marked text={text} find={find} />
			)}
			{cut.cut > 0 && (
				<button
					class="show-all"
					onClick={(e) => {
						e.stopPropagation();
						setAll(true);
					}}
				>
					show {formatCount(cut.cut)} more characters
				</button>
			)}
		</>
	);
}
