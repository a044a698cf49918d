/* A trace beside the lines: its spans and lines at a glance. */
import { useEffect, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api/client';
import { fetchTrace } from '../api/traces';
import type { Entry } from '../api/types';
import { formatDuration } from '../model/time';
import { buildTrace, type Trace } from '../model/trace_tree';
import { href } from '../router';
import { Dialog } from './dialog';
import { EntryDetails } from './entry_details';
import { Waterfall } from './waterfall';

export function TraceDrawer({ traceId, onClose }: { traceId: string; onClose: () => void }) {
	const [trace, setTrace] = useState<Trace | null>(null);
	const [error, setError] = useState<string | null>(null);
	const [entry, setEntry] = useState<Entry | null>(null);

	useEffect(() => {
		const abort = new AbortController();
		fetchTrace(traceId, abort.signal).then(
			(t) => setTrace(buildTrace(t.entries)),
			(e) => isAbort(e) || setError(errorText(e)),
		);
		return () => abort.abort();
	}, [traceId]);

	return (
		<Dialog title={`Trace ${traceId.slice(0, 32)}`} onClose={onClose} wide>
			<p>
				<a class="button" href={href(`trace/${encodeURIComponent(traceId)}`)}>
					Open the trace page
				</a>{' '}
				{trace !== null && (
					<span class="soft">
						{trace.spans.length} spans from {trace.spans.reduce((n, s) => n + s.lines.length, trace.loose.length)} lines · {trace.services.length} services · {formatDuration(trace.end - trace.start)} · {trace.errors} errors
					</span>
				)}
			</p>
			{error !== null && (
				<p class="error-text" role="alert">
					{error}
				</p>
			)}
			{trace === null && error === null && <p class="soft">Loading …</p>}
			{trace !== null && <Waterfall trace={trace} selected={null} onSpan={(s) => setEntry(s.lines[0] ?? null)} onLine={setEntry} lines />}
			{entry !== null && <EntryDetails entry={entry} />}
		</Dialog>
	);
}
