/* Two passes over the units of one snapshot: the totals of all groups decide which are in the answer, then those
 * alone get buckets, so that memory follows the answer and not the number of streams. */
#include "query/volume.h"
#include "base/clock.h"
#include "base/map.h"
#include "logql/parse.h"
#include "query/scan.h"

enum {
	MAX_BUCKETS = 11002, /* 11,000 points and a broken bucket at each end */
	CHECK_EVERY = 1024,
	/* detected_level=info in a metadata set of its own: the least an entry takes up, as model/labels.h
	 * encodes it. */
	LEVEL_NAME_BYTES = 1 + 14,
	LEVEL_SET_BYTES = 1 + LEVEL_NAME_BYTES + 1 + 4,
};

struct group {
	struct labels labels;
	uint64_t bytes;
	uint64_t *bucket; /* NULL: not in the answer */
};

/* The groups of one stream are member[first .. first + n). */
struct membership {
	size_t first, n;
};

struct volume {
	struct exec exec;
	const struct volume_request *req;
	const struct matcher *matcher;
	size_t n_matchers;
	struct arena *arena;
	struct snapshot *snap;
	struct reader *reader; /* of counts alone */
	struct map by_key;
	VEC(struct group *) groups;
	VEC(size_t) member;
	struct membership *of_stream;
	struct buf key;
	int64_t first_bucket;
	size_t n_buckets;
	double entries_scale; /* of the units' upper bounds */
};

/* ---- groups ---- */

static void join(struct volume *v, struct labels l)
{
	bool is_new;

	buf_reset(&v->key);
	labels_encode(&v->key, l);
	size_t known = (uintptr_t)map_get(&v->by_key, buf_slice(&v->key));
	if (known == 0) {
		struct group *g = arena_new(v->arena, struct group);

		g->labels = labels_dup(v->arena, l);
		vec_push(&v->groups, g);
		known = v->groups.n;
		*map_put(&v->by_key, arena_dup(v->arena, buf_slice(&v->key)), &is_new) =
			(void *)(uintptr_t)known;
	}
	vec_push(&v->member, known - 1);
}

static bool is_named(const struct volume *v, struct slice name)
{
	const struct volume_request *r = v->req;

	for (size_t i = 0; i < r->n_targets; i++)
		if (slice_eq(r->target[i], name))
			return true;
	if (r->n_targets > 0)
		return false;
	if (v->n_matchers == 0 || r->by_name)
		return true;
	for (size_t i = 0; i < v->n_matchers; i++)
		if (slice_eq(v->matcher[i].name, name))
			return true;
	return false;
}

static bool has_targets(const struct volume *v, struct labels l)
{
	for (size_t i = 0; i < v->req->n_targets; i++)
		if (labels_get(l, v->req->target[i]).p == NULL)
			return false;
	return true;
}

static void join_stream(struct volume *v, struct labels l, struct label *scratch)
{
	size_t n = 0;

	if (!has_targets(v, l))
		return;
	for (size_t i = 0; i < l.n; i++)
		if (is_named(v, l.v[i].name))
			scratch[n++] = l.v[i];
	if (!v->req->by_name) {
		join(v, (struct labels){ scratch, n });
		return;
	}
	for (size_t i = 0; i < n; i++) {
		scratch[i].value = SLICE("");
		join(v, (struct labels){ &scratch[i], 1 });
	}
}

static int make_groups(struct volume *v, struct err *err)
{
	size_t n = snapshot_n_streams(v->snap);
	VEC(struct label) scratch = { 0 };
	int rc = 0;

	v->of_stream = arena_array(v->arena, struct membership, n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct labels l = snapshot_stream(v->snap, i)->labels;

		v->of_stream[i].first = v->member.n;
		vec_reserve(&scratch, l.n);
		join_stream(v, l, scratch.v);
		v->of_stream[i].n = v->member.n - v->of_stream[i].first;
		if (i % CHECK_EVERY == 0)
			rc = query_control_check(v->exec.control, err);
	}
	vec_fini(&scratch);
	return rc;
}

/* ---- sizes ---- */

/* Where units are cut or overlap, their counts of entries are too high; how much so is only known on average. */
static int find_scale(struct volume *v, struct timerange range, struct err *err)
{
	struct store_sums sums;
	uint64_t n_entries = 0;
	bool exact = true;

	v->entries_scale = 1;
	for (size_t i = 0; i < snapshot_n_units(v->snap); i++) {
		exact = exact && snapshot_unit(v->snap, i)->exact_count;
		n_entries += snapshot_unit(v->snap, i)->n_entries;
	}
	if (exact || n_entries == 0 || !v->req->limits->discover_log_levels)
		return 0;
	if (store_sums(v->exec.engine->store, v->req->tenant, v->matcher, v->n_matchers, range, &sums, err) ==
	    -1)
		return -1;
	v->entries_scale = MIN((double)sums.entries / (double)n_entries, 1.0);
	return 0;
}

/* How much of a bucket lies in the unit and before t, if its bytes are spread evenly: 0 to 1. */
static double share_before(const struct snap_unit *u, const struct count_bucket *b, int64_t t)
{
	int64_t from = MAX(b->first, u->range.start), to = MIN(t, u->range.end);

	if (to <= from)
		return 0;
	if (b->last < to)
		to = b->last;
	else
		to--;
	return to < from ? 0
			 : ((double)((uint64_t)to - (uint64_t)from) + 1) /
				   ((double)((uint64_t)b->last - (uint64_t)b->first) + 1);
}

/* Of a unit that is a part of its chunk: what the chunk counted in it. False: nothing is known but its length. */
static bool counted_bytes(const struct volume *v, const struct snap_unit *u, double *raw, double *n_entries)
{
	struct unit_counts c;
	double lines = 0, all_lines = 0;

	if (u->exact_count || !reader_counts(v->reader, u, NULL, 0, &c))
		return false;
	*n_entries = 0;
	for (size_t i = 0; i < c.n_buckets; i++) {
		double part = share_before(u, &c.bucket[i], INT64_MAX);

		*n_entries += part * (double)c.bucket[i].n_entries;
		lines += part * (double)c.bucket[i].bytes;
		all_lines += (double)c.bucket[i].bytes;
	}
	if (all_lines == 0)
		return false;
	*raw = (double)c.raw_bytes * lines / all_lines;
	return true;
}

/* Nobody logged the name of the level that is kept with each entry, so it does not count. */
static uint64_t unit_bytes(const struct volume *v, const struct snap_unit *u)
{
	double raw, n_entries;

	if (!counted_bytes(v, u, &raw, &n_entries)) {
		raw = (double)u->raw_bytes;
		n_entries = (double)u->n_entries * v->entries_scale;
	}
	if (!v->req->limits->discover_log_levels)
		return (uint64_t)raw;
	return (uint64_t)(raw - MIN(n_entries * LEVEL_NAME_BYTES, raw * LEVEL_NAME_BYTES / LEVEL_SET_BYTES));
}

/* ---- sums ---- */

static int sum_up(struct volume *v, struct err *err)
{
	for (size_t i = 0; i < snapshot_n_units(v->snap); i++) {
		const struct snap_unit *u = snapshot_unit(v->snap, i);
		struct membership m = v->of_stream[u->stream->index];

		uint64_t bytes = unit_bytes(v, u);

		for (size_t k = 0; k < m.n; k++)
			v->groups.v[v->member.v[m.first + k]]->bytes += bytes;
		if (i % CHECK_EVERY == 0 && query_control_check(v->exec.control, err) == -1)
			return -1;
	}
	return 0;
}

static int64_t bucket_of(int64_t ts, int64_t step)
{
	return ts / step - (ts % step < 0);
}

/* Where bucket b ends, exclusive. */
static int64_t bucket_end(int64_t b, int64_t step)
{
	int64_t end;

	return __builtin_add_overflow(b, 1, &end) || __builtin_mul_overflow(end, step, &end) ? INT64_MAX
											     : end;
}

static int64_t bucket_stamp(const struct volume *v, size_t bucket)
{
	int64_t end = bucket_end(v->first_bucket + (int64_t)bucket, v->req->step), stamp;

	if (__builtin_sub_overflow(end, NS_PER_MS, &stamp))
		stamp = INT64_MIN;
	return MIN(stamp, v->req->range.end);
}

static int count_buckets(struct volume *v, struct err *err)
{
	const struct volume_request *r = v->req;

	v->first_bucket = bucket_of(r->range.start, r->step);
	uint64_t n = (uint64_t)bucket_of(r->range.end, r->step) - (uint64_t)v->first_bucket;
	if (n >= MAX_BUCKETS)
		return err_set(err, ERR_BAD_REQUEST,
			       "exceeded maximum resolution of 11,000 points per time series. Try increasing "
			       "the value of "
			       "the step parameter");
	v->n_buckets = (size_t)n + 1;
	return 0;
}

/* How a unit's bytes lie in time: as its chunk counted them, or evenly. */
struct course {
	const struct snap_unit *unit;
	struct unit_counts counts; /* no buckets: evenly */
	size_t next;		   /* the first bucket that does not end before the last t */
	double before, all;	   /* bytes of the buckets before it, of all that are in the unit */
};

static void course_init(struct course *c, const struct volume *v, const struct snap_unit *u)
{
	*c = (struct course){ .unit = u };
	if (!reader_counts(v->reader, u, NULL, 0, &c->counts))
		return;
	for (size_t i = 0; i < c->counts.n_buckets; i++) {
		const struct count_bucket *b = &c->counts.bucket[i];

		c->all += (double)b->bytes * share_before(u, b, INT64_MAX);
	}
	if (c->all <= 0)
		c->counts.n_buckets = 0;
}

/* The share of the bytes before t, which only grows from call to call. */
static double course_before(struct course *c, int64_t t)
{
	const struct count_bucket *b = c->counts.bucket;
	const struct timerange r = c->unit->range;

	if (c->counts.n_buckets == 0)
		return (double)((uint64_t)t - (uint64_t)r.start) /
		       (double)((uint64_t)r.end - (uint64_t)r.start);
	for (; c->next < c->counts.n_buckets && b[c->next].last < t; c->next++)
		c->before += (double)b[c->next].bytes * share_before(c->unit, &b[c->next], t);
	double before = c->before;
	for (size_t i = c->next; i < c->counts.n_buckets && b[i].first < t; i++)
		before += (double)b[i].bytes * share_before(c->unit, &b[i], t);
	return MIN(before / c->all, 1.0);
}

static void add_bytes(struct volume *v, const struct snap_stream *s, size_t bucket, uint64_t bytes)
{
	struct membership m = v->of_stream[s->index];

	for (size_t k = 0; k < m.n; k++) {
		struct group *g = v->groups.v[v->member.v[m.first + k]];

		if (g->bucket != NULL)
			g->bucket[bucket] += bytes;
	}
}

static void spread_unit(struct volume *v, const struct snap_unit *u)
{
	int64_t step = v->req->step, first = bucket_of(u->range.start, step),
		last = bucket_of(u->range.end - 1, step);
	uint64_t bytes = unit_bytes(v, u), before = 0;
	struct course course;

	if (first < last)
		course_init(&course, v, u);
	for (int64_t b = first; b <= last; b++) {
		uint64_t upto = bytes;

		/* Rounded, so that a bucket it hardly touches stays empty. */
		if (b < last)
			upto = (uint64_t)((double)bytes * course_before(&course, bucket_end(b, step)) + 0.5);
		add_bytes(v, u->stream, (size_t)(b - v->first_bucket), upto - before);
		before = upto;
	}
}

static int spread(struct volume *v, size_t n_kept, struct group *const *kept, struct err *err)
{
	size_t bytes = v->n_buckets * sizeof(uint64_t);

	for (size_t i = 0; i < n_kept; i++) {
		if (exec_charge(&v->exec, bytes, err) == -1)
			return -1;
		kept[i]->bucket = arena_zalloc(v->arena, bytes);
	}
	for (size_t i = 0; i < snapshot_n_units(v->snap); i++) {
		spread_unit(v, snapshot_unit(v->snap, i));
		if (i % CHECK_EVERY == 0 && query_control_check(v->exec.control, err) == -1)
			return -1;
	}
	return 0;
}

/* ---- the answer ---- */

static int largest_first(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return labels_cmp(x->labels, y->labels);
}

static void put_points(const struct volume *v, const struct group *g, struct volume_series *out)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_buckets; i++)
		n += g->bucket[i] > 0;
	out->point = arena_array(v->arena, struct volume_point, n);
	for (size_t i = 0; i < v->n_buckets; i++)
		if (g->bucket[i] > 0)
			out->point[out->n++] = (struct volume_point){ bucket_stamp(v, i), g->bucket[i] };
}

static struct volume_series series_of(const struct volume *v, const struct group *g)
{
	struct volume_series s = { .labels = g->labels, .bytes = g->bytes };

	if (v->req->step > 0) {
		put_points(v, g, &s);
		return s;
	}
	s.point = arena_new(v->arena, struct volume_point);
	*s.point = (struct volume_point){ v->req->range.end, g->bytes };
	s.n = 1;
	return s;
}

/* The groups of the answer, in its order. A copy: members know groups by their place. */
static size_t choose(struct volume *v, struct group **kept)
{
	size_t n = 0;

	for (size_t i = 0; i < v->groups.n; i++)
		if (v->groups.v[i]->bytes > 0)
			kept[n++] = v->groups.v[i];
	if (n > 1)
		qsort(kept, n, sizeof(struct group *), largest_first);
	return MIN(n, v->req->limit);
}

static int answer(struct volume *v, struct volume_series **out, size_t *n_out, struct err *err)
{
	if (make_groups(v, err) == -1 || sum_up(v, err) == -1)
		return -1;
	struct group **kept = arena_array(v->arena, struct group *, v->groups.n);
	size_t n = choose(v, kept);
	if (v->req->step > 0 && (count_buckets(v, err) == -1 || spread(v, n, kept, err) == -1))
		return -1;
	*out = arena_array(v->arena, struct volume_series, n);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = series_of(v, kept[i]);
	*n_out = n;
	return 0;
}

static int snapshot_and_answer(struct volume *v, struct volume_series **out, size_t *n_out, struct err *err)
{
	struct scan_hint hint = { .range = v->req->range };
	int rc = -1;

	if (hint.range.end < INT64_MAX)
		hint.range.end++;
	if (query_control_check(v->exec.control, err) == -1 ||
	    snapshot_take(v->exec.engine->store, v->req->tenant, v->matcher, v->n_matchers, &hint, true,
			  &v->snap, err) == -1)
		return -1;
	v->reader = reader_new(v->snap);
	map_init(&v->by_key);
	buf_init(&v->key);
	rc = find_scale(v, hint.range, err);
	if (rc == 0)
		rc = answer(v, out, n_out, err);
	exec_refund(&v->exec, v->exec.memory);
	reader_free(v->reader);
	snapshot_release(v->snap);
	map_fini(&v->by_key);
	buf_fini(&v->key);
	vec_fini(&v->groups);
	vec_fini(&v->member);
	return rc;
}

int volume_run(struct query_engine *e, const struct volume_request *r, struct query_control *c,
	       struct arena *a, struct volume_series **out, size_t *n_out, struct err *err)
{
	struct query_request limits = { .limits = r->limits };
	struct volume v = { .exec = { .engine = e, .req = &limits, .control = c, .arena = a },
			    .req = r,
			    .arena = a };
	struct logql *q;

	if (logql_parse_selector(r->selector, LOGQL_ALLOW_EMPTY, a, &q, NULL, err) == -1)
		return -1;
	v.matcher = q->root->log.matchers;
	v.n_matchers = q->root->log.n_matchers;
	int rc = snapshot_and_answer(&v, out, n_out, err);
	logql_free(q);
	return rc;
}
