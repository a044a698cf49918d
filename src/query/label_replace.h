/* query/label_replace.h - label_replace(v, "dst", "replacement", "src", "regex"). */
#ifndef QUERY_LABEL_REPLACE_H
#define QUERY_LABEL_REPLACE_H

#include "query/matrix.h"

/* e is a LOGQL_LABEL_REPLACE, in its operand. Keeps the order of the series; several may end up with equal labels. */
int label_replace_run(struct exec *x, const struct logql_expr *e, const struct matrix *in, struct matrix *out,
		      struct err *err);

#endif
