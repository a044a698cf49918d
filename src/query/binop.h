/* query/binop.h - arithmetic and comparison between numbers and vectors, and between vectors matched one to
 * one; and, or, unless. */
#ifndef QUERY_BINOP_H
#define QUERY_BINOP_H

#include "query/matrix.h"

int binop_check(const struct logql_expr *e,
		struct err *err); /* ERR_NOT_SUPPORTED for group_left, group_right */
/* Divides by 0 to NaN. Comparisons yield 1 or 0. */
double binop_scalar(enum bin_op op, double a, double b);
/* e is a LOGQL_BINOP, not between two scalars. */
int binop_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct value *left,
	      const struct value *right, struct matrix *out, struct err *err);

#endif
