/* A modal dialog: the browser's own, so that focus and Escape work. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export function Dialog({ title, onClose, children, wide }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
	const ref = useRef<HTMLDialogElement>(null);

	useEffect(() => {
		ref.current?.showModal();
	}, []);
	return (
		<dialog ref={ref} class={wide ? 'wide' : ''} aria-label={title} onClose={onClose} onClick={(e) => e.target === ref.current && onClose()}>
			<div class="dialog-head">
				<h2>{title}</h2>
				<button class="button quiet" aria-label="Close" onClick={onClose}>
					✕
				</button>
			</div>
			<div class="dialog-body">{children}</div>
		</dialog>
	);
}
