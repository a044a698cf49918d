/* query/volume.h - how many bytes (lines and metadata) were logged, by labels: sums over what the index knows of
 * chunks and heads; no chunk is read. A chunk that reaches over an edge counts in proportion to its share of time.
 * On a worker (query/sched.h); results live in the caller's arena. */
#ifndef QUERY_VOLUME_H
#define QUERY_VOLUME_H

#include "model/timerange.h"
#include "query/query.h"

struct volume_request {
	struct slice tenant;
	struct slice selector;	/* {} stands for all streams */
	struct timerange range; /* both ends inclusive */
	int64_t step; /* ns, whole ms: buckets on multiples of it; 0: one sum, stamped with range.end */
	/* Group by exactly these; streams that lack one are left out. None: by the labels that the selector
	 * names (all for {}), respectively all names with by_name. */
	const struct slice *target;
	size_t n_targets;
	bool by_name;		     /* a sum for each label name, whatever its value: {app=""} */
	size_t limit;		     /* the largest so many */
	const struct limits *limits; /* max_query_memory, discover_log_levels */
};

struct volume_point {
	int64_t ts; /* the last millisecond of the bucket, or range.end if that is earlier */
	uint64_t bytes;
};
struct volume_series {
	struct labels labels;
	uint64_t bytes;
	size_t n; /* only buckets that are not empty; without step: 1 */
	struct volume_point *point;
};

/* Largest first, equal ones by labels. ERR_BAD_REQUEST: the selector, or too many buckets. */
int volume_run(struct query_engine *e, const struct volume_request *r, struct query_control *c,
	       struct arena *a, struct volume_series **out, size_t *n_out, struct err *err);

#endif
