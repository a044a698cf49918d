/* query/range.h - range aggregations: at each step T, what the lines with T - offset - range < ts <= T -
 * offset amount to, by series. A line is visited once, however many windows it falls into: it is added where
 * its first window begins and taken off where its last one ends, and the sums run over the steps at the end.
 */
#ifndef QUERY_RANGE_H
#define QUERY_RANGE_H

#include "query/matrix.h"

/* The windows that a time falls into: steps lo to end - 1, none if lo == end. The same for all times up to
 * `last`. */
struct cell {
	uint32_t lo, end;
	int64_t last;
};
struct cell range_cell(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts);
/* The times that fall into any window; empty for a range of 0. */
struct timerange range_window(const struct grid *g, int64_t range_ns, int64_t offset_ns);

/* count_over_time, rate, bytes_over_time and bytes_rate; ERR_NOT_SUPPORTED for the others. */
int range_check(const struct logql_expr *e, struct err *err);
/* e is a LOGQL_RANGE_AGG. grouping: that of a sum around it, or NULL. regroup: some series kept all their
 * labels, because of errors, and must be grouped yet. */
int range_run(struct exec *x, const struct grid *g, const struct logql_expr *e,
	      const struct logql_grouping *grouping, struct matrix *out, bool *regroup, struct err *err);

#endif
