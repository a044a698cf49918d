/* Reads units. A unit with one clean source yields its blocks as they stand (a head run without any copy, a chunk block
 * as decoded); any other unit is gathered, sorted, rid of duplicates and yielded as one block. */
#include "index/snapshot.h"
#include "base/log.h"
#include "index/counts.h"
#include "index/sorted.h"
#include "index/store_internal.h"

#include <assert.h>

struct open_chunk {
	struct chunk_header h;
	const struct chunk_codec *codec;
	struct segment_reader_arg arg;
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

static void close_chunk(struct reader *r)
{
	if (r->chunk_open)
		chunk_header_fini(&r->chunk.h);
	r->chunk_open = false;
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
	sorted_fini(&r->sorted);
	vec_fini(&r->metas);
	counts_fini(&r->counts);
	eraser_fini(&r->eraser);
	free(r->ts);
	free(r->line);
	free(r->meta);
	free(r);
}

const struct read_stats *reader_stats(const struct reader *r)
{
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

static int open_chunk(struct open_chunk *c, const struct source *s, struct err *err)
{
	if (segment_chunk_header(s->segment, s->off, s->header_bytes, &c->h, err) == -1)
		return -1;
	c->codec = chunk_codec_find(c->h.codec);
	c->arg = (struct segment_reader_arg){ s->segment, s->off };
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

/* 1: decoded into the scratch, 0: not needed or damaged, -1: error. */
static int load_block(struct reader *r, struct open_chunk *c, const struct source *s, size_t i,
		      struct chunk_scratch *scratch, struct err *err)
{
	const struct scan_hint *hint = &r->snap->hint;
	const struct chunk_block *b = &c->h.block[i];
	struct chunk_source src = { segment_read, &c->arg };

	if (!wanted(r, s, b)) {
		r->stats.blocks_skipped++;
		return 0;
	}
	/* Duplicates are told apart by their lines, so gathering needs them even if the query does not. */
	bool with_lines = !hint->no_lines || r->merged || r->erase_lines;
	chunk_scratch_reset(scratch);
	int rc = c->codec->block_may_match(&c->h, i, src, hint->needles, hint->n_needles, scratch, err);
	r->stats.bytes_decompressed += scratch->text.n;
	if (rc == 0) {
		r->stats.blocks_read++;
		r->stats.bytes_compressed += b->text_comp;
		r->stats.lines += b->n_entries;
	}
	if (rc == 1 && c->codec->block_read(&c->h, i, src, with_lines, scratch, err) == -1)
		rc = -1;
	if (rc == -1)
		return note_damage(r, err);
	if (rc == 1) {
		r->stats.blocks_read++;
		r->stats.bytes_compressed += (with_lines ? b->text_comp : 0) + b->table_comp;
		r->stats.bytes_decompressed +=
			scratch->table.n + (hint->n_needles == 0 ? scratch->text.n : 0);
		r->stats.lines += scratch->n;
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
	b->line += from;
	b->meta += from;
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
				   .metas = s->run->metas,
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
		if (open_chunk(&r->chunk, s, err) == -1) {
			r->done = true;
			return note_damage(r, err);
		}
		r->chunk_open = true;
		r->stats.chunks_read++;
		r->next_block = backward ? r->chunk.h.n_blocks : 0;
	}
	for (;;) {
		if (backward ? r->next_block == 0 : r->next_block == r->chunk.h.n_blocks) {
			r->done = true;
			return 0;
		}
		size_t i = backward ? --r->next_block : r->next_block++;
		int rc = load_block(r, &r->chunk, s, i, &r->scratch, err);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		*b = (struct entry_block){ .n = r->scratch.n,
					   .ts = r->scratch.ts,
					   .line = r->scratch.line,
					   .meta = r->scratch.meta,
					   .metas = r->scratch.metas,
					   .n_metas = r->scratch.n_metas };
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
		e->e = (struct chunk_entry){ ts[i], line[i], metas[meta[i]] };
		e->meta = base + meta[i];
		e->order = order + i;
	}
}

static int gather_chunk(struct reader *r, const struct source *s, struct err *err)
{
	struct open_chunk c;
	int rc = 0;

	if (open_chunk(&c, s, err) == -1)
		return note_damage(r, err);
	r->stats.chunks_read++;
	for (size_t i = 0; i < c.h.n_blocks && rc != -1; i++) {
		if (r->n_scratches == r->scratches.n)
			vec_add(&r->scratches);
		struct chunk_scratch *scratch = &r->scratches.v[r->n_scratches];
		rc = load_block(r, &c, s, i, scratch, err);
		if (rc == 1) {
			/* Numbers entries through the chunk, so that equal timestamps of two blocks keep their order. */
			size_t before = r->sorted.entries.n;

			r->n_scratches++;
			gather(r, s, scratch->n, scratch->ts, scratch->line, scratch->meta, scratch->metas,
			       scratch->n_metas);
			for (size_t k = before; k < r->sorted.entries.n; k++)
				r->sorted.entries.v[k].order += c.h.block[i].first_entry;
		}
	}
	chunk_header_fini(&c.h);
	return rc == -1 ? -1 : 0;
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

			if (b->seq < a->seq || (b->seq == a->seq && (b->run != NULL) < (a->run != NULL)) ||
			    (b->seq == a->seq && (b->run != NULL) == (a->run != NULL) && b->minor < a->minor))
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

static int next_merged(struct reader *r, struct entry_block *b, struct err *err)
{
	r->done = true;
	r->n_scratches = 0;
	r->metas.n = 0;
	r->sorted.entries.n = 0;
	for (size_t i = 0; i < r->unit->n_sources; i++) {
		const struct source *s = unit_source(r, i);

		if (s->run != NULL) {
			gather(r, s, s->n_entries, s->run->ts, s->run->line, s->run->meta, s->run->metas,
			       s->n_metas);
			r->stats.head_lines += s->n_entries;
			r->stats.head_bytes += s->raw_bytes;
		} else if (gather_chunk(r, s, err) == -1) {
			return -1;
		}
	}
	order_by_writing(r);
	sorted_finish(&r->sorted, &r->stats.duplicates);
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
