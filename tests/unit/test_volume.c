/* Volumes on a fake store whose units hold one entry each: grouping, buckets, order, what is left out. */
#include "base/clock.h"
#include "query/volume.h"
#include "tests/unit/query_test.h"

/* Each entry takes up its line and one byte of empty metadata. */
static void add_streams(struct query_test *t)
{
	t->store.unit_entries = 1;
	t->store.exact_count = true;
	fake_store_add(&t->store, "{app=\"db\", pod=\"1\"}", 10 * NS_PER_S, "123456789", NULL);
	fake_store_add(&t->store, "{app=\"web\", pod=\"1\"}", 10 * NS_PER_S, "1234", NULL);
	fake_store_add(&t->store, "{app=\"web\", pod=\"1\"}", 25 * NS_PER_S, "1234", NULL);
	fake_store_add(&t->store, "{app=\"web\", pod=\"2\"}", 40 * NS_PER_S, "1", "{a=\"b\"}");
	fake_store_add(&t->store, "{app=\"web\"}", 40 * NS_PER_S, "", NULL);
}

static void render_volume(struct buf *b, const struct volume_series *v, size_t n, bool range)
{
	buf_reset(b);
	for (size_t i = 0; i < n; i++) {
		labels_format(b, v[i].labels);
		if (!range)
			buf_printf(b, " %llu", (unsigned long long)v[i].bytes);
		for (size_t k = 0; k < v[i].n && range; k++)
			buf_printf(b, " %lld=%llu", (long long)(v[i].point[k].ts / NS_PER_MS),
				   (unsigned long long)v[i].point[k].bytes);
		buf_putc(b, '\n');
	}
	buf_cstr_end(b);
}

static struct volume_request request(struct query_test *t, const char *selector)
{
	return (struct volume_request){ .tenant = SLICE("fake"),
					.selector = slice_cstr(selector),
					.range = { 0, 40 * NS_PER_S },
					.limit = 100,
					.limits = &t->limits };
}

static const char *volume(struct query_test *t, const struct volume_request *r)
{
	struct volume_series *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	int rc = volume_run(&t->engine, r, &t->control, &a, &v, &n, &t->err);
	if (rc == 0)
		render_volume(&t->text, v, n, r->step > 0);
	arena_fini(&a);
	return rc == 0 ? t->text.p : t->err.msg;
}

static void groups(void **state)
{
	static const struct slice pod[] = { { "pod", 3 } }, both[] = { { "pod", 3 }, { "app", 3 } };
	const struct {
		const char *selector;
		const struct slice *target;
		size_t n_targets;
		bool by_name;
		const char *expected;
	} rows[] = {
		{ "{app=\"web\"}", NULL, 0, false, "{app=\"web\"} 17\n" },
		{ "{app=~\".+\"}", NULL, 0, false, "{app=\"web\"} 17\n{app=\"db\"} 10\n" },
		{ "{}", NULL, 0, false,
		  "{app=\"db\", pod=\"1\"} 10\n{app=\"web\", pod=\"1\"} 10\n{app=\"web\", pod=\"2\"} "
		  "6\n{app=\"web\"} 1\n" },
		{ "{app=~\".+\"}", pod, 1, false, "{pod=\"1\"} 20\n{pod=\"2\"} 6\n" },
		{ "{pod=\"1\"}", both, 2, false,
		  "{app=\"db\", pod=\"1\"} 10\n{app=\"web\", pod=\"1\"} 10\n" },
		{ "{app=\"web\"}", NULL, 0, true, "{app=\"\"} 17\n{pod=\"\"} 16\n" },
		{ "{app=\"web\"}", both, 2, true, "{app=\"\"} 16\n{pod=\"\"} 16\n" },
		{ "{app=\"none\"}", NULL, 0, false, "" },
	};
	struct query_test *t = *state;

	add_streams(t);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct volume_request r = request(t, rows[i].selector);

		r.target = rows[i].target;
		r.n_targets = rows[i].n_targets;
		r.by_name = rows[i].by_name;
		assert_string_equal(volume(t, &r), rows[i].expected);
	}
}

static void the_largest_stay(void **state)
{
	struct query_test *t = *state;
	struct volume_request r = request(t, "{app=~\".+\"}");

	add_streams(t);
	r.limit = 1;
	assert_string_equal(volume(t, &r), "{app=\"web\"} 17\n");
	r.range.end = 24 * NS_PER_S;
	assert_string_equal(volume(t, &r), "{app=\"db\"} 10\n");
}

/* On multiples of the step, stamped with the last millisecond, the last one with the end; empty ones are missing. */
static void buckets(void **state)
{
	struct query_test *t = *state;
	struct volume_request r = request(t, "{app=~\".+\"}");

	add_streams(t);
	r.step = 20 * NS_PER_S;
	assert_string_equal(volume(t, &r), "{app=\"web\"} 19999=5 39999=5 40000=7\n{app=\"db\"} 19999=10\n");
	r.range.start = 11 * NS_PER_S;
	r.step = 100 * NS_PER_S;
	assert_string_equal(volume(t, &r), "{app=\"web\"} 40000=12\n");
	r.range = (struct timerange){ INT64_MIN, INT64_MAX };
	assert_non_null(strstr(volume(t, &r), "exceeded maximum resolution of 11,000 points"));
}

/* A unit over several buckets is spread evenly, and nothing gets lost. */
static void long_units(void **state)
{
	struct query_test *t = *state;
	struct volume_request r = request(t, "{app=\"a\"}");

	t->store.unit_entries = 7;
	fake_store_add(&t->store, "{app=\"a\"}", 0, "12345", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 30 * NS_PER_S - 1, "1", NULL);
	r.step = 10 * NS_PER_S;
	assert_string_equal(volume(t, &r), "{app=\"a\"} 9999=3 19999=2 29999=3\n");
}

/* The name of the level that was added to each entry is not what somebody logged. */
static void level_names(void **state)
{
	struct query_test *t = *state;
	struct volume_request r = request(t, "{app=\"a\"}");

	fake_store_add(&t->store, "{app=\"a\"}", 1, "1234567890", "{detected_level=\"info\"}");
	assert_string_equal(volume(t, &r), "{app=\"a\"} 31\n");
	t->limits.discover_log_levels = true;
	assert_string_equal(volume(t, &r), "{app=\"a\"} 16\n");
}

static void errors(void **state)
{
	struct query_test *t = *state;
	struct volume_request r = request(t, "{app=\"a\"} |= \"x\"");

	assert_string_equal(volume(t, &r), "only label matchers are supported");
	r = request(t, "{app=\"web\"}");
	add_streams(t);
	r.step = NS_PER_S;
	t->limits.max_query_memory = 64;
	assert_non_null(strstr(volume(t, &r), "max_query_memory"));
	t->control.cancelled = true;
	(void)volume(t, &r);
	assert_int_equal(t->err.code, ERR_CANCELLED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, query_test_setup, query_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(groups),	  TEST(the_largest_stay), TEST(buckets),
		TEST(long_units), TEST(level_names),	  TEST(errors),
	};

	(void)query;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
