/* query/erase.h - deletes as the query layer sees them: the text of a request compiled for the store (it hides exactly what
 * the same text, as a log query, would show), and the door for the endpoints. */
#ifndef QUERY_ERASE_H
#define QUERY_ERASE_H

#include "query/query.h"

struct erase_ops;
extern const struct erase_ops query_erase_ops; /* for store_options; thread-safe */

/* ERR_BAD_REQUEST "invalid query expression": it does not parse, is a metric query, or selects every stream. */
int delete_check_query(struct slice text, struct err *err);

struct delete_request {
	struct slice query;
	int64_t start, end; /* ns, both inclusive */
	bool filter_only;
};
/* Writes to disk: on a worker. */
int delete_create(struct query_engine *e, struct slice tenant, const struct delete_request *r,
		  struct err *err);
int delete_cancel(struct query_engine *e, struct slice tenant, struct slice id, bool force, struct err *err);

struct delete_info {
	struct slice id, query, status;
	int64_t start, end, created_ns, purged_ns; /* purged_ns 0: not yet */
	bool filter_only;
	uint64_t n_entries, n_bytes, n_chunks;
};
/* Oldest first; all of it in the arena. */
void delete_list(struct query_engine *e, struct slice tenant, struct arena *a, struct delete_info **out,
		 size_t *n);

#endif
