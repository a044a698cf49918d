/* Where the slots of a line stand: each case is the line with its slots between < and >, from which the line itself is made by
 * leaving them out. What is not strictly JSON or logfmt is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "index/line_shape.h"

static struct line_slots slots;

static struct slice unmarked(const char *marked, struct buf *out)
{
	buf_reset(out);
	for (const char *p = marked; *p != '\0'; p++)
		if (*p != '<' && *p != '>')
			buf_putc(out, *p);
	return buf_slice(out);
}

static void expect_slots(struct slice line, const char *marked)
{
	struct buf b = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < slots.n; i++) {
		assert_true(slots.at[i].off >= at && slots.at[i].off + slots.at[i].n <= line.n);
		buf_add(&b, slice_sub(line, at, slots.at[i].off - at));
		buf_putc(&b, '<');
		buf_add(&b, slice_sub(line, slots.at[i].off, slots.at[i].n));
		buf_putc(&b, '>');
		at = slots.at[i].off + slots.at[i].n;
	}
	buf_add(&b, slice_from(line, at));
	buf_cstr_end(&b);
	assert_string_equal(b.p, marked);
	buf_fini(&b);
}

static void json_slots(void **state)
{
	static const char *const cases[] = {
		"{}",

		"{ }  ",
		"{\"a\": \"<x>\"}",
		"{\"a\":\"<>\",\"b\":<1>,\"c\":<-0.5e+10>,\"d\":<true>,\"e\":<false>,\"f\":null}",
		"{\"a\": {\"b\": \"<x>\", \"c\": {}}, \"d\": {\"e\": <12>}}",
		"{\"a\":<[]>,\"b\":<[1, \"x]\", {\"y\": [null, true]}]>, \"c\": <0>}",
		"{\"a\": \"<q\\\"uo\\\\te \\u00e9 \\ud83d\\ude00>\", \"k\\\"ey\": <1>}",
		("{\t\"a\" :\r\n\"<more than sixteen bytes of text \\n and then some more of it>\" , \"b\" : "
		 "<1E5> } \n"),
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice line = unmarked(cases[i], &b);

		if (!line_shape_json(line, &slots))
			fail_msg("no JSON: %s", cases[i]);
		expect_slots(line, cases[i]);
		for (size_t k = 0; k < slots.n; k++) /* a template's way finds the same */
			assert_int_equal(line_slot_end((enum slot_class)slots.what[k], line, slots.at[k].off),
					 slots.at[k].off + slots.at[k].n);
	}
	buf_fini(&b);
}

static void not_json(void **state)
{
	static const char *const cases[] = {
		"",
		"{",
		"}",
		" {}",
		"[]",
		"{} x",
		"{}{}",
		"{\"a\"}",
		"{a:1}",
		"{\"a\":}",
		"{\"a\":01}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":+1}",
		"{\"a\":1e}",
		"{\"a\":-}",
		"{\"a\":1,}",
		"{,\"a\":1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":tru}",
		"{\"a\":True}",
		"{\"a\":nul}",
		"{\"a\":\"x}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12g4\"}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}",
		"{\"a\":\"\\ud800\\u0041\"}",
		"{\"a\":\"tab\there\"}",
		"{\"a\":[}",
		"{\"a\":[1,]}",
		"{\"a\":[1 2]}",
		"{\"a\":[{\"b\"}]}",
		"{\"a\":1]",
		"{\"a\":[1}",
		"{\"a\":{\"b\":1}",
		"{\"a\":1}}",
		"{\"a\":'x'}",
		"{\"a\":\"x\\\"}",
		"{\"a\":NaN}",
		"{\"a\":1 }x",
		"{\"a\n\":1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (line_shape_json(slice_cstr(cases[i]), &slots))
			fail_msg("taken for JSON: %s", cases[i]);
}

static void json_depth_and_slots_are_bounded(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (size_t depth = 1; depth < 3 * LINE_MAX_DEPTH; depth++) {
		buf_reset(&b);
		for (size_t i = 0; i < depth; i++)
			buf_puts(&b, "{\"a\":");
		buf_puts(&b, "1");
		for (size_t i = 0; i < depth; i++)
			buf_puts(&b, "}");
		assert_int_equal(line_shape_json(buf_slice(&b), &slots), depth <= LINE_MAX_DEPTH);
		buf_reset(&b);
		buf_puts(&b, "{\"a\":");
		for (size_t i = 0; i < depth; i++)
			buf_putc(&b, '[');
		for (size_t i = 0; i < depth; i++)
			buf_putc(&b, ']');
		buf_puts(&b, "}");
		assert_int_equal(line_shape_json(buf_slice(&b), &slots), depth <= LINE_MAX_DEPTH);
	}
	buf_reset(&b);
	buf_puts(&b, "{\"a\":1");
	for (size_t i = 1; i < LINE_MAX_SLOTS; i++)
		buf_puts(&b, ",\"a\":1");
	buf_putc(&b, '}');
	assert_true(line_shape_json(buf_slice(&b), &slots));
	assert_int_equal(slots.n, LINE_MAX_SLOTS);
	b.n--;
	buf_puts(&b, ",\"a\":1}");
	assert_false(line_shape_json(buf_slice(&b), &slots));
	buf_fini(&b);
}

static void json_keys_tell_paths_apart(void **state)
{
	uint64_t key[5];

	(void)state;
	assert_true(line_shape_json(
		SLICE("{\"a\":{\"b\":1},\"b\":2,\"ab\":3,\"a\":{\"b\":4},\"c\":{\"b\":5}}"), &slots));
	memcpy(key, slots.key, sizeof(key));
	assert_true(key[0] == key[3]);
	assert_true(key[0] != key[1] && key[0] != key[2] && key[0] != key[4] && key[1] != key[2]);
}

static void logfmt_slots(void **state)
{
	static const char *const cases[] = {
		"a=<1> b=<2>",
		("ts=<2026-01-15T10:00:02.123Z> level=<info> msg=\"<a b=c \\\"d\\\" \\u00e9 \\' end>\" "
		 "x.y/z-1@h=<3.5ms>"),
		"msg=\"<>\" x=<{}[]\\>",
	};
	static const char *const not [] = {
		"",
		"a=1",
		"a=1  b=2",
		"a=1 b=2 ",
		" a=1 b=2",
		"a=1 b",
		"a=1 b=",
		"a= b=1",
		"a=1\tb=2",
		"a=x=y b=2",
		"a=x\"y b=2",
		"a=\"x\"y b=2",
		"a=\"x b=2",
		"a=\"\\x\" b=2",
		"\"a\"=1 b=2",
		"a=1 =2",
		"\xc3\xa9=1 b=2",
		"a=\"x\ty\" b=2",
		"a=\"x\\",
		"GET /x?a=1 b=2",
		"a=\x01 b=2",
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice line = unmarked(cases[i], &b);

		if (!line_shape_logfmt(line, &slots))
			fail_msg("no logfmt: %s", cases[i]);
		expect_slots(line, cases[i]);
		for (size_t k = 0; k < slots.n; k++)
			assert_int_equal(line_slot_end((enum slot_class)slots.what[k], line, slots.at[k].off),
					 slots.at[k].off + slots.at[k].n);
	}
	for (size_t i = 0; i < ARRAY_LEN(not ); i++)
		if (line_shape_logfmt(slice_cstr(not [i]), &slots))
			fail_msg("taken for logfmt: %s", not [i]);
	buf_fini(&b);
}

static void plain_slots(void **state)
{
	static const char *const cases[] = {
		"",
		"nothing here but words",
		"user <42> has <3> items",
		"took <12.5>ms of <30>s, <-5> and <1.2.3>-rc",
		"from <10.0.0.1>:<5432>, blk_<-1608999687919862906> x-<7>",
		"id <123e4567-e89b-12d3-a456-426614174000> done",
		"trace <4bf92f3577b34da6a3ce929d0e0e4736> hex <0123abcd>",
		"at 0x<7ffe12> v<1.2.3> SKU-<00042> order<17> <a1b2c> <12ab34cd5>",
		"<2026-01-15T10:00:02.123456Z> INFO start",
		"[<15/Jan/2026:10:00:02 +0000>] \"<GET /x HTTP/1.1>\" <200> \"<->\" \"<>\"",
		"<Jan 15 10:00:02> host sshd[<123>]: \"<esc \\\" aped>\"",
		"<Dec  5 06:55:46> x",
		"open \" quote <5>",
		"deadbeefcafe facade",
		"<1>",
		"caf\xc3\xa9 <7>",
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice line = unmarked(cases[i], &b);

		line_shape_plain(line, &slots);
		expect_slots(line, cases[i]);
	}
	buf_fini(&b);
}

static void plain_slots_are_bounded(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < 300; i++)
		buf_puts(&b, "x 1 ");
	line_shape_plain(buf_slice(&b), &slots);
	assert_int_equal(slots.n, LINE_MAX_PLAIN_SLOTS);
	assert_int_equal(slots.at[slots.n - 1].off + slots.at[slots.n - 1].n, b.n);
	while (b.n <= LINE_MAX_PLAIN)
		buf_puts(&b, "y 2 ");
	line_shape_plain(buf_slice(&b), &slots);
	assert_int_equal(slots.n, 1);
	assert_int_equal(slots.at[0].n, b.n);
	buf_fini(&b);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Any bytes: slots in order, within the text; and both ways to classify bytes agree. */
static void plain_text_of_any_bytes(void **state)
{
	static struct line_masks a, b;
	static const char alphabet[] = "0123456789abcdefxyzABCJanFeb -:.\"\\/[]\xc3\x80_=,";
	uint32_t seed = 3;
	char text[400];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = next(&seed) % sizeof(text), at = 0;
		char *p = xmalloc(n + 1); /* so that reading beyond is noticed */

		for (size_t i = 0; i < n; i++)
			p[i] = round % 2 == 0 ? (char)next(&seed)
					      : alphabet[next(&seed) % (sizeof(alphabet) - 1)];
		p = xrealloc(p, MAX(n, 1));
		line_shape_plain(slice_of(p, n), &slots);
		for (size_t i = 0; i < slots.n; i++) {
			assert_true(slots.at[i].off >= at);
			at = slots.at[i].off + slots.at[i].n;
			assert_true(at <= n);
		}
		line_masks(slice_of(p, n), &a);
		line_masks_portable(slice_of(p, n), &b);
		size_t words = (n + 63) / 64 + 1;
		assert_memory_equal(a.digit, b.digit, words * 8);
		assert_memory_equal(a.word, b.word, words * 8);
		assert_memory_equal(a.hex, b.hex, words * 8);
		assert_memory_equal(a.quote, b.quote, words * 8);
		free(p);
	}
}

/* A validator that is cut off or damaged anywhere never reads beyond the line, and says no to what is cut. */
static void json_cut_anywhere(void **state)
{
	static const char line[] = "{\"a\": \"x\\u00e9\", \"b\": [1, {\"c\": \"d\"}], \"e\": {\"f\": -1.5e3, "
				   "\"g\": true}, \"h\": null}";

	(void)state;
	for (size_t n = 0; n < sizeof(line); n++) {
		char *p = xmalloc(MAX(n, 1));

		memcpy(p, line, n);
		assert_int_equal(line_shape_json(slice_of(p, n), &slots), n == sizeof(line) - 1);
		line_shape_logfmt(slice_of(p, n), &slots);
		for (size_t i = 0; i < n; i++) {
			char was = p[i];

			p[i] = '\x01';
			assert_false(line_shape_json(slice_of(p, n), &slots));
			p[i] = was;
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_slots),
		cmocka_unit_test(not_json),
		cmocka_unit_test(json_depth_and_slots_are_bounded),
		cmocka_unit_test(json_keys_tell_paths_apart),
		cmocka_unit_test(logfmt_slots),
		cmocka_unit_test(plain_slots),
		cmocka_unit_test(plain_slots_are_bounded),
		cmocka_unit_test(plain_text_of_any_bytes),
		cmocka_unit_test(json_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
