#include "query/agg.h"

#include <math.h>

/* One point of one series of a group. */
struct item {
	double value;
	size_t series;
	size_t point;
};

/* Numbers before NaN, the better before the worse, else in order of the series. */
static int compare(const struct item *a, const struct item *b, bool largest)
{
	bool a_nan = isnan(a->value), b_nan = isnan(b->value);

	if (a_nan != b_nan)
		return a_nan ? 1 : -1;
	if (!a_nan && a->value != b->value)
		return (a->value > b->value) == largest ? -1 : 1;
	return a->series < b->series ? -1 : a->series > b->series;
}

static int largest_first(const void *a, const void *b)
{
	return compare(a, b, true);
}

static int smallest_first(const void *a, const void *b)
{
	return compare(a, b, false);
}

/* ---- the k best ---- */

struct topk {
	struct exec *x;
	const struct grid *grid;
	bool largest;
	size_t k;
	const struct matrix *in;
	const struct agg_groups *groups;
	uint8_t **keep;	   /* of each series: a flag for each point */
	size_t *n_kept;	   /* of each series */
	size_t *start;	   /* of each step in item, n + 1 */
	struct item *item; /* of the group at hand, by step */
	size_t *best;	   /* series, best first; instant queries */
	size_t n_best;
};

/* The worst stands at the top of the heap. */
static void sift_down(const struct topk *t, struct item *heap, size_t n, size_t i)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= n)
			return;
		if (child + 1 < n && compare(&heap[child], &heap[child + 1], t->largest) < 0)
			child++;
		if (compare(&heap[i], &heap[child], t->largest) >= 0)
			return;
		struct item swap = heap[i];
		heap[i] = heap[child];
		heap[child] = swap;
		i = child;
	}
}

/* Brings the k best to the front; returns how many there are. */
static size_t select_best(const struct topk *t, struct item *v, size_t n)
{
	size_t k = MIN(t->k, n);

	if (k == n)
		return n;
	for (size_t i = k; i-- > 0;)
		sift_down(t, v, k, i);
	for (size_t i = k; i < n; i++)
		if (compare(&v[i], &v[0], t->largest) < 0) {
			v[0] = v[i];
			sift_down(t, v, k, 0);
		}
	return k;
}

/* Sorts the points of a group by step: counts, then places. */
static size_t gather(struct topk *t, const struct agg_group *g)
{
	size_t n = 0;

	memset(t->start, 0, (t->grid->n + 1) * sizeof(*t->start));
	for (size_t i = g->first; i != 0; i = t->groups->next[i - 1])
		for (size_t k = 0; k < t->in->series[i - 1].n; k++)
			t->start[t->in->series[i - 1].point[k].step + 1]++;
	for (uint32_t i = 0; i < t->grid->n; i++) {
		n += t->start[i + 1];
		t->start[i + 1] = n;
	}
	return n;
}

static void place(struct topk *t, const struct agg_group *g)
{
	for (size_t i = g->first; i != 0; i = t->groups->next[i - 1]) {
		const struct series *s = &t->in->series[i - 1];

		for (size_t k = 0; k < s->n; k++)
			t->item[t->start[s->point[k].step]++] = (struct item){ s->point[k].value, i - 1, k };
	}
	/* Each start has moved to its end. */
	memmove(t->start + 1, t->start, t->grid->n * sizeof(*t->start));
	t->start[0] = 0;
}

static int choose(struct topk *t, const struct agg_group *g, struct err *err)
{
	size_t n = gather(t, g);

	if (query_control_check(t->x->control, err) == -1 ||
	    exec_charge(t->x, n * sizeof(*t->item), err) == -1)
		return -1;
	t->item = xcalloc(n + 1, sizeof(*t->item));
	place(t, g);
	for (uint32_t i = 0; i < t->grid->n; i++) {
		struct item *v = t->item + t->start[i];
		size_t k = select_best(t, v, t->start[i + 1] - t->start[i]);

		if (t->best != NULL && k > 1)
			qsort(v, k, sizeof(*v), t->largest ? largest_first : smallest_first);
		for (size_t j = 0; j < k; j++) {
			t->keep[v[j].series][v[j].point] = 1;
			t->n_kept[v[j].series]++;
			if (t->best != NULL)
				t->best[t->n_best++] = v[j].series;
		}
	}
	free(TAKE(t->item));
	exec_refund(t->x, n * sizeof(*t->item));
	return 0;
}

static int kept_points(struct topk *t, size_t i, struct matrix *out, struct err *err)
{
	const struct series *s = &t->in->series[i];
	struct series *o = &out->series[out->n];

	if (t->n_kept[i] == 0)
		return 0;
	*o = (struct series){ .labels = s->labels };
	if (matrix_points(t->x, t->n_kept[i], &o->point, err) == -1)
		return -1;
	for (size_t k = 0; k < s->n; k++)
		if (t->keep[i][k])
			o->point[o->n++] = s->point[k];
	out->n++;
	return 0;
}

static int run(struct topk *t, struct matrix *out, struct err *err)
{
	size_t n = t->in->n;

	for (size_t i = 0; i < n; i++)
		t->keep[i] = arena_zalloc(t->x->arena, t->in->series[i].n);
	for (size_t i = 0; i < t->groups->all.n; i++)
		if (choose(t, &t->groups->all.v[i], err) == -1)
			return -1;
	*out = (struct matrix){ 0, arena_array(t->x->arena, struct series, n) };
	for (size_t i = 0; i < (t->best != NULL ? t->n_best : n); i++)
		if (kept_points(t, t->best != NULL ? t->best[i] : i, out, err) == -1)
			return -1;
	return 0;
}

int topk_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *in,
	     struct matrix *out, struct err *err)
{
	struct agg_groups groups;
	struct topk t = { .x = x,
			  .grid = g,
			  .largest = e->vector_agg.op != VECTOR_BOTTOMK,
			  .k = (size_t)e->vector_agg.param,
			  .in = in,
			  .groups = &groups };
	int rc;

	agg_groups_init(&groups, x, &e->vector_agg.grouping, in);
	t.keep = xcalloc(in->n + 1, sizeof(*t.keep));
	t.n_kept = xcalloc(in->n + 1, sizeof(*t.n_kept));
	t.start = xcalloc((size_t)g->n + 2, sizeof(*t.start));
	if (g->n == 1)
		t.best = xcalloc(in->n + 1, sizeof(*t.best));
	rc = run(&t, out, err);
	agg_groups_fini(&groups);
	free(t.keep);
	free(t.n_kept);
	free(t.start);
	free(t.best);
	return rc;
}

/* ---- sort ---- */

int sort_run(struct exec *x, const struct grid *g, enum vector_op op, const struct matrix *in,
	     struct matrix *out, struct err *err)
{
	struct item *item;
	size_t n = 0;

	*out = *in;
	if (g->n != 1 || in->n < 2)
		return 0;
	if (exec_charge(x, in->n * sizeof(struct series), err) == -1)
		return -1;
	item = xcalloc(in->n, sizeof(*item));
	for (size_t i = 0; i < in->n; i++)
		if (in->series[i].n > 0)
			item[n++] = (struct item){ in->series[i].point[0].value, i, 0 };
	qsort(item, n, sizeof(*item), op == VECTOR_SORT_DESC ? largest_first : smallest_first);
	*out = (struct matrix){ n, arena_array(x->arena, struct series, n) };
	for (size_t i = 0; i < n; i++)
		out->series[i] = in->series[item[i].series];
	free(item);
	return 0;
}
