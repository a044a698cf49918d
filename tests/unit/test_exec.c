/* Log queries on a fake store: selection, order, limit, interval, duplicates, labels, what is asked of the
 * index. */
#include "tests/unit/query_test.h"

#define ID_A "4bf92f3577b34da6a3ce929d0e0e4736"
#define ID_B "4bf92f3577b34da6a3ce929d0e0e4737"

static void add_two_streams(struct query_test *t)
{
	for (int i = 0; i < 20; i++) {
		char line[32];

		snprintf(line, sizeof(line), "a%d", i);
		fake_store_add(&t->store, "{app=\"a\"}", i * 10, line, NULL);
		snprintf(line, sizeof(line), "b%d", i);
		fake_store_add(&t->store, "{app=\"b\"}", i * 10 + 5, line, NULL);
	}
}

static void test_direction_and_limit(void **state)
{
	struct query_test *t = *state;

	add_two_streams(t);
	t->req.limit = 3;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 0:a0 10:a1\n{app=\"b\"} 5:b0\n");
	t->req.backward = true;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 190:a19\n{app=\"b\"} 195:b19 185:b18\n");
	assert_query(t, "{app=\"a\"} |= \"a1\"", "{app=\"a\"} 190:a19 180:a18 170:a17\n");
	assert_query(t, "{app=\"none\"}", "");
	t->req.limit = 1;
	assert_query(t, "{app=~\".+\"} |= \"a\"", "{app=\"a\"} 190:a19\n");
}

static void test_range_is_half_open(void **state)
{
	struct query_test *t = *state;

	add_two_streams(t);
	t->req.start = 10;
	t->req.end = 20;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 10:a1\n{app=\"b\"} 15:b1\n");
	t->req.end = 10;
	assert_query(t, "{app=~\".+\"}", "");
	t->req.start = INT64_MIN;
	t->req.end = INT64_MAX;
	t->req.limit = 1;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 0:a0\n");
}

static void test_equal_times_keep_written_order(void **state)
{
	struct query_test *t = *state;
	static const char *const lines[] = { "one", "two", "three", "four", "five" };

	for (size_t i = 0; i < 5; i++) {
		fake_store_add(&t->store, "{app=\"a\"}", 7, lines[i], NULL);
		fake_store_add(&t->store, "{app=\"b\"}", 7, lines[i], NULL);
	}
	t->req.limit = 7;
	assert_query(t, "{app=~\".+\"}",
		     "{app=\"a\"} 7:one 7:two 7:three 7:four 7:five\n{app=\"b\"} 7:one 7:two\n");
	t->req.backward = true;
	assert_query(t, "{app=~\".+\"}",
		     "{app=\"a\"} 7:five 7:four\n{app=\"b\"} 7:five 7:four 7:three 7:two 7:one\n");
}

static void test_early_stop(void **state)
{
	struct query_test *t = *state;

	for (int i = 0; i < 3000; i++)
		fake_store_add(&t->store, "{app=\"a\"}", i, "x", NULL);
	t->req.end = 10000;
	t->req.backward = true;
	t->req.limit = 5;
	t->store.unit_entries = 100;
	t->store.block_entries = 10;
	query(t, "{app=\"a\"}");
	/* One block for the answer; each thread may have begun one unit more. */
	assert_in_range(t->store.blocks_read, 1, 5);
	assert_int_equal(t->stats.entries_returned, 5);
}

static void test_interval(void **state)
{
	struct query_test *t = *state;

	add_two_streams(t);
	t->req.interval = 50;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 0:a0 50:a5 100:a10 150:a15\n");
	t->req.limit = 2;
	assert_query(t, "{app=~\".+\"}", "{app=\"a\"} 0:a0 50:a5\n");
	t->req.limit = 100;
	t->req.backward = true;
	assert_query(t, "{app=~\".+\"}", "{app=\"b\"} 195:b19 145:b14 95:b9 45:b4\n");
	t->req.interval = INT64_MAX;
	assert_query(t, "{app=~\".+\"}", "{app=\"b\"} 195:b19\n");
}

/* More entries than one round of the heap holds. */
static void test_interval_over_many_rounds(void **state)
{
	struct query_test *t = *state;

	for (int i = 0; i < 5000; i++)
		fake_store_add(&t->store, "{app=\"a\"}", i, "x", NULL);
	t->store.unit_entries = 400;
	t->store.block_entries = 64;
	t->req.end = 10000;
	t->req.interval = 2;
	t->req.limit = 5000;
	query(t, "{app=\"a\"}");
	assert_int_equal(t->stats.entries_returned, 2500);
	t->req.backward = true;
	query(t, "{app=\"a\"}");
	assert_int_equal(t->stats.entries_returned, 2500);
}

static void test_duplicates_are_returned_once(void **state)
{
	struct query_test *t = *state;

	t->store.block_entries = 2;
	for (int i = 0; i < 3; i++)
		fake_store_add(&t->store, "{app=\"a\"}", 1, "same", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 1, "same", "{k=\"v\"}");
	fake_store_add(&t->store, "{app=\"a\"}", 2, "same", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 1, "same", NULL);
	assert_query(t, "{app=~\".+\"}",
		     "{app=\"a\", k=\"v\"} 1:same\n{app=\"a\"} 1:same 2:same\n{app=\"b\"} 1:same\n");
}

static void test_metadata_and_categories(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1, "{\"app\":\"p\",\"x\":1,\"y\":\"z\"}",
		       "{app=\"m\", x=\"2\"}");
	fake_store_add(&t->store, "{app=\"a\"}", 2, "no json", NULL);
	assert_query(t, "{app=\"a\"} |= \"app\"",
		     "{app=\"a\", app_extracted=\"m\", x=\"2\"} 1:{\"app\":\"p\",\"x\":1,\"y\":\"z\"}\n");
	assert_query(t, "{app=\"a\"} |= \"app\" | json",
		     "{app=\"a\", app_extracted=\"p\", x=\"2\", x_extracted=\"1\", y=\"z\"} "
		     "1:{\"app\":\"p\",\"x\":1,\"y\":\"z\"}\n");
	t->req.categorize = true;
	assert_query(t, "{app=\"a\"} |= \"app\" | json",
		     "{app=\"a\", app_extracted=\"p\", x=\"2\", x_extracted=\"1\", y=\"z\"} "
		     "1:{\"app\":\"p\",\"x\":1,\"y\":\"z\"}+{x=\"2\"}"
		     "*{app_extracted=\"p\", x_extracted=\"1\", y=\"z\"}\n");
}

static void test_streams_are_sorted_by_their_text(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1, "x", NULL);
	fake_store_add(&t->store, "{app=\"a\", z=\"1\"}", 2, "x", NULL);
	fake_store_add(&t->store, "{app=\"B\"}", 3, "x", NULL);
	assert_query(t, "{app=~\".+\"}", "{app=\"B\"} 3:x\n{app=\"a\", z=\"1\"} 2:x\n{app=\"a\"} 1:x\n");
}

static void test_label_filters(void **state)
{
	struct query_test *t = *state;

	for (int share = 0; share < 2; share++) {
		t->store.share_metas = share == 1;
		if (share == 0)
			for (int i = 0; i < 6; i++) {
				char line[32], meta[64];

				snprintf(line, sizeof(line), "{\"n\":%d}", i);
				snprintf(meta, sizeof(meta), "{level=\"%s\", ms=\"%d\"}",
					 i % 2 ? "error" : "info", i);
				fake_store_add(&t->store, "{app=\"a\"}", i, line, meta);
			}
		assert_query(t, "{app=\"a\"} | level=\"error\" | ms > 2",
			     "{app=\"a\", level=\"error\", ms=\"3\"} 3:{\"n\":3}\n"
			     "{app=\"a\", level=\"error\", ms=\"5\"} 5:{\"n\":5}\n");
		assert_query(t, "{app=\"a\"} | json | n = 4 or level=\"error\" and n < 2",
			     "{app=\"a\", level=\"error\", ms=\"1\", n=\"1\"} 1:{\"n\":1}\n"
			     "{app=\"a\", level=\"info\", ms=\"4\", n=\"4\"} 4:{\"n\":4}\n");
		assert_query(t, "{app=\"a\"} | nope=\"\" | ms=\"0\" | app=\"a\"",
			     "{app=\"a\", level=\"info\", ms=\"0\"} 0:{\"n\":0}\n");
	}
}

static void test_trace_lookups(void **state)
{
	static const struct {
		const char *query;
		size_t groups, tokens; /* 0: any number */
	} cases[] = {
		{ "{a=\"b\"}", 0, 0 },
		{ "{a=\"b\"} |= \"" ID_A "\"", 1, 0 },
		{ "{a=\"b\"} |= \"short\"", 0, 0 },
		{ "{a=\"b\"} != \"" ID_A "\"", 0, 0 },
		{ "{a=\"b\"} |= \"" ID_A "\" or \"" ID_B "\"", 1, 0 },
		{ "{a=\"b\"} |= \"" ID_A "\" or \"x\"", 0, 0 },
		{ "{a=\"b\"} | json | trace_id=\"" ID_A "\"", 1, 0 },
		{ "{a=\"b\"} | trace_id=\"" ID_A "\"", 1, 0 },
		{ "{a=\"b\"} | trace_id!=\"" ID_A "\"", 0, 0 },
		{ "{a=\"b\"} | trace_id=~\"" ID_A "|" ID_B "\"", 1, 0 },
		{ "{a=\"b\"} | trace_id=~\"" ID_A ".*\"", 0, 0 },
		{ "{a=\"b\"} | trace_id=\"" ID_A "\" or trace_id=\"" ID_B "\"", 1, 0 },
		{ "{a=\"b\"} | trace_id=\"" ID_A "\" or x=\"1\"", 0, 0 },
		{ "{a=\"b\"} | trace_id=\"" ID_A "\" and x=\"1\"", 1, 0 },
		{ "{a=\"b\"} | other=\"" ID_A "\"", 1, 0 },
		/* The index does not know values of stream labels. */
		{ "{a=\"b\"} | a=\"" ID_A "\"", 0, 0 },
		{ "sum(count_over_time({a=\"b\"} |= \"" ID_A "\" [1s]))", 1, 0 },
	};
	struct query_test *t = *state;

	fake_store_add(&t->store, "{a=\"b\"}", 1, "x", NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		t->req.no_index = false;
		t->store.n_groups = 99;
		query(t, cases[i].query);
		if (t->store.n_groups != cases[i].groups)
			print_error("%s: %zu lookups\n", cases[i].query, t->store.n_groups);
		assert_int_equal(t->store.n_groups, cases[i].groups);
		t->req.no_index = true;
		query(t, cases[i].query);
		assert_int_equal(t->store.n_groups, 0);
		assert_int_equal(t->store.n_needles, 0);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *query, *text;
		enum err_code code;
	} cases[] = {
		{ "{",
		  "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }",
		  ERR_BAD_REQUEST },
	};
	struct query_test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = query(t, cases[i].query);

		assert_int_equal(t->err.code, cases[i].code);
		if (cases[i].code == ERR_NOT_SUPPORTED)
			assert_string_equal(got, cases[i].text);
	}
	t->req.instant = true;
	assert_query(
		t, "{a=\"b\"}",
		"log queries are not supported as an instant query type, please change your query to a range "
		"query type");
}

static void test_guards(void **state)
{
	struct query_test *t = *state;

	add_two_streams(t);
	t->limits.max_query_memory = 400;
	assert_query(t, "{app=~\".+\"}", "query needs more memory than max_query_memory allows (400 B)");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
	t->limits.max_query_memory = 0;
	t->control.cancelled = true;
	query(t, "{app=~\".+\"}");
	assert_int_equal(t->err.code, ERR_CANCELLED);
	t->control.cancelled = false;
	t->control.deadline_mono_ns = 1;
	query(t, "{app=~\".+\"}");
	assert_int_equal(t->err.code, ERR_TIMEOUT);
	t->control.deadline_mono_ns = 0;
	t->store.corrupt_blocks = 2;
	t->req.limit = 1;
	t->engine.pool = (pool_free(t->engine.pool), NULL);
	assert_query(
		t, "{app=\"a\"}",
		"{app=\"a\"} 0:a0\nwarning: 2 damaged blocks were left out; the answer may be incomplete\n");
}

/* Neither "no match" nor seconds in one call: libre2 cannot be interrupted. */
static void test_a_regex_too_expensive_for_a_line(void **state)
{
	static char line[200 << 10];
	struct query_test *t = *state;

	memset(line, 'a', sizeof(line) - 1);
	memcpy(line, "bcz", 3); /* what the expression needs anywhere in the line */
	fake_store_add(&t->store, "{app=\"long\"}", 1, line, NULL);
	fake_store_add(&t->store, "{app=\"short\"}", 1, "bcz aaa", NULL);
	assert_query(t, "{app=\"short\"} |~ \"(.{0,1000}a.{0,1000}b)c\"", "");
	query(t, "{app=\"long\"} |~ \"(.{0,1000}a.{0,1000}b)c\"");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
	assert_memory_equal(t->err.msg, "regex too expensive", 19);
	query(t, "count_over_time({app=\"long\"} |~ \"(.{0,1000}a.{0,1000}b)c\" [1m])");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
	query(t, "{app=\"long\"} !~ \"(.{0,1000}a.{0,1000}b)c\"");
	assert_int_equal(t->err.code, ERR_BAD_REQUEST);
	assert_query(t, "{app=\"long\"} |~ \"(.*a){20}z$\"", "");
}

static void test_memory_is_given_back(void **state)
{
	_Atomic uint64_t in_use = 0;
	struct query_test *t = *state;

	add_two_streams(t);
	t->engine.memory_in_use = &in_use;
	query(t, "{app=~\".+\"}");
	query(t, "sum by (app) (count_over_time({app=~\".+\"}[10ns]))");
	assert_int_equal(in_use, 0);
	t->engine.memory_limit = 100;
	query(t, "{app=~\".+\"}");
	assert_int_equal(t->err.code, ERR_UNAVAILABLE);
	assert_int_equal(in_use, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, query_test_setup, query_test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_direction_and_limit),
		TEST(test_range_is_half_open),
		TEST(test_equal_times_keep_written_order),
		TEST(test_early_stop),
		TEST(test_interval),
		TEST(test_interval_over_many_rounds),
		TEST(test_duplicates_are_returned_once),
		TEST(test_metadata_and_categories),
		TEST(test_streams_are_sorted_by_their_text),
		TEST(test_label_filters),
		TEST(test_trace_lookups),
		TEST(test_refusals),
		TEST(test_guards),
		TEST(test_a_regex_too_expensive_for_a_line),
		TEST(test_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
