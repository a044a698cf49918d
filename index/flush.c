/* A frozen head becomes segments: one for each tenant and day, published one partition at a time together with the WAL
 * position it covers. What a partition already covers is skipped, so an attempt that failed half-way is simply repeated. */
#include "index/sorted.h"
#include "index/store_internal.h"
#include "base/clock.h"
#include "base/log.h"

struct flush_stream {
	const struct head_stream *stream;
	struct sorted sorted;
	size_t next; /* first entry of the day at hand */
};

struct flush {
	struct store *s;
	struct head *h;
	const struct head_tenant *tenant;
	struct flush_stream *streams;
	size_t n_streams;
	VEC(uint64_t) tokens;
	VEC(struct trace_pair) pairs;
	VEC(struct chunk_entry) chunk;
	uint64_t raw_bytes;
};

static void gather_stream(struct flush *f, struct flush_stream *fs, const struct head_stream *st)
{
	uint64_t order = 0, duplicates = 0;

	fs->stream = st;
	vec_reserve(&fs->sorted.entries, st->n_entries);
	for (const struct head_run *r = st->first; r != NULL; r = r->next) {
		for (uint32_t i = 0; i < r->n; i++) {
			struct sorted_entry *e = vec_add(&fs->sorted.entries);

			e->e = (struct chunk_entry){ r->ts[i], r->line[i], r->metas[r->meta[i]] };
			e->order = order++;
			e->tokens = r->tokens[i];
		}
	}
	sorted_finish(&fs->sorted, &duplicates);
	metric_add(f->s->m.duplicates, duplicates);
}

static int write_chunk(struct flush *f, struct segment_writer *w, uint32_t stream, struct err *err)
{
	int rc = segment_writer_chunk(w, stream, f->chunk.v, f->chunk.n, 1, f->tokens.v, f->tokens.n, err);

	f->chunk.n = f->tokens.n = 0;
	return rc;
}

/* Of this day or before: by day number, since the last day of int64 time has no end that could be compared with. */
static bool in_day(const struct partition *p, int64_t ts)
{
	return clock_day_of(ts) <= p->day;
}

/* The entries of one stream on one day, cut into chunks; never between equal timestamps. */
static int write_stream(struct flush *f, struct segment_writer *w, struct flush_stream *fs,
			const struct partition *p, struct err *err)
{
	struct sorted_entry *v = fs->sorted.entries.v;
	uint64_t bytes = 0;
	uint32_t number = 0;
	bool begun = false;

	for (; fs->next < fs->sorted.entries.n && in_day(p, v[fs->next].e.ts); fs->next++) {
		const struct sorted_entry *e = &v[fs->next];

		if (!begun) {
			number = segment_writer_stream(w, fs->stream->encoded);
			begun = true;
		}
		bool full = bytes >= f->s->o.max_chunk_bytes || f->chunk.n >= f->s->o.max_chunk_entries;
		if (full && e->e.ts != f->chunk.v[f->chunk.n - 1].ts) {
			if (write_chunk(f, w, number, err) == -1)
				return -1;
			bytes = 0;
		}
		vec_push(&f->chunk, e->e);
		bytes += e->e.line.n + e->e.meta.n;
		f->raw_bytes += e->e.line.n + e->e.meta.n;
		for (uint32_t k = 0; e->tokens != NULL && k < e->tokens->n; k++) {
			vec_push(&f->tokens, e->tokens->v[k]);
			vec_push(&f->pairs, ((struct trace_pair){ trace_bucket(e->e.ts, p->bucket_ns),
								  e->tokens->v[k] }));
		}
	}
	return f->chunk.n > 0 ? write_chunk(f, w, number, err) : 0;
}

static int write_day(struct flush *f, struct partition *p, struct err *err)
{
	struct segment_writer *w = NULL;
	struct publish pub = { .wal_pos = f->h->wal_last };
	uint64_t id;
	int rc = -1;
	bool keep_file = false;

	f->pairs.n = 0;
	if (partition_next_segment(p, &id, err) == -1 || segment_writer_open(p->dir, id, &w, err) == -1)
		goto out;
	for (size_t i = 0; i < f->n_streams; i++)
		if (write_stream(f, w, &f->streams[i], p, err) == -1)
			goto out;
	/* Older files' entries are in this partition already: its segments keep their order of writing. */
	uint64_t wal_first = MAX(f->h->wal_first, atomic_load(&p->wal_pos) + 1);
	if (segment_writer_finish(w, wal_first, f->h->wal_last, 0, trace_keys_fingerprint(f->s->o.keys), NULL,
				  0, &pub.summary, err) == -1)
		goto out;
	trace_pairs_unique(f->pairs.v, &f->pairs.n);
	pub.segment = w;
	pub.streams = segment_writer_streams(w);
	pub.pairs = f->pairs.v;
	pub.n_pairs = f->pairs.n;
	rc = partition_publish(p, &pub, err);
	keep_file = rc == 0 || pub.in_doubt;
	if (rc == -1)
		goto out;
	metric_add(f->s->m.flushed_bytes, pub.summary.size);
	metric_add(f->s->m.flushed_raw, pub.summary.raw_bytes);
out:
	segment_writer_close(w, keep_file);
	return rc;
}

/* The earliest timestamp not yet written, over all streams. */
static bool next_ts(const struct flush *f, int64_t *ts)
{
	bool any = false;

	for (size_t i = 0; i < f->n_streams; i++) {
		const struct flush_stream *fs = &f->streams[i];

		if (fs->next < fs->sorted.entries.n) {
			int64_t t = fs->sorted.entries.v[fs->next].e.ts;

			*ts = any ? MIN(*ts, t) : t;
			any = true;
		}
	}
	return any;
}

static void skip_day(struct flush *f, const struct partition *p)
{
	for (size_t i = 0; i < f->n_streams; i++) {
		struct flush_stream *fs = &f->streams[i];

		while (fs->next < fs->sorted.entries.n && in_day(p, fs->sorted.entries.v[fs->next].e.ts))
			fs->next++;
	}
}

static int flush_day(struct flush *f, int64_t day, struct err *err)
{
	struct partition *p = store_partition(f->s, f->tenant->id, day, true, err);
	int rc = 0;

	if (p == NULL)
		return -1;
	if (atomic_load(&p->index_damaged) && partition_mend(p, err) == -1) {
		partition_unref(p);
		return -1;
	}
	pthread_mutex_lock(&p->write_lock);
	if (atomic_load(&p->wal_pos) >= f->h->wal_last || atomic_load(&p->dropped))
		skip_day(f, p); /* an earlier attempt got this far; or retention took the day */
	else
		rc = write_day(f, p, err);
	pthread_mutex_unlock(&p->write_lock);
	if (rc == -1 && err->code == ERR_CORRUPT) {
		/* Nobody can write to such an index; the next attempt finds a new one. */
		atomic_store(&p->index_damaged, true);
		metric_add(f->s->m.corrupt, 1);
	}
	partition_unref(p);
	return rc;
}

static int flush_tenant(struct flush *f, const struct head_tenant *t, struct err *err)
{
	int64_t ts;
	int rc = 0;

	f->tenant = t;
	f->n_streams = t->streams.n;
	f->streams = xcalloc(f->n_streams, sizeof(*f->streams));
	for (size_t i = 0; i < f->n_streams; i++)
		gather_stream(f, &f->streams[i], t->streams.v[i]);
	while (rc == 0 && next_ts(f, &ts))
		rc = flush_day(f, clock_day_of(ts), err);
	for (size_t i = 0; i < f->n_streams; i++)
		sorted_fini(&f->streams[i].sorted);
	free(f->streams);
	return rc;
}

int flush_head(struct store *s, struct head *h, struct err *err)
{
	struct flush f = { .s = s, .h = h };
	int64_t began = clock_mono_ns();
	struct slice id;
	void *value;
	int rc = 0;

	/* A frozen head does not change any more, so it is read without its lock. */
	for (size_t i = 0; rc == 0 && map_next(&h->tenants, &i, &id, &value);)
		rc = flush_tenant(&f, value, err);
	vec_fini(&f.tokens);
	vec_fini(&f.pairs);
	vec_fini(&f.chunk);
	if (rc == 0) {
		double seconds = (double)(clock_mono_ns() - began) / 1e9;

		metric_add(s->m.flushes, 1);
		metric_observe(s->m.flush_seconds, seconds);
		log_info("flushed head", KVI("wal", h->wal_last), KVI("entries", h->n_entries),
			 KVI("bytes", f.raw_bytes), KVI("streams", h->n_streams), KVF("seconds", seconds));
	}
	return rc;
}
