/* Takes a snapshot: which streams match, which runs and chunks hold their entries, cut into units of work. The heads are
 * looked at before the partitions, so an entry that is flushed meanwhile is seen twice rather than not at all, and twice is
 * harmless: sources that overlap in time are merged and duplicates dropped. */
#include "index/snapshot.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/store_internal.h"

#include <assert.h>

enum {
	MERGE_WHOLE_BYTES = 4 << 20, /* overlapping sources up to this size are one unit */
	SLICE_BYTES = 1 << 20,	     /* larger ones are cut into slices of about this size */
	ALONE_BYTES = 256 << 10,     /* what a source has to itself is a unit of its own from this size on */
	MANY_STREAMS = 256,	     /* from here on one scan of the chunk table beats a query a stream */
};

static const struct slice own_tenant_label = { "original___tenant_id__", 22 };

/* ---- what is deleted ------------------------------------------------------------------------------------------ */

static const struct erase_set no_set;

/* The requests are taken before the heads and the partitions: one that is processed by then has left nothing in them, and
 * one that is processed later still hides. */
static void take_tombstones(struct snapshot *snap, struct snap_tenant *t)
{
	t->tombstones = tombstones_take(&snap->store->tombstones, t->id, snap->hint.range, &t->n_tombstones);
}

/* NULL: no request concerns the stream. */
static const struct erase_set *erase_set(struct snapshot *snap, struct slice encoded)
{
	struct snap_tenant *t = snap->now;

	if (t->n_tombstones == 0)
		return NULL;
	const struct erase_set *set = map_get(&t->erase_sets, encoded);
	if (set == NULL) {
		set = erase_set_of(t->tombstones, t->n_tombstones, encoded, &snap->arena);
		if (set == NULL)
			set = &no_set;
		*map_put(&t->erase_sets, arena_dup(&snap->arena, encoded), NULL) = (void *)set;
	}
	return set == &no_set ? NULL : set;
}

/* Is everything of [first, last] hidden that lies in the range asked for? *set: what may hide some of it. */
static bool is_erased(struct snapshot *snap, struct slice encoded, int64_t first, int64_t last,
		      const struct erase_set **set)
{
	const struct timerange want = snap->hint.range;

	*set = erase_set(snap, encoded);
	if (*set == NULL)
		return false;
	enum erase_fate fate = erase_fate(*set, MAX(first, want.start), MIN(last, want.end - 1));
	if (fate == ERASE_NONE)
		*set = NULL;
	return fate == ERASE_ALL;
}

/* ---- streams and sources -------------------------------------------------------------------------------------- */

/* The labels and the tenant; a label of this name that the stream has already is renamed, as Loki does. */
static struct slice with_tenant(struct snapshot *snap, struct slice encoded)
{
	struct labels l;
	struct buf b;

	if (labels_decode(encoded, &snap->arena, &l) == -1)
		return arena_dup(&snap->arena, encoded);
	struct label *v = arena_array(&snap->arena, struct label, l.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < l.n; i++) {
		v[n] = l.v[i];
		if (slice_eq(v[n].name, SNAPSHOT_TENANT_LABEL))
			v[n].name = own_tenant_label;
		n++;
	}
	v[n++] = (struct label){ SNAPSHOT_TENANT_LABEL, snap->now->id };
	labels_sort(v, n);
	buf_init(&b);
	labels_encode(&b, (struct labels){ v, n });
	struct slice out = arena_dup(&snap->arena, buf_slice(&b));
	buf_fini(&b);
	return out;
}

static uint32_t stream_number(struct snapshot *snap, struct slice encoded)
{
	void *found = map_get(&snap->now->by_labels, encoded);

	if (found != NULL)
		return (uint32_t)((uintptr_t)found - 1);
	struct snap_stream *st = arena_new(&snap->arena, struct snap_stream);
	struct slice key = arena_dup(&snap->arena, encoded);
	st->encoded = snap->several ? with_tenant(snap, key) : key;
	st->hash = labels_hash(st->encoded);
	if (labels_decode(st->encoded, &snap->arena, &st->labels) == -1)
		st->labels = (struct labels){ NULL, 0 };
	vec_push(&snap->streams, st);
	*map_put(&snap->now->by_labels, key, NULL) = (void *)(uintptr_t)snap->streams.n;
	return (uint32_t)snap->streams.n - 1;
}

static void add_run(struct snapshot *snap, const struct head *h, const struct head_run *run, uint64_t minor,
		    bool want_units)
{
	if (run->n == 0 || !timerange_meets(snap->hint.range, run->min_ts, run->max_ts))
		return;
	const struct erase_set *erase;
	if (is_erased(snap, run->stream->encoded, run->min_ts, run->max_ts, &erase))
		return;
	uint32_t stream = stream_number(snap, run->stream->encoded);
	if (!want_units)
		return;
	struct source *s = vec_add(&snap->sources);
	*s = (struct source){ .stream = stream,
			      .first = run->min_ts,
			      .last = run->max_ts,
			      .seq = h->wal_first,
			      .minor = minor,
			      .raw_bytes = run->bytes,
			      .n_entries = run->n,
			      .clean = run->clean,
			      .erase = erase,
			      .run = run,
			      .n_metas = run->n_metas };
	snap->stats.head_entries += run->n;
}

static uint64_t run_ordinal(const struct head_run *run)
{
	uint64_t n = 0;

	for (const struct head_run *r = run->stream->first; r != run; r = r->next)
		n++;
	return n;
}

/* Runs that hold the tokens, or all streams of the tenant; what a matcher costs is not paid under the lock, for a writer
 * waits for it. Streams and runs live as long as the head; only a run's fill needs the lock. */
struct head_candidates {
	VEC(struct head_stream *) streams;
	VEC(struct head_run *) runs;
};

static void head_candidates(const struct snapshot *snap, struct head *h, struct slice tenant,
			    struct head_candidates *c)
{
	pthread_rwlock_rdlock(&h->lock);
	struct head_tenant *t = head_tenant(h, tenant);
	if (t != NULL && snap->hint.n_groups > 0) {
		size_t n;
		struct head_run **runs = head_trace_runs(h, snap->hint.groups, snap->hint.n_groups, &n);

		/* A run names its stream, and a stream belongs to one tenant: it must be this tenant's own. */
		for (size_t i = 0; i < n; i++)
			if (map_get(&t->by_labels, runs[i]->stream->encoded) == runs[i]->stream)
				vec_push(&c->runs, runs[i]);
		free(runs);
	} else if (t != NULL) {
		vec_reserve(&c->streams, t->streams.n);
		for (size_t i = 0; i < t->streams.n; i++)
			c->streams.v[c->streams.n++] = t->streams.v[i];
	}
	pthread_rwlock_unlock(&h->lock);
}

static void take_head(struct snapshot *snap, struct head *h, struct slice tenant, const struct matcher *m,
		      size_t n_matchers, bool want_units)
{
	struct head_candidates c = { 0 };
	size_t n_streams = 0, n_runs = 0;

	head_candidates(snap, h, tenant, &c);
	for (size_t i = 0; i < c.streams.n; i++)
		if (labels_match(c.streams.v[i]->encoded, m, n_matchers))
			c.streams.v[n_streams++] = c.streams.v[i];
	for (size_t i = 0; i < c.runs.n; i++)
		if (labels_match(c.runs.v[i]->stream->encoded, m, n_matchers))
			c.runs.v[n_runs++] = c.runs.v[i];
	pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < n_streams; i++) {
		uint64_t minor = 0;

		for (const struct head_run *r = c.streams.v[i]->first; r != NULL; r = r->next)
			add_run(snap, h, r, minor++, want_units);
	}
	for (size_t i = 0; i < n_runs; i++)
		add_run(snap, h, c.runs.v[i], run_ordinal(c.runs.v[i]), want_units);
	pthread_rwlock_unlock(&h->lock);
	vec_fini(&c.streams);
	vec_fini(&c.runs);
}

struct partition_take {
	struct snapshot *snap;
	struct partition *p;
	struct partition_reader r;
	const struct matcher *m;
	size_t n_matchers;
	const struct timerange *window;
	size_t n_windows;
	struct map ids; /* 8-byte stream id -> its encoded labels; p NULL: does not match */
	VEC(int64_t) matched;
	struct arena scratch;
	bool want_units;
	bool by_trace; /* the trace index is asked */
};

static struct slice id_key(struct partition_take *t, int64_t id)
{
	int64_t *p = arena_alloc(&t->scratch, sizeof(*p));

	*p = id;
	return slice_of(p, sizeof(*p));
}

static int note_stream(void *arg, int64_t id, struct slice encoded)
{
	struct partition_take *t = arg;

	/* Numbered only when a chunk in range turns up; until then the labels wait under the id. */
	struct slice *copy = arena_new(&t->scratch, struct slice);
	*copy = arena_dup(&t->scratch, encoded);
	*map_put(&t->ids, id_key(t, id), NULL) = copy;
	vec_push(&t->matched, id);
	return 0;
}

/* The encoded labels of the stream if it matches, else NULL. Asked by id: trace lookups know chunks, not streams. */
static int match_id(struct partition_take *t, int64_t id, const struct slice **out, struct err *err)
{
	static const struct slice no_match = { NULL, 0 };
	bool is_new;
	void **slot = map_put(&t->ids, id_key(t, id), &is_new);

	if (is_new) {
		sqlite3_stmt *st = sql_prepare(t->r.sql, SQL_STREAM_LABELS, err);

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, id);
		int rc = sql_step(t->r.sql, st, err);
		if (rc == -1)
			return -1;
		struct slice *copy = arena_new(&t->scratch, struct slice);
		if (rc == 1 && labels_match(sql_blob(st, 0), t->m, t->n_matchers))
			*copy = arena_dup(&t->scratch, sql_blob(st, 0));
		else
			*copy = no_match;
		sqlite3_reset(st);
		*slot = copy;
	}
	const struct slice *found = *slot;
	*out = found->p != NULL ? found : NULL;
	return 0;
}

static bool meets_window(const struct timerange *w, size_t n, int64_t first, int64_t last)
{
	for (size_t i = 0; i < n; i++)
		if (timerange_meets(w[i], first, last))
			return true;
	return n == 0;
}

static int add_chunk(struct partition_take *t, const struct chunk_row *row, struct slice encoded)
{
	struct snapshot *snap = t->snap;

	snap->stats.chunks_considered++;
	if (!timerange_meets(snap->hint.range, row->info.first_ts, row->info.last_ts))
		return 0;
	const struct erase_set *erase;
	if (is_erased(snap, encoded, row->info.first_ts, row->info.last_ts, &erase))
		return 0;
	if (!t->want_units) {
		stream_number(snap, encoded);
		return 0;
	}
	if (!meets_window(t->window, t->n_windows, row->info.first_ts, row->info.last_ts)) {
		snap->stats.chunks_skipped_by_trace++;
		return 0;
	}
	struct segment *seg = partition_segment(t->p, row->segment);
	if (seg == NULL) {
		snap->stats.chunks_missing++;
		return 0;
	}
	if (t->by_trace && !segment_filter_may_hold(seg, row->filter_off, row->filter_bytes, row->filter_sum,
						    snap->hint.groups, snap->hint.n_groups)) {
		snap->stats.chunks_skipped_by_trace++;
		segment_unref(seg);
		return 0;
	}
	vec_push(&snap->segments, seg);
	struct source *s = vec_add(&snap->sources);
	*s = (struct source){ .stream = stream_number(snap, encoded),
			      .first = row->info.first_ts,
			      .last = row->info.last_ts,
			      .seq = row->seq,
			      .minor = row->off,
			      .raw_bytes = row->info.raw_bytes,
			      .n_entries = row->info.n_entries,
			      .clean = true,
			      .erase = erase,
			      .segment = seg,
			      .off = row->off,
			      .counts_off = row->filter_off + row->filter_bytes,
			      .header_bytes = row->info.header_bytes,
			      .window = t->window,
			      .n_windows = t->n_windows };
	return 0;
}

/* Rows of a chunk statement; by id if the streams were not asked for beforehand. */
static int take_rows(struct partition_take *t, sqlite3_stmt *st, bool any_stream, struct err *err)
{
	struct chunk_row row;
	int rc;

	for (;;) {
		rc = partition_chunk_row(t->r.sql, st, &row, err);
		if (rc == 2) {
			t->snap->stats.chunks_missing++;
			atomic_store(&t->p->index_damaged, true);
			continue;
		}
		if (rc != 1)
			return rc;
		const struct slice *encoded;
		if (any_stream) {
			if (match_id(t, row.stream, &encoded, err) == -1)
				return -1;
		} else {
			encoded = map_get(&t->ids, slice_of(&row.stream, sizeof(row.stream)));
		}
		if (encoded != NULL && add_chunk(t, &row, *encoded) == -1)
			return -1;
	}
}

static int take_range(struct partition_take *t, struct timerange range, bool any_stream, struct err *err)
{
	int64_t longest = 0, from;
	sqlite3_stmt *st;

	if (sql_meta_get(t->r.sql, "longest_chunk_ns", &longest, err) == -1 ||
	    (st = sql_prepare(t->r.sql, SQL_CHUNK_IN_RANGE, err)) == NULL)
		return -1;
	if (__builtin_sub_overflow(range.start, longest, &from))
		from = INT64_MIN;
	sqlite3_bind_null(st, 1);
	sqlite3_bind_int64(st, 2, range.start);
	sqlite3_bind_int64(st, 3, range.end);
	sqlite3_bind_int64(st, 4, from);
	return take_rows(t, st, any_stream, err);
}

static int take_streams(struct partition_take *t, struct err *err)
{
	if (partition_match_streams(t->r.sql, t->m, t->n_matchers, note_stream, t, err) == -1)
		return -1;
	if (t->matched.n == 0)
		return 0;
	if (t->matched.n > MANY_STREAMS)
		return take_range(t, t->snap->hint.range, false, err);
	for (size_t i = 0; i < t->matched.n; i++) {
		sqlite3_stmt *st = sql_prepare(t->r.sql, SQL_CHUNK_OF_STREAM, err);

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, t->matched.v[i]);
		sqlite3_bind_int64(st, 2, t->snap->hint.range.start);
		sqlite3_bind_int64(st, 3, t->snap->hint.range.end);
		if (take_rows(t, st, false, err) == -1)
			return -1;
	}
	return 0;
}

static int take_traces(struct partition_take *t, struct err *err)
{
	struct timerange *w;
	size_t n;

	if (partition_trace_windows(&t->r, t->snap->hint.groups, t->snap->hint.n_groups, &w, &n, err) == -1)
		return -1;
	struct timerange *kept = arena_array(&t->snap->arena, struct timerange, n);
	size_t n_kept = 0;
	for (size_t i = 0; i < n; i++)
		if (w[i].start < t->snap->hint.range.end && w[i].end > t->snap->hint.range.start)
			kept[n_kept++] = w[i];
	free(w);
	t->window = kept;
	t->n_windows = n_kept;
	/* Windows are apart, but one chunk may meet several: ask for the hull if they are many, once each otherwise. */
	if (n_kept == 0)
		return 0;
	return take_range(t, (struct timerange){ kept[0].start, kept[n_kept - 1].end }, true, err);
}

/* A damaged index costs its own day, not the whole answer; the keeper makes it anew. Other errors are the caller's. */
static int note_index_damage(struct snapshot *snap, struct partition *p, const struct err *err)
{
	if (err->code != ERR_CORRUPT)
		return -1;
	if (!atomic_exchange(&p->index_damaged, true))
		log_error("damaged index met", KV("error", err->msg));
	snap->stats.chunks_missing++;
	return 0;
}

static int take_partition(struct snapshot *snap, struct partition *p, const struct matcher *m,
			  size_t n_matchers, bool want_units, struct err *err)
{
	struct partition_take t = {
		.snap = snap, .p = p, .m = m, .n_matchers = n_matchers, .want_units = want_units
	};
	t.by_trace = snap->hint.n_groups > 0 && !atomic_load(&p->other_keys);
	if (t.by_trace && !partition_may_hold(p, snap->hint.groups, snap->hint.n_groups))
		return 0;
	if (partition_read_begin(p, &t.r, err) == -1)
		return atomic_load(&p->dropped) ? 0 : note_index_damage(snap, p, err);
	arena_init(&t.scratch);
	int rc = t.by_trace ? take_traces(&t, err) : take_streams(&t, err);
	partition_read_end(&t.r);
	if (rc == -1)
		rc = note_index_damage(snap, p, err);
	map_fini(&t.ids);
	vec_fini(&t.matched);
	arena_fini(&t.scratch);
	return rc;
}

/* ---- units ---------------------------------------------------------------------------------------------------- */

static int cmp_source(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->minor < y->minor ? -1 : x->minor > y->minor;
}

static int64_t after(int64_t ts)
{
	return ts == INT64_MAX ? ts : ts + 1;
}

/* About how much of a source lies in [start, end) and is not deleted: 0 to 1. Differences in integers, since doubles are too coarse for ns. */
static double share(const struct source *s, struct timerange r)
{
	int64_t from = MAX(s->first, r.start), to = MIN(after(s->last), r.end);

	if (to <= from)
		return 0;
	double part = (double)((uint64_t)to - (uint64_t)from) /
		      ((double)((uint64_t)s->last - (uint64_t)s->first) + 1);
	return s->erase == NULL ? part : part * (1 - erase_share(s->erase, from, to - 1));
}

/* Sources that do not meet the range are left out. */
static void add_unit(struct snapshot *snap, struct timerange range, const uint32_t *sources, size_t n)
{
	const struct timerange want = snap->hint.range;
	size_t first = snap->unit_sources.n;
	struct snap_unit u = { 0 };
	bool erased = false;

	range.start = MAX(range.start, want.start);
	range.end = MIN(range.end, want.end);
	if (range.start >= range.end)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct source *s = &snap->sources.v[sources[i]];

		if (!timerange_meets(range, s->first, s->last))
			continue;
		vec_push(&snap->unit_sources, sources[i]);
		u.raw_bytes += (uint64_t)((double)s->raw_bytes * share(s, range));
		u.n_entries += s->n_entries;
		erased = erased || s->erase != NULL;
	}
	u.n_sources = snap->unit_sources.n - first;
	if (u.n_sources == 0)
		return;
	const struct source *only = &snap->sources.v[snap->unit_sources.v[first]];
	u.stream = snap->streams.v[only->stream];
	u.range = range;
	u.first_source = first;
	u.exact_count = u.n_sources == 1 && only->clean && !erased && only->n_windows == 0 &&
			range.start <= only->first && range.end > only->last;
	vec_push(&snap->units, u);
}

static int cmp_edge(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The edges of sources [from, to), ascending, each once. */
static size_t edges_of(const struct snapshot *snap, size_t from, size_t to, int64_t *edge)
{
	size_t n = 0, unique = 0;

	for (size_t i = from; i < to; i++) {
		edge[n++] = snap->sources.v[i].first;
		edge[n++] = after(snap->sources.v[i].last);
	}
	qsort(edge, n, sizeof(*edge), cmp_edge);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || edge[i] != edge[i - 1])
			edge[unique++] = edge[i];
	return unique;
}

/* Cuts overlapping sources [from, to) at their edges and joins neighbours until a slice is worth a unit. A long stretch
 * that one source has to itself becomes a unit of its own, which is read without gathering and sorting. The blocks at
 * its ends are then read twice, so it is not worth it where needles rule most blocks out. */
static void add_slices(struct snapshot *snap, size_t from, size_t to)
{
	int64_t *edge = xmalloc(2 * (to - from) * sizeof(*edge));
	size_t n_edges = edges_of(snap, from, to, edge), next = from;
	bool alone_counts = snap->hint.n_needles == 0;
	VEC(uint32_t) members = { 0 };
	int64_t start = edge[0];
	double bytes = 0;

	for (size_t i = 0; i + 1 < n_edges; i++) {
		struct timerange piece = { edge[i], edge[i + 1] };
		double piece_bytes = 0;
		size_t n_active = 0, kept = 0;

		for (; next < to && snap->sources.v[next].first < piece.end; next++)
			vec_push(&members, (uint32_t)next);
		for (size_t k = 0; k < members.n; k++) {
			const struct source *s = &snap->sources.v[members.v[k]];

			n_active += timerange_meets(piece, s->first, s->last);
			piece_bytes += (double)s->raw_bytes * share(s, piece);
		}
		bytes += piece_bytes;
		if (alone_counts && n_active == 1 && piece_bytes >= ALONE_BYTES) {
			add_unit(snap, (struct timerange){ start, piece.start }, members.v, members.n);
			start = piece.start;
		} else if (bytes < SLICE_BYTES && i + 2 < n_edges) {
			continue;
		}
		add_unit(snap, (struct timerange){ start, piece.end }, members.v, members.n);
		start = piece.end;
		bytes = 0;
		for (size_t k = 0; k < members.n; k++)
			if (snap->sources.v[members.v[k]].last >= start)
				members.v[kept++] = members.v[k];
		members.n = kept;
	}
	free(edge);
	vec_fini(&members);
}

static void add_component(struct snapshot *snap, size_t from, size_t to, int64_t last)
{
	uint64_t bytes = 0;
	uint32_t only = (uint32_t)from;

	for (size_t i = from; i < to; i++)
		bytes += snap->sources.v[i].raw_bytes;
	if (to - from == 1) {
		add_unit(snap, (struct timerange){ snap->sources.v[from].first, after(last) }, &only, 1);
	} else if (bytes > (snap->hint.n_needles == 0 ? ALONE_BYTES : MERGE_WHOLE_BYTES)) {
		add_slices(snap, from, to);
	} else {
		uint32_t *all = xmalloc((to - from) * sizeof(*all));

		for (size_t i = from; i < to; i++)
			all[i - from] = (uint32_t)i;
		add_unit(snap, (struct timerange){ snap->sources.v[from].first, after(last) }, all,
			 to - from);
		free(all);
	}
}

static int cmp_forward(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	if (x->range.start != y->range.start)
		return x->range.start < y->range.start ? -1 : 1;
	return x->stream->index < y->stream->index ? -1 : x->stream->index > y->stream->index;
}

static int cmp_backward(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	if (x->range.end != y->range.end)
		return x->range.end > y->range.end ? -1 : 1;
	return x->stream->index < y->stream->index ? -1 : x->stream->index > y->stream->index;
}

static void make_units(struct snapshot *snap)
{
	if (snap->sources.n > 1)
		qsort(snap->sources.v, snap->sources.n, sizeof(struct source), cmp_source);
	for (size_t i = 0, j; i < snap->sources.n; i = j) {
		int64_t last = snap->sources.v[i].last;

		for (j = i + 1;
		     j < snap->sources.n && snap->sources.v[j].stream == snap->sources.v[i].stream &&
		     snap->sources.v[j].first <= last;
		     j++)
			last = MAX(last, snap->sources.v[j].last);
		add_component(snap, i, j, last);
	}
	if (snap->units.n > 1)
		qsort(snap->units.v, snap->units.n, sizeof(struct snap_unit),
		      snap->hint.backward ? cmp_backward : cmp_forward);
}

static int cmp_stream(const void *a, const void *b)
{
	const struct snap_stream *x = *(struct snap_stream *const *)a, *y = *(struct snap_stream *const *)b;

	return labels_cmp(x->labels, y->labels);
}

/* Streams in label order; sources know them by number, so the numbers are translated. */
static void number_streams(struct snapshot *snap)
{
	size_t n = snap->streams.n;
	struct snap_stream **sorted = xmalloc(n * sizeof(struct snap_stream *));

	if (n > 0)
		memcpy(sorted, snap->streams.v, n * sizeof(struct snap_stream *));
	if (n > 1)
		qsort(sorted, n, sizeof(struct snap_stream *), cmp_stream);
	for (size_t i = 0; i < n; i++)
		sorted[i]->index = i;
	for (size_t i = 0; i < snap->sources.n; i++)
		snap->sources.v[i].stream = (uint32_t)snap->streams.v[snap->sources.v[i].stream]->index;
	if (n > 0)
		memcpy(snap->streams.v, sorted, n * sizeof(struct snap_stream *));
	free(sorted);
}

/* ---- the door ------------------------------------------------------------------------------------------------- */

static void copy_hint(struct snapshot *snap, const struct scan_hint *h)
{
	snap->hint = *h;
	struct slice *needles = arena_array(&snap->arena, struct slice, h->n_needles);
	for (size_t i = 0; i < h->n_needles; i++)
		needles[i] = arena_dup(&snap->arena, h->needles[i]);
	snap->hint.needles = needles;
	snap->hint.groups = arena_array(&snap->arena, struct trace_group, h->n_groups);
	for (size_t i = 0; i < h->n_groups; i++) {
		uint64_t *t = arena_array(&snap->arena, uint64_t, h->groups[i].n);

		memcpy(t, h->groups[i].token, h->groups[i].n * sizeof(*t));
		snap->hint.groups[i] = (struct trace_group){ t, h->groups[i].n };
	}
}

static bool is_chosen(struct slice tenant, const struct matcher *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(m[i].name, SNAPSHOT_TENANT_LABEL) && !matcher_matches(&m[i], tenant))
			return false;
	return true;
}

/* "a|b", without those that a matcher of the tenants rules out. */
static void choose_tenants(struct snapshot *snap, struct slice tenants, const struct matcher *m, size_t n)
{
	size_t max = 1;

	for (size_t i = 0; i < tenants.n; i++)
		max += tenants.p[i] == '|';
	snap->several = max > 1;
	snap->tenants = arena_array(&snap->arena, struct snap_tenant, max);
	for (size_t i = 0; i < max; i++) {
		size_t bar = slice_find_byte(tenants, '|');
		struct slice id = slice_sub(tenants, 0, bar);

		if (!snap->several || is_chosen(id, m, n))
			snap->tenants[snap->n_tenants++] =
				(struct snap_tenant){ .id = arena_dup(&snap->arena, id) };
		tenants = slice_from(tenants, bar == SLICE_NONE ? tenants.n : bar + 1);
	}
}

/* The matchers of the streams themselves. */
static const struct matcher *own_matchers(struct snapshot *snap, const struct matcher *m, size_t *n)
{
	struct matcher *own = arena_array(&snap->arena, struct matcher, *n);
	size_t n_own = 0;

	if (!snap->several)
		return m;
	for (size_t i = 0; i < *n; i++) {
		if (slice_eq(m[i].name, SNAPSHOT_TENANT_LABEL))
			continue;
		own[n_own] = m[i];
		if (slice_eq(m[i].name, own_tenant_label))
			own[n_own].name = SNAPSHOT_TENANT_LABEL;
		n_own++;
	}
	*n = n_own;
	return own;
}

static int take_partitions(struct snapshot *snap, const struct matcher *m, size_t n_matchers, bool want_units,
			   struct err *err)
{
	struct slice tenant = snap->now->id;
	size_t n = 0;
	int rc = 0;

	snap->stats.chunks_missing += store_n_left_out(snap->store, tenant, snap->hint.range);
	struct partition **p = store_partitions(snap->store, tenant, snap->hint.range, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = take_partition(snap, p[i], m, n_matchers, want_units, err);
	store_partitions_release(p, n);
	return rc;
}

int snapshot_take(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		  const struct scan_hint *hint, bool want_units, struct snapshot **out, struct err *err)
{
	struct snapshot *snap = xcalloc(1, sizeof(*snap));
	int rc = 0;

	arena_init(&snap->arena);
	snap->store = s;
	copy_hint(snap, hint);
	snap->stats.used_trace_index = hint->n_groups > 0;
	choose_tenants(snap, tenant, m, n_matchers);
	m = own_matchers(snap, m, &n_matchers);
	for (size_t i = 0; i < snap->n_tenants; i++)
		take_tombstones(snap, &snap->tenants[i]);
	pthread_rwlock_rdlock(&s->heads_lock);
	snap->heads[0] = s->frozen != NULL ? head_ref(s->frozen) : NULL;
	snap->heads[1] = s->active != NULL ? head_ref(s->active) : NULL;
	pthread_rwlock_unlock(&s->heads_lock);
	for (size_t k = 0; k < snap->n_tenants; k++) {
		snap->now = &snap->tenants[k];
		for (size_t i = 0; i < 2; i++)
			if (snap->heads[i] != NULL)
				take_head(snap, snap->heads[i], snap->now->id, m, n_matchers, want_units);
	}
	for (size_t k = 0; k < snap->n_tenants && rc == 0; k++) {
		snap->now = &snap->tenants[k];
		rc = take_partitions(snap, m, n_matchers, want_units, err);
	}
	if (rc == -1) {
		snapshot_release(snap);
		return -1;
	}
	number_streams(snap);
	make_units(snap);
	*out = snap;
	return 0;
}

void snapshot_release(struct snapshot *snap)
{
	if (snap == NULL)
		return;
	for (size_t i = 0; i < snap->segments.n; i++)
		segment_unref(snap->segments.v[i]);
	head_unref(snap->heads[0]);
	head_unref(snap->heads[1]);
	for (size_t i = 0; i < snap->n_tenants; i++) {
		tombstones_release(snap->tenants[i].tombstones, snap->tenants[i].n_tombstones);
		map_fini(&snap->tenants[i].erase_sets);
		map_fini(&snap->tenants[i].by_labels);
	}
	vec_fini(&snap->segments);
	vec_fini(&snap->streams);
	vec_fini(&snap->sources);
	vec_fini(&snap->units);
	vec_fini(&snap->unit_sources);
	arena_fini(&snap->arena);
	free(snap);
}

size_t snapshot_n_streams(const struct snapshot *snap)
{
	return snap->streams.n;
}

const struct snap_stream *snapshot_stream(const struct snapshot *snap, size_t i)
{
	return snap->streams.v[i];
}

size_t snapshot_n_units(const struct snapshot *snap)
{
	return snap->units.n;
}

const struct snap_unit *snapshot_unit(const struct snapshot *snap, size_t i)
{
	return &snap->units.v[i];
}

const struct snap_stats *snapshot_stats(const struct snapshot *snap)
{
	return &snap->stats;
}

void snapshot_sums(const struct snapshot *snap, uint64_t *chunks, uint64_t *bytes, uint64_t *entries)
{
	for (size_t i = 0; i < snap->sources.n; i++) {
		const struct source *src = &snap->sources.v[i];
		double part = share(src, snap->hint.range);

		*chunks += 1;
		*bytes += (uint64_t)((double)src->raw_bytes * part + 0.5);
		*entries += (uint64_t)((double)src->n_entries * part + 0.5);
	}
}
