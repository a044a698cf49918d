/* query/saved.h - queries that people keep, by name: for each tenant a file DIR/<tenant>.jsonl, one JSON object a line in
 * the order of the names. Read when asked for, replaced as a whole when something changes, so that a crash leaves the old
 * list or the new one. A file that cannot be understood is never written over.
 *
 * Thread-safe. Writes are durable before they return. Names stand only inside the file, so any text will do. */
#ifndef QUERY_SAVED_H
#define QUERY_SAVED_H

#include "base/arena.h"
#include "base/err.h"

enum {
	SAVED_MAX = 200,	    /* of a tenant */
	SAVED_MAX_BYTES = 16 << 10, /* name, query and note of one together */
	SAVED_MAX_NAME_BYTES = 256,
};

struct saved_query {
	struct slice name, query, note;
	int64_t saved_ns;
};

struct saved_queries;
struct saved_queries *saved_queries_new(const char *dir); /* dir is made when the first query is saved */
void saved_queries_free(struct saved_queries *s);	  /* NULL is fine */

/* Ordered by name. ERR_CORRUPT: the file is damaged. */
int saved_list(struct saved_queries *s, struct slice tenant, struct arena *a, struct saved_query **out,
	       size_t *n_out, struct err *err);
/* Adds q or replaces the one of its name. ERR_BAD_REQUEST: not UTF-8 without NUL, empty or too large; too many. */
int saved_put(struct saved_queries *s, struct slice tenant, const struct saved_query *q, struct err *err);
int saved_delete(struct saved_queries *s, struct slice tenant, struct slice name,
		 struct err *err); /* ERR_NOT_FOUND */

/* {"query":"…","note":"…"}, the note optional, other members passed over. Strings go to the arena. */
int saved_parse(struct slice json, struct arena *a, struct saved_query *out, struct err *err);

#endif
