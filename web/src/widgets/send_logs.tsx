/* Where to send logs, ready to paste: for each sender what it takes, with this server's own address. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { getJson, tenant } from '../api/client';
import { SNIPPETS } from '../model/snippets';
import { copyText } from './toast';

const known = signal<boolean | null>(null);

/** Has the server any logs? null: not known yet (or not allowed to ask). Asks again until it has. */
export function useHasLogs(): boolean | null {
	useEffect(() => {
		if (known.value === true) return;
		let timer = 0;
		let gone = false;
		const ask = async () => {
			try {
				const a = await getJson<{ data?: string[] }>('/loki/api/v1/labels', { since: '720h' });
				known.value = (a.data ?? []).length > 0;
			} catch {
				known.value = true; // whatever is wrong is shown where it matters
			}
			if (known.value === false && !gone) timer = window.setTimeout(ask, 2000);
		};
		void ask();
		return () => {
			gone = true;
			clearTimeout(timer);
		};
	}, []);
	return known.value;
}

export function SendLogs({ first = false }: { first?: boolean }) {
	const [name, setName] = useState(SNIPPETS[0]!.name);
	const snippet = SNIPPETS.find((s) => s.name === name)!;
	const text = snippet.text(window.location.origin, tenant.value);

	return (
		<section class={first ? 'send-logs first' : 'send-logs'} aria-label="Send logs here">
			{first ? <h1>Send logs here</h1> : <h2>Send logs here</h2>}
			{first && (
				<p class="soft">
					<span class="spinner" aria-hidden="true" /> No lines have arrived yet. This page goes on by itself when the first one does.
				</p>
			)}
			<div class="send-tabs" role="group" aria-label="Sender">
				{SNIPPETS.map((s) => (
					<button key={s.name} class="button" aria-pressed={s.name === name} onClick={() => setName(s.name)}>
						{s.name}
					</button>
				))}
			</div>
			<p class="soft">{snippet.where}</p>
			<div class="send-text">
				<pre tabIndex={0}>{text}</pre>
				<button class="button" onClick={() => copyText(text)}>
					Copy
				</button>
			</div>
		</section>
	);
}
