/* query/range.h - range aggregations: at each step T, what the lines with T - offset - range < ts <= T -
 * offset amount to, by series. A line is visited once, however many windows it falls into (range_table.h); the
 * windows are evaluated at the end (window.h). */
#ifndef QUERY_RANGE_H
#define QUERY_RANGE_H

#include "query/range_table.h"

struct cell range_cell(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts);
/* The times that fall into any window; empty for a range of 0. */
struct timerange range_window(const struct grid *g, int64_t range_ns, int64_t offset_ns);

/* The grouping of a vector aggregation if range_run can do it: of a sum of what can be summed. Else NULL. */
const struct logql_grouping *range_pushed_grouping(const struct logql_expr *vector_agg);
/* What the plan of range_run is made from. */
void range_plan_options(const struct exec *x, const struct grid *g, const struct logql_expr *e,
			const struct logql_grouping *grouping, struct plan_options *out);
/* e is a LOGQL_RANGE_AGG. grouping: that of a sum around it, or NULL. regroup: some series kept all their
 * labels, because of errors, and must be grouped yet. */
int range_run(struct exec *x, const struct grid *g, const struct logql_expr *e,
	      const struct logql_grouping *grouping, struct matrix *out, bool *regroup, struct err *err);

#endif
