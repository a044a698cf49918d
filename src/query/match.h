/* query/match.h - vectors matched with vectors: by all labels, on() some or ignoring() some; one to one, or many to
 * one with group_left and group_right; and the set operators. */
#ifndef QUERY_MATCH_H
#define QUERY_MATCH_H

#include "query/matrix.h"

/* e is a LOGQL_BINOP between two vectors. Series come in the order of the many side (the left one), for `or` those
 * of the right side behind; several may have equal labels, at different steps or (`or`) at the same. */
int match_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *left,
	      const struct matrix *right, struct matrix *out, struct err *err);

#endif
