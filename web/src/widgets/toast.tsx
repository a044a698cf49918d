/* Short messages at the edge of the page, read out by screen readers. */
import { signal } from '@preact/signals';

interface Toast {
	id: number;
	text: string;
	error: boolean;
}

const toasts = signal<Toast[]>([]);
let next = 1;

export function toast(text: string, error = false): void {
	const t = { id: next++, text, error };
	toasts.value = [...toasts.value, t].slice(-3);
	setTimeout(() => {
		toasts.value = toasts.value.filter((x) => x !== t);
	}, error ? 8000 : 2500);
}

/** Copies text and says so. */
export async function copyText(text: string, what = 'Copied'): Promise<void> {
	try {
		await navigator.clipboard.writeText(text);
		toast(what);
	} catch {
		toast('The browser did not allow copying', true);
	}
}

export function Toasts() {
	return (
		<div class="toasts" role="status" aria-live="polite">
			{toasts.value.map((t) => (
				<div key={t.id} class={t.error ? 'toast error' : 'toast'}>
					{t.text}
				</div>
			))}
		</div>
	);
}
