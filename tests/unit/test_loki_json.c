/* Loki's JSON push: what is read from it, and what is refused as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ingest/loki_json.h"

static struct decode_options options = { 0 };

/* The batch as text: {labels} ts|line|name=value,... one entry a line. */
static void show(const struct batch *b, struct buf *out)
{
	for (size_t i = 0; i < b->streams.n; i++) {
		const struct batch_stream *s = &b->streams.v[i];

		labels_format(out, s->labels);
		for (size_t k = 0; k < s->n; k++) {
			const struct batch_entry *e = &b->entries.v[s->first + k];

			buf_printf(out, " %lld|%.*s", (long long)e->ts, SLICE_ARG(e->line));
			for (size_t m = 0; m < e->n_meta; m++)
				buf_printf(out, "|%.*s=%.*s", SLICE_ARG(e->meta[m].name),
					   SLICE_ARG(e->meta[m].value));
		}
		buf_puts(out, ";");
	}
	buf_cstr_end(out);
}

/* The body in a block of its exact size, so that reading past its end is noticed. */
static int decode(decode_fn fn, const char *text, size_t n, struct buf *shown, struct err *err)
{
	char *copy = xmalloc(n > 0 ? n : 1);
	struct batch b;

	memcpy(copy, text, n);
	batch_init(&b);
	err_clear(err);
	buf_reset(shown);
	int rc = fn(slice_of(copy, n), &options, &b, err);
	if (rc == 0)
		show(&b, shown);
	batch_fini(&b);
	free(copy);
	return rc;
}

static const struct {
	const char *body, *shown;
} good[] = {
	{ "{\"streams\":[{\"stream\":{\"app\":\"shop\",\"env\":\"prod\"},\"values\":[[\"1\",\"a\"],[\"2\","
	  "\"b\",{\"t\":\"x\"}]]}]}",
	  "{app=\"shop\", env=\"prod\"} 1|a 2|b|t=x;" },
	/* order of keys, unknown keys, white space */
	{ " {\"x\":[1,{\"y\":[\"]\"]}],\n\"streams\" : [ {\"values\":[[\"1\",\"a\"]],\"q\":null, "
	  "\"stream\":{\"b\":\"1\",\"a\":\"2\"} } ] } ",
	  "{a=\"2\", b=\"1\"} 1|a;" },
	/* scalars as labels, empty values dropped, the last of equal names wins */
	{ "{\"streams\":[{\"stream\":{\"a\":5,\"b\":true,\"c\":\"\",\"d\":\"1\",\"d\":\"2\"},\"values\":[["
	  "\"1\",\"\"]]}]}",
	  "{a=\"5\", b=\"true\", d=\"2\"} 1|;" },
	{ "{\"streams\":[{\"stream\":{},\"values\":[[\"-7\",\"a\"]]}]}", "{} -7|a;" },
	{ "{\"streams\":[{\"values\":[[\"9223372036854775807\"]]}]}", "{} 9223372036854775807|;" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"b\"}},{\"stream\":{\"a\":\"b\"},\"values\":null},{\"values\":[]"
	  "}]}",
	  "{a=\"b\"};{a=\"b\"};{};" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"x\",{},7,[8]]]}]}",
	  "{a=\"b\"} 1|x;" },
	/* what follows the closing brace is ignored */
	{ "{\"streams\":[]} garbage", "" },
	{ "{}", "" },
	{ "{\"streams\":null}", "" },
	/* the old shape on this path */
	{ "{\"streams\":[{\"labels\":\"{a=\\\"b\\\"}\",\"entries\":[{\"ts\":\"x\"}]}]}", "{};" },
	/* escapes */
	{ "{\"streams\":[{\"stream\":{\"a\":\"\\u0062\"},\"values\":[[\"\\u0031\",\"q\\\"b\\\\s\\/"
	  "\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"]]}]}",
	  "{a=\"b\"} 1|q\"b\\s/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80;" },
	{ "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"\\ud800x\\udc00\\ud800\\u0041\"]]}]}",
	  "{} 1|\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
	  "A;" },
	/* raw control characters and invalid UTF-8 in a line stay as they are */
	{ "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"a\tb\xff\"]]}]}", "{} 1|a\tb\xff;" },
};

static void test_good_bodies(void **state)
{
	struct buf shown;
	struct err err;

	(void)state;
	buf_init(&shown);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (decode(decode_loki_json, good[i].body, strlen(good[i].body), &shown, &err) == -1)
			fail_msg("%s: %s", good[i].body, err.msg);
		if (strcmp(shown.p, good[i].shown) != 0)
			fail_msg("%s: %s", good[i].body, shown.p);
	}
	buf_fini(&shown);
}

#define ENTRY(e) "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[" e "]}]}"
static const struct {
	const char *body, *says;
} bad[] = {
	{ "", "EOF" },
	{ "  ", "EOF" },
	{ "not json", "invalid JSON: expected '{', found 'n' at byte 0" },
	{ "[]", "expected '{'" },
	{ "{\"streams\":5}", "expected '['" },
	{ "{\"streams\":[5]}", "expected '{'" },
	{ "{\"streams\":[{\"stream\":\"x\"}]}", "expected '{', found '\"' at byte 22" },
	{ "{\"streams\":[{\"stream\":{\"a\":{}}}]}", "expected a value" },
	{ "{\"streams\":[{\"stream\":{\"bad-name\":\"v\"},\"values\":[[\"1\",\"a\"]]}]}",
	  "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'" },
	{ "{\"streams\":[{\"stream\":{\"1a\":\"v\"}}]}",
	  "couldn't parse labels: 1:2: parse error: unexpected character inside braces: '1'" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"\xff\"}}]}",
	  "couldn't parse labels: 1:4: parse error: invalid UTF-8 rune" },
	{ ENTRY("[]"), "expected a timestamp" },
	{ ENTRY("{}"), "expected '['" },
	{ ENTRY("[1,\"a\"]"), "expected a timestamp, a string of nanoseconds" },
	{ ENTRY("[\"abc\",\"a\"]"), "timestamp is not a number of nanoseconds: abc" },
	{ ENTRY("[\"\\u001b[31m\",\"a\"]"), "timestamp is not a number of nanoseconds: \\x1b[31m" },
	{ ENTRY("[\"1.5\",\"a\"]"), "timestamp is not a number" },
	{ ENTRY("[\"9223372036854775808\",\"a\"]"), "timestamp is not a number" },
	{ ENTRY("[\"1\",5]"), "expected a string, found '5'" },
	{ ENTRY("[\"1\",null]"), "expected a string" },
	{ ENTRY("[\"1\",\"a\",{\"n\":5}]"), "expected a string" },
	{ ENTRY("[\"1\",\"a\",[\"n\"]]"), "expected '{'" },
	{ ENTRY("[\"1\",\"a\",\"n\"]"), "expected '{'" },
	{ ENTRY("[\"1\",\"a\\q\"]"), "bad escape in a string" },
	{ ENTRY("[\"1\",\"a\\u12\"]"), "bad escape in a string" },
	{ ENTRY("[\"1\" \"a\"]"), "expected ','" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"a",
	  "unterminated string, found the end of the body" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"a\\", "unterminated string" },
	{ "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"a\"", "expected ',', found the end" },
	{ "{\"x\":nope,\"streams\":[]}", "expected a value" },
	{ "{\"x\":{\"a\":[1,2}},\"streams\":[]}", "expected ','" },
	{ "{\"streams\":[],}", "expected a string" },
};

static void test_bad_bodies(void **state)
{
	struct buf shown;
	struct err err;

	(void)state;
	buf_init(&shown);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (decode(decode_loki_json, bad[i].body, strlen(bad[i].body), &shown, &err) == 0)
			fail_msg("%s: accepted: %s", bad[i].body, shown.p);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
		if (strstr(err.msg, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].body, err.msg);
	}
	buf_fini(&shown);
}

/* A body cut anywhere is an error, never a part of the push. */
static void test_every_cut_is_refused(void **state)
{
	const char *body = good[0].body;
	struct buf shown;
	struct err err;

	(void)state;
	buf_init(&shown);
	for (size_t n = 0; n < strlen(body); n++)
		assert_int_equal(decode(decode_loki_json, body, n, &shown, &err), -1);
	buf_fini(&shown);
}

static void test_old_shape(void **state)
{
	const char *body = "{\"streams\":[{\"entries\":[{\"line\":\"text\",\"ts\":\"2026-11-23T09:10:00.5Z\","
			   "\"structuredMetadata\":{\"a\":\"b\"}},{\"line\":\"no "
			   "time\"}],\"labels\":\"{x='y', app=\\\"z\\\"}\"}]}";
	const char *bad_ts =
		"{\"streams\":[{\"labels\":\"{}\",\"entries\":[{\"ts\":\"5\",\"line\":\"a\"}]}]}";
	const char *bad_labels = "{\"streams\":[{\"labels\":\"a=\\\"b\\\"\",\"entries\":[]}]}";
	struct buf shown;
	struct err err;

	(void)state;
	buf_init(&shown);
	assert_int_equal(decode(decode_loki_json_legacy, body, strlen(body), &shown, &err), 0);
	assert_string_equal(
		shown.p, "{app=\"z\", x=\"y\"} 1795425000500000000|text|a=b -9223372036854775808|no time;");
	/* The new shape stores nothing here. */
	assert_int_equal(decode(decode_loki_json_legacy, good[0].body, strlen(good[0].body), &shown, &err),
			 0);
	assert_string_equal(shown.p, "{};");
	assert_int_equal(decode(decode_loki_json_legacy, bad_ts, strlen(bad_ts), &shown, &err), -1);
	assert_int_equal(decode(decode_loki_json_legacy, bad_labels, strlen(bad_labels), &shown, &err), -1);
	assert_string_equal(err.msg, "couldn't parse labels: 1:2: parse error: unexpected \"=\"");
	buf_fini(&shown);
}

static void test_depth_and_counts_are_bounded(void **state)
{
	struct buf body, shown;
	struct err err;

	(void)state;
	buf_init(&body);
	buf_init(&shown);
	buf_puts(&body, "{\"x\":");
	for (int i = 0; i < 100000; i++)
		buf_puts(&body, i % 2 == 0 ? "[" : "{\"a\":");
	assert_int_equal(decode(decode_loki_json, body.p, body.n, &shown, &err), -1);
	assert_non_null(strstr(err.msg, "nested deeper than 32 levels"));

	options.max_entries = 2;
	buf_reset(&body);
	buf_puts(&body, ENTRY("[\"1\",\"a\"],[\"1\",\"a\"],[\"1\",\"a\"]"));
	assert_int_equal(decode(decode_loki_json, body.p, body.n, &shown, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	options.max_entries = 0;
	options.max_streams = 1;
	buf_reset(&body);
	buf_puts(&body, "{\"streams\":[{},{}]}");
	assert_int_equal(decode(decode_loki_json, body.p, body.n, &shown, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	options.max_streams = 0;
	buf_reset(&body);
	buf_puts(&body, "{\"streams\":[{\"stream\":{\"a\":1");
	for (int i = 0; i < 20000; i++)
		buf_puts(&body, ",\"a\":1");
	buf_puts(&body, "}}]}");
	assert_int_equal(decode(decode_loki_json, body.p, body.n, &shown, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buf_fini(&body);
	buf_fini(&shown);
}

/* Far more labels than validation lets pass, backwards and each of them twice: sorted, the last of equal names kept. */
static void test_many_labels(void **state)
{
	struct decode_options o = { 0 };
	struct buf body;
	struct batch b;
	struct err err;

	(void)state;
	buf_init(&body);
	batch_init(&b);
	buf_puts(&body, "{\"streams\":[{\"stream\":{");
	for (int i = 0; i < 2000; i++)
		buf_printf(&body, "%s\"l%03d\":\"%d\"", i > 0 ? "," : "", (1999 - i) / 2, i);
	buf_puts(&body, "}}]}");
	assert_int_equal(decode_loki_json(buf_slice(&body), &o, &b, &err), 0);
	struct labels l = b.streams.v[0].labels;
	assert_int_equal(l.n, 1000);
	for (size_t i = 0; i < l.n; i++) {
		char name[32], value[32];

		snprintf(name, sizeof(name), "l%03zu", i);
		snprintf(value, sizeof(value), "%zu", 1999 - 2 * i);
		assert_true(slice_is(l.v[i].name, name) && slice_is(l.v[i].value, value));
	}
	batch_fini(&b);
	buf_fini(&body);
}

/* Lines of all lengths and with escapes in all places come out as they went in. */
static void test_escapes_at_every_offset(void **state)
{
	struct buf body, line, shown;
	struct err err;

	(void)state;
	buf_init(&body);
	buf_init(&line);
	buf_init(&shown);
	for (size_t n = 0; n < 70; n++) {
		for (size_t at = 0; at <= n; at++) {
			buf_reset(&body);
			buf_reset(&line);
			buf_puts(&body, "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"");
			for (size_t i = 0; i < n; i++) {
				bool quote = i == at || i + 3 == at;

				buf_puts(&body, quote ? "\\\"" : "x");
				buf_putc(&line, quote ? '"' : 'x');
			}
			buf_puts(&body, "\"]]}]}");
			buf_cstr_end(&line);
			assert_int_equal(decode(decode_loki_json, body.p, body.n, &shown, &err), 0);
			assert_memory_equal(shown.p + 5, line.p, line.n);
			assert_int_equal(shown.n, line.n + 6);
		}
	}
	buf_fini(&body);
	buf_fini(&line);
	buf_fini(&shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_bodies),
		cmocka_unit_test(test_bad_bodies),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_old_shape),
		cmocka_unit_test(test_depth_and_counts_are_bounded),
		cmocka_unit_test(test_many_labels),
		cmocka_unit_test(test_escapes_at_every_offset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
