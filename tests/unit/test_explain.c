/* What is said of a query that is not run: its parts with their places, and for each selector what the plan found. */
#define QUERY_TEST_UNIT INT64_C(1000000000)
#include "tests/unit/query_test.h"
#include "query/explain.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"

static void put_names(struct buf *b, const char *what, const struct slice *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s%.*s", i == 0 ? what : ",", SLICE_ARG(v[i]));
}

static void put_outline(struct buf *b, const struct explain_result *r)
{
	for (size_t i = 0; i < r->n_nodes; i++) {
		const struct explain_node *n = &r->node[i];

		buf_printf(b, "%u:%u %u %s %.*s <%.*s>\n", n->pos.line, n->pos.col, n->depth, n->kind,
			   SLICE_ARG(n->name), SLICE_ARG(n->text));
	}
}

static void put_scan(struct buf *b, const struct explain_scan *s)
{
	buf_printf(b, "%.*s %lld-%lld index=%s", SLICE_ARG(s->selector),
		   (long long)(s->window.start / QUERY_TEST_UNIT),
		   (long long)(s->window.end / QUERY_TEST_UNIT), s->index);
	put_names(b, " needles=", s->needle, s->n_needles);
	for (size_t i = 0; i < s->n_lookups; i++)
		buf_printf(b, " lookup=%zu", s->lookup_tokens[i]);
	put_names(b, " labels=", s->label, s->n_labels);
	buf_printf(b, "%s%s streams=%llu entries=%llu\n", s->all_labels ? " labels=all" : "",
		   s->reads_lines ? "" : " no-lines", (unsigned long long)s->streams,
		   (unsigned long long)s->entries);
}

static const char *explain(struct query_test *t, const char *text, bool outline)
{
	struct explain_result r;

	t->req.text = slice_cstr(text);
	buf_reset(&t->text);
	if (explain_run(&t->engine, &t->req, &t->control, &r, &t->err) == -1)
		return t->err.msg;
	if (outline)
		put_outline(&t->text, &r);
	for (size_t i = 0; i < r.n_scans && !outline; i++)
		put_scan(&t->text, &r.scan[i]);
	buf_cstr_end(&t->text);
	explain_result_fini(&r);
	return t->text.p;
}

static void test_outline(void **state)
{
	struct query_test *t = *state;

	assert_string_equal(explain(t, "{app=\"a\"} |= \"x\"\n| json | level=\"e\"", true),
			    "1:1 0 log query  <{app=\"a\"} |= \"x\" | json | level=\"e\">\n"
			    "1:1 1 selector  <{app=\"a\"}>\n"
			    "1:11 1 stage line filter <|= \"x\">\n"
			    "2:3 1 stage json <| json>\n"
			    "2:10 1 stage label filter <| level=\"e\">\n");
	assert_string_equal(
		explain(t,
			"topk(2, sum by (a) (sum_over_time({app=\"a\"} | unwrap bytes(v) [5m]))) > 1 or "
			"vector(0)",
			true),
		"1:1 0 binary operation or <((topk(2,sum by (a)(sum_over_time({app=\"a\"} | unwrap "
		"bytes(v)[5m]))) > 1) or vector(0.000000))>\n"
		"1:1 1 binary operation > <(topk(2,sum by (a)(sum_over_time({app=\"a\"} | unwrap "
		"bytes(v)[5m]))) > 1)>\n"
		"1:1 2 vector aggregation topk <topk(2,sum by (a)(sum_over_time({app=\"a\"} | unwrap "
		"bytes(v)[5m])))>\n"
		"1:9 3 vector aggregation sum <sum by (a)(sum_over_time({app=\"a\"} | unwrap "
		"bytes(v)[5m]))>\n"
		"1:21 4 range aggregation sum_over_time <sum_over_time({app=\"a\"} | unwrap bytes(v)[5m])>\n"
		"1:35 5 selector  <{app=\"a\"}>\n"
		"1:47 5 unwrap bytes <v>\n"
		"1:73 2 literal  <1>\n"
		"1:78 1 function vector <vector(0.000000)>\n");
}

static void test_plans(void **state)
{
	static const struct {
		const char *query, *plan;
	} cases[] = {
		{ "{app=\"a\"} |= \"needle\"",
		  "{app=\"a\"} 0-1000 index=labels needles=needle labels=all streams=1 entries=2\n" },
		/* Nothing but times is needed. */
		{ "sum by (app)(count_over_time({app=~\".+\"}[100s]))",
		  "{app=~\".+\"} 900-1000 index=labels labels=app no-lines streams=2 entries=1\n" },
		{ "sum by (app)(count_over_time({app=\"a\"} | json | level=\"x\" [1000s]))",
		  "{app=\"a\"} 0-1000 index=labels labels=app,level streams=1 entries=2\n" },
		{ "avg_over_time({app=\"a\"} | json | unwrap v | w>1 [1000s]) by (app)",
		  "{app=\"a\"} 0-1000 index=labels labels=app,v,w streams=1 entries=2\n" },
		{ "count_over_time({app=\"a\"}[1000s]) + on (app) count_over_time({app=\"b\"}[1000s] offset "
		  "500s)",
		  "{app=\"a\"} 0-1000 index=labels labels=all no-lines streams=1 entries=2\n"
		  "{app=\"b\"} -499-500 index=labels labels=all no-lines streams=1 entries=0\n" },
		{ "count_over_time({app=\"a\"}[0s])",
		  "{app=\"a\"} 0-0 index=none labels=all no-lines streams=0 entries=0\n" },
		{ "1 + 1", "" },
		{ "{",
		  "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }" },
	};
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 10 * QUERY_TEST_UNIT, "x", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 20 * QUERY_TEST_UNIT, "y", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 950 * QUERY_TEST_UNIT, "z", NULL);
	t->req.instant = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = explain(t, cases[i].query, false);

		if (strcmp(got, cases[i].plan) != 0)
			print_error("%s\n", cases[i].query);
		assert_string_equal(got, cases[i].plan);
	}
	assert_int_equal(t->store.blocks_read, 0);
	explain(t, "{app=\"a\"} | json | trace_id=\"" ID "\"", false);
	if (strstr(t->text.p, " lookup=2 ") == NULL)
		fail_msg("%s", t->text.p);
}

static void test_what_is_refused_can_be_explained(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 10 * QUERY_TEST_UNIT, "x", NULL);
	t->limits.max_query_bytes_read = 1;
	assert_string_equal(explain(t, "{app=\"a\"}", false),
			    "{app=\"a\"} 0-1000 index=labels labels=all streams=1 entries=1\n");
	t->control.cancelled = true;
	assert_string_equal(explain(t, "{app=\"a\"}", false), "query cancelled");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, query_test_setup, query_test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_outline),
		TEST(test_plans),
		TEST(test_what_is_refused_can_be_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
