/* Metric queries on a fake store: windows, steps, groups, errors; and random data against a naive reference.
 */
#define QUERY_TEST_UNIT INT64_C(1000000) /* queries name milliseconds at the finest */
#include "tests/unit/query_test.h"
#include "query/range.h"

static const char not_json[] =
	"pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", "
	"__error_details__=\"Value looks like object, but can't find closing '}' symbol\", "
	"app=\"a\"}'.\n"
	"Use a label filter to intentionally skip this error. (e.g | __error__!=\"JSONParserErr\").\n"
	"To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
	"The label filter can also be specified after unwrap. (e.g | unwrap latency | "
	"__error__=\"\" )\n";

static void add_lines(struct query_test *t)
{
	for (int i = 0; i < 6; i++) {
		char line[16], meta[16];

		snprintf(line, sizeof(line), "v=%d", i);
		snprintf(meta, sizeof(meta), "{sm=\"s%d\"}", i % 2);
		fake_store_add(&t->store, "{app=\"a\"}", i * 10 * QUERY_TEST_UNIT, line, meta);
	}
	fake_store_add(&t->store, "{app=\"b\"}", 5 * QUERY_TEST_UNIT, "v=7", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 60 * QUERY_TEST_UNIT, "v=8", NULL);
}

static void test_instant(void **state)
{
	static const struct {
		const char *query, *result;
	} cases[] = {
		{ "count_over_time({app=~\".+\"}[60ms])",
		  "{app=\"a\", sm=\"s0\"} 60=2\n{app=\"a\", sm=\"s1\"} 60=3\n{app=\"b\"} 60=2\n" },
		{ "count_over_time({app=~\".+\"}[60ms] offset 10ms)",
		  "{app=\"a\", sm=\"s0\"} 60=3\n{app=\"a\", sm=\"s1\"} 60=3\n{app=\"b\"} 60=1\n" },
		{ "count_over_time({app=~\".+\"}[60ms] offset -10ms)",
		  "{app=\"a\", sm=\"s0\"} 60=2\n{app=\"a\", sm=\"s1\"} 60=2\n{app=\"b\"} 60=1\n" },
		{ "sum by (nope)(count_over_time({app=~\".+\"}[60ms]))", "{} 60=7\n" },
		{ "sum by (app)(bytes_over_time({app=~\".+\"}[60ms]))",
		  "{app=\"a\"} 60=15\n{app=\"b\"} 60=6\n" },
		{ "sum by (sm)(count_over_time({app=\"a\"}[60ms]))", "{sm=\"s0\"} 60=2\n{sm=\"s1\"} 60=3\n" },
		{ "sum without (sm)(count_over_time({app=~\".+\"}[60ms]))",
		  "{app=\"a\"} 60=5\n{app=\"b\"} 60=2\n" },
		{ "sum without ()(count_over_time({app=\"b\"}[60ms]))", "{app=\"b\"} 60=2\n" },
		{ "max by (app)(count_over_time({app=~\".+\"}[60ms]))",
		  "{app=\"a\"} 60=3\n{app=\"b\"} 60=2\n" },
		{ "min(count_over_time({app=~\".+\"}[60ms]))", "{} 60=2\n" },
		{ "count by (app)(count_over_time({app=~\".+\"}[60ms]))",
		  "{app=\"a\"} 60=2\n{app=\"b\"} 60=1\n" },
		{ "avg(count_over_time({app=\"a\"}[60ms]))", "{} 60=2.5\n" },
		{ "sum(count_over_time({app=~\".+\"} |= \"v=1\" [60ms]))", "{} 60=1\n" },
		{ "sum(bytes_over_time({app=~\".+\"} | sm=\"s0\" [60ms]))", "{} 60=6\n" },
		{ "sum(count_over_time({app=\"none\"}[60ms]))", "" },
		{ "count_over_time({app=\"a\"}[0s])", "" },
		{ "1 + 1", "{} 60=2\n" },
		{ "1 / 0", "{} 60=NaN\n" },
		{ "vector(1)+vector(1)", "{} 60=2\n" },
		{ "vector(3) > 2", "{} 60=3\n" },
		{ "vector(3) < bool 2", "{} 60=0\n" },
		{ "2 > count_over_time({app=\"b\"}[60ms])", "" },
		{ "sum(count_over_time({app=\"none\"}[60ms])) or vector(0)", "{} 60=0\n" },
		{ "sum by (app)(count_over_time({app=~\".+\"}[60ms])) and on (app) "
		  "count_over_time({app=\"b\"}[60ms])",
		  "{app=\"b\"} 60=2\n" },
		{ "sum by (app)(count_over_time({app=~\".+\"}[60ms])) unless "
		  "sum by (app)(count_over_time({app=\"b\"}[60ms]))",
		  "{app=\"a\"} 60=5\n" },
		{ "sum by (app)(count_over_time({app=\"b\"}[60ms])) * on (app) "
		  "sum by (app, x)(count_over_time({app=\"b\"}[60ms]))",
		  "{app=\"b\"} 60=4\n" },
		{ "count_over_time({app=\"a\"}[60ms]) * on (app) sum by "
		  "(app)(count_over_time({app=\"a\"}[60ms]))",
		  "multiple matches for labels: many-to-one matching must be explicit "
		  "(group_left/group_right)" },
		{ "sum by (app)(count_over_time({app=\"a\"}[60ms])) * on (app) "
		  "count_over_time({app=\"a\"}[60ms])",
		  "found duplicate series on the right hand-side;many-to-many matching not allowed: matching "
		  "labels "
		  "must be unique on one side" },
		{ "sum by (app)(count_over_time({app=\"b\"}[60ms])) * on () group_left () vector(2)",
		  "{app=\"b\"} 60=4\n" },
	};
	struct query_test *t = *state;

	add_lines(t);
	t->req.instant = true;
	t->req.end = 60 * QUERY_TEST_UNIT;
	for (int exact = 0; exact < 2; exact++) {
		t->store.exact_count = exact == 1;
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			const char *got = query(t, cases[i].query);

			if (strcmp(got, cases[i].result) != 0)
				print_error("%s\n", cases[i].query);
			assert_string_equal(got, cases[i].result);
		}
	}
	assert_query(t, "rate({app=\"b\"}[60ms])", "{app=\"b\"} 60=33.333333333333336\n");
}

static void test_steps(void **state)
{
	struct query_test *t = *state;

	add_lines(t);
	t->req.start = 0 * QUERY_TEST_UNIT;
	t->req.end = 90 * QUERY_TEST_UNIT;
	t->req.step = 30 * QUERY_TEST_UNIT;
	assert_query(t, "sum by (app)(count_over_time({app=~\".+\"}[30ms]))",
		     "{app=\"a\"} 0=1 30=3 60=2\n{app=\"b\"} 30=1 60=1\n");
	assert_query(t, "vector(2)", "{} 0=2 30=2 60=2 90=2\n");
	t->req.start = 7 * QUERY_TEST_UNIT;
	t->req.end = 67 * QUERY_TEST_UNIT;
	t->req.step = 20 * QUERY_TEST_UNIT;
	assert_query(t, "7", "{} 7=7 27=7 47=7 67=7\n");
	t->limits.align_queries_with_step = true;
	assert_query(t, "7", "{} 0=7 20=7 40=7 60=7 80=7\n");
	t->limits.align_queries_with_step = false;
	t->req.end = t->req.start;
	assert_query(t, "7", "{} 7=7\n");
	t->req.end = 11001 * QUERY_TEST_UNIT;
	t->req.start = 0 * QUERY_TEST_UNIT;
	t->req.step = 1 * QUERY_TEST_UNIT;
	assert_query(t, "7",
		     "exceeded maximum resolution of 11,000 points per time series. Try increasing the value "
		     "of the "
		     "step parameter");
	t->req.step = 0 * QUERY_TEST_UNIT;
	query(t, "7");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
}

static void test_lines_are_read_only_where_needed(void **state)
{
	struct query_test *t = *state;

	add_lines(t);
	t->req.step = 100 * QUERY_TEST_UNIT;
	query(t, "sum(bytes_rate({app=\"a\"}[1s]))");
	assert_true(t->store.no_lines);
	assert_true(t->store.blocks_read > 0);
	query(t, "sum(count_over_time({app=\"a\"} |= \"v\" [1s]))");
	assert_false(t->store.no_lines);
	query(t, "sum by (v) (count_over_time({app=\"a\"} | json | __error__!=\"\" [1s]))");
	assert_false(t->store.no_lines);
	/* Units that say how many entries they hold need not be read at all. */
	t->store.exact_count = true;
	t->store.blocks_read = 0;
	t->req.instant = true;
	assert_query(t, "sum by (app) (count_over_time({app=~\".+\"}[1000ms]))",
		     "{app=\"a\"} 1000=5\n{app=\"b\"} 1000=2\n");
	assert_int_equal(t->store.blocks_read, 0);
}

static void test_json(void **state)
{
	static const struct {
		const char *query, *result;
	} cases[] = {
		{ "sum by (level)(count_over_time({app=\"a\"} | json [1s]))", not_json },
		{ "count_over_time({app=\"a\"} | json [1s])", not_json },
		{ "max(count_over_time({app=\"a\"} | json [1s]))", not_json },
		/* Nobody needs a label: the parser does not run, and cannot fail. */
		{ "sum(count_over_time({app=\"a\"} | json [1s]))", "{} 100=4\n" },
		{ "sum by (level)(count_over_time({app=\"a\"} | json | __error__=\"\" [1s]))",
		  "{level=\"error\"} 100=1\n{level=\"info\"} 100=2\n" },
		{ "sum by (__error__)(count_over_time({app=\"a\"} | json [1s]))",
		  "{} 100=3\n{__error__=\"JSONParserErr\"} 100=1\n" },
		{ "sum by (app)(count_over_time({app=\"a\"} | json | __error__!=\"\" [1s]))",
		  "{app=\"a\"} 100=1\n" },
		{ "sum(count_over_time({app=\"a\"} | json | __error__!=\"\" [1s]))", "{} 100=1\n" },
		{ "count_over_time({app=\"a\"} | json | __error__!=\"\" [1s])", not_json },
		{ "sum by (level)(count_over_time({app=\"a\"} |= \"{\" | json [1s]))",
		  "{level=\"error\"} 100=1\n{level=\"info\"} 100=2\n" },
		{ "count_over_time({app=\"a\"} |= \"{\" | json | level=\"info\" [1s])",
		  "{app=\"a\", d_x=\"1\", level=\"info\"} 100=1\n{app=\"a\", d_x=\"2\", level=\"info\"} "
		  "100=1\n" },
		{ "sum by (d_x)(count_over_time({app=\"a\"} |= \"{\" | json | level=\"info\" [1s]))",
		  "{d_x=\"1\"} 100=1\n{d_x=\"2\"} 100=1\n" },
	};
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1, "{\"level\":\"info\",\"d\":{\"x\":1}}", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 2, "{\"level\":\"info\",\"d\":{\"x\":2}}", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 3, "{\"level\":\"error\",\"d\":{\"x\":1}}", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 4, "level=none", NULL);
	t->req.instant = true;
	t->req.end = 100 * QUERY_TEST_UNIT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = query(t, cases[i].query);

		if (strcmp(got, cases[i].result) != 0)
			print_error("%s\n", cases[i].query);
		assert_string_equal(got, cases[i].result);
	}
}

static void test_limits(void **state)
{
	struct query_test *t = *state;

	add_lines(t);
	t->limits.max_query_series = 2;
	t->req.step = 1000 * QUERY_TEST_UNIT;
	assert_query(
		t, "count_over_time({app=~\".+\"}[1s])",
		"maximum number of series (2) reached for a single query; consider reducing query "
		"cardinality by "
		"adding more specific stream selectors, reducing the time range, or aggregating results with "
		"functions like sum(), count() or topk()");
	t->req.instant = true;
	assert_query(t, "count(count_over_time({app=~\".+\"}[1s]))", "{} 1000=3\n");
	t->req.instant = false;
	t->limits.max_query_range = 7200 * INT64_C(1000000000);
	assert_query(t, "count(count_over_time({app=~\".+\"}[3h]))",
		     "[interval] value exceeds limit: [3h] > [2h]");
	t->req.instant = true;
	assert_query(t, "count(count_over_time({app=~\".+\"}[3h]))",
		     "[interval] value exceeds limit: [3h] > [2h]");
	t->req.instant = false;
	t->limits.max_query_range = 0;
	t->limits.max_query_memory = 2000;
	query(t, "count_over_time({app=~\".+\"}[1s])");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
}

/* A cell holds for all times up to its last, and for none beyond. */
static void test_cells(void **state)
{
	static const struct grid grids[] = {
		{ 0, 30, 4 }, { 7, 20, 4 }, { -50, 7, 40 }, { 3, 1, 1 }, { 5, 1000, 3 }
	};
	static const int64_t ranges[] = { 1, 7, 30, 45, 200 }, offsets[] = { 0, 13, -25 };

	(void)state;
	for (size_t g = 0; g < ARRAY_LEN(grids); g++)
		for (size_t r = 0; r < ARRAY_LEN(ranges); r++)
			for (size_t o = 0; o < ARRAY_LEN(offsets); o++)
				for (int64_t ts = -300; ts < 300; ts++) {
					struct cell c = range_cell(&grids[g], ranges[r], offsets[o], ts);
					struct cell n = range_cell(&grids[g], ranges[r], offsets[o], ts + 1);

					assert_true((n.lo == c.lo && n.end == c.end) == (ts < c.last));
					for (uint32_t i = 0; i < grids[g].n; i++) {
						int64_t end = grid_time(&grids[g], i) - offsets[o];

						assert_true((end - ranges[r] < ts && ts <= end) ==
							    (c.lo <= i && i < c.end));
					}
				}
}

static void test_cells_at_the_edge_of_time(void **state)
{
	static const int64_t edges[] = { INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(edges); s++)
		for (size_t t = 0; t < ARRAY_LEN(edges); t++)
			for (size_t o = 0; o < ARRAY_LEN(edges); o++) {
				struct grid g = { edges[s], 1, 1 };
				struct cell c = range_cell(&g, INT64_MAX, edges[o], edges[t]);
				struct timerange w = range_window(&g, INT64_MAX, edges[o]);

				assert_true(c.lo <= c.end && c.last >= edges[t]);
				/* Saturated ends leave out the last instant that int64 can name. */
				if (c.lo < c.end && edges[t] < INT64_MAX)
					assert_true(timerange_has(w, edges[t]));
			}
}

/* ---- random data ---- */

enum { N_LINES = 300, T_MAX = 500 };

static struct {
	int64_t ts;
	int stream, sm;
	size_t len;
} lines[N_LINES];

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

static void add_random(struct query_test *t)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz";

	for (size_t i = 0; i < N_LINES; i++) {
		char labels[32], meta[32], line[32];

		lines[i].ts = rnd(T_MAX);
		lines[i].stream = (int)rnd(3);
		lines[i].sm = (int)rnd(3);
		lines[i].len = rnd(20);
		snprintf(labels, sizeof(labels), "{app=\"%d\"}", lines[i].stream);
		snprintf(meta, sizeof(meta), "{sm=\"%d\"}", lines[i].sm);
		snprintf(line, sizeof(line), "%.*s", (int)lines[i].len, text);
		fake_store_add(&t->store, labels, lines[i].ts * QUERY_TEST_UNIT, line, meta);
	}
}

struct reference {
	bool by_app, by_sm, bytes, filtered;
	int64_t range, offset;
};

/* One series of the reference; returns whether it has any point. */
static bool reference_series(struct buf *b, const struct query_request *r, const struct reference *ref,
			     int app, int sm)
{
	bool any = false;

	for (int64_t t = r->start; t <= r->end; t += r->step) {
		int64_t at = t / QUERY_TEST_UNIT;
		int64_t n = 0, bytes = 0;

		for (size_t i = 0; i < N_LINES; i++) {
			if ((ref->by_app && lines[i].stream != app) || (ref->by_sm && lines[i].sm != sm) ||
			    lines[i].ts <= at - ref->offset - ref->range || lines[i].ts > at - ref->offset ||
			    (ref->filtered && lines[i].len < 5))
				continue;
			n++;
			bytes += (int64_t)lines[i].len;
		}
		if (n > 0)
			buf_printf(b, " %lld=%lld", (long long)at, (long long)(ref->bytes ? bytes : n));
		any = any || n > 0;
	}
	return any;
}

static void reference_result(struct buf *out, const struct query_request *r, const struct reference *ref)
{
	struct buf b;

	buf_reset(out);
	buf_init(&b);
	for (int app = 0; app < (ref->by_app ? 3 : 1); app++)
		for (int sm = 0; sm < (ref->by_sm ? 3 : 1); sm++) {
			buf_reset(&b);
			if (!reference_series(&b, r, ref, app, sm))
				continue;
			buf_putc(out, '{');
			if (ref->by_app)
				buf_printf(out, "app=\"%d\"%s", app, ref->by_sm ? ", " : "");
			if (ref->by_sm)
				buf_printf(out, "sm=\"%d\"", sm);
			buf_printf(out, "}%.*s\n", SLICE_ARG(buf_slice(&b)));
		}
	buf_cstr_end(out);
	buf_fini(&b);
}

static void test_random(void **state)
{
	struct query_test *t = *state;
	struct buf expected;

	buf_init(&expected);
	add_random(t);
	for (int round = 0; round < 300; round++) {
		struct reference ref = { .by_app = rnd(2),
					 .by_sm = rnd(2),
					 .bytes = rnd(2),
					 .filtered = rnd(2),
					 .range = 1 + rnd(rnd(2) ? 200 : 10),
					 .offset = (int)rnd(60) - 30 };
		char text[256];

		t->req.start = ((int)rnd(T_MAX) - 100) * QUERY_TEST_UNIT;
		t->req.end = t->req.start + rnd(T_MAX) * QUERY_TEST_UNIT;
		t->req.step = (1 + rnd(rnd(2) ? 100 : 8)) * QUERY_TEST_UNIT;
		t->store.unit_entries = 1 + rnd(80);
		t->store.block_entries = 1 + rnd(20);
		t->store.share_metas = rnd(2);
		snprintf(text, sizeof(text), "sum by (%s%s%s) (%s({app=~\".+\"} %s [%dms] offset %dms))",
			 ref.by_app ? "app" : "", ref.by_app && ref.by_sm ? "," : "", ref.by_sm ? "sm" : "",
			 ref.bytes ? "bytes_over_time" : "count_over_time",
			 ref.filtered ? "|= \"abcde\"" : "", (int)ref.range, (int)ref.offset);
		reference_result(&expected, &t->req, &ref);
		const char *got = query(t, text);
		if (strcmp(got, expected.p) != 0)
			print_error(
				"%s start=%d end=%d step=%d\n", text, (int)(t->req.start / QUERY_TEST_UNIT),
				(int)(t->req.end / QUERY_TEST_UNIT), (int)(t->req.step / QUERY_TEST_UNIT));
		assert_string_equal(got, expected.p);
	}
	buf_fini(&expected);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, query_test_setup, query_test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_instant),
		TEST(test_steps),
		TEST(test_lines_are_read_only_where_needed),
		TEST(test_json),
		TEST(test_limits),
		TEST(test_cells),
		TEST(test_cells_at_the_edge_of_time),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
