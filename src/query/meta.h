/* query/meta.h - questions about streams, not entries: label names and values, series, index statistics. On a
 * worker (query/sched.h); results live in the caller's arena. Ranges include their end: the granularity may
 * be coarser than asked for, never finer. Errors: the selector's (ERR_BAD_REQUEST, Loki's text), the store's.
 */
#ifndef QUERY_META_H
#define QUERY_META_H

#include "model/timerange.h"
#include "query/query.h"

struct meta_request {
	struct slice tenant;
	struct slice selector;	/* {app="x"}; absent or empty: all streams */
	struct timerange range; /* both ends inclusive */
};

/* Stream label names; with a name, its values. Sorted bytewise, unique. */
int meta_label_names(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		     struct arena *a, struct slice **out, size_t *n_out, struct err *err);
int meta_label_values(struct query_engine *e, const struct meta_request *r, struct slice name,
		      struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		      struct err *err);
/* Streams that any of the selectors matches, sorted by labels_cmp. None, or a single {}: all streams.
 * r->selector is not used. */
int meta_series(struct query_engine *e, const struct meta_request *r, const struct slice *selectors,
		size_t n_selectors, struct query_control *c, struct arena *a, struct labels **out,
		size_t *n_out, struct err *err);

struct meta_stats {
	uint64_t streams, chunks, bytes, entries;
};
/* Here an absent or empty selector is an error, as everything that is no selector. */
int meta_stats(struct query_engine *e, const struct meta_request *r, struct query_control *c,
	       struct meta_stats *out, struct err *err);

/* ERR_BAD_REQUEST unless text is a selector; {} only with allow_empty. For endpoints that only check. */
int meta_check_selector(struct slice text, bool allow_empty, struct err *err);
/* ERR_BAD_REQUEST unless text is a log query. */
int meta_check_log_query(struct slice text, struct err *err);

#endif
