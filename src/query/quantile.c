#include "query/quantile.h"

#include <assert.h>
#include <math.h>

struct ranked {
	uint64_t key;
	uint32_t at;
};

struct quantile {
	double q;
	const struct sample *v;
	size_t n;
	uint64_t *key; /* scratch of windows apart; else all, ascending */
	uint64_t seed;
	/* for windows that overlap */
	uint32_t *rank;	 /* of each sample among all */
	uint32_t *tree;	 /* Fenwick, from 1: how many samples of the window have these ranks */
	size_t top;	 /* the largest power of two that is no more than n */
	size_t from, to; /* the window */
};

/* Integers in the order of the numbers; 0 for NaN. */
static uint64_t key_of(double v)
{
	uint64_t bits;

	if (isnan(v))
		return 0;
	memcpy(&bits, &v, sizeof(bits));
	return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double value_of(uint64_t key)
{
	uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
	double v;

	if (key == 0)
		return NAN;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* ---- windows apart ---- */

static uint64_t next_random(struct quantile *q)
{
	q->seed ^= q->seed << 13;
	q->seed ^= q->seed >> 7;
	q->seed ^= q->seed << 17;
	return q->seed;
}

/* Puts the k-th smallest to v[k], none greater before it and none smaller behind. The pivot is random, so that no
 * sender can choose the worst case. */
static void select_kth(struct quantile *q, uint64_t *v, size_t n, size_t k)
{
	ptrdiff_t lo = 0, hi = (ptrdiff_t)n - 1, at = (ptrdiff_t)k;

	while (lo < hi) {
		uint64_t pivot = v[lo + (ptrdiff_t)(next_random(q) % (uint64_t)(hi - lo + 1))];
		ptrdiff_t i = lo, j = hi;

		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j) {
				uint64_t t = v[i];
				v[i++] = v[j];
				v[j--] = t;
			}
		}
		if (j < at)
			lo = i;
		if (at < i)
			hi = j;
	}
}

static void pick(struct quantile *q, size_t lower, size_t upper, uint64_t out[2])
{
	size_t n = q->to - q->from;

	for (size_t i = 0; i < n; i++)
		q->key[i] = key_of(q->v[q->from + i].v);
	select_kth(q, q->key, n, lower);
	out[0] = out[1] = q->key[lower];
	if (upper == lower)
		return;
	out[1] = q->key[upper];
	for (size_t i = upper; i < n; i++)
		out[1] = MIN(out[1], q->key[i]);
}

/* ---- windows that overlap ---- */

static int by_key(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void rank_all(struct quantile *q)
{
	struct ranked *r = xcalloc(q->n, sizeof(*r));

	for (size_t i = 0; i < q->n; i++)
		r[i] = (struct ranked){ key_of(q->v[i].v), (uint32_t)i };
	qsort(r, q->n, sizeof(*r), by_key);
	for (size_t i = 0; i < q->n; i++) {
		q->key[i] = r[i].key;
		q->rank[r[i].at] = (uint32_t)i;
	}
	free(r);
}

static void count_rank(struct quantile *q, uint32_t rank, uint32_t more)
{
	for (size_t i = (size_t)rank + 1; i <= q->n; i += i & -i)
		q->tree[i] += more;
}

/* The k-th smallest of the window, from 0. */
static uint64_t find_kth(const struct quantile *q, size_t k)
{
	size_t at = 0;

	for (size_t step = q->top; step > 0; step /= 2)
		if (at + step <= q->n && q->tree[at + step] <= k) {
			at += step;
			k -= q->tree[at];
		}
	assert(at < q->n);
	return q->key[at];
}

static void move(struct quantile *q, size_t from, size_t to)
{
	while (q->to < to)
		count_rank(q, q->rank[q->to++], 1);
	while (q->from < from)
		count_rank(q, q->rank[q->from++], UINT32_MAX);
}

/* ---- */

uint64_t quantile_bytes(size_t n, bool overlap)
{
	return n * (sizeof(uint64_t) + (overlap ? 2 * sizeof(uint32_t) + sizeof(struct ranked) : 0));
}

struct quantile *quantile_new(double p, const struct sample *v, size_t n, bool overlap)
{
	struct quantile *q = xcalloc(1, sizeof(*q));

	*q = (struct quantile){ .q = p, .v = v, .n = n, .seed = UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)q };
	q->key = xcalloc(n + 1, sizeof(*q->key));
	if (!overlap)
		return q;
	assert(n < UINT32_MAX);
	q->rank = xcalloc(n + 1, sizeof(*q->rank));
	q->tree = xcalloc(n + 1, sizeof(*q->tree));
	for (q->top = 1; q->top * 2 <= n;)
		q->top *= 2;
	rank_all(q);
	return q;
}

void quantile_free(struct quantile *q)
{
	if (q == NULL)
		return;
	free(q->key);
	free(q->rank);
	free(q->tree);
	free(q);
}

double quantile_of(struct quantile *q, size_t from, size_t to)
{
	assert(from < to && to <= q->n && from >= q->from && to >= q->to);
	if (q->q < 0 || q->q > 1)
		return q->q < 0 ? -(double)INFINITY : (double)INFINITY;
	double rank = q->q * (double)(to - from - 1);
	size_t lower = (size_t)rank, upper = MIN(lower + 1, to - from - 1);
	double weight = rank - floor(rank);
	uint64_t key[2];
	if (q->rank != NULL) {
		move(q, from, to);
		key[0] = find_kth(q, lower);
		key[1] = upper == lower ? key[0] : find_kth(q, upper);
	} else {
		q->from = from;
		q->to = to;
		pick(q, lower, upper, key);
	}
	return value_of(key[0]) * (1 - weight) + value_of(key[1]) * weight;
}
