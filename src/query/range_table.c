#include "query/range_table.h"

void range_table_init(struct range_table *t, struct exec *x, const struct grid *g, const struct range_fn *fn)
{
	*t = (struct range_table){ .exec = x, .grid = g, .fn = fn };
	arena_init(&t->arena);
	map_init(&t->by_key);
}

void range_table_fini(struct range_table *t)
{
	if (t->exec != NULL)
		exec_refund(t->exec, t->charged);
	for (size_t i = 0; i < t->all.n; i++) {
		free(t->all.v[i]->panes);
	}
	map_fini(&t->by_key);
	vec_fini(&t->all);
	arena_fini(&t->arena);
	*t = (struct range_table){ 0 };
}

static int charge(struct range_table *t, struct err *err)
{
	uint64_t now = t->arena.total + t->by_key.cap * sizeof(struct map_slot) +
		       t->all.cap * sizeof(*t->all.v) + t->lists;
	uint64_t more = now > t->charged ? now - t->charged : 0;

	t->charged += more;
	return more > 0 ? exec_charge(t->exec, more, err) : 0;
}

struct acc *range_table_acc(struct range_table *t, struct slice key, struct err *err)
{
	struct acc *a = map_get(&t->by_key, key);

	if (a != NULL)
		return a;
	a = arena_new(&t->arena, struct acc);
	a->key = arena_dup(&t->arena, key);
	*map_put(&t->by_key, a->key, NULL) = a;
	vec_push(&t->all, a);
	return charge(t, err) == -1 ? NULL : a;
}

/* Most series of a query by trace id have a single pane: lists start small. */
static int make_room(struct range_table *t, struct acc *a, size_t size, struct err *err)
{
	size_t cap = a->cap;

	if (a->n < cap)
		return 0;
	a->cap = cap == 0 ? 1 : cap < 8 ? cap * 2 : cap + cap / 2;
	a->panes = xrealloc(a->panes, a->cap * size);
	t->lists += (a->cap - cap) * size;
	return charge(t, err);
}

/* ---- panes ---- */

/* Edges only move forward, so the sum tells panes apart and orders them. */
static uint64_t pane_place(const struct pane *p)
{
	return (uint64_t)p->lo + p->end;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Parts of one pane come from different streams. Any order of theirs will do, but it must not depend on which thread
 * was first: sums differ in their last digit. */
static int by_place(const void *a, const void *b)
{
	const struct pane *x = a, *y = b;
	int c = cmp_u64(pane_place(x), pane_place(y));

	if (c == 0 && x->part.ts != y->part.ts)
		c = x->part.ts < y->part.ts ? -1 : 1;
	if (c == 0)
		c = cmp_u64(x->part.n, y->part.n);
	return c != 0 ? c : memcmp(&x->part.v, &y->part.v, sizeof(x->part.v));
}

static void sort_panes(struct range_table *t, struct acc *a)
{
	struct pane *v = a->panes;
	size_t n = 0;

	if (a->n_sorted == a->n)
		return;
	qsort(v, a->n, sizeof(*v), by_place);
	for (size_t i = 0; i < a->n; i++) {
		if (n > 0 && pane_place(&v[n - 1]) == pane_place(&v[i]))
			t->fn->merge(&v[n - 1].part, &v[i].part);
		else
			v[n++] = v[i];
	}
	a->n = a->n_sorted = n;
	a->unit = 0;
}

/* No series has more distinct panes than edges; a list twice as long is worth sorting. */
static bool too_many_panes(const struct range_table *t, const struct acc *a)
{
	return a->n >= 64 + 4 * (size_t)t->grid->n;
}

/* Among those that are ascending; NULL: it is new. */
static struct pane *find_pane(struct acc *a, uint64_t place)
{
	size_t lo = 0, hi = a->n_sorted;

	if (a->guess < hi && pane_place(&a->panes[a->guess]) == place)
		lo = hi = a->guess;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pane_place(&a->panes[mid]) < place)
			lo = mid + 1;
		else
			hi = mid;
	}
	a->guess = lo + 1;
	return lo < a->n_sorted && pane_place(&a->panes[lo]) == place ? &a->panes[lo] : NULL;
}

static int push_pane(struct range_table *t, struct acc *a, const struct pane *p, struct err *err)
{
	struct pane *same = t->fn->counts ? find_pane(a, pane_place(p)) : NULL;

	if (same != NULL) { /* whole numbers add up in any order */
		t->fn->merge(&same->part, &p->part);
		return 0;
	}
	if (too_many_panes(t, a))
		sort_panes(t, a);
	if (make_room(t, a, sizeof(*p), err) == -1)
		return -1;
	if (a->n == a->n_sorted && (a->n == 0 || pane_place(&a->panes[a->n - 1]) < pane_place(p)))
		a->n_sorted++;
	a->panes[a->n++] = *p;
	return 0;
}

static int add_to_pane(struct range_table *t, struct acc *a, const struct pane *p, uint64_t unit,
		       struct err *err)
{
	struct pane *last = a->n > 0 ? &a->panes[a->n - 1] : NULL;

	if (last != NULL && a->unit == unit && pane_place(last) == pane_place(p)) {
		t->fn->merge(&last->part, &p->part);
		return 0;
	}
	if (push_pane(t, a, p, err) == -1)
		return -1;
	a->unit = unit;
	return 0;
}

/* ---- samples ---- */

/* Stable: samples of one stream with equal times keep their order. */
static void merge_runs(const struct sample *a, size_t n, const struct sample *b, size_t m, struct sample *out)
{
	while (n > 0 && m > 0) {
		if (b->ts < a->ts) {
			*out++ = *b++;
			m--;
		} else {
			*out++ = *a++;
			n--;
		}
	}
	memcpy(out, a, n * sizeof(*a));
	memcpy(out + n, b, m * sizeof(*b));
}

static size_t run_length(const struct sample *v, size_t n)
{
	size_t i = 1;

	while (i < n && v[i - 1].ts <= v[i].ts)
		i++;
	return MIN(i, n);
}

/* Joins neighbouring ascending runs from v into out; returns how many runs that left. */
static size_t merge_pass(const struct sample *v, size_t n, struct sample *out)
{
	size_t n_runs = 0;

	for (size_t i = 0; i < n; n_runs++) {
		size_t x = run_length(v + i, n - i);
		size_t y = i + x < n ? run_length(v + i + x, n - i - x) : 0;

		merge_runs(v + i, x, v + i + x, y, out + i);
		i += x + y;
	}
	return n_runs;
}

static void sort_samples(struct acc *a)
{
	size_t n = a->n;

	if (n == 0 || run_length(a->samples, n) == n)
		return;
	struct sample *from = a->samples, *to = xmalloc(n * sizeof(*to)), *other;
	for (size_t n_runs = 2; n_runs > 1;) {
		n_runs = merge_pass(from, n, to);
		other = from;
		from = to;
		to = other;
	}
	if (from != a->samples) {
		memcpy(a->samples, from, n * sizeof(*from));
		free(from);
	} else {
		free(to);
	}
}

static int push_sample(struct range_table *t, struct acc *a, const struct sample *s, struct err *err)
{
	if (make_room(t, a, sizeof(*s), err) == -1)
		return -1;
	a->samples[a->n++] = *s;
	return 0;
}

int range_table_add(struct range_table *t, struct acc *a, const struct cell *c, uint64_t unit,
		    const struct part *p, struct err *err)
{
	if (t->fn->merge == NULL)
		return push_sample(t, a, &(struct sample){ p->ts, p->v }, err);
	return add_to_pane(t, a, &(struct pane){ c->lo, c->end, *p }, unit, err);
}

/* ---- together ---- */

static int join_acc(struct range_table *t, struct acc *from, struct err *err)
{
	struct acc *to = range_table_acc(t, from->key, err);
	int rc = to == NULL ? -1 : 0;

	for (size_t i = 0; i < from->n && rc == 0; i++)
		rc = t->fn->merge != NULL ? push_pane(t, to, &from->panes[i], err)
					  : push_sample(t, to, &from->samples[i], err);
	free(TAKE(from->panes));
	return rc;
}

int range_table_join(struct range_table *to, struct range_table *from, struct err *err)
{
	int rc = 0;

	if (to->all.n == 0) {
		range_table_fini(to);
		*to = *from;
		*from = (struct range_table){ 0 };
		return 0;
	}
	for (size_t i = 0; i < from->all.n && rc == 0; i++)
		rc = join_acc(to, from->all.v[i], err);
	range_table_fini(from);
	return rc;
}

void range_table_sort(struct range_table *t, struct acc *a)
{
	if (t->fn->merge != NULL)
		sort_panes(t, a);
	else
		sort_samples(a);
}
