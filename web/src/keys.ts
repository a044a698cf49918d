/* Keys: a page says which it knows, while it is shown; the help dialog (`?`) lists them. Not while someone types. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

export interface Key {
	key: string; // as KeyboardEvent.key has it: 'j', 'Enter', '?', '['
	what: string;
	run: (e: KeyboardEvent) => void;
	always?: boolean; // also while someone types, with Ctrl or Cmd
}

const active = signal<Key[][]>([]);

export function allKeys(): Key[] {
	return active.value.flat();
}

export function useKeys(keys: Key[], deps: unknown[] = []): void {
	useEffect(() => {
		active.value = [...active.peek(), keys];
		return () => {
			active.value = active.peek().filter((k) => k !== keys);
		};
	}, deps);
}

function isTyping(e: KeyboardEvent): boolean {
	const t = e.composedPath()[0] as HTMLElement | undefined;
	return t !== undefined && (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName ?? ''));
}

export function listenToKeys(): void {
	window.addEventListener('keydown', (e) => {
		if (e.defaultPrevented) return;
		const ctrl = e.ctrlKey || e.metaKey;
		if (!ctrl && (e.altKey || isTyping(e) || document.querySelector('dialog[open]'))) return;
		const found = active.value
			.flat()
			.reverse()
			.find((k) => k.key === e.key && (k.always ?? false) === ctrl);
		/* Enter and Space belong to the button or link that has the focus. */
		if (!found || (e.key === 'Enter' && !ctrl && (e.target as Element | null)?.closest?.('button,a,summary'))) return;
		e.preventDefault();
		found.run(e);
	});
}
