#include "index/rewrite.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/erase.h"
#include "index/merge.h"

struct one { /* a segment at work */
	struct rewrite *r;
	struct merge_set set;
	struct rewrite_count *count, expired;
	/* of the chunk being looked through */
	struct eraser eraser;
	bool found;
};

static struct rewrite_count *count_of(struct one *o, const struct tombstone *x)
{
	size_t i = 0;

	while (i + 1 < o->r->n && o->r->v[i] != x)
		i++;
	return &o->count[i];
}

static void add_chunk(struct rewrite_count *c, const struct chunk_info *k)
{
	c->entries += k->n_entries;
	c->bytes += k->raw_bytes;
	c->chunks++;
}

static const struct erase_set *leaves_out(void *arg, struct slice encoded)
{
	struct one *o = arg;

	return erase_set_of(o->r->v, o->r->n, encoded, &o->set.arena);
}

static void left_out(void *arg, const struct tombstone *x, const struct chunk_entry *e)
{
	struct rewrite_count *c = count_of(arg, x);

	c->entries++;
	c->bytes += e->line.n + e->meta.n;
}

/* ---- is there anything to remove? ----------------------------------------------------------------------------- */

static int look_at(void *arg, const struct chunk_entry *e, struct err *err)
{
	struct one *o = arg;

	(void)err;
	o->found = eraser_asks(&o->eraser, e->meta, e->ts, e->line) != -1;
	return o->found ? -1 : 0;
}

/* 1, 0, -1. What cannot be read cannot be called clean. */
static int chunk_holds_some(struct one *o, const struct erase_set *set, const struct chunk_row *row,
			    struct err *err)
{
	uint64_t bad = 0;

	eraser_start(&o->eraser, set);
	o->found = false;
	int rc = segment_each_entry(o->set.segment[0], row->off, row->info.header_bytes, look_at, o, &bad,
				    err);
	if (o->found)
		return 1;
	if (rc == 0 && bad > 0)
		return err_set(err, ERR_CORRUPT, "segment %llu has damaged blocks",
			       (unsigned long long)row->segment);
	return rc;
}

/* The first request that takes the whole chunk, for the counts. */
static struct rewrite_count *taker(struct one *o, const struct erase_set *set, const struct chunk_info *k)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->v[i]->rule->whole && timerange_meets(set->v[i]->range, k->first_ts, k->last_ts))
			return count_of(o, set->v[i]);
	return count_of(o, set->v[0]);
}

/* Goes through the rows of one stream, [i, j): chunks that go as a whole are taken out of the set, unread. *affected: the
 * segment must be written anew. Returns how many rows stay, moved to `kept`, or -1. */
static ptrdiff_t look_at_stream(struct one *o, size_t i, size_t j, size_t kept, struct slice encoded,
				bool *affected, struct err *err)
{
	struct chunk_row *rows = o->set.rows.v;
	bool expired = o->r->expired != NULL && o->r->expired(o->r->arg, encoded);
	const struct erase_set *set = expired ? NULL : leaves_out(o, encoded);
	size_t before = kept;

	for (; i < j; i++) {
		const struct chunk_row *row = &rows[i];
		enum erase_fate fate =
			expired ? ERASE_ALL : erase_fate(set, row->info.first_ts, row->info.last_ts);

		if (fate == ERASE_ALL) {
			add_chunk(expired ? &o->expired : taker(o, set, &row->info), &row->info);
			*affected = true;
			continue;
		}
		if (fate == ERASE_SOME) {
			int rc = chunk_holds_some(o, set, row, err);

			if (rc == -1)
				return -1;
			if (rc == 1) {
				*affected = true;
				for (size_t k = 0; k < set->n; k++)
					count_of(o, set->v[k])->chunks += timerange_meets(
						set->v[k]->range, row->info.first_ts, row->info.last_ts);
			}
		}
		rows[kept++] = *row;
	}
	return (ptrdiff_t)(kept - before);
}

/* 1: the set is what is to be written; 0: the segment may stay. */
static int look_at_all(struct one *o, struct err *err)
{
	size_t kept = 0, n_streams = 0, stream = 0;
	bool affected = false;

	for (size_t i = 0, j; i < o->set.rows.n; i = j) {
		struct slice encoded = o->set.labels.v[stream++];

		if (keep_must_stop(o->r->s))
			return err_set(err, ERR_UNAVAILABLE, "stopping");
		for (j = i; j < o->set.rows.n && o->set.rows.v[j].stream == o->set.rows.v[i].stream; j++)
			;
		ptrdiff_t n = look_at_stream(o, i, j, kept, encoded, &affected, err);
		if (n == -1)
			return -1;
		kept += (size_t)n;
		if (n > 0)
			o->set.labels.v[n_streams++] = encoded;
	}
	o->set.rows.n = kept;
	o->set.labels.n = n_streams;
	return affected;
}

/* ---- one segment ---------------------------------------------------------------------------------------------- */

/* Those of the set from `from` on. The index has forgotten them, durably. Whoever still reads them keeps them open, but their
 * names go now. */
static int remove_files(const struct one *o, size_t from, struct err *err)
{
	const struct partition *p = o->r->p;
	char path[4096];

	if (from >= o->set.replaces.n)
		return 0;
	for (size_t i = from; i < o->set.replaces.n; i++) {
		segment_path(path, sizeof(path), p->dir, o->set.replaces.v[i]);
		if (file_unlink(path, err) == -1)
			return -1;
	}
	return file_sync_dir(p->dir, err);
}

static void take_counts(struct one *o)
{
	struct rewrite *r = o->r;

	for (size_t i = 0; i < r->n; i++) {
		r->count[i].entries += o->count[i].entries;
		r->count[i].bytes += o->count[i].bytes;
		r->count[i].chunks += o->count[i].chunks;
	}
	r->expired_count.entries += o->expired.entries;
	r->expired_count.bytes += o->expired.bytes;
	r->expired_count.chunks += o->expired.chunks;
	r->n_segments++;
}

static int rewrite_segment(struct rewrite *r, const struct segment_summary *g, struct err *err)
{
	struct one o = { .r = r };
	struct segment_summary made;

	arena_init(&o.set.arena);
	o.count = xcalloc(r->n + 1, sizeof(*o.count));
	pthread_mutex_lock(&r->p->write_lock);
	int rc = merge_set_load(&o.set, r->p, g, 1, err);
	pthread_mutex_unlock(&r->p->write_lock);
	if (rc == 0)
		rc = look_at_all(&o, err);
	if (rc == 1) {
		o.set.leaves_out = leaves_out;
		o.set.left_out = left_out;
		o.set.arg = &o;
		rc = merge_set_write(r->s, r->p, &o.set, &made, err);
		if (rc == 0) {
			take_counts(&o);
			log_info("wrote a segment without what was deleted", KV("dir", r->p->dir),
				 KVI("segment", g->id), KVI("entries_before", g->n_entries),
				 KVI("entries", made.n_entries), KVI("bytes", made.size));
			rc = remove_files(&o, 0, err);
		}
	} else if (rc == 0) {
		rc = remove_files(&o, 1, err); /* what an earlier attempt could not remove */
	}
	eraser_fini(&o.eraser);
	merge_set_fini(&o.set);
	free(o.count);
	return rc;
}

static int list_segments(struct partition *p, struct segment_summary **out, size_t *n, struct err *err)
{
	uint64_t *n_chunks = NULL;
	int rc = 0;

	pthread_mutex_lock(&p->write_lock);
	*n = 0;
	if (!atomic_load(&p->dropped)) {
		struct sql *sql = partition_writer(p, err);

		rc = sql == NULL ? -1 : partition_segments(sql, out, &n_chunks, n, err);
	}
	pthread_mutex_unlock(&p->write_lock);
	free(n_chunks);
	return rc;
}

int rewrite_partition(struct rewrite *r, struct err *err)
{
	struct segment_summary *g = NULL;
	struct err first = { 0 };
	size_t n;

	pthread_mutex_lock(&r->p->merge_lock);
	int rc = list_segments(r->p, &g, &n, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (rewrite_segment(r, &g[i], err) == 0)
			continue;
		if (err->code == ERR_CORRUPT && first.code == ERR_NONE)
			first = *err; /* the others can still be done */
		else if (err->code != ERR_CORRUPT)
			rc = -1;
	}
	pthread_mutex_unlock(&r->p->merge_lock);
	free(g);
	if (rc == 0 && first.code != ERR_NONE) {
		*err = first;
		rc = -1;
	}
	return rc;
}
