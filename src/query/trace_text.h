/* query/trace_text.h - the trace ids in what a person pastes: an id in any of its forms, a header, one or more log lines.
 * Pure. */
#ifndef QUERY_TRACE_TEXT_H
#define QUERY_TRACE_TEXT_H

#include "model/traceid.h"

enum { TRACE_TEXT_MAX_IDS = 10, TRACE_TEXT_MAX_BYTES = 1 << 20 };

/* The first ids, each once; how many. Each line is read as the trace index reads those it stores. */
size_t trace_text_ids(const struct trace_keys *k, struct slice text, struct trace_id out[TRACE_TEXT_MAX_IDS]);
/* 32 hex digits, or 16 if the high half is zero. */
void trace_text_format(struct buf *b, struct trace_id id);

#endif
