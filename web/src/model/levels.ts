/* Levels of log lines, as detected_level has them, from worst to least. */
import type { Entry, Labels } from '../api/types';

export const LEVELS = ['critical', 'error', 'warn', 'info', 'debug', 'trace', 'unknown'] as const;
export type Level = (typeof LEVELS)[number];

const NAMES: Record<string, Level> = {
	critical: 'critical', fatal: 'critical', alert: 'critical', emerg: 'critical', emergency: 'critical', crit: 'critical', panic: 'critical',
	error: 'error', err: 'error', severe: 'error',
	warn: 'warn', warning: 'warn',
	info: 'info', information: 'info', notice: 'info', informational: 'info',
	debug: 'debug', dbug: 'debug', trace: 'trace', verbose: 'trace',
};

export function levelOf(text: string | undefined): Level {
	return (text !== undefined && NAMES[text.trim().toLowerCase()]) || 'unknown';
}

function pick(l: Labels): string | undefined {
	return l.detected_level ?? l.level ?? l.severity ?? l.severity_text;
}

export function entryLevel(e: Pick<Entry, 'labels' | 'metadata'>): Level {
	return levelOf(pick(e.metadata) ?? pick(e.labels));
}

export function isError(l: Level): boolean {
	return l === 'error' || l === 'critical';
}
