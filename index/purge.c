/* Carries delete requests out, on the keeper's thread, and the door's functions for them. A request is done when
 *	1. what was in memory when it was taken up stands in segments, so that no log brings it back;
 *	2. every partition that meets its range was gone through, and what it matches is in none of its segments;
 *	3. that is noted, durably, in the file of requests.
 * Until then it hides what it matches, whatever fails or crashes; a new attempt begins at the first step. */
#include "index/rewrite.h"
#include "base/clock.h"
#include "base/log.h"

enum { RETRY_MIN = 1 };
#define CORRUPT_RETRY_NS (10 * NS_PER_MIN)

struct attempt { /* at the requests of one tenant */
	struct store *s;
	struct tombstone **v;
	size_t n;
	struct err *failed; /* of v; ERR_NONE: all well so far */
};

static void fail(struct attempt *a, size_t i, const struct err *err)
{
	if (a->failed[i].code == ERR_NONE)
		a->failed[i] = *err;
}

static void pick_up(struct attempt *a)
{
	struct err err;

	for (size_t i = 0; i < a->n; i++)
		if (a->v[i]->state == STORE_DELETE_RECEIVED &&
		    tombstones_set_state(&a->s->tombstones, a->v[i], STORE_DELETE_PICKED_UP, &err) == -1)
			fail(a, i, &err);
}

static bool is_wanted(struct attempt *a, size_t i)
{
	return a->failed[i].code == ERR_NONE && tombstones_is_active(&a->s->tombstones, a->v[i]);
}

/* Those of the requests that meet the day; their numbers in `of`. */
static size_t choose(struct attempt *a, struct timerange day, struct tombstone **some, size_t *of)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct timerange r = a->v[i]->range;

		if (r.start < day.end && r.end > day.start && is_wanted(a, i)) {
			of[n] = i;
			some[n++] = a->v[i];
		}
	}
	return n;
}

static void purge_partition(struct attempt *a, struct partition *p)
{
	struct tombstone **some = xcalloc(a->n, sizeof(*some));
	struct rewrite_count *count = xcalloc(a->n, sizeof(*count));
	size_t *of = xcalloc(a->n, sizeof(*of));
	struct err err;
	struct rewrite r = { .s = a->s, .p = p, .v = some, .count = count };

	r.n = choose(a, partition_range(p), some, of);
	int rc = r.n > 0 ? rewrite_partition(&r, &err) : 0;
	for (size_t i = 0; i < r.n; i++) {
		struct err local;

		tombstones_count(&a->s->tombstones, some[i], count[i].entries, count[i].bytes,
				 count[i].chunks);
		if (rc == -1)
			fail(a, of[i], &err);
		else if (count[i].chunks > 0 && tombstones_set_state(&a->s->tombstones, some[i],
								     STORE_DELETE_PICKED_UP, &local) == -1)
			fail(a, of[i],
			     &local); /* only the counts would be lost, but the disk is in trouble */
	}
	free(some);
	free(count);
	free(of);
}

static struct timerange hull(const struct attempt *a)
{
	struct timerange r = a->v[0]->range;

	for (size_t i = 1; i < a->n; i++) {
		r.start = MIN(r.start, a->v[i]->range.start);
		r.end = MAX(r.end, a->v[i]->range.end);
	}
	return r;
}

static void purge_partitions(struct attempt *a)
{
	struct slice tenant = slice_cstr(a->v[0]->tenant);
	size_t n;
	struct partition **p = store_partitions(a->s, tenant, hull(a), &n);

	for (size_t k = 0; k < n && !keep_must_stop(a->s); k++) {
		for (size_t i = 0; i < a->n; i++)
			tombstones_progress(&a->s->tombstones, a->v[i], (uint32_t)k, (uint32_t)n);
		keep_disk(a->s); /* this may take long */
		purge_partition(a, p[k]);
	}
	store_partitions_release(p, n);
}

static void finish(struct attempt *a, const struct err *flush_failed)
{
	struct tombstones *t = &a->s->tombstones;
	struct err err;

	for (size_t i = 0; i < a->n; i++) {
		struct tombstone *x = a->v[i];

		if (flush_failed->code != ERR_NONE)
			fail(a, i, flush_failed);
		if (store_n_left_out(a->s, slice_cstr(x->tenant), x->range) > 0) {
			err_set(&err, ERR_UNAVAILABLE, "a day cannot be opened");
			fail(a, i, &err);
		}
		if (a->failed[i].code == ERR_NONE && !is_wanted(a, i))
			continue; /* cancelled */
		if (is_wanted(a, i) && tombstones_set_state(t, x, STORE_DELETE_PROCESSED, &err) == -1)
			fail(a, i, &err);
		if (a->failed[i].code == ERR_NONE) {
			log_info("delete request processed", KV("tenant", x->tenant), KV("id", x->id),
				 KVI("entries", x->n_entries), KVI("bytes", x->n_bytes));
			continue;
		}
		log_warn("delete request will be tried again", KV("tenant", x->tenant), KV("id", x->id),
			 KV("error", a->failed[i].msg));
		tombstones_put_off(t, x,
				   clock_mono_ns() + (a->failed[i].code == ERR_CORRUPT
							      ? CORRUPT_RETRY_NS
							      : RETRY_MIN * NS_PER_MIN));
	}
}

static int purge_tenant(struct store *s, struct tombstone **v, size_t n, const struct err *flush_failed,
			struct err *err)
{
	struct attempt a = { .s = s, .v = v, .n = n, .failed = xcalloc(n, sizeof(struct err)) };
	int rc = 0;

	pick_up(&a);
	purge_partitions(&a);
	if (!keep_must_stop(s))
		finish(&a, flush_failed);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (a.failed[i].code != ERR_NONE) {
			*err = a.failed[i];
			rc = -1;
		}
	}
	free(a.failed);
	return rc;
}

/* What is in memory goes to segments first. Where that fails (a full disk), the segments are gone through all the same:
 * that makes room. */
int keep_deletes(struct store *s, bool eager, struct err *err)
{
	struct err flush_failed = { 0 };
	size_t n;
	struct tombstone **v = tombstones_due(&s->tombstones, s->o.delete_cancel_period_ns, eager, &n);
	int rc = 0;

	if (n == 0)
		return 0;
	if (store_flush(s, &flush_failed) == 0)
		err_clear(&flush_failed);
	for (size_t i = 0, j; i < n && !keep_must_stop(s); i = j) {
		for (j = i + 1; j < n && strcmp(v[j]->tenant, v[i]->tenant) == 0; j++)
			;
		if (purge_tenant(s, v + i, j - i, &flush_failed, err) == -1)
			rc = -1;
	}
	tombstones_release(v, n);
	return rc;
}

/* ---- the door ------------------------------------------------------------------------------------------------- */

int store_purge(struct store *s, struct err *err)
{
	return keep_deletes(s, true, err);
}

int store_delete_add(struct store *s, struct slice tenant, struct slice query, struct timerange range,
		     bool filter_only, char id[STORE_DELETE_ID], struct err *err)
{
	return tombstones_add(&s->tombstones, tenant, query, range, filter_only, id, err);
}

int store_delete_cancel(struct store *s, struct slice tenant, struct slice id, bool force, struct err *err)
{
	return tombstones_cancel(&s->tombstones, tenant, id, force, err);
}

void store_delete_list(struct store *s, struct slice tenant, struct arena *a, struct store_delete **out,
		       size_t *n)
{
	tombstones_list(&s->tombstones, tenant, a, out, n);
}
