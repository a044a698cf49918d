/* query/quantile.h - quantiles of a window that moves over samples. Windows that do not overlap select among their
 * values in linear time; those that do keep the ranks of their samples in a tree of counts, so that a sample costs
 * O(log n) in all, however many windows it is in. One thread. */
#ifndef QUERY_QUANTILE_H
#define QUERY_QUANTILE_H

#include "query/range_table.h"

struct quantile;
/* Borrows v. */
struct quantile *quantile_new(double q, const struct sample *v, size_t n, bool overlap);
void quantile_free(struct quantile *q);
uint64_t quantile_bytes(size_t n, bool overlap); /* what one needs */
/* Of samples from to to - 1, not empty; neither may become smaller from call to call. Linear between the two nearest
 * ranks; NaN counts as smaller than all numbers. */
double quantile_of(struct quantile *q, size_t from, size_t to);

#endif
