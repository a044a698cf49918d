/* Reads units. A unit with one clean source yields its blocks as they stand (a head run without any copy, a chunk block
 * as decoded); any other unit is gathered, sorted, rid of duplicates and yielded as one block. */
#include "index/snapshot.h"
#include "index/column_read.h"
#include "base/log.h"
#include "index/chunk_cache.h"
#include "index/counts.h"
#include "index/sorted.h"
#include "index/store_internal.h"

#include <assert.h>

struct open_chunk {
	const struct chunk_header *h;
	struct cache_item *item; /* what holds *h; NULL: `own` does */
	struct chunk_header own;
	const struct chunk_codec *codec;
	struct segment_reader_arg arg;
	struct slice sealed; /* p NULL: in the segment */
};

/* A block of columns in a gathered unit. Its times come first; lines and metadata only once it is known which are needed. */
struct late_block {
	struct columns *columns;
	size_t first; /* of its rows in reader.late */
	uint32_t n;
	bool lost; /* damaged */
};
struct late_rows {
	uint32_t *row; /* in its block */
	bool *line_wanted;
	struct slice *line;
	uint32_t *meta;
	size_t n, cap;
};

struct reader {
	struct snapshot *snap;
	const struct snap_unit *unit;
	struct read_stats stats;
	bool merged; /* the unit is gathered */
	bool done;
	/* one clean chunk */
	struct open_chunk chunk;
	bool chunk_open;
	size_t next_block; /* counts up, or down from n_blocks when backward */
	struct chunk_scratch scratch;
	/* gathered */
	VEC(struct chunk_scratch) scratches;
	size_t n_scratches;
	VEC(struct open_chunk *) chunks; /* theirs: what was decoded may stand there */
	VEC(struct late_block) late_blocks;
	struct late_rows late;
	struct sorted sorted;
	int64_t *ts;
	struct slice *line;
	uint32_t *meta;
	size_t cap;
	VEC(struct slice) metas;
	struct counts counts;
	struct eraser eraser; /* of the unit */
	bool erase_lines;     /* it asks for lines */
};

struct reader *reader_new(struct snapshot *snap)
{
	struct reader *r = xcalloc(1, sizeof(*r));

	r->snap = snap;
	r->done = true;
	return r;
}

static void chunk_fini(struct open_chunk *c)
{
	if (c->item != NULL)
		cache_release(c->item);
	else
		chunk_header_fini(&c->own);
}

static void close_chunk(struct reader *r)
{
	if (r->chunk_open)
		chunk_fini(&r->chunk);
	r->chunk_open = false;
	while (r->chunks.n > 0) {
		struct open_chunk *c = r->chunks.v[--r->chunks.n];

		chunk_fini(c);
		free(c);
	}
}

static void late_fini(struct late_rows *l)
{
	free(l->row);
	free(l->line_wanted);
	free(l->line);
	free(l->meta);
}

static void late_reserve(struct late_rows *l, size_t more)
{
	if (l->cap - l->n >= more)
		return;
	l->cap = MAX(l->cap * 2, l->n + more);
	l->row = xrealloc(l->row, l->cap * sizeof(*l->row));
	l->line_wanted = xrealloc(l->line_wanted, l->cap * sizeof(*l->line_wanted));
	l->line = xrealloc(l->line, l->cap * sizeof(*l->line));
	l->meta = xrealloc(l->meta, l->cap * sizeof(*l->meta));
}

void reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	close_chunk(r);
	chunk_scratch_fini(&r->scratch);
	for (size_t i = 0; i < r->scratches.n; i++)
		chunk_scratch_fini(&r->scratches.v[i]);
	vec_fini(&r->scratches);
	vec_fini(&r->chunks);
	vec_fini(&r->late_blocks);
	late_fini(&r->late);
	sorted_fini(&r->sorted);
	vec_fini(&r->metas);
	counts_fini(&r->counts);
	eraser_fini(&r->eraser);
	free(r->ts);
	free(r->line);
	free(r->meta);
	free(r);
}

/* What was decoded of columns since the last time; they count for themselves, since callers decode them, too. */
static void count_columns(struct reader *r, struct columns *c)
{
	if (c == NULL)
		return;
	r->stats.columns_decoded += c->count.columns_decoded;
	r->stats.lines_rebuilt += c->count.lines_rebuilt;
	r->stats.bytes_compressed += c->count.bytes_stored;
	r->stats.bytes_decompressed += c->count.bytes_raw;
	c->count = (struct column_counts){ 0 };
}

const struct read_stats *reader_stats(const struct reader *r)
{
	/* A reader belongs to one thread, and to bring its figures up to date changes nothing else. */
	count_columns((struct reader *)(uintptr_t)r, r->scratch.columns);
	return &r->stats;
}

static const struct source *unit_source(const struct reader *r, size_t i)
{
	return &r->snap->sources.v[r->snap->unit_sources.v[r->unit->first_source + i]];
}

void reader_start(struct reader *r, const struct snap_unit *u)
{
	const struct erase_set *erase = NULL;

	close_chunk(r);
	r->unit = u;
	r->done = false;
	r->merged = u->n_sources > 1 || !unit_source(r, 0)->clean;
	/* The sources of a unit belong to one stream: whichever has a set has the same. */
	for (size_t i = 0; i < u->n_sources && erase == NULL; i++)
		erase = unit_source(r, i)->erase;
	eraser_start(&r->eraser, erase);
	r->erase_lines = erase_wants_lines(erase);
}

/* Damage to a chunk or block: noted, and the rest goes on. I/O errors are the caller's. */
static int note_damage(struct reader *r, struct err *err)
{
	if (err->code != ERR_CORRUPT)
		return -1;
	r->stats.corrupt_blocks++;
	metric_add(r->snap->store->m.corrupt, 1);
	log_error("damaged block skipped", KV("error", err->msg));
	return 0;
}

/* chunk_source.read of a chunk in memory. */
static int read_sealed(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *chunk = arg;

	if (off > chunk->n || n > chunk->n - off)
		return err_set(err, ERR_CORRUPT, "chunk in memory: a section outside of it");
	if (n > 0)
		memcpy(p, chunk->p + off, n);
	return 0;
}

static struct chunk_source source_of(struct open_chunk *c)
{
	if (c->sealed.p != NULL)
		return (struct chunk_source){ read_sealed, &c->sealed };
	return (struct chunk_source){ segment_read, &c->arg };
}

/* After a failure there is nothing to close. */
static int open_chunk(const struct reader *r, struct open_chunk *c, const struct source *s, struct err *err)
{
	*c = (struct open_chunk){ .arg = { s->segment, s->off } };
	if (s->sealed != NULL) {
		c->sealed = s->sealed->chunk;
		if (chunk_header_parse(slice_sub(c->sealed, 0, s->header_bytes), HEAD_SEED, &c->own, err) ==
		    -1)
			return -1;
		c->h = &c->own;
	} else {
		c->item = cached_header_get(r->snap->store->index_cache, s->segment, s->off, s->header_bytes,
					    err);
		if (c->item == NULL)
			return -1;
		c->h = cached_header(c->item);
	}
	c->codec = chunk_codec_find(c->h->codec);
	return 0;
}

static bool wanted(const struct reader *r, const struct source *s, const struct chunk_block *b)
{
	if (!timerange_meets(r->unit->range, b->first_ts, b->last_ts))
		return false;
	for (size_t i = 0; i < s->n_windows; i++)
		if (timerange_meets(s->window[i], b->first_ts, b->last_ts))
			return true;
	return s->n_windows == 0;
}

/* Could the chunk hold what the query looks for, as far as its templates tell? */
static bool templates_allow(struct reader *r, const struct open_chunk *c)
{
	const struct scan_hint *hint = &r->snap->hint;

	for (size_t k = 0; c->h->columns != NULL && k < hint->n_needles; k++) {
		if (!columns_chunk_may_hold(c->h, hint->needles[k])) {
			r->stats.chunks_skipped_by_templates++;
			return false;
		}
	}
	return true;
}

/* Is the block handed out as columns rather than as rows? */
static bool as_columns(const struct reader *r, const struct open_chunk *c)
{
	return r->snap->hint.columns && c->h->columns != NULL && !r->merged && r->eraser.set == NULL;
}

/* Is it gathered by its times first? */
static bool is_late(const struct reader *r, const struct open_chunk *c)
{
	return r->merged && c->h->columns != NULL;
}

static int go_to_block(const struct open_chunk *c, size_t i, struct chunk_source src,
		       struct chunk_scratch *scratch, struct err *err)
{
	if (scratch->columns == NULL)
		scratch->columns = columns_new();
	return columns_start(scratch->columns, c->h, i, src, err);
}

/* 1: decoded into the scratch, or only gone to if columns are wanted or rows come late; 0: not needed or damaged, -1: error. */
static int load_block(struct reader *r, struct open_chunk *c, const struct source *s, size_t i,
		      struct chunk_scratch *scratch, struct err *err)
{
	const struct scan_hint *hint = &r->snap->hint;
	const struct chunk_block *b = &c->h->block[i];
	struct chunk_source src = source_of(c);

	if (!wanted(r, s, b)) {
		r->stats.blocks_skipped++;
		return 0;
	}
	/* Gathering rows needs lines even if the query does not: duplicates are told apart by them. */
	bool with_lines = !hint->no_lines || r->merged || r->erase_lines;
	chunk_scratch_reset(scratch);
	int rc = c->codec->block_may_match(c->h, i, src, hint->needles, hint->n_needles, scratch, err);
	r->stats.bytes_decompressed += scratch->text.n;
	if (rc == 0) {
		r->stats.blocks_skipped_by_templates += c->h->columns != NULL;
		r->stats.blocks_read++;
		r->stats.bytes_compressed += b->text_comp;
		r->stats.lines += b->n_entries;
	}
	if (rc == 1 && (as_columns(r, c) || is_late(r, c)
				? go_to_block(c, i, src, scratch, err)
				: c->codec->block_read(c->h, i, src, with_lines, scratch, err)) == -1)
		rc = -1;
	count_columns(r, scratch->columns);
	if (rc == -1)
		return note_damage(r, err);
	if (rc == 1) {
		r->stats.blocks_read++;
		r->stats.bytes_compressed += (with_lines ? b->text_comp : 0) + b->table_comp;
		r->stats.bytes_decompressed +=
			scratch->table.n + (hint->n_needles == 0 ? scratch->text.n : 0);
		r->stats.lines += b->n_entries;
	}
	return rc;
}

/* Cuts an ascending block to the unit's range. */
static bool cut(const struct reader *r, struct entry_block *b)
{
	size_t from = 0, to = b->n;

	while (from < to && b->ts[from] < r->unit->range.start)
		from++;
	while (to > from && b->ts[to - 1] >= r->unit->range.end)
		to--;
	b->ts += from;
	if (b->columns != NULL) {
		b->first_row += (uint32_t)from;
	} else {
		b->line += from;
		b->meta += from;
	}
	b->n = to - from;
	return b->n > 0;
}

static int next_of_run(struct reader *r, struct entry_block *b)
{
	const struct source *s = unit_source(r, 0);

	r->done = true;
	*b = (struct entry_block){ .n = s->n_entries,
				   .ts = s->run->ts,
				   .line = s->run->line,
				   .meta = s->run->meta,
				   .metas = s->metas,
				   .n_metas = s->n_metas };
	r->stats.head_lines += s->n_entries;
	r->stats.head_bytes += s->raw_bytes;
	return cut(r, b) ? 1 : 0;
}

static int next_of_chunk(struct reader *r, struct entry_block *b, struct err *err)
{
	const struct source *s = unit_source(r, 0);
	bool backward = r->snap->hint.backward;

	if (!r->chunk_open) {
		if (open_chunk(r, &r->chunk, s, err) == -1) {
			r->done = true;
			return note_damage(r, err);
		}
		r->chunk_open = true;
		if (!templates_allow(r, &r->chunk)) {
			r->done = true;
			return 0;
		}
		r->stats.chunks_read++;
		r->next_block = backward ? r->chunk.h->n_blocks : 0;
	}
	for (;;) {
		if (backward ? r->next_block == 0 : r->next_block == r->chunk.h->n_blocks) {
			r->done = true;
			return 0;
		}
		size_t i = backward ? --r->next_block : r->next_block++;
		int rc = load_block(r, &r->chunk, s, i, &r->scratch, err);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		if (as_columns(r, &r->chunk))
			*b = (struct entry_block){ .n = columns_n_rows(r->scratch.columns),
						   .ts = r->scratch.columns->ts,
						   .columns = r->scratch.columns };
		else
			*b = (struct entry_block){ .n = r->scratch.n,
						   .ts = r->scratch.ts,
						   .line = r->scratch.line,
						   .meta = r->scratch.meta,
						   .metas = r->scratch.metas,
						   .n_metas = r->scratch.n_metas,
						   .metas_key = r->scratch.metas_key };
		if (cut(r, b))
			return 1;
	}
}

static void gather(struct reader *r, const struct source *s, size_t n, const int64_t *ts,
		   const struct slice *line, const uint32_t *meta, const struct slice *metas, size_t n_metas)
{
	uint32_t base = (uint32_t)r->metas.n;
	uint64_t order = (uint64_t)(s - r->snap->sources.v) << 32;

	for (size_t i = 0; i < n_metas; i++)
		vec_push(&r->metas, metas[i]);
	for (size_t i = 0; i < n; i++) {
		if (!timerange_has(r->unit->range, ts[i]))
			continue;
		struct sorted_entry *e = vec_add(&r->sorted.entries);
		*e = (struct sorted_entry){ .e = { ts[i], line[i], metas[meta[i]] },
					    .meta = base + meta[i],
					    .order = order + i };
	}
}

/* The rows of the block at hand that lie in the unit: times only. */
static void gather_late(struct reader *r, const struct source *s, const struct chunk_block *block,
			struct columns *c)
{
	uint64_t order = ((uint64_t)(s - r->snap->sources.v) << 32) + block->first_entry;
	struct late_rows *late = &r->late;
	struct late_block b = { .columns = c, .first = late->n };

	late_reserve(late, c->n_rows);
	for (uint32_t row = 0; row < c->n_rows; row++) {
		if (!timerange_has(r->unit->range, c->ts[row]) || !columns_is_candidate(c, row))
			continue;
		*vec_add(&r->sorted.entries) =
			(struct sorted_entry){ .e = { .ts = c->ts[row] },
					       .order = order + row,
					       .late_block = (uint32_t)r->late_blocks.n + 1,
					       .meta = (uint32_t)late->n };
		late->line_wanted[late->n] = false;
		late->row[late->n++] = row;
	}
	b.n = (uint32_t)(late->n - b.first);
	vec_push(&r->late_blocks, b);
}

static int gather_chunk(struct reader *r, const struct source *s, struct err *err)
{
	struct open_chunk *c = xmalloc(sizeof(*c));
	int rc = 0;

	if (open_chunk(r, c, s, err) == -1) {
		free(c);
		return note_damage(r, err);
	}
	vec_push(&r->chunks, c);
	if (!templates_allow(r, c))
		return 0;
	r->stats.chunks_read++;
	for (size_t i = 0; i < c->h->n_blocks && rc != -1; i++) {
		if (r->n_scratches == r->scratches.n)
			vec_add(&r->scratches);
		struct chunk_scratch *scratch = &r->scratches.v[r->n_scratches];
		rc = load_block(r, c, s, i, scratch, err);
		if (rc == 1 && is_late(r, c)) {
			r->n_scratches++;
			gather_late(r, s, &c->h->block[i], scratch->columns);
		} else if (rc == 1) {
			/* Numbers entries through the chunk, so that equal timestamps of two blocks keep their order. */
			size_t before = r->sorted.entries.n;

			r->n_scratches++;
			gather(r, s, scratch->n, scratch->ts, scratch->line, scratch->meta, scratch->metas,
			       scratch->n_metas);
			for (size_t k = before; k < r->sorted.entries.n; k++)
				r->sorted.entries.v[k].order += c->h->block[i].first_entry;
		}
	}
	return rc == -1 ? -1 : 0;
}

static bool in_head(const struct source *s)
{
	return s->segment == NULL;
}

/* Sources are sorted by time in the snapshot; written order is by seq and minor. */
static void order_by_writing(struct reader *r)
{
	uint64_t rank_of[64];
	size_t n = r->unit->n_sources;
	uint64_t *rank = n <= 64 ? rank_of : xmalloc(n * sizeof(*rank));

	for (size_t i = 0; i < n; i++) {
		const struct source *a = unit_source(r, i);

		rank[i] = 0;
		for (size_t k = 0; k < n; k++) {
			const struct source *b = unit_source(r, k);

			if (b->seq < a->seq || (b->seq == a->seq && in_head(b) < in_head(a)) ||
			    (b->seq == a->seq && in_head(b) == in_head(a) && b->minor < a->minor))
				rank[i]++;
		}
	}
	/* The upper half of order is the number of the source in the snapshot: swap it for its rank. */
	for (size_t k = 0; k < r->sorted.entries.n; k++) {
		struct sorted_entry *e = &r->sorted.entries.v[k];
		uint32_t number = (uint32_t)(e->order >> 32);

		for (size_t i = 0; i < n; i++) {
			if (r->snap->unit_sources.v[r->unit->first_source + i] == number) {
				e->order = rank[i] << 32 | (e->order & UINT32_MAX);
				break;
			}
		}
	}
	if (rank != rank_of)
		free(rank);
}

static void make_room(struct reader *r, size_t n)
{
	if (r->cap >= n)
		return;
	r->cap = n;
	r->ts = xrealloc(r->ts, n * sizeof(*r->ts));
	r->line = xrealloc(r->line, n * sizeof(*r->line));
	r->meta = xrealloc(r->meta, n * sizeof(*r->meta));
}

/* ---- rows that come late --------------------------------------------------------------------------------------- */

/* End of the entries with entry i's timestamp. */
static size_t moment_end(const struct sorted_entry *v, size_t n, size_t i)
{
	size_t end = i + 1;

	while (end < n && v[end].e.ts == v[i].e.ts)
		end++;
	return end;
}

/* Entries of one timestamp: can one of them be there twice? Not if all stand in one chunk. */
static bool may_repeat(const struct sorted_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].late_block == 0 || v[i].order >> 32 != v[0].order >> 32)
			return n > 1;
	return false;
}

/* Duplicates are told apart by their lines, so these are needed even if the query does not ask for them. */
static void want_lines(struct reader *r)
{
	const struct sorted_entry *v = r->sorted.entries.v;
	size_t n = r->sorted.entries.n;

	for (size_t i = 0, end; i < n; i = end) {
		end = moment_end(v, n, i);
		if (!may_repeat(v + i, end - i))
			continue;
		for (size_t k = i; k < end; k++)
			if (v[k].late_block != 0)
				r->late.line_wanted[v[k].meta] = true;
	}
}

/* Lines and lengths of a block's rows. */
static int late_lines(struct reader *r, const struct late_block *b, bool all, struct err *err)
{
	struct late_rows *late = &r->late;
	const uint32_t *row = late->row + b->first;
	const bool *wanted = late->line_wanted + b->first;
	struct slice *line = late->line + b->first;
	struct columns *c = b->columns;

	if (all) {
		if (b->n > c->n_rows / 2)
			columns_want_all(c);
		return columns_lines(c, row, b->n, line, err);
	}
	uint32_t *some = columns_alloc(c, b->n * sizeof(*some)), n = 0;
	struct slice *text = columns_alloc(c, b->n * sizeof(*text));
	for (uint32_t k = 0; k < b->n; k++)
		if (wanted[k])
			some[n++] = row[k];
	if (n < b->n && columns_row_lengths(c, row, b->n, line, err) == -1)
		return -1;
	if (columns_lines(c, some, n, text, err) == -1)
		return -1;
	n = 0;
	for (uint32_t k = 0; k < b->n; k++)
		if (wanted[k])
			line[k] = text[n++];
	return 0;
}

static int load_late(struct reader *r, const struct late_block *b, bool all, struct err *err)
{
	uint32_t *meta = r->late.meta + b->first, base = (uint32_t)r->metas.n;
	struct columns_metas metas;

	if (b->n == 0)
		return 0;
	if (late_lines(r, b, all, err) == -1 ||
	    columns_metas(b->columns, r->late.row + b->first, b->n, &metas, err) == -1)
		return -1;
	for (size_t i = 0; i < metas.n; i++)
		vec_push(&r->metas, metas.v[i]);
	for (uint32_t k = 0; k < b->n; k++)
		meta[k] = base + metas.number[k];
	return 0;
}

/* Entries of blocks that turned out to be damaged go, the others become whole. */
static void fill_in_late(struct reader *r)
{
	struct sorted_entry *v = r->sorted.entries.v;
	size_t kept = 0;

	for (size_t i = 0; i < r->sorted.entries.n; i++) {
		struct sorted_entry e = v[i];

		if (e.late_block != 0) {
			size_t k = e.meta;

			if (r->late_blocks.v[e.late_block - 1].lost)
				continue;
			e.meta = r->late.meta[k];
			e.e.line = r->late.line[k];
			e.e.meta = r->metas.v[e.meta];
		}
		v[kept++] = e;
	}
	r->sorted.entries.n = kept;
}

/* Sorts what was gathered, reads what is still needed of it and drops duplicates. */
static int finish_gathered(struct reader *r, struct err *err)
{
	bool all = !r->snap->hint.no_lines || r->erase_lines;
	size_t kept = 0;

	sorted_by_time(&r->sorted);
	if (!all)
		want_lines(r);
	for (size_t i = 0; i < r->late_blocks.n; i++) {
		struct late_block *b = &r->late_blocks.v[i];
		int rc = load_late(r, b, all, err);

		count_columns(r, b->columns);
		if (rc == -1 && note_damage(r, err) == -1)
			return -1;
		b->lost = rc == -1;
	}
	if (r->late_blocks.n > 0)
		fill_in_late(r);
	struct sorted_entry *v = r->sorted.entries.v;
	size_t n = r->sorted.entries.n;
	for (size_t i = 0, end; i < n; i = end) {
		end = moment_end(v, n, i);
		size_t u = may_repeat(v + i, end - i) ? sorted_unique(v + i, end - i) : end - i;
		if (kept != i)
			memmove(v + kept, v + i, u * sizeof(*v));
		kept += u;
	}
	r->stats.duplicates += n - kept;
	r->sorted.entries.n = kept;
	return 0;
}

static int next_merged(struct reader *r, struct entry_block *b, struct err *err)
{
	r->done = true;
	r->n_scratches = 0;
	r->metas.n = 0;
	r->late.n = 0;
	r->late_blocks.n = 0;
	r->sorted.entries.n = 0;
	for (size_t i = 0; i < r->unit->n_sources; i++) {
		const struct source *s = unit_source(r, i);

		if (s->run != NULL) {
			gather(r, s, s->n_entries, s->run->ts, s->run->line, s->run->meta, s->metas,
			       s->n_metas);
			r->stats.head_lines += s->n_entries;
			r->stats.head_bytes += s->raw_bytes;
		} else if (gather_chunk(r, s, err) == -1) {
			return -1;
		}
	}
	order_by_writing(r);
	if (finish_gathered(r, err) == -1)
		return -1;
	size_t n = r->sorted.entries.n;
	if (n == 0)
		return 0;
	make_room(r, n);
	for (size_t i = 0; i < n; i++) {
		r->ts[i] = r->sorted.entries.v[i].e.ts;
		r->line[i] = r->sorted.entries.v[i].e.line;
		r->meta[i] = r->sorted.entries.v[i].meta;
	}
	*b = (struct entry_block){ .n = n,
				   .ts = r->ts,
				   .line = r->line,
				   .meta = r->meta,
				   .metas = r->metas.v,
				   .n_metas = r->metas.n };
	return 1;
}

/* Leaves out what is deleted. A block of which nothing is stays as it is; what is left of another is copied into the
 * reader's own arrays (a gathered block stands there already). False: nothing is left. */
static bool drop_erased(struct reader *r, struct entry_block *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (eraser_asks(&r->eraser, b->metas[b->meta[i]], b->ts[i], b->line[i]) != -1) {
			if (kept == i && b->ts != r->ts) {
				make_room(r, b->n);
				memcpy(r->ts, b->ts, i * sizeof(*r->ts));
				memcpy(r->line, b->line, i * sizeof(*r->line));
				memcpy(r->meta, b->meta, i * sizeof(*r->meta));
			}
			continue;
		}
		if (kept != i) {
			r->ts[kept] = b->ts[i];
			r->line[kept] = b->line[i];
			r->meta[kept] = b->meta[i];
		}
		kept++;
	}
	if (kept != b->n) {
		b->ts = r->ts;
		b->line = r->line;
		b->meta = r->meta;
		b->n = kept;
	}
	return kept > 0;
}

static int next_block(struct reader *r, struct entry_block *b, struct err *err)
{
	if (r->done)
		return 0;
	if (r->merged)
		return next_merged(r, b, err);
	return unit_source(r, 0)->run != NULL ? next_of_run(r, b) : next_of_chunk(r, b, err);
}

int reader_next(struct reader *r, struct entry_block *b, struct err *err)
{
	int rc;

	do {
		rc = next_block(r, b, err);
	} while (rc == 1 && r->eraser.set != NULL && !drop_erased(r, b));
	return rc;
}

int reader_damaged(struct reader *r, struct err *err)
{
	return note_damage(r, err);
}

static int rows_of_columns(struct reader *r, const struct entry_block *b, const uint32_t *row, uint32_t n,
			   struct entry_block *out, struct err *err)
{
	struct columns_metas metas;

	make_room(r, n);
	int rc = r->snap->hint.no_lines ? columns_row_lengths(b->columns, row, n, r->line, err)
					: columns_lines(b->columns, row, n, r->line, err);
	if (rc == -1 || columns_metas(b->columns, row, n, &metas, err) == -1)
		return -1;
	for (uint32_t k = 0; k < n; k++)
		r->ts[k] = b->ts[row[k] - b->first_row];
	*out = (struct entry_block){ .n = n,
				     .ts = r->ts,
				     .line = r->line,
				     .meta = metas.number,
				     .metas = metas.v,
				     .n_metas = metas.n,
				     .metas_key = metas.key };
	return 0;
}

int reader_rows(struct reader *r, const struct entry_block *b, const uint64_t *entries,
		struct entry_block *out, struct err *err)
{
	uint32_t *row = columns_alloc(b->columns, b->n * sizeof(*row)), n = 0;

	for (size_t w = 0; w < (b->n + 63) / 64; w++)
		for (uint64_t bits = entries[w]; bits != 0; bits &= bits - 1) {
			size_t i = w * 64 + (size_t)__builtin_ctzll(bits);

			if (i < b->n)
				row[n++] = b->first_row + (uint32_t)i;
		}
	struct entry_block rows = { .n = 0 };
	if (n > 0 && rows_of_columns(r, b, row, n, &rows, err) == -1 && note_damage(r, err) == -1)
		return -1;
	*out = rows;
	return 0;
}

/* ---- counts --------------------------------------------------------------------------------------------------- */

/* Does each entry of the unit stand in one chunk and nowhere else, and is none hidden? */
static bool is_one_chunk(const struct snapshot *snap, const struct snap_unit *u)
{
	const struct source *s = &snap->sources.v[snap->unit_sources.v[u->first_source]];

	return u->n_sources == 1 && s->segment != NULL && s->erase == NULL && s->n_windows == 0;
}

bool reader_counts(struct reader *r, const struct snap_unit *u, const struct slice *names, size_t n_names,
		   struct unit_counts *out)
{
	const struct source *s = &r->snap->sources.v[r->snap->unit_sources.v[u->first_source]];
	struct chunk_info info = {
		.first_ts = s->first, .last_ts = s->last, .n_entries = s->n_entries, .raw_bytes = s->raw_bytes
	};
	struct err err;

	if (!is_one_chunk(r->snap, u))
		return false;
	int rc = segment_counts(s->segment, s->off, s->counts_off, &info, &r->counts, &err);
	if (rc == -1) /* the entries themselves may well be good */
		log_warn("a chunk is read for want of its counts", KV("error", err.msg));
	if (rc != 1)
		return false;
	for (size_t i = 0; i < n_names; i++)
		if (counts_have_name(&r->counts, names[i]))
			return false;
	r->stats.chunks_counted++;
	*out = (struct unit_counts){ r->counts.buckets.v, r->counts.buckets.n, r->counts.metas.v,
				     r->counts.metas.n, s->raw_bytes };
	return true;
}
