#include "query/scan.h"
#include "base/account.h"
#include "base/clock.h"
#include "base/pool.h"
#include "base/text.h"
#include "query/column_classes.h"

enum { TICK_WORK = 1024, WORK_BYTES = 1024 };

/* Units are handed out in batches of so much work; to hand one out and to begin it costs about as much as UNIT_BYTES. */
enum { BATCH_BYTES = 256 << 10, UNIT_BYTES = 8 << 10, BATCHES_PER_THREAD = 8 };

/* ---- memory ---- */

static int over_budget(const char *what, uint64_t limit, enum err_code code, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_bytes_human(&b, limit);
	err_set(err, code, "query needs more memory than %s allows (%.*s)", what, SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

int exec_charge(struct exec *x, uint64_t n, struct err *err)
{
	const struct query_engine *e = x->engine;
	uint64_t limit = x->req->limits != NULL ? x->req->limits->max_query_memory : 0;
	uint64_t own = atomic_fetch_add(&x->memory, n) + n;
	uint64_t all = e->memory_in_use != NULL ? atomic_fetch_add(e->memory_in_use, n) + n : 0;

	account_charge(e->memory, n);
	if (limit != 0 && own > limit)
		return over_budget("max_query_memory", limit, ERR_BAD_REQUEST, err);
	if (e->memory_limit != 0 && all > e->memory_limit)
		return over_budget("query_memory of all queries together", e->memory_limit, ERR_UNAVAILABLE,
				   err);
	if (account_is_over(e->memory))
		return over_budget("memory_limit of all work together", account_limit_of(e->memory),
				   ERR_UNAVAILABLE, err);
	return 0;
}

void exec_refund(struct exec *x, uint64_t n)
{
	atomic_fetch_sub(&x->memory, n);
	if (x->engine->memory_in_use != NULL)
		atomic_fetch_sub(x->engine->memory_in_use, n);
	account_release(x->engine->memory, n);
}

/* ---- workers ---- */

static struct scan_worker *worker_new(struct scan *s)
{
	struct scan_worker *w = xcalloc(1, sizeof(*w));

	w->scan = s;
	w->reader = reader_new(s->snap);
	pipe_state_init(&w->pipe, s->plan->pipeline);
	if (s->plan->probe != NULL)
		pipe_state_init(&w->probe, s->plan->probe);
	arena_init(&w->ctx_arena);
	buf_init(&w->text);
	return w;
}

static void add_stats(struct exec *x, const struct read_stats *r)
{
	struct query_stats *s = &x->stats;

	s->lines_processed += r->lines + r->head_lines;
	s->head_lines += r->head_lines;
	s->head_bytes += r->head_bytes;
	s->decompressed_lines += r->lines;
	s->decompressed_bytes += r->bytes_decompressed;
	s->compressed_bytes += r->bytes_compressed;
	s->bytes_processed += r->bytes_decompressed + r->head_bytes;
	s->meta_bytes_processed += r->meta_bytes;
	s->duplicates += r->duplicates;
	s->chunks_read += r->chunks_read;
	s->chunks_counted += r->chunks_counted;
	s->blocks_read += r->blocks_read;
	s->blocks_skipped += r->blocks_skipped;
	s->chunks_skipped_by_templates += r->chunks_skipped_by_templates;
	s->blocks_skipped_by_templates += r->blocks_skipped_by_templates;
	s->columns_decoded += r->columns_decoded;
	s->lines_rebuilt += r->lines_rebuilt;
	x->corrupt_blocks += r->corrupt_blocks;
}

static void worker_free(struct scan_worker *w)
{
	if (w->scan->worker_fini != NULL)
		w->scan->worker_fini(w);
	add_stats(w->scan->exec, reader_stats(w->reader));
	reader_free(w->reader);
	pipe_state_fini(&w->pipe);
	if (w->scan->plan->probe != NULL)
		pipe_state_fini(&w->probe);
	if (w->classes != NULL)
		column_classes_fini(w->classes);
	free(w->classes);
	column_lines_fini(&w->column_lines);
	vec_fini(&w->rows);
	vec_fini(&w->next_rows);
	vec_fini(&w->entries);
	arena_fini(&w->ctx_arena);
	vec_fini(&w->labels);
	buf_fini(&w->text);
	free(w);
}

static struct scan_worker *worker_take(struct scan *s)
{
	pthread_mutex_lock(&s->lock);
	struct scan_worker *w = s->idle;
	if (w != NULL)
		s->idle = w->next;
	pthread_mutex_unlock(&s->lock);
	return w != NULL ? w : worker_new(s);
}

static void worker_give(struct scan *s, struct scan_worker *w)
{
	pthread_mutex_lock(&s->lock);
	w->next = s->idle;
	s->idle = w;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the snapshot ---- */

static bool any_stream_has(const struct snapshot *snap, struct slice name)
{
	for (size_t i = 0; i < snapshot_n_streams(snap); i++)
		if (labels_get(snapshot_stream(snap, i)->labels, name).p != NULL)
			return true;
	return false;
}

static bool lookup_counts(const struct snapshot *streams, const struct plan_lookup *l)
{
	for (size_t i = 0; i < l->n_names; i++)
		if (any_stream_has(streams, l->names[i]))
			return false;
	return true;
}

static bool names_to_check(const struct plan *p)
{
	for (size_t i = 0; i < p->n_lookups; i++)
		if (p->lookups[i].n_names > 0)
			return true;
	return false;
}

static int take_snapshot(struct scan *s, const struct scan_hint *hint, bool want_units, struct snapshot **out,
			 struct err *err)
{
	const struct logql_log *log = s->plan->log;

	return snapshot_take(s->exec->engine->store, s->exec->req->tenant, log->matchers, log->n_matchers,
			     hint, want_units, out, err);
}

/* Which lookups may be used. The index knows stream labels only under the names of trace_id_keys. */
static int choose_lookups(struct scan *s, struct scan_hint *hint, struct trace_group *groups, struct err *err)
{
	const struct plan *p = s->plan;
	struct snapshot *streams = NULL;

	if (names_to_check(p) && take_snapshot(s, hint, false, &streams, err) == -1)
		return -1;
	for (size_t i = 0; i < p->n_lookups; i++)
		if (p->lookups[i].n_names == 0 || lookup_counts(streams, &p->lookups[i]))
			groups[hint->n_groups++] = p->lookups[i].tokens;
	hint->groups = groups;
	if (streams != NULL)
		snapshot_release(streams);
	return 0;
}

static int check_bytes(const struct scan *s, struct err *err)
{
	const struct limits *l = s->exec->req->limits;
	uint64_t total = 0;

	if (l == NULL || l->max_query_bytes_read == 0)
		return 0;
	for (size_t i = 0; i < snapshot_n_units(s->snap); i++)
		total += snapshot_unit(s->snap, i)->raw_bytes;
	if (total <= l->max_query_bytes_read)
		return 0;
	return err_set(
		err, ERR_BAD_REQUEST,
		"the query would read too many bytes (query: %llu B, limit: %llu B); consider adding more "
		"specific stream selectors or reduce the time range of the query",
		(unsigned long long)total, (unsigned long long)l->max_query_bytes_read);
}

int scan_init(struct scan *s, struct exec *x, const struct plan *plan, struct err *err)
{
	struct trace_group groups[PLAN_MAX_GROUPS];
	struct scan_hint hint = { .range = plan->window,
				  .backward = plan->backward,
				  .no_lines = plan->no_lines,
				  .columns = plan->use_columns,
				  .needles = plan->needles,
				  .n_needles = plan->n_needles };
	struct snapshot *snap;
	int64_t t0 = clock_mono_ns();

	*s = (struct scan){ .exec = x, .plan = plan };
	query_guard_begin(x->control);
	if (choose_lookups(s, &hint, groups, err) == -1 || take_snapshot(s, &hint, true, &snap, err) == -1)
		return query_guard_end(x->control, -1, err);
	s->snap = snap;
	pthread_mutex_init(&s->lock, NULL);
	if (query_guard_end(x->control, 0, err) == -1 || check_bytes(s, err) == -1) {
		scan_fini(s);
		return -1;
	}
	const struct snap_stats *st = snapshot_stats(s->snap);
	x->stats.chunks_total += st->chunks_considered;
	x->chunks_missing += st->chunks_missing;
	x->stats.chunks_skipped_by_time += st->chunks_skipped_by_time;
	x->stats.chunks_skipped_by_trace += st->chunks_skipped_by_trace;
	x->stats.chunks_skipped_by_filter += st->chunks_skipped_by_filter;
	x->stats.days_skipped_by_trace += st->days_skipped_by_trace;
	x->stats.used_trace_index = x->stats.used_trace_index || st->used_trace_index;
	x->stats.streams += snapshot_n_streams(s->snap);
	x->stats.plan_seconds += (double)(clock_mono_ns() - t0) / 1e9;
	return 0;
}

static void fail(struct scan *s, const struct err *err)
{
	pthread_mutex_lock(&s->lock);
	if (!s->failed)
		s->err = *err;
	s->failed = true;
	pthread_mutex_unlock(&s->lock);
}

static void run_batch(void *arg, size_t number)
{
	struct scan *s = arg;
	struct err err;

	if (s->failed)
		return;
	struct scan_worker *w = worker_take(s);
	err_clear(&err);
	int rc = query_control_check(s->exec->control, &err);
	if (rc == 0) {
		query_guard_begin(s->exec->control);
		for (size_t i = s->batch.v[number], end = s->batch.v[number + 1];
		     i < end && rc == 0 && !s->failed && !query_guard_tripped(); i++)
			rc = s->unit(w, snapshot_unit(s->snap, i), &err);
		rc = query_guard_end(s->exec->control, rc, &err);
	}
	if (rc == -1)
		fail(s, &err);
	worker_give(s, w);
}

/* Where batches of units begin, and where the last one ends. Large units stand alone; of few there is enough for all. */
static void make_batches(struct scan *s, unsigned n_threads)
{
	size_t n = snapshot_n_units(s->snap);
	uint64_t total = 0, most, bytes = 0;

	for (size_t i = 0; i < n; i++)
		total += snapshot_unit(s->snap, i)->raw_bytes + UNIT_BYTES;
	most = MIN(total / n_threads / BATCHES_PER_THREAD, (uint64_t)BATCH_BYTES);
	s->batch.n = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t more = snapshot_unit(s->snap, i)->raw_bytes + UNIT_BYTES;

		if (i == 0 || bytes + more > most) {
			vec_push(&s->batch, i);
			bytes = 0;
		}
		bytes += more;
	}
	vec_push(&s->batch, n);
}

int scan_run(struct scan *s, struct err *err)
{
	struct pool *pool = s->exec->engine->pool;
	unsigned n_threads = pool != NULL ? pool_n_threads(pool) + 1 : 1;
	int64_t t0 = clock_mono_ns();

	make_batches(s, n_threads);
	if (pool != NULL)
		pool_for(pool, s->batch.n - 1, n_threads, run_batch, s);
	else
		for (size_t i = 0; i + 1 < s->batch.n; i++)
			run_batch(s, i);
	s->exec->stats.scan_seconds += (double)(clock_mono_ns() - t0) / 1e9;
	if (!s->failed)
		return 0;
	*err = s->err;
	return -1;
}

void scan_fini(struct scan *s)
{
	for (struct scan_worker *w = s->idle, *next; w != NULL; w = next) {
		next = w->next;
		worker_free(w);
	}
	vec_fini(&s->batch);
	snapshot_release(s->snap);
	pthread_mutex_destroy(&s->lock);
}

/* ---- blocks ---- */

void scan_unit_start(struct scan_worker *w, const struct snap_unit *u)
{
	w->stream = u->stream;
	w->metas_key = 0;
	reader_start(w->reader, u);
}

/* Contexts stay from block to block where the store says that the metadata sets are the same. */
static void prepare_ctx(struct scan_worker *w, const struct entry_block *b)
{
	if (b->metas_key != 0 && b->metas_key == w->metas_key && b->n_metas == w->n_metas)
		return;
	arena_reset(&w->ctx_arena);
	w->ctx = arena_zalloc(&w->ctx_arena, b->n_metas * sizeof(*w->ctx));
	w->metas_key = b->metas_key;
	w->n_metas = b->n_metas;
}

int scan_block(struct scan_worker *w, struct entry_block *b, struct err *err)
{
	if (w->scan->failed)
		return 0;
	int rc = reader_next(w->reader, b, err);
	if (rc == 1 && b->columns == NULL)
		prepare_ctx(w, b);
	return rc;
}

/* entry i of the block is row first_row + i. */
static const uint64_t *entries_of(struct scan_worker *w, const struct entry_block *b, const uint64_t *rows)
{
	size_t n = rows_words(b->n), shift = b->first_row % 64, last = (b->first_row + b->n - 1) / 64;

	if (b->first_row == 0)
		return rows;
	vec_reserve(&w->entries, n);
	for (size_t i = 0; i < n; i++) {
		size_t at = b->first_row / 64 + i;

		w->entries.v[i] = rows[at] >> shift;
		if (shift > 0 && at < last)
			w->entries.v[i] |= rows[at + 1] << (64 - shift);
	}
	return w->entries.v;
}

int scan_rows(struct scan_worker *w, const struct entry_block *b, const uint64_t *rows,
	      struct entry_block *out, struct err *err)
{
	if (reader_rows(w->reader, b, entries_of(w, b, rows), out, err) == -1)
		return -1;
	prepare_ctx(w, out);
	return 0;
}

int scan_tick(struct scan_worker *w, size_t n, struct err *err)
{
	w->work += (uint32_t)(1 + n / WORK_BYTES);
	if (w->work < TICK_WORK)
		return 0;
	w->work = 0;
	return query_control_check(w->scan->exec->control, err);
}

void scan_ctx_fill(struct scan_worker *w, const struct entry_block *b, struct meta_ctx *c, size_t meta)
{
	struct slice encoded = b->metas[meta];

	if (b->metas_key != 0)
		encoded = arena_dup(&w->ctx_arena, encoded); /* outlives the block */
	pipeline_base(&w->pipe, w->stream->labels, encoded, &w->ctx_arena, &c->base);
	c->ready = true;
}
