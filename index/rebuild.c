/* Makes a partition's index anew from its segments, and clears away what a crash left behind. */
#include "index/partition.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static int list_segments(const char *dir, uint64_t **out, size_t *n, struct err *err)
{
	VEC(uint64_t) ids = { 0 };
	DIR *d = opendir(dir);
	uint64_t id;

	if (d == NULL)
		return err_errno(err, "open directory %s", dir);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct slice name = slice_cstr(e->d_name);

		if (slice_ends(name, SLICE(".seg")) && slice_to_u64(slice_sub(name, 0, name.n - 4), &id))
			vec_push(&ids, id);
	}
	closedir(d);
	*out = ids.v;
	*n = ids.n;
	return 0;
}

struct collect {
	const struct trace_keys *keys;
	struct slice stream;
	int64_t bucket_ns;
	struct trace_found found;
	VEC(struct trace_pair) pairs;
};

static int collect_entry(void *arg, const struct chunk_entry *e, struct err *err)
{
	struct collect *c = arg;

	(void)err;
	trace_find(c->keys, e->line, e->meta, c->stream, &c->found);
	for (size_t i = 0; i < c->found.n_tokens; i++)
		vec_push(&c->pairs,
			 ((struct trace_pair){ trace_bucket(e->ts, c->bucket_ns), c->found.token[i] }));
	return 0;
}

/* Adds one segment to the new index, as publishing it would have done. */
static int add_segment_to(struct sql *sql, struct segment *s, const struct segment_footer *f,
			  const struct trace_keys *keys, int64_t bucket_ns, struct err *err)
{
	struct collect c = { .keys = keys, .bucket_ns = bucket_ns };
	uint64_t bad = 0;
	int rc = 0;

	for (size_t i = 0; i < f->n_chunks && rc == 0; i++) {
		const struct segment_chunk *k = &f->chunk[i];
		struct err local;

		c.stream = f->stream[k->stream];
		if (segment_each_entry(s, k->off, k->info.header_bytes, collect_entry, &c, &bad, &local) ==
		    -1) {
			bad++;
			log_warn("damaged chunk while making an index", KV("error", local.msg));
		}
		if (c.pairs.n > 1 << 20 || i + 1 == f->n_chunks) {
			trace_pairs_unique(c.pairs.v, &c.pairs.n);
			rc = partition_add_traces(sql, c.pairs.v, c.pairs.n, err);
			c.pairs.n = 0;
		}
	}
	if (rc == 0)
		rc = partition_add_footer(sql, f, err);
	trace_found_fini(&c.found);
	vec_fini(&c.pairs);
	return rc;
}

static bool is_replaced(uint64_t id, const struct segment_footer *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < f[i].n_replaces; k++)
			if (f[i].replaces[k] == id)
				return true;
	return false;
}

int partition_rebuild(const char *dir, const struct trace_keys *keys, int64_t bucket_ns, struct err *err)
{
	char *tmp = xasprintf("%s/index.db.new", dir), *path = xasprintf("%s/index.db", dir);
	uint64_t *ids = NULL, wal_pos = 0;
	size_t n = 0, n_good = 0;
	struct segment **seg = NULL;
	struct segment_footer *foot = NULL;
	struct sql *sql = NULL;
	struct arena arena;
	int rc = -1;

	arena_init(&arena);
	if (file_unlink(tmp, err) == -1 || list_segments(dir, &ids, &n, err) == -1)
		goto out;
	seg = xcalloc(n, sizeof(struct segment *));
	foot = xcalloc(n, sizeof(*foot));
	for (size_t i = 0; i < n; i++) {
		struct err local;

		if (segment_open(dir, ids[i], &seg[n_good], &local) == -1 ||
		    segment_read_footer(seg[n_good], &arena, &foot[n_good], &local) == -1) {
			log_warn("segment left out of the new index", KV("dir", dir), KVI("segment", ids[i]),
				 KV("error", local.msg));
			segment_unref(seg[n_good]);
			seg[n_good] = NULL;
			continue;
		}
		n_good++;
	}
	if (n_good == 0) {
		rc = 0; /* nothing to index: the caller makes an empty one if it wants to */
		goto out;
	}
	if (sql_open(tmp, true, false, &sql, err) == -1 || sql_exec(sql, "BEGIN IMMEDIATE", err) == -1 ||
	    sql_meta_set(sql, "trace_bucket_ns", bucket_ns, err) == -1)
		goto out;
	for (size_t i = 0; i < n_good; i++) {
		if (is_replaced(foot[i].sum.id, foot, n_good))
			continue;
		if (add_segment_to(sql, seg[i], &foot[i], keys, bucket_ns, err) == -1)
			goto out;
		wal_pos = MAX(wal_pos, foot[i].sum.wal_last);
	}
	if (sql_meta_set(sql, "wal_pos", (int64_t)wal_pos, err) == -1 || sql_exec(sql, "COMMIT", err) == -1)
		goto out;
	sql_close(sql);
	sql = NULL;
	rc = file_rename(tmp, path, err);
	if (rc == 0)
		log_info("index made anew", KV("dir", dir), KVI("segments", n_good));
out:
	sql_close(sql);
	for (size_t i = 0; i < n_good; i++)
		segment_unref(seg[i]);
	free(seg);
	free(foot);
	free(ids);
	free(tmp);
	free(path);
	arena_fini(&arena);
	return rc;
}

/* A file that the healthy index does not name: what a crash between writing and publishing, or between replacing and
 * unlinking, left behind. */
int partition_remove_orphans(struct partition *p, size_t *n_removed, struct err *err)
{
	struct segment_summary *known = NULL;
	uint64_t *ids = NULL, *counts = NULL;
	size_t n = 0, n_known = 0;
	int rc = -1;

	*n_removed = 0;
	pthread_mutex_lock(&p->write_lock);
	struct sql *sql = partition_writer(p, err);
	if (sql == NULL || partition_segments(sql, &known, &counts, &n_known, err) == -1 ||
	    list_segments(p->dir, &ids, &n, err) == -1)
		goto out;
	rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		char path[4096];
		bool named = false;

		for (size_t k = 0; k < n_known && !named; k++)
			named = known[k].id == ids[i];
		if (named)
			continue;
		segment_path(path, sizeof(path), p->dir, ids[i]);
		rc = file_unlink(path, err);
		(*n_removed)++;
	}
out:
	pthread_mutex_unlock(&p->write_lock);
	free(known);
	free(counts);
	free(ids);
	return rc;
}

int partition_quarantine(const char *data_dir, const char *path, struct err *err)
{
	static const char *const companions[] = { "", "-wal", "-shm" };
	char *dir = xasprintf("%s/quarantine", data_dir);
	int rc = file_mkdirs(dir, err);

	for (size_t i = 0; i < ARRAY_LEN(companions) && rc == 0; i++) {
		char *from = xasprintf("%s%s", path, companions[i]);
		const char *base = strrchr(path, '/');
		char *to = xasprintf("%s/%lld-%s%s", dir, (long long)clock_now_ns(),
				     base != NULL ? base + 1 : path, companions[i]);

		if (file_exists(from))
			rc = file_rename(from, to, err);
		free(from);
		free(to);
	}
	free(dir);
	return rc;
}
