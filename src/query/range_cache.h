/* query/range_cache.h - what a unit contributed to a range aggregation, kept for the next query that asks the same of it: a
 * dashboard asks the same every few seconds, and only the newest units have changed.
 *
 * A unit is read from chunks that never change, so its part depends on nothing but what stands in the key: the canonical
 * text of the aggregation with its grouping, the steps (their width and where they stand in time, not how many there are:
 * a window that moves on by some steps finds what it found before), the time range of the unit, and the chunks it is read
 * from. Late entries, merges and deletes make other units, with other keys; nothing is ever invalidated. Not kept: what
 * was read from a head or is partly hidden by a delete, what was incomplete (damage, failure), what depends on the clock,
 * and what was asked without index or columns, which is for comparing. */
#ifndef QUERY_RANGE_CACHE_H
#define QUERY_RANGE_CACHE_H

#include "query/range_table.h"
#include "query/window.h"

struct range_cache {
	struct cache *cache; /* NULL: off */
	uint64_t plan[2];    /* hash of all that is the same for each unit */
	int64_t first_step;  /* number of the grid's first step, counted from time 0 */
};

/* Of one worker. Zero it first. */
struct range_cache_worker {
	bool open; /* a unit is being visited, into a table of its own */
	bool errors_before;
	uint64_t corrupt_before;
	struct range_table outer;
	struct buf key, value;
	uint64_t requests, hits, stored, bytes_found, bytes_stored;
};

void range_cache_init(struct range_cache *c, const struct exec *x, const struct window_spec *spec,
		      const struct logql_expr *range_agg, const struct logql_grouping *grouping);
/* 1: what the unit contributes was known and is in the worker's table. 0: visit the unit, then range_cache_end, with what
 * that returned. -1: error. */
int range_cache_begin(struct scan_worker *w, const struct snap_unit *u, struct err *err);
int range_cache_end(struct scan_worker *w, int rc, struct err *err);
void range_cache_worker_fini(struct range_cache_worker *c, struct query_stats *stats);

#endif
