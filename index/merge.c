/* Merging: neighbouring segments of a partition become one with larger chunks, stream by stream in time order; equal
 * timestamps keep the order in which they were written; duplicates go.
 *
 * A chunk that is large enough and overlaps no other is copied as it stands, with its filter and its counts. Only small and
 * overlapping ones are decoded and encoded anew, with more effort than at the first time.
 *
 * A segment's level says how often its bytes were rewritten. Segments of one level are merged when FAN_IN of them that hold
 * many small chunks stand side by side (or, when the day is quiet, as soon as there are two), and none above MAX_LEVEL is, so a
 * byte is rewritten at most MAX_LEVEL times; since each step makes chunks FAN_IN times as large, most bytes are rewritten only
 * until their stream's chunks are full, if at all.
 *
 * A merge may take minutes. It chooses and publishes under the partition's write lock, but reads and writes without it, so
 * that no flush, and with it no push, waits for it. */
#include "index/merge.h"
#include "base/account.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "index/erase.h"

#include <assert.h>
#include <sys/resource.h>

enum {
	FAN_IN = 8,
	MAX_LEVEL = 4,
	EFFORT = 4,
	LARGE = 2, /* a chunk of at least one part in so many of the full size is copied */
	SMALL = 4, /* what is below this share is put together with its neighbour, whatever that is */
	SMALL_COSTS = 512 << 10, /* copying so many bytes is worth one small chunk less */
	QUIET_COSTS = 4 << 20,	 /* the same when there is nothing else to do */
	FEW = 16,		 /* so many entries of one timestamp are compared one by one */
	OUT_OF_SCALE = 8,	 /* a segment so many times larger than the others together is left alone */
};

static _Thread_local const uint64_t *sort_ids;
static _Thread_local size_t sort_n;

static size_t rank_of(uint64_t segment)
{
	size_t i = 0;

	while (i < sort_n && sort_ids[i] != segment)
		i++;
	return i;
}

/* ---- one chunk as a source of entries ------------------------------------------------------------------------- */

struct merge_source {
	struct segment *segment;
	const struct chunk_row *row;
	size_t rank; /* order of writing: of its segment, then row->off */
	struct chunk_header header;
	bool header_open;
	size_t next_block;
	struct chunk_scratch scratch;
	size_t at; /* next entry of the decoded block */
};

/* Pending entries of one timestamp by their content, once they are many. */
struct content_set {
	uint32_t *slot; /* number + 1 in pending */
	size_t cap, n;	/* cap: a power of two */
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
	size_t time_from; /* from here on pending entries have the last one's timestamp */
	struct content_set same_time;
	uint32_t most; /* the pending chunk is written when it has this many quarters of the full size */
	VEC(uint64_t) tokens;
	struct trace_found found;
	VEC(struct merge_source *) live, idle;
	struct buf piece;
	uint64_t charged; /* to the account: text and pieces */
	uint64_t raw_bytes, n_entries, n_duplicates, n_bad, n_copied, n_encoded;
};

static void close_header(struct merge_source *m)
{
	if (m->header_open)
		chunk_header_fini(&m->header);
	m->header_open = false;
}

static int open_source(struct merge_out *o, struct merge_source *m, const struct chunk_row *row,
		       struct err *err)
{
	m->rank = rank_of(row->segment);
	m->segment = o->set->segment[m->rank];
	m->row = row;
	m->at = m->next_block = 0;
	chunk_scratch_reset(&m->scratch);
	if (segment_chunk_header(m->segment, row->off, row->info.header_bytes, &m->header, err) == -1) {
		o->n_bad++;
		return err->code == ERR_CORRUPT ? 0 : -1;
	}
	m->header_open = true;
	return 1;
}

/* Makes the source's next entry available; 0 when it is exhausted. */
static int advance(struct merge_source *m, struct merge_out *out, struct err *err)
{
	while (m->at >= m->scratch.n) {
		struct segment_reader_arg arg = { m->segment, m->row->off };
		struct chunk_source src = { segment_read, &arg };

		m->at = 0;
		chunk_scratch_reset(&m->scratch);
		if (m->next_block == m->header.n_blocks)
			return 0;
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

/* ---- what is written ------------------------------------------------------------------------------------------ */

static int write_pending(struct merge_out *o, struct err *err)
{
	if (o->pending.n == 0)
		return 0;
	account_adjust(o->s->encode_memory, &o->charged,
		       o->text.total + o->piece.cap + o->pending.cap * sizeof(*o->pending.v));
	int rc = segment_writer_chunk(o->w, segment_writer_stream(o->w, o->encoded), o->pending.v,
				      o->pending.n, EFFORT, o->tokens.v, o->tokens.n, err);

	o->n_encoded++;
	o->pending.n = o->tokens.n = o->time_from = 0;
	o->pending_bytes = 0;
	arena_reset(&o->text);
	return rc;
}

static bool same_content(const struct chunk_entry *a, const struct chunk_entry *b)
{
	return slice_eq(a->line, b->line) && slice_eq(a->meta, b->meta);
}

/* The slot of such an entry, or the free one where it belongs. */
static uint32_t *slot_of(const struct merge_out *o, const struct chunk_entry *e)
{
	const struct content_set *s = &o->same_time;
	size_t at = (hash_seeded(e->line) ^ hash_mix(hash_seeded(e->meta))) & (s->cap - 1);

	while (s->slot[at] != 0 && !same_content(&o->pending.v[s->slot[at] - 1], e))
		at = (at + 1) & (s->cap - 1);
	return &s->slot[at];
}

static void fill_set(struct merge_out *o, size_t n)
{
	struct content_set *s = &o->same_time;

	if (n * 2 > s->cap) {
		while (n * 2 > s->cap)
			s->cap = MAX(s->cap * 2, (size_t)64);
		free(s->slot);
		s->slot = xmalloc(s->cap * sizeof(*s->slot));
		s->n = 0;
	}
	if (s->n == 0)
		memset(s->slot, 0, s->cap * sizeof(*s->slot));
	for (; s->n < n; s->n++)
		*slot_of(o, &o->pending.v[o->time_from + s->n]) = (uint32_t)(o->time_from + s->n + 1);
}

/* The entry's timestamp is that of the last one that is pending, if its group has any. */
static bool is_pending(struct merge_out *o, const struct chunk_entry *e)
{
	size_t n = o->pending.n - o->time_from;

	if (n > FEW) {
		fill_set(o, n);
		return *slot_of(o, e) != 0;
	}
	for (size_t i = o->time_from; i < o->pending.n; i++)
		if (same_content(&o->pending.v[i], e))
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

/* Has the pending chunk so many `of`ths of the full size? */
static bool pending_has(const struct merge_out *o, uint32_t n, uint32_t of)
{
	return o->pending_bytes * of >= o->s->o.max_chunk_bytes * n ||
	       o->pending.n * of >= (uint64_t)o->s->o.max_chunk_entries * n;
}

static int put(struct merge_out *o, const struct chunk_entry *e, struct err *err)
{
	if (o->eraser.set != NULL && leave_out(o, e))
		return 0;
	if (o->pending.n == 0 || o->pending.v[o->pending.n - 1].ts != e->ts) {
		o->time_from = o->pending.n;
		o->same_time.n = 0;
	}
	if (is_pending(o, e)) {
		o->n_duplicates++;
		return 0;
	}
	bool full = pending_has(o, o->most, 4);
	if (full && o->time_from == o->pending.n && write_pending(o, err) == -1)
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

/* ---- one stream ------------------------------------------------------------------------------------------------ */

static struct chunk_entry head_of(const struct merge_source *m)
{
	return (struct chunk_entry){ m->scratch.ts[m->at], m->scratch.line[m->at],
				     m->scratch.metas[m->scratch.meta[m->at]] };
}

static bool comes_first(const struct merge_source *a, const struct merge_source *b)
{
	int64_t x = a->scratch.ts[a->at], y = b->scratch.ts[b->at];

	if (x != y)
		return x < y;
	return a->rank != b->rank ? a->rank < b->rank : a->row->off < b->row->off;
}

static struct merge_source *take_idle(struct merge_out *o)
{
	return o->idle.n > 0 ? o->idle.v[--o->idle.n] : xcalloc(1, sizeof(struct merge_source));
}

static void give_idle(struct merge_out *o, struct merge_source *m)
{
	close_header(m);
	vec_push(&o->idle, m);
}

static int add_source(struct merge_out *o, const struct chunk_row *row, struct err *err)
{
	struct merge_source *m = take_idle(o);
	int rc = open_source(o, m, row, err);

	if (rc == 1)
		rc = advance(m, o, err);
	if (rc == 1)
		vec_push(&o->live, m);
	else
		give_idle(o, m);
	return rc == -1 ? -1 : 0;
}

/* The entries of rows [i, j), sorted by their first timestamps. Few of them are open at a time. */
static int merge_chunks(struct merge_out *o, const struct chunk_row *rows, size_t i, size_t j,
			struct err *err)
{
	assert(o->live.n == 0);
	while (i < j || o->live.n > 0) {
		size_t best = 0;

		for (size_t k = 1; k < o->live.n; k++)
			if (comes_first(o->live.v[k], o->live.v[best]))
				best = k;
		struct merge_source *m = o->live.n > 0 ? o->live.v[best] : NULL;
		if (i < j && (m == NULL || rows[i].info.first_ts <= m->scratch.ts[m->at])) {
			if (add_source(o, &rows[i++], err) == -1)
				return -1;
			continue;
		}
		if (m == NULL)
			break;
		struct chunk_entry e = head_of(m);
		if (put(o, &e, err) == -1)
			return -1;
		m->at++;
		int rc = advance(m, o, err);
		if (rc == -1)
			return -1;
		if (rc == 0) {
			o->live.v[best] = o->live.v[--o->live.n];
			give_idle(o, m);
		}
	}
	return 0;
}

/* Would it be as good as new? */
static bool may_stay(const struct merge_out *o, const struct chunk_row *row)
{
	const struct chunk_info *k = &row->info;

	if (o->set->trace_keys[rank_of(row->segment)] != trace_keys_fingerprint(o->s->o.keys))
		return false;
	if (o->eraser.set != NULL && erase_fate(o->eraser.set, k->first_ts, k->last_ts) != ERASE_NONE)
		return false;
	return o->set->leaves_out != NULL || k->raw_bytes * LARGE >= o->s->o.max_chunk_bytes ||
	       (uint64_t)k->n_entries * LARGE >= o->s->o.max_chunk_entries;
}

/* 1: copied; 0: it must be decoded after all; -1. */
static int copy_chunk(struct merge_out *o, const struct chunk_row *row, struct err *err)
{
	struct segment_chunk c = { .off = row->off,
				   .info = row->info,
				   .filter_off = row->filter_off,
				   .filter_bytes = row->filter_bytes,
				   .filter_sum = row->filter_sum };
	struct segment_piece piece;

	int rc = segment_read_piece(o->set->segment[rank_of(row->segment)], &c, &o->piece, &piece, err);
	if (rc != 1)
		return rc;
	/* What an older codec wrote is a reason to encode it anew, unless only deletes are carried out. */
	if (o->set->leaves_out == NULL && segment_piece_codec(&piece)->number != segment_codec()->number)
		return 0;
	if (write_pending(o, err) == -1 ||
	    segment_writer_place(o->w, segment_writer_stream(o->w, o->encoded), &piece, err) == -1)
		return -1;
	o->n_copied++;
	o->n_entries += row->info.n_entries;
	return 1;
}

/* Rows of one stream by their first timestamps. */
static int merge_stream(struct merge_out *o, const struct chunk_row *rows, size_t n, struct err *err)
{
	for (size_t i = 0, j; i < n; i = j) {
		int64_t last = rows[i].info.last_ts;
		bool absorbs = o->pending.n > 0 && !pending_has(o, 1, SMALL) && o->set->leaves_out == NULL;
		int rc = 0;

		for (j = i + 1; j < n && rows[j].info.first_ts <= last; j++)
			last = MAX(last, rows[j].info.last_ts);
		bool stays = j == i + 1 && may_stay(o, &rows[i]);
		if (stays && !absorbs)
			rc = copy_chunk(o, &rows[i], err);
		if (rc == -1)
			return -1;
		if (rc == 1)
			continue;
		/* A little before a large chunk goes into that, so that both are one chunk and not two again. */
		o->most = stays && absorbs ? 6 : 4;
		if (merge_chunks(o, rows, i, j, err) == -1)
			return -1;
		o->most = 4;
	}
	return write_pending(o, err);
}

/* ---- a set of segments ---------------------------------------------------------------------------------------- */

static int cmp_row(const void *a, const void *b)
{
	const struct chunk_row *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	if (x->info.first_ts != y->info.first_ts)
		return x->info.first_ts < y->info.first_ts ? -1 : 1;
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
	set->trace_keys = xmalloc(n * sizeof(*set->trace_keys));
	set->n = n;
	set->wal_first = seg[0].wal_first;
	set->wal_last = seg[n - 1].wal_last;
	for (size_t i = 0; i < n; i++) {
		set->ids[i] = seg[i].id;
		set->trace_keys[i] = seg[i].trace_keys;
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
	free(set->trace_keys);
	vec_fini(&set->replaces);
	vec_fini(&set->rows);
	vec_fini(&set->labels);
	arena_fini(&set->arena);
}

static int merge_rows(const struct merge_set *set, struct merge_out *o, struct err *err)
{
	const struct chunk_row *rows = set->rows.v;
	size_t n_streams = 0;

	for (size_t i = 0, j; i < set->rows.n; i = j) {
		if (keep_must_stop(o->s))
			return err_set(err, ERR_UNAVAILABLE, "stopping");
		o->encoded = set->labels.v[n_streams++];
		eraser_start(&o->eraser,
			     set->leaves_out != NULL ? set->leaves_out(set->arg, o->encoded) : NULL);
		for (j = i; j < set->rows.n && rows[j].stream == rows[i].stream; j++)
			;
		if (merge_stream(o, rows + i, j - i, err) == -1)
			return -1;
	}
	return 0;
}

static void merge_out_fini(struct merge_out *o)
{
	account_adjust(o->s->encode_memory, &o->charged, 0);
	while (o->live.n > 0)
		give_idle(o, o->live.v[--o->live.n]);
	for (size_t i = 0; i < o->idle.n; i++) {
		chunk_scratch_fini(&o->idle.v[i]->scratch);
		free(o->idle.v[i]);
	}
	vec_fini(&o->live);
	vec_fini(&o->idle);
	arena_fini(&o->text);
	vec_fini(&o->pending);
	free(o->same_time.slot);
	vec_fini(&o->tokens);
	buf_fini(&o->piece);
	trace_found_fini(&o->found);
	eraser_fini(&o->eraser);
}

/* Under the merge lock alone: nobody replaces or removes the segments meanwhile. */
static int write_merged(struct store *s, const struct merge_set *set, struct segment_writer *w,
			struct publish *pub, struct err *err)
{
	struct merge_out o = { .s = s, .set = set, .w = w, .most = 4 };
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
	metric_add(s->m.merged_bytes, rc == 0 ? pub->summary.size : 0);
	metric_add(s->m.merge_copied, o.n_copied);
	metric_add(s->m.merge_encoded, o.n_encoded);
	metric_add(s->m.duplicates, o.n_duplicates);
out:
	merge_out_fini(&o);
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

/* ---- which segments -------------------------------------------------------------------------------------------- */

struct candidate {
	struct segment_summary sum;
	uint64_t n_chunks, n_small;
};

/* Rows are only looked at where the sums leave it open on which side a segment is. */
static int count_small(const struct store *s, struct sql *sql, struct candidate *c, struct err *err)
{
	uint64_t most_large = c->sum.raw_bytes / (s->o.max_chunk_bytes / LARGE + 1) +
			      c->sum.n_entries / (s->o.max_chunk_entries / LARGE + 1);

	c->n_small = c->n_chunks;
	if (c->n_small * SMALL_COSTS < c->sum.size)
		return 0;
	c->n_small -= MIN(most_large, c->n_small);
	if (c->n_small * SMALL_COSTS >= c->sum.size)
		return 0;
	sqlite3_stmt *st = sql_prepare(sql, SQL_CHUNK_SMALL, err);
	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)c->sum.id);
	sqlite3_bind_int64(st, 2, (int64_t)(s->o.max_chunk_entries / LARGE));
	sqlite3_bind_int64(st, 3, (int64_t)(s->o.max_chunk_bytes / LARGE));
	int rc = sql_step(sql, st, err);
	if (rc == 1)
		c->n_small = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return rc == -1 ? -1 : 0;
}

/* Are its small chunks few beside what copying it costs? One that deletes have emptied is none to keep. */
static bool is_settled(const struct candidate *c, bool eager)
{
	return c->n_chunks > 0 && c->n_small * (uint64_t)(eager ? QUIET_COSTS : SMALL_COSTS) < c->sum.size;
}

/* The longest run of neighbours from c[0] on that may be merged; *n_unsettled: how many of them are a reason to. It ends with
 * such a one. */
static size_t run_of(const struct candidate *c, size_t n, bool eager, bool same_level, size_t *n_unsettled)
{
	size_t end = 0;

	*n_unsettled = 0;
	for (size_t i = 0; i < n && *n_unsettled < FAN_IN && i < (size_t)2 * FAN_IN; i++) {
		if (c[i].sum.level >= MAX_LEVEL || (same_level && c[i].sum.level != c[0].sum.level))
			break;
		if (!is_settled(&c[i], eager)) {
			++*n_unsettled;
			end = i + 1;
		}
	}
	return end;
}

static bool is_out_of_scale(const struct candidate *c, size_t n)
{
	uint64_t all = 0, largest = 0;

	for (size_t i = 0; i < n; i++) {
		all += c[i].sum.raw_bytes;
		largest = MAX(largest, c[i].sum.raw_bytes);
	}
	return largest > (all - largest) * OUT_OF_SCALE;
}

/* The first run of neighbours that should be merged: returns its length, 0 for none. */
static size_t choose(const struct candidate *c, size_t n, bool eager, size_t *from)
{
	for (int mixed = 0; mixed <= (eager ? 1 : 0); mixed++) {
		for (size_t i = 0; i < n; i++) {
			size_t n_unsettled, length;

			if (is_settled(&c[i], eager))
				continue;
			length = run_of(c + i, n - i, eager, mixed == 0, &n_unsettled);
			if (n_unsettled == FAN_IN ||
			    (eager && n_unsettled >= 2 && !(mixed == 1 && is_out_of_scale(c + i, length)))) {
				*from = i;
				return length;
			}
		}
	}
	return 0;
}

static int load_candidates(const struct store *s, struct sql *sql, struct candidate **out, size_t *n,
			   struct err *err)
{
	struct segment_summary *g = NULL;
	uint64_t *n_chunks = NULL;
	int rc = partition_segments(sql, &g, &n_chunks, n, err);

	*out = xcalloc(*n + 1, sizeof(**out));
	for (size_t i = 0; i < *n && rc == 0; i++) {
		(*out)[i] = (struct candidate){ .sum = g[i], .n_chunks = n_chunks[i] };
		if (g[i].level < MAX_LEVEL)
			rc = count_small(s, sql, &(*out)[i], err);
	}
	free(g);
	free(n_chunks);
	return rc;
}

/* 1: the set is loaded, 0: nothing to merge. */
static int prepare(struct store *s, struct partition *p, bool eager, struct merge_set *set, struct err *err)
{
	struct candidate *c = NULL;
	struct segment_summary *chosen = NULL;
	size_t n = 0, from = 0;
	int rc = -1;

	pthread_mutex_lock(&p->write_lock);
	if (atomic_load(&p->dropped)) {
		rc = 0;
		goto out;
	}
	struct sql *sql = partition_writer(p, err);
	if (sql == NULL || load_candidates(s, sql, &c, &n, err) == -1)
		goto out;
	size_t count = choose(c, n, eager, &from);
	chosen = xmalloc((count + 1) * sizeof(*chosen));
	for (size_t i = 0; i < count; i++)
		chosen[i] = c[from + i].sum;
	if (count == 0)
		rc = 0;
	else if (merge_set_load(set, p, chosen, count, err) == 0)
		rc = 1;
out:
	pthread_mutex_unlock(&p->write_lock);
	free(c);
	free(chosen);
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
