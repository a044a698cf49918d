/* The query field: a plain text area at once, a real editor as soon as that is loaded. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Range } from '../api/types';
import type { Editor } from './editor_codemirror';

export interface QueryEditorProps {
	value: string;
	onChange: (text: string) => void;
	onRun: () => void;
	range: Range;
	error: { offset: number | null; message: string } | null;
}

export function QueryEditor(props: QueryEditorProps) {
	const host = useRef<HTMLDivElement>(null);
	const plain = useRef<HTMLTextAreaElement>(null);
	const editor = useRef<Editor | null>(null);
	const now = useRef(props);
	/* Texts that the editor told of and that have not come back as props yet: those must not be put into it again. */
	const told = useRef<string[]>([]);
	const [ready, setReady] = useState(false);
	now.current = props;

	useEffect(() => {
		let gone = false;
		import('./editor_codemirror').then(
			({ mount }) => {
				if (gone || host.current === null) return;
				const focused = document.activeElement === plain.current;
				editor.current = mount(host.current, now.current.value, { onChange: (t) => (told.current.push(t), now.current.onChange(t)), onRun: () => now.current.onRun(), range: () => now.current.range });
				setReady(true);
				if (focused) editor.current.focus();
			},
			() => {
				/* The text area goes on being the editor. */
			},
		);
		return () => {
			gone = true;
			editor.current?.destroy();
			editor.current = null;
		};
	}, []);
	useEffect(() => {
		const at = told.current.lastIndexOf(props.value);
		if (at !== -1) told.current.splice(0, at + 1);
		else {
			told.current = [];
			editor.current?.set(props.value);
		}
	}, [props.value, ready]);
	useEffect(() => editor.current?.error(props.error), [props.error?.offset, props.error?.message, ready]);

	return (
		<div class="query-editor">
			<div ref={host} class="query-editor-host" tabIndex={-1} onFocus={(e) => e.target === e.currentTarget && editor.current?.focus()} />
			{!ready && (
				<textarea
					ref={plain}
					class="mono"
					rows={1}
					aria-label="Query in LogQL"
					spellcheck={false}
					value={props.value}
					onInput={(e) => props.onChange(e.currentTarget.value)}
					onKeyDown={(e) => {
						if (e.key !== 'Enter' || e.shiftKey) return;
						e.preventDefault();
						props.onRun();
					}}
				/>
			)}
		</div>
	);
}
