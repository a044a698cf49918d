/* query/agg.h - vector aggregations: sum, avg, min, max and count by label, at each step. */
#ifndef QUERY_AGG_H
#define QUERY_AGG_H

#include "query/matrix.h"

int agg_check(const struct logql_expr *e, struct err *err); /* ERR_NOT_SUPPORTED for the others */
int agg_run(struct exec *x, const struct grid *g, enum vector_op op, const struct logql_grouping *grouping,
	    const struct matrix *in, struct matrix *out, struct err *err);

#endif
