/* From when to when: quick ranges, typed times, the zone, back and forward, in and out. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { useKeys } from '../keys';
import { fieldText, QUICK, rangeName, shift, typedTime, zoomIn, zoomOut } from '../model/ranges';
import { nowNs, resolve, type TimeSpec } from '../model/time';
import { zone } from '../settings';

export interface TimePickerProps {
	spec: TimeSpec;
	onChange(spec: TimeSpec): void;
}

function Typed({ spec, onChange }: TimePickerProps) {
	const [from, setFrom] = useState(fieldText(spec.from, zone.value));
	const [to, setTo] = useState(fieldText(spec.to, zone.value));
	const [error, setError] = useState<string | null>(null);

	useEffect(() => {
		setFrom(fieldText(spec.from, zone.value));
		setTo(fieldText(spec.to, zone.value));
	}, [spec.from, spec.to, zone.value]);

	const use = () => {
		const now = nowNs();
		const a = typedTime(from, zone.value, now);
		const b = typedTime(to, zone.value, now);
		if (a === null || b === null) return setError(`${a === null ? 'From' : 'To'}: no time that can be understood`);
		if (resolve({ from: a, to: b }, now) === null) return setError('From must be before To');
		setError(null);
		onChange({ from: a, to: b });
	};
	return (
		<form
			class="form"
			onSubmit={(e) => {
				e.preventDefault();
				use();
			}}
		>
			<label>
				From
				<input class="mono" value={from} onInput={(e) => setFrom(e.currentTarget.value)} spellcheck={false} autocomplete="off" />
			</label>
			<label>
				To
				<input class="mono" value={to} onInput={(e) => setTo(e.currentTarget.value)} spellcheck={false} autocomplete="off" />
			</label>
			<p class="time-hint soft">2026-11-24 10:30:00.123 · now-90m · 2d · Unix s, ms or ns · RFC 3339</p>
			{error !== null && (
				<p class="error-text" role="alert">
					{error}
				</p>
			)}
			<button class="button primary">Use</button>
		</form>
	);
}

function ZoneSwitch() {
	return (
		<div class="time-zone" role="group" aria-label="Zone of times">
			<button class="button" aria-pressed={zone.value === 'local'} onClick={() => (zone.value = 'local')}>
				Local ({Intl.DateTimeFormat().resolvedOptions().timeZone})
			</button>
			<button class="button" aria-pressed={zone.value === 'utc'} onClick={() => (zone.value = 'utc')}>
				UTC
			</button>
		</div>
	);
}

export function TimePicker({ spec, onChange }: TimePickerProps) {
	const [open, setOpen] = useState(false);
	const root = useRef<HTMLDivElement>(null);
	const button = useRef<HTMLButtonElement>(null);
	const pick = (s: TimeSpec) => {
		setOpen(false);
		button.current?.focus();
		onChange(s);
	};

	useEffect(() => {
		if (!open) return;
		const outside = (e: Event) => {
			if (!root.current?.contains(e.target as Node)) setOpen(false);
		};
		document.addEventListener('pointerdown', outside);
		return () => document.removeEventListener('pointerdown', outside);
	}, [open]);
	useKeys(
		[
			{ key: '[', what: 'earlier', run: () => onChange(shift(spec, -1)) },
			{ key: ']', what: 'later', run: () => onChange(shift(spec, 1)) },
			{ key: '+', what: 'shorter time (zoom in)', run: () => onChange(zoomIn(spec)) },
			{ key: '-', what: 'longer time (zoom out)', run: () => onChange(zoomOut(spec, 2n)) },
		],
		[spec.from, spec.to, onChange],
	);
	const name = rangeName(spec, zone.value);
	return (
		<div
			class="time-picker"
			ref={root}
			onKeyDown={(e) => {
				if (e.key !== 'Escape' || !open) return;
				e.stopPropagation();
				setOpen(false);
				button.current?.focus();
			}}
		>
			<button class="button time-name" ref={button} aria-haspopup="dialog" aria-expanded={open} title={`Time range, ${zone.value === 'utc' ? 'UTC' : 'local time'}`} onClick={() => setOpen(!open)}>
				<span>{name}</span> {zone.value === 'utc' && <small class="soft">UTC</small>} <span aria-hidden="true">▾</span>
			</button>
			<button class="button quiet" aria-label="Earlier" title="Earlier ([)" onClick={() => onChange(shift(spec, -1))}>
				◀
			</button>
			<button class="button quiet" aria-label="Later" title="Later (])" disabled={spec.to === 'now'} onClick={() => onChange(shift(spec, 1))}>
				▶
			</button>
			<button class="button quiet" aria-label="Zoom out" title="Zoom out (-)" onClick={() => onChange(zoomOut(spec, 2n))}>
				⊖
			</button>
			{open && (
				<div class="time-menu" role="dialog" aria-label="Time range">
					<div class="time-quick" role="group" aria-label="Quick ranges">
						{QUICK.map((q) => (
							<button key={q.from} class="button quiet" aria-pressed={spec.to === 'now' && spec.from === q.from} onClick={() => pick({ from: q.from, to: 'now' })}>
								{q.name}
							</button>
						))}
					</div>
					<div class="time-own">
						<Typed spec={spec} onChange={pick} />
						<ZoneSwitch />
					</div>
				</div>
			)}
		</div>
	);
}
