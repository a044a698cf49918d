#include "tests/unit/fake_store.h"

#include <assert.h>

struct snapshot {
	struct arena arena;
	struct fake_store *store;
	struct scan_hint hint;
	VEC(struct snap_stream) streams;
	VEC(struct snap_unit) units;
	VEC(struct fake_entry) entries; /* of all streams, sorted within each */
	struct snap_stats stats;
};

struct reader {
	struct snapshot *snap;
	const struct snap_unit *unit;
	size_t from, to; /* entries not yet read */
	struct read_stats stats;
	VEC(int64_t) ts;
	VEC(struct slice) line;
	VEC(uint32_t) meta;
	VEC(struct slice) metas;
};

void fake_store_init(struct fake_store *f)
{
	*f = (struct fake_store){ .unit_entries = 7, .block_entries = 3 };
}

void fake_store_fini(struct fake_store *f)
{
	for (size_t i = 0; i < f->streams.n; i++)
		vec_fini(&f->streams.v[i].entries);
	vec_fini(&f->streams);
	arena_fini(&f->arena);
}

static struct labels parse(struct fake_store *f, const char *text)
{
	struct labels l;
	struct err err;
	int rc = labels_parse(arena_dup(&f->arena, slice_cstr(text)), &f->arena, &l, &err);

	assert(rc == 0);
	return l;
}

static struct fake_stream *stream_of(struct fake_store *f, struct labels l)
{
	size_t i = 0;

	while (i < f->streams.n && labels_cmp(f->streams.v[i].labels, l) < 0)
		i++;
	if (i < f->streams.n && labels_eq(f->streams.v[i].labels, l))
		return &f->streams.v[i];
	vec_add(&f->streams);
	for (size_t k = f->streams.n - 1; k > i; k--)
		f->streams.v[k] = f->streams.v[k - 1];
	memset(&f->streams.v[i], 0, sizeof(f->streams.v[i]));
	f->streams.v[i].labels = l;
	return &f->streams.v[i];
}

void fake_store_add(struct fake_store *f, const char *labels, int64_t ts, const char *line, const char *meta)
{
	struct fake_stream *st = stream_of(f, parse(f, labels));
	struct fake_entry *e = vec_add(&st->entries);
	struct buf b;

	buf_init(&b);
	labels_encode(&b, meta != NULL ? parse(f, meta) : (struct labels){ NULL, 0 });
	*e = (struct fake_entry){ ts, arena_dup(&f->arena, slice_cstr(line)),
				  arena_dup(&f->arena, buf_slice(&b)) };
	buf_fini(&b);
}

static bool matches(struct labels l, const struct matcher *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice v = labels_get(l, m[i].name);

		if (!matcher_matches(&m[i], v.p != NULL ? v : SLICE("")))
			return false;
	}
	return true;
}

/* Sorts what lies in the range stably, and cuts it into units that do not split a time. */
static void add_stream(struct snapshot *snap, const struct fake_stream *st, size_t index)
{
	size_t first = snap->entries.n;

	for (size_t i = 0; i < st->entries.n; i++) {
		struct fake_entry e = st->entries.v[i];
		size_t k = snap->entries.n;

		if (!timerange_has(snap->hint.range, e.ts))
			continue;
		vec_push(&snap->entries, e);
		for (; k > first && snap->entries.v[k - 1].ts > e.ts; k--)
			snap->entries.v[k] = snap->entries.v[k - 1];
		snap->entries.v[k] = e;
	}
	for (size_t i = first, j; i < snap->entries.n; i = j) {
		const struct fake_entry *e = snap->entries.v;
		struct snap_unit *u = vec_add(&snap->units);

		j = MIN(i + snap->store->unit_entries, snap->entries.n);
		while (j < snap->entries.n && e[j].ts == e[j - 1].ts)
			j++;
		u->first_source = i;
		u->n_sources = j - i;
		u->n_entries = j - i;
		for (size_t k = i; k < j; k++)
			u->raw_bytes += e[k].line.n + e[k].meta.n;
		u->exact_count = snap->store->exact_count;
		u->range = (struct timerange){ e[i].ts, e[j - 1].ts + 1 };
		u->stream = (const struct snap_stream *)(uintptr_t)index;
	}
}

static int newest_first(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	return x->range.end > y->range.end ? -1 : x->range.end < y->range.end;
}

static int oldest_first(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

int snapshot_take(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		  const struct scan_hint *hint, bool want_units, struct snapshot **out, struct err *err)
{
	struct fake_store *f = (struct fake_store *)s;
	struct snapshot *snap = xcalloc(1, sizeof(*snap));

	(void)tenant;
	(void)err;
	snap->store = f;
	snap->hint = *hint;
	for (size_t i = 0; i < f->streams.n; i++) {
		if (!matches(f->streams.v[i].labels, m, n_matchers))
			continue;
		struct snap_stream *st = vec_add(&snap->streams);
		st->labels = f->streams.v[i].labels;
		st->index = snap->streams.n - 1;
		if (want_units)
			add_stream(snap, &f->streams.v[i], st->index);
	}
	for (size_t i = 0; i < snap->units.n; i++)
		snap->units.v[i].stream = &snap->streams.v[(uintptr_t)snap->units.v[i].stream];
	if (snap->units.n > 1)
		qsort(snap->units.v, snap->units.n, sizeof(*snap->units.v),
		      hint->backward ? newest_first : oldest_first);
	if (want_units) {
		f->n_groups = hint->n_groups;
		f->n_needles = hint->n_needles;
		f->no_lines = hint->no_lines;
		f->n_tokens = 0;
		for (size_t i = 0; i < hint->n_groups; i++)
			f->n_tokens += hint->groups[i].n;
	}
	*out = snap;
	return 0;
}

int store_sums(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
	       struct timerange range, struct store_sums *out, struct err *err)
{
	struct scan_hint hint = { .range = range };
	struct snapshot *snap;

	if (snapshot_take(s, tenant, m, n_matchers, &hint, true, &snap, err) == -1)
		return -1;
	*out = (struct store_sums){ .streams = snap->streams.n, .chunks = snap->units.n };
	for (size_t i = 0; i < snap->units.n; i++) {
		out->bytes += snap->units.v[i].raw_bytes;
		out->entries += snap->units.v[i].n_entries;
	}
	snapshot_release(snap);
	return 0;
}

void snapshot_release(struct snapshot *snap)
{
	vec_fini(&snap->streams);
	vec_fini(&snap->units);
	vec_fini(&snap->entries);
	free(snap);
}

size_t snapshot_n_streams(const struct snapshot *snap)
{
	return snap->streams.n;
}

const struct snap_stream *snapshot_stream(const struct snapshot *snap, size_t i)
{
	return &snap->streams.v[i];
}

size_t snapshot_n_units(const struct snapshot *snap)
{
	return snap->units.n;
}

const struct snap_unit *snapshot_unit(const struct snapshot *snap, size_t i)
{
	return &snap->units.v[i];
}

/* Nothing of it is kept. */
bool snapshot_unit_name(const struct snapshot *snap, const struct snap_unit *u, struct buf *out)
{
	(void)snap;
	(void)u;
	(void)out;
	return false;
}

const struct snap_stats *snapshot_stats(const struct snapshot *snap)
{
	return &snap->stats;
}

struct reader *reader_new(struct snapshot *snap)
{
	struct reader *r = xcalloc(1, sizeof(*r));

	r->snap = snap;
	return r;
}

void reader_free(struct reader *r)
{
	vec_fini(&r->ts);
	vec_fini(&r->line);
	vec_fini(&r->meta);
	vec_fini(&r->metas);
	free(r);
}

static uint32_t meta_index(struct reader *r, struct slice meta)
{
	for (size_t i = 0; i < r->metas.n; i++)
		if (slice_eq(r->metas.v[i], meta))
			return (uint32_t)i;
	vec_push(&r->metas, meta);
	return (uint32_t)r->metas.n - 1;
}

void reader_start(struct reader *r, const struct snap_unit *u)
{
	const struct fake_entry *e = r->snap->entries.v;

	r->unit = u;
	r->from = u->first_source;
	r->to = u->first_source + u->n_sources;
	while (r->from < r->to && e[r->from].ts < u->range.start)
		r->from++;
	while (r->from < r->to && e[r->to - 1].ts >= u->range.end)
		r->to--;
	r->metas.n = 0;
	if (r->snap->store->share_metas)
		for (size_t i = r->from; i < r->to; i++)
			meta_index(r, e[i].meta);
}

int reader_next(struct reader *r, struct entry_block *b, struct err *err)
{
	size_t n = MIN(r->snap->store->block_entries, r->to - r->from);
	size_t at = r->snap->hint.backward ? r->to - n : r->from;

	(void)err;
	if (n == 0)
		return 0;
	if (r->snap->hint.backward)
		r->to -= n;
	else
		r->from += n;
	r->ts.n = r->line.n = r->meta.n = 0;
	if (!r->snap->store->share_metas)
		r->metas.n = 0;
	for (size_t i = at; i < at + n; i++) {
		struct fake_entry e = r->snap->entries.v[i];

		if (r->snap->hint.no_lines)
			e.line.p = NULL;
		vec_push(&r->ts, e.ts);
		vec_push(&r->line, e.line);
		uint32_t m = meta_index(r, e.meta);
		vec_push(&r->meta, m);
	}
	*b = (struct entry_block){ .n = n,
				   .ts = r->ts.v,
				   .line = r->line.v,
				   .meta = r->meta.v,
				   .metas = r->metas.v,
				   .n_metas = r->metas.n,
				   .metas_key = r->snap->store->share_metas ? 42 : 0 };
	r->stats.blocks_read++;
	r->stats.lines += n;
	r->stats.corrupt_blocks = r->snap->store->corrupt_blocks;
	atomic_fetch_add(&r->snap->store->blocks_read, 1);
	return 1;
}

bool reader_counts(struct reader *r, const struct snap_unit *u, const struct slice *names, size_t n_names,
		   struct unit_counts *out)
{
	(void)r;
	(void)u;
	(void)names;
	(void)n_names;
	(void)out;
	return false;
}

const struct read_stats *reader_stats(const struct reader *r)
{
	return &r->stats;
}

/* ---- this store has no columns ---- */

int reader_rows(struct reader *r, const struct entry_block *b, const uint64_t *entries,
		struct entry_block *out, struct err *err)
{
	(void)r;
	(void)b;
	(void)entries;
	(void)out;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int reader_damaged(struct reader *r, struct err *err)
{
	(void)r;
	(void)err;
	return -1;
}

uint64_t columns_chunk(const struct columns *c)
{
	(void)c;
	return 0;
}

uint32_t columns_n_rows(const struct columns *c)
{
	(void)c;
	return 0;
}

const struct column *columns_get(const struct columns *c, uint32_t column)
{
	(void)c;
	(void)column;
	return NULL;
}

int columns_values(struct columns *c, uint32_t column, struct err *err)
{
	(void)c;
	(void)column;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int columns_data(struct columns *c, uint32_t column, const struct column_data **out, struct err *err)
{
	(void)c;
	(void)column;
	(void)out;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int columns_text(struct columns *c, uint32_t column, uint32_t i, struct buf *out, struct err *err)
{
	(void)c;
	(void)column;
	(void)i;
	(void)out;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int columns_lines(struct columns *c, const uint32_t *rows, size_t n, struct slice *out, struct err *err)
{
	(void)c;
	(void)rows;
	(void)n;
	(void)out;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int columns_lengths(struct columns *c, uint32_t from, uint32_t to, uint32_t *out, struct err *err)
{
	(void)c;
	(void)from;
	(void)to;
	(void)out;
	return err_set(err, ERR_INTERNAL, "no columns");
}

int columns_search(struct columns *c, struct slice needle, uint64_t *rows, bool *exact, struct err *err)
{
	(void)c;
	(void)needle;
	(void)rows;
	(void)exact;
	return err_set(err, ERR_INTERNAL, "no columns");
}
