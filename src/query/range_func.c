#include "query/range_func.h"

#include <assert.h>
#include <math.h>

void mean_merge(double *mean, uint64_t n, double other, uint64_t m)
{
	double all = (double)(n + m);

	if (isinf(*mean) && !isnan(other) && (!isinf(other) || (*mean > 0) == (other > 0)))
		return;
	*mean += other / all * (double)m - *mean / all * (double)m;
}

static void merge_count(struct part *to, const struct part *from)
{
	to->n += from->n;
	to->v += from->v; /* whole numbers: exact */
}

static void merge_sum(struct part *to, const struct part *from)
{
	to->v += from->v;
}

static void merge_avg(struct part *to, const struct part *from)
{
	mean_merge(&to->v, to->n, from->v, from->n);
	to->n += from->n;
}

/* NaN gives way to any number. */
static void merge_min(struct part *to, const struct part *from)
{
	if (from->v < to->v || isnan(to->v))
		to->v = from->v;
}

static void merge_max(struct part *to, const struct part *from)
{
	if (from->v > to->v || isnan(to->v))
		to->v = from->v;
}

static void merge_first(struct part *to, const struct part *from)
{
	if (from->ts < to->ts)
		*to = *from;
}

static void merge_last(struct part *to, const struct part *from)
{
	if (from->ts >= to->ts)
		*to = *from;
}

static void merge_variance(struct part *to, const struct part *from)
{
	double all = (double)(to->n + from->n), delta = from->v - to->v;

	to->m2 += from->m2 + delta * delta * ((double)to->n * (double)from->n / all);
	to->v += delta * ((double)from->n / all);
	to->n += from->n;
}

static double value(const struct part *p)
{
	return p->v;
}

static double lines(const struct part *p)
{
	return (double)p->n;
}

static double variance(const struct part *p)
{
	return p->m2 / (double)p->n;
}

static double deviation(const struct part *p)
{
	return sqrt(variance(p));
}

// clang-format off
static const struct range_fn functions[RANGE_N_OPS] = {
	[RANGE_RATE]         = { .merge = merge_count, .value = lines, .counts = true, .per_second = true },
	[RANGE_COUNT]        = { .merge = merge_count, .value = lines, .counts = true },
	[RANGE_BYTES_RATE]   = { .merge = merge_count, .value = value, .counts = true, .bytes = true, .per_second = true },
	[RANGE_BYTES]        = { .merge = merge_count, .value = value, .counts = true, .bytes = true },
	[RANGE_ABSENT]       = { .merge = merge_count, .value = lines, .counts = true },
	[RANGE_SUM]          = { .merge = merge_sum, .value = value },
	[RANGE_AVG]          = { .merge = merge_avg, .value = value },
	[RANGE_MIN]          = { .merge = merge_min, .value = value },
	[RANGE_MAX]          = { .merge = merge_max, .value = value },
	[RANGE_FIRST]        = { .merge = merge_first, .value = value },
	[RANGE_LAST]         = { .merge = merge_last, .value = value },
	[RANGE_STDVAR]       = { .merge = merge_variance, .value = variance },
	[RANGE_STDDEV]       = { .merge = merge_variance, .value = deviation },
	[RANGE_QUANTILE]     = { .merge = NULL },
	[RANGE_RATE_COUNTER] = { .merge = NULL },
};
// clang-format on

const struct range_fn *range_fn_find(enum range_op op, bool unwrapped)
{
	static const struct range_fn rate_of_values = { .merge = merge_sum,
							.value = value,
							.per_second = true };

	assert(op < RANGE_N_OPS);
	return op == RANGE_RATE && unwrapped ? &rate_of_values : &functions[op];
}
