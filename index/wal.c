#include "index/wal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum { HEADER_BYTES = WAL_HEADER_BYTES, RECORD_HEADER = 24, VERSION = 1 };
static const char MAGIC[8] = { 'S', 'P', 'O', 'O', 'R', 'W', 'A', 'L' };
static const char RECORD_MAGIC[4] = { 'S', 'P', 'W', 'R' };

struct wal {
	char *dir;
	int fd;
	uint64_t number, seed;
	uint64_t off;			 /* end of what was written */
	uint64_t good;			 /* end of what counts */
	uint64_t prev_number, prev_good; /* as its header says */
};

static void path_of(char *out, size_t size, const char *dir, uint64_t number)
{
	snprintf(out, size, "%s/%010llu.wal", dir, (unsigned long long)number);
}

uint64_t wal_payload_sum(struct slice payload)
{
	return hash64(payload);
}

static int begin_file(struct wal *w, uint64_t number, uint64_t prev_number, uint64_t prev_good,
		      struct err *err)
{
	char path[4096];
	struct buf b;
	uint64_t seed;

	path_of(path, sizeof(path), w->dir, number);
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = hash_mix((uint64_t)clock_now_ns() ^ number);
	buf_init(&b);
	buf_append(&b, MAGIC, 8);
	buf_u32le(&b, VERSION);
	buf_u32le(&b, 0);
	buf_u64le(&b, number);
	buf_u64le(&b, seed);
	buf_u64le(&b, prev_number);
	buf_u64le(&b, prev_good);
	buf_u64le(&b, hash64(buf_slice(&b)));

	/* What a failed attempt may have left: the number is beyond all files that count. */
	int fd = file_unlink(path, err) == 0 ? file_create(path, err) : -1, rc = -1;
	if (fd != -1 && file_write(fd, buf_slice(&b), err) == 0 && file_sync(fd, err) == 0 &&
	    file_sync_dir(w->dir, err) == 0)
		rc = 0;
	buf_fini(&b);
	if (rc == -1) {
		if (fd != -1) {
			close(fd);
			unlink(path);
		}
		return -1;
	}
	if (w->fd != -1)
		close(w->fd);
	w->fd = fd;
	w->number = number;
	w->seed = seed;
	w->off = w->good = HEADER_BYTES;
	w->prev_number = prev_number;
	w->prev_good = prev_good;
	return 0;
}

static int cmp_number(const void *a, const void *b)
{
	uint64_t x = ((const struct wal_file *)a)->number, y = ((const struct wal_file *)b)->number;

	return x < y ? -1 : x > y;
}

static bool parse_file_header(struct slice h, uint64_t *number, uint64_t *seed, uint64_t *prev,
			      uint64_t *prev_good)
{
	struct cursor c = cursor_of(h);
	struct slice magic = cursor_bytes(&c, 8);
	uint32_t version = cursor_u32le(&c), flags = cursor_u32le(&c);

	*number = cursor_u64le(&c);
	*seed = cursor_u64le(&c);
	*prev = cursor_u64le(&c);
	*prev_good = cursor_u64le(&c);
	uint64_t sum = cursor_u64le(&c);
	return !c.bad && memcmp(magic.p, MAGIC, 8) == 0 && version == VERSION && flags == 0 &&
	       sum == hash64(slice_sub(h, 0, HEADER_BYTES - 8));
}

int wal_list(const char *dir, struct wal_file **out, size_t *n_out, struct err *err)
{
	DIR *d = opendir(dir);
	VEC(struct wal_file) files = { 0 };

	if (d == NULL)
		return err_errno(err, "open directory %s", dir);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct slice name = slice_cstr(e->d_name);
		struct wal_file f = { .good = UINT64_MAX };

		if (slice_ends(name, SLICE(".wal")) &&
		    slice_to_u64(slice_sub(name, 0, name.n - 4), &f.number))
			vec_push(&files, f);
	}
	closedir(d);
	if (files.n > 1)
		qsort(files.v, files.n, sizeof(*files.v), cmp_number);
	for (size_t i = 0; i < files.n; i++) {
		char path[4096], h[HEADER_BYTES];
		uint64_t number, seed, prev, prev_good;
		struct err ignored;

		path_of(path, sizeof(path), dir, files.v[i].number);
		int fd = file_open_read(path, err);
		if (fd == -1) {
			vec_fini(&files);
			return -1;
		}
		int rc = file_pread(fd, h, sizeof(h), 0, &ignored);
		close(fd);
		if (rc == -1 ||
		    !parse_file_header(slice_of(h, sizeof(h)), &number, &seed, &prev, &prev_good) ||
		    number != files.v[i].number) {
			files.v[i].damaged_header = true;
			continue;
		}
		/* Nearly always the neighbour. */
		for (size_t k = i; k-- > 0 && files.v[k].number >= prev;)
			if (files.v[k].number == prev && prev_good < files.v[k].good)
				files.v[k].good = prev_good;
	}
	*out = files.v;
	*n_out = files.n;
	return 0;
}

int wal_new(const char *dir, uint64_t first_number, struct wal **out, struct err *err)
{
	struct wal *w;
	struct wal_file *files = NULL;
	size_t n = 0;

	if (wal_list(dir, &files, &n, err) == -1)
		return -1;
	uint64_t last = n > 0 ? files[n - 1].number : 0;
	free(files);
	w = xcalloc(1, sizeof(*w));
	w->dir = xstrdup(dir);
	w->fd = -1;
	w->number = MAX(last + 1, first_number) - 1;
	w->prev_good = UINT64_MAX;
	*out = w;
	return 0;
}

int wal_open(const char *dir, uint64_t first_number, struct wal **out, struct err *err)
{
	struct wal *w;

	if (wal_new(dir, first_number, &w, err) == -1)
		return -1;
	if (wal_next(w, err) == -1) {
		wal_close(w);
		return -1;
	}
	*out = w;
	return 0;
}

void wal_close(struct wal *w)
{
	if (w == NULL)
		return;
	if (w->fd != -1)
		close(w->fd);
	free(w->dir);
	free(w);
}

uint64_t wal_number(const struct wal *w)
{
	return w->number;
}

uint64_t wal_bytes(const struct wal *w)
{
	return w->off;
}

static uint64_t header_sum(const char *header16, uint64_t seed, uint64_t off)
{
	return hash64_seed(slice_of(header16, 16), seed ^ (off * 0x9e3779b97f4a7c15ULL));
}

int wal_append(struct wal *w, struct slice payload, uint64_t payload_sum, struct err *err)
{
	char h[RECORD_HEADER];
	uint32_t n = (uint32_t)payload.n;

	memcpy(h, RECORD_MAGIC, 4);
	memcpy(h + 4, &n, 4);
	memcpy(h + 8, &payload_sum, 8);
	uint64_t sum = header_sum(h, w->seed, w->off);
	memcpy(h + 16, &sum, 8);
	if (file_write(w->fd, slice_of(h, sizeof(h)), err) == -1 || file_write(w->fd, payload, err) == -1)
		return err_prefix(err, "WAL file %llu", (unsigned long long)w->number);
	w->off += RECORD_HEADER + payload.n;
	return 0;
}

int wal_sync_now(struct wal *w, struct err *err)
{
	return file_sync(w->fd, err);
}

void wal_mark_good(struct wal *w)
{
	w->good = w->off;
}

int wal_next(struct wal *w, struct err *err)
{
	uint64_t old = w->number;
	char path[4096];
	struct err ignored;

	if (w->good > HEADER_BYTES)
		return begin_file(w, old + 1, old, w->good, err);
	/* Nothing in this file counts. While writing keeps failing such files must not pile up: the new one repeats what
	 * this one says of its predecessor, and takes its place. */
	bool any = w->fd != -1;
	if (begin_file(w, old + 1, w->prev_number, w->prev_good, err) == -1)
		return -1;
	if (!any)
		return 0;
	path_of(path, sizeof(path), w->dir, old);
	if (file_unlink(path, &ignored) == -1)
		log_warn("empty log file stays", KV("path", path));
	return 0;
}

int wal_remove_through(const char *dir, uint64_t number, struct err *err)
{
	struct wal_file *files;
	size_t n;
	bool any = false;
	int rc = 0;

	if (wal_list(dir, &files, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n && files[i].number <= number && rc == 0; i++) {
		char path[4096];

		path_of(path, sizeof(path), dir, files[i].number);
		rc = file_unlink(path, err);
		any = true;
	}
	free(files);
	/* Durable: the list of dropped days forgets what these files held. */
	if (rc == 0 && any)
		rc = file_sync_dir(dir, err);
	return rc;
}

/* ---- replay --------------------------------------------------------------------------------------------------- */

/* Is there a record header at off that can be believed? */
static bool header_at(struct slice file, uint64_t seed, uint64_t off, uint32_t *n, uint64_t *payload_sum)
{
	if (off + RECORD_HEADER > file.n || memcmp(file.p + off, RECORD_MAGIC, 4) != 0)
		return false;
	uint64_t sum;
	memcpy(&sum, file.p + off + 16, 8);
	if (sum != header_sum(file.p + off, seed, off))
		return false;
	memcpy(n, file.p + off + 4, 4);
	memcpy(payload_sum, file.p + off + 8, 8);
	return true;
}

static size_t find_next_record(struct slice file, uint64_t seed, size_t from)
{
	uint32_t n;
	uint64_t sum;

	while (from + RECORD_HEADER <= file.n) {
		size_t at = slice_find(slice_from(file, from), slice_of(RECORD_MAGIC, 4));

		if (at == SLICE_NONE)
			break;
		from += at;
		if (header_at(file, seed, from, &n, &sum))
			return from;
		from++;
	}
	return SLICE_NONE;
}

int wal_replay_bytes(struct slice file, uint64_t good,
		     int (*fn)(void *arg, struct slice payload, struct err *err), void *arg,
		     struct wal_replay_stats *stats, struct err *err)
{
	uint64_t number, seed, prev, prev_good, bad_since = UINT64_MAX;
	size_t off = HEADER_BYTES;

	if (file.n < HEADER_BYTES ||
	    !parse_file_header(slice_sub(file, 0, HEADER_BYTES), &number, &seed, &prev, &prev_good)) {
		stats->damaged++;
		return 0;
	}
	if (good < file.n)
		file.n = good < HEADER_BYTES ? HEADER_BYTES : (size_t)good;
	while (off < file.n) {
		uint32_t n;
		uint64_t sum;

		if (!header_at(file, seed, off, &n, &sum)) {
			size_t next = find_next_record(file, seed, off + 1);

			bad_since = off;
			if (next == SLICE_NONE)
				break;
			stats->damaged++;
			off = next;
			bad_since = UINT64_MAX;
			continue;
		}
		if (n > file.n - off - RECORD_HEADER) {
			bad_since = off;
			break;
		}
		struct slice payload = slice_sub(file, off + RECORD_HEADER, n);
		if (wal_payload_sum(payload) == sum) {
			if (bad_since != UINT64_MAX)
				stats->damaged++;
			bad_since = UINT64_MAX;
			if (fn(arg, payload, err) == -1)
				return -1;
			stats->records++;
			stats->bytes += n;
		} else if (bad_since == UINT64_MAX) {
			bad_since = off;
		}
		off += RECORD_HEADER + n;
	}
	if (bad_since != UINT64_MAX)
		stats->torn++;
	return 0;
}

int wal_replay(const char *dir, const struct wal_file *f,
	       int (*fn)(void *arg, struct slice payload, struct err *err), void *arg,
	       struct wal_replay_stats *stats, struct err *err)
{
	char path[4096];
	struct buf b;

	path_of(path, sizeof(path), dir, f->number);
	buf_init(&b);
	int rc = file_read_all(path, SIZE_MAX / 4, &b, err);
	if (rc == 0)
		rc = wal_replay_bytes(buf_slice(&b), f->good, fn, arg, stats, err);
	buf_fini(&b);
	return rc;
}

/* ---- payloads ------------------------------------------------------------------------------------------------- */

enum { COUNT_BYTES = 4, VARINT_BYTES = 10 };

static char *put_varint(char *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (char)(v | 0x80);
		v >>= 7;
	}
	*p++ = (char)v;
	return p;
}

static char *put_bytes(char *p, struct slice s)
{
	p = put_varint(p, s.n);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* A varint of fixed length. */
static void put_count(char *p, uint64_t n)
{
	assert(n < 1u << 7 * COUNT_BYTES);
	for (unsigned i = 0; i < COUNT_BYTES; i++)
		p[i] = (char)((n >> 7 * i & 0x7f) | (i + 1 < COUNT_BYTES ? 0x80 : 0));
}

static size_t add_count(struct buf *b)
{
	size_t at = b->n;

	put_count(buf_reserve(b, COUNT_BYTES), 0);
	b->n += COUNT_BYTES;
	return at;
}

static size_t varint_bytes(uint64_t v)
{
	return v < 0x80 ? 1 : (70 - (size_t)__builtin_clzll(v)) / 7;
}

static size_t encoded_bytes(const struct label *l, uint32_t n)
{
	size_t bytes = varint_bytes(n);

	for (uint32_t i = 0; i < n; i++)
		bytes += varint_bytes(l[i].name.n) + l[i].name.n + varint_bytes(l[i].value.n) + l[i].value.n;
	return bytes;
}

static size_t most_bytes(const struct batch_entry *e, size_t meta_bytes)
{
	return 4 * VARINT_BYTES + e->line.n + meta_bytes + e->n_tokens * sizeof(uint64_t);
}

size_t wal_writer_bound(const struct batch_entry *e, size_t n)
{
	size_t bytes = COUNT_BYTES + VARINT_BYTES;

	for (size_t i = 0; i < n; i++)
		bytes += most_bytes(&e[i], encoded_bytes(e[i].meta, e[i].n_meta));
	return bytes;
}

void wal_writer_start(struct wal_writer *w, struct buf *b, struct slice tenant)
{
	*w = (struct wal_writer){ .b = b };
	buf_reset(b);
	buf_putc(b, WAL_TYPE_ENTRIES);
	buf_lenslice(b, tenant);
	w->streams_at = add_count(b);
}

static void end_stream(struct wal_writer *w)
{
	if (w->n_streams > 0)
		put_count(w->b->p + w->entries_at, w->n_entries);
}

void wal_writer_stream(struct wal_writer *w, struct slice encoded)
{
	end_stream(w);
	buf_lenslice(w->b, encoded);
	w->entries_at = add_count(w->b);
	w->n_entries = 0;
	w->prev_ts = 0;
	w->n_streams++;
}

/* Most entries share the metadata of the one before. */
static char *put_meta(struct wal_writer *w, char *p, const struct batch_entry *e, bool same)
{
	p = put_varint(p, w->meta_n);
	size_t at = (size_t)(p - w->b->p);

	if (same) {
		memcpy(p, w->b->p + w->meta_at, w->meta_n);
		p += w->meta_n;
	} else {
		p = put_varint(p, e->n_meta);
		for (uint32_t i = 0; i < e->n_meta; i++)
			p = put_bytes(put_bytes(p, e->meta[i].name), e->meta[i].value);
	}
	w->meta_at = at;
	return p;
}

void wal_writer_entry(struct wal_writer *w, const struct batch_entry *e)
{
	bool same = w->meta_n > 0 && e->meta == w->meta && e->n_meta == w->n_meta;
	int64_t d = (int64_t)((uint64_t)e->ts - (uint64_t)w->prev_ts);

	if (!same) {
		w->meta = e->meta;
		w->n_meta = e->n_meta;
		w->meta_n = encoded_bytes(e->meta, e->n_meta);
	}
	char *p = buf_reserve(w->b, most_bytes(e, w->meta_n));
	p = put_varint(p, (uint64_t)d << 1 ^ (uint64_t)(d >> 63));
	p = put_bytes(p, e->line);
	p = put_meta(w, p, e, same);
	p = put_varint(p, e->n_tokens);
	if (e->n_tokens > 0)
		memcpy(p, e->tokens, e->n_tokens * sizeof(uint64_t));
	p += e->n_tokens * sizeof(uint64_t);
	w->b->n = (size_t)(p - w->b->p);
	w->prev_ts = e->ts;
	w->n_entries++;
}

void wal_writer_finish(struct wal_writer *w)
{
	end_stream(w);
	put_count(w->b->p + w->streams_at, w->n_streams);
}

static int malformed(struct err *err)
{
	return err_set(err, ERR_CORRUPT, "malformed WAL record");
}

int wal_reader_start(struct wal_reader *r, struct slice payload, struct err *err)
{
	*r = (struct wal_reader){ .c = cursor_of(payload) };
	uint8_t type = cursor_u8(&r->c);
	r->tenant = cursor_lenslice(&r->c);
	r->streams_left = cursor_varint(&r->c);
	if (r->c.bad || type != WAL_TYPE_ENTRIES || r->tenant.n == 0)
		return malformed(err);
	return 0;
}

int wal_reader_stream(struct wal_reader *r, struct err *err)
{
	if (r->streams_left == 0)
		return cursor_left(&r->c) == 0 ? 0 : malformed(err);
	r->streams_left--;
	r->labels = cursor_lenslice(&r->c);
	r->entries_left = cursor_varint(&r->c);
	r->prev_ts = 0;
	return r->c.bad ? malformed(err) : 1;
}

int wal_reader_entry(struct wal_reader *r, struct wal_entry *e, struct err *err)
{
	if (r->entries_left == 0)
		return 0;
	r->entries_left--;
	e->ts = (int64_t)((uint64_t)r->prev_ts + (uint64_t)cursor_svarint(&r->c));
	r->prev_ts = e->ts;
	e->line = cursor_lenslice(&r->c);
	e->meta = cursor_lenslice(&r->c);
	uint64_t n = cursor_varint(&r->c);
	if (n > cursor_left(&r->c) / 8)
		return malformed(err);
	e->tokens = cursor_bytes(&r->c, n * 8);
	return r->c.bad ? malformed(err) : 1;
}
