/* Answers as clients see them: the order of keys, how numbers are written, what is escaped. */
#include "api/encode.h"
#include "query/entry_id.h"
#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
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

static const int64_t t0 = 1795424590 * NS_PER_S;

/* The encoder asks often enough whether to go on; here the answer is a flag. */
int query_control_check(const struct query_control *c, struct err *err)
{
	return c->cancelled ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

/* The answer up to the statistics; a static buffer. */
static const char *encode(const struct query_result *r, struct slice flags)
{
	static struct buf b;
	struct query_control c = { 0 };
	struct err err;

	buf_fini(&b);
	buf_init(&b);
	assert_int_equal(encode_result(&b, r, flags, &c, &err), 0);
	assert_true(b.n > 0 && b.p[b.n - 1] == '\n');
	size_t stats = slice_find(buf_slice(&b), SLICE(",\"stats\":{"));
	assert_true(stats != SLICE_NONE);
	b.p[stats] = '\0';
	return b.p;
}

static const struct slice no_flags = { NULL, 0 };

static void streams(void **state)
{
	const struct label labels[] = { L("app", "shop"), L("x", "<\"\n") };
	struct result_entry entries[] = {
		{ .ts = t0 + 1, .line = SLICE("a <b>&\xe2\x80\xa8 \"q\" \x01\xff\t/\x7f") },
		{ .ts = -5, .line = SLICE("") },
	};
	struct result_stream s = { .labels = { labels, 2 }, .n = 2, .entry = entries };
	struct query_result r = { .type = RESULT_STREAMS, .stream = &s, .n_streams = 1 };

	(void)state;
	assert_string_equal(encode(&r, no_flags), "{\"status\":\"success\",\"data\":{\"resultType\":"
						  "\"streams\",\"result\":[{\"stream\":{\"app\":\"shop\","
						  "\"x\":\"<\\\"\\n\"},\"values\":[[\"1795424590000000001\","
						  "\"a \\u003cb\\u003e\\u0026\\u2028 \\\"q\\\" "
						  "\\u0001\\ufffd\\t/\x7f\"],[\"-5\",\"\"]]}]");
	r.n_streams = 0;
	assert_string_equal(encode(&r, no_flags),
			    "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",\"result\":[]");
}

static void categorized_streams(void **state)
{
	const struct label meta[] = { L("detected_level", "info") },
			   parsed[] = { L("msg", "<b>"), L("status", "200") };
	struct result_entry entries[] = {
		{ .ts = 1, .line = SLICE("a"), .meta = { meta, 1 }, .parsed = { parsed, 2 } },
		{ .ts = 2, .line = SLICE("b"), .parsed = { parsed, 1 } },
		{ .ts = 3, .line = SLICE("c") },
	};
	struct result_stream s = { .n = 3, .entry = entries };
	struct query_result r = { .type = RESULT_STREAMS, .stream = &s, .n_streams = 1 };

	(void)state;
	assert_string_equal(encode(&r, SLICE("categorize-labels,other")),
			    "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",\"encodingFlags\":["
			    "\"categorize-labels\","
			    "\"other\"],\"result\":[{\"stream\":{},\"values\":[[\"1\",\"a\",{"
			    "\"structuredMetadata\":{\"detected_level\":"
			    "\"info\"},\"parsed\":{\"msg\":\"<b>\",\"status\":\"200\"}}],[\"2\",\"b\",{"
			    "\"parsed\":{\"msg\":\"<b>\"}}],"
			    "[\"3\",\"c\",{}]]}]");
	assert_true(encode_wants_categories(SLICE("x,categorize-labels")));
	assert_false(encode_wants_categories(SLICE("x, categorize-labels"))); /* not trimmed */
	assert_false(encode_wants_categories(SLICE("Categorize-Labels")));
	assert_false(encode_wants_categories(no_flags));
}

static void unknown_flags_are_echoed_but_change_nothing(void **state)
{
	struct result_entry e = { .ts = 1, .line = SLICE("a") };
	struct result_stream s = { .n = 1, .entry = &e };
	struct query_result r = { .type = RESULT_STREAMS, .stream = &s, .n_streams = 1 };

	(void)state;
	assert_string_equal(encode(&r, SLICE("foo")), "{\"status\":\"success\",\"data\":{\"resultType\":"
						      "\"streams\",\"encodingFlags\":[\"foo\"],\"result\":[{"
						      "\"stream\":{},\"values\":[[\"1\",\"a\"]]}]");
}

static void a_matrix(void **state)
{
	const struct label labels[] = { L("pod", "a") };
	struct result_point p[] = {
		{ 1795424580 * NS_PER_S, 1 },
		{ 1795424580 * NS_PER_S + 500 * NS_PER_MS, 1.0 / 60 },
		{ 1795424580 * NS_PER_S + 123 * NS_PER_MS, 1e21 },
		{ 1795424580 * NS_PER_S + 10 * NS_PER_MS, 4e-10 },
		{ 0, NAN },
		{ -500 * NS_PER_MS, INFINITY },
		{ -1500 * NS_PER_MS, -INFINITY },
	};
	struct result_series s = { .labels = { labels, 1 }, .n = ARRAY_LEN(p), .point = p };
	struct query_result r = { .type = RESULT_MATRIX, .series = &s, .n_series = 1 };

	(void)state;
	assert_string_equal(
		encode(&r, SLICE("categorize-labels")), /* flags are for streams only */
		"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{"
		"\"pod\":\"a\"},"
		"\"values\":[[1795424580,\"1\"],[1795424580.5,\"0.016666666666666666\"],[1795424580.123,"
		"\"1000000000000000000000\"],[1795424580.01,\"0.0000000004\"],[0,\"NaN\"],[-0.5,\"+Inf\"],[-"
		"1.5,\"-Inf\"]]}]");
}

static void a_vector_and_a_scalar(void **state)
{
	struct result_point p = { 1700000000 * NS_PER_S + 500 * NS_PER_MS, 2 };
	struct result_series s = { .n = 1, .point = &p };
	struct query_result r = { .type = RESULT_VECTOR, .series = &s, .n_series = 1 };

	(void)state;
	assert_string_equal(encode(&r, no_flags),
			    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{"
			    "\"metric\":{},\"value\":[1700000000.5,\"2\"]}]");
	r.type = RESULT_SCALAR;
	assert_string_equal(encode(&r, no_flags), "{\"status\":\"success\",\"data\":{\"resultType\":"
						  "\"scalar\",\"result\":[1700000000500,\"2\"]");
}

static void warnings_come_before_data(void **state)
{
	struct slice w[] = { SLICE("2 damaged blocks"), SLICE("x") };
	struct query_result r = { .type = RESULT_VECTOR, .warning = w, .n_warnings = 2 };

	(void)state;
	assert_string_equal(encode(&r, no_flags),
			    "{\"status\":\"success\",\"warnings\":[\"2 damaged blocks\",\"x\"],\"data\":{"
			    "\"resultType\":\"vector\",\"result\":[]");
}

static void statistics_have_lokis_shape(void **state)
{
	struct query_result r = { .type = RESULT_VECTOR };
	struct query_control c = { 0 };
	struct err err;
	struct buf b;

	(void)state;
	buf_init(&b);
	r.stats = (struct query_stats){
		.bytes_processed = 1000, .lines_processed = 10, .exec_seconds = 0.5, .head_lines = 3
	};
	assert_int_equal(encode_result(&b, &r, no_flags, &c, &err), 0);
	buf_cstr_end(&b);
	assert_non_null(strstr(
		b.p,
		"\"stats\":{\"summary\":{\"bytesProcessedPerSecond\":2000,\"linesProcessedPerSecond\":20,"
		"\"totalBytesProcessed\":1000,\"totalLinesProcessed\":10,\"execTime\":0.5,\"queueTime\":0,"
		"\"subqueries\":0,\"totalEntriesReturned\":0,\"splits\":0,\"shards\":1,"
		"\"totalPostFilterLines\":0,"
		"\"totalStructuredMetadataBytesProcessed\":0},\"querier\":{\"store\":{"));
	assert_non_null(strstr(b.p, "\"headChunkLines\":3"));
	assert_non_null(strstr(b.p, "\"cache\":{\"chunk\":{\"entriesFound\":0,"));
	assert_non_null(strstr(b.p, "\"unitsFromCache\":0}}}}\n"));
	buf_fini(&b);
}

static void a_cancelled_answer_stops(void **state)
{
	static struct result_entry entries[5000];
	struct result_stream s = { .n = 5000, .entry = entries };
	struct query_result r = { .type = RESULT_STREAMS, .stream = &s, .n_streams = 1 };
	struct query_control c = { .cancelled = true };
	struct err err;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(encode_result(&b, &r, no_flags, &c, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	buf_fini(&b);
}

static void check(struct buf *b, const char *expected)
{
	buf_cstr_end(b);
	assert_string_equal(b->p, expected);
	buf_fini(b);
}

static void lists_of_labels(void **state)
{
	const struct slice names[] = { SLICE("app"), SLICE("say \"hi\"") };
	const struct label labels[] = { L("app", "x"), L("env", "p") };
	const struct labels series[] = { { labels, 2 }, { labels, 1 } };
	struct buf b = { 0 };

	(void)state;
	encode_strings(&b, names, 2);
	check(&b, "{\"status\":\"success\",\"data\":[\"app\",\"say \\\"hi\\\"\"]}\n");
	encode_strings(&b, NULL, 0); /* no data at all */
	check(&b, "{\"status\":\"success\"}\n");
	encode_series(&b, series, 2);
	check(&b, "{\"status\":\"success\",\"data\":[{\"app\":\"x\",\"env\":\"p\"},{\"app\":\"x\"}]}\n");
	encode_series(&b, NULL, 0); /* but an empty list here */
	check(&b, "{\"status\":\"success\",\"data\":[]}\n");
	encode_index_stats(&b, &(struct meta_stats){ 2, 6, 0, 15 });
	check(&b, "{\"streams\":2,\"chunks\":6,\"bytes\":0,\"entries\":15}\n");
}

static void a_trace(void **state)
{
	const struct label labels[] = { L("app", "x") }, meta[] = { L("detected_level", "error") };
	struct trace_entry e = { t0, SLICE("boom"), { labels, 1 }, { meta, 1 } };
	struct trace_result r = { .id = { 0x4bf92f3577b34da6, 0xa3ce929d0e0e4736 },
				  .n = 1,
				  .entry = &e,
				  .first_ns = t0,
				  .last_ns = t0 + 7,
				  .has_error = true,
				  .more = true };
	struct encoded_link link[] = { { SLICE("Trace"), SLICE("http://j/trace/4b") },
				       { SLICE("Graf\"ana"), SLICE("https://g/?a=1&b={span_id}") } };
	struct encoded_links links = { .url = link[0].url, .v = link, .n = 2 };
	struct query_control c = { 0 };
	struct buf b = { 0 }, want = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(encode_trace(&b, &r, &links, &c, &err), 0);
	buf_printf(
		&want,
		"{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"start\":\"1795424590000000000\","
		"\"end\":"
		"\"1795424590000000007\",\"entries\":[{\"id\":\"1795424590000000000-%016llx\",\"ts\":"
		"\"1795424590000000000\",\"line\":\"boom\","
		"\"labels\":{\"app\":\"x\"},"
		"\"metadata\":{\"detected_level\":\"error\"}}],\"more\":true,\"first_error\":0,\"trace_url\":"
		"\"http://j/trace/4b\",\"links\":[{\"name\":\"Trace\",\"url\":\"http://j/trace/4b\"},"
		"{\"name\":\"Graf\\\"ana\",\"url\":\"https://g/?a=1&b={span_id}\"}]}\n",
		(unsigned long long)entry_hash(e.labels, e.line, e.meta));
	buf_cstr_end(&want);
	check(&b, want.p);
	buf_fini(&want);
	r = (struct trace_result){ .id = { 0, 1 } };
	assert_int_equal(encode_trace(&b, &r, &(struct encoded_links){ 0 }, &c, &err), 0);
	check(&b, "{\"trace_id\":\"00000000000000000000000000000001\",\"start\":null,\"end\":null,"
		  "\"entries\":[],\"more\":false,"
		  "\"first_error\":null,\"trace_url\":null,\"links\":[]}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams),
		cmocka_unit_test(categorized_streams),
		cmocka_unit_test(unknown_flags_are_echoed_but_change_nothing),
		cmocka_unit_test(a_matrix),
		cmocka_unit_test(a_vector_and_a_scalar),
		cmocka_unit_test(warnings_come_before_data),
		cmocka_unit_test(statistics_have_lokis_shape),
		cmocka_unit_test(a_cancelled_answer_stops),
		cmocka_unit_test(lists_of_labels),
		cmocka_unit_test(a_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
