/* Everything about one line: its text, its fields by where they come from, and where to go from here. */
import { useState } from 'preact/hooks';
import type { Scope } from '../api/entries';
import type { Entry, Labels } from '../api/types';
import type { FieldFilter } from '../model/logql';
import { visible } from '../model/text';
import { formatTime } from '../model/time';
import { traceIdOf } from '../model/trace_id';
import { href } from '../router';
import { zone } from '../settings';
import { JsonTree, jsonOf } from './json_tree';
import { LineText } from './line_text';
import { copyText } from './toast';

const STEP = 100;

interface GroupProps {
	title: string;
	fields: Labels;
	origin: FieldFilter['origin'];
	onFilter?: ((f: FieldFilter) => void) | undefined;
}

function Group({ title, fields, origin, onFilter }: GroupProps) {
	const [shown, setShown] = useState(STEP);
	const names = Object.keys(fields);

	if (names.length === 0) return null;
	return (
		<section class="fields" aria-label={title}>
			<h3>{title}</h3>
			<dl>
				{names.slice(0, shown).map((name) => (
					<div key={name}>
						<dt>{visible(name)}</dt>
						<dd>
							<span class="field-value mono">{visible(fields[name]!.slice(0, 4096))}</span>
							<span class="field-actions">
								{onFilter && (
									<>
										<button title="Only this value" aria-label={`Only ${visible(name)} ${visible(fields[name]!.slice(0, 100))}`} onClick={() => onFilter({ origin, name, value: fields[name]!, exclude: false })}>
											+
										</button>
										<button title="Without this value" aria-label={`Without ${visible(name)} ${visible(fields[name]!.slice(0, 100))}`} onClick={() => onFilter({ origin, name, value: fields[name]!, exclude: true })}>
											−
										</button>
									</>
								)}
								<button title="Copy" aria-label={`Copy ${visible(name)}`} onClick={() => copyText(fields[name]!)}>
									copy
								</button>
							</span>
						</dd>
					</div>
				))}
			</dl>
			{names.length > shown && (
				<button class="show-all" onClick={() => setShown(shown + STEP * 5)}>
					{names.length - shown} more fields
				</button>
			)}
		</section>
	);
}

/** Metadata that describes the scope (the instrumentation library), and the rest. */
function byOrigin(metadata: Labels): { scope: Labels; metadata: Labels } {
	const out: { scope: Labels; metadata: Labels } = { scope: {}, metadata: {} };
	for (const [k, v] of Object.entries(metadata)) (/^scope_(name|version)$/.test(k) ? out.scope : out.metadata)[k] = v;
	return out;
}

export interface EntryDetailsProps {
	entry: Entry;
	onFilter?: (f: FieldFilter) => void;
	onContext?: (e: Entry, scope: Scope) => void;
	onTrace?: (id: string, e: Entry, full: boolean) => void;
	permalink?: string;
}

export function EntryDetails({ entry, onFilter, onContext, onTrace, permalink }: EntryDetailsProps) {
	const trace = traceIdOf(entry);
	const json = jsonOf(entry.line);
	const { scope, metadata } = byOrigin(entry.metadata);

	return (
		<div class="details">
			<div class="details-actions">
				<time class="mono soft" dateTime={formatTime(entry.ts, 'utc', 9)}>
					{formatTime(entry.ts, zone.value, 9)}
				</time>
				{onContext && (
					<>
						<button class="button" onClick={() => onContext(entry, 'source')}>
							Lines around
						</button>
						<button class="button" onClick={() => onContext(entry, 'service')}>
							Service ±1 min
						</button>
						<button class="button" onClick={() => onContext(entry, 'all')}>
							All ±1 min
						</button>
					</>
				)}
				{trace !== null &&
					(onTrace ? (
						<button class="button" onClick={(e) => onTrace(trace, entry, e.shiftKey)}>
							⌁ Same trace
						</button>
					) : (
						<a class="button" href={href(`trace/${encodeURIComponent(trace)}`)}>
							⌁ Trace
						</a>
					))}
				<button class="button quiet" onClick={() => copyText(entry.line, 'Line copied')}>
					Copy line
				</button>
				{permalink !== undefined && (
					<button class="button quiet" onClick={() => copyText(new URL(permalink, window.location.href).href, 'Link copied')}>
						Copy link
					</button>
				)}
			</div>
			{json !== undefined ? (
				<div class="details-json mono">
					<JsonTree value={json} />
				</div>
			) : (
				<pre class="details-line">
					<LineText line={entry.line} breaks />
				</pre>
			)}
			<div class="details-fields">
				<Group title="Labels" fields={entry.labels} origin="label" onFilter={onFilter} />
				<Group title="Metadata" fields={metadata} origin="metadata" onFilter={onFilter} />
				<Group title="Scope" fields={scope} origin="metadata" onFilter={onFilter} />
				<Group title="Parsed" fields={entry.parsed} origin="parsed" onFilter={onFilter} />
			</div>
		</div>
	);
}
