/* query/range_func.h - the range functions, a row each: what is kept of a window's samples, and how that becomes a
 * value. Most functions can be computed from parts of a window, which are put together as the window moves; a
 * quantile and a counter's rate need the samples themselves. Pure functions. */
#ifndef QUERY_RANGE_FUNC_H
#define QUERY_RANGE_FUNC_H

#include "logql/ast.h"

/* What some samples amount to. For a single one: its value, 0, its time, 1. */
struct part {
	double v;
	double m2; /* sum of squared distances from the mean v */
	int64_t ts;
	uint64_t n;
};

struct range_fn {
	bool counts;	 /* lines and their bytes, which are n and v of a part; else unwrapped values */
	bool bytes;	 /* counts: bytes matter */
	bool per_second; /* divided by the range */
	/* Adds later samples, or some of the same times from other streams. Associative. NULL: parts are not
	 * enough, all samples are kept. */
	void (*merge)(struct part *to, const struct part *from);
	double (*value)(const struct part *p);
};
/* unwrapped: rate means another thing then. */
const struct range_fn *range_fn_find(enum range_op op, bool unwrapped);

/* A running mean; stays at an infinity unless the other one or NaN comes. *mean is of n values, other of m. */
void mean_merge(double *mean, uint64_t n, double other, uint64_t m);

#endif
