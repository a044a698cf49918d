#include "query/meta.h"
#include "index/store.h"
#include "logql/parse.h"

/* A parsed selector; zeroed: all streams. */
struct selector {
	struct logql *q;
	const struct matcher *m;
	size_t n;
};

static int selector_parse(struct slice text, unsigned flags, struct arena *a, struct selector *out,
			  struct err *err)
{
	struct logql *q;

	if (logql_parse_selector(text, flags, a, &q, NULL, err) == -1)
		return -1;
	*out = (struct selector){ q, q->root->log.matchers, q->root->log.n_matchers };
	return 0;
}

static int selector_optional(struct slice text, struct arena *a, struct selector *out, struct err *err)
{
	*out = (struct selector){ 0 };
	return text.n == 0 ? 0 : selector_parse(text, 0, a, out, err);
}

/* The last nanosecond counts, too. */
static struct timerange inclusive(struct timerange r)
{
	if (r.end < INT64_MAX)
		r.end++;
	return r;
}

/* ---- labels ---- */

static int labels_of(struct query_engine *e, const struct meta_request *r, struct slice name,
		     struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		     struct err *err)
{
	struct selector sel;

	if (selector_optional(r->selector, a, &sel, err) == -1)
		return -1;
	int rc = query_control_check(c, err);
	if (rc == 0) {
		query_guard_begin(c);
		rc = store_labels(e->store, r->tenant, sel.m, sel.n, inclusive(r->range), name, a, out, n_out,
				  err);
		rc = query_guard_end(c, rc, err);
	}
	logql_free(sel.q);
	return rc;
}

int meta_label_names(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		     struct arena *a, struct slice **out, size_t *n_out, struct err *err)
{
	return labels_of(e, r, (struct slice){ NULL, 0 }, c, a, out, n_out, err);
}

int meta_label_values(struct query_engine *e, const struct meta_request *r, struct slice name,
		      struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		      struct err *err)
{
	struct selector sel;

	if (label_name_valid(name))
		return labels_of(e, r, name, c, a, out, n_out, err);
	/* No stream can have such a label; a bad selector is still an error. */
	if (selector_optional(r->selector, a, &sel, err) == -1)
		return -1;
	logql_free(sel.q);
	*out = NULL;
	*n_out = 0;
	return 0;
}

/* ---- series ---- */

struct series_set {
	struct arena *arena;
	VEC(struct labels) v;
};

static int series_add(struct query_engine *e, const struct meta_request *r, const struct selector *sel,
		      struct query_control *c, struct series_set *set, struct err *err)
{
	struct scan_hint hint = { .range = inclusive(r->range) };
	struct snapshot *snap;
	int rc = 0;

	if (query_control_check(c, err) == -1)
		return -1;
	query_guard_begin(c);
	rc = snapshot_take(e->store, r->tenant, sel->m, sel->n, &hint, false, &snap, err);
	if (rc == -1)
		return query_guard_end(c, -1, err);
	rc = query_guard_end(c, 0, err);
	for (size_t i = 0; rc == 0 && i < snapshot_n_streams(snap); i++) {
		vec_push(&set->v, labels_dup(set->arena, snapshot_stream(snap, i)->labels));
		if (i % 1024 == 1023)
			rc = query_control_check(c, err);
	}
	snapshot_release(snap);
	return rc;
}

static int by_labels(const void *a, const void *b)
{
	return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

/* Sorts, and drops what several selectors found. */
static void series_finish(struct series_set *set, struct labels **out, size_t *n_out)
{
	size_t n = 0;

	if (set->v.n > 0)
		qsort(set->v.v, set->v.n, sizeof(*set->v.v), by_labels);
	*out = arena_array(set->arena, struct labels, set->v.n);
	for (size_t i = 0; i < set->v.n; i++)
		if (n == 0 || labels_cmp((*out)[n - 1], set->v.v[i]) != 0)
			(*out)[n++] = set->v.v[i];
	*n_out = n;
}

static bool is_braces(struct slice text)
{
	text = slice_trim(text);
	return text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}' &&
	       slice_trim(slice_sub(text, 1, text.n - 2)).n == 0;
}

int meta_series(struct query_engine *e, const struct meta_request *r, const struct slice *selectors,
		size_t n_selectors, struct query_control *c, struct arena *a, struct labels **out,
		size_t *n_out, struct err *err)
{
	bool all = n_selectors == 0 || (n_selectors == 1 && is_braces(selectors[0]));
	struct series_set set = { .arena = a };
	int rc = 0;

	if (all)
		rc = series_add(e, r, &(struct selector){ 0 }, c, &set, err);
	for (size_t i = 0; !all && rc == 0 && i < n_selectors; i++) {
		struct selector sel;

		rc = selector_parse(selectors[i], 0, a, &sel, err);
		if (rc == -1)
			break;
		rc = series_add(e, r, &sel, c, &set, err);
		logql_free(sel.q);
	}
	if (rc == 0)
		series_finish(&set, out, n_out);
	vec_fini(&set.v);
	return rc;
}

/* ---- statistics and checks ---- */

int meta_stats(struct query_engine *e, const struct meta_request *r, struct query_control *c,
	       struct meta_stats *out, struct err *err)
{
	struct store_sums sums;
	struct selector sel;
	struct arena a;
	int rc = -1;

	arena_init(&a);
	if (selector_parse(r->selector, 0, &a, &sel, err) == 0) {
		rc = query_control_check(c, err);
		if (rc == 0) {
			query_guard_begin(c);
			rc = store_sums(e->store, r->tenant, sel.m, sel.n, inclusive(r->range), &sums, err);
			rc = query_guard_end(c, rc, err);
		}
		logql_free(sel.q);
	}
	if (rc == 0)
		*out = (struct meta_stats){ sums.streams, sums.chunks, sums.bytes, sums.entries };
	arena_fini(&a);
	return rc;
}

int meta_check_selector(struct slice text, bool allow_empty, struct err *err)
{
	struct selector sel;
	struct arena a;

	arena_init(&a);
	int rc = selector_parse(text, allow_empty ? LOGQL_ALLOW_EMPTY : 0, &a, &sel, err);
	if (rc == 0)
		logql_free(sel.q);
	arena_fini(&a);
	return rc;
}

int meta_check_log_query(struct slice text, struct err *err)
{
	struct logql *q;
	struct arena a;

	arena_init(&a);
	int rc = logql_parse(text, &a, &q, NULL, err);
	if (rc == 0) {
		if (q->root->kind != LOGQL_LOG)
			rc = err_set(err, ERR_BAD_REQUEST, "only log selector is supported");
		logql_free(q);
	}
	arena_fini(&a);
	return rc;
}
