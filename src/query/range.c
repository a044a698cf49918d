#include "query/range_scan.h"
#include "query/column_uses.h"
#include "query/range.h"
#include "query/unwrap.h"

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

/* Any operands at all. */
static struct cell wide_cell(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts)
{
	wide shift = (wide)offset_ns - g->start; /* time relative to the start, as seen by a window's end */
	wide last_lo, last_end;
	struct cell c;

	c.lo = step_from(g, ts + shift, &last_lo);
	c.end = step_from(g, ts + shift + range_ns, &last_end);
	last_lo -= shift;
	last_end -= shift + range_ns;
	c.last = narrow(MIN(last_lo, last_end));
	return c;
}

/* As step_from. */
static uint32_t near_step_from(const struct grid *g, int64_t from, int64_t *last)
{
	int64_t i = from > 0 ? (from - 1) / g->step + 1 : 0;

	*last = INT64_MAX;
	if (i >= g->n)
		return g->n;
	*last = i * g->step;
	return (uint32_t)i;
}

/* Are sums of a few of them far from the ends of int64? All but queries at the edge of time are so. */
static bool is_near(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts)
{
	const int64_t far = INT64_MAX / 8;

	return g->start < far && g->start > -far && range_ns < far && offset_ns < far && offset_ns > -far &&
	       ts < far && ts > -far && g->step < far;
}

struct cell range_cell(const struct grid *g, int64_t range_ns, int64_t offset_ns, int64_t ts)
{
	int64_t last_lo, last_end;
	struct cell c;

	if (!is_near(g, range_ns, offset_ns, ts)) {
		c = wide_cell(g, range_ns, offset_ns, ts);
	} else {
		int64_t shift = offset_ns - g->start;

		c.lo = near_step_from(g, ts + shift, &last_lo);
		c.end = near_step_from(g, ts + shift + range_ns, &last_end);
		last_lo = c.lo == g->n ? INT64_MAX : last_lo - shift;
		last_end = c.end == g->n ? INT64_MAX : last_end - shift - range_ns;
		c.last = MIN(last_lo, last_end);
	}
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

const struct logql_grouping *range_pushed_grouping(const struct logql_expr *e)
{
	const struct logql_expr *inner = e->vector_agg.expr;

	if (e->vector_agg.op != VECTOR_SUM || inner->kind != LOGQL_RANGE_AGG)
		return NULL;
	switch (inner->range_agg.op) {
	case RANGE_RATE:
	case RANGE_COUNT:
	case RANGE_BYTES:
	case RANGE_BYTES_RATE:
	case RANGE_SUM: return &e->vector_agg.grouping;
	default: return NULL;
	}
}

/* ---- the series of an entry ---- */

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

static struct acc *series_of(struct scan_worker *w, struct err *err)
{
	struct range_worker *rw = w->own;

	buf_reset(&w->text);
	labels_encode(&w->text, (struct labels){ w->labels.v, w->labels.n });
	return range_table_acc(&rw->table, buf_slice(&w->text), err);
}

/* Of the entry whose labels the pipeline's state holds. */
struct acc *range_series(struct scan_worker *w, struct err *err)
{
	struct range_worker *rw = w->own;
	const struct label_set *s = &w->pipe.set;

	if (s->error.n > 0) {
		if (!s->preserve_error) {
			pipeline_error(w, err);
			return NULL;
		}
		rw->errors = true;
	}
	label_set_group(s, &w->scan->plan->group, &w->labels);
	return series_of(w, err);
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
	labels_group(w->stream->labels, &w->scan->plan->group, &w->labels);
	return series_of(w, err);
}

/* ---- one unit ---- */

int range_add_lines(struct scan_worker *w, struct acc *a, uint64_t lines, uint64_t bytes, struct err *err)
{
	struct range_worker *rw = w->own;

	if (lines == 0)
		return 0;
	return range_table_add(&rw->table, a, &rw->cell, rw->unit,
			       &(struct part){ .v = (double)bytes, .n = lines }, err);
}

static int run_unfiltered(struct scan_worker *w, const struct run *r, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	uint64_t bytes = 0;

	if (rs->spec.fn->bytes)
		for (size_t i = r->i; i < r->j; i++)
			bytes += r->b->line[i].n;
	if (scan_tick(w, (r->j - r->i) * 8, err) == -1)
		return -1;
	return range_add_lines(w, rw->stream_acc, r->j - r->i, bytes, err);
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
	return n > 0 ? range_add_lines(w, rw->stream_acc, n, bytes, err) : 0;
}

static int flush_dirty(struct scan_worker *w, struct err *err)
{
	struct range_worker *rw = w->own;
	int rc = 0;

	for (size_t i = 0; i < rw->dirty.n; i++) {
		struct meta_ctx *c = rw->dirty.v[i];

		if (rc == 0)
			rc = range_add_lines(w, c->own, c->n, c->bytes, err);
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
		c->base.keep = pipeline_run(&w->pipe, &c->base, 0, SLICE(""));
		if (!c->base.keep)
			return 0;
		c->own = range_series(w, err);
		if (c->own == NULL)
			return -1;
	}
	if (c->n++ == 0)
		vec_push(&rw->dirty, c);
	c->bytes += bytes;
	return 0;
}

static int count_by_line(struct scan_worker *w, const struct meta_ctx *c, int64_t ts, struct slice line,
			 struct err *err)
{
	if (!pipeline_run(&w->pipe, &c->base, ts, line))
		return 0;
	struct acc *a = range_series(w, err);
	return a == NULL ? -1 : range_add_lines(w, a, 1, w->pipe.line.n, err);
}

static int sample_of_line(struct scan_worker *w, const struct meta_ctx *c, int64_t ts, struct slice line,
			  struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	struct part p = { .ts = ts, .n = 1 };

	if (line.p == NULL) /* nobody looks into lines */
		line = SLICE("");
	arena_reset(&w->pipe.scratch);
	if (!pipeline_run(&w->pipe, &c->base, ts, line) || !unwrap_run(rs->unwrap, &w->pipe, &p.v))
		return 0;
	struct acc *a = range_series(w, err);
	if (a == NULL)
		return -1;
	return range_table_add(&rw->table, a, &rw->cell, rw->unit, &p, err);
}

int range_run_by_entry(struct scan_worker *w, const struct run *r, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	const struct pipeline *p = rs->plan->pipeline;
	bool by_line = pipeline_reads_lines(p);
	int rc = 0;

	for (size_t i = r->i; i < r->j && rc == 0; i++) {
		struct slice line = r->b->line[i];
		int64_t ts = r->b->ts[i];

		if (scan_tick(w, line.n, err) == -1)
			return -1;
		if (!pipeline_line(p, line))
			continue;
		struct meta_ctx *c = scan_ctx(w, r->b, i);
		if (!c->base.keep)
			continue;
		rc = rs->unwrap != NULL ? sample_of_line(w, c, ts, line, err)
		     : by_line		? count_by_line(w, c, ts, line, err)
					: count_by_meta(w, c, line.n, err);
	}
	return rc == -1 ? -1 : flush_dirty(w, err);
}

size_t range_first_after(const struct entry_block *b, size_t from, int64_t last)
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

struct cell range_cell_of(const struct range_scan *rs, int64_t ts)
{
	return range_cell(rs->spec.grid, rs->spec.range_ns, rs->spec.offset_ns, ts);
}

static int visit_block(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	int (*visit)(struct scan_worker *, const struct run *, struct err *) = range_run_by_entry;

	if (rw->stream_acc != NULL)
		visit = pipeline_has_line_filters(rs->plan->pipeline) ? run_line_filters : run_unfiltered;
	for (size_t i = 0, j; i < b->n; i = j) {
		rw->cell = range_cell_of(rs, b->ts[i]);
		j = range_first_after(b, i, rw->cell.last);
		if (rw->cell.lo < rw->cell.end && visit(w, &(struct run){ b, i, j }, err) == -1)
			return -1;
	}
	return 0;
}

static struct range_worker *worker_of(struct scan_worker *w)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	if (rw != NULL)
		return rw;
	w->own = rw = xcalloc(1, sizeof(*rw));
	range_table_init(&rw->table, rs->exec, rs->spec.grid, rs->spec.fn);
	arena_init(&rw->scratch);
	return rw;
}

static int read_unit(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	struct entry_block b;
	int rc;

	scan_unit_start(w, u);
	while ((rc = scan_block(w, &b, err)) == 1)
		if (b.n > 0 &&
		    (b.columns != NULL ? range_columns_visit(w, &b, err) : visit_block(w, &b, err)) == -1)
			return -1;
	return rc;
}

/* ---- a unit whose entries are counted already ---- */

enum { MAX_CUTS = 4 }; /* from here on reading the whole unit costs less than its parts */

/* The parts of the unit that must be read: edges of windows or its own ends cut their buckets. */
struct cuts {
	struct timerange v[MAX_CUTS];
	size_t n;
};

/* Are all entries of the bucket in the unit, and in the same windows? *cell: that of a bucket before, or of none (last is
 * INT64_MIN); then that of this one. */
static bool is_whole(const struct range_scan *rs, const struct snap_unit *u, const struct count_bucket *b,
		     struct cell *cell)
{
	if (b->first > cell->last)
		*cell = range_cell_of(rs, b->first);
	return b->first >= u->range.start && b->last < u->range.end && cell->last >= b->last;
}

static bool is_outside(const struct snap_unit *u, const struct count_bucket *b)
{
	return b->last < u->range.start || b->first >= u->range.end;
}

/* False: there are too many, or they hold most of the entries. */
static bool find_cuts(const struct range_scan *rs, const struct snap_unit *u, const struct unit_counts *c,
		      struct cuts *out)
{
	struct cell cell = { .last = INT64_MIN };
	uint64_t n_read = 0, n_all = 0;

	out->n = 0;
	for (size_t i = 0; i < c->n_buckets; i++) {
		const struct count_bucket *b = &c->bucket[i];

		if (is_outside(u, b))
			continue;
		n_all += b->n_entries;
		if (is_whole(rs, u, b, &cell))
			continue;
		n_read += b->n_entries;
		struct timerange cut = { MAX(b->first, u->range.start),
					 b->last < u->range.end ? b->last + 1 : u->range.end };
		if (out->n > 0 && cut.start <= out->v[out->n - 1].end) {
			out->v[out->n - 1].end = cut.end;
			continue;
		}
		if (out->n == MAX_CUTS)
			return false;
		out->v[out->n++] = cut;
	}
	return n_read <= n_all / 2;
}

/* The series of each metadata set, NULL where the pipeline drops it. 0: it takes the entries to tell. */
static int series_of_metas(struct scan_worker *w, const struct unit_counts *c, struct acc **out,
			   struct err *err)
{
	struct range_worker *rw = w->own;

	arena_reset(&w->ctx_arena);
	w->metas_key = 0;
	for (size_t i = 0; i < c->n_metas; i++) {
		struct pipe_base base;

		out[i] = rw->stream_acc;
		if (out[i] != NULL)
			continue;
		pipeline_base(&w->pipe, w->stream->labels, c->metas[i], &w->ctx_arena, &base);
		if (!base.keep || !pipeline_run(&w->pipe, &base, 0, SLICE("")))
			continue;
		if (w->pipe.set.error.n > 0)
			return 0;
		out[i] = range_series(w, err);
		if (out[i] == NULL)
			return -1;
	}
	return 1;
}

static int add_buckets(struct scan_worker *w, const struct snap_unit *u, const struct unit_counts *c,
		       struct acc **series, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	rw->cell = (struct cell){ .last = INT64_MIN };
	for (size_t i = 0; i < c->n_buckets; i++) {
		const struct count_bucket *b = &c->bucket[i];

		if (series[b->meta] == NULL || is_outside(u, b) || !is_whole(rs, u, b, &rw->cell))
			continue;
		if (rw->cell.lo < rw->cell.end &&
		    range_add_lines(w, series[b->meta], b->n_entries, rs->spec.fn->bytes ? b->bytes : 0,
				    err) == -1)
			return -1;
	}
	return 0;
}

/* 1: the unit is done; 0: it must be read. */
static int count_unit(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	const struct label_needs *needs = &rs->plan->needs;
	struct range_worker *rw = w->own;
	struct unit_counts c;
	struct cuts cuts;
	int rc;

	if (!rs->plan->counts ||
	    !reader_counts(w->reader, u, needs->names, rw->stream_acc != NULL ? 0 : needs->n, &c) ||
	    !find_cuts(rs, u, &c, &cuts))
		return 0;
	struct acc **series = arena_array(&rw->scratch, struct acc *, c.n_metas);
	rc = series_of_metas(w, &c, series, err);
	if (rc == 1 && add_buckets(w, u, &c, series, err) == -1)
		rc = -1;
	for (size_t i = 0; i < cuts.n && rc == 1; i++) {
		struct snap_unit part = *u;

		part.range = cuts.v[i];
		part.exact_count = false;
		rw->unit++;
		if (read_unit(w, &part, err) == -1)
			rc = -1;
	}
	arena_reset(&rw->scratch);
	return rc;
}

static int visit_unit(struct scan_worker *w, const struct snap_unit *u, const struct cell *first,
		      bool one_cell, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	rw->unit++;
	rw->stream_acc = NULL;
	if (rs->unwrap == NULL && stream_decides(w) && (rw->stream_acc = series_of_stream(w, err)) == NULL)
		return -1;
	rw->cell = *first;
	if (one_cell && u->exact_count && rw->stream_acc != NULL && !rs->spec.fn->bytes &&
	    !pipeline_has_line_filters(rs->plan->pipeline))
		return range_add_lines(w, rw->stream_acc, u->n_entries, 0, err);
	int rc = count_unit(w, u, err);
	return rc == 0 ? read_unit(w, u, err) : rc == 1 ? 0 : -1;
}

static int range_unit(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct cell first = range_cell_of(rs, u->range.start);
	bool one_cell = first.last >= u->range.end - 1;

	worker_of(w);
	if (one_cell && first.lo == first.end)
		return 0;
	w->stream = u->stream;
	int rc = range_cache_begin(w, u, err);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	return range_cache_end(w, visit_unit(w, u, &first, one_cell, err), err);
}

/* ---- together ---- */

/* scan_fini calls it on one thread: the worker's series join those of all. */
static void range_worker_fini(struct scan_worker *w)
{
	struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	if (rw == NULL)
		return;
	if (!rs->failed)
		rs->failed = range_table_join(&rs->table, &rw->table, &rs->merge_err) == -1;
	rs->errors = rs->errors || rw->errors;
	range_table_fini(&rw->table);
	range_cache_worker_fini(&rw->cache, &rs->exec->stats);
	vec_fini(&rw->dirty);
	vec_fini(&rw->dirty_classes);
	vec_fini(&rw->length);
	vec_fini(&rw->by_row);
	arena_fini(&rw->scratch);
	free(rw);
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

/* ---- results ---- */

static int points_of(struct range_scan *rs, struct acc *a, struct point *out, size_t *n, struct err *err)
{
	if (query_control_check(rs->exec->control, err) == -1)
		return -1;
	range_table_sort(&rs->table, a);
	if (rs->spec.fn->merge == NULL)
		return window_samples(rs->exec, &rs->spec, a, out, n, err);
	*n = window_parts(&rs->spec, a, out);
	return 0;
}

static int all_series(struct range_scan *rs, struct matrix *out, struct err *err)
{
	struct exec *x = rs->exec;
	struct point *points = xcalloc(rs->spec.grid->n, sizeof(*points));
	int rc = 0;

	*out = (struct matrix){ 0, arena_array(x->arena, struct series, rs->table.all.n) };
	for (size_t i = 0; i < rs->table.all.n && rc == 0; i++) {
		struct acc *a = rs->table.all.v[i];
		struct series *s = &out->series[out->n];
		size_t n = 0;

		rc = points_of(rs, a, points, &n, err);
		if (rc == -1 || n == 0)
			continue;
		rc = matrix_points(x, n, &s->point, err);
		if (rc == -1)
			continue;
		memcpy(s->point, points, n * sizeof(*points));
		s->n = n;
		s->labels = (struct labels){ NULL, 0 };
		labels_decode(arena_dup(x->arena, a->key), x->arena, &s->labels);
		out->n++;
	}
	free(points);
	if (rc == 0)
		matrix_sort(out);
	return rc;
}

/* name="value" where the name occurs in no other matcher. */
static struct labels absent_labels(const struct logql_log *log, struct arena *a)
{
	struct label *v = arena_array(a, struct label, log->n_matchers);
	size_t n = 0;

	for (size_t i = 0; i < log->n_matchers; i++) {
		const struct matcher *m = &log->matchers[i];
		bool once = true;

		for (size_t k = 0; k < log->n_matchers; k++)
			once = once && (k == i || !slice_eq(log->matchers[k].name, m->name));
		if (once && m->op == MATCH_EQ && m->value.n > 0)
			v[n++] = (struct label){ m->name, m->value };
	}
	labels_sort(v, n);
	return (struct labels){ v, n };
}

/* 1 at each step that has no line, of whatever series. */
static int absent_series(struct range_scan *rs, struct matrix *out, struct err *err)
{
	struct exec *x = rs->exec;
	uint32_t n_steps = rs->spec.grid->n;
	struct point *points = xcalloc(n_steps, sizeof(*points));
	uint8_t *present = xcalloc(n_steps, 1);
	struct series *s = arena_new(x->arena, struct series);
	int rc;

	for (size_t i = 0; i < rs->table.all.n; i++) {
		struct acc *a = rs->table.all.v[i];

		range_table_sort(&rs->table, a);
		size_t n = window_parts(&rs->spec, a, points);
		for (size_t k = 0; k < n; k++)
			present[points[k].step] = 1;
	}
	rc = matrix_points(x, n_steps, &s->point, err);
	for (uint32_t i = 0; i < n_steps && rc == 0; i++)
		if (!present[i])
			s->point[s->n++] = (struct point){ i, 1 };
	s->labels = absent_labels(rs->plan->log, x->arena);
	*out = (struct matrix){ s->n > 0, s };
	free(present);
	free(points);
	return rc;
}

static const struct logql_grouping no_labels = { .present = true };

static const struct logql_grouping *grouping_of(const struct logql_expr *e,
						const struct logql_grouping *outer)
{
	if (e->range_agg.op == RANGE_ABSENT)
		return &no_labels;
	return e->range_agg.grouping.present ? &e->range_agg.grouping : outer;
}

void range_plan_options(const struct exec *x, const struct grid *g, const struct logql_expr *e,
			const struct logql_grouping *grouping, struct plan_options *out)
{
	const struct logql_range *r = &e->range_agg.range;

	*out = (struct plan_options){ .keys = x->engine->keys,
				      .window = range_window(g, r->range_ns, r->offset_ns),
				      .no_index = x->req->no_index,
				      .lengths_only = true,
				      .grouping = grouping_of(e, grouping),
				      .unwrap = r->unwrap };
}

static int run(struct range_scan *rs, const struct logql_expr *e, const struct plan_options *o,
	       struct matrix *out, struct err *err)
{
	const struct logql_range *r = &e->range_agg.range;
	struct plan *plan = NULL;
	int rc = -1;

	if (r->unwrap != NULL && unwrap_new(r->unwrap, &rs->unwrap, err) == -1)
		return -1;
	if (plan_new(&r->log, o, rs->exec->arena, &plan, err) == -1)
		goto out;
	plan->use_columns = !rs->exec->req->no_columns;
	if (plan->use_columns)
		plan->columns = column_uses_new(plan, rs->unwrap, rs->exec->arena);
	rs->plan = plan;
	range_cache_init(&rs->cache, rs->exec, &rs->spec, e, o->grouping);
	if (o->window.start < o->window.end && scan_range(rs, err) == -1)
		goto out;
	rc = rs->spec.op == RANGE_ABSENT ? absent_series(rs, out, err) : all_series(rs, out, err);
out:
	plan_fini(plan);
	unwrap_free(rs->unwrap);
	return rc;
}

int range_run(struct exec *x, const struct grid *g, const struct logql_expr *e,
	      const struct logql_grouping *grouping, struct matrix *out, bool *regroup, struct err *err)
{
	const struct logql_range *r = &e->range_agg.range;
	struct plan_options o;
	struct range_scan rs = { .exec = x,
				 .spec = { .grid = g,
					   .range_ns = r->range_ns,
					   .offset_ns = r->offset_ns,
					   .fn = range_fn_find(e->range_agg.op, r->unwrap != NULL),
					   .op = e->range_agg.op,
					   .param = e->range_agg.param } };
	int rc;

	range_plan_options(x, g, e, grouping, &o);
	range_table_init(&rs.table, x, g, rs.spec.fn);
	rc = run(&rs, e, &o, out, err);
	*regroup = rs.errors;
	range_table_fini(&rs.table);
	return rc;
}
