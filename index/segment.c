#include "index/segment.h"
#include "index/chunk_columns.h"
#include "index/counts.h"
#include "index/filter.h"
#include "index/store.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum { HEADER_BYTES = 40, TRAILER_BYTES = 32, VERSION = 1, WRITE_BUFFER = 4 << 20, MAX_FOOTER = 1 << 30 };
static const char MAGIC[8] = { 'S', 'P', 'O', 'O', 'R', 'S', 'E', 'G' };
static const char FOOTER_MAGIC[4] = { 'S', 'P', 'F', 'T' };
static const char END_MAGIC[4] = { 'S', 'P', 'E', 'N' };

void segment_path(char *out, size_t size, const char *dir, uint64_t id)
{
	snprintf(out, size, "%s/%08llu.seg", dir, (unsigned long long)id);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static const struct chunk_codec *new_chunks = &chunk_codec_columns;

const struct chunk_codec *segment_codec(void)
{
	return new_chunks;
}

void segment_set_codec(const struct chunk_codec *codec)
{
	new_chunks = codec;
}

/* That of a chunk that is there: one codec may fall back on another. */
const struct chunk_codec *segment_piece_codec(const struct segment_piece *piece)
{
	const struct chunk_codec *codec = chunk_codec_find((uint8_t)piece->chunk.p[4]);

	assert(codec != NULL);
	return codec;
}

struct segment_writer {
	int fd;
	char *dir, *path;
	uint64_t id, file_id, off; /* off: of the end of buf in the file */
	struct buf buf, filters;
	struct map streams; /* encoded labels -> number + 1 */
	VEC(struct slice) stream;
	VEC(struct segment_chunk) chunk;
	bool finished;
};

static int flush_buf(struct segment_writer *w, struct err *err)
{
	if (file_write(w->fd, buf_slice(&w->buf), err) == -1)
		return err_prefix(err, "segment %s", w->path);
	buf_reset(&w->buf);
	return 0;
}

int segment_writer_open(const char *dir, uint64_t id, struct segment_writer **out, struct err *err)
{
	struct segment_writer *w = xcalloc(1, sizeof(*w));
	char path[4096];

	segment_path(path, sizeof(path), dir, id);
	w->path = xstrdup(path);
	w->dir = xstrdup(dir);
	w->id = id;
	w->fd = file_create(path, err);
	if (w->fd == -1) {
		free(w->path);
		free(w->dir);
		free(w);
		return -1;
	}
	if (getrandom(&w->file_id, sizeof(w->file_id), 0) != (ssize_t)sizeof(w->file_id))
		w->file_id = hash_mix((uint64_t)clock_now_ns()) ^ id;
	buf_append(&w->buf, MAGIC, 8);
	buf_u32le(&w->buf, VERSION);
	buf_u32le(&w->buf, 0);
	buf_u64le(&w->buf, w->file_id);
	buf_i64le(&w->buf, clock_now_ns());
	buf_u64le(&w->buf, hash64(buf_slice(&w->buf)));
	w->off = w->buf.n;
	*out = w;
	return 0;
}

uint32_t segment_writer_stream(struct segment_writer *w, struct slice encoded)
{
	bool is_new;
	void **slot = map_put(&w->streams, encoded, &is_new);

	if (is_new) {
		vec_push(&w->stream, encoded);
		*slot = (void *)(uintptr_t)w->stream.n;
	}
	return (uint32_t)((uintptr_t)*slot - 1);
}

int segment_writer_chunk(struct segment_writer *w, uint32_t stream, const struct chunk_entry *e, size_t n,
			 int effort, uint64_t *tokens, size_t n_tokens, struct err *err)
{
	struct segment_chunk *c = vec_add(&w->chunk);
	size_t before = w->buf.n, filter_at = w->filters.n;

	c->stream = stream;
	c->off = w->off;
	segment_codec()->encode(e, n, chunk_seed(w->file_id, w->off), effort, &w->buf, &c->info);
	w->off += w->buf.n - before;
	fuse_build(tokens, n_tokens, &w->filters);
	c->filter_off = filter_at; /* made absolute at the end */
	c->filter_bytes = (uint32_t)(w->filters.n - filter_at);
	counts_build(e, n, &c->info, chunk_seed(w->file_id, c->off), &w->filters);
	if (w->buf.n >= WRITE_BUFFER)
		return flush_buf(w, err);
	return 0;
}

int segment_writer_place(struct segment_writer *w, uint32_t stream, const struct segment_piece *piece,
			 struct err *err)
{
	struct segment_chunk *c = vec_add(&w->chunk);
	uint64_t seed = chunk_seed(w->file_id, w->off);
	size_t at = w->buf.n;

	assert(piece->chunk.n == piece->info.total_bytes);
	c->stream = stream;
	c->off = w->off;
	c->info = piece->info;
	buf_add(&w->buf, piece->chunk);
	segment_piece_codec(piece)->place(w->buf.p + at, &c->info, piece->seed, seed);
	w->off += piece->chunk.n;
	c->filter_off = w->filters.n;
	c->filter_bytes = (uint32_t)piece->filter.n;
	buf_add(&w->filters, piece->filter);
	at = w->filters.n;
	buf_add(&w->filters, piece->counts);
	counts_place(w->filters.p + at, piece->counts.n, piece->seed, seed);
	if (w->buf.n >= WRITE_BUFFER)
		return flush_buf(w, err);
	return 0;
}

const struct slice *segment_writer_streams(const struct segment_writer *w)
{
	return w->stream.v;
}

size_t segment_writer_n_chunks(const struct segment_writer *w)
{
	return w->chunk.n;
}

const struct segment_chunk *segment_writer_get(const struct segment_writer *w, size_t i)
{
	return &w->chunk.v[i];
}

static void put_footer(struct segment_writer *w, uint64_t wal_first, uint64_t wal_last, uint32_t level,
		       uint64_t trace_keys, const uint64_t *replaces, size_t n_replaces)
{
	struct buf *b = &w->buf;

	buf_append(b, FOOTER_MAGIC, 4);
	buf_varint(b, wal_first);
	buf_varint(b, wal_last);
	buf_varint(b, level);
	buf_u64le(b, trace_keys);
	buf_varint(b, n_replaces);
	for (size_t i = 0; i < n_replaces; i++)
		buf_varint(b, replaces[i]);
	buf_varint(b, w->stream.n);
	for (size_t i = 0; i < w->stream.n; i++)
		buf_lenslice(b, w->stream.v[i]);
	buf_varint(b, w->chunk.n);
	for (size_t i = 0; i < w->chunk.n; i++) {
		const struct segment_chunk *c = &w->chunk.v[i];

		buf_varint(b, c->stream);
		buf_varint(b, c->off);
		buf_varint(b, c->info.header_bytes);
		buf_varint(b, c->info.total_bytes);
		buf_svarint(b, c->info.first_ts);
		buf_varint(b, (uint64_t)c->info.last_ts - (uint64_t)c->info.first_ts);
		buf_varint(b, c->info.n_entries);
		buf_varint(b, c->info.raw_bytes);
		buf_varint(b, c->filter_off);
		buf_varint(b, c->filter_bytes);
		buf_u64le(b, c->filter_sum);
	}
}

int segment_writer_finish(struct segment_writer *w, uint64_t wal_first, uint64_t wal_last, uint32_t level,
			  uint64_t trace_keys, const uint64_t *replaces, size_t n_replaces,
			  struct segment_summary *out, struct err *err)
{
	struct segment_summary s = { .id = w->id,
				     .file_id = w->file_id,
				     .wal_first = wal_first,
				     .wal_last = wal_last,
				     .level = level,
				     .trace_keys = trace_keys,
				     .first_ts = INT64_MAX,
				     .last_ts = INT64_MIN };
	struct slice filters = buf_slice(&w->filters);

	for (size_t i = 0; i < w->chunk.n; i++) {
		struct segment_chunk *c = &w->chunk.v[i];

		c->filter_sum = hash64_seed(slice_sub(filters, c->filter_off, c->filter_bytes), w->file_id);
		c->filter_off += w->off;
		s.n_entries += c->info.n_entries;
		s.raw_bytes += c->info.raw_bytes;
		s.first_ts = MIN(s.first_ts, c->info.first_ts);
		s.last_ts = MAX(s.last_ts, c->info.last_ts);
	}
	if (flush_buf(w, err) == -1 || file_write(w->fd, filters, err) == -1)
		return -1;
	uint64_t footer_off = w->off + filters.n;
	put_footer(w, wal_first, wal_last, level, trace_keys, replaces, n_replaces);
	uint32_t footer_bytes = (uint32_t)w->buf.n;
	uint64_t footer_sum = hash64_seed(buf_slice(&w->buf), w->file_id);
	size_t trailer_at = w->buf.n;
	buf_u64le(&w->buf, footer_off);
	buf_u32le(&w->buf, footer_bytes);
	buf_append(&w->buf, END_MAGIC, 4);
	buf_u64le(&w->buf, footer_sum);
	buf_u64le(&w->buf, hash64_seed(slice_from(buf_slice(&w->buf), trailer_at), w->file_id));
	s.size = footer_off + w->buf.n;
	if (flush_buf(w, err) == -1 || file_sync(w->fd, err) == -1 || file_sync_dir(w->dir, err) == -1)
		return -1;
	w->finished = true;
	*out = s;
	return 0;
}

void segment_writer_close(struct segment_writer *w, bool keep)
{
	struct err ignored;

	if (w == NULL)
		return;
	close(w->fd);
	if (!keep || !w->finished)
		file_unlink(w->path, &ignored);
	buf_fini(&w->buf);
	buf_fini(&w->filters);
	map_fini(&w->streams);
	vec_fini(&w->stream);
	vec_fini(&w->chunk);
	free(w->path);
	free(w->dir);
	free(w);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

struct segment {
	int fd;
	char *path;
	uint64_t id, file_id;
	_Atomic int refs;
	_Atomic bool dead;
};

static int damaged(struct err *err, const struct segment *s, const char *what)
{
	return err_set(err, ERR_CORRUPT, "segment %s: %s", s->path, what);
}

static int read_header(struct segment *s, struct err *err)
{
	char h[HEADER_BYTES];
	struct cursor c = cursor_of(slice_of(h, sizeof(h)));

	if (file_pread(s->fd, h, sizeof(h), 0, err) == -1)
		return err_prefix(err, "segment %s", s->path);
	struct slice magic = cursor_bytes(&c, 8);
	uint32_t version = cursor_u32le(&c), flags = cursor_u32le(&c);
	s->file_id = cursor_u64le(&c);
	cursor_i64le(&c);
	if (memcmp(magic.p, MAGIC, 8) != 0 || cursor_u64le(&c) != hash64(slice_of(h, HEADER_BYTES - 8)))
		return damaged(err, s, "bad header");
	if (version != VERSION || flags != 0)
		return damaged(err, s, "written by a newer version");
	return 0;
}

int segment_open(const char *dir, uint64_t id, struct segment **out, struct err *err)
{
	struct segment *s = xcalloc(1, sizeof(*s));
	char path[4096];

	segment_path(path, sizeof(path), dir, id);
	s->path = xstrdup(path);
	s->id = id;
	atomic_store(&s->refs, 1);
	s->fd = file_open_read(path, err);
	if (s->fd == -1 || read_header(s, err) == -1) {
		if (s->fd != -1)
			close(s->fd);
		free(s->path);
		free(s);
		return -1;
	}
	*out = s;
	return 0;
}

struct segment *segment_ref(struct segment *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void segment_unref(struct segment *s)
{
	struct err ignored;

	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	close(s->fd);
	if (atomic_load(&s->dead))
		file_unlink(s->path, &ignored);
	free(s->path);
	free(s);
}

void segment_mark_dead(struct segment *s)
{
	atomic_store(&s->dead, true);
}

uint64_t segment_id(const struct segment *s)
{
	return s->id;
}

uint64_t segment_file_id(const struct segment *s)
{
	return s->file_id;
}

int segment_read(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct segment_reader_arg *a = arg;

	return file_pread(a->s->fd, p, n, a->chunk_off + off, err);
}

int segment_chunk_header(struct segment *s, uint64_t off, uint32_t header_bytes, struct chunk_header *out,
			 struct err *err)
{
	int rc = -1;

	if (header_bytes > CHUNK_MAX_HEADER)
		return damaged(err, s, "impossible chunk header size");
	char *p = xmalloc(header_bytes);
	if (file_pread(s->fd, p, header_bytes, off, err) == 0)
		rc = chunk_header_parse(slice_of(p, header_bytes), chunk_seed(s->file_id, off), out, err);
	free(p);
	if (rc == -1)
		err_prefix(err, "segment %s, chunk at %llu", s->path, (unsigned long long)off);
	return rc;
}

bool segment_filter_is_sound(const struct segment *s, struct slice filter, uint64_t filter_sum)
{
	return filter.n >= FUSE_HEADER_BYTES && hash64_seed(filter, s->file_id) == filter_sum;
}

/* The filter's bytes, verified; NULL if they cannot be believed. */
static char *read_filter(struct segment *s, uint64_t off, uint32_t bytes, uint64_t sum)
{
	struct err ignored;

	if (bytes < FUSE_HEADER_BYTES)
		return NULL;
	char *p = xmalloc(bytes);
	if (file_pread(s->fd, p, bytes, off, &ignored) == 0 &&
	    segment_filter_is_sound(s, slice_of(p, bytes), sum))
		return p;
	free(p);
	return NULL;
}

bool segment_filter_is_good(struct segment *s, uint64_t off, uint32_t bytes, uint64_t sum)
{
	char *p = read_filter(s, off, bytes, sum);

	free(p);
	return p != NULL;
}

bool segment_read_filters(struct segment *s, uint64_t off, size_t n, char *out)
{
	struct err ignored;

	return file_pread(s->fd, out, n, off, &ignored) == 0;
}

bool segment_filter_asks(struct slice filter, const struct trace_group *groups, size_t n_groups)
{
	bool perhaps = true;

	for (size_t g = 0; g < n_groups && perhaps; g++) {
		perhaps = false;
		for (size_t i = 0; i < groups[g].n && !perhaps; i++)
			perhaps = fuse_has(filter, groups[g].token[i]);
	}
	return perhaps;
}

bool segment_filter_may_hold(struct segment *s, uint64_t off, uint32_t bytes, uint64_t sum,
			     const struct trace_group *groups, size_t n_groups)
{
	char *p = read_filter(s, off, bytes, sum);
	bool perhaps = p == NULL || segment_filter_asks(slice_of(p, bytes), groups, n_groups);

	free(p);
	return perhaps;
}

/* Most counts with their header are no longer. */
enum { FIRST_COUNTS_READ = 1024 };

int segment_counts(struct segment *s, uint64_t off, uint64_t counts_off, const struct chunk_info *info,
		   struct counts *out, struct err *err)
{
	size_t got = FIRST_COUNTS_READ;
	uint64_t sum;

	buf_reset(&out->bytes);
	if (file_pread_some(s->fd, buf_reserve(&out->bytes, got), &got, counts_off, err) == -1)
		return -1;
	out->bytes.n = got;
	/* The footer and the trailer are longer than this header. */
	if (got < COUNTS_HEADER_BYTES)
		return damaged(err, s, "file cut short");
	uint32_t n = counts_header(out->bytes.p, &sum);
	if (n == 0)
		return 0;
	size_t end = COUNTS_HEADER_BYTES + (size_t)n;
	if (got < end &&
	    file_pread(s->fd, buf_reserve(&out->bytes, end - got), end - got, counts_off + got, err) == -1)
		return -1;
	struct slice payload = slice_of(out->bytes.p + COUNTS_HEADER_BYTES, n);
	if (hash64_seed(payload, chunk_seed(s->file_id, off)) != sum)
		return damaged(err, s, "bad checksum of counts");
	return counts_parse(payload, info, out, err) == -1 ? -1 : 1;
}

/* Appends the chunk's counts as they stand, if there are any. */
static int read_counts(struct segment *s, uint64_t off, struct buf *b, struct err *err)
{
	char header[COUNTS_HEADER_BYTES];
	uint64_t sum;

	if (file_pread(s->fd, header, sizeof(header), off, err) == -1)
		return -1;
	uint32_t n = counts_header(header, &sum);
	if (n == 0)
		return 0;
	buf_append(b, header, sizeof(header));
	if (file_pread(s->fd, buf_reserve(b, n), n, off + sizeof(header), err) == -1)
		return -1;
	b->n += n;
	return 0;
}

int segment_read_piece(struct segment *s, const struct segment_chunk *c, struct buf *b,
		       struct segment_piece *out, struct err *err)
{
	size_t chunk = c->info.total_bytes, filter = c->filter_bytes;
	struct chunk_header h;

	if (filter < FUSE_HEADER_BYTES || c->info.header_bytes > chunk)
		return 0;
	buf_reset(b);
	buf_reserve(b, chunk + filter);
	if (file_pread(s->fd, b->p, chunk, c->off, err) == -1 ||
	    file_pread(s->fd, b->p + chunk, filter, c->filter_off, err) == -1)
		return -1;
	b->n = chunk + filter;
	if (hash64_seed(slice_of(b->p + chunk, filter), s->file_id) != c->filter_sum)
		return 0;
	uint64_t seed = chunk_seed(s->file_id, c->off);
	if (chunk_header_parse(slice_of(b->p, c->info.header_bytes), seed, &h, err) == -1)
		return err->code == ERR_CORRUPT ? 0 : -1;
	bool fits = h.info.total_bytes == chunk && h.info.n_entries == c->info.n_entries;
	chunk_header_fini(&h);
	if (!fits || read_counts(s, c->filter_off + filter, b, err) == -1)
		return fits ? -1 : 0;
	*out = (struct segment_piece){ .info = c->info,
				       .seed = seed,
				       .chunk = slice_of(b->p, chunk),
				       .filter = slice_of(b->p + chunk, filter),
				       .counts = slice_from(buf_slice(b), chunk + filter) };
	return 1;
}

static int parse_footer(const struct segment *s, struct slice bytes, struct arena *a,
			struct segment_footer *f, struct err *err)
{
	struct cursor c = cursor_of(slice_sub(bytes, 4, bytes.n - 4));

	if (bytes.n < 4 || memcmp(bytes.p, FOOTER_MAGIC, 4) != 0)
		return damaged(err, s, "no footer");
	f->sum.wal_first = cursor_varint(&c);
	f->sum.wal_last = cursor_varint(&c);
	f->sum.level = (uint32_t)cursor_varint(&c);
	f->sum.trace_keys = cursor_u64le(&c);
	f->n_replaces = cursor_varint(&c);
	if (f->n_replaces > cursor_left(&c))
		return damaged(err, s, "impossible footer");
	f->replaces = arena_array(a, uint64_t, f->n_replaces);
	for (size_t i = 0; i < f->n_replaces; i++)
		f->replaces[i] = cursor_varint(&c);
	f->n_streams = cursor_varint(&c);
	if (f->n_streams > cursor_left(&c))
		return damaged(err, s, "impossible footer");
	f->stream = arena_array(a, struct slice, f->n_streams);
	for (size_t i = 0; i < f->n_streams; i++)
		f->stream[i] = cursor_lenslice(&c);
	f->n_chunks = cursor_varint(&c);
	if (f->n_chunks > cursor_left(&c) / 18)
		return damaged(err, s, "impossible footer");
	f->chunk = arena_array(a, struct segment_chunk, f->n_chunks);
	for (size_t i = 0; i < f->n_chunks; i++) {
		struct segment_chunk *k = &f->chunk[i];

		k->stream = (uint32_t)cursor_varint(&c);
		k->off = cursor_varint(&c);
		k->info.header_bytes = (uint32_t)cursor_varint(&c);
		k->info.total_bytes = cursor_varint(&c);
		k->info.first_ts = cursor_svarint(&c);
		k->info.last_ts = (int64_t)((uint64_t)k->info.first_ts + cursor_varint(&c));
		k->info.n_entries = (uint32_t)cursor_varint(&c);
		k->info.raw_bytes = cursor_varint(&c);
		k->filter_off = cursor_varint(&c);
		k->filter_bytes = (uint32_t)cursor_varint(&c);
		k->filter_sum = cursor_u64le(&c);
		if (k->stream >= f->n_streams || k->info.total_bytes > f->sum.size || k->off > f->sum.size ||
		    k->filter_bytes > f->sum.size || k->filter_off > f->sum.size)
			c.bad = true;
		f->sum.n_entries += k->info.n_entries;
		f->sum.raw_bytes += k->info.raw_bytes;
		f->sum.first_ts = MIN(f->sum.first_ts, k->info.first_ts);
		f->sum.last_ts = MAX(f->sum.last_ts, k->info.last_ts);
	}
	if (c.bad || cursor_left(&c) != 0)
		return damaged(err, s, "impossible footer");
	return 0;
}

bool segment_was_finished(struct segment *s)
{
	int64_t size = file_size(s->fd);
	char magic[4];
	struct err ignored;

	return size >= HEADER_BYTES + TRAILER_BYTES &&
	       file_pread(s->fd, magic, 4, (uint64_t)size - TRAILER_BYTES + 12, &ignored) == 0 &&
	       memcmp(magic, END_MAGIC, 4) == 0;
}

int segment_read_footer(struct segment *s, struct arena *a, struct segment_footer *out, struct err *err)
{
	char t[TRAILER_BYTES];
	struct segment_footer f = {
		.sum = { .id = s->id, .file_id = s->file_id, .first_ts = INT64_MAX, .last_ts = INT64_MIN }
	};
	int64_t size = file_size(s->fd);

	if (size < HEADER_BYTES + TRAILER_BYTES)
		return damaged(err, s, "cut short");
	if (file_pread(s->fd, t, sizeof(t), (uint64_t)size - TRAILER_BYTES, err) == -1)
		return -1;
	struct cursor c = cursor_of(slice_of(t, sizeof(t)));
	uint64_t off = cursor_u64le(&c);
	uint32_t n = cursor_u32le(&c);
	struct slice magic = cursor_bytes(&c, 4);
	uint64_t sum = cursor_u64le(&c), trailer_sum = cursor_u64le(&c);

	if (memcmp(magic.p, END_MAGIC, 4) != 0 ||
	    trailer_sum != hash64_seed(slice_of(t, TRAILER_BYTES - 8), s->file_id) || n > MAX_FOOTER ||
	    off + n + TRAILER_BYTES != (uint64_t)size)
		return damaged(err, s, "bad trailer");
	char *p = arena_alloc(a, (size_t)n + 1);
	if (file_pread(s->fd, p, n, off, err) == -1)
		return -1;
	if (hash64_seed(slice_of(p, n), s->file_id) != sum)
		return damaged(err, s, "bad footer checksum");
	f.sum.size = (uint64_t)size;
	if (parse_footer(s, slice_of(p, n), a, &f, err) == -1)
		return -1;
	*out = f;
	return 0;
}

int segment_each_entry(struct segment *s, uint64_t off, uint32_t header_bytes, segment_entry_fn fn, void *arg,
		       uint64_t *n_bad_blocks, struct err *err)
{
	struct segment_reader_arg ra = { s, off };
	struct chunk_source src = { segment_read, &ra };
	struct chunk_scratch scratch = { 0 };
	struct chunk_header h;
	int rc = 0;

	if (segment_chunk_header(s, off, header_bytes, &h, err) == -1)
		return -1;
	const struct chunk_codec *codec = chunk_codec_find(h.codec);
	for (size_t b = 0; b < h.n_blocks && rc == 0; b++) {
		chunk_scratch_reset(&scratch);
		if (codec->block_read(&h, b, src, true, &scratch, err) == -1) {
			if (err->code != ERR_CORRUPT)
				rc = -1;
			(*n_bad_blocks)++;
			continue;
		}
		for (size_t i = 0; i < scratch.n && rc == 0; i++) {
			struct chunk_entry e = { scratch.ts[i], scratch.line[i],
						 scratch.metas[scratch.meta[i]] };

			rc = fn(arg, &e, err);
		}
	}
	chunk_scratch_fini(&scratch);
	chunk_header_fini(&h);
	return rc;
}
