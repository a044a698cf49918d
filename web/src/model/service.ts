/* Which service a line is of. */
import type { Labels } from '../api/types';

/** In this order; the first that a line has. */
export const SERVICE_LABELS = ['service_name', 'service', 'app', 'application', 'job', 'container', 'component'];

export function serviceLabel(labels: Labels): string | null {
	return SERVICE_LABELS.find((n) => labels[n] !== undefined && labels[n] !== 'unknown_service') ?? null;
}

export function serviceOf(labels: Labels): string {
	const name = serviceLabel(labels);
	return name === null ? (Object.values(labels)[0] ?? '') : labels[name]!;
}
