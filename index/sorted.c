#include "index/sorted.h"
#include "base/hash.h"

static int cmp(const void *a, const void *b)
{
	const struct sorted_entry *x = a, *y = b;

	if (x->e.ts != y->e.ts)
		return x->e.ts < y->e.ts ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool same(const struct sorted_entry *a, const struct sorted_entry *b)
{
	return slice_eq(a->e.line, b->e.line) && slice_eq(a->e.meta, b->e.meta);
}

static uint64_t content_hash(const struct sorted_entry *e)
{
	return hash64_seed(e->e.line, hash64(e->e.meta));
}

/* Keeps the first of each content in v[0..n), all of one timestamp; returns how many are left. */
static size_t unique_small(struct sorted_entry *v, size_t n)
{
	size_t kept = 1;

	for (size_t i = 1; i < n; i++) {
		bool twice = false;

		for (size_t k = 0; k < kept && !twice; k++)
			twice = same(&v[k], &v[i]);
		if (!twice)
			v[kept++] = v[i];
	}
	return kept;
}

static size_t unique_large(struct sorted_entry *v, size_t n)
{
	size_t cap = 64, kept = 0;

	while (cap < n * 2)
		cap *= 2;
	uint32_t *slot = xcalloc(cap, sizeof(*slot)); /* number + 1 of a kept entry */
	for (size_t i = 0; i < n; i++) {
		size_t at = content_hash(&v[i]) & (cap - 1);

		while (slot[at] != 0 && !same(&v[slot[at] - 1], &v[i]))
			at = (at + 1) & (cap - 1);
		if (slot[at] != 0)
			continue;
		v[kept] = v[i];
		slot[at] = (uint32_t)++kept;
	}
	free(slot);
	return kept;
}

void sorted_by_time(struct sorted *s)
{
	struct sorted_entry *v = s->entries.v;
	size_t n = s->entries.n;
	bool in_order = true;

	for (size_t i = 1; i < n && in_order; i++)
		in_order = cmp(&v[i - 1], &v[i]) <= 0;
	if (!in_order)
		qsort(v, n, sizeof(*v), cmp);
}

size_t sorted_unique(struct sorted_entry *v, size_t n)
{
	return n <= 1 ? n : n <= 16 ? unique_small(v, n) : unique_large(v, n);
}

void sorted_finish(struct sorted *s, uint64_t *n_duplicates)
{
	struct sorted_entry *v = s->entries.v;
	size_t n = s->entries.n, kept = 0;

	sorted_by_time(s);
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && v[j].e.ts == v[i].e.ts; j++)
			;
		size_t u = sorted_unique(v + i, j - i);
		if (kept != i)
			memmove(v + kept, v + i, u * sizeof(*v));
		kept += u;
	}
	*n_duplicates += n - kept;
	s->entries.n = kept;
}

void sorted_fini(struct sorted *s)
{
	vec_fini(&s->entries);
}
