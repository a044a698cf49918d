/* query/unwrap.h - | unwrap label, compiled: the number that a line stands for, and the label filters behind it.
 * Immutable once made. */
#ifndef QUERY_UNWRAP_H
#define QUERY_UNWRAP_H

#include "query/pipeline.h"

struct unwrap;
/* Borrows u. */
int unwrap_new(const struct logql_unwrap *u, struct unwrap **out, struct err *err);
void unwrap_free(struct unwrap *u); /* NULL is fine */
/* The label, and the filters behind it; borrowed. The number of all filters, of which at most max are stored. */
const struct logql_unwrap *unwrap_spec(const struct unwrap *u);
size_t unwrap_tests(const struct unwrap *u, const struct label_test **out, size_t max);
/* After pipeline_run. False: the line is no sample. A value that does not convert counts as 0 and puts an error on the
 * labels of st, which the filters may then take away. */
bool unwrap_run(const struct unwrap *u, struct pipe_state *st, double *value);

#endif
