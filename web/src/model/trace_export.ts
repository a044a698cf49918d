/* A trace as one file: JSON, or a page that needs no server. */
import type { TraceAnswer } from '../api/types';
import { visible } from './text';
import { rfc3339 } from './time';

export function escapeHtml(text: string): string {
	return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function traceHtml(t: TraceAnswer): string {
	const rows = t.entries
		.map((e) => `<tr><td>${escapeHtml(rfc3339(e.ts))}</td><td>${escapeHtml(visible(e.metadata.detected_level ?? e.labels.level ?? ''))}</td><td>${escapeHtml(visible(e.labels.service_name ?? ''))}</td><td>${escapeHtml(visible(e.metadata.span_id ?? ''))}</td><td class="l">${escapeHtml(visible(e.line))}</td></tr>`)
		.join('\n');
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Trace ${escapeHtml(t.trace_id)}</title>
<style>body{font:13px sans-serif;margin:16px;color-scheme:light dark}table{border-collapse:collapse}td,th{padding:2px 10px;border-bottom:1px solid #8884;text-align:left;vertical-align:top;white-space:nowrap}.l{font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere}</style></head>
<body><h1>Trace ${escapeHtml(t.trace_id)}</h1><p>${t.entries.length} lines, ${escapeHtml(t.start === null ? '' : rfc3339(t.start))} to ${escapeHtml(t.end === null ? '' : rfc3339(t.end))}</p>
<table><tr><th>Time</th><th>Level</th><th>Service</th><th>Span</th><th>Line</th></tr>
${rows}
</table></body></html>
`;
}
