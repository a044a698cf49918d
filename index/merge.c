/* Merging: neighbouring segments of a partition, each full of small chunks, become one with larger chunks. Entries are
 * merged stream by stream in time order; equal timestamps keep the order in which they were written; duplicates go.
 *
 * A segment's level says how often its bytes were rewritten. Segments of one level are merged when FAN_IN of them stand
 * side by side (or, when the day is quiet, as soon as there are two), so a byte is rewritten at most MAX_LEVEL times.
 *
 * A merge may take minutes. It chooses and publishes under the partition's write lock, but reads and writes without it, so
 * that no flush, and with it no push, waits for it. */
#include "index/merge.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/erase.h"

#include <assert.h>
#include <sys/resource.h>

enum { FAN_IN = 8, MAX_LEVEL = 4 };

/* ---- one stream: a k-way merge over chunks -------------------------------------------------------------------- */

struct merge_source { /* the chunks of one stream in one segment, by time */
	struct segment *segment;
	uint64_t rank; /* order of writing */
	const struct chunk_row *row;
	size_t n_rows, next_row;
	struct chunk_header header;
	bool header_open;
	size_t next_block;
	struct chunk_scratch scratch;
	size_t at; /* next entry of the decoded block */
};

struct merge_out {
	struct store *s;
	const struct merge_set *set;
	struct segment_writer *w;
	struct slice encoded;
	struct eraser eraser;
	struct arena text; /* of the pending chunk */
	VEC(struct chunk_entry) pending;
	uint64_t pending_bytes;
	VEC(uint64_t) tokens;
	struct trace_found found;
	uint64_t raw_bytes, n_entries, n_duplicates, n_bad;
};

/* Makes the source's next entry available; 0 when it is exhausted. */
static int advance(struct merge_source *m, struct merge_out *out, struct err *err)
{
	while (m->at >= m->scratch.n) {
		if (!m->header_open) {
			if (m->next_row == m->n_rows)
				return 0;
			const struct chunk_row *row = &m->row[m->next_row++];

			if (segment_chunk_header(m->segment, row->off, row->info.header_bytes, &m->header,
						 err) == -1) {
				if (err->code != ERR_CORRUPT)
					return -1;
				out->n_bad++;
				continue;
			}
			m->header_open = true;
			m->next_block = 0;
		}
		m->at = 0;
		chunk_scratch_reset(&m->scratch);
		if (m->next_block == m->header.n_blocks) {
			chunk_header_fini(&m->header);
			m->header_open = false;
			continue;
		}
		struct segment_reader_arg arg = { m->segment, m->row[m->next_row - 1].off };
		struct chunk_source src = { segment_read, &arg };
		if (chunk_codec_find(m->header.codec)
			    ->block_read(&m->header, m->next_block++, src, true, &m->scratch, err) == -1) {
			if (err->code != ERR_CORRUPT)
				return -1;
			out->n_bad++;
			m->scratch.n = 0;
		}
	}
	return 1;
}

static int write_pending(struct merge_out *o, struct err *err)
{
	if (o->pending.n == 0)
		return 0;
	int rc = segment_writer_chunk(o->w, segment_writer_stream(o->w, o->encoded), o->pending.v,
				      o->pending.n, 1, o->tokens.v, o->tokens.n, err);

	o->pending.n = o->tokens.n = 0;
	o->pending_bytes = 0;
	arena_reset(&o->text);
	return rc;
}

static bool is_pending(const struct merge_out *o, const struct chunk_entry *e)
{
	for (size_t i = o->pending.n; i-- > 0 && o->pending.v[i].ts == e->ts;)
		if (slice_eq(o->pending.v[i].line, e->line) && slice_eq(o->pending.v[i].meta, e->meta))
			return true;
	return false;
}

static bool leave_out(struct merge_out *o, const struct chunk_entry *e)
{
	ptrdiff_t who = eraser_asks(&o->eraser, e->meta, e->ts, e->line);

	if (who != -1)
		o->set->left_out(o->set->arg, o->eraser.set->v[who], e);
	return who != -1;
}

static int put(struct merge_out *o, const struct chunk_entry *e, struct err *err)
{
	if (o->eraser.set != NULL && leave_out(o, e))
		return 0;
	if (is_pending(o, e)) {
		o->n_duplicates++;
		return 0;
	}
	bool full = o->pending_bytes >= o->s->o.max_chunk_bytes || o->pending.n >= o->s->o.max_chunk_entries;
	if (full && o->pending.v[o->pending.n - 1].ts != e->ts && write_pending(o, err) == -1)
		return -1;
	struct chunk_entry copy = { e->ts, arena_dup(&o->text, e->line), arena_dup(&o->text, e->meta) };
	vec_push(&o->pending, copy);
	o->pending_bytes += e->line.n + e->meta.n;
	o->raw_bytes += e->line.n + e->meta.n;
	o->n_entries++;
	trace_find(o->s->o.keys, e->line, e->meta, o->encoded, &o->found);
	for (size_t i = 0; i < o->found.n_tokens; i++)
		vec_push(&o->tokens, o->found.token[i]);
	return 0;
}

static struct chunk_entry head_of(const struct merge_source *m)
{
	return (struct chunk_entry){ m->scratch.ts[m->at], m->scratch.line[m->at],
				     m->scratch.metas[m->scratch.meta[m->at]] };
}

static int merge_stream(struct merge_out *o, struct merge_source *m, size_t n, struct err *err)
{
	size_t live = 0;

	for (size_t i = 0; i < n; i++) {
		int rc = advance(&m[i], o, err);

		if (rc == -1)
			return -1;
		live += rc == 1;
	}
	while (live > 0) {
		struct merge_source *best = NULL;

		for (size_t i = 0; i < n; i++) {
			struct merge_source *c = &m[i];

			if (c->at < c->scratch.n &&
			    (best == NULL || c->scratch.ts[c->at] < best->scratch.ts[best->at] ||
			     (c->scratch.ts[c->at] == best->scratch.ts[best->at] && c->rank < best->rank)))
				best = c;
		}
		struct chunk_entry e = head_of(best);
		if (put(o, &e, err) == -1)
			return -1;
		best->at++;
		int rc = advance(best, o, err);
		if (rc == -1)
			return -1;
		live -= rc == 0;
	}
	return write_pending(o, err);
}

/* ---- a set of segments ---------------------------------------------------------------------------------------- */

static _Thread_local const uint64_t *sort_ids;
static _Thread_local size_t sort_n;

static size_t rank_of(uint64_t segment)
{
	size_t i = 0;

	while (i < sort_n && sort_ids[i] != segment)
		i++;
	return i;
}

static int cmp_row(const void *a, const void *b)
{
	const struct chunk_row *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	size_t rx = rank_of(x->segment), ry = rank_of(y->segment);
	if (rx != ry)
		return rx < ry ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int load_rows(struct sql *sql, struct merge_set *set, struct err *err)
{
	for (size_t i = 0; i < set->n; i++) {
		sqlite3_stmt *st = sql_prepare(sql, SQL_CHUNK_OF_SEGMENT, err);
		struct chunk_row row;
		int rc;

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, (int64_t)set->ids[i]);
		while ((rc = partition_chunk_row(sql, st, &row, err)) == 1)
			vec_push(&set->rows, row);
		sqlite3_reset(st);
		if (rc != 0)
			return -1;
	}
	sort_ids = set->ids;
	sort_n = set->n;
	if (set->rows.n > 1)
		qsort(set->rows.v, set->rows.n, sizeof(*set->rows.v), cmp_row);
	return 0;
}

static int stream_labels(struct sql *sql, int64_t id, struct arena *a, struct slice *out, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_STREAM_LABELS, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, id);
	int rc = sql_step(sql, st, err);
	if (rc == 1)
		*out = arena_dup(a, sql_blob(st, 0));
	sqlite3_reset(st);
	return rc == 1	 ? 0
	       : rc == 0 ? err_set(err, ERR_CORRUPT, "index %s: a chunk of an unknown stream", sql->path)
			 : -1;
}

static int load_labels(struct sql *sql, struct merge_set *set, struct err *err)
{
	for (size_t i = 0; i < set->rows.n; i++) {
		if (i > 0 && set->rows.v[i].stream == set->rows.v[i - 1].stream)
			continue;
		if (stream_labels(sql, set->rows.v[i].stream, &set->arena, vec_add(&set->labels), err) == -1)
			return -1;
	}
	return 0;
}

static bool still_there(const struct partition *p, uint64_t id)
{
	char path[4096];

	segment_path(path, sizeof(path), p->dir, id);
	return file_exists(path);
}

static int load_replaces(struct merge_set *set, const struct partition *p, struct err *err)
{
	for (size_t i = 0; i < set->n; i++)
		vec_push(&set->replaces, set->ids[i]);
	for (size_t i = 0; i < set->n; i++) {
		struct segment_footer f;
		struct arena a;

		arena_init(&a);
		int rc = segment_read_footer(set->segment[i], &a, &f, err);
		for (size_t k = 0; rc == 0 && k < f.n_replaces; k++)
			if (still_there(p, f.replaces[k]))
				vec_push(&set->replaces, f.replaces[k]);
		arena_fini(&a);
		if (rc == -1)
			return -1;
	}
	return 0;
}

/* All that the index and the folder must say, so that merging needs neither. */
int merge_set_load(struct merge_set *set, struct partition *p, const struct segment_summary *seg, size_t n,
		   struct err *err)
{
	struct sql *sql = partition_writer(p, err);

	set->ids = xmalloc(n * sizeof(*set->ids));
	set->segment = xcalloc(n, sizeof(struct segment *));
	set->n = n;
	set->wal_first = seg[0].wal_first;
	set->wal_last = seg[n - 1].wal_last;
	for (size_t i = 0; i < n; i++) {
		set->ids[i] = seg[i].id;
		set->level = MAX(set->level, seg[i].level);
	}
	if (sql == NULL || load_rows(sql, set, err) == -1 || load_labels(sql, set, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		set->segment[i] = partition_segment(p, set->ids[i]);
		if (set->segment[i] == NULL)
			return err_set(err, ERR_CORRUPT, "segment %llu cannot be read",
				       (unsigned long long)set->ids[i]);
	}
	return load_replaces(set, p, err);
}

void merge_set_fini(struct merge_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		segment_unref(set->segment[i]);
	free(set->segment);
	free(set->ids);
	vec_fini(&set->replaces);
	vec_fini(&set->rows);
	vec_fini(&set->labels);
	arena_fini(&set->arena);
}

static int merge_rows(const struct merge_set *set, struct merge_out *o, struct err *err)
{
	struct merge_source *m = xcalloc(set->n, sizeof(*m));
	const struct chunk_row *rows = set->rows.v;
	size_t n_streams = 0;
	int rc = -1;

	for (size_t i = 0, j; i < set->rows.n; i = j) {
		size_t n = 0;

		if (keep_must_stop(o->s)) {
			err_set(err, ERR_UNAVAILABLE, "stopping");
			goto out;
		}
		o->encoded = set->labels.v[n_streams++];
		eraser_start(&o->eraser,
			     set->leaves_out != NULL ? set->leaves_out(set->arg, o->encoded) : NULL);
		for (j = i; j < set->rows.n && rows[j].stream == rows[i].stream;) {
			size_t k = j;

			while (k < set->rows.n && rows[k].stream == rows[i].stream &&
			       rows[k].segment == rows[j].segment)
				k++;
			m[n] = (struct merge_source){ .segment = set->segment[rank_of(rows[j].segment)],
						      .rank = n,
						      .row = &rows[j],
						      .n_rows = k - j,
						      .scratch = m[n].scratch };
			chunk_scratch_reset(&m[n].scratch);
			n++;
			j = k;
		}
		if (merge_stream(o, m, n, err) == -1)
			goto out;
	}
	rc = 0;
out:
	for (size_t i = 0; i < set->n; i++) {
		if (m[i].header_open)
			chunk_header_fini(&m[i].header);
		chunk_scratch_fini(&m[i].scratch);
	}
	free(m);
	return rc;
}

/* Under the merge lock alone: nobody replaces or removes the segments meanwhile. */
static int write_merged(struct store *s, const struct merge_set *set, struct segment_writer *w,
			struct publish *pub, struct err *err)
{
	struct merge_out o = { .s = s, .set = set, .w = w };
	int rc = -1;

	arena_init(&o.text);
	if (merge_rows(set, &o, err) == -1)
		goto out;
	if (o.n_bad > 0) {
		err_set(err, ERR_CORRUPT, "%llu damaged blocks: the segments stay as they are",
			(unsigned long long)o.n_bad);
		goto out;
	}
	rc = segment_writer_finish(w, set->wal_first, set->wal_last, set->level,
				   trace_keys_fingerprint(s->o.keys), set->replaces.v, set->replaces.n,
				   &pub->summary, err);
	metric_add(s->m.merged_raw, o.raw_bytes);
	metric_add(s->m.duplicates, o.n_duplicates);
out:
	arena_fini(&o.text);
	vec_fini(&o.pending);
	vec_fini(&o.tokens);
	trace_found_fini(&o.found);
	eraser_fini(&o.eraser);
	return rc;
}

static int publish_merged(struct partition *p, struct publish *pub, struct err *err)
{
	int rc = -1;

	pthread_mutex_lock(&p->write_lock);
	if (atomic_load(&p->dropped))
		err_set(err, ERR_NOT_FOUND, "the day was dropped");
	else
		rc = partition_publish(p, pub, err);
	pthread_mutex_unlock(&p->write_lock);
	return rc;
}

static int next_id(struct partition *p, uint64_t *out, struct err *err)
{
	pthread_mutex_lock(&p->write_lock);
	int rc = partition_next_segment(p, out, err);
	pthread_mutex_unlock(&p->write_lock);
	return rc;
}

int merge_set_write(struct store *s, struct partition *p, struct merge_set *set, struct segment_summary *out,
		    struct err *err)
{
	struct segment_writer *w = NULL;
	struct publish pub = { .replaces = set->replaces.v, .n_replaces = set->replaces.n };
	uint64_t id;
	int rc = -1;

	sort_ids = set->ids;
	sort_n = set->n;
	if (next_id(p, &id, err) == -1 || segment_writer_open(p->dir, id, &w, err) == -1)
		return -1;
	if (write_merged(s, set, w, &pub, err) == 0) {
		pub.segment = w;
		pub.streams = segment_writer_streams(w);
		rc = publish_merged(p, &pub, err);
	}
	segment_writer_close(w, rc == 0 || pub.in_doubt);
	if (rc == 0 && out != NULL)
		*out = pub.summary;
	return rc;
}

static int merge_and_tell(struct store *s, struct partition *p, struct merge_set *set, struct err *err)
{
	int64_t began = clock_mono_ns();
	struct segment_summary made;

	set->level++;
	if (merge_set_write(s, p, set, &made, err) == -1)
		return -1;
	metric_add(s->m.merges, 1);
	log_info("merged segments", KV("dir", p->dir), KVI("segments", set->n), KVI("level", set->level),
		 KVI("entries", made.n_entries), KVI("raw", made.raw_bytes), KVI("bytes", made.size),
		 KVF("seconds", (double)(clock_mono_ns() - began) / 1e9));
	return 0;
}

/* Chunks at a quarter of the full size or more are not worth rewriting. A segment that deletes have emptied goes with its
 * neighbours. */
static bool is_full(const struct store *s, const struct segment_summary *g, uint64_t n_chunks)
{
	return n_chunks > 0 && (g->raw_bytes / n_chunks >= s->o.max_chunk_bytes / 4 ||
				g->n_entries / n_chunks >= s->o.max_chunk_entries / 4);
}

/* The first run of neighbours that should be merged: returns its length, 0 for none. */
static size_t choose(const struct store *s, const struct segment_summary *g, const uint64_t *n_chunks,
		     size_t n, bool eager, size_t *from)
{
	for (size_t i = 0; i < n; i++) {
		size_t j = i;

		while (j < n && j - i < FAN_IN && g[j].level == g[i].level && g[j].level < MAX_LEVEL &&
		       !is_full(s, &g[j], n_chunks[j]))
			j++;
		if (j - i == FAN_IN || (eager && j - i >= 2)) {
			*from = i;
			return j - i;
		}
	}
	return 0;
}

/* 1: the set is loaded, 0: nothing to merge. */
static int prepare(struct store *s, struct partition *p, bool eager, struct merge_set *set, struct err *err)
{
	struct segment_summary *g = NULL;
	uint64_t *n_chunks = NULL;
	size_t n = 0, from = 0;
	int rc = -1;

	pthread_mutex_lock(&p->write_lock);
	if (atomic_load(&p->dropped)) {
		rc = 0;
		goto out;
	}
	struct sql *sql = partition_writer(p, err);
	if (sql == NULL || partition_segments(sql, &g, &n_chunks, &n, err) == -1)
		goto out;
	size_t count = choose(s, g, n_chunks, n, eager, &from);
	if (count == 0)
		rc = 0;
	else if (merge_set_load(set, p, g + from, count, err) == 0)
		rc = 1;
out:
	pthread_mutex_unlock(&p->write_lock);
	free(g);
	free(n_chunks);
	return rc;
}

int merge_partition(struct store *s, struct partition *p, bool eager, bool *did, struct err *err)
{
	struct merge_set set = { 0 };

	*did = false;
	if (atomic_load(&p->merge_blocked))
		return 0;
	arena_init(&set.arena);
	pthread_mutex_lock(&p->merge_lock);
	int rc = prepare(s, p, eager, &set, err);
	if (rc == 1) {
		rc = merge_and_tell(s, p, &set, err);
		*did = rc == 0;
	}
	/* Damage does not go away by reading it again; a restart tries once more. */
	if (rc == -1 && err->code == ERR_CORRUPT)
		atomic_store(&p->merge_blocked, true);
	pthread_mutex_unlock(&p->merge_lock);
	merge_set_fini(&set);
	return rc;
}
