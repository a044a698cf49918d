/* The queries of this browser, the newest first, each once. */
export const MAX_HISTORY = 100;

export function remember(list: string[], query: string): string[] {
	return [query, ...list.filter((q) => q !== query)].slice(0, MAX_HISTORY);
}

export function parseHistory(text: string | null): string[] {
	try {
		const v: unknown = JSON.parse(text ?? '[]');
		return Array.isArray(v) ? v.filter((q): q is string => typeof q === 'string').slice(0, MAX_HISTORY) : [];
	} catch {
		return [];
	}
}
