#include "query/range_cache.h"
#include "base/bytes.h"
#include "base/cache.h"
#include "base/hash.h"
#include "logql/fmt.h"
#include "query/range_scan.h"

typedef __int128 wide;

/* ---- the key -------------------------------------------------------------------------------------------------- */

static void ignore_field(void *arg, struct slice name)
{
	(void)arg;
	(void)name;
}

static bool depends_on_clock(const struct logql_log *log)
{
	struct tmpl_reads reads = { .field = ignore_field };

	for (size_t i = 0; i < log->n_stages; i++) {
		const struct logql_stage *s = &log->stages[i];

		if (s->kind == STAGE_LINE_FORMAT && s->line_format.tmpl != NULL)
			tmpl_reads(s->line_format.tmpl, &reads);
		for (size_t k = 0; s->kind == STAGE_LABEL_FORMAT && k < s->label_format.n; k++)
			if (s->label_format.v[k].is_template)
				tmpl_reads(s->label_format.v[k].tmpl, &reads);
	}
	return reads.clock;
}

static void put_grouping(struct buf *b, const struct logql_grouping *g)
{
	if (g == NULL) {
		buf_putc(b, 'n');
		return;
	}
	buf_putc(b, g->present ? g->without ? 'w' : 'b' : '-');
	buf_varint(b, g->labels.n);
	for (size_t i = 0; i < g->labels.n; i++)
		buf_lenslice(b, g->labels.v[i]);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void range_cache_init(struct range_cache *c, const struct exec *x, const struct window_spec *spec,
		      const struct logql_expr *range_agg, const struct logql_grouping *grouping)
{
	const struct query_request *r = x->req;
	const struct grid *g = spec->grid;
	struct buf text;

	*c = (struct range_cache){ 0 };
	if (!cache_is_on(x->engine->result_cache) || r->instant || r->no_index || r->no_columns)
		return;
	buf_init(&text);
	logql_fmt(&text, range_agg);
	if (!depends_on_clock(&range_agg->range_agg.range.log)) {
		c->cache = x->engine->result_cache;
		c->first_step = floor_div(g->start, g->step);
		buf_lenslice(&text, r->tenant);
		put_grouping(&text, grouping);
		buf_i64le(&text, g->step);
		buf_i64le(&text, (int64_t)((wide)g->start - (wide)c->first_step * g->step));
		c->plan[0] = hash_seeded(buf_slice(&text));
		buf_u64le(&text, c->plan[0]);
		c->plan[1] = hash_seeded(buf_slice(&text));
	}
	buf_fini(&text);
}

static wide ceil_div(wide a, wide b)
{
	wide q = a / b;

	return q * b < a ? q + 1 : q;
}

/* Is some entry of the unit in a window before the first or after the last step? Then its part depends on where they are. */
static bool is_clamped(const struct window_spec *s, const struct snap_unit *u)
{
	const struct grid *g = s->grid;
	wide shift = (wide)s->offset_ns - g->start;

	return ceil_div(u->range.start + shift, g->step) < 0 ||
	       ceil_div((wide)u->range.end - 1 + shift + s->range_ns, g->step) > g->n;
}

/* False: the unit's part cannot be kept. */
static bool make_key(const struct scan_worker *w, const struct snap_unit *u, struct buf *key)
{
	const struct range_scan *rs = w->scan->own;
	const struct grid *g = rs->spec.grid;
	bool clamped = is_clamped(&rs->spec, u);

	buf_reset(key);
	buf_u64le(key, rs->cache.plan[0]);
	buf_u64le(key, rs->cache.plan[1]);
	buf_i64le(key, u->range.start);
	buf_i64le(key, u->range.end);
	buf_u64le(key, clamped);
	if (clamped) {
		buf_i64le(key, g->start);
		buf_u64le(key, g->n);
	}
	return snapshot_unit_name(w->scan->snap, u, key);
}

/* ---- the value ------------------------------------------------------------------------------------------------ */

/* u8 errors, then per series: its labels, varint n, and n panes or samples */

static void put_f64(struct buf *b, double v)
{
	buf_append(b, &v, sizeof(v));
}

static double get_f64(struct cursor *c)
{
	uint64_t bits = cursor_u64le(c);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static void put_panes(struct buf *b, const struct acc *a, const struct range_fn *fn, int64_t first_step)
{
	int64_t before = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct pane *p = &a->panes[i];
		int64_t lo = first_step + p->lo;

		buf_svarint(b, lo - before);
		before = lo;
		buf_varint(b, p->end - p->lo);
		buf_varint(b, p->part.n);
		put_f64(b, p->part.v);
		if (!fn->counts) {
			put_f64(b, p->part.m2);
			buf_svarint(b, p->part.ts);
		}
	}
}

static void put_samples(struct buf *b, const struct acc *a)
{
	int64_t before = 0;

	for (size_t i = 0; i < a->n; i++) {
		buf_svarint(b, (int64_t)((uint64_t)a->samples[i].ts - (uint64_t)before));
		before = a->samples[i].ts;
		put_f64(b, a->samples[i].v);
	}
}

static void put_table(struct buf *b, const struct range_table *t, bool errors, int64_t first_step)
{
	buf_reset(b);
	buf_putc(b, errors);
	for (size_t i = 0; i < t->all.n; i++) {
		const struct acc *a = t->all.v[i];

		if (a->n == 0)
			continue;
		buf_lenslice(b, a->key);
		buf_varint(b, a->n);
		if (t->fn->merge != NULL)
			put_panes(b, a, t->fn, first_step);
		else
			put_samples(b, a);
	}
}

static int add_panes(struct range_worker *rw, struct acc *a, struct cursor *c, uint64_t n, int64_t first_step,
		     struct err *err)
{
	const struct range_fn *fn = rw->table.fn;
	int64_t lo = 0;

	for (; n > 0 && !c->bad; n--) {
		struct cell cell = { 0 };
		struct part p = { 0 };

		lo += cursor_svarint(c);
		cell.lo = (uint32_t)(lo - first_step);
		cell.end = cell.lo + (uint32_t)cursor_varint(c);
		p.n = cursor_varint(c);
		p.v = get_f64(c);
		if (!fn->counts) {
			p.m2 = get_f64(c);
			p.ts = cursor_svarint(c);
		}
		if (range_table_add(&rw->table, a, &cell, rw->unit, &p, err) == -1)
			return -1;
	}
	return 0;
}

static int add_samples(struct range_worker *rw, struct acc *a, struct cursor *c, uint64_t n, struct err *err)
{
	struct part p = { .n = 1 };
	struct cell any = { 0 };

	for (; n > 0 && !c->bad; n--) {
		p.ts = (int64_t)((uint64_t)p.ts + (uint64_t)cursor_svarint(c));
		p.v = get_f64(c);
		if (range_table_add(&rw->table, a, &any, rw->unit, &p, err) == -1)
			return -1;
	}
	return 0;
}

static int add_value(struct range_worker *rw, struct slice value, int64_t first_step, struct err *err)
{
	struct cursor c = cursor_of(value);

	rw->errors = cursor_u8(&c) != 0 || rw->errors;
	rw->unit++;
	while (cursor_left(&c) > 0) {
		struct acc *a = range_table_acc(&rw->table, cursor_lenslice(&c), err);
		uint64_t n = cursor_varint(&c);
		int rc = -1;

		if (a != NULL)
			rc = rw->table.fn->merge != NULL ? add_panes(rw, a, &c, n, first_step, err)
							 : add_samples(rw, a, &c, n, err);
		if (rc == -1)
			return -1;
	}
	return 0;
}

/* ---- one unit ------------------------------------------------------------------------------------------------- */

/* Classes of columns remember series of a table. */
static void forget_series(struct scan_worker *w)
{
	if (w->classes != NULL)
		w->classes->classes.n = 0;
}

int range_cache_begin(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	struct range_cache_worker *c = &rw->cache;

	if (rs->cache.cache == NULL || !make_key(w, u, &c->key))
		return 0;
	c->requests++;
	struct cache_item *i = cache_get(rs->cache.cache, buf_slice(&c->key));
	if (i != NULL) {
		c->hits++;
		c->bytes_found += cache_value(i).n;
		int rc = add_value(rw, cache_value(i), rs->cache.first_step, err);
		cache_release(i);
		return rc == -1 ? -1 : 1;
	}
	c->outer = rw->table;
	range_table_init(&rw->table, rs->exec, rs->spec.grid, rs->spec.fn);
	c->errors_before = rw->errors;
	rw->errors = false;
	c->corrupt_before = reader_stats(w->reader)->corrupt_blocks;
	c->open = true;
	forget_series(w);
	return 0;
}

static void keep(struct scan_worker *w)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	struct range_cache_worker *c = &rw->cache;

	put_table(&c->value, &rw->table, rw->errors, rs->cache.first_step);
	c->stored++;
	c->bytes_stored += c->value.n;
	cache_release(cache_put(rs->cache.cache, buf_slice(&c->key), &c->value));
}

int range_cache_end(struct scan_worker *w, int rc, struct err *err)
{
	struct range_worker *rw = w->own;
	struct range_cache_worker *c = &rw->cache;

	if (!c->open)
		return rc;
	if (rc == 0 && !w->scan->failed && !query_guard_tripped() &&
	    reader_stats(w->reader)->corrupt_blocks == c->corrupt_before)
		keep(w);
	if (rc == 0)
		rc = range_table_join(&c->outer, &rw->table, err);
	range_table_fini(&rw->table);
	rw->table = c->outer;
	rw->errors = rw->errors || c->errors_before;
	c->outer = (struct range_table){ 0 };
	c->open = false;
	forget_series(w);
	return rc;
}

void range_cache_worker_fini(struct range_cache_worker *c, struct query_stats *stats)
{
	stats->cache_requests += c->requests;
	stats->cache_hits += c->hits;
	stats->cache_stored += c->stored;
	stats->cache_bytes_found += c->bytes_found;
	stats->cache_bytes_stored += c->bytes_stored;
	buf_fini(&c->key);
	buf_fini(&c->value);
}
