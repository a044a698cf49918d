/* A JSON value as a tree that opens step by step, so that large ones cost nothing before they are looked at. */
import { useState } from 'preact/hooks';
import { visible } from '../model/text';

const STEP = 100; // members shown at once
const MAX_DEPTH = 200;

function Leaf({ value }: { value: unknown }) {
	const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
	return <span class={`json-${value === null ? 'null' : typeof value}`}>{visible(text.length > 2000 ? `${text.slice(0, 2000)}…` : text)}</span>;
}

function Branch({ name, value, depth }: { name: string | null; value: object; depth: number }) {
	const [open, setOpen] = useState(depth < 2);
	const [shown, setShown] = useState(STEP);
	const array = Array.isArray(value);
	const keys = Object.keys(value);

	return (
		<div class="json-branch">
			<button class="json-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>
				{open ? '▾' : '▸'} {name !== null && <span class="json-key">{visible(name)}: </span>}
				<span class="soft">{array ? `[${keys.length}]` : `{${keys.length}}`}</span>
			</button>
			{open && (
				<div class="json-children">
					{keys.slice(0, shown).map((k) => (
						<JsonTree key={k} name={k} value={(value as Record<string, unknown>)[k]} depth={depth + 1} />
					))}
					{keys.length > shown && (
						<button class="show-all" onClick={() => setShown(shown + STEP * 5)}>
							{keys.length - shown} more
						</button>
					)}
				</div>
			)}
		</div>
	);
}

export function JsonTree({ value, name = null, depth = 0 }: { value: unknown; name?: string | null; depth?: number }) {
	if (value !== null && typeof value === 'object' && depth < MAX_DEPTH) return <Branch name={name} value={value} depth={depth} />;
	return (
		<div class="json-leaf">
			{name !== null && <span class="json-key">{visible(name)}: </span>}
			<Leaf value={value} />
		</div>
	);
}

/** The object or array that a line is; undefined: it is none. */
export function jsonOf(line: string): object | undefined {
	const text = line.trimStart();
	if (text.length > 2_000_000 || !/^[{[]/.test(text)) return undefined;
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null ? value : undefined;
	} catch {
		return undefined;
	}
}
