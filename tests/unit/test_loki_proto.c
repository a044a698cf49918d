/* Loki's protobuf push. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ingest/loki_proto.h"

static struct decode_options options = { 0 };

/* ---------------------------------------------------------------- a small writer */

static void put_bytes(struct buf *b, unsigned field, struct slice s)
{
	buf_varint(b, field << 3 | 2);
	buf_lenslice(b, s);
}

static void put_int(struct buf *b, unsigned field, int64_t v)
{
	buf_varint(b, field << 3);
	buf_varint(b, (uint64_t)v);
}

static void put_entry(struct buf *stream, int64_t seconds, int32_t nanos, const char *line,
		      const char *const *meta)
{
	struct buf ts, pair, e;

	buf_init(&ts);
	buf_init(&pair);
	buf_init(&e);
	put_int(&ts, 1, seconds);
	put_int(&ts, 2, nanos);
	put_bytes(&e, 1, buf_slice(&ts));
	put_bytes(&e, 2, slice_cstr(line));
	for (; meta != NULL && *meta != NULL; meta += 2) {
		buf_reset(&pair);
		put_bytes(&pair, 1, slice_cstr(meta[0]));
		put_bytes(&pair, 2, slice_cstr(meta[1]));
		put_bytes(&e, 3, buf_slice(&pair));
	}
	put_int(&e, 9, 5); /* unknown fields are skipped */
	put_bytes(stream, 2, buf_slice(&e));
	buf_fini(&ts);
	buf_fini(&pair);
	buf_fini(&e);
}

static int decode(struct slice body, struct batch *b, struct err *err)
{
	err_clear(err);
	return decode_loki_proto(body, &options, b, err);
}

/* One stream with the labels and one entry. */
static void one(struct buf *out, const char *labels, int64_t seconds, int32_t nanos)
{
	struct buf s;

	buf_init(&s);
	buf_reset(out);
	put_entry(&s, seconds, nanos, "a line", NULL);
	put_bytes(&s, 1, slice_cstr(labels));
	put_int(&s, 3, 77);
	put_bytes(out, 1, buf_slice(&s));
	buf_fini(&s);
}

static void test_push(void **state)
{
	static const char *const meta[] = { "trace_id", "abc", "user", "ann", NULL };
	struct buf body, s;
	struct batch b;
	struct err err;

	(void)state;
	buf_init(&body);
	buf_init(&s);
	batch_init(&b);
	put_bytes(&s, 1, SLICE("{b=\"1\", a='2',}"));
	put_entry(&s, 1795424580, 5, "first", meta);
	put_entry(&s, -1, 0, "bytes \xff\xfe", NULL);
	put_bytes(&body, 1, buf_slice(&s));
	put_bytes(&body, 2, SLICE("json"));
	buf_reset(&s);
	put_bytes(&body, 1, buf_slice(&s));
	assert_int_equal(decode(buf_slice(&body), &b, &err), 0);
	assert_int_equal(b.streams.n, 2);
	assert_int_equal(b.streams.v[0].n, 2);
	assert_int_equal(b.streams.v[1].n, 0);
	assert_true(slice_is(b.streams.v[0].labels.v[0].name, "a"));
	assert_true(b.entries.v[0].ts == 1795424580000000005);
	assert_true(slice_is(b.entries.v[0].line, "first"));
	assert_int_equal(b.entries.v[0].n_meta, 2);
	assert_true(slice_is(b.entries.v[0].meta[1].value, "ann"));
	assert_true(b.entries.v[1].ts == -1000000000);
	assert_true(slice_is(b.entries.v[1].line, "bytes \xff\xfe"));
	batch_fini(&b);
	buf_fini(&body);
	buf_fini(&s);
}

static void test_timestamps(void **state)
{
	static const struct {
		int64_t seconds;
		int32_t nanos;
		int64_t ts;
		const char *says;
	} cases[] = {
		{ 0, 0, 0, NULL },
		{ 9223372036, 854775807, INT64_MAX, NULL },
		{ 9223372037, 0, TS_TOO_NEW, NULL },
		{ -9223372037, 0, TS_TOO_OLD, NULL },
		{ -62135596800, 0, TS_TOO_OLD, NULL },
		{ 5, 1000000000, 0,
		  "timestamp: &types.Timestamp{Seconds: 5,\nNanos: 1000000000,\n}: nanos not in range [0, "
		  "1e9)" },
		{ 5, -1, 0, "nanos not in range" },
		{ -62135596801, 0, 0, "before 0001-01-01" },
		{ 253402300800, 0, 0, "after 10000-01-01" },
	};
	struct buf body;

	(void)state;
	buf_init(&body);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct batch b;
		struct err err;

		batch_init(&b);
		one(&body, "{}", cases[i].seconds, cases[i].nanos);
		int rc = decode(buf_slice(&body), &b, &err);
		if (cases[i].says == NULL) {
			assert_int_equal(rc, 0);
			assert_true(b.entries.v[0].ts == cases[i].ts);
		} else {
			assert_int_equal(rc, -1);
			assert_int_equal(err.code, ERR_BAD_REQUEST);
			if (strstr(err.msg, cases[i].says) == NULL)
				fail_msg("%s", err.msg);
		}
		batch_fini(&b);
	}
	/* An entry without a timestamp is one of the year 1. */
	struct batch b;
	struct err err;
	static const char bare[] = "\x0a\x04\x12\x02\x12\x00";
	batch_init(&b);
	assert_int_equal(decode(slice_of(bare, sizeof(bare) - 1), &b, &err), 0);
	assert_true(b.entries.v[0].ts == TS_TOO_OLD);
	batch_fini(&b);
	buf_fini(&body);
}

static void test_labels(void **state)
{
	static const struct {
		const char *text, *says; /* NULL: fine */
	} cases[] = {
		{ "{}", NULL },
		{ "", NULL },
		{ "{a=\"b\",a=\"c\"}", NULL }, /* validation finds it */
		{ "a=\"b\"", "couldn't parse labels: 1:2: parse error: unexpected \"=\"" },
		{ "{a=~\"b\"}", "couldn't parse labels: 1:3: parse error: unexpected <op:=~> in label set, "
				"expected \"=\"" },
		{ "{a=\"b\"",
		  "couldn't parse labels: 1:7: parse error: unexpected end of input inside braces" },
		{ "{bad-name=\"v\"}",
		  "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'" },
		{ "{a=\"\xff\"}", "couldn't parse labels: 1:4: parse error: invalid UTF-8 rune" },
	};
	struct buf body;

	(void)state;
	buf_init(&body);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct batch b;
		struct err err;

		batch_init(&b);
		one(&body, cases[i].text, 1, 1);
		int rc = decode(buf_slice(&body), &b, &err);
		assert_int_equal(rc, cases[i].says == NULL ? 0 : -1);
		if (rc == -1)
			assert_string_equal(err.msg, cases[i].says);
		batch_fini(&b);
	}
	buf_fini(&body);
}

/* Cut anywhere (in a block of that size): an error, except where a whole message happens to end. */
static void test_cuts(void **state)
{
	struct buf body;

	(void)state;
	buf_init(&body);
	one(&body, "{app=\"x\"}", 5, 6);
	for (size_t n = 1; n < body.n; n++) {
		char *copy = xmalloc(n);
		struct batch b;
		struct err err;

		memcpy(copy, body.p, n);
		batch_init(&b);
		assert_int_equal(decode(slice_of(copy, n), &b, &err), -1);
		assert_string_equal(err.msg, "unexpected EOF");
		batch_fini(&b);
		free(copy);
	}
	buf_fini(&body);
}

static void test_wrong_types_and_limits(void **state)
{
	static const char varint_stream[] = "\x08\x05", group[] = "\x0b\x0c", field_0[] = "\x02\x00";
	static const char *const bad[] = { varint_stream, group, field_0 };
	struct buf body;
	struct batch b;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		batch_init(&b);
		assert_int_equal(decode(slice_of(bad[i], 2), &b, &err), -1);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
		batch_fini(&b);
	}
	buf_init(&body);
	one(&body, "{}", 1, 1);
	buf_reserve(&body, body.n);
	buf_append(&body, body.p, body.n);
	options.max_streams = 1;
	batch_init(&b);
	assert_int_equal(decode(buf_slice(&body), &b, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	options.max_streams = 0;
	batch_fini(&b);
	buf_fini(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_wrong_types_and_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
