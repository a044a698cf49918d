/* What happens before the threads start: the lock, the format, the partitions found on disk, the log replayed. */
#include "index/seal.h"
#include "index/store_internal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "model/tenant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum { FORMAT = 1 };

int store_lock_dir(const char *dir, int *fd, struct err *err)
{
	char *path = xasprintf("%s/LOCK", dir);
	int rc = -1;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd == -1)
		err_errno(err, "open %s", path);
	else if (flock(*fd, LOCK_EX | LOCK_NB) == -1)
		err_set(err, errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO, "%s is in use by another process",
			dir);
	else
		rc = 0;
	free(path);
	return rc;
}

int store_check_format(const char *dir, struct err *err)
{
	char *path = xasprintf("%s/FORMAT", dir);
	struct buf b;
	uint64_t version = 0;
	int rc = -1;

	buf_init(&b);
	if (!file_exists(path)) {
		rc = file_replace(path, SLICE("spoor 1\n"), err);
		goto out;
	}
	if (file_read_all(path, 64, &b, err) == -1)
		goto out;
	struct slice text = slice_trim(buf_slice(&b));
	if (!slice_starts(text, SLICE("spoor ")) || !slice_to_u64(slice_from(text, 6), &version))
		err_set(err, ERR_CONFIG, "%s is not a data directory of spoor", dir);
	else if (version > FORMAT)
		err_set(err, ERR_CONFIG, "%s has format %llu, this program knows up to %d", dir,
			(unsigned long long)version, FORMAT);
	else
		rc = 0;
out:
	buf_fini(&b);
	free(path);
	return rc;
}

/* ---- partitions ----------------------------------------------------------------------------------------------- */

static int load_day(struct store *s, struct slice tenant, const char *tenant_dir, const char *name,
		    uint64_t oldest_wal, struct err *err)
{
	struct partition *p;
	size_t n_orphans;
	int64_t day;

	if (slice_ends(slice_cstr(name), SLICE(".dropped"))) {
		/* Retention was interrupted between forgetting and removing. */
		char *path = xasprintf("%s/%s", tenant_dir, name);
		int rc = file_remove_tree(path, err);

		free(path);
		return rc;
	}
	if (!clock_parse_day(slice_cstr(name), &day))
		return 0;
	if (partition_open(s->dir, tenant, day, true, s->o.keys, s->o.trace_bucket_ns, &p, err) == -1) {
		log_error("partition left out", KVS("tenant", tenant), KV("day", name),
			  KV("error", err->msg));
		metric_add(s->m.corrupt, 1);
		store_leave_out(s, tenant, day); /* the keeper tries again */
		return 0;
	}
	p->cache = s->index_cache;
	vec_push(&s->partitions, p);
	if (partition_remove_orphans(p, oldest_wal, &n_orphans, err) == -1)
		log_warn("files left behind by a crash stay", KV("dir", p->dir), KV("error", err->msg));
	else if (n_orphans > 0)
		log_info("removed files left behind by a crash", KV("dir", p->dir), KVI("files", n_orphans));
	/* There may be hundreds of days, and each open index is three descriptors and a cache. */
	partition_close_idle(p);
	return 0;
}

static int load_tenant(struct store *s, const char *tenants_dir, const char *name, uint64_t oldest_wal,
		       struct err *err)
{
	char *dir = xasprintf("%s/%s", tenants_dir, name);
	DIR *d = opendir(dir);
	struct buf tenant;
	int rc = 0;

	buf_init(&tenant);
	if (d != NULL && tenant_from_dir_name(&tenant, slice_cstr(name)))
		for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
			if (e->d_name[0] != '.')
				rc = load_day(s, buf_slice(&tenant), dir, e->d_name, oldest_wal, err);
	if (d != NULL)
		closedir(d);
	buf_fini(&tenant);
	free(dir);
	return rc;
}

int store_load_partitions(struct store *s, struct err *err)
{
	char *dir = xasprintf("%s/tenants", s->dir);
	DIR *d = NULL;
	struct wal_file *files = NULL;
	size_t n_files = 0;
	int rc = file_mkdirs(dir, err);

	if (rc == 0)
		rc = wal_list(s->wal_dir, &files, &n_files, err);
	uint64_t oldest_wal = n_files > 0 ? files[0].number : 0;
	free(files);
	if (rc == 0 && (d = opendir(dir)) == NULL)
		rc = err_errno(err, "open directory %s", dir);
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			rc = load_tenant(s, dir, e->d_name, oldest_wal, err);
	if (d != NULL)
		closedir(d);
	metric_set(s->m.partitions, (int64_t)s->partitions.n);
	free(dir);
	return rc;
}

/* ---- days that retention dropped ------------------------------------------------------------------------------ */

/* "<data>/dropped": one line a dropped day, "tenant-dir YYYY-MM-DD wal-number". What the log holds of such a day, up to
 * that file, must not come back. Lines whose files are gone are left out when the list is written again. */
struct dropped_day {
	struct slice tenant_dir;
	int64_t day;
	uint64_t wal_number;
};

static char *dropped_path(const struct store *s)
{
	return xasprintf("%s/dropped", s->dir);
}

/* Takes one line; false if it is none of ours. */
static bool next_dropped(struct slice *rest, struct dropped_day *d)
{
	size_t nl = slice_find_byte(*rest, '\n');
	struct slice line = nl == SLICE_NONE ? *rest : slice_sub(*rest, 0, nl);
	size_t a = slice_find_byte(line, ' ');

	*rest = slice_from(*rest, nl == SLICE_NONE ? rest->n : nl + 1);
	if (a == SLICE_NONE || line.n < a + 13)
		return false;
	d->tenant_dir = slice_sub(line, 0, a);
	return clock_parse_day(slice_sub(line, a + 1, 10), &d->day) &&
	       slice_to_u64(slice_from(line, a + 12), &d->wal_number);
}

/* The lines that still matter. */
static int read_dropped(struct store *s, const char *path, struct buf *out, struct err *err)
{
	struct wal_file *files;
	struct dropped_day d;
	struct buf all;
	size_t n;
	int rc = -1;

	if (!file_exists(path))
		return 0;
	if (wal_list(s->wal_dir, &files, &n, err) == -1)
		return -1;
	buf_init(&all);
	if (file_read_all(path, 64 << 20, &all, err) == 0) {
		struct slice rest = buf_slice(&all);

		while (rest.n > 0) {
			struct slice line = rest;

			if (next_dropped(&rest, &d) && n > 0 && d.wal_number >= files[0].number)
				buf_add(out, slice_sub(line, 0, line.n - rest.n));
		}
		rc = 0;
	}
	buf_fini(&all);
	free(files);
	return rc;
}

int store_note_dropped(struct store *s, const struct partition *p, uint64_t wal_number, struct err *err)
{
	char *path = dropped_path(s);
	char day[16];
	struct buf b;
	int rc = -1;

	buf_init(&b);
	if (read_dropped(s, path, &b, err) == 0) {
		tenant_dir_name(&b, slice_cstr(p->tenant));
		clock_format_day(day, p->day);
		buf_printf(&b, " %s %llu\n", day, (unsigned long long)wal_number);
		rc = file_replace(path, buf_slice(&b), err);
	}
	buf_fini(&b);
	free(path);
	return rc;
}

struct replay {
	struct store *s;
	struct head *head;
	struct sealer sealer;
	uint64_t wal_number; /* of the file being replayed */
	struct buf dropped_text, dir;
	VEC(struct dropped_day) dropped;
	uint64_t n_skipped;
	/* the day asked for last, of this file: neighbours in the log nearly always share it */
	struct buf last_tenant;
	int64_t last_day;
	bool last_known, last_covered;
};

static void parse_dropped(struct replay *r)
{
	struct slice rest = buf_slice(&r->dropped_text);
	struct dropped_day d;

	while (rest.n > 0)
		if (next_dropped(&rest, &d))
			vec_push(&r->dropped, d);
}

static bool was_dropped(struct replay *r, struct slice tenant, int64_t day)
{
	if (r->dropped.n == 0)
		return false;
	buf_reset(&r->dir);
	tenant_dir_name(&r->dir, tenant);
	for (size_t i = 0; i < r->dropped.n; i++)
		if (r->dropped.v[i].day == day && r->wal_number <= r->dropped.v[i].wal_number &&
		    slice_eq(r->dropped.v[i].tenant_dir, buf_slice(&r->dir)))
			return true;
	return false;
}

/* ---- replay --------------------------------------------------------------------------------------------------- */

/* Are the file's entries of this day in its partition already, or gone with it? */
static bool is_covered(struct replay *r, struct slice tenant, int64_t day)
{
	struct err ignored;

	if (r->last_known && r->last_day == day && slice_eq(buf_slice(&r->last_tenant), tenant))
		return r->last_covered;
	struct partition *p = store_partition(r->s, tenant, day, false, &ignored);
	r->last_covered =
		was_dropped(r, tenant, day) || (p != NULL && atomic_load(&p->wal_pos) >= r->wal_number);
	partition_unref(p);
	buf_reset(&r->last_tenant);
	buf_add(&r->last_tenant, tenant);
	r->last_day = day;
	r->last_known = true;
	return r->last_covered;
}

/* Entries that their partition holds already, or that retention took, do not come back. Those that are too old by now stay
 * until retention comes by: it knows whether the clock can be believed. */
static bool keep_entry(void *arg, struct slice tenant, int64_t ts)
{
	struct replay *r = arg;
	bool skip = is_covered(r, tenant, clock_day_of(ts));

	r->n_skipped += skip;
	return !skip;
}

static int apply_record(void *arg, struct slice payload, struct err *err)
{
	struct replay *r = arg;

	if (head_apply(r->head, payload, keep_entry, r, err) == -1) {
		log_error("log record with a good checksum is malformed", KV("error", err->msg));
		metric_add(r->s->m.corrupt, 1);
	}
	/* What is replayed takes no more memory than what comes in. */
	while (head_seal_next(r->head, &r->sealer))
		;
	return 0;
}

static int replay_file(struct replay *r, const struct wal_file *f, struct err *err)
{
	struct wal_replay_stats st = { 0 };
	int64_t began = clock_mono_ns();

	r->wal_number = f->number;
	r->last_known = false;
	if (f->damaged_header) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%010llu.wal", r->s->wal_dir, (unsigned long long)f->number);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		int64_t size = fd == -1 ? 0 : file_size(fd);
		if (fd != -1)
			close(fd);
		if (size > WAL_HEADER_BYTES) {
			log_error("log file with a damaged header moved to quarantine", KV("path", path));
			metric_add(r->s->m.corrupt, 1);
			return partition_quarantine(r->s->dir, path, err);
		}
		return file_unlink(path, err); /* a crash while it was being begun */
	}
	if (wal_replay(r->s->wal_dir, f, apply_record, r, &st, err) == -1)
		return -1;
	metric_add(r->s->m.corrupt, st.damaged);
	if (st.damaged > 0)
		log_warn("damaged log records skipped", KVI("wal", f->number), KVI("records", st.damaged));
	log_info("log replayed", KVI("wal", f->number), KVI("records", st.records), KVI("bytes", st.bytes),
		 KVI("torn", st.torn), KVF("seconds", (double)(clock_mono_ns() - began) / 1e9));
	r->head->wal_last = f->number;
	return 0;
}

/* Full heads are flushed on the way, so that memory does not depend on the length of the log. */
static int flush_on_the_way(struct replay *r, struct err *err)
{
	if (head_memory(r->head) < r->s->o.head_bytes / 2)
		return 0;
	/* A damaged index is met once, and made anew by the second attempt. */
	if (flush_head(r->s, r->head, err) == -1 &&
	    (err->code != ERR_CORRUPT || flush_head(r->s, r->head, err) == -1))
		return -1;
	uint64_t done = r->head->wal_last;
	head_unref(r->head);
	r->head = store_new_head(r->s, done + 1);
	r->head->find_tokens = r->s->o.keys;
	return wal_remove_through(r->s->wal_dir, done, err);
}

int store_replay(struct store *s, struct err *err)
{
	struct replay r = { .s = s,
			    .sealer = { .bucket_ns = s->o.trace_bucket_ns, .account = s->encode_memory } };
	struct wal_file *files = NULL;
	size_t n = 0;
	char *path = dropped_path(s);
	uint64_t next = 1;
	int rc = -1;

	buf_init(&r.dropped_text);
	buf_init(&r.dir);
	buf_init(&r.last_tenant);
	if (wal_list(s->wal_dir, &files, &n, err) == -1)
		goto out;
	if (n > 0 && file_exists(path) && file_read_all(path, 64 << 20, &r.dropped_text, err) == -1)
		goto out;
	parse_dropped(&r);
	/* Numbers never go back below what was flushed or replayed (those files may be gone by the time the next
	 * one is begun), or new entries would look covered. */
	if (n > 0)
		next = MAX(next, files[n - 1].number + 1);
	for (size_t i = 0; i < s->partitions.n; i++)
		next = MAX(next, atomic_load(&s->partitions.v[i]->wal_pos) + 1);
	for (size_t i = 0; i < r.dropped.n; i++)
		next = MAX(next, r.dropped.v[i].wal_number + 1);
	r.head = store_new_head(s, n > 0 ? files[0].number : next);
	r.head->find_tokens = s->o.keys;
	for (size_t i = 0; i < n; i++) {
		if (replay_file(&r, &files[i], err) == -1)
			goto out;
		/* Neither a disk that is full now nor damage stops the start: the log keeps what cannot be flushed. */
		if (flush_on_the_way(&r, err) == -1)
			log_warn("replayed entries cannot be flushed yet", KV("error", err->msg));
	}
	if (n == 0 && file_unlink(path, err) == -1)
		goto out;
	if (wal_new(s->wal_dir, next, &s->wal, err) == -1)
		goto out;
	/* Nothing can be written now, on a full disk for instance: what is there is served all the same. */
	if (wal_next(s->wal, err) == -1)
		store_set_wal_state(s, true, err->msg);
	r.head->wal_last = wal_number(s->wal);
	if (r.head->n_entries == 0)
		r.head->wal_first = wal_number(s->wal);
	r.head->find_tokens = NULL;
	s->active = TAKE(r.head);
	rc = 0;
out:
	head_unref(r.head);
	metric_add(s->m.duplicates, r.sealer.n_duplicates);
	sealer_fini(&r.sealer);
	free(files);
	free(path);
	vec_fini(&r.dropped);
	buf_fini(&r.dropped_text);
	buf_fini(&r.dir);
	buf_fini(&r.last_tenant);
	return rc;
}
