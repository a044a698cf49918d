/* The query editor: CodeMirror with LogQL's grammar, in a shadow root, where its styles are constructed sheets and the
 * page's Content-Security-Policy holds. Loaded when the page is there. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewline } from '@codemirror/commands';
import { HighlightStyle, LRLanguage, bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { setDiagnostics } from '@codemirror/lint';
import { Annotation, EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, placeholder } from '@codemirror/view';
import { parser } from '@grafana/lezer-logql';
import { tags } from '@lezer/highlight';
import { fieldNames, labelNames, labelValues } from '../api/complete';
import type { Range } from '../api/types';
import { FUNCTIONS, STAGES, expectedAt } from '../model/complete';
import { quote } from '../model/logql';

export interface EditorHandlers {
	onChange: (text: string) => void;
	onRun: () => void;
	range: () => Range;
}

export interface Editor {
	set: (text: string) => void;
	error: (at: { offset: number | null; message: string } | null) => void;
	focus: () => void;
	destroy: () => void;
}

/* A change that comes from the page is not told to it again. */
const fromPage = Annotation.define<boolean>();

const colours = HighlightStyle.define([
	{ tag: tags.string, color: 'var(--level-info)' },
	{ tag: [tags.number, tags.literal], color: 'var(--level-warn)' },
	{ tag: [tags.keyword, tags.operatorKeyword, tags.modifier, tags.function(tags.variableName)], color: 'var(--accent)' },
	{ tag: tags.labelName, color: 'var(--level-critical)' },
	{ tag: [tags.comment, tags.lineComment], color: 'var(--text-soft)', fontStyle: 'italic' },
]);

const look = EditorView.theme({
	'&': { color: 'var(--text)', backgroundColor: 'var(--bg)', fontSize: '13px', border: '1px solid var(--line)', borderRadius: 'var(--radius)' },
	'&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
	'.cm-content': { fontFamily: 'var(--mono)', padding: '5px 4px', caretColor: 'var(--text)' },
	'.cm-scroller': { maxHeight: '30vh', lineHeight: '18px', overflow: 'auto' },
	'.cm-cursor': { borderLeftColor: 'var(--text)' },
	'.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--bg-select) !important' },
	'.cm-matchingBracket': { backgroundColor: 'var(--bg-select) !important' },
	'.cm-placeholder': { color: 'var(--text-soft)' },
	'.cm-tooltip': { backgroundColor: 'var(--bg)', color: 'var(--text)', border: '1px solid var(--line)', boxShadow: 'var(--shadow)' },
	'.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--accent-text)' },
	'.cm-diagnostic': { padding: '4px 8px' },
});

async function complete(c: CompletionContext, range: Range): Promise<CompletionResult | null> {
	const q = c.state.doc.toString();
	const at = expectedAt(q, c.pos);
	if (at === null) return null;
	const words = (list: string[], type: string) => ({ from: at.from, options: list.map((label) => ({ label, type })) });
	switch (at.what) {
		case 'label':
			return words(await labelNames(range), 'property');
		case 'value': {
			const values = await labelValues(at.name, range, at.selector);
			return { from: at.from, options: values.map((v) => ({ label: v, apply: quote(v).slice(1, -1), type: 'text' })), validFor: /^[^"`]*$/ };
		}
		case 'field':
			return words([...new Set([...(await labelNames(range)), ...(await fieldNames(at.query, range))])], 'property');
		case 'stage':
			return words([...STAGES, 'detected_level', ...(await fieldNames(q.slice(0, at.from).replace(/\|\s*$/, ''), range))], 'keyword');
		case 'function':
			return c.explicit || c.matchBefore(/\w+/) ? words(FUNCTIONS, 'function') : null;
	}
}

export function mount(host: HTMLElement, text: string, h: EditorHandlers): Editor {
	const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
	const run = () => (h.onRun(), true);
	const view = new EditorView({
		root,
		parent: root,
		state: EditorState.create({
			doc: text,
			extensions: [
				Prec.highest(keymap.of([{ key: 'Mod-Enter', run }])),
				history(),
				closeBrackets(),
				bracketMatching(),
				LRLanguage.define({ parser, languageData: { closeBrackets: { brackets: ['(', '[', '{', '"', '`'] }, commentTokens: { line: '#' } } }),
				syntaxHighlighting(colours),
				autocompletion({ override: [(c) => complete(c, h.range())], activateOnTyping: true, icons: false }),
				keymap.of([...closeBracketsKeymap, ...completionKeymap, { key: 'Enter', run }, { key: 'Shift-Enter', run: insertNewline }, { key: 'Ctrl-Space', run: startCompletion }, ...historyKeymap, ...defaultKeymap]),
				EditorView.lineWrapping,
				EditorView.contentAttributes.of({ 'aria-label': 'Query in LogQL' }),
				placeholder('{service_name="…"} |= "text" | json | status >= 500'),
				EditorView.updateListener.of((u) => u.docChanged && !u.transactions.some((t) => t.annotation(fromPage)) && h.onChange(u.state.doc.toString())),
				look,
			],
		}),
	});
	return {
		set: (t) => {
			if (t !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: t }, annotations: fromPage.of(true) });
		},
		error: (at) => {
			const n = view.state.doc.length;
			const from = Math.min(at?.offset ?? 0, n);
			const to = at?.offset === null ? n : Math.min(n, from + Math.max(1, /^[\w"]*/.exec(view.state.sliceDoc(from, from + 64))?.[0].length ?? 1));
			view.dispatch(setDiagnostics(view.state, at === null ? [] : [{ from: from === n ? Math.max(0, n - 1) : from, to: Math.max(to, from), severity: 'error', message: at.message }]));
		},
		focus: () => view.focus(),
		destroy: () => view.destroy(),
	};
}
