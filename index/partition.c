#include "index/partition.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "index/filter.h"
#include "model/tenant.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { MAX_IDLE_READERS = 4 };
static const char BLOOM_MAGIC[8] = { 'S', 'P', 'B', 'L', 'O', 'O', 'M', '1' };

/* ---- opening and closing -------------------------------------------------------------------------------------- */

static char *index_path(const char *dir)
{
	return xasprintf("%s/index.db", dir);
}

static int open_index(const char *data_dir, const char *dir, bool create, const struct trace_keys *keys,
		      int64_t bucket_ns, struct sql **out, struct err *err)
{
	char *path = index_path(dir);
	bool exists = file_exists(path);
	int rc = -1;

	if (!exists) {
		/* A folder with segments whose index is gone: make it anew. Without segments it is simply new. */
		if (partition_rebuild(dir, keys, bucket_ns, err) == -1)
			goto out;
		if (!file_exists(path) && !create) {
			err_set(err, ERR_NOT_FOUND, "no partition in %s", dir);
			goto out;
		}
	}
	rc = sql_open(path, !file_exists(path), false, out, err);
	if (rc == -1 && err->code == ERR_CORRUPT) {
		log_error("damaged index: made anew from the segments", KV("path", path),
			  KV("error", err->msg));
		if (partition_quarantine(data_dir, path, err) == 0 &&
		    partition_rebuild(dir, keys, bucket_ns, err) == 0)
			rc = sql_open(path, !file_exists(path), false, out, err);
	}
out:
	free(path);
	return rc;
}

/* The width of the trace index's time buckets stays what it was when the partition was made. */
static int note_bucket_width(struct partition *p, int64_t bucket_ns, struct err *err)
{
	p->bucket_ns = 0;
	if (sql_meta_get(p->writer, "trace_bucket_ns", &p->bucket_ns, err) == -1)
		return -1;
	if (p->bucket_ns > 0)
		return 0;
	p->bucket_ns = bucket_ns;
	if (sql_meta_set(p->writer, "trace_keys", (int64_t)trace_keys_fingerprint(p->keys), err) == -1)
		return -1;
	return sql_meta_set(p->writer, "trace_bucket_ns", bucket_ns, err);
}

/* What the index says of itself, after opening it. */
static int load_meta(struct partition *p, int64_t bucket_ns, struct err *err)
{
	int64_t wal_pos = 0, bloom = 0, keys = 0;

	if (note_bucket_width(p, bucket_ns, err) == -1 ||
	    sql_meta_get(p->writer, "wal_pos", &wal_pos, err) == -1 ||
	    sql_meta_get(p->writer, "bloom_blocks", &bloom, err) == -1 ||
	    sql_meta_get(p->writer, "trace_keys", &keys, err) == -1)
		return -1;
	atomic_store(&p->wal_pos, (uint64_t)wal_pos);
	atomic_store(&p->bloom_blocks, (uint64_t)bloom);
	atomic_store(&p->other_keys, (uint64_t)keys != trace_keys_fingerprint(p->keys));
	return 0;
}

/* No two indexes of a process have the same. */
static uint64_t next_uid(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add(&last, 1) + 1;
}

int partition_open(const char *data_dir, struct slice tenant, int64_t day, bool create,
		   const struct trace_keys *keys, int64_t bucket_ns, struct partition **out, struct err *err)
{
	struct partition *p = xcalloc(1, sizeof(*p));
	struct buf name;
	char day_text[16];

	buf_init(&name);
	tenant_dir_name(&name, tenant);
	clock_format_day(day_text, day);
	p->dir = xasprintf("%s/tenants/%s/%s", data_dir, name.p, day_text);
	buf_fini(&name);
	p->tenant = xasprintf("%.*s", SLICE_ARG(tenant));
	p->data_dir = xstrdup(data_dir);
	p->day = day;
	p->keys = keys;
	p->uid = next_uid();
	atomic_store(&p->refs, 1);
	atomic_store(&p->bloom_fd, -1);
	pthread_mutex_init(&p->merge_lock, NULL);
	pthread_mutex_init(&p->write_lock, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_rwlock_init(&p->segments_lock, NULL);
	if (create && file_mkdirs(p->dir, err) == -1)
		goto fail;
	if (open_index(data_dir, p->dir, create, keys, bucket_ns, &p->writer, err) == -1)
		goto fail;
	if (load_meta(p, bucket_ns, err) == -1)
		goto fail;
	atomic_store(&p->last_used_mono_ns, clock_mono_ns());
	atomic_store(&p->last_publish_mono_ns, clock_mono_ns());
	*out = p;
	return 0;
fail:
	partition_unref(p);
	return -1;
}

struct partition *partition_ref(struct partition *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

static void close_handles(struct partition *p)
{
	for (size_t i = 0; i < p->idle_readers.n; i++)
		sql_close(p->idle_readers.v[i]);
	p->idle_readers.n = 0;
	for (size_t i = 0; i < p->open_segments.n; i++)
		segment_unref(p->open_segments.v[i]);
	p->open_segments.n = 0;
	int fd = atomic_exchange(&p->bloom_fd, -1);
	if (fd != -1)
		close(fd);
}

void partition_unref(struct partition *p)
{
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	close_handles(p);
	vec_fini(&p->idle_readers);
	vec_fini(&p->open_segments);
	vec_fini(&p->in_doubt);
	sql_close(p->writer);
	pthread_mutex_destroy(&p->merge_lock);
	pthread_mutex_destroy(&p->write_lock);
	pthread_mutex_destroy(&p->lock);
	pthread_rwlock_destroy(&p->segments_lock);
	free(p->tenant);
	free(p->data_dir);
	free(p->dir);
	free(p);
}

int partition_mend(struct partition *p, struct err *err)
{
	char *path = index_path(p->dir);
	int rc = -1;

	pthread_mutex_lock(&p->merge_lock);
	pthread_mutex_lock(&p->write_lock);
	pthread_rwlock_wrlock(&p->segments_lock);
	if (atomic_load(&p->dropped) || !atomic_load(&p->index_damaged)) {
		rc = 0; /* somebody else was faster */
		goto out;
	}
	pthread_mutex_lock(&p->lock);
	close_handles(p);
	pthread_mutex_unlock(&p->lock);
	sql_close(p->writer);
	p->writer = NULL;
	log_error("damaged index: made anew from the segments", KV("path", path));
	if (file_exists(path) && partition_quarantine(p->data_dir, path, err) == -1)
		goto out;
	if (open_index(p->data_dir, p->dir, true, p->keys, p->bucket_ns, &p->writer, err) == -1 ||
	    load_meta(p, p->bucket_ns, err) == -1)
		goto out;
	p->in_doubt.n = 0; /* they were taken in */
	p->uid = next_uid();
	atomic_fetch_add(&p->version, 1);
	atomic_store(&p->index_damaged, false);
	rc = 0;
out:
	pthread_rwlock_unlock(&p->segments_lock);
	pthread_mutex_unlock(&p->write_lock);
	pthread_mutex_unlock(&p->merge_lock);
	free(path);
	return rc;
}

void partition_close_idle(struct partition *p)
{
	struct err ignored;

	if (pthread_mutex_trylock(&p->write_lock) != 0)
		return;
	if (pthread_rwlock_trywrlock(&p->segments_lock) == 0) {
		pthread_mutex_lock(&p->lock);
		if (p->writer != NULL) {
			sql_checkpoint(p->writer, &ignored);
			sql_close(p->writer);
			p->writer = NULL;
		}
		close_handles(p);
		pthread_mutex_unlock(&p->lock);
		pthread_rwlock_unlock(&p->segments_lock);
	}
	pthread_mutex_unlock(&p->write_lock);
}

struct timerange partition_range(const struct partition *p)
{
	int64_t start, end;

	/* The first and the last day of int64 time are cut short. */
	if (__builtin_mul_overflow(p->day, NS_PER_DAY, &start))
		start = INT64_MIN;
	if (__builtin_mul_overflow(p->day + 1, NS_PER_DAY, &end))
		end = INT64_MAX;
	return (struct timerange){ start, end };
}

struct sql *partition_writer(struct partition *p, struct err *err)
{
	if (p->writer == NULL) {
		char *path = index_path(p->dir);

		sql_open(path, false, false, &p->writer, err);
		free(path);
	}
	atomic_store(&p->last_used_mono_ns, clock_mono_ns());
	return p->writer;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

int partition_read_begin(struct partition *p, struct partition_reader *r, struct err *err)
{
	*r = (struct partition_reader){ .p = p };
	pthread_rwlock_rdlock(&p->segments_lock);
	if (atomic_load(&p->dropped)) {
		/* Another partition may stand in the same folder by now. */
		pthread_rwlock_unlock(&p->segments_lock);
		return err_set(err, ERR_NOT_FOUND, "%s was dropped", p->dir);
	}
	atomic_store(&p->last_used_mono_ns, clock_mono_ns());
	return 0;
}

int partition_reader_sql(struct partition_reader *r, struct err *err)
{
	struct partition *p = r->p;
	struct sql *sql = NULL;

	if (r->sql != NULL)
		return 0;
	r->version = atomic_load(&p->version);
	pthread_mutex_lock(&p->lock);
	if (p->idle_readers.n > 0)
		sql = p->idle_readers.v[--p->idle_readers.n];
	pthread_mutex_unlock(&p->lock);
	if (sql == NULL) {
		char *path = index_path(p->dir);

		sql_open(path, false, false, &sql, err);
		free(path);
	}
	if (sql == NULL || sql_exec(sql, "BEGIN", err) == -1) {
		sql_close(sql);
		return -1;
	}
	r->sql = sql;
	return 0;
}

static void end_sql(struct partition_reader *r)
{
	struct err ignored;

	for (size_t i = 0; i < SQL_N_STMTS; i++)
		if (r->sql->stmt[i] != NULL)
			sqlite3_reset(r->sql->stmt[i]);
	bool good = sql_exec(r->sql, "COMMIT", &ignored) == 0;
	pthread_mutex_lock(&r->p->lock);
	if (good && r->p->idle_readers.n < MAX_IDLE_READERS)
		vec_push(&r->p->idle_readers, TAKE(r->sql));
	pthread_mutex_unlock(&r->p->lock);
	sql_close(r->sql);
}

void partition_read_end(struct partition_reader *r)
{
	if (r->sql != NULL)
		end_sql(r);
	pthread_rwlock_unlock(&r->p->segments_lock);
}

struct segment *partition_segment(struct partition *p, uint64_t id)
{
	struct segment *s = NULL;
	struct err err;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->open_segments.n && s == NULL; i++)
		if (segment_id(p->open_segments.v[i]) == id)
			s = p->open_segments.v[i];
	if (s == NULL) {
		if (segment_open(p->dir, id, &s, &err) == 0) {
			vec_push(&p->open_segments, s);
		} else {
			atomic_fetch_add(&p->n_missing, 1);
			log_error("segment cannot be read", KV("dir", p->dir), KVI("segment", id),
				  KV("error", err.msg));
		}
	}
	if (s != NULL)
		segment_ref(s);
	pthread_mutex_unlock(&p->lock);
	return s;
}

static int bloom_file(struct partition *p)
{
	int fd = atomic_load(&p->bloom_fd);
	struct err ignored;

	if (fd != -1)
		return fd;
	char *path = xasprintf("%s/trace.bloom", p->dir);
	pthread_mutex_lock(&p->lock);
	fd = atomic_load(&p->bloom_fd);
	if (fd == -1) {
		fd = file_open_read(path, &ignored);
		atomic_store(&p->bloom_fd, fd);
	}
	pthread_mutex_unlock(&p->lock);
	free(path);
	return fd;
}

bool partition_may_hold(struct partition *p, const struct trace_group *groups, size_t n_groups)
{
	char block[BLOOM_BLOCK_BYTES];
	struct err ignored;
	bool damaged;

	pthread_rwlock_rdlock(&p->segments_lock);
	uint64_t n = atomic_load(&p->bloom_blocks);
	int fd = n > 0 ? bloom_file(p) : -1;
	bool all = true;
	for (size_t g = 0; fd != -1 && g < n_groups && all; g++) {
		bool any = groups[g].n == 0;

		for (size_t i = 0; i < groups[g].n && !any; i++) {
			size_t at = bloom_block_of(groups[g].token[i], n);

			/* Block 0 of the file is its header. */
			any = file_pread(fd, block, sizeof(block), (at + 1) * BLOOM_BLOCK_BYTES, &ignored) ==
				      -1 ||
			      bloom_block_has(block, at, groups[g].token[i], &damaged);
		}
		all = any;
	}
	pthread_rwlock_unlock(&p->segments_lock);
	return all;
}

static void match_text(const struct trace_group *g, struct buf *out)
{
	for (size_t i = 0; i < g->n; i++)
		buf_printf(out, "%s\"%016llx\"", i > 0 ? " OR " : "", (unsigned long long)g->token[i]);
}

static int cmp_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int group_buckets(struct sql *sql, const struct trace_group *g, int64_t **out, size_t *n,
			 struct err *err)
{
	VEC(int64_t) rows = { 0 };
	sqlite3_stmt *st = sql_prepare(sql, SQL_TRACE_FIND, err);
	struct buf text;
	int rc = -1;

	if (st == NULL)
		return -1;
	buf_init(&text);
	match_text(g, &text);
	sqlite3_bind_text(st, 1, text.p, (int)text.n, SQLITE_STATIC);
	while ((rc = sql_step(sql, st, err)) == 1)
		vec_push(&rows, sqlite3_column_int64(st, 0));
	sqlite3_clear_bindings(st);
	buf_fini(&text);
	if (rc == -1) {
		vec_fini(&rows);
		return -1;
	}
	*out = rows.v;
	*n = rows.n;
	return 0;
}

int partition_trace_windows(struct partition_reader *r, const struct trace_group *groups, size_t n_groups,
			    struct timerange **out, size_t *n_out, struct err *err)
{
	int64_t *bucket = NULL, *more, stored = r->p->bucket_ns;
	size_t n = 0, n_more;
	VEC(struct timerange) w = { 0 };

	for (size_t g = 0; g < n_groups; g++) {
		if (group_buckets(r->sql, &groups[g], &more, &n_more, err) == -1) {
			free(bucket);
			return -1;
		}
		if (g == 0) {
			bucket = more;
			n = n_more;
			continue;
		}
		size_t kept = 0;
		for (size_t i = 0; i < n; i++)
			if (n_more > 0 && bsearch(&bucket[i], more, n_more, sizeof(*more), cmp_i64) != NULL)
				bucket[kept++] = bucket[i];
		n = kept;
		free(more);
	}
	for (size_t i = 0; i < n; i++) {
		int64_t start, end;

		if (__builtin_mul_overflow(bucket[i], stored, &start))
			start = bucket[i] < 0 ? INT64_MIN : INT64_MAX;
		if (__builtin_add_overflow(start, stored, &end))
			end = INT64_MAX;
		if (w.n > 0 && w.v[w.n - 1].end >= start)
			w.v[w.n - 1].end = end;
		else
			vec_push(&w, ((struct timerange){ start, end }));
	}
	free(bucket);
	*out = w.v;
	*n_out = w.n;
	return 0;
}

static uint64_t row_sum(const int64_t v[13])
{
	return hash64(slice_of(v, 13 * sizeof(v[0])));
}

static void row_values(const struct chunk_row *r, int64_t v[13])
{
	v[0] = r->stream;
	v[1] = (int64_t)r->segment;
	v[2] = (int64_t)r->seq;
	v[3] = r->info.first_ts;
	v[4] = r->info.last_ts;
	v[5] = r->info.n_entries;
	v[6] = (int64_t)r->info.raw_bytes;
	v[7] = (int64_t)r->off;
	v[8] = r->info.header_bytes;
	v[9] = (int64_t)r->info.total_bytes;
	v[10] = (int64_t)r->filter_off;
	v[11] = r->filter_bytes;
	v[12] = (int64_t)r->filter_sum;
}

int partition_chunk_row(struct sql *sql, sqlite3_stmt *st, struct chunk_row *out, struct err *err)
{
	int64_t v[13];
	int rc = sql_step(sql, st, err);

	if (rc != 1)
		return rc;
	for (int i = 0; i < 13; i++)
		v[i] = sqlite3_column_int64(st, i);
	if ((uint64_t)sqlite3_column_int64(st, 13) != row_sum(v)) {
		err_set(err, ERR_CORRUPT, "index %s: a chunk row is damaged", sql->path);
		return 2;
	}
	*out = (struct chunk_row){ .stream = v[0],
				   .segment = (uint64_t)v[1],
				   .seq = (uint64_t)v[2],
				   .off = (uint64_t)v[7],
				   .filter_off = (uint64_t)v[10],
				   .filter_bytes = (uint32_t)v[11],
				   .filter_sum = (uint64_t)v[12] };
	out->info = (struct chunk_info){ .first_ts = v[3],
					 .last_ts = v[4],
					 .n_entries = (uint32_t)v[5],
					 .raw_bytes = (uint64_t)v[6],
					 .header_bytes = (uint32_t)v[8],
					 .total_bytes = (uint64_t)v[9] };
	return 1;
}

/* ---- streams -------------------------------------------------------------------------------------------------- */

bool labels_match(struct slice encoded, const struct matcher *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice v = labels_get_encoded(encoded, m[i].name);

		if (!matcher_matches(&m[i], v.p != NULL ? v : SLICE("")))
			return false;
	}
	return true;
}

static uint64_t label_token(struct slice name, struct slice value)
{
	return hash64_seed(value, hash64(name));
}

static void put_token(struct buf *b, struct slice name, struct slice value)
{
	buf_printf(b, "\"%016llx\"", (unsigned long long)label_token(name, value));
}

enum { MAX_OR_VALUES = 500 };

/* Adds an OR of all stored values that a regex or != accepts; leaves text alone if there are too many. */
static int add_values(struct sql *sql, const struct matcher *m, struct buf *text, bool *none, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_LABEL_VALUES, err);
	size_t n = 0, start = text->n;
	int rc;

	if (st == NULL)
		return -1;
	sqlite3_bind_blob(st, 1, m->name.p, (int)m->name.n, SQLITE_STATIC);
	buf_puts(text, text->n > 0 ? " AND (" : "(");
	while ((rc = sql_step(sql, st, err)) == 1) {
		struct slice value = sql_blob(st, 0);

		if (!matcher_matches(m, value))
			continue;
		if (n++ == MAX_OR_VALUES)
			break;
		if (n > 1)
			buf_puts(text, " OR ");
		put_token(text, m->name, value);
	}
	sqlite3_reset(st);
	buf_putc(text, ')');
	if (n == 0)
		*none = true;
	if (n == 0 || n > MAX_OR_VALUES)
		text->n = start;
	return rc == -1 ? -1 : 0;
}

/* What FTS5 can narrow: matchers that refuse the empty string. */
static int fts_text(struct sql *sql, const struct matcher *m, size_t n, struct buf *text, bool *none,
		    struct err *err)
{
	for (size_t i = 0; i < n && !*none; i++) {
		if (matcher_matches_empty(&m[i]))
			continue;
		if (m[i].op == MATCH_EQ) {
			if (text->n > 0)
				buf_puts(text, " AND ");
			put_token(text, m[i].name, m[i].value);
		} else if (add_values(sql, &m[i], text, none, err) == -1) {
			return -1;
		}
	}
	return 0;
}

int partition_match_streams(struct sql *sql, const struct matcher *m, size_t n,
			    int (*fn)(void *arg, int64_t id, struct slice encoded), void *arg,
			    struct err *err)
{
	bool none = false;
	struct buf text;
	int rc = -1;

	buf_init(&text);
	if (fts_text(sql, m, n, &text, &none, err) == -1)
		goto out;
	rc = 0;
	if (none)
		goto out;
	sqlite3_stmt *st = sql_prepare(sql, text.n > 0 ? SQL_STREAM_MATCH : SQL_STREAM_ALL, err);
	if (st == NULL) {
		rc = -1;
		goto out;
	}
	if (text.n > 0)
		sqlite3_bind_text(st, 1, text.p, (int)text.n, SQLITE_STATIC);
	while ((rc = sql_step(sql, st, err)) == 1) {
		struct slice encoded = sql_blob(st, 1);

		if (labels_match(encoded, m, n) && fn(arg, sqlite3_column_int64(st, 0), encoded) == -1) {
			rc = -1;
			break;
		}
	}
	sqlite3_reset(st);
	if (text.n > 0)
		sqlite3_clear_bindings(st);
out:
	buf_fini(&text);
	return rc;
}

/* ---- publishing ----------------------------------------------------------------------------------------------- */

static int cmp_pair(const void *a, const void *b)
{
	const struct trace_pair *x = a, *y = b;

	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	return x->token < y->token ? -1 : x->token > y->token;
}

void trace_pairs_unique(struct trace_pair *v, size_t *n)
{
	size_t unique = 0;

	if (*n > 1)
		qsort(v, *n, sizeof(*v), cmp_pair);
	for (size_t i = 0; i < *n; i++)
		if (i == 0 || cmp_pair(&v[i], &v[i - 1]) != 0)
			v[unique++] = v[i];
	*n = unique;
}

static void put_hex(struct buf *b, uint64_t v)
{
	static const char hex[] = "0123456789abcdef";
	char *p = buf_reserve(b, 17);

	for (int i = 15; i >= 0; i--, v >>= 4)
		p[i] = hex[v & 15];
	p[16] = ' ';
	b->n += 17;
}

int partition_add_traces(struct sql *sql, const struct trace_pair *v, size_t n, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_TRACE_ADD, err);
	struct buf doc;
	int rc = 0;

	if (st == NULL)
		return -1;
	buf_init(&doc);
	for (size_t i = 0, j; i < n && rc == 0; i = j) {
		buf_reset(&doc);
		for (j = i; j < n && v[j].bucket == v[i].bucket; j++)
			put_hex(&doc, v[j].token);
		sqlite3_bind_int64(st, 1, v[i].bucket);
		sqlite3_bind_text(st, 2, doc.p, (int)doc.n, SQLITE_STATIC);
		rc = sql_run(sql, st, err);
		sqlite3_reset(st);
	}
	sqlite3_clear_bindings(st);
	buf_fini(&doc);
	return rc;
}

static int find_stream(struct sql *sql, struct slice encoded, int64_t *id, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_STREAM_BY_HASH, err);
	int rc;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)labels_hash(encoded));
	*id = -1;
	while ((rc = sql_step(sql, st, err)) == 1) {
		if (slice_eq(sql_blob(st, 1), encoded)) {
			*id = sqlite3_column_int64(st, 0);
			break;
		}
	}
	sqlite3_reset(st);
	return rc == -1 ? -1 : 0;
}

static int add_label_row(struct sql *sql, struct label l, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_LABEL_ADD, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_blob(st, 1, l.name.p, (int)l.name.n, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, l.value.p, (int)l.value.n, SQLITE_STATIC);
	return sql_run(sql, st, err);
}

static int add_stream(struct sql *sql, struct slice encoded, int64_t *id, struct err *err)
{
	struct buf tokens;
	int rc = -1;

	if (find_stream(sql, encoded, id, err) == -1)
		return -1;
	if (*id != -1)
		return 0;
	buf_init(&tokens);
	sqlite3_stmt *st = sql_prepare(sql, SQL_STREAM_ADD, err);
	if (st == NULL)
		goto out;
	sqlite3_bind_int64(st, 1, (int64_t)labels_hash(encoded));
	sqlite3_bind_blob(st, 2, encoded.p, (int)encoded.n, SQLITE_STATIC);
	if (sql_run(sql, st, err) == -1)
		goto out;
	*id = sqlite3_last_insert_rowid(sql->db);
	struct cursor c = cursor_of(encoded);
	for (uint64_t n = cursor_varint(&c); n > 0 && !c.bad; n--) {
		struct label l = labels_next(&c);

		put_hex(&tokens, label_token(l.name, l.value));
		if (add_label_row(sql, l, err) == -1)
			goto out;
	}
	st = sql_prepare(sql, SQL_STREAM_FTS_ADD, err);
	if (st == NULL)
		goto out;
	sqlite3_bind_int64(st, 1, *id);
	sqlite3_bind_text(st, 2, tokens.n > 0 ? tokens.p : "", (int)tokens.n, SQLITE_STATIC);
	rc = sql_run(sql, st, err);
	sqlite3_clear_bindings(st);
out:
	buf_fini(&tokens);
	return rc;
}

static int add_chunks(struct sql *sql, const struct segment_summary *sum, const struct slice *streams,
		      const struct segment_chunk *chunk, size_t n, struct err *err)
{
	int64_t id = -1, longest = 0;
	uint32_t last = UINT32_MAX;

	if (sql_meta_get(sql, "longest_chunk_ns", &longest, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct segment_chunk *c = &chunk[i];

		if (c->stream != last && add_stream(sql, streams[c->stream], &id, err) == -1)
			return -1;
		last = c->stream;
		struct chunk_row r = { .stream = id,
				       .segment = sum->id,
				       .seq = sum->wal_first,
				       .info = c->info,
				       .off = c->off,
				       .filter_off = c->filter_off,
				       .filter_bytes = c->filter_bytes,
				       .filter_sum = c->filter_sum };
		int64_t v[13];
		row_values(&r, v);
		sqlite3_stmt *st = sql_prepare(sql, SQL_CHUNK_ADD, err);
		if (st == NULL)
			return -1;
		for (int k = 0; k < 13; k++)
			sqlite3_bind_int64(st, k + 1, v[k]);
		sqlite3_bind_int64(st, 14, (int64_t)row_sum(v));
		if (sql_run(sql, st, err) == -1)
			return -1;
		int64_t span;
		if (__builtin_sub_overflow(c->info.last_ts, c->info.first_ts, &span))
			span = INT64_MAX;
		longest = MAX(longest, span);
	}
	return sql_meta_set(sql, "longest_chunk_ns", longest, err);
}

static int add_segment(struct sql *sql, const struct segment_summary *s, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_SEGMENT_ADD, err);

	if (st == NULL)
		return -1;
	const int64_t v[10] = {
		(int64_t)s->id, (int64_t)s->file_id, (int64_t)s->wal_first, (int64_t)s->wal_last,
		s->level,	(int64_t)s->size,    (int64_t)s->n_entries, (int64_t)s->raw_bytes,
		s->first_ts,	s->last_ts
	};
	for (int i = 0; i < 10; i++)
		sqlite3_bind_int64(st, i + 1, v[i]);
	return sql_run(sql, st, err);
}

static int remove_segment_rows(struct sql *sql, uint64_t id, struct err *err)
{
	static const enum sql_stmt which[] = { SQL_CHUNK_DEL_SEGMENT, SQL_SEGMENT_DEL };

	for (size_t i = 0; i < ARRAY_LEN(which); i++) {
		sqlite3_stmt *st = sql_prepare(sql, which[i], err);

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, (int64_t)id);
		if (sql_run(sql, st, err) == -1)
			return -1;
	}
	return 0;
}

int partition_add_footer(struct sql *sql, const struct segment_footer *f, struct err *err)
{
	if (add_segment(sql, &f->sum, err) == -1)
		return -1;
	return add_chunks(sql, &f->sum, f->stream, f->chunk, f->n_chunks, err);
}

static int publish_rows(struct sql *sql, const struct publish *pub, struct err *err)
{
	size_t n = segment_writer_n_chunks(pub->segment); /* none: deletes emptied it */

	for (size_t i = 0; i < pub->n_replaces; i++)
		if (remove_segment_rows(sql, pub->replaces[i], err) == -1)
			return -1;
	if (add_segment(sql, &pub->summary, err) == -1 ||
	    (n > 0 && add_chunks(sql, &pub->summary, pub->streams, segment_writer_get(pub->segment, 0), n,
				 err) == -1) ||
	    partition_add_traces(sql, pub->pairs, pub->n_pairs, err) == -1)
		return -1;
	if (pub->wal_pos != 0 && (sql_meta_set(sql, "wal_pos", (int64_t)pub->wal_pos, err) == -1 ||
				  sql_meta_set(sql, "bloom_blocks", 0, err) == -1))
		return -1;
	return 0;
}

/* Once tokens of two sets of keys are mixed, the index can answer for neither. */
static int note_mixed_keys(struct partition *p, struct sql *sql, struct err *err)
{
	return atomic_load(&p->other_keys) ? sql_meta_set(sql, "trace_keys", 0, err) : 0;
}

/* Each attempt writes over the one before, so only the latest can come back; a few are kept to be on the safe side. */
static void doubt(struct partition *p, uint64_t id)
{
	enum { KEPT = 4 };
	char path[4096];
	struct err ignored;

	if (p->in_doubt.n == KEPT) {
		segment_path(path, sizeof(path), p->dir, p->in_doubt.v[0]);
		file_unlink(path, &ignored);
		memmove(p->in_doubt.v, p->in_doubt.v + 1, --p->in_doubt.n * sizeof(*p->in_doubt.v));
	}
	vec_push(&p->in_doubt, id);
}

/* The transaction after them is committed: a crash cannot bring them back, so their files may go. */
static void settle_doubts(struct partition *p)
{
	char path[4096];
	struct err ignored;

	for (size_t i = 0; i < p->in_doubt.n; i++) {
		segment_path(path, sizeof(path), p->dir, p->in_doubt.v[i]);
		file_unlink(path, &ignored);
	}
	p->in_doubt.n = 0;
}

/* Takes replaced segments out of the set of open ones; their files go when the last reader leaves. */
static void retire_segments(struct partition *p, const uint64_t *ids, size_t n)
{
	struct err ignored;

	pthread_rwlock_wrlock(&p->segments_lock);
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < n; i++) {
		struct segment *s = NULL;

		for (size_t k = 0; k < p->open_segments.n && s == NULL; k++) {
			if (segment_id(p->open_segments.v[k]) == ids[i]) {
				s = p->open_segments.v[k];
				p->open_segments.v[k] = p->open_segments.v[--p->open_segments.n];
			}
		}
		if (s != NULL) {
			segment_mark_dead(s);
			segment_unref(s);
		} else {
			char path[4096];

			segment_path(path, sizeof(path), p->dir, ids[i]);
			file_unlink(path, &ignored);
		}
	}
	pthread_mutex_unlock(&p->lock);
	pthread_rwlock_unlock(&p->segments_lock);
}

static void forget_bloom(struct partition *p)
{
	atomic_store(&p->bloom_blocks, 0);
	pthread_rwlock_wrlock(&p->segments_lock);
	int fd = atomic_exchange(&p->bloom_fd, -1);
	pthread_rwlock_unlock(&p->segments_lock);
	if (fd != -1)
		close(fd);
}

int partition_publish(struct partition *p, struct publish *pub, struct err *err)
{
	struct sql *sql = partition_writer(p, err);
	struct err ignored;

	if (sql == NULL)
		return -1;
	if (pub->wal_pos != 0)
		forget_bloom(p);
	if (sql_exec(sql, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (publish_rows(sql, pub, err) == -1 || note_mixed_keys(p, sql, err) == -1) {
		sql_exec(sql, "ROLLBACK", &ignored);
		return -1;
	}
	if (sql_exec(sql, "COMMIT", err) == -1) {
		sql_exec(sql, "ROLLBACK", &ignored);
		atomic_fetch_add(&p->version, 1);
		pub->in_doubt = true;
		doubt(p, pub->summary.id);
		return -1;
	}
	/* Before a segment is retired or a head let go: until then the old set is as good as the new one. */
	atomic_fetch_add(&p->version, 1);
	settle_doubts(p);
	if (pub->wal_pos != 0) {
		atomic_store(&p->wal_pos, pub->wal_pos);
		atomic_store(&p->last_publish_mono_ns, clock_mono_ns());
	}
	if (pub->n_replaces > 0)
		retire_segments(p, pub->replaces, pub->n_replaces);
	return 0;
}

int partition_next_segment(struct partition *p, uint64_t *out, struct err *err)
{
	DIR *d = opendir(p->dir);
	uint64_t highest = 0, id;

	/* The folder knows best: it also holds what a crash left behind. */
	if (d == NULL)
		return err_errno(err, "open directory %s", p->dir);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct slice name = slice_cstr(e->d_name);

		if (slice_ends(name, SLICE(".seg")) && slice_to_u64(slice_sub(name, 0, name.n - 4), &id) &&
		    id > highest)
			highest = id;
	}
	closedir(d);
	int64_t noted = 0;
	struct sql *sql = partition_writer(p, err);
	if (sql == NULL || sql_meta_get(sql, "next_segment", &noted, err) == -1)
		return -1;
	id = MAX(highest + 1, (uint64_t)noted);
	if (sql_meta_set(sql, "next_segment", (int64_t)id + 1, err) == -1)
		return -1;
	*out = id;
	return 0;
}

int partition_segments(struct sql *sql, struct segment_summary **out, uint64_t **n_chunks, size_t *n,
		       struct err *err)
{
	VEC(struct segment_summary) v = { 0 };
	VEC(uint64_t) counts = { 0 };
	sqlite3_stmt *st = sql_prepare(sql, SQL_SEGMENT_ALL, err);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = sql_step(sql, st, err)) == 1) {
		struct segment_summary *s = vec_add(&v);
		int64_t c[11];

		for (int i = 0; i < 11; i++)
			c[i] = sqlite3_column_int64(st, i);
		*s = (struct segment_summary){ .id = (uint64_t)c[0],
					       .file_id = (uint64_t)c[1],
					       .wal_first = (uint64_t)c[2],
					       .wal_last = (uint64_t)c[3],
					       .level = (uint32_t)c[4],
					       .size = (uint64_t)c[5],
					       .n_entries = (uint64_t)c[6],
					       .raw_bytes = (uint64_t)c[7],
					       .first_ts = c[8],
					       .last_ts = c[9] };
		vec_push(&counts, (uint64_t)c[10]);
	}
	if (rc == -1) {
		vec_fini(&v);
		vec_fini(&counts);
		return -1;
	}
	*out = v.v;
	*n_chunks = counts.v;
	*n = v.n;
	return 0;
}

/* ---- the filter of a closed day ------------------------------------------------------------------------------- */

static int read_vocab(struct sql *sql, uint64_t **out, size_t *n, struct err *err)
{
	VEC(uint64_t) tokens = { 0 };
	int rc;

	if (sql_exec(sql,
		     "CREATE VIRTUAL TABLE IF NOT EXISTS temp.trace_vocab USING fts5vocab(main, trace_fts, "
		     "row)",
		     err) == -1)
		return -1;
	sqlite3_stmt *st = sql_prepare(sql, SQL_TRACE_VOCAB, err);
	if (st == NULL)
		return -1;
	while ((rc = sql_step(sql, st, err)) == 1) {
		const char *hex = (const char *)sqlite3_column_text(st, 0);

		vec_push(&tokens, strtoull(hex != NULL ? hex : "0", NULL, 16));
	}
	if (rc == -1) {
		vec_fini(&tokens);
		return -1;
	}
	*out = tokens.v;
	*n = tokens.n;
	return 0;
}

int partition_build_bloom(struct partition *p, struct err *err)
{
	char *path = xasprintf("%s/trace.bloom", p->dir);
	uint64_t *tokens = NULL;
	size_t n = 0;
	char *file = NULL;
	int rc = -1;

	pthread_mutex_lock(&p->write_lock);
	struct sql *sql = partition_writer(p, err);
	if (sql == NULL || read_vocab(sql, &tokens, &n, err) == -1)
		goto out;
	size_t n_blocks = bloom_n_blocks(n);
	file = xcalloc(n_blocks + 1, BLOOM_BLOCK_BYTES);
	memcpy(file, BLOOM_MAGIC, 8);
	memcpy(file + 8, &(uint64_t){ n_blocks }, 8);
	for (size_t i = 0; i < n; i++)
		bloom_add(file + BLOOM_BLOCK_BYTES, n_blocks, tokens[i]);
	bloom_seal(file + BLOOM_BLOCK_BYTES, n_blocks);
	if (file_replace(path, slice_of(file, (n_blocks + 1) * BLOOM_BLOCK_BYTES), err) == -1 ||
	    sql_meta_set(sql, "bloom_blocks", (int64_t)n_blocks, err) == -1)
		goto out;
	atomic_store(&p->bloom_blocks, n_blocks);
	rc = 0;
out:
	pthread_mutex_unlock(&p->write_lock);
	free(tokens);
	free(file);
	free(path);
	return rc;
}
