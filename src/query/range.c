#include "query/range.h"
#include "base/map.h"
#include "logql/funcs.h"
#include "logql/units.h"

#include <assert.h>

typedef __int128 wide;

static int64_t narrow(wide v)
{
	return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

static wide ceil_div(wide a, wide b)
{
	wide q = a / b;

	return q * b < a ? q + 1 : q;
}

/* The first step at or after the time `from` (relative to the start), and the last time for which this holds.
 */
static uint32_t step_from(const struct grid *g, wide from, wide *last)
{
	wide i = ceil_div(from, g->step);

	if (i >= g->n) {
		*last = (wide)1 << 100;
		return g->n;
	}
	if (i < 0)
		i = 0;
	*last = i * g->step;
	return (uint32_t)i;
}

struct cell range_cell(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts)
{
	wide shift = (wide)offset_ns - g->start; /* time relative to the start, as seen by a window's end */
	wide last_lo, last_end;
	struct cell c;

	c.lo = step_from(g, ts + shift, &last_lo);
	c.end = step_from(g, ts + shift + range_ns, &last_end);
	last_lo -= shift;
	last_end -= shift + range_ns;
	c.last = narrow(MIN(last_lo, last_end));
	assert(c.lo <= c.end && c.last >= ts);
	return c;
}

struct timerange range_window(const struct grid *g, int64_t range_ns, int64_t offset_ns)
{
	wide first = (wide)g->start - offset_ns - range_ns + 1;
	wide last = (wide)g->start + (wide)(g->n - 1) * g->step - offset_ns;

	if (range_ns <= 0)
		return (struct timerange){ 0, 0 };
	return (struct timerange){ narrow(first), narrow(last + 1) };
}

int range_check(const struct logql_expr *e, struct err *err)
{
	switch (e->range_agg.op) {
	case RANGE_RATE:
	case RANGE_COUNT:
	case RANGE_BYTES:
	case RANGE_BYTES_RATE: break;
	default:
		return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported yet",
			       range_funcs[e->range_agg.op].name);
	}
	if (e->range_agg.range.unwrap != NULL)
		return err_set(err, ERR_NOT_SUPPORTED, "unwrap is not supported yet");
	return pipeline_check(&e->range_agg.range.log, err);
}

/* ---- sums by series ---- */

enum { PAGE_STEPS = 128 };

/* Differences from step to step: lines, and behind them bytes. */
struct page {
	int64_t lines[PAGE_STEPS];
	int64_t bytes[]; /* PAGE_STEPS, where bytes matter */
};
struct acc {
	struct slice key; /* encoded labels */
	struct page **page;
};
/* Of one worker. */
struct acc_table {
	struct arena arena;
	struct map by_key;
	VEC(struct acc *) all;
	uint64_t charged;
};

struct range_scan {
	struct exec *exec;
	const struct grid *grid;
	int64_t range_ns, offset_ns;
	const struct plan *plan;
	bool bytes;	       /* of lines are wanted */
	struct acc_table sums; /* of all workers, at the end */
	bool errors;	       /* some series kept all their labels */
	struct err merge_err;
	bool failed;
	pthread_mutex_t lock;
};

struct range_worker {
	struct acc_table sums;
	struct acc *stream_acc; /* of the unit at hand, where stream labels decide the series */
	struct cell cell;
	bool errors;
	VEC(struct meta_ctx *) dirty; /* contexts with counts not yet added */
};

static int table_charge(struct exec *x, struct acc_table *t, struct err *err)
{
	uint64_t now =
		t->arena.total + t->by_key.cap * sizeof(struct map_slot) + t->all.cap * sizeof(*t->all.v);
	uint64_t more = now > t->charged ? now - t->charged : 0;

	t->charged += more;
	return more > 0 ? exec_charge(x, more, err) : 0;
}

static void table_fini(struct exec *x, struct acc_table *t)
{
	exec_refund(x, t->charged);
	map_fini(&t->by_key);
	vec_fini(&t->all);
	arena_fini(&t->arena);
}

static struct acc *table_acc(const struct range_scan *rs, struct acc_table *t, struct slice key,
			     struct err *err)
{
	struct acc *a = map_get(&t->by_key, key);
	size_t n_pages = (rs->grid->n + PAGE_STEPS - 1) / PAGE_STEPS;

	if (a != NULL)
		return a;
	a = arena_new(&t->arena, struct acc);
	a->key = arena_dup(&t->arena, key);
	a->page = arena_zalloc(&t->arena, n_pages * sizeof(*a->page));
	*map_put(&t->by_key, a->key, NULL) = a;
	vec_push(&t->all, a);
	return table_charge(rs->exec, t, err) == -1 ? NULL : a;
}

static int add_at(const struct range_scan *rs, struct acc_table *t, struct acc *a, uint32_t step,
		  int64_t lines, int64_t bytes, struct err *err)
{
	struct page **p = &a->page[step / PAGE_STEPS];
	int rc = 0;

	if (*p == NULL) {
		*p = arena_zalloc(&t->arena, sizeof(**p) + (rs->bytes ? sizeof((*p)->lines) : 0));
		rc = table_charge(rs->exec, t, err);
	}
	(*p)->lines[step % PAGE_STEPS] += lines;
	if (rs->bytes)
		(*p)->bytes[step % PAGE_STEPS] += bytes;
	return rc;
}

static int acc_add(const struct range_scan *rs, struct acc_table *t, struct acc *a, const struct cell *c,
		   uint64_t lines, uint64_t bytes, struct err *err)
{
	if (add_at(rs, t, a, c->lo, (int64_t)lines, (int64_t)bytes, err) == -1)
		return -1;
	if (c->end < rs->grid->n)
		return add_at(rs, t, a, c->end, -(int64_t)lines, -(int64_t)bytes, err);
	return 0;
}

/* ---- one unit ---- */

static int pipeline_error(struct scan_worker *w, struct err *err)
{
	static const char form[] =
		"pipeline error: '%.*s' for series: '%.*s'.\n"
		"Use a label filter to intentionally skip this error. (e.g | __error__!=\"%.*s\").\n"
		"To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
		"The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" "
		")\n";
	struct slice kind = w->pipe.set.error;

	if (kind.n > 64)
		kind.n = 64;
	label_set_list(&w->pipe.set, LABEL_CAT_ALL, &w->labels);
	buf_reset(&w->text);
	labels_format(&w->text, (struct labels){ w->labels.v, w->labels.n });
	struct slice series = slice_sub(buf_slice(&w->text), 0, sizeof(err->msg) - sizeof(form) - 2 * kind.n);
	return err_set(err, ERR_BAD_REQUEST, form, SLICE_ARG(kind), SLICE_ARG(series), SLICE_ARG(kind));
}

/* The series of the entry whose labels the pipeline's state holds. */
static struct acc *series_of_set(struct scan_worker *w, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	const struct label_set *s = &w->pipe.set;

	if (s->error.n > 0) {
		if (!s->preserve_error) {
			pipeline_error(w, err);
			return NULL;
		}
		rw->errors = true;
	}
	label_set_group(s, &rs->plan->group, &w->labels);
	buf_reset(&w->text);
	labels_encode(&w->text, (struct labels){ w->labels.v, w->labels.n });
	return table_acc(rs, &rw->sums, buf_slice(&w->text), err);
}

/* Do the stream's own labels decide the series? A stream label cannot be hidden by metadata. */
static bool stream_decides(const struct scan_worker *w)
{
	const struct plan *p = w->scan->plan;

	if (p->group.all || p->group.without || pipeline_has_line_stages(p->pipeline) ||
	    pipeline_has_base_filters(p->pipeline))
		return false;
	for (size_t i = 0; i < p->group.n; i++)
		if (labels_get(w->stream->labels, p->group.names[i]).p == NULL)
			return false;
	return true;
}

static struct acc *series_of_stream(struct scan_worker *w, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	labels_group(w->stream->labels, &rs->plan->group, &w->labels);
	buf_reset(&w->text);
	labels_encode(&w->text, (struct labels){ w->labels.v, w->labels.n });
	return table_acc(rs, &rw->sums, buf_slice(&w->text), err);
}

/* Entries i to j - 1 of a block fall into the same windows. */
struct run {
	const struct entry_block *b;
	size_t i, j;
};

static int run_unfiltered(struct scan_worker *w, const struct run *r, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	uint64_t bytes = 0;

	if (rs->bytes)
		for (size_t i = r->i; i < r->j; i++)
			bytes += r->b->line[i].n;
	if (scan_tick(w, (r->j - r->i) * 8, err) == -1)
		return -1;
	return acc_add(rs, &rw->sums, rw->stream_acc, &rw->cell, r->j - r->i, bytes, err);
}

static int run_line_filters(struct scan_worker *w, const struct run *r, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	uint64_t n = 0, bytes = 0;

	for (size_t i = r->i; i < r->j; i++) {
		struct slice line = r->b->line[i];

		if (scan_tick(w, line.n, err) == -1)
			return -1;
		if (!pipeline_line(rs->plan->pipeline, line))
			continue;
		n++;
		bytes += line.n;
	}
	return n > 0 ? acc_add(rs, &rw->sums, rw->stream_acc, &rw->cell, n, bytes, err) : 0;
}

static int flush_dirty(struct scan_worker *w, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	int rc = 0;

	for (size_t i = 0; i < rw->dirty.n; i++) {
		struct meta_ctx *c = rw->dirty.v[i];

		if (rc == 0)
			rc = acc_add(rs, &rw->sums, c->own, &rw->cell, c->n, c->bytes, err);
		c->n = c->bytes = 0;
	}
	rw->dirty.n = 0;
	return rc;
}

/* Counts the entry in its metadata set's context; its series is looked up once for the whole block. */
static int count_by_meta(struct scan_worker *w, struct meta_ctx *c, size_t bytes, struct err *err)
{
	struct range_worker *rw = w->own;

	if (c->own == NULL) {
		label_set_start(&w->pipe.set, &c->base.labels);
		c->own = series_of_set(w, err);
		if (c->own == NULL)
			return -1;
	}
	if (c->n++ == 0)
		vec_push(&rw->dirty, c);
	c->bytes += bytes;
	return 0;
}

static int count_by_line(struct scan_worker *w, const struct meta_ctx *c, struct slice line, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	if (!pipeline_run(&w->pipe, &c->base, line))
		return 0;
	struct acc *a = series_of_set(w, err);
	return a == NULL ? -1 : acc_add(rs, &rw->sums, a, &rw->cell, 1, line.n, err);
}

static int run_by_meta(struct scan_worker *w, const struct run *r, struct err *err)
{
	const struct pipeline *p = w->scan->plan->pipeline;
	bool by_line = pipeline_has_line_stages(p);
	int rc = 0;

	for (size_t i = r->i; i < r->j && rc == 0; i++) {
		struct slice line = r->b->line[i];

		if (scan_tick(w, line.n, err) == -1)
			return -1;
		if (!pipeline_line(p, line))
			continue;
		struct meta_ctx *c = scan_ctx(w, r->b, i);
		if (c->base.keep)
			rc = by_line ? count_by_line(w, c, line, err) : count_by_meta(w, c, line.n, err);
	}
	return rc == -1 ? -1 : flush_dirty(w, err);
}

static size_t first_after(const struct entry_block *b, size_t from, int64_t last)
{
	size_t lo = from, hi = b->n;

	if (b->ts[b->n - 1] <= last)
		return b->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->ts[mid] <= last)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int visit_block(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	int (*visit)(struct scan_worker *, const struct run *, struct err *) = run_by_meta;

	if (rw->stream_acc != NULL)
		visit = pipeline_has_line_filters(rs->plan->pipeline) ? run_line_filters : run_unfiltered;
	for (size_t i = 0, j; i < b->n; i = j) {
		rw->cell = range_cell(rs->grid, rs->range_ns, rs->offset_ns, b->ts[i]);
		j = first_after(b, i, rw->cell.last);
		if (rw->cell.lo < rw->cell.end && visit(w, &(struct run){ b, i, j }, err) == -1)
			return -1;
	}
	return 0;
}

static int range_unit(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct cell first = range_cell(rs->grid, rs->range_ns, rs->offset_ns, u->range.start);
	bool one_cell = first.last >= u->range.end - 1;
	struct range_worker *rw = w->own;
	struct entry_block b;
	int rc;

	if (rw == NULL)
		w->own = rw = xcalloc(1, sizeof(*rw));
	if (one_cell && first.lo == first.end)
		return 0;
	w->stream = u->stream;
	rw->stream_acc = NULL;
	if (stream_decides(w) && (rw->stream_acc = series_of_stream(w, err)) == NULL)
		return -1;
	if (one_cell && u->exact_count && rw->stream_acc != NULL && !rs->bytes &&
	    !pipeline_has_line_filters(rs->plan->pipeline))
		return acc_add(rs, &rw->sums, rw->stream_acc, &first, u->n_entries, 0, err);
	scan_unit_start(w, u);
	while ((rc = scan_block(w, &b, err)) == 1)
		if (b.n > 0 && visit_block(w, &b, err) == -1)
			return -1;
	return rc;
}

/* ---- together ---- */

static int merge_acc(struct range_scan *rs, const struct acc *from, struct err *err)
{
	struct acc *to = table_acc(rs, &rs->sums, from->key, err);

	if (to == NULL)
		return -1;
	for (uint32_t i = 0; i < rs->grid->n; i++) {
		const struct page *p = from->page[i / PAGE_STEPS];

		if (p == NULL) {
			i |= PAGE_STEPS - 1;
			continue;
		}
		int64_t lines = p->lines[i % PAGE_STEPS];
		int64_t bytes = rs->bytes ? p->bytes[i % PAGE_STEPS] : 0;
		if ((lines != 0 || bytes != 0) && add_at(rs, &rs->sums, to, i, lines, bytes, err) == -1)
			return -1;
	}
	return 0;
}

/* scan_fini calls it on one thread: the worker's sums join those of all. */
static void range_worker_fini(struct scan_worker *w)
{
	struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	if (rw == NULL)
		return;
	if (rs->sums.all.n == 0 && rs->sums.arena.block == NULL) {
		rs->sums = rw->sums;
		rw->sums = (struct acc_table){ 0 };
	}
	for (size_t i = 0; i < rw->sums.all.n && !rs->failed; i++)
		rs->failed = merge_acc(rs, rw->sums.all.v[i], &rs->merge_err) == -1;
	rs->errors = rs->errors || rw->errors;
	table_fini(rs->exec, &rw->sums);
	vec_fini(&rw->dirty);
	free(rw);
}

/* Calls take (may be NULL) for each step that has lines; returns how many there are. */
static size_t acc_points(const struct range_scan *rs, const struct acc *a, enum range_op op,
			 struct point *out)
{
	double seconds = (double)rs->range_ns / 1e9;
	int64_t lines = 0, bytes = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < rs->grid->n; i++) {
		const struct page *p = a->page[i / PAGE_STEPS];

		if (p != NULL) {
			lines += p->lines[i % PAGE_STEPS];
			bytes += rs->bytes ? p->bytes[i % PAGE_STEPS] : 0;
		}
		if (lines == 0)
			continue;
		if (out != NULL) {
			double v = (double)(rs->bytes ? bytes : lines);

			out[n] = (struct point){ i, op == RANGE_RATE || op == RANGE_BYTES_RATE ? v / seconds
											       : v };
		}
		n++;
	}
	return n;
}

static int finish(struct range_scan *rs, enum range_op op, struct matrix *out, struct err *err)
{
	struct exec *x = rs->exec;

	*out = (struct matrix){ 0, arena_array(x->arena, struct series, rs->sums.all.n) };
	for (size_t i = 0; i < rs->sums.all.n; i++) {
		const struct acc *a = rs->sums.all.v[i];
		struct series *s = &out->series[out->n];
		size_t n = acc_points(rs, a, op, NULL);

		if (n == 0)
			continue;
		if (query_control_check(x->control, err) == -1 || matrix_points(x, n, &s->point, err) == -1)
			return -1;
		s->n = acc_points(rs, a, op, s->point);
		s->labels = (struct labels){ NULL, 0 };
		labels_decode(arena_dup(x->arena, a->key), x->arena, &s->labels);
		out->n++;
	}
	matrix_sort(out);
	return 0;
}

static int scan_range(struct range_scan *rs, struct err *err)
{
	struct scan scan;

	if (scan_init(&scan, rs->exec, rs->plan, err) == -1)
		return -1;
	scan.unit = range_unit;
	scan.worker_fini = range_worker_fini;
	scan.own = rs;
	int rc = scan_run(&scan, err);
	rs->failed = rc == -1;
	scan_fini(&scan);
	if (rc == 0 && rs->failed) {
		*err = rs->merge_err;
		rc = -1;
	}
	return rc;
}

int range_run(struct exec *x, const struct grid *g, const struct logql_expr *e,
	      const struct logql_grouping *grouping, struct matrix *out, bool *regroup, struct err *err)
{
	const struct logql_range *r = &e->range_agg.range;
	enum range_op op = e->range_agg.op;
	struct plan_options o = { .keys = x->engine->keys,
				  .window = range_window(g, r->range_ns, r->offset_ns),
				  .no_index = x->req->no_index,
				  .lengths_only = true,
				  .grouping = grouping };
	struct range_scan rs = { .exec = x,
				 .grid = g,
				 .range_ns = r->range_ns,
				 .offset_ns = r->offset_ns,
				 .bytes = op == RANGE_BYTES || op == RANGE_BYTES_RATE };
	struct plan *plan;
	int rc = 0;

	if (plan_new(&r->log, &o, x->arena, &plan, err) == -1)
		return -1;
	rs.plan = plan;
	if (o.window.start < o.window.end)
		rc = scan_range(&rs, err);
	if (rc == 0)
		rc = finish(&rs, op, out, err);
	*regroup = rs.errors;
	table_fini(x, &rs.sums);
	plan_fini(plan);
	return rc;
}
