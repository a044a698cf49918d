/* query/window.h - the values of a series at each step, from what range_table.h kept of it. Windows move forward and
 * an element enters and leaves once. out has room for a point at every step; the number of points is returned. */
#ifndef QUERY_WINDOW_H
#define QUERY_WINDOW_H

#include "query/range_table.h"

struct window_spec {
	const struct grid *grid;
	int64_t range_ns, offset_ns;
	const struct range_fn *fn;
	enum range_op op;
	double param; /* of quantile_over_time */
};

/* Sorted panes. Two stacks: the older half of a window has its parts added up from the back, the newer half in one
 * sum; what leaves is dropped, never subtracted, so that infinities and small numbers survive. */
size_t window_parts(const struct window_spec *s, const struct acc *a, struct point *out);
/* Sorted samples; quantile_over_time and rate_counter. -1: cancelled. */
int window_samples(struct exec *x, const struct window_spec *s, const struct acc *a, struct point *out,
		   size_t *n_out, struct err *err);

#endif
