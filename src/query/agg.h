/* query/agg.h - vector aggregations at each step: sum, avg, min, max, count, stddev and stdvar of a group's series;
 * the k best of them; and sort. */
#ifndef QUERY_AGG_H
#define QUERY_AGG_H

#include "query/matrix.h"

/* e is a LOGQL_VECTOR_AGG, in its operand. Aggregated series come in order of their labels. With topk, bottomk and
 * sort an instant query gets the series best first (topk: within each group); a range query has no such order. */
int agg_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *in,
	    struct matrix *out, struct err *err);

/* For topk.c: the groups of a matrix, in order of first appearance. */
struct agg_group {
	struct labels labels;
	size_t first, last; /* its series: i + 1 is series i, the next one is next[i], 0 ends the list */
};
struct agg_groups {
	VEC(struct agg_group) all;
	size_t *next;
};
void agg_groups_init(struct agg_groups *g, struct exec *x, const struct logql_grouping *by,
		     const struct matrix *in);
void agg_groups_fini(struct agg_groups *g);

/* topk.c: topk, bottomk, approx_topk (which is exact here), sort and sort_desc. */
int topk_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *in,
	     struct matrix *out, struct err *err);
int sort_run(struct exec *x, const struct grid *g, enum vector_op op, const struct matrix *in,
	     struct matrix *out, struct err *err);

#endif
