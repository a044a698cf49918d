#include "query/tail_group.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "logql/parse.h"

enum { MAX_MATCHES = 10000, WATCH_SECONDS = 5 };

int group_new(struct slice text, enum tail_format format, int64_t delay_ns, struct tail_group **out,
	      struct err *err)
{
	struct tail_group *g = xcalloc(1, sizeof(*g));

	g->format = format;
	g->delay_ns = delay_ns;
	g->needs.all = true;
	arena_init(&g->arena);
	arena_init(&g->match_arena);
	map_init(&g->matches);
	g->text = arena_dup(&g->arena, text);
	g->text_hash = hash_seeded(text);
	if (logql_parse(text, &g->arena, &g->query, NULL, err) == -1)
		goto fail;
	if (g->query->root->kind != LOGQL_LOG) {
		err_set(err, ERR_NOT_SUPPORTED, "only log selector is supported");
		goto fail;
	}
	g->log = &g->query->root->log;
	if (pipeline_new(g->log, &g->needs, &g->pipeline, err) == -1)
		goto fail;
	pipe_state_init(&g->pipe, g->pipeline);
	*out = g;
	return 0;
fail:
	group_free(g);
	return -1;
}

void group_free(struct tail_group *g)
{
	if (g == NULL)
		return;
	if (g->pipeline != NULL)
		pipe_state_fini(&g->pipe);
	pipeline_free(g->pipeline);
	vec_fini(&g->labels);
	vec_fini(&g->meta);
	vec_fini(&g->parsed);
	map_fini(&g->matches);
	arena_fini(&g->match_arena);
	tail_heap_fini(&g->heap);
	tail_ring_fini(&g->ring);
	logql_free(g->query);
	arena_fini(&g->arena);
	free(g);
}

bool group_wants(const struct tail_group *g, struct labels stream)
{
	for (size_t i = 0; i < g->log->n_matchers; i++) {
		const struct matcher *m = &g->log->matchers[i];
		struct slice value = labels_get(stream, m->name);

		if (!matcher_matches(m, value.p != NULL ? value : SLICE("")))
			return false;
	}
	return true;
}

/* The same, remembered: streams come again and again. */
static bool wants(struct tail_group *g, struct slice encoded, struct labels labels)
{
	static char yes, no;
	void *known = map_get(&g->matches, encoded);
	bool is_new;

	if (known != NULL)
		return known == &yes;
	if (g->matches.n >= MAX_MATCHES) {
		map_fini(&g->matches);
		map_init(&g->matches);
		arena_reset(&g->match_arena);
	}
	bool wanted = group_wants(g, labels);
	*map_put(&g->matches, arena_dup(&g->match_arena, encoded), &is_new) = wanted ? &yes : &no;
	return wanted;
}

static struct labels list(struct tail_group *g, unsigned categories, struct label_vec *v)
{
	label_set_list(&g->pipe.set, categories, v);
	return (struct labels){ v->v, v->n };
}

/* It must be as old as the delay; a time in the future counts as that of its arrival. */
static int64_t due_ns(const struct tail_group *g, const struct tail_feed *f, int64_t ts)
{
	if (g->delay_ns == 0 || ts <= f->pushed_wall_ns - g->delay_ns)
		return f->pushed_ns;
	return f->pushed_ns + g->delay_ns - (f->pushed_wall_ns - MIN(ts, f->pushed_wall_ns));
}

static void put(struct tail_group *g, const struct tail_feed *f, const struct tail_entry *e,
		tail_encode_fn encode)
{
	struct tail_heap *h = &g->heap;
	size_t begin = h->text.n, labels_off, labels_n;

	encode(&h->text, g->format, e, &labels_off, &labels_n);
	struct slice text = slice_from(buf_slice(&h->text), begin);
	struct tail_item item = { .ts = e->ts,
				  .pushed_ns = f->pushed_ns,
				  .due_ns = due_ns(g, f, e->ts),
				  .hash = hash_seeded(text),
				  .off = (uint32_t)begin,
				  .n = (uint32_t)text.n,
				  .labels_off = (uint32_t)(begin + labels_off),
				  .labels_n = (uint32_t)labels_n };
	vec_push(&h->items, item);
}

static void take_entry(struct tail_group *g, const struct tail_feed *f, const struct pipe_base *base,
		       const struct feed_entry *fe, tail_encode_fn encode)
{
	struct slice line = slice_of(f->lines.p + fe->line_off, fe->line_n);

	if (!base->keep || !pipeline_run(&g->pipe, base, fe->ts, line))
		return;
	struct tail_entry e = { .ts = fe->ts, .line = g->pipe.line };
	e.labels = list(g, LABEL_CAT_ALL, &g->labels);
	if (g->format == TAIL_CATEGORIZED) {
		e.meta = list(g, LABEL_CAT_META, &g->meta);
		e.parsed = list(g, LABEL_CAT_PARSED, &g->parsed);
	}
	put(g, f, &e, encode);
}

static void take_entries(struct tail_group *g, const struct tail_feed *f, size_t first, size_t n,
			 struct labels labels, tail_encode_fn encode, struct arena *scratch)
{
	struct slice last = { NULL, 0 };
	struct pipe_base base;

	for (size_t i = first; i < first + n; i++) {
		const struct feed_entry *fe = &f->entries.v[i];
		struct slice meta = slice_of(f->lines.p + fe->meta_off, fe->meta_n);

		if (!pipeline_line(g->pipeline, slice_of(f->lines.p + fe->line_off, fe->line_n)))
			continue;
		if (last.p == NULL || !slice_eq(meta, last))
			pipeline_base(&g->pipe, labels, meta, scratch, &base);
		last = meta;
		take_entry(g, f, &base, fe, encode);
	}
}

/* Nobody knows any more whether the pipeline would have let them through. */
static void take_lost(struct tail_group *g, const struct tail_feed *f, size_t first, size_t n,
		      struct labels labels, tail_encode_fn encode)
{
	struct tail_frames frames = { 0 };

	tail_heap_reset(&g->heap); /* it was flushed */
	for (size_t i = first; i < first + n; i++)
		put(g, f,
		    &(struct tail_entry){ .ts = f->entries.v[i].ts, .line = SLICE(""), .labels = labels },
		    encode);
	tail_frames_cut(&g->heap, g->heap.items.v, g->heap.items.n, &frames);
	for (size_t i = 0; i < frames.n; i++)
		tail_ring_add(&g->ring, tail_frame_lost(frames.v[i]));
	tail_frames_fini(&frames);
	tail_heap_reset(&g->heap);
}

void group_feed(struct tail_group *g, const struct tail_feed *f, const struct feed_stream *st, size_t first,
		size_t n, struct labels labels, tail_encode_fn encode, struct arena *scratch)
{
	struct query_control watch = { .deadline_mono_ns = clock_mono_ns() + WATCH_SECONDS * NS_PER_S };
	struct arena_mark mark = arena_mark(scratch);

	if (g->failed || !wants(g, slice_of(f->labels.p + st->labels_off, st->labels_n), labels))
		return;
	if (f->lost) {
		group_flush(g, INT64_MAX, 0);
		take_lost(g, f, first, n, labels, encode);
		return;
	}
	query_guard_begin(&watch);
	take_entries(g, f, first, n, labels, encode, scratch);
	g->failed = query_guard_end(&watch, 0, &g->err) == -1;
	arena_rewind(scratch, mark);
}

/* ---- from the heap to the ring ---- */

static int by_time(const void *a, const void *b)
{
	const struct tail_item *x = a, *y = b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off; /* as they came */
}

static void to_ring(struct tail_group *g, struct tail_item *items, size_t n)
{
	struct tail_frames frames = { 0 };

	if (n == 0)
		return;
	qsort(items, n, sizeof(*items), by_time);
	tail_frames_cut(&g->heap, items, n, &frames);
	for (size_t i = 0; i < frames.n; i++)
		tail_ring_add(&g->ring, frames.v[i]);
	vec_fini(&frames);
}

/* Keeps the items from `first` on, with their texts. */
static void keep_rest(struct tail_heap *h, size_t first)
{
	struct tail_heap rest = { 0 };

	for (size_t i = first; i < h->items.n; i++) {
		struct tail_item it = h->items.v[i];
		uint32_t to = (uint32_t)rest.text.n;

		buf_append(&rest.text, h->text.p + it.off, it.n);
		it.labels_off = to + (it.labels_off - it.off);
		it.off = to;
		vec_push(&rest.items, it);
	}
	tail_heap_fini(h);
	*h = rest;
}

/* Those that may go first; both parts stay in the order in which they came. */
static size_t partition(struct tail_heap *h, int64_t mono_ns)
{
	struct tail_heap young = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < h->items.n; i++) {
		struct tail_item it = h->items.v[i];

		if (it.due_ns <= mono_ns)
			h->items.v[n++] = it;
		else
			vec_push(&young.items, it);
	}
	if (young.items.n > 0)
		memcpy(h->items.v + n, young.items.v, young.items.n * sizeof(*young.items.v));
	tail_heap_fini(&young);
	return n;
}

int64_t group_flush(struct tail_group *g, int64_t mono_ns, uint64_t max_held_bytes)
{
	struct tail_heap *h = &g->heap;
	int64_t next = 0;

	if (h->items.n == 0)
		return 0;
	bool all = g->delay_ns == 0 || h->text.n > max_held_bytes;
	size_t n = all ? h->items.n : partition(h, mono_ns);
	for (size_t i = n; i < h->items.n; i++)
		if (next == 0 || h->items.v[i].due_ns < next)
			next = h->items.v[i].due_ns;
	to_ring(g, h->items.v, n);
	if (n == h->items.n)
		tail_heap_reset(h);
	else if (n > 0)
		keep_rest(h, n);
	return next;
}
