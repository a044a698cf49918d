/* What this browser remembers: theme, zone of times, how lines are laid out. */
import { effect, signal } from '@preact/signals';
import type { Zone } from './model/time';

function stored<T extends string>(name: string, def: T, valid: readonly T[]) {
	const was = localStorage.getItem(`spoor.${name}`) as T | null;
	const s = signal<T>(was !== null && valid.includes(was) ? was : def);
	effect(() => localStorage.setItem(`spoor.${name}`, s.value));
	return s;
}

export const theme = stored<'auto' | 'light' | 'dark'>('theme', 'auto', ['auto', 'light', 'dark']);
export const zone = stored<Zone>('zone', 'local', ['local', 'utc']);
export const wrap = stored<'on' | 'off'>('wrap', 'off', ['on', 'off']);
export const density = stored<'compact' | 'comfortable'>('density', 'compact', ['compact', 'comfortable']);

effect(() => {
	if (theme.value === 'auto') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme.value;
});
effect(() => {
	document.documentElement.dataset.density = density.value;
});
