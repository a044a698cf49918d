/* ingest/error_lines.h - how many lines of level error, critical or fatal each service sends, as counters that name the
 * trace of the last such line that had one. Counted as they come in. Thread-safe. */
#ifndef INGEST_ERROR_LINES_H
#define INGEST_ERROR_LINES_H

struct batch;
struct error_lines;
struct trace_keys;

struct error_lines *error_lines_new(const struct trace_keys *keys); /* keys: borrowed */
void error_lines_free(struct error_lines *e);			    /* NULL is fine */

/* ingest_observer.before: arg is a struct error_lines. Returns NULL. */
void *error_lines_see(void *arg, const struct batch *b);

#endif
