#include "query/tail_replay.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

struct place {
	const struct result_stream *stream;
	const struct result_entry *entry;
	size_t order; /* of the answer, oldest first */
};

static bool seen_put(uint64_t *table, size_t cap, uint64_t hash)
{
	size_t at = hash & (cap - 1);

	for (; table[at] != 0; at = (at + 1) & (cap - 1))
		if (table[at] == hash)
			return false;
	table[at] = hash;
	return true;
}

static void seen_grow(struct tail_replay *r)
{
	size_t cap = r->cap_seen > 0 ? 2 * r->cap_seen : 256;
	uint64_t *table = xcalloc(cap, sizeof(*table));

	for (size_t i = 0; i < r->cap_seen; i++)
		if (r->seen[i] != 0)
			seen_put(table, cap, r->seen[i]);
	free(r->seen);
	r->seen = table;
	r->cap_seen = cap;
}

/* False if it was there. Past the bound everything is new: then entries may be sent twice. */
static bool note_seen(struct tail_replay *r, uint64_t hash)
{
	if (r->n_seen >= REPLAY_MAX_SEEN)
		return !replay_has(r, hash);
	if (2 * r->n_seen >= r->cap_seen)
		seen_grow(r);
	bool is_new = seen_put(r->seen, r->cap_seen, hash != 0 ? hash : 1);
	r->n_seen += is_new;
	return is_new;
}

bool replay_has(const struct tail_replay *r, uint64_t hash)
{
	if (hash == 0)
		hash = 1;
	if (r->cap_seen == 0)
		return false;
	for (size_t at = hash & (r->cap_seen - 1); r->seen[at] != 0; at = (at + 1) & (r->cap_seen - 1))
		if (r->seen[at] == hash)
			return true;
	return false;
}

static int by_time(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->entry->ts != y->entry->ts)
		return x->entry->ts < y->entry->ts ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void encode(struct tail_replay *r, const struct place *p, struct tail_heap *h)
{
	struct tail_entry e = { .ts = p->entry->ts,
				.line = p->entry->line,
				.labels = p->stream->labels,
				.meta = p->entry->meta,
				.parsed = p->entry->parsed };
	size_t begin = h->text.n, labels_off, labels_n;

	r->encode(&h->text, r->format, &e, &labels_off, &labels_n);
	struct slice text = slice_from(buf_slice(&h->text), begin);
	struct tail_item item = { .ts = e.ts,
				  .hash = hash_seeded(text),
				  .off = (uint32_t)begin,
				  .n = (uint32_t)text.n,
				  .labels_off = (uint32_t)(begin + labels_off),
				  .labels_n = (uint32_t)labels_n };
	if (note_seen(r, item.hash))
		vec_push(&h->items, item);
	else
		h->text.n = begin;
}

/* Into frames; returns how many entries the answer held, *newest is the time of the last one. */
static size_t take(struct tail_replay *r, const struct query_result *result, int64_t *newest)
{
	VEC(struct place) places = { 0 };
	struct tail_heap heap = { 0 };

	for (size_t s = 0; s < result->n_streams; s++) {
		const struct result_stream *st = &result->stream[s];

		for (size_t i = 0; i < st->n; i++) {
			const struct result_entry *e = &st->entry[r->newest ? st->n - 1 - i : i];

			vec_push(&places, ((struct place){ st, e, places.n }));
		}
	}
	if (places.n > 1)
		qsort(places.v, places.n, sizeof(*places.v), by_time);
	for (size_t i = 0; i < places.n; i++)
		encode(r, &places.v[i], &heap);
	if (places.n > 0)
		*newest = places.v[places.n - 1].entry->ts;
	tail_frames_cut(&heap, heap.items.v, heap.items.n, &r->frames);
	tail_heap_fini(&heap);
	size_t n = places.n;
	vec_fini(&places);
	return n;
}

/* Goes on with the time of the last entry: more may have it. */
static void next_page(struct tail_replay *r, size_t n, int64_t newest)
{
	r->more = !r->newest && n >= r->limit;
	if (!r->more)
		return;
	if (newest > r->start) {
		r->start = newest;
		r->limit = REPLAY_PAGE;
	} else if (r->limit < REPLAY_MAX_PAGE) {
		r->limit *= 4; /* a page full of one time */
	} else {
		r->start = newest + 1;
	}
}

static void read_page(struct tail_replay *r)
{
	struct query_request q = { .tenant = r->tenant,
				   .text = r->text,
				   .start = r->start,
				   .end = r->end,
				   .limit = r->limit,
				   .backward = r->newest,
				   .categorize = r->format == TAIL_CATEGORIZED,
				   .limits = &r->limits };
	struct query_result result;
	int64_t newest = INT64_MIN;

	r->more = false;
	if (r->start >= r->end || r->limit == 0) {
		r->ended_ns = clock_mono_ns();
		return;
	}
	r->failed = query_run(r->engine, &q, &r->control, &result, &r->err) == -1;
	r->ended_ns = clock_mono_ns();
	if (r->failed)
		return;
	next_page(r, take(r, &result, &newest), newest);
	query_result_fini(&result);
}

static void run(struct sched_job *job, const struct err *refused)
{
	struct tail_replay *r = (struct tail_replay *)job; /* its first member */

	if (refused != NULL) {
		r->failed = true;
		r->err = *refused;
	} else {
		read_page(r);
	}
	r->done(r);
}

int replay_submit(struct tail_replay *r, struct sched *sched, struct err *err)
{
	_Static_assert(offsetof(struct tail_replay, job) == 0, "run() relies on it");
	r->failed = false;
	r->control.deadline_mono_ns =
		r->limits.query_timeout > 0 ? clock_mono_ns() + r->limits.query_timeout : 0;
	r->job = (struct sched_job){ .run = run,
				     .class = SCHED_QUERY,
				     .deadline_mono_ns = r->control.deadline_mono_ns,
				     .cancelled = &r->control.cancelled };
	if (sched != NULL)
		return sched_submit(sched, r->tenant, 0, &r->job, err);
	run(&r->job, NULL);
	return 0;
}

void replay_fini(struct tail_replay *r)
{
	tail_frames_fini(&r->frames);
	free(r->seen);
	r->seen = NULL;
	r->n_seen = r->cap_seen = 0;
}
