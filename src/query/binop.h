/* query/binop.h - arithmetic and comparison between numbers and vectors. */
#ifndef QUERY_BINOP_H
#define QUERY_BINOP_H

#include "query/matrix.h"

/* Divides by 0 to NaN. Comparisons yield 1 or 0. */
double binop_scalar(enum bin_op op, double a, double b);
/* The value of a pair; false if a comparison filters it out. own: what a filter passes on. */
bool binop_pair(const struct logql_expr *e, double a, double b, double own, double *out);
/* e is a LOGQL_BINOP, not between two scalars. Keeps the order of the series. */
int binop_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct value *left,
	      const struct value *right, struct matrix *out, struct err *err);

#endif
