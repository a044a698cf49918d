/* A log query keeps a bounded heap of the best entries found so far. "Better" is the order of the answer: by
 * time in the query's direction, then by stream, then as written (backward: the exact reverse of forward).
 * Once the heap is full, its worst entry tells each worker when to stop reading a unit, and which units need
 * not be begun.
 *
 * With `interval`, which entries stay depends on the ones before, so no bound holds for all of them at once.
 * The heap is filled with the next entries, these are thinned out, and the next round begins where the next
 * entry may stand. */
#include "query/logs.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "query/column_scan.h"

enum { MIN_ROUND = 1024, STOP = 1 };

struct hit {
	int64_t ts;
	size_t stream; /* index in the snapshot */
	uint64_t seq;  /* within its unit, in the order of reading; equal times of a stream share a unit */
	uint32_t n_line, n_key, n_rest;
	char bytes[]; /* line, key, rest */
};

/* key: the encoded labels by which entries are grouped. rest, with categorize: encoded metadata, then parsed
 * labels. */
static struct slice hit_line(const struct hit *h)
{
	return slice_of(h->bytes, h->n_line);
}

static struct slice hit_key(const struct hit *h)
{
	return slice_of(h->bytes + h->n_line, h->n_key);
}

static struct slice hit_rest(const struct hit *h)
{
	return slice_of(h->bytes + h->n_line + h->n_key, h->n_rest);
}

static size_t hit_bytes(const struct hit *h)
{
	return sizeof(*h) + h->n_line + h->n_key + h->n_rest;
}

/* The hits found so far, worst on top; filled by all workers. */
struct top {
	struct exec *exec;
	bool backward;
	pthread_mutex_t lock;
	size_t limit;
	VEC(struct hit *) heap;
	_Atomic bool full;
	_Atomic int64_t worst_ts; /* while full */
	uint64_t n_passed;
};

struct log_scan {
	struct top *top;
	struct timerange window; /* of this round */
};

/* Of one worker: the hashes of what the unit yielded at one time. */
struct same_time {
	int64_t ts;
	size_t n, cap;
	uint64_t *hash; /* open addressing; 0 = free */
};

struct position {
	int64_t ts;
	size_t stream;
	uint64_t seq;
};

/* Does a stand behind b in the answer? */
static bool is_worse(const struct position *a, const struct position *b, bool backward)
{
	if (a->ts != b->ts)
		return (a->ts > b->ts) != backward;
	if (a->stream != b->stream)
		return (a->stream > b->stream) != backward;
	return a->seq > b->seq;
}

static struct position hit_position(const struct hit *h)
{
	return (struct position){ h->ts, h->stream, h->seq };
}

static bool hit_is_worse(const struct hit *a, const struct hit *b, bool backward)
{
	struct position x = hit_position(a), y = hit_position(b);

	return is_worse(&x, &y, backward);
}

/* ---- the heap ---- */

static void sift_up(struct top *t, size_t i)
{
	struct hit **v = t->heap.v, *h = v[i];

	for (size_t parent; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (!hit_is_worse(h, v[parent], t->backward))
			break;
		v[i] = v[parent];
	}
	v[i] = h;
}

static void sift_down(struct top *t)
{
	struct hit **v = t->heap.v, *h = v[0];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < t->heap.n) {
		if (child + 1 < t->heap.n && hit_is_worse(v[child + 1], v[child], t->backward))
			child++;
		if (!hit_is_worse(v[child], h, t->backward))
			break;
		v[i] = v[child];
		i = child;
	}
	v[i] = h;
}

static void top_add_locked(struct top *t, struct hit *h)
{
	t->n_passed++;
	if (t->heap.n < t->limit) {
		vec_push(&t->heap, h);
		sift_up(t, t->heap.n - 1);
	} else if (hit_is_worse(t->heap.v[0], h, t->backward)) {
		exec_refund(t->exec, hit_bytes(t->heap.v[0]));
		free(t->heap.v[0]);
		t->heap.v[0] = h;
		sift_down(t);
	} else {
		exec_refund(t->exec, hit_bytes(h));
		free(h);
	}
	if (t->heap.n == t->limit) {
		atomic_store(&t->worst_ts, t->heap.v[0]->ts);
		atomic_store(&t->full, true);
	}
}

/* Can an entry of this time still matter? */
static bool top_wants(struct top *t, int64_t ts)
{
	if (!atomic_load_explicit(&t->full, memory_order_acquire))
		return true;
	int64_t worst = atomic_load_explicit(&t->worst_ts, memory_order_relaxed);
	return t->backward ? ts >= worst : ts <= worst;
}

/* The exact question; 0: yes, STOP: nothing that follows in this unit matters. */
static int top_wants_position(struct top *t, const struct position *p)
{
	int rc = 0;

	if (!atomic_load_explicit(&t->full, memory_order_acquire))
		return 0;
	pthread_mutex_lock(&t->lock);
	struct position worst = hit_position(t->heap.v[0]);
	if (is_worse(p, &worst, t->backward))
		rc = STOP;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void top_empty(struct top *t)
{
	for (size_t i = 0; i < t->heap.n; i++) {
		exec_refund(t->exec, hit_bytes(t->heap.v[i]));
		free(t->heap.v[i]);
	}
	t->heap.n = 0;
	t->full = false;
}

/* ---- equal entries at one time ---- */

static void same_time_grow(struct same_time *s)
{
	struct same_time old = *s;

	s->cap = MAX(old.cap * 2, (size_t)16);
	s->hash = xcalloc(s->cap, sizeof(*s->hash));
	for (size_t i = 0; i < old.cap; i++) {
		size_t at = old.hash[i] & (s->cap - 1);

		if (old.hash[i] == 0)
			continue;
		while (s->hash[at] != 0)
			at = (at + 1) & (s->cap - 1);
		s->hash[at] = old.hash[i];
	}
	free(old.hash);
}

/* Is there an equal entry at this time already? If not, notes it. */
static bool same_time_seen(struct same_time *s, int64_t ts, uint64_t hash)
{
	if (hash == 0)
		hash = 1;
	if (ts != s->ts) {
		if (s->n > 0)
			memset(s->hash, 0, s->cap * sizeof(*s->hash));
		s->n = 0;
		s->ts = ts;
	}
	if (s->n * 2 >= s->cap)
		same_time_grow(s);
	size_t at = hash & (s->cap - 1);
	for (; s->hash[at] != 0; at = (at + 1) & (s->cap - 1))
		if (s->hash[at] == hash)
			return true;
	s->hash[at] = hash;
	s->n++;
	return false;
}

static void same_time_start(struct same_time *s)
{
	if (s->n > 0)
		memset(s->hash, 0, s->cap * sizeof(*s->hash));
	s->n = 0;
}

static void log_worker_fini(struct scan_worker *w)
{
	struct same_time *s = w->own;

	if (s != NULL)
		free(s->hash);
	free(s);
}

/* ---- one unit ---- */

static void encode(struct scan_worker *w, unsigned categories)
{
	label_set_list(&w->pipe.set, categories, &w->labels);
	labels_encode(&w->text, (struct labels){ w->labels.v, w->labels.n });
}

/* Keeps the entry that the pipeline saw last. */
static int keep(struct scan_worker *w, struct top *t, struct position at, struct slice line, struct err *err)
{
	bool categorize = t->exec->req->categorize;

	buf_reset(&w->text);
	encode(w, LABEL_CAT_ALL);
	size_t n_key = w->text.n;
	if (categorize) {
		encode(w, LABEL_CAT_META);
		encode(w, LABEL_CAT_PARSED);
	}
	if (same_time_seen(w->own, at.ts, hash_seeded(line) ^ hash_mix(hash_seeded(buf_slice(&w->text)))))
		return 0;
	struct hit *h = xmalloc(sizeof(*h) + line.n + w->text.n);
	*h = (struct hit){ .ts = at.ts,
			   .stream = at.stream,
			   .seq = at.seq,
			   .n_line = (uint32_t)line.n,
			   .n_key = (uint32_t)n_key,
			   .n_rest = (uint32_t)(w->text.n - n_key) };
	if (line.n > 0)
		memcpy(h->bytes, line.p, line.n);
	memcpy(h->bytes + line.n, w->text.p, w->text.n);
	int rc = exec_charge(t->exec, hit_bytes(h), err);
	pthread_mutex_lock(&t->lock);
	top_add_locked(t, h);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int visit(struct scan_worker *w, const struct entry_block *b, size_t i, uint64_t seq, struct err *err)
{
	struct log_scan *ls = w->scan->own;
	struct position at = { b->ts[i], w->stream->index, seq };

	if (!top_wants(ls->top, at.ts))
		return STOP;
	if (scan_tick(w, b->line[i].n, err) == -1)
		return -1;
	if (!pipeline_line(w->scan->plan->pipeline, b->line[i]))
		return 0;
	struct meta_ctx *c = scan_ctx(w, b, i);
	if (!c->base.keep)
		return 0;
	if (top_wants_position(ls->top, &at) == STOP)
		return STOP;
	if (!pipeline_run(&w->pipe, &c->base, b->ts[i], b->line[i]))
		return 0;
	return keep(w, ls->top, at, w->pipe.line, err);
}

static int visit_block(struct scan_worker *w, const struct entry_block *b, uint64_t *seq, struct err *err)
{
	bool backward = w->scan->plan->backward;

	for (size_t k = 0; k < b->n; k++) {
		int rc = visit(w, b, backward ? b->n - 1 - k : k, (*seq)++, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Lines are rebuilt few at a time, twice as many with each step, so that no more are than the answer takes. */
enum { FIRST_ROWS = 16, MOST_ROWS = 512 };

/* Moves the next rows of the block from w->rows to *out. Returns their number; 0: none is left that matters. */
static size_t next_rows(struct scan_worker *w, const struct entry_block *b, size_t max, size_t *at,
			uint64_t *out)
{
	struct log_scan *ls = w->scan->own;
	bool backward = w->scan->plan->backward;
	size_t n = 0;

	memset(out, 0, rows_words(columns_n_rows(b->columns)) * sizeof(*out));
	for (; n < max && *at < b->n; ++*at) {
		size_t i = backward ? b->n - 1 - *at : *at;

		if (!rows_has(w->rows.v, b->first_row + i))
			continue;
		if (!top_wants(ls->top, b->ts[i]))
			break;
		rows_add(out, b->first_row + i);
		n++;
	}
	return n;
}

static int visit_columns(struct scan_worker *w, const struct entry_block *b, uint64_t *seq, struct err *err)
{
	size_t at = 0, max = FIRST_ROWS, words = rows_words(columns_n_rows(b->columns));
	struct entry_block lines;
	int rc;

	if (scan_tick(w, b->n, err) == -1)
		return -1;
	if (!top_wants(((struct log_scan *)w->scan->own)->top, b->ts[w->scan->plan->backward ? b->n - 1 : 0]))
		return STOP;
	if ((rc = column_scan_filter(w, b, err)) != 1)
		return rc;
	vec_reserve(&w->next_rows, words);
	while (next_rows(w, b, max, &at, w->next_rows.v) > 0) {
		if (scan_rows(w, b, w->next_rows.v, &lines, err) == -1)
			return -1;
		if ((rc = visit_block(w, &lines, seq, err)) != 0)
			return rc;
		max = MIN(max * 2, (size_t)MOST_ROWS);
	}
	return 0;
}

/* The part of the unit that belongs to this round; false if there is none that can matter. */
static bool cut_unit(const struct log_scan *ls, const struct snap_unit *u, struct snap_unit *out)
{
	*out = *u;
	out->range.start = MAX(u->range.start, ls->window.start);
	out->range.end = MIN(u->range.end, ls->window.end);
	if (out->range.start >= out->range.end)
		return false;
	if (out->range.start != u->range.start || out->range.end != u->range.end)
		out->exact_count = false;
	return top_wants(ls->top, ls->top->backward ? out->range.end - 1 : out->range.start);
}

static int log_unit(struct scan_worker *w, const struct snap_unit *u, struct err *err)
{
	struct snap_unit part;
	struct entry_block b;
	uint64_t seq = 0;
	int rc;

	if (!cut_unit(w->scan->own, u, &part))
		return 0;
	if (w->own == NULL)
		w->own = xcalloc(1, sizeof(struct same_time));
	same_time_start(w->own);
	scan_unit_start(w, &part);
	while ((rc = scan_block(w, &b, err)) == 1)
		if ((rc = b.columns != NULL ? visit_columns(w, &b, &seq, err)
					    : visit_block(w, &b, &seq, err)) != 0)
			break;
	return rc == -1 ? -1 : 0;
}

/* ---- the answer ---- */

static int compare_hits(const void *a, const void *b, void *backward)
{
	const struct hit *x = *(struct hit *const *)a, *y = *(struct hit *const *)b;

	return hit_is_worse(x, y, *(bool *)backward) ? 1 : hit_is_worse(y, x, *(bool *)backward) ? -1 : 0;
}

struct hit_vec {
	struct hit **v;
	size_t n, cap;
};

static int64_t add_saturated(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

/* Moves the hits of a round that stay from the heap to `kept`, and the window to where the next one may
 * stand. */
static void thin_out(struct top *t, struct log_scan *ls, struct hit_vec *kept, size_t limit)
{
	int64_t interval = t->exec->req->interval;

	for (size_t i = 0; i < t->heap.n && kept->n < limit; i++) {
		struct hit *h = t->heap.v[i];

		if (interval > 0 && !timerange_has(ls->window, h->ts))
			continue;
		vec_push(kept, h);
		t->heap.v[i] = NULL;
		if (interval > 0 && t->backward)
			ls->window.end = add_saturated(add_saturated(h->ts, -interval), 1);
		else if (interval > 0)
			ls->window.start = add_saturated(h->ts, interval);
	}
	size_t n = 0;
	for (size_t i = 0; i < t->heap.n; i++)
		if (t->heap.v[i] != NULL)
			t->heap.v[n++] = t->heap.v[i];
	t->heap.n = n;
}

static int collect(struct scan *s, struct top *t, struct hit_vec *kept, struct err *err)
{
	struct log_scan *ls = s->own;
	size_t limit = s->exec->req->limit;
	bool more;

	do {
		if (scan_run(s, err) == -1)
			return -1;
		more = t->heap.n == t->limit;
		if (t->heap.n > 1)
			qsort_r(t->heap.v, t->heap.n, sizeof(*t->heap.v), compare_hits, &t->backward);
		thin_out(t, ls, kept, limit);
		top_empty(t);
	} while (more && s->exec->req->interval > 0 && kept->n < limit && ls->window.start < ls->window.end);
	return 0;
}

/* A result stream under construction. */
struct group {
	struct result_stream *stream;
	struct slice text; /* canonical, for the order */
	size_t used;
};

static int by_text(const void *a, const void *b)
{
	return slice_cmp(((const struct group *)a)->text, ((const struct group *)b)->text);
}

static struct labels decode_labels(struct slice encoded, struct arena *a)
{
	struct labels l = { NULL, 0 };

	labels_decode(arena_dup(a, encoded), a, &l);
	return l;
}

/* Two encoded label sets, one behind the other. */
static void decode_rest(struct slice rest, struct arena *a, struct result_entry *e)
{
	struct cursor c = cursor_of(rest);

	for (uint64_t n = cursor_varint(&c); n > 0 && !c.bad; n--)
		labels_next(&c);
	size_t first = rest.n - cursor_left(&c);
	e->meta = decode_labels(slice_sub(rest, 0, first), a);
	e->parsed = decode_labels(slice_from(rest, first), a);
}

static void add_entry(struct group *g, const struct hit *h, size_t rank, bool categorize, struct arena *a)
{
	struct result_entry *e = &g->stream->entry[g->used++];

	*e = (struct result_entry){ .ts = h->ts, .rank = rank, .line = arena_dup(a, hit_line(h)) };
	if (categorize)
		decode_rest(hit_rest(h), a, e);
}

static void build(struct exec *x, const struct hit_vec *hits, struct query_result *out)
{
	struct arena *a = &out->arena;
	VEC(struct group) groups = { 0 };
	struct map by_key;
	struct buf text;

	map_init(&by_key);
	buf_init(&text);
	size_t *group_of = arena_array(a, size_t, hits->n);
	for (size_t i = 0; i < hits->n; i++) {
		bool is_new;
		void **slot = map_put(&by_key, hit_key(hits->v[i]), &is_new);

		if (is_new) {
			struct group *g = vec_add(&groups);

			*slot = (void *)(uintptr_t)groups.n;
			g->stream = arena_new(a, struct result_stream);
			g->stream->labels = decode_labels(hit_key(hits->v[i]), a);
			buf_reset(&text);
			labels_format(&text, g->stream->labels);
			g->text = arena_dup(a, buf_slice(&text));
		}
		group_of[i] = (uintptr_t)*slot - 1;
		groups.v[group_of[i]].stream->n++;
	}
	for (size_t i = 0; i < groups.n; i++)
		groups.v[i].stream->entry = arena_array(a, struct result_entry, groups.v[i].stream->n);
	for (size_t i = 0; i < hits->n; i++)
		add_entry(&groups.v[group_of[i]], hits->v[i], i, x->req->categorize, a);
	if (groups.n > 1)
		qsort(groups.v, groups.n, sizeof(*groups.v), by_text);
	out->stream = arena_array(a, struct result_stream, groups.n);
	for (size_t i = 0; i < groups.n; i++)
		out->stream[i] = *groups.v[i].stream;
	out->n_streams = groups.n;
	map_fini(&by_key);
	buf_fini(&text);
	vec_fini(&groups);
}

static int run_plan(struct exec *x, const struct plan *plan, struct query_result *out, struct err *err)
{
	struct top top = { .exec = x, .backward = plan->backward, .limit = x->req->limit };
	struct log_scan ls = { &top, plan->window };
	struct hit_vec kept = { 0 };
	struct scan scan;

	if (scan_init(&scan, x, plan, err) == -1)
		return -1;
	pthread_mutex_init(&top.lock, NULL);
	if (x->req->interval > 0)
		top.limit = MAX(top.limit, (size_t)MIN_ROUND);
	scan.unit = log_unit;
	scan.worker_fini = log_worker_fini;
	scan.own = &ls;
	int rc = collect(&scan, &top, &kept, err);
	if (rc == 0) {
		build(x, &kept, out);
		x->stats.post_filter_lines += top.n_passed;
		x->stats.entries_returned += kept.n;
	}
	for (size_t i = 0; i < kept.n; i++) {
		exec_refund(x, hit_bytes(kept.v[i]));
		free(kept.v[i]);
	}
	vec_fini(&kept);
	top_empty(&top);
	vec_fini(&top.heap);
	pthread_mutex_destroy(&top.lock);
	scan_fini(&scan);
	return rc;
}

int logs_run(struct exec *x, const struct logql_log *log, struct query_result *out, struct err *err)
{
	struct plan_options o = { .keys = x->engine->keys,
				  .window = { x->req->start, x->req->end },
				  .backward = x->req->backward,
				  .no_index = x->req->no_index };
	struct plan *plan;
	int rc = 0;

	out->type = RESULT_STREAMS;
	if (plan_new(log, &o, x->arena, &plan, err) == -1)
		return -1;
	plan->use_columns = !x->req->no_columns;
	if (plan->use_columns)
		plan->columns = column_uses_new(plan, NULL, x->arena);
	if (x->req->limit > 0 && o.window.start < o.window.end)
		rc = run_plan(x, plan, out, err);
	plan_fini(plan);
	return rc;
}
