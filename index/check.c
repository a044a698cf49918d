/* Offline work on a data directory: verifying every checksum, and making every index anew. */
#include "index/store_internal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/counts.h"
#include "index/filter.h"
#include "model/tenant.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

struct check {
	void (*say)(void *arg, const char *line);
	void *arg;
	struct check_report r;
};

static void say(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct check *c, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	c->say(c->arg, line);
}

static int count_entry(void *arg, const struct chunk_entry *e, struct err *err)
{
	struct check *c = arg;

	(void)err;
	c->r.entries++;
	c->r.bytes += e->line.n + e->meta.n;
	return 0;
}

static void check_chunk(struct check *c, const char *dir, struct segment *s, const struct segment_chunk *k)
{
	uint64_t bad = 0;
	struct err err;
	struct chunk_header h;

	c->r.chunks++;
	if (segment_chunk_header(s, k->off, k->info.header_bytes, &h, &err) == -1) {
		c->r.bad_chunks++;
		say(c, "%s: segment %llu: %s", dir, (unsigned long long)segment_id(s), err.msg);
		return;
	}
	c->r.blocks += h.n_blocks;
	chunk_header_fini(&h);
	if (segment_each_entry(s, k->off, k->info.header_bytes, count_entry, c, &bad, &err) == -1) {
		c->r.bad_chunks++;
		say(c, "%s: segment %llu, chunk at %llu: %s", dir, (unsigned long long)segment_id(s),
		    (unsigned long long)k->off, err.msg);
	}
	if (bad > 0) {
		c->r.bad_blocks += bad;
		say(c, "%s: segment %llu, chunk at %llu: %llu damaged blocks", dir,
		    (unsigned long long)segment_id(s), (unsigned long long)k->off, (unsigned long long)bad);
	}
	if (!segment_filter_is_good(s, k->filter_off, k->filter_bytes, k->filter_sum)) {
		c->r.bad_chunks++;
		say(c, "%s: segment %llu, chunk at %llu: damaged filter", dir,
		    (unsigned long long)segment_id(s), (unsigned long long)k->off);
	}
}

static void check_counts(struct check *c, const char *dir, struct segment *s, const struct segment_chunk *k)
{
	struct counts counts = { 0 };
	struct err err;

	if (segment_counts(s, k->off, k->filter_off + k->filter_bytes, &k->info, &counts, &err) == -1) {
		c->r.bad_chunks++;
		say(c, "%s: segment %llu, chunk at %llu: %s", dir, (unsigned long long)segment_id(s),
		    (unsigned long long)k->off, err.msg);
	}
	counts_fini(&counts);
}

static void check_segment(struct check *c, const char *dir, uint64_t id)
{
	struct segment_footer f;
	struct segment *s = NULL;
	struct arena a;
	struct err err;

	arena_init(&a);
	c->r.segments++;
	if (segment_open(dir, id, &s, &err) == -1 || segment_read_footer(s, &a, &f, &err) == -1) {
		c->r.bad_segments++;
		say(c, "%s: %s", dir, err.msg);
	} else {
		for (size_t i = 0; i < f.n_chunks; i++) {
			check_chunk(c, dir, s, &f.chunk[i]);
			check_counts(c, dir, s, &f.chunk[i]);
		}
	}
	segment_unref(s);
	arena_fini(&a);
}

static void check_index(struct check *c, const char *dir)
{
	char *path = xasprintf("%s/index.db", dir);
	struct sql *sql = NULL;
	struct err err;
	sqlite3_stmt *st = NULL;

	/* Opened for writing, since a database in WAL mode needs its companions even to be read. */
	if (sql_open(path, false, false, &sql, &err) == -1) {
		c->r.bad_indexes++;
		say(c, "%s: %s", dir, err.msg);
	} else if (sqlite3_prepare_v2(sql->db, "PRAGMA integrity_check(10)", -1, &st, NULL) != SQLITE_OK) {
		c->r.bad_indexes++;
		say(c, "%s: %s", dir, sqlite3_errmsg(sql->db));
	} else {
		bool bad = false;

		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *text = (const char *)sqlite3_column_text(st, 0);

			if (text == NULL || strcmp(text, "ok") != 0) {
				bad = true;
				say(c, "%s: index.db: %s", dir, text != NULL ? text : "?");
			}
		}
		c->r.bad_indexes += bad;
	}
	sqlite3_finalize(st);
	sql_close(sql);
	free(path);
}

static void check_day(struct check *c, const char *dir)
{
	DIR *d = opendir(dir);
	uint64_t id;

	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct slice name = slice_cstr(e->d_name);

		if (slice_ends(name, SLICE(".seg")) && slice_to_u64(slice_sub(name, 0, name.n - 4), &id))
			check_segment(c, dir, id);
	}
	closedir(d);
	check_index(c, dir);
}

static int count_record(void *arg, struct slice payload, struct err *err)
{
	(void)arg;
	(void)payload;
	(void)err;
	return 0;
}

static int check_wal(struct check *c, const char *dir, struct err *err)
{
	struct wal_file *f;
	size_t n;
	char *wal_dir = xasprintf("%s/wal", dir);
	int rc = 0;

	if (!file_exists(wal_dir)) {
		free(wal_dir);
		return 0;
	}
	rc = wal_list(wal_dir, &f, &n, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct wal_replay_stats st = { 0 };

		c->r.wal_files++;
		rc = wal_replay(wal_dir, &f[i], count_record, c, &st, err);
		c->r.wal_records += st.records;
		c->r.bad_wal_records += st.damaged;
		if (st.damaged > 0)
			say(c, "wal file %llu: %llu damaged records", (unsigned long long)f[i].number,
			    (unsigned long long)st.damaged);
		if (st.torn > 0 && i + 1 == n)
			say(c, "wal file %llu: torn at its end, as after a crash (harmless)",
			    (unsigned long long)f[i].number);
	}
	if (rc == 0)
		free(f);
	free(wal_dir);
	return rc;
}

/* Calls fn with the folder of every partition. */
static int each_partition(const char *dir, int (*fn)(void *arg, const char *path, struct err *err), void *arg,
			  struct err *err)
{
	char *tenants = xasprintf("%s/tenants", dir);
	DIR *t = opendir(tenants);
	int rc = 0;

	for (struct dirent *te; t != NULL && rc == 0 && (te = readdir(t)) != NULL;) {
		char *tenant = xasprintf("%s/%s", tenants, te->d_name);
		DIR *d = te->d_name[0] == '.' ? NULL : opendir(tenant);

		for (struct dirent *e; d != NULL && rc == 0 && (e = readdir(d)) != NULL;) {
			char *day = xasprintf("%s/%s", tenant, e->d_name);
			int64_t ignored;

			if (clock_parse_day(slice_cstr(e->d_name), &ignored))
				rc = fn(arg, day, err);
			free(day);
		}
		if (d != NULL)
			closedir(d);
		free(tenant);
	}
	if (t != NULL)
		closedir(t);
	free(tenants);
	return rc;
}

static void bad_deletes(void *arg, const char *path, const char *why)
{
	say(arg, "delete requests %s: %s", path, why);
}

static void check_deletes(struct check *c, const char *dir)
{
	char *tenants = xasprintf("%s/tenants", dir);
	DIR *d = opendir(tenants);
	struct buf tenant;

	buf_init(&tenant);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		buf_reset(&tenant);
		if (tenant_from_dir_name(&tenant, slice_cstr(e->d_name)))
			c->r.bad_deletes += tombstones_check(dir, buf_slice(&tenant), bad_deletes, c);
	}
	if (d != NULL)
		closedir(d);
	buf_fini(&tenant);
	free(tenants);
}

static int check_one(void *arg, const char *path, struct err *err)
{
	(void)err;
	check_day(arg, path);
	return 0;
}

int store_check(const char *dir, void (*say_fn)(void *arg, const char *line), void *arg,
		struct check_report *out, struct err *err)
{
	struct check c = { .say = say_fn, .arg = arg };
	char *format = xasprintf("%s/FORMAT", dir);
	int fd = -1, rc = -1;

	if (!file_exists(format))
		err_set(err, ERR_NOT_FOUND, "%s is not a data directory of spoor", dir);
	else if (store_lock_dir(dir, &fd, err) == 0 && store_check_format(dir, err) == 0 &&
		 check_wal(&c, dir, err) == 0)
		rc = each_partition(dir, check_one, &c, err);
	if (rc == 0)
		check_deletes(&c, dir);
	if (fd != -1)
		close(fd);
	free(format);
	if (rc == 0)
		*out = c.r;
	return rc;
}

static int rebuild_one(void *arg, const char *path, struct err *err)
{
	const struct store_options *o = arg;
	char *index = xasprintf("%s/index.db", path);
	int rc = 0;

	if (file_exists(index))
		rc = partition_quarantine(o->dir, index, err);
	if (rc == 0)
		rc = partition_rebuild(path, o->keys, o->trace_bucket_ns, err);
	free(index);
	return rc;
}

int store_rebuild_index(const struct store_options *o, struct err *err)
{
	int fd = -1;
	struct store_options copy = *o;
	int rc = store_lock_dir(o->dir, &fd, err);

	sql_library_init();
	if (rc == 0)
		rc = store_check_format(o->dir, err);
	if (rc == 0)
		rc = each_partition(o->dir, rebuild_one, &copy, err);
	if (fd != -1)
		close(fd);
	return rc;
}
