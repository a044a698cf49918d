/* The fields of lines and their frequent values. */
import type { FieldFilter } from '../model/logql';
import { getJson } from './client';
import type { Range } from './types';

export interface Field {
	name: string;
	origin: FieldFilter['origin'];
	type: string;
	exact: boolean;
	lines: number;
	values: number;
	more?: boolean;
	parser?: 'json' | 'logfmt';
	top: { value: string; lines: number }[];
}

export interface Fields {
	sampled: number;
	complete: boolean;
	fields: Field[];
}

export async function fetchFields(query: string, range: Range, abort: AbortSignal): Promise<Fields> {
	return getJson<Fields>('/api/v1/fields', { query, ...range }, abort);
}
