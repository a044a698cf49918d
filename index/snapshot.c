/* Takes a snapshot: which streams match, which runs and chunks hold their entries, cut into units of work. The heads are
 * looked at before the partitions, so an entry that is flushed meanwhile is seen twice rather than not at all, and twice is
 * harmless: sources that overlap in time are merged and duplicates dropped. */
#include "index/snapshot.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/catalog.h"
#include "index/filter.h"
#include "index/store_internal.h"

#include <assert.h>

enum {
	MERGE_WHOLE_BYTES = 4 << 20, /* overlapping sources up to this size are one unit */
	SLICE_BYTES = 1 << 20,	     /* larger ones are cut into slices of about this size */
	ALONE_BYTES = 256 << 10,     /* what a source has to itself is a unit of its own from this size on */
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

/* Of a run or a sealed chunk of a head; NULL if there is nothing of it to read. */
static struct source *add_head_source(struct snapshot *snap, const struct head *h, struct head_part *part,
				      int64_t first, int64_t last, bool want_units)
{
	const struct erase_set *erase;

	if (!timerange_meets(snap->hint.range, first, last) ||
	    is_erased(snap, part->stream->encoded, first, last, &erase))
		return NULL;
	uint32_t stream = stream_number(snap, part->stream->encoded);
	if (!want_units)
		return NULL;
	vec_push(&snap->parts, head_part_ref(part));
	struct source *s = vec_add(&snap->sources);
	*s = (struct source){
		.stream = stream, .first = first, .last = last, .seq = h->wal_first, .erase = erase
	};
	return s;
}

static void add_run(struct snapshot *snap, const struct head *h, const struct head_run *run, bool want_units)
{
	if (run->n == 0)
		return;
	struct source *s = add_head_source(snap, h, run->part, run->min_ts, run->max_ts, want_units);
	if (s == NULL)
		return;
	s->minor = run->part->order << 32 | run->minor;
	s->raw_bytes = run->bytes;
	s->n_entries = run->n;
	s->clean = run->clean;
	s->run = run;
	s->metas = run->metas;
	s->n_metas = run->n_metas;
	snap->stats.head_entries += run->n;
}

static void add_sealed(struct snapshot *snap, const struct head *h, struct head_part *part, bool want_units)
{
	const struct chunk_info *info = &part->sealed->info;
	struct source *s = add_head_source(snap, h, part, info->first_ts, info->last_ts, want_units);

	if (s == NULL)
		return;
	s->minor = part->order << 32 | part->minor;
	s->raw_bytes = info->raw_bytes;
	s->n_entries = info->n_entries;
	s->clean = true;
	s->sealed = part->sealed;
	s->header_bytes = info->header_bytes;
	snap->stats.head_entries += info->n_entries;
}

static void add_part(struct snapshot *snap, const struct head *h, struct head_part *part, bool want_units)
{
	if (part->sealed != NULL) {
		add_sealed(snap, h, part, want_units);
		return;
	}
	for (const struct head_run *r = part->first; r != NULL; r = r->next)
		add_run(snap, h, r, want_units);
}

/* Runs and sealed parts that hold the tokens, or all streams of the tenant; what a matcher costs is not paid under the lock,
 * for a writer waits for it. Streams live as long as the head, runs as long as their part; only a run's fill needs the lock. */
struct head_candidates {
	VEC(struct head_stream *) streams;
	VEC(struct head_run *) runs;	/* with a reference to their part */
	VEC(struct head_part *) sealed; /* references */
};

static bool may_hold(const struct snapshot *snap, const struct head_sealed *c)
{
	if (!timerange_meets(snap->hint.range, c->info.first_ts, c->info.last_ts))
		return false;
	for (size_t g = 0; g < snap->hint.n_groups; g++) {
		bool perhaps = false;

		for (size_t i = 0; i < snap->hint.groups[g].n && !perhaps; i++)
			perhaps = fuse_has(c->filter, snap->hint.groups[g].token[i]);
		if (!perhaps)
			return false;
	}
	return true;
}

static void trace_candidates(const struct snapshot *snap, const struct head *h, const struct head_tenant *t,
			     struct head_candidates *c)
{
	size_t n;
	struct head_run **runs = trace_map_find(&h->traces, snap->hint.groups, snap->hint.n_groups, &n);

	for (size_t i = 0; i < n; i++) {
		if (runs[i]->part->stream->tenant != t)
			continue;
		head_part_ref(runs[i]->part);
		vec_push(&c->runs, runs[i]);
	}
	free(runs);
	for (size_t i = 0; i < t->sealed.n; i++)
		if (may_hold(snap, t->sealed.v[i]->sealed))
			vec_push(&c->sealed, head_part_ref(t->sealed.v[i]));
}

static void head_candidates(const struct snapshot *snap, struct head *h, struct slice tenant,
			    struct head_candidates *c)
{
	pthread_rwlock_rdlock(&h->lock);
	struct head_tenant *t = head_tenant(h, tenant);
	if (t != NULL && snap->hint.n_groups > 0) {
		trace_candidates(snap, h, t, c);
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
	size_t n_streams = 0;

	head_candidates(snap, h, tenant, &c);
	for (size_t i = 0; i < c.streams.n; i++)
		if (labels_match(c.streams.v[i]->encoded, m, n_matchers))
			c.streams.v[n_streams++] = c.streams.v[i];
	pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < n_streams; i++)
		for (size_t k = 0; k < c.streams.v[i]->parts.n; k++)
			add_part(snap, h, c.streams.v[i]->parts.v[k], want_units);
	for (size_t i = 0; i < c.runs.n; i++)
		if (labels_match(c.runs.v[i]->part->stream->encoded, m, n_matchers))
			add_run(snap, h, c.runs.v[i], want_units);
	pthread_rwlock_unlock(&h->lock);
	for (size_t i = 0; i < c.sealed.n; i++)
		if (labels_match(c.sealed.v[i]->stream->encoded, m, n_matchers))
			add_sealed(snap, h, c.sealed.v[i], want_units);
	for (size_t i = 0; i < c.runs.n; i++)
		head_part_unref(c.runs.v[i]->part);
	for (size_t i = 0; i < c.sealed.n; i++)
		head_part_unref(c.sealed.v[i]);
	vec_fini(&c.streams);
	vec_fini(&c.runs);
	vec_fini(&c.sealed);
}

struct partition_take {
	struct snapshot *snap;
	struct partition *p;
	struct partition_reader r;
	const struct matcher *m;
	size_t n_matchers;
	const struct timerange *window;
	size_t n_windows;
	struct catalog catalog;
	/* Encoded labels by stream id, where all are in memory; p NULL: it does not match, or was not asked for yet. */
	struct slice *labels;
	struct map ids; /* else: 8-byte stream id -> its encoded labels; p NULL: does not match */
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
	return 0;
}

/* All streams that match: from memory, where they are few enough to be held there, else by the index's own search. */
static int match_streams(struct partition_take *t, size_t *n, struct err *err)
{
	struct catalog *c = &t->catalog;

	*n = 0;
	if (c->last_stream > CATALOG_MAX_STREAMS) {
		if (partition_reader_sql(&t->r, err) == -1 ||
		    partition_match_streams(t->r.sql, t->m, t->n_matchers, note_stream, t, err) == -1)
			return -1;
		*n = t->ids.n;
		return 0;
	}
	if (catalog_load_streams(c, err) == -1)
		return -1;
	t->labels = arena_array(&t->scratch, struct slice, (size_t)c->last_stream + 1);
	for (int64_t id = 0; id <= c->last_stream; id++) {
		struct slice encoded = catalog_stream(c, id);
		bool matches = encoded.p != NULL && labels_match(encoded, t->m, t->n_matchers);

		t->labels[id] = matches ? encoded : (struct slice){ NULL, 0 };
		*n += matches;
	}
	return 0;
}

/* The labels of a stream that match_streams found; p NULL: it did not. */
static struct slice matched_stream(const struct partition_take *t, int64_t id)
{
	const struct slice *found;

	if (t->labels != NULL)
		return id >= 0 && id <= t->catalog.last_stream ? t->labels[id] : (struct slice){ NULL, 0 };
	found = map_get(&t->ids, slice_of(&id, sizeof(id)));
	return found != NULL ? *found : (struct slice){ NULL, 0 };
}

/* The encoded labels of one stream if it matches, else p NULL: trace lookups know chunks, not streams. */
static int match_id(struct partition_take *t, int64_t id, struct slice *out, struct err *err)
{
	bool is_new;
	void **slot = map_put(&t->ids, id_key(t, id), &is_new);

	if (is_new) {
		struct slice *copy = arena_zalloc(&t->scratch, sizeof(*copy));
		sqlite3_stmt *st;

		*slot = copy;
		if (partition_reader_sql(&t->r, err) == -1 ||
		    (st = sql_prepare(t->r.sql, SQL_STREAM_LABELS, err)) == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, id);
		int rc = sql_step(t->r.sql, st, err);
		if (rc == -1)
			return -1;
		if (rc == 1 && labels_match(sql_blob(st, 0), t->m, t->n_matchers))
			*copy = arena_dup(&t->scratch, sql_blob(st, 0));
		sqlite3_reset(st);
	}
	*out = *(const struct slice *)*slot;
	return 0;
}

static bool meets_window(const struct timerange *w, size_t n, int64_t first, int64_t last)
{
	for (size_t i = 0; i < n; i++)
		if (timerange_meets(w[i], first, last))
			return true;
	return n == 0;
}

/* A chunk that meets the range and whose stream matches. seg is borrowed; NULL: its file is lost. */
static void add_chunk(struct partition_take *t, const struct chunk_row *row, struct slice encoded,
		      struct segment *seg)
{
	struct snapshot *snap = t->snap;
	const struct erase_set *erase;

	if (is_erased(snap, encoded, row->info.first_ts, row->info.last_ts, &erase))
		return;
	if (!t->want_units) {
		stream_number(snap, encoded);
		return;
	}
	if (seg == NULL) {
		snap->stats.chunks_missing++;
		return;
	}
	vec_push(&snap->segments, segment_ref(seg));
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
}

/* The rows of segment i that may meet the range: the first *n of them, which ascend by their first times. */
static const struct chunk_row *rows_before(const struct partition_take *t, size_t i, int64_t end, size_t *n)
{
	const struct chunk_row *row = catalog_rows(&t->catalog, i, n);
	size_t lo = 0, hi = *n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (row[mid].info.first_ts < end)
			lo = mid + 1;
		else
			hi = mid;
	}
	*n = lo;
	return row;
}

static int open_catalog(struct partition_take *t, struct timerange range, struct err *err)
{
	if (catalog_open(&t->r, range, &t->catalog, err) == -1)
		return -1;
	t->snap->stats.chunks_missing += t->catalog.n_damaged;
	if (t->catalog.n_damaged > 0)
		atomic_store(&t->p->index_damaged, true);
	return 0;
}

static void take_segment(struct partition_take *t, size_t i)
{
	const struct timerange range = t->snap->hint.range;
	struct segment *seg = NULL;
	bool tried = !t->want_units;
	size_t n;
	const struct chunk_row *row = rows_before(t, i, range.end, &n);

	for (size_t k = 0; k < n; k++) {
		struct slice encoded = matched_stream(t, row[k].stream);

		if (encoded.p == NULL)
			continue;
		if (row[k].info.last_ts < range.start) {
			t->snap->stats.chunks_skipped_by_time++;
			continue;
		}
		t->snap->stats.chunks_considered++;
		if (!tried)
			seg = partition_segment(t->p, t->catalog.segment[i].id);
		tried = true;
		add_chunk(t, &row[k], encoded, seg);
	}
	segment_unref(seg);
}

static int take_streams(struct partition_take *t, struct err *err)
{
	size_t n;

	if (open_catalog(t, t->snap->hint.range, err) == -1 || match_streams(t, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < t->catalog.n_segments && n > 0; i++)
		take_segment(t, i);
	return 0;
}

/* ---- by trace ids --------------------------------------------------------------------------------------------- */

/* Asked one by one, filters cost a read each; from so many on the whole segment's are read at once, and kept. */
enum { MANY_FILTERS = 16 };

static bool in_windows(const struct partition_take *t, const struct chunk_row *row)
{
	return timerange_meets(t->snap->hint.range, row->info.first_ts, row->info.last_ts) &&
	       meets_window(t->window, t->n_windows, row->info.first_ts, row->info.last_ts);
}

static bool filter_says_perhaps(const struct partition_take *t, struct segment *seg,
				struct cache_item *filters, const struct chunk_row *row)
{
	const struct scan_hint *h = &t->snap->hint;

	if (filters != NULL)
		return segment_filter_asks(catalog_filter(filters, row), h->groups, h->n_groups);
	return segment_filter_may_hold(seg, row->filter_off, row->filter_bytes, row->filter_sum, h->groups,
				       h->n_groups);
}

/* Times first, then filters, and only what is left is asked for its labels: a trace lives in few chunks. */
static int take_segment_by_trace(struct partition_take *t, size_t i, struct timerange hull, struct err *err)
{
	struct snap_stats *st = &t->snap->stats;
	size_t n, n_candidates = 0;
	const struct chunk_row *row = rows_before(t, i, hull.end, &n);
	struct cache_item *filters = NULL;
	int rc = 0;

	for (size_t k = 0; k < n; k++)
		n_candidates += row[k].info.last_ts >= hull.start && in_windows(t, &row[k]);
	if (n_candidates == 0)
		return 0;
	struct segment *seg = partition_segment(t->p, t->catalog.segment[i].id);
	if (seg != NULL)
		filters = catalog_filters(&t->catalog, i, seg, n_candidates >= MANY_FILTERS);
	for (size_t k = 0; k < n && rc == 0; k++) {
		struct slice encoded;

		if (row[k].info.last_ts < hull.start)
			continue;
		st->chunks_considered++;
		if (!in_windows(t, &row[k])) {
			st->chunks_skipped_by_trace++;
			continue;
		}
		if (seg != NULL && !filter_says_perhaps(t, seg, filters, &row[k])) {
			st->chunks_skipped_by_filter++;
			continue;
		}
		rc = match_id(t, row[k].stream, &encoded, err);
		if (rc == 0 && encoded.p != NULL)
			add_chunk(t, &row[k], encoded, seg);
	}
	cache_release(filters);
	segment_unref(seg);
	return rc;
}

static int take_traces(struct partition_take *t, struct err *err)
{
	struct timerange *w;
	size_t n;
	int rc = 0;

	if (partition_reader_sql(&t->r, err) == -1 ||
	    partition_trace_windows(&t->r, t->snap->hint.groups, t->snap->hint.n_groups, &w, &n, err) == -1)
		return -1;
	struct timerange *kept = arena_array(&t->snap->arena, struct timerange, n);
	size_t n_kept = 0;
	for (size_t i = 0; i < n; i++)
		if (w[i].start < t->snap->hint.range.end && w[i].end > t->snap->hint.range.start)
			kept[n_kept++] = w[i];
	free(w);
	t->window = kept;
	t->n_windows = n_kept;
	if (n_kept == 0)
		return 0;
	const struct timerange hull = { kept[0].start, kept[n_kept - 1].end };
	if (open_catalog(t, hull, err) == -1)
		return -1;
	for (size_t i = 0; i < t->catalog.n_segments && rc == 0; i++)
		rc = take_segment_by_trace(t, i, hull, err);
	return rc;
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
	if (t.by_trace && !partition_may_hold(p, snap->hint.groups, snap->hint.n_groups)) {
		snap->stats.days_skipped_by_trace++;
		return 0;
	}
	if (partition_read_begin(p, &t.r, err) == -1)
		return 0; /* dropped meanwhile */
	arena_init(&t.scratch);
	int rc = t.by_trace ? take_traces(&t, err) : take_streams(&t, err);
	if (t.catalog.r != NULL)
		catalog_close(&t.catalog);
	partition_read_end(&t.r);
	if (rc == -1)
		rc = note_index_damage(snap, p, err);
	map_fini(&t.ids);
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

/* What is read of them is held by its parts. */
static void release_heads(struct snapshot *snap)
{
	for (size_t i = 0; i < ARRAY_LEN(snap->heads); i++) {
		head_unref(snap->heads[i]);
		snap->heads[i] = NULL;
	}
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
	release_heads(snap);
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
	for (size_t i = 0; i < snap->parts.n; i++)
		head_part_unref(snap->parts.v[i]);
	vec_fini(&snap->parts);
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

bool snapshot_unit_name(const struct snapshot *snap, const struct snap_unit *u, struct buf *out)
{
	for (size_t i = 0; i < u->n_sources; i++) {
		const struct source *s = &snap->sources.v[snap->unit_sources.v[u->first_source + i]];

		if (s->segment == NULL || s->erase != NULL)
			return false;
		buf_u64le(out, segment_file_id(s->segment));
		buf_u64le(out, s->off);
	}
	return true;
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
