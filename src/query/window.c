#include "query/window.h"
#include "query/quantile.h"
#include "query/range.h"

#include <assert.h>
#include <math.h>

static double scaled(const struct window_spec *s, double v)
{
	return s->fn->per_second ? v / ((double)s->range_ns / 1e9) : v;
}

/* ---- parts ---- */

struct stacks {
	const struct pane *pane;
	const struct range_fn *fn;
	size_t left, mid, right; /* the window is left to right - 1 */
	struct part *older;	 /* [i]: pane i to mid - 1, for left <= i < mid */
	struct part newer;	 /* mid to right - 1 */
};

static void enter(struct stacks *w)
{
	const struct part *p = &w->pane[w->right].part;

	if (w->right == w->mid)
		w->newer = *p;
	else
		w->fn->merge(&w->newer, p);
	w->right++;
}

static void turn_over(struct stacks *w)
{
	w->older[w->right - 1] = w->pane[w->right - 1].part;
	for (size_t i = w->right - 1; i-- > w->left;) {
		w->older[i] = w->pane[i].part;
		w->fn->merge(&w->older[i], &w->older[i + 1]);
	}
	w->mid = w->right;
}

static void leave(struct stacks *w)
{
	if (w->left == w->mid)
		turn_over(w);
	w->left++;
}

static struct part sum_of(const struct stacks *w)
{
	struct part p;

	if (w->left == w->mid)
		return w->newer;
	p = w->older[w->left];
	if (w->mid < w->right)
		w->fn->merge(&p, &w->newer);
	return p;
}

size_t window_parts(const struct window_spec *s, const struct acc *a, struct point *out)
{
	struct stacks w = { .pane = a->panes, .fn = s->fn };
	size_t n = 0;

	w.older = xcalloc(a->n + 1, sizeof(*w.older));
	for (uint32_t i = 0; i < s->grid->n; i++) {
		if (w.left == w.right && w.right == a->n)
			break;
		if (w.left == w.right)
			i = MAX(i, w.pane[w.right].lo);
		while (w.right < a->n && w.pane[w.right].lo <= i)
			enter(&w);
		while (w.left < w.right && w.pane[w.left].end <= i)
			leave(&w);
		if (w.left == w.right)
			continue;
		struct part p = sum_of(&w);
		out[n++] = (struct point){ i, scaled(s, s->fn->value(&p)) };
	}
	free(w.older);
	return n;
}

/* ---- samples ---- */

typedef __int128 wide;

/* The samples from to to - 1 of a step; all three only move forward. */
struct sample_window {
	uint32_t step;
	size_t from, to;
};

static void move_window(const struct window_spec *s, const struct acc *a, struct sample_window *w)
{
	wide end = (wide)grid_time(s->grid, w->step) - s->offset_ns;

	while (w->to < a->n && a->samples[w->to].ts <= end)
		w->to++;
	while (w->from < w->to && a->samples[w->from].ts <= end - s->range_ns)
		w->from++;
}

/* Moves to the next step that has samples, from w->step on; false: there is none. */
static bool next_window(const struct window_spec *s, const struct acc *a, struct sample_window *w)
{
	for (; w->step < s->grid->n; w->step++) {
		move_window(s, a, w);
		if (w->from < w->to)
			return true;
		if (w->to == a->n)
			return false;
		struct cell c = range_cell(s->grid, s->range_ns, s->offset_ns, a->samples[w->to].ts);
		if (c.lo < c.end)
			w->step = MAX(w->step + 1, c.lo) - 1;
	}
	return false;
}

/* The rate of a counter as Prometheus extrapolates it: to the edges of the window, or half a gap if an edge is far
 * away, and not below zero. resets: the sum of the values in front of each decrease. */
static double counter_rate(const struct window_spec *s, uint32_t step, const struct sample *v, size_t n,
			   double resets)
{
	const struct sample *first = &v[0], *last = &v[n - 1];
	wide end = (wide)grid_time(s->grid, step) - s->offset_ns;

	if (n < 2)
		return 0;
	double delta = last->v - first->v + resets;
	double sampled = (double)((wide)last->ts - first->ts);
	double gap = sampled / (double)(n - 1);
	double to_start = (double)(first->ts - (end - s->range_ns)), to_end = (double)(end - last->ts);
	if (to_start >= gap * 1.1)
		to_start = gap / 2;
	if (delta > 0 && first->v >= 0)
		to_start = fmin(to_start, sampled * (first->v / delta));
	if (to_end >= gap * 1.1)
		to_end = gap / 2;
	return delta * ((sampled + to_start + to_end) / sampled) / ((double)s->range_ns / 1e9);
}

/* Indexes of samples that are smaller than the one before. */
struct drops {
	size_t *at, n, first;
};

static void find_drops(const struct acc *a, struct drops *d)
{
	size_t cap = 0;

	*d = (struct drops){ 0 };
	for (size_t i = 1; i < a->n; i++) {
		if (!(a->samples[i].v < a->samples[i - 1].v))
			continue;
		if (d->n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			d->at = xrealloc(d->at, cap * sizeof(*d->at));
		}
		d->at[d->n++] = i;
	}
}

/* Counters are seldom reset, so these are few. */
static double resets_between(struct drops *d, const struct acc *a, size_t from, size_t to)
{
	double sum = 0;

	while (d->first < d->n && d->at[d->first] <= from)
		d->first++;
	for (size_t i = d->first; i < d->n && d->at[i] < to; i++)
		sum += a->samples[d->at[i] - 1].v;
	return sum;
}

static int counter_points(struct exec *x, const struct window_spec *s, const struct acc *a, struct point *out,
			  size_t *n_out, struct err *err)
{
	struct sample_window w = { 0 };
	struct drops drops;
	size_t n = 0;
	int rc = 0;

	find_drops(a, &drops);
	for (; rc == 0 && next_window(s, a, &w); w.step++) {
		double resets = resets_between(&drops, a, w.from, w.to);

		out[n++] = (struct point){ w.step, counter_rate(s, w.step, a->samples + w.from, w.to - w.from,
								resets) };
		rc = query_control_check(x->control, err);
	}
	free(drops.at);
	*n_out = n;
	return rc;
}

static int quantile_points(struct exec *x, const struct window_spec *s, const struct acc *a,
			   struct point *out, size_t *n_out, struct err *err)
{
	bool overlap = s->grid->n > 1 && s->range_ns > s->grid->step;
	struct quantile *q;
	struct sample_window w = { 0 };
	size_t n = 0;
	int rc = 0;

	if (a->n >= UINT32_MAX)
		return err_set(err, ERR_BAD_REQUEST, "too many samples in one series (%zu)", a->n);
	if (exec_charge(x, quantile_bytes(a->n, overlap), err) == -1)
		return -1;
	q = quantile_new(s->param, a->samples, a->n, overlap);
	for (; rc == 0 && next_window(s, a, &w); w.step++) {
		out[n++] = (struct point){ w.step, quantile_of(q, w.from, w.to) };
		rc = query_control_check(x->control, err);
	}
	quantile_free(q);
	exec_refund(x, quantile_bytes(a->n, overlap));
	*n_out = n;
	return rc;
}

int window_samples(struct exec *x, const struct window_spec *s, const struct acc *a, struct point *out,
		   size_t *n_out, struct err *err)
{
	if (s->op == RANGE_QUANTILE)
		return quantile_points(x, s, a, out, n_out, err);
	assert(s->op == RANGE_RATE_COUNTER);
	return counter_points(x, s, a, out, n_out, err);
}
