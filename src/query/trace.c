#include "query/trace.h"
#include "base/account.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/text.h"
#include "index/store.h"

#include <assert.h>
#include <pthread.h>

enum { MAX_WORKERS = 8, CHECK_EVERY = 1024 };

/* A line of the trace while the search goes on; line and metadata are one allocation. */
struct hit {
	int64_t ts;
	const struct snap_stream *stream;
	uint64_t seq; /* order in the stream among equal timestamps */
	char *mem;
	size_t line_n, meta_n;
	uint64_t trace_hi;
};

/* The best hits so far, at most cap: a heap whose root is the last in the order asked for. */
struct search {
	struct query_engine *e;
	struct query_control *control;
	struct trace_id id;
	bool exact_hi, backward;
	uint64_t max_bytes;
	struct snapshot *snap;
	_Atomic size_t next_unit;
	_Atomic bool full, failed;
	_Atomic int64_t worst_ts; /* of the root, once full */
	pthread_mutex_t lock;	  /* protects what follows */
	struct hit *hit;
	size_t n, cap, alloc;
	uint64_t bytes;
	struct err err;
	uint64_t bytes_read, lines_read, corrupt_blocks;
};

/* ---- the heap; under the lock ---- */

static int hit_cmp(const struct hit *a, const struct hit *b)
{
	if (a->ts != b->ts)
		return a->ts < b->ts ? -1 : 1;
	if (a->stream->index != b->stream->index)
		return a->stream->index < b->stream->index ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static bool comes_after(const struct search *s, const struct hit *a, const struct hit *b)
{
	return s->backward ? hit_cmp(a, b) < 0 : hit_cmp(a, b) > 0;
}

static void swap(struct hit *a, struct hit *b)
{
	struct hit t = *a;

	*a = *b;
	*b = t;
}

static void sift_up(struct search *s, size_t i)
{
	for (size_t up; i > 0 && comes_after(s, &s->hit[i], &s->hit[up = (i - 1) / 2]); i = up)
		swap(&s->hit[i], &s->hit[up]);
}

static void sift_down(struct search *s, size_t i, size_t n)
{
	for (;;) {
		size_t last = i, child = 2 * i + 1;

		if (child < n && comes_after(s, &s->hit[child], &s->hit[last]))
			last = child;
		if (child + 1 < n && comes_after(s, &s->hit[child + 1], &s->hit[last]))
			last = child + 1;
		if (last == i)
			return;
		swap(&s->hit[i], &s->hit[last]);
		i = last;
	}
}

static void hit_free(struct search *s, struct hit *h)
{
	uint64_t bytes = h->line_n + h->meta_n + sizeof(*h);

	s->bytes -= bytes;
	if (s->e->memory_in_use != NULL)
		atomic_fetch_sub(s->e->memory_in_use, bytes);
	account_release(s->e->memory, bytes);
	free(h->mem);
}

static int over_budget(const struct search *s, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_bytes_human(&b, s->max_bytes);
	err_set(err, ERR_BAD_REQUEST,
		"the lines of the trace need more than max_query_memory (%.*s); ask for fewer with limit",
		SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

static int charge(struct search *s, uint64_t bytes, struct err *err)
{
	if (s->max_bytes > 0 && s->bytes + bytes > s->max_bytes)
		return over_budget(s, err);
	uint64_t all = s->e->memory_in_use != NULL ? atomic_fetch_add(s->e->memory_in_use, bytes) + bytes : 0;
	bool fits = s->e->memory_limit == 0 || all <= s->e->memory_limit;
	if (fits && account_try(s->e->memory, bytes)) {
		s->bytes += bytes;
		return 0;
	}
	if (s->e->memory_in_use != NULL)
		atomic_fetch_sub(s->e->memory_in_use, bytes);
	if (fits)
		return err_set(err, ERR_UNAVAILABLE,
			       "memory_limit of all work together is used up; try again");
	return err_set(err, ERR_UNAVAILABLE, "queries use all of query_memory; try again");
}

static void make_room(struct search *s)
{
	if (s->n < s->alloc)
		return;
	s->alloc = MIN(s->cap, MAX((size_t)64, s->alloc * 2));
	s->hit = xrealloc(s->hit, s->alloc * sizeof(*s->hit));
}

/* Keeps a copy of what h describes if it is among the best. */
static int keep(struct search *s, struct hit h, struct slice line, struct slice meta, struct err *err)
{
	if (s->n == s->cap && !comes_after(s, &s->hit[0], &h))
		return 0;
	h.line_n = line.n;
	h.meta_n = meta.n;
	if (charge(s, line.n + meta.n + sizeof(h), err) == -1)
		return -1;
	h.mem = xmalloc(line.n + meta.n + 1);
	memcpy(h.mem, line.p != NULL ? line.p : "", line.n);
	memcpy(h.mem + line.n, meta.p != NULL ? meta.p : "", meta.n);
	if (s->n == s->cap) {
		hit_free(s, &s->hit[0]);
		s->hit[0] = h;
		sift_down(s, 0, s->n);
	} else {
		make_room(s);
		s->hit[s->n++] = h;
		sift_up(s, s->n - 1);
	}
	if (s->n == s->cap) {
		atomic_store(&s->worst_ts, s->hit[0].ts);
		atomic_store(&s->full, true);
	}
	return 0;
}

/* ---- reading ---- */

/* What one thread needs. */
struct worker {
	struct search *s;
	struct reader *reader;
	struct trace_found found;
	size_t since_check;
};

/* Can nothing at ts, or beyond it in the order asked for, be among the best? */
static bool too_late(const struct search *s, int64_t ts)
{
	if (!atomic_load_explicit(&s->full, memory_order_acquire))
		return false;
	int64_t worst = atomic_load_explicit(&s->worst_ts, memory_order_relaxed);
	return s->backward ? ts < worst : ts > worst;
}

static bool belongs(struct worker *w, struct slice line, struct slice meta, struct slice labels, uint64_t *hi)
{
	struct search *s = w->s;

	trace_find(s->e->keys, line, meta, labels, &w->found);
	for (size_t i = 0; i < w->found.n_refs; i++)
		if (trace_id_matches(w->found.ref[i].id, s->id, s->exact_hi)) {
			*hi = w->found.ref[i].id.hi;
			return true;
		}
	return false;
}

static int check(struct worker *w, struct err *err)
{
	if (++w->since_check < CHECK_EVERY)
		return 0;
	w->since_check = 0;
	if (atomic_load_explicit(&w->s->failed, memory_order_relaxed))
		return err_set(err, ERR_CANCELLED, "another part of the search failed");
	return query_control_check(w->s->control, err);
}

/* 1: go on with the next block; 0: nothing of this unit can matter any more. */
static int read_block(struct worker *w, const struct snap_unit *u, const struct entry_block *b,
		      uint64_t block_seq, struct err *err)
{
	struct search *s = w->s;
	struct hit h = { .stream = u->stream };

	for (size_t k = 0; k < b->n; k++) {
		size_t i = s->backward ? b->n - 1 - k : k;
		struct slice meta = b->n_metas > 0 ? b->metas[b->meta[i]] : (struct slice){ NULL, 0 };

		if (too_late(s, b->ts[i]))
			return 0;
		if (check(w, err) == -1)
			return -1;
		if (!belongs(w, b->line[i], meta, u->stream->encoded, &h.trace_hi))
			continue;
		h.ts = b->ts[i];
		h.seq = block_seq << 32 | i;
		pthread_mutex_lock(&s->lock);
		int rc = keep(s, h, b->line[i], meta, err);
		pthread_mutex_unlock(&s->lock);
		if (rc == -1)
			return -1;
	}
	return 1;
}

static int read_unit(struct worker *w, const struct snap_unit *u, struct err *err)
{
	struct entry_block b;
	int rc;

	if (query_control_check(w->s->control, err) == -1)
		return -1;
	reader_start(w->reader, u);
	for (uint64_t n = 0; (rc = reader_next(w->reader, &b, err)) == 1; n++) {
		/* Later blocks of a backward read hold earlier entries. */
		uint64_t block_seq = w->s->backward ? UINT32_MAX - n : n;

		rc = read_block(w, u, &b, block_seq, err);
		if (rc != 1)
			return rc;
	}
	return rc;
}

static bool skip_unit(const struct search *s, const struct snap_unit *u)
{
	int64_t nearest = s->backward ? u->range.end - (u->range.end > INT64_MIN) : u->range.start;

	return too_late(s, nearest);
}

static void fail(struct search *s, const struct err *err)
{
	pthread_mutex_lock(&s->lock);
	if (!atomic_exchange(&s->failed, true))
		s->err = *err;
	pthread_mutex_unlock(&s->lock);
}

static void add_stats(struct search *s, const struct read_stats *st)
{
	pthread_mutex_lock(&s->lock);
	s->bytes_read += st->bytes_decompressed + st->head_bytes;
	s->lines_read += st->lines;
	s->corrupt_blocks += st->corrupt_blocks;
	pthread_mutex_unlock(&s->lock);
}

/* One of several threads, each taking the next unit until none is left. */
static void work(void *arg, size_t index)
{
	struct worker w = { .s = arg };
	struct search *s = arg;
	struct err err;

	(void)index;
	w.reader = reader_new(s->snap);
	while (!atomic_load(&s->failed)) {
		size_t i = atomic_fetch_add(&s->next_unit, 1);

		if (i >= snapshot_n_units(s->snap))
			break;
		if (skip_unit(s, snapshot_unit(s->snap, i)))
			continue;
		if (read_unit(&w, snapshot_unit(s->snap, i), &err) == -1)
			fail(s, &err);
	}
	add_stats(s, reader_stats(w.reader));
	reader_free(w.reader);
	trace_found_fini(&w.found);
}

static void search_run(struct search *s)
{
	size_t n = MIN(snapshot_n_units(s->snap), (size_t)MAX_WORKERS);

	if (n > 1 && s->e->pool != NULL)
		pool_for(s->e->pool, n, (unsigned)n, work, s);
	else
		work(s, 0);
}

/* Sorts the heap into the order asked for. */
static void search_sort(struct search *s)
{
	for (size_t n = s->n; n > 1; n--) {
		swap(&s->hit[0], &s->hit[n - 1]);
		sift_down(s, 0, n - 1);
	}
}

static void search_fini(struct search *s)
{
	for (size_t i = 0; i < s->n; i++)
		hit_free(s, &s->hit[i]);
	free(s->hit);
	if (s->snap != NULL)
		snapshot_release(s->snap);
	pthread_mutex_destroy(&s->lock);
}

/* The first cap lines of the trace in one direction. The low half of the id alone is asked of the index:
 * whatever the detector finds in an entry stands among its tokens. s is to be finished in any case. */
static int search_do(struct search *s, struct query_engine *e, const struct trace_request *r,
		     struct query_control *c, struct trace_id id, bool exact_hi, bool backward, size_t cap,
		     struct err *err)
{
	struct trace_group group = { .token = &id.lo, .n = 1 };
	struct scan_hint hint = { .range = TIMERANGE_ALL,
				  .backward = backward,
				  .groups = &group,
				  .n_groups = r->no_index ? 0 : 1 };

	memset(s, 0, sizeof(*s));
	s->e = e;
	s->control = c;
	s->id = id;
	s->exact_hi = exact_hi;
	s->backward = backward;
	s->cap = cap;
	s->max_bytes = r->limits != NULL ? r->limits->max_query_memory : 0;
	pthread_mutex_init(&s->lock, NULL);
	if (snapshot_take(e->store, r->tenant, NULL, 0, &hint, true, &s->snap, err) == -1)
		return -1;
	search_run(s);
	if (s->failed) {
		*err = s->err;
		return -1;
	}
	search_sort(s);
	return 0;
}

/* ---- the answer ---- */

static bool is_error_level(struct slice level)
{
	return slice_is(level, "error") || slice_is(level, "critical") || slice_is(level, "fatal");
}

static void find_first_error(struct trace_result *out, bool backward)
{
	for (size_t k = 0; k < out->n && !out->has_error; k++) {
		size_t i = backward ? out->n - 1 - k : k;
		struct slice level = labels_get(out->entry[i].meta, SLICE("detected_level"));

		if (level.p == NULL)
			level = labels_get(out->entry[i].labels, SLICE("detected_level"));
		if (is_error_level(level)) {
			out->has_error = true;
			out->first_error = i;
		}
	}
}

static int fill_entry(struct trace_result *out, const struct hit *h, struct trace_entry *e, struct err *err)
{
	struct slice meta = arena_dup(&out->arena, slice_of(h->mem + h->line_n, h->meta_n));

	e->ts = h->ts;
	e->line = arena_dup(&out->arena, slice_of(h->mem, h->line_n));
	e->labels = labels_dup(&out->arena, h->stream->labels);
	e->meta = (struct labels){ NULL, 0 };
	if (meta.n > 0 && labels_decode(meta, &out->arena, &e->meta) == -1)
		return err_set(err, ERR_CORRUPT, "metadata of an entry is damaged");
	return 0;
}

static int fill(struct trace_result *out, const struct search *s, size_t limit, bool exact_hi,
		struct err *err)
{
	out->more = s->n > limit;
	out->n = MIN(s->n, limit);
	out->entry = arena_array(&out->arena, struct trace_entry, out->n);
	out->bytes_read = s->bytes_read;
	out->lines_read = s->lines_read;
	out->n_corrupt_blocks = s->corrupt_blocks;
	for (size_t i = 0; i < out->n; i++) {
		if (fill_entry(out, &s->hit[i], &out->entry[i], err) == -1)
			return -1;
		if (!exact_hi && out->id.hi == 0)
			out->id.hi = s->hit[i].trace_hi;
	}
	find_first_error(out, s->backward);
	if (out->n == 0)
		return 0;
	out->first_ns = out->entry[s->backward ? out->n - 1 : 0].ts;
	out->last_ns = out->entry[s->backward ? 0 : out->n - 1].ts;
	return 0;
}

/* Where a trace of which only a part is shown ends at the other side. */
static int other_end(struct query_engine *e, const struct trace_request *r, struct query_control *c,
		     bool exact_hi, struct trace_id id, struct trace_result *out, struct err *err)
{
	struct search s;
	int rc = search_do(&s, e, r, c, id, exact_hi, !r->backward, 1, err);

	if (rc == 0 && s.n == 1)
		*(r->backward ? &out->first_ns : &out->last_ns) = s.hit[0].ts;
	search_fini(&s);
	return rc;
}

static int no_trace_id(struct slice text, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, slice_sub(text, 0, 128));
	err_set(err, ERR_BAD_REQUEST, "not a trace id: %.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

int trace_run(struct query_engine *e, const struct trace_request *r, struct query_control *c,
	      struct trace_result *out, struct err *err)
{
	struct trace_result res = { 0 };
	struct trace_id id;
	struct search s;
	bool exact_hi;

	if (!trace_id_parse(r->id, &id, &exact_hi))
		return no_trace_id(r->id, err);
	arena_init(&res.arena);
	res.id = id;
	int rc = search_do(&s, e, r, c, id, exact_hi, r->backward, (size_t)r->limit + 1, err);
	if (rc == 0)
		rc = fill(&res, &s, r->limit, exact_hi, err);
	search_fini(&s);
	if (rc == 0 && res.more)
		rc = other_end(e, r, c, exact_hi, id, &res, err);
	if (rc == -1) {
		arena_fini(&res.arena);
		return -1;
	}
	*out = res;
	return 0;
}

void trace_result_fini(struct trace_result *r)
{
	arena_fini(&r->arena);
	memset(r, 0, sizeof(*r));
}

void trace_url(struct buf *b, struct slice template, struct trace_id id)
{
	static const struct slice hole = { "{trace_id}", 10 };

	for (;;) {
		size_t at = slice_find(template, hole);

		if (at == SLICE_NONE)
			break;
		buf_append(b, template.p, at);
		trace_id_format(b, id);
		template = slice_from(template, at + hole.n);
	}
	buf_add(b, template);
}
