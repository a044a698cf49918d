/* The keeper thread: merges, deletes, retention, filters of closed days, idle handles, free space. */
#include "index/store_internal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RESERVE_BYTES = 16 << 20, MAX_OPEN_PARTITIONS = 16 };

#define QUIET_NS (10 * NS_PER_MIN) /* a partition nobody wrote to for so long is merged eagerly */
#define IDLE_NS	 (60 * NS_PER_S)   /* handles unused for so long are closed */

/* ---- free space ----------------------------------------------------------------------------------------------- */

/* A file that is given up when the disk is full, so that SQLite and retention can finish what they do. */
static void keep_reserve(struct store *s, bool want)
{
	char *path = xasprintf("%s/reserve", s->dir);
	struct err ignored;

	if (!want) {
		file_unlink(path, &ignored);
	} else if (!file_exists(path)) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd != -1) {
			if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
				file_unlink(path, &ignored);
			close(fd);
		}
	}
	free(path);
}

static void look_at_disk(struct store *s)
{
	struct statvfs v;
	char why[256];

	if (statvfs(s->dir, &v) == -1)
		return;
	uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	uint64_t least = s->o.min_free_bytes > 0 ? s->o.min_free_bytes : MIN((uint64_t)1 << 30, total / 20);
	bool was_low = atomic_load(&s->disk_low);
	bool low = free_bytes < (was_low ? 2 * least : least);

	if (low != was_low) {
		snprintf(why, sizeof(why), "disk full: %llu MiB free, min_free is %llu MiB",
			 (unsigned long long)(free_bytes >> 20), (unsigned long long)(least >> 20));
		pthread_mutex_lock(&s->state_lock);
		snprintf(s->disk_why, sizeof(s->disk_why), "%s", low ? why : "");
		pthread_mutex_unlock(&s->state_lock);
		atomic_store(&s->disk_low, low);
		metric_set(s->m.read_only, low || atomic_load(&s->wal_failed));
		if (low)
			log_error("writes refused", KV("reason", why));
		else
			log_info("disk space is back, writes accepted again", KVI("free", free_bytes));
	}
	keep_reserve(s, !low);
}

void keep_disk(struct store *s)
{
	pthread_mutex_lock(&s->disk_lock);
	look_at_disk(s);
	pthread_mutex_unlock(&s->disk_lock);
}

/* ---- merging and closing days --------------------------------------------------------------------------------- */

bool keep_must_stop(struct store *s)
{
	pthread_mutex_lock(&s->keeper_lock);
	bool stop = s->keeper_stop;
	pthread_mutex_unlock(&s->keeper_lock);
	return stop;
}

/* Merges what there is to merge in one day; a day in which nothing changed since the last look is not opened again. */
static int merge_day(struct store *s, struct partition *p, bool eager, struct err *err)
{
	bool quiet = clock_mono_ns() - atomic_load(&p->last_publish_mono_ns) > QUIET_NS, did = true;
	_Atomic uint64_t *looked = eager || quiet ? &p->looked_eagerly : &p->looked;
	uint64_t version = 0;

	while (did && !keep_must_stop(s)) {
		version = atomic_load(&p->version) + 1;
		if (!eager && atomic_load(looked) == version)
			return 0;
		if (merge_partition(s, p, eager || quiet, &did, err) == -1) {
			log_warn("segments could not be merged", KV("dir", p->dir), KV("error", err->msg));
			return -1;
		}
	}
	if (!did)
		atomic_store(looked, version);
	return 0;
}

static int merge_all(struct store *s, bool eager, struct err *err)
{
	size_t n;
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	int rc = 0;

	for (size_t i = 0; i < n && !atomic_load(&s->disk_low); i++)
		if (merge_day(s, p[i], eager, err) == -1)
			rc = -1;
	store_partitions_release(p, n);
	return rc;
}

/* Indexes that a query or a flush found damaged. */
static int mend_all(struct store *s)
{
	size_t n;
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	struct err err;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		if (!atomic_load(&p[i]->index_damaged) || atomic_load(&p[i]->dropped))
			continue;
		metric_add(s->m.corrupt, 1);
		rc = partition_mend(p[i], &err);
		if (rc == -1)
			log_error("index could not be made anew", KV("dir", p[i]->dir), KV("error", err.msg));
	}
	store_partitions_release(p, n);
	return rc;
}

int keep_blooms(struct store *s, bool eager, struct err *err)
{
	size_t n;
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	int64_t now = clock_now_ns();
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0 && !keep_must_stop(s); i++) {
		bool over = partition_range(p[i]).end <= now;
		bool quiet = clock_mono_ns() - atomic_load(&p[i]->last_publish_mono_ns) > NS_PER_MIN;

		if (over && (quiet || eager) && atomic_load(&p[i]->bloom_blocks) == 0 &&
		    !atomic_load(&p[i]->dropped))
			rc = partition_build_bloom(p[i], err);
	}
	store_partitions_release(p, n);
	return rc;
}

static int cmp_used(const void *a, const void *b)
{
	int64_t x = atomic_load(&(*(struct partition *const *)a)->last_used_mono_ns);
	int64_t y = atomic_load(&(*(struct partition *const *)b)->last_used_mono_ns);

	return x > y ? -1 : x < y;
}

/* The most recently used partitions keep their handles. */
static void close_idle(struct store *s)
{
	size_t n;
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	int64_t now = clock_mono_ns();

	if (n > 1)
		qsort(p, n, sizeof(*p), cmp_used);
	for (size_t i = 0; i < n; i++)
		if (now - atomic_load(&p[i]->last_used_mono_ns) > IDLE_NS || i >= MAX_OPEN_PARTITIONS)
			partition_close_idle(p[i]);
	store_partitions_release(p, n);
}

int store_merge(struct store *s, struct err *err)
{
	if (merge_all(s, true, err) == -1)
		return -1;
	return keep_blooms(s, true, err);
}

void *keep_main(void *arg)
{
	struct store *s = arg;
	int64_t next_merge = 0, next_minute = 0, next_mend = 0;
	struct err err;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	for (;;) {
		struct timespec until;

		pthread_mutex_lock(&s->keeper_lock);
		until = store_deadline(NS_PER_S);
		if (!s->keeper_stop)
			pthread_cond_timedwait(&s->keeper_more, &s->keeper_lock, &until);
		bool stop = s->keeper_stop;
		pthread_mutex_unlock(&s->keeper_lock);
		if (stop)
			return NULL;
		int64_t now = clock_mono_ns();
		keep_disk(s);
		if (now >= next_mend && mend_all(s) == -1)
			next_mend = now + NS_PER_MIN;
		if (s->o.merge_interval_ns > 0 && now >= next_merge) {
			keep_deletes(s, false, &err); /* says itself what went wrong */
			merge_all(s, false, &err);
			if (keep_blooms(s, false, &err) == -1)
				log_warn("filter of a closed day could not be made", KV("error", err.msg));
			close_idle(s);
			next_merge = now + s->o.merge_interval_ns;
		}
		if (now >= next_minute) {
			if (keep_retention(s, &err) == -1)
				log_error("retention failed", KV("error", err.msg));
			store_retry_left_out(s);
			next_minute = now + NS_PER_MIN;
		}
	}
}
