/* A frozen head becomes segments. What is left of it is sealed, then its chunks are written as they are: one segment for each
 * tenant and day, published one partition at a time together with the WAL position it covers. What a partition already covers
 * is skipped, so an attempt that failed half-way is simply repeated. */
#include "index/seal.h"
#include "index/store_internal.h"
#include "base/clock.h"
#include "base/log.h"

struct day_part {
	int64_t day;
	size_t number; /* in the order in which it stands in the head */
	const struct head_part *part;
};

struct day_bucket { /* tokens of one part in one time bucket */
	int64_t bucket;
	const uint64_t *tokens;
	uint32_t n;
};

struct flush {
	struct store *s;
	struct head *h;
	const struct head_tenant *tenant;
	VEC(struct day_part) parts; /* of the tenant; by day, then as they stand in the head */
	VEC(struct day_bucket) buckets;
	VEC(struct trace_pair) pairs;
	uint64_t raw_bytes;
};

/* ---- the trace index's share ----------------------------------------------------------------------------------- */

static int cmp_bucket(const void *a, const void *b)
{
	int64_t x = ((const struct day_bucket *)a)->bucket, y = ((const struct day_bucket *)b)->bucket;

	return x < y ? -1 : x > y;
}

/* A partition may have been begun with buckets of another width than the parts were sealed with: then each of its buckets
 * that the part's bucket meets gets the tokens. They may name too much. */
static void add_bucket(struct flush *f, const struct partition *p, int64_t bucket, const uint64_t *tokens,
		       uint32_t n)
{
	int64_t width = f->s->o.trace_bucket_ns, first = bucket, last = bucket;

	if (p->bucket_ns != width) {
		int64_t start = 0, end = 0;

		if (__builtin_mul_overflow(bucket, width, &start))
			start = INT64_MIN;
		if (__builtin_add_overflow(start, width - 1, &end))
			end = INT64_MAX;
		start = MAX(start, partition_range(p).start);
		end = MIN(end, partition_range(p).end);
		first = trace_bucket(start, p->bucket_ns);
		last = trace_bucket(end, p->bucket_ns);
	}
	for (int64_t b = first; b <= last; b++)
		vec_push(&f->buckets, ((struct day_bucket){ b, tokens, n }));
}

static int cmp_pair(const void *a, const void *b)
{
	uint64_t x = ((const struct trace_pair *)a)->token, y = ((const struct trace_pair *)b)->token;

	return x < y ? -1 : x > y;
}

/* Pairs of all the parts, sorted, each once. */
static void gather_pairs(struct flush *f, const struct partition *p, const struct day_part *v, size_t n)
{
	f->pairs.n = f->buckets.n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct head_sealed *c = v[i].part->sealed;
		const uint64_t *tokens = c->tokens;

		for (size_t k = 0; k < c->n_buckets; tokens += c->buckets[k++].n)
			add_bucket(f, p, c->buckets[k].bucket, tokens, c->buckets[k].n);
	}
	if (f->buckets.n > 1)
		qsort(f->buckets.v, f->buckets.n, sizeof(*f->buckets.v), cmp_bucket);
	for (size_t i = 0, j; i < f->buckets.n; i = j) {
		size_t from = f->pairs.n, unique = from;

		for (j = i; j < f->buckets.n && f->buckets.v[j].bucket == f->buckets.v[i].bucket; j++)
			for (uint32_t k = 0; k < f->buckets.v[j].n; k++)
				vec_push(&f->pairs, ((struct trace_pair){ f->buckets.v[j].bucket,
									  f->buckets.v[j].tokens[k] }));
		qsort(f->pairs.v + from, f->pairs.n - from, sizeof(*f->pairs.v), cmp_pair);
		for (size_t k = from; k < f->pairs.n; k++)
			if (k == from || f->pairs.v[k].token != f->pairs.v[unique - 1].token)
				f->pairs.v[unique++] = f->pairs.v[k];
		f->pairs.n = unique;
	}
}

/* ---- segments -------------------------------------------------------------------------------------------------- */

static int write_parts(struct flush *f, struct segment_writer *w, const struct day_part *v, size_t n,
		       struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct head_sealed *c = v[i].part->sealed;
		struct segment_piece piece = { c->info, HEAD_SEED, c->chunk, c->filter, c->counts };

		if (segment_writer_place(w, segment_writer_stream(w, v[i].part->stream->encoded), &piece,
					 err) == -1)
			return -1;
		f->raw_bytes += c->info.raw_bytes;
	}
	return 0;
}

static int write_day(struct flush *f, struct partition *p, const struct day_part *v, size_t n,
		     struct err *err)
{
	struct segment_writer *w = NULL;
	struct publish pub = { .wal_pos = f->h->wal_last };
	uint64_t id;
	int rc = -1;
	bool keep_file = false;

	if (partition_next_segment(p, &id, err) == -1 || segment_writer_open(p->dir, id, &w, err) == -1 ||
	    write_parts(f, w, v, n, err) == -1)
		goto out;
	/* Older files' entries are in this partition already: its segments keep their order of writing. */
	uint64_t wal_first = MAX(f->h->wal_first, atomic_load(&p->wal_pos) + 1);
	if (segment_writer_finish(w, wal_first, f->h->wal_last, 0, trace_keys_fingerprint(f->s->o.keys), NULL,
				  0, &pub.summary, err) == -1)
		goto out;
	gather_pairs(f, p, v, n);
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

/* All of one day. */
static int flush_day(struct flush *f, const struct day_part *v, size_t n, struct err *err)
{
	struct partition *p = store_partition(f->s, f->tenant->id, v->day, true, err);
	int rc = 0;

	if (p == NULL)
		return -1;
	if (atomic_load(&p->index_damaged) && partition_mend(p, err) == -1) {
		partition_unref(p);
		return -1;
	}
	pthread_mutex_lock(&p->write_lock);
	/* Not if an earlier attempt got this far, or retention took the day. */
	if (atomic_load(&p->wal_pos) < f->h->wal_last && !atomic_load(&p->dropped))
		rc = write_day(f, p, v, n, err);
	pthread_mutex_unlock(&p->write_lock);
	if (rc == -1 && err->code == ERR_CORRUPT) {
		/* Nobody can write to such an index; the next attempt finds a new one. */
		atomic_store(&p->index_damaged, true);
		metric_add(f->s->m.corrupt, 1);
	}
	partition_unref(p);
	return rc;
}

static int cmp_day(const void *a, const void *b)
{
	const struct day_part *x = a, *y = b;

	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int flush_tenant(struct flush *f, const struct head_tenant *t, struct err *err)
{
	int rc = 0;

	f->tenant = t;
	f->parts.n = 0;
	for (size_t i = 0; i < t->streams.n; i++) {
		const struct head_stream *st = t->streams.v[i];

		for (size_t k = 0; k < st->parts.n; k++)
			vec_push(&f->parts, ((struct day_part){ clock_day_of(st->parts.v[k]->max_ts),
								f->parts.n, st->parts.v[k] }));
	}
	if (f->parts.n > 1)
		qsort(f->parts.v, f->parts.n, sizeof(*f->parts.v), cmp_day);
	for (size_t i = 0, j; i < f->parts.n && rc == 0; i = j) {
		for (j = i; j < f->parts.n && f->parts.v[j].day == f->parts.v[i].day; j++)
			;
		rc = flush_day(f, f->parts.v + i, j - i, err);
	}
	return rc;
}

static void seal_rest(struct store *s, struct head *h)
{
	struct sealer x = { .bucket_ns = s->o.trace_bucket_ns, .account = s->encode_memory };

	head_seal_all(h, &x);
	metric_add(s->m.duplicates, x.n_duplicates);
	sealer_fini(&x);
}

int flush_head(struct store *s, struct head *h, struct err *err)
{
	struct flush f = { .s = s, .h = h };
	int64_t began = clock_mono_ns();
	struct slice id;
	void *value;
	int rc = 0;

	seal_rest(s, h);
	/* It does not change any more, so it is read without its lock. */
	for (size_t i = 0; rc == 0 && map_next(&h->tenants, &i, &id, &value);)
		rc = flush_tenant(&f, value, err);
	vec_fini(&f.parts);
	vec_fini(&f.buckets);
	vec_fini(&f.pairs);
	if (rc == 0) {
		double seconds = (double)(clock_mono_ns() - began) / 1e9;

		metric_add(s->m.flushes, 1);
		metric_observe(s->m.flush_seconds, seconds);
		log_info("flushed head", KVI("wal", h->wal_last), KVI("entries", h->n_entries),
			 KVI("bytes", f.raw_bytes), KVI("streams", h->n_streams), KVF("seconds", seconds));
	}
	return rc;
}
