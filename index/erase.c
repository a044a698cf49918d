#include "index/erase.h"
#include "index/partition.h"

static int by_start(const void *a, const void *b)
{
	const struct tombstone *x = *(struct tombstone *const *)a, *y = *(struct tombstone *const *)b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

const struct erase_set *erase_set_of(struct tombstone *const *v, size_t n, struct slice encoded,
				     struct arena *a)
{
	struct erase_set *set = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!labels_match(encoded, v[i]->rule->m, v[i]->rule->n_matchers))
			continue;
		if (set == NULL) {
			set = arena_new(a, struct erase_set);
			set->v = arena_array(a, struct tombstone *, n);
			if (labels_decode(arena_dup(a, encoded), a, &set->labels) == -1)
				set->labels = (struct labels){ NULL, 0 };
		}
		set->v[set->n++] = v[i];
	}
	if (set != NULL && set->n > 1)
		qsort(set->v, set->n, sizeof(struct tombstone *), by_start);
	return set;
}

enum erase_fate erase_fate(const struct erase_set *set, int64_t first, int64_t last)
{
	enum erase_fate fate = ERASE_NONE;
	int64_t from = first; /* nothing before it is left */

	for (size_t i = 0; set != NULL && i < set->n; i++) {
		const struct timerange r = set->v[i]->range;

		if (!timerange_meets(r, first, last))
			continue;
		fate = ERASE_SOME;
		if (!set->v[i]->rule->whole || r.start > from)
			continue;
		if (r.end > last)
			return ERASE_ALL;
		from = r.end > from ? r.end : from;
	}
	return fate;
}

double erase_share(const struct erase_set *set, int64_t first, int64_t last)
{
	double length = (double)((uint64_t)last - (uint64_t)first) + 1, gone = 0;
	int64_t from = first;

	for (size_t i = 0; set != NULL && i < set->n; i++) {
		const struct timerange r = set->v[i]->range;
		int64_t a = r.start > from ? r.start : from;

		if (!set->v[i]->rule->whole || !timerange_meets(r, from, last))
			continue;
		if (r.end > last)
			return (gone + (double)((uint64_t)last - (uint64_t)a) + 1) / length;
		gone += (double)((uint64_t)r.end - (uint64_t)a);
		from = r.end;
	}
	return gone / length;
}

bool erase_wants_lines(const struct erase_set *set)
{
	for (size_t i = 0; set != NULL && i < set->n; i++)
		if (!set->v[i]->rule->whole)
			return true;
	return false;
}

void eraser_start(struct eraser *e, const struct erase_set *set)
{
	if (e->set == set)
		return;
	eraser_fini(e);
	e->set = set;
	if (set != NULL)
		e->state = xcalloc(set->n, sizeof(*e->state));
}

void eraser_fini(struct eraser *e)
{
	for (size_t i = 0; e->set != NULL && i < e->set->n; i++)
		if (e->state[i] != NULL)
			e->set->v[i]->ops->state_free(e->state[i]);
	free(e->state);
	*e = (struct eraser){ NULL, NULL };
}

static bool takes(struct eraser *e, size_t i, struct slice meta, int64_t ts, struct slice line)
{
	const struct tombstone *x = e->set->v[i];

	if (!timerange_has(x->range, ts))
		return false;
	if (x->rule->whole)
		return true;
	if (e->state[i] == NULL)
		e->state[i] = x->ops->state_new(x->rule, e->set->labels);
	return x->ops->matches(e->state[i], meta, ts, line);
}

ptrdiff_t eraser_asks(struct eraser *e, struct slice meta, int64_t ts, struct slice line)
{
	for (size_t i = 0; e->set != NULL && i < e->set->n; i++)
		if (takes(e, i, meta, ts, line))
			return (ptrdiff_t)i;
	return -1;
}
