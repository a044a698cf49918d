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

/* The new file is complete and stands alone: what SQLite keeps beside it is written back, and nothing of an older index
 * lies where it would be taken for a part of this one. */
static int put_in_place(struct sql *sql, const char *tmp, const char *path, struct err *err)
{
	static const char *const companions[] = { "-wal", "-shm" };
	int rc = sql_checkpoint(sql, err);

	sql_close(sql);
	for (size_t i = 0; i < ARRAY_LEN(companions) && rc == 0; i++) {
		char *old = xasprintf("%s%s", path, companions[i]);

		rc = file_unlink(old, err);
		free(old);
	}
	return rc == 0 ? file_rename(tmp, path, err) : -1;
}

static bool can_open(const char *dir, uint64_t id, struct err *err)
{
	char path[4096];

	segment_path(path, sizeof(path), dir, id);
	int fd = file_open_read(path, err);
	if (fd != -1)
		close(fd);
	return fd != -1;
}

int partition_rebuild(const char *dir, const struct trace_keys *keys, int64_t bucket_ns, struct err *err)
{
	char *tmp = xasprintf("%s/index.db.new", dir), *path = xasprintf("%s/index.db", dir);
	uint64_t *ids = NULL, wal_pos = 0, made_with = trace_keys_fingerprint(keys);
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

		/* No descriptor left, say: the index must not be made without it. */
		if (!can_open(dir, ids[i], err))
			goto out;
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
		if (foot[i].sum.trace_keys != made_with)
			made_with = 0; /* the filters of its chunks do not know today's keys */
	}
	if (sql_meta_set(sql, "wal_pos", (int64_t)wal_pos, err) == -1 ||
	    sql_meta_set(sql, "trace_keys", (int64_t)made_with, err) == -1 ||
	    sql_exec(sql, "COMMIT", err) == -1)
		goto out;
	rc = put_in_place(TAKE(sql), tmp, path, err);
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

/* ---- what a crash left behind ---------------------------------------------------------------------------------- */

struct orphans {
	struct partition *p;
	struct segment_summary *known;
	uint64_t *ids, *counts;
	size_t n, n_known;
	VEC(uint64_t) replaced; /* by a segment that the index names */
	bool replaced_read;
};

static bool is_known(const struct orphans *o, uint64_t id)
{
	for (size_t i = 0; i < o->n_known; i++)
		if (o->known[i].id == id)
			return true;
	return false;
}

/* Footers are read only when a file needs explaining. */
static void read_replaced(struct orphans *o)
{
	for (size_t i = 0; i < o->n_known && !o->replaced_read; i++) {
		struct segment_footer f;
		struct segment *s = NULL;
		struct arena a;
		struct err ignored;

		arena_init(&a);
		if (segment_open(o->p->dir, o->known[i].id, &s, &ignored) == 0 &&
		    segment_read_footer(s, &a, &f, &ignored) == 0)
			for (size_t k = 0; k < f.n_replaces; k++)
				vec_push(&o->replaced, f.replaces[k]);
		segment_unref(s);
		arena_fini(&a);
	}
	o->replaced_read = true;
}

static bool was_replaced(const struct orphans *o, uint64_t id)
{
	for (size_t i = 0; i < o->replaced.n; i++)
		if (o->replaced.v[i] == id)
			return true;
	return false;
}

enum fate {
	REMOVE,	     /* its entries stand elsewhere, or it was never finished */
	SET_ASIDE,   /* finished once, damaged since: to quarantine */
	LEAVE,	     /* cannot be read now */
	UNEXPLAINED, /* it is good and the only one that holds its entries: the index must have lost rows */
};

/* A file without its end was being written when the process died; nothing relied on it yet. */
static enum fate fate_of_unreadable(struct segment *s, const struct err *err)
{
	if (err->code != ERR_CORRUPT)
		return LEAVE;
	return s != NULL && segment_was_finished(s) ? SET_ASIDE : REMOVE;
}

/* Do all entries of this unnamed segment stand elsewhere? In the log (a flush was cut off), in the segments it was to
 * replace (a merge was cut off before publishing) or in the one that replaced it (after). */
static enum fate fate_of(struct orphans *o, uint64_t id, uint64_t oldest_wal)
{
	enum fate fate = UNEXPLAINED;
	struct segment_footer f;
	struct segment *s = NULL;
	struct arena a;
	struct err err;

	read_replaced(o);
	if (was_replaced(o, id))
		return REMOVE;
	arena_init(&a);
	if (segment_open(o->p->dir, id, &s, &err) == -1 || segment_read_footer(s, &a, &f, &err) == -1) {
		fate = fate_of_unreadable(s, &err);
	} else if (f.n_replaces > 0) {
		fate = REMOVE;
		for (size_t i = 0; i < f.n_replaces; i++)
			if (!is_known(o, f.replaces[i]) && !was_replaced(o, f.replaces[i]))
				fate = UNEXPLAINED;
	} else if (oldest_wal != 0 && f.sum.wal_first >= oldest_wal) {
		fate = REMOVE;
	}
	segment_unref(s);
	arena_fini(&a);
	return fate;
}

static int load_orphans(struct orphans *o, struct partition *p, struct err *err)
{
	struct sql *sql = partition_writer(p, err);

	*o = (struct orphans){ .p = p };
	if (sql == NULL || partition_segments(sql, &o->known, &o->counts, &o->n_known, err) == -1)
		return -1;
	return list_segments(p->dir, &o->ids, &o->n, err);
}

static void orphans_fini(struct orphans *o)
{
	free(o->known);
	free(o->counts);
	free(o->ids);
	vec_fini(&o->replaced);
}

static int remove_orphan(struct partition *p, uint64_t id, enum fate fate, size_t *n_removed, struct err *err)
{
	char path[4096];

	if (fate == LEAVE)
		return 0;
	(*n_removed)++;
	segment_path(path, sizeof(path), p->dir, id);
	if (fate == REMOVE)
		return file_unlink(path, err);
	log_error("damaged segment moved to quarantine", KV("path", path));
	return partition_quarantine(p->data_dir, path, err);
}

/* 1: there is an unexplained one, and nothing was removed. */
static int remove_all(struct partition *p, uint64_t oldest_wal, size_t *n_removed, struct err *err)
{
	struct orphans o;
	int rc;

	pthread_mutex_lock(&p->write_lock);
	rc = load_orphans(&o, p, err);
	enum fate *fate = xcalloc(o.n, sizeof(*fate));
	for (size_t i = 0; rc == 0 && i < o.n; i++) {
		fate[i] = is_known(&o, o.ids[i]) ? LEAVE : fate_of(&o, o.ids[i], oldest_wal);
		if (fate[i] == UNEXPLAINED)
			rc = 1;
	}
	for (size_t i = 0; rc == 0 && i < o.n; i++)
		rc = remove_orphan(p, o.ids[i], fate[i], n_removed, err);
	free(fate);
	orphans_fini(&o);
	pthread_mutex_unlock(&p->write_lock);
	return rc;
}

int partition_remove_orphans(struct partition *p, uint64_t oldest_wal, size_t *n_removed, struct err *err)
{
	*n_removed = 0;
	int rc = remove_all(p, oldest_wal, n_removed, err);
	if (rc != 1)
		return rc;
	log_error("the index does not name segments that are not in the log any more", KV("dir", p->dir));
	atomic_store(&p->index_damaged, true);
	if (partition_mend(p, err) == -1)
		return -1;
	/* Should one still be unexplained, nothing is removed. */
	return remove_all(p, oldest_wal, n_removed, err) == -1 ? -1 : 0;
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
