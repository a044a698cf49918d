/* query/matrix.h - what a metric expression is while it is evaluated: series of points on the steps of the
 * query. Everything lives in the query's arena. */
#ifndef QUERY_MATRIX_H
#define QUERY_MATRIX_H

#include "model/labels.h"
#include "query/scan.h"

/* The times at which a query is evaluated: start, start + step, ... An instant query has one. */
struct grid {
	int64_t start;
	int64_t step; /* > 0 */
	uint32_t n;
};
static inline int64_t grid_time(const struct grid *g, uint32_t i)
{
	return g->start + (int64_t)i * g->step;
}

/* Of a metric query. ERR_BAD_REQUEST with Loki's text: no step, too many steps. */
int grid_make(const struct query_request *r, struct grid *g, struct err *err);

struct point {
	uint32_t step; /* index in the grid */
	double value;
};
struct series {
	struct labels labels;
	size_t n;
	struct point *point; /* ascending */
};
struct matrix {
	size_t n;
	/* In no particular order but for instant queries with sort(). Labels may be equal: label_replace can
	 * make them so, and `or`. */
	struct series *series;
};

/* A scalar stays one until it meets a vector. */
struct value {
	bool is_scalar;
	double scalar;
	struct matrix matrix;
};

void matrix_sort(struct matrix *m); /* by labels; series with equal ones keep their order */
/* Series with equal labels become one, which may have several points at a step. m is sorted. */
int matrix_join_equal(struct exec *x, struct matrix *m, struct err *err);
/* One series without labels that has this value at every step. */
int matrix_constant(struct exec *x, const struct grid *g, double v, struct matrix *out, struct err *err);
/* An array of points in the query's arena, accounted for. */
int matrix_points(struct exec *x, size_t n, struct point **out, struct err *err);

#endif
