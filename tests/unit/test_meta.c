/* Questions about streams: which selectors are taken, what reaches the store, how several answers become one. */
#include "query/meta.h"
#include "base/mem.h"
#include "index/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define L(n, v)                                                                                              \
	{                                                                                                    \
		{ n, sizeof(n) - 1 },                                                                        \
		{                                                                                            \
			v, sizeof(v) - 1                                                                     \
		}                                                                                            \
	}

/* ---- a store with four streams ---- */

static const struct label web_1[] = { L("app", "web"), L("pod", "1") },
			  web_2[] = { L("app", "web"), L("pod", "2") };
static const struct label db_1[] = { L("app", "db"), L("pod", "1") }, db[] = { L("app", "db") };
static const struct snap_stream streams[] = {
	{ .labels = { db, 1 } },
	{ .labels = { web_2, 2 } },
	{ .labels = { db_1, 2 } },
	{ .labels = { web_1, 2 } },
};

struct snapshot {
	const struct snap_stream *v[4];
	size_t n;
};

static struct {
	size_t n_calls, n_matchers;
	struct timerange range;
	struct slice name;
} asked;

static bool matches(struct labels l, const struct matcher *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice v = labels_get(l, m[i].name);

		if (!matcher_matches(&m[i], v.p != NULL ? v : SLICE("")))
			return false;
	}
	return true;
}

int snapshot_take(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		  const struct scan_hint *hint, bool want_units, struct snapshot **out, struct err *err)
{
	struct snapshot *snap = xcalloc(1, sizeof(*snap));

	(void)s;
	(void)err;
	assert_true(slice_is(tenant, "t") && !want_units);
	asked.n_calls++;
	asked.n_matchers = n_matchers;
	asked.range = hint->range;
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		if (matches(streams[i].labels, m, n_matchers))
			snap->v[snap->n++] = &streams[i];
	*out = snap;
	return 0;
}

void snapshot_release(struct snapshot *snap)
{
	free(snap);
}

size_t snapshot_n_streams(const struct snapshot *snap)
{
	return snap->n;
}

const struct snap_stream *snapshot_stream(const struct snapshot *snap, size_t i)
{
	return snap->v[i];
}

int store_labels(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		 struct timerange range, struct slice name, struct arena *a, struct slice **out,
		 size_t *n_out, struct err *err)
{
	(void)s;
	(void)tenant;
	(void)m;
	(void)err;
	asked.n_calls++;
	asked.n_matchers = n_matchers;
	asked.range = range;
	asked.name = name;
	*out = arena_array(a, struct slice, 1);
	(*out)[0] = SLICE("x");
	*n_out = 1;
	return 0;
}

int store_sums(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
	       struct timerange range, struct store_sums *out, struct err *err)
{
	(void)s;
	(void)tenant;
	(void)m;
	(void)err;
	asked.n_calls++;
	asked.n_matchers = n_matchers;
	asked.range = range;
	*out = (struct store_sums){ 1, 2, 3, 4 };
	return 0;
}

/* ---- the tests ---- */

static struct arena arena;
static struct query_engine engine;
static struct query_control control;

static int setup(void **state)
{
	(void)state;
	memset(&asked, 0, sizeof(asked));
	control.cancelled = false;
	arena_init(&arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct meta_request request(const char *selector)
{
	return (struct meta_request){ .tenant = SLICE("t"),
				      .selector = slice_cstr(selector),
				      .range = { 10, 20 } };
}

static const char not_a_selector[] = "only label matchers are supported";
static const char too_wide[] =
	"parse error : queries require at least one regexp or equality matcher that does not have an "
	"empty-compatible value. "
	"For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

static void names(void **state)
{
	struct meta_request r = request("");
	struct slice *v;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(meta_label_names(&engine, &r, &control, &arena, &v, &n, &err), 0);
	assert_true(n == 1 && asked.name.p == NULL && asked.n_matchers == 0);
	assert_true(asked.range.start == 10 && asked.range.end == 21); /* the end is included */
	r = request("{app=\"web\", pod!=\"1\"}");
	r.range.end = INT64_MAX;
	assert_int_equal(meta_label_names(&engine, &r, &control, &arena, &v, &n, &err), 0);
	assert_true(asked.n_matchers == 2 && asked.range.end == INT64_MAX);
}

static void values(void **state)
{
	struct meta_request r = request("");
	struct slice *v;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(meta_label_values(&engine, &r, SLICE("app"), &control, &arena, &v, &n, &err), 0);
	assert_true(n == 1 && slice_is(asked.name, "app"));
	/* No label is called so: nothing to ask the store, but the selector must be right. */
	assert_int_equal(meta_label_values(&engine, &r, SLICE("a-b"), &control, &arena, &v, &n, &err), 0);
	assert_true(n == 0 && asked.n_calls == 1);
	r = request("{app");
	assert_int_equal(meta_label_values(&engine, &r, SLICE("a-b"), &control, &arena, &v, &n, &err), -1);
	assert_string_equal(
		err.msg,
		"parse error at line 1, col 5: syntax error: unexpected $end, expecting = or =~ or !~ or !=");
}

static void selectors_that_are_none(void **state)
{
	static const struct {
		const char *in, *text;
	} rows[] = {
		{ "{}", too_wide },
		{ "{app=~\".*\"}", too_wide },
		{ "{app=\"x\"} |= \"y\"", not_a_selector },
		{ "rate({app=\"x\"}[1m])", not_a_selector },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct meta_request r = request(rows[i].in);
		struct meta_stats stats;
		struct slice *v;
		struct err err;
		size_t n;

		assert_int_equal(meta_label_names(&engine, &r, &control, &arena, &v, &n, &err), -1);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
		assert_string_equal(err.msg, rows[i].text);
		assert_int_equal(meta_stats(&engine, &r, &control, &stats, &err), -1);
		assert_string_equal(err.msg, rows[i].text);
	}
	assert_int_equal(asked.n_calls, 0);
}

static void check_series(const char *const *selectors, size_t n_selectors, const struct labels *expected,
			 size_t n_expected)
{
	struct meta_request r = request("");
	struct slice v[4];
	struct labels *out;
	struct err err;
	size_t n;

	for (size_t i = 0; i < n_selectors; i++)
		v[i] = slice_cstr(selectors[i]);
	if (meta_series(&engine, &r, v, n_selectors, &control, &arena, &out, &n, &err) == -1)
		fail_msg("%s", err.msg);
	assert_int_equal(n, n_expected);
	for (size_t i = 0; i < n; i++)
		assert_true(labels_eq(out[i], expected[i]));
}

static void series(void **state)
{
	const struct labels all[] = { { db, 1 }, { db_1, 2 }, { web_1, 2 }, { web_2, 2 } };
	const struct labels webs[] = { { web_1, 2 }, { web_2, 2 } };
	const struct labels ones_and_webs[] = { { db_1, 2 }, { web_1, 2 }, { web_2, 2 } };

	(void)state;
	check_series(NULL, 0, all, 4);
	check_series((const char *const[]){ "{}" }, 1, all, 4);
	check_series((const char *const[]){ " { } " }, 1, all, 4);
	check_series((const char *const[]){ "{app=\"web\"}" }, 1, webs, 2);
	check_series((const char *const[]){ "{app=\"web\"}", "{pod=~\"1|x\"}" }, 2, ones_and_webs,
		     3); /* web_1 once */
	check_series((const char *const[]){ "{app=\"none\"}" }, 1, NULL, 0);
}

static void series_refused(void **state)
{
	const struct slice bad[] = { SLICE("{app=\"web\"}"), SLICE("{}") };
	const struct slice pipeline[] = { SLICE("{app=\"web\"} |= \"x\"") };
	struct meta_request r = request("");
	struct labels *out;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(meta_series(&engine, &r, bad, 2, &control, &arena, &out, &n, &err), -1);
	assert_string_equal(err.msg, too_wide);
	assert_int_equal(meta_series(&engine, &r, pipeline, 1, &control, &arena, &out, &n, &err), -1);
	assert_string_equal(err.msg, not_a_selector);
	control.cancelled = true;
	assert_int_equal(meta_series(&engine, &r, NULL, 0, &control, &arena, &out, &n, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
}

static void stats(void **state)
{
	struct meta_request r = request("{app=\"web\"}");
	struct meta_stats s;
	struct err err;

	(void)state;
	assert_int_equal(meta_stats(&engine, &r, &control, &s, &err), 0);
	assert_true(s.streams == 1 && s.chunks == 2 && s.bytes == 3 && s.entries == 4);
	r = request("");
	assert_int_equal(meta_stats(&engine, &r, &control, &s, &err), -1);
	assert_string_equal(err.msg, "parse error : syntax error: unexpected $end");
}

static void checks_alone(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(meta_check_selector(SLICE("{}"), true, &err), 0);
	assert_int_equal(meta_check_selector(SLICE("{}"), false, &err), -1);
	assert_int_equal(meta_check_log_query(SLICE("{a=\"b\"} |= \"x\" | json"), &err), 0);
	assert_int_equal(meta_check_log_query(SLICE("rate({a=\"b\"}[1m])"), &err), -1);
	assert_string_equal(err.msg, "only log selector is supported");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(names),	    TEST(values),	  TEST(selectors_that_are_none),
		TEST(series),	    TEST(series_refused), TEST(stats),
		TEST(checks_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
