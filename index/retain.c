/* Retention: days that go as a whole, by age or because the disk share is used up; and streams that go before or after the
 * other streams of their day. */
#include "index/retain.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "index/rewrite.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CLOCK_JUMP_NS	 (10 * NS_PER_MIN)
#define DAMAGED_AGAIN_NS (6 * NS_PER_H)
#define GAP_NS		 NS_PER_DAY /* between two runs: a longer one may be a wrong clock */

/* ---- the rules ------------------------------------------------------------------------------------------------ */

/* How many bytes of the text a selector takes, quoted braces and all; 0: it is none. */
static size_t selector_length(struct slice text)
{
	char quote = 0;

	if (text.n == 0 || text.p[0] != '{')
		return 0;
	for (size_t i = 1; i < text.n; i++) {
		char c = text.p[i];

		if (quote != 0 && c == '\\' && quote != '`')
			i++;
		else if (quote != 0)
			quote = c == quote ? 0 : quote;
		else if (c == '"' || c == '`')
			quote = c;
		else if (c == '}')
			return i + 1;
	}
	return 0;
}

static int parse_rule(const struct erase_ops *ops, struct slice *rest, struct retain_rule *out,
		      struct err *err)
{
	size_t n = selector_length(*rest);
	char why[160];

	if (n == 0)
		return err_set(err, ERR_CONFIG, "want {selector}=period; {selector}=period; ..., not %.*s",
			       (int)MIN(rest->n, (size_t)80), rest->p);
	struct slice selector = slice_sub(*rest, 0, n), tail = slice_trim(slice_from(*rest, n));
	if (tail.n == 0 || tail.p[0] != '=')
		return err_set(err, ERR_CONFIG, "no =period after %.*s", SLICE_ARG(selector));
	tail = slice_from(tail, 1);
	size_t end = slice_find_byte(tail, ';');
	struct slice period = slice_trim(end == SLICE_NONE ? tail : slice_sub(tail, 0, end));
	*rest = slice_trim(slice_from(tail, end == SLICE_NONE ? tail.n : end + 1));
	if (!clock_parse_prom_duration(period, &out->period_ns, why, sizeof(why)))
		return err_set(err, ERR_CONFIG, "%.*s: %s", SLICE_ARG(selector), why);
	if (out->period_ns != 0 && out->period_ns < NS_PER_DAY)
		return err_set(err, ERR_CONFIG, "%.*s: a period of less than a day", SLICE_ARG(selector));
	if (ops->compile(selector, &out->rule, err) == -1)
		return err_prefix(err, "%.*s", SLICE_ARG(selector));
	return 0;
}

int retain_parse(const struct erase_ops *ops, const char *text, int64_t default_ns, struct retain *out,
		 struct err *err)
{
	struct retain r = { .ops = ops, .default_ns = default_ns };
	struct slice rest = slice_trim(slice_cstr(text));

	while (rest.n > 0) {
		struct retain_rule rule;

		if (parse_rule(ops, &rest, &rule, err) == -1) {
			retain_fini(&r);
			return -1;
		}
		vec_push(&r.rules, rule);
	}
	*out = r;
	return 0;
}

void retain_fini(struct retain *r)
{
	for (size_t i = 0; i < r->rules.n; i++)
		r->ops->free(r->rules.v[i].rule);
	vec_fini(&r->rules);
}

int64_t retain_period(const struct retain *r, struct slice encoded)
{
	for (size_t i = 0; i < r->rules.n; i++)
		if (labels_match(encoded, r->rules.v[i].rule->m, r->rules.v[i].rule->n_matchers))
			return r->rules.v[i].period_ns;
	return r->default_ns;
}

int64_t retain_longest(const struct retain *r)
{
	int64_t longest = r->default_ns;

	for (size_t i = 0; i < r->rules.n && longest > 0; i++)
		longest = r->rules.v[i].period_ns > 0 ? MAX(longest, r->rules.v[i].period_ns) : 0;
	return longest;
}

int store_check_retention(const struct erase_ops *ops, const char *text, struct err *err)
{
	struct retain r;

	if (retain_parse(ops, text, 0, &r, err) == -1)
		return -1;
	retain_fini(&r);
	return 0;
}

/* A tenant's rules as they stand now. A text that does not parse (the configuration is checked when it is read) keeps
 * everything for as long as it takes. */
static void retain_of(struct store *s, struct slice tenant, struct retain *out)
{
	int64_t keep = s->o.retention_ns != NULL ? s->o.retention_ns(s->o.arg, tenant) : 0;
	const char *text = s->o.retention_streams != NULL ? s->o.retention_streams(s->o.arg, tenant) : "";
	struct err err;

	if (s->o.erase != NULL && text[0] != '\0' &&
	    retain_parse(s->o.erase, text, MAX(keep, 0), out, &err) == -1) {
		log_error("retention_stream is not understood: nothing is dropped", KVS("tenant", tenant),
			  KV("error", err.msg));
		keep = 0;
	} else if (s->o.erase != NULL && text[0] != '\0') {
		return;
	}
	*out = (struct retain){ .default_ns = MAX(keep, 0) };
}

struct retention { /* one round */
	struct store *s;
	bool flushed;
};

/* ---- dropping a day ------------------------------------------------------------------------------------------- */

/* Up to which file the log holds only what was acknowledged before the day goes. What is in memory goes with it, so it is
 * flushed, once a round. */
static uint64_t log_before(struct retention *r)
{
	struct err err;

	if (!r->flushed && store_flush(r->s, &err) == -1)
		log_warn("dropping a day without what is in memory", KV("error", err.msg));
	r->flushed = true;
	pthread_rwlock_rdlock(&r->s->heads_lock);
	uint64_t number = r->s->active->wal_first - 1;
	pthread_rwlock_unlock(&r->s->heads_lock);
	return number;
}

static int drop_partition(struct retention *r, struct partition *p, const char *why, struct err *err)
{
	struct store *s = r->s;
	char *gone = xasprintf("%s.dropped", p->dir);
	uint64_t wal = log_before(r);
	int rc = -1;

	pthread_mutex_lock(&p->merge_lock);
	pthread_mutex_lock(&p->write_lock);
	/* Forgotten first, durably; the files go after. What an earlier attempt could not remove goes now. */
	wal = MAX(wal, atomic_load(&p->wal_pos));
	if (file_remove_tree(gone, err) == -1 || store_note_dropped(s, p, wal, err) == -1)
		goto out;
	/* Readers that are inside finish first, and none comes in afterwards: the folder may soon be another one. */
	pthread_rwlock_wrlock(&p->segments_lock);
	rc = file_rename(p->dir, gone, err);
	/* Even if the rename is not durable: the folder has its new name. */
	atomic_store(&p->dropped, rc == 0 || !file_exists(p->dir));
	pthread_rwlock_unlock(&p->segments_lock);
	if (!atomic_load(&p->dropped))
		goto out;
	rc = 0;
	pthread_mutex_lock(&s->partitions_lock);
	for (size_t i = 0; i < s->partitions.n; i++) {
		if (s->partitions.v[i] == p) {
			s->partitions.v[i] = s->partitions.v[--s->partitions.n];
			break;
		}
	}
	metric_set(s->m.partitions, (int64_t)s->partitions.n);
	pthread_mutex_unlock(&s->partitions_lock);
out:
	pthread_mutex_unlock(&p->write_lock);
	pthread_mutex_unlock(&p->merge_lock);
	if (rc == 0) {
		log_info("retention dropped a day", KV("dir", p->dir), KV("why", why));
		metric_add(s->m.retained, 1);
		partition_unref(p); /* the list's reference */
		rc = file_remove_tree(gone, err);
	}
	free(gone);
	return rc;
}

/* ---- by age --------------------------------------------------------------------------------------------------- */

static void stop_for_an_hour(struct store *s, const char *why, int64_t ns)
{
	log_warn("retention stops for an hour", KV("why", why), KVF("seconds", (double)ns / 1e9));
	s->retention_blocked_until_mono_ns = clock_mono_ns() + NS_PER_H;
}

/* At the start. The lock's file has the time of the last sign of life (below). It may be long ago because nobody ran us, or
 * because the clock is wrong. */
void keep_look_at_clock(struct store *s)
{
	struct stat st;

	s->wall_minus_mono_ns = clock_now_ns() - clock_mono_ns();
	if (fstat(s->lock_fd, &st) == -1)
		return;
	int64_t gap = clock_now_ns() - ((int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
	if (gap > GAP_NS || gap < -CLOCK_JUMP_NS)
		stop_for_an_hour(s, "the clock is far from where it was when we ran last", gap);
}

/* A wall clock that jumped must not delete data. */
static bool clock_is_sane(struct store *s)
{
	int64_t diff = clock_now_ns() - clock_mono_ns(), jump = diff - s->wall_minus_mono_ns;

	if (jump > CLOCK_JUMP_NS || jump < -CLOCK_JUMP_NS) {
		stop_for_an_hour(s, "the clock was changed", jump);
		s->wall_minus_mono_ns = diff;
	}
	if (clock_mono_ns() < s->retention_blocked_until_mono_ns)
		return false;
	futimens(s->lock_fd, NULL); /* if it fails, the next start waits an hour: no harm */
	return true;
}

static bool is_over(const struct partition *p, int64_t period_ns, int64_t now)
{
	int64_t oldest;

	return period_ns > 0 && !__builtin_sub_overflow(now, period_ns, &oldest) &&
	       partition_range(p).end <= oldest;
}

struct expiry {
	const struct retain *retain;
	const struct partition *p;
	int64_t now;
};

static bool is_expired(void *arg, struct slice encoded)
{
	const struct expiry *e = arg;

	return is_over(e->p, retain_period(e->retain, encoded), e->now);
}

/* Names the rules that hold for the day by now: unless it changes or entries came, there is nothing new to drop. */
static uint64_t stage_of(const struct retain *r, const struct partition *p, const char *text, int64_t now)
{
	uint64_t h = hash64_seed(slice_cstr(text), (uint64_t)r->default_ns);

	for (size_t i = 0; i < r->rules.n; i++)
		h = hash_mix(h * 2 + is_over(p, r->rules.v[i].period_ns, now));
	h = hash_mix(h * 2 + is_over(p, r->default_ns, now));
	return h | 1; /* 0: never looked at */
}

static bool any_over(const struct retain *r, const struct partition *p, int64_t now)
{
	bool any = is_over(p, r->default_ns, now);

	for (size_t i = 0; i < r->rules.n && !any; i++)
		any = is_over(p, r->rules.v[i].period_ns, now);
	return any;
}

static int drop_streams(struct store *s, struct partition *p, const struct retain *r, int64_t now,
			struct err *err)
{
	struct expiry e = { r, p, now };
	struct rewrite w = { .s = s, .p = p, .expired = is_expired, .arg = &e };
	const char *text = s->o.retention_streams(s->o.arg, slice_cstr(p->tenant));
	uint64_t stage = stage_of(r, p, text, now);
	int64_t began = clock_mono_ns();

	if (p->retained_stage == stage && atomic_load(&p->last_publish_mono_ns) < p->retained_mono_ns)
		return 0;
	if (began < p->retain_again_mono_ns)
		return 0;
	if (any_over(r, p, now) && rewrite_partition(&w, err) == -1) {
		/* Damage keeps a segment as it is; trying costs as much as writing it. */
		if (err->code == ERR_CORRUPT)
			p->retain_again_mono_ns = began + DAMAGED_AGAIN_NS;
		return -1;
	}
	p->retained_stage = stage;
	p->retained_mono_ns = began;
	if (w.n_segments > 0) {
		log_info("retention dropped streams of a day", KV("dir", p->dir),
			 KVI("entries", w.expired_count.entries), KVI("bytes", w.expired_count.bytes));
		metric_add(s->m.retained_entries, w.expired_count.entries);
	}
	return 0;
}

static int retain_partition(struct retention *round, struct partition *p, struct err *err)
{
	struct store *s = round->s;
	int64_t now = clock_now_ns();
	struct retain r;
	int rc = 0;

	retain_of(s, slice_cstr(p->tenant), &r);
	if (is_over(p, retain_longest(&r), now))
		rc = drop_partition(round, p, "age", err);
	else if (r.rules.n > 0)
		rc = drop_streams(s, p, &r, now, err);
	retain_fini(&r);
	return rc;
}

/* ---- by the disk's share -------------------------------------------------------------------------------------- */

/* What the files below take on the disk. The data directory is three levels deep. */
static uint64_t tree_bytes(const char *path, int depth)
{
	DIR *d = opendir(path);
	uint64_t sum = 0;
	struct stat st;

	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		sum += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode) && depth > 0) {
			char *below = xasprintf("%s/%s", path, e->d_name);

			sum += tree_bytes(below, depth - 1);
			free(below);
		}
	}
	closedir(d);
	return sum;
}

/* What was set aside is not counted: days must not go because damaged files, or the indexes of a rebuild, are kept. */
static uint64_t used_bytes(const struct store *s)
{
	char *quarantine = xasprintf("%s/quarantine", s->dir);
	uint64_t all = tree_bytes(s->dir, 4), aside = tree_bytes(quarantine, 3);

	free(quarantine);
	return all - MIN(aside, all);
}

/* Drops the oldest days, whoever owns them, until a twentieth of the limit is free again; never today or the future. */
static int retain_share(struct retention *round, struct err *err)
{
	struct store *s = round->s;
	struct statvfs v;
	size_t n;
	int rc = 0;

	if (s->o.max_disk_bytes == NULL || statvfs(s->dir, &v) == -1)
		return 0;
	uint64_t limit = s->o.max_disk_bytes(s->o.arg, (uint64_t)v.f_blocks * v.f_frsize);
	uint64_t used = limit > 0 ? used_bytes(s) : 0;
	if (limit == 0 || used <= limit)
		return 0;
	int64_t today = clock_day_of(clock_now_ns());
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	for (size_t i = 0; i < n && p[i]->day < today && used > limit - limit / 20; i++) {
		uint64_t bytes = tree_bytes(p[i]->dir, 1);

		if (atomic_load(&p[i]->dropped))
			continue;
		if (drop_partition(round, p[i], "disk share", err) == -1) {
			rc = -1;
			continue;
		}
		metric_add(s->m.retained_for_room, 1);
		used -= MIN(bytes, used);
	}
	if (used > limit)
		log_warn("the disk share is used up and only today is left to drop", KVI("bytes", used),
			 KVI("limit", limit));
	store_partitions_release(p, n);
	return rc;
}

int keep_retention(struct store *s, struct err *err)
{
	struct retention round = { .s = s };
	size_t n;
	int rc = 0;

	if (!clock_is_sane(s))
		return 0;
	struct partition **p = store_partitions(s, (struct slice){ NULL, 0 }, TIMERANGE_ALL, &n);
	/* One day that cannot be removed does not keep the others. */
	for (size_t i = 0; i < n && !keep_must_stop(s); i++)
		if (retain_partition(&round, p[i], err) == -1)
			rc = -1;
	store_partitions_release(p, n);
	return retain_share(&round, err) == -1 ? -1 : rc;
}

int store_retain(struct store *s, struct err *err)
{
	return keep_retention(s, err);
}
