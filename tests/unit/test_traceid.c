/* What counts as a trace id, and the promise of the index: a line that a search would match is never left
 * out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/traceid.h"

#define ID  "4bf92f3577b34da6a3ce929d0e0e4736"
#define HI  0x4bf92f3577b34da6ULL
#define LO  0xa3ce929d0e0e4736ULL
#define ID2 "00112233445566778899aabbccddeeff"
#define LO2 0x8899aabbccddeeffULL

static const struct slice key_names[] = {
	{ "trace_id", 8 },	   { "traceid", 7 },	   { "trace.id", 8 },
	{ "otelTraceID", 11 },	   { "dd.trace_id", 11 },  { "@tr", 3 },
	{ "traceparent", 11 },	   { "X-B3-TraceId", 12 }, { "uber-trace-id", 13 },
	{ "X-Amzn-Trace-Id", 15 },
};
static const struct slice field_names[] = { { "request_id", 10 }, { "order.no", 8 } };

static struct trace_keys *keys;
static struct trace_found found;

static int setup(void **state)
{
	(void)state;
	keys = trace_keys_new(key_names, ARRAY_LEN(key_names), field_names, ARRAY_LEN(field_names));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	trace_keys_free(keys);
	trace_found_fini(&found);
	return 0;
}

static bool has(uint64_t token)
{
	for (size_t i = 0; i < found.n_tokens; i++)
		if (found.token[i] == token)
			return true;
	return false;
}

static void find(struct slice line)
{
	trace_find(keys, line, SLICE(""), SLICE(""), &found);
}

/* ---------------------------------------------------------------- forms */

static const struct {
	const char *text;
	bool ok;
	uint64_t hi, lo;
	bool exact;
} forms[] = {
	{ ID, true, HI, LO, true },
	{ "4BF92F3577B34DA6A3CE929D0E0E4736", true, HI, LO, true },
	{ "  " ID "\n", true, HI, LO, true },
	{ "\"" ID "\"", true, HI, LO, true },
	{ "a3ce929d0e0e4736", true, 0, LO, false },
	{ "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", true, HI, LO, true },
	{ "00-" ID "-00f067aa0ba902b7-01", true, HI, LO, true },
	{ "00-" ID "-00f067aa0ba902b7-01-more", true, HI, LO, true },
	{ "00-" ID "-00f067aa0ba902b7", false, 0, 0, false },
	{ "11803532876627986230", true, 0, 0xa3ce929d0e0e4736ULL, false },
	{ "5", true, 0, 5, false },
	{ "18446744073709551616", false, 0, 0, false },
	{ "-5", false, 0, 0, false },
	{ "1-4bf92f35-77b34da6a3ce929d0e0e4736", true, HI, LO, true },
	{ "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1", true, HI, LO, true },
	{ ID "-00f067aa0ba902b7-1", true, HI, LO, true },
	{ "a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90", true, 0, LO, false },
	{ "3ce929d0e0e4736:f067aa0ba902b7:0:1", true, 0, 0x3ce929d0e0e4736ULL, false },
	{ ID ":f067aa0ba902b7:0:1", true, HI, LO, true },
	{ "00000000000000000000000000000000", false, 0, 0, false },
	{ "0000000000000000", false, 0, 0, false },
	{ "0", false, 0, 0, false },
	{ "", false, 0, 0, false },
	{ "abc", false, 0, 0, false },
	{ ID "0", false, 0, 0, false },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct trace_id id = { 7, 7 };
		bool exact = false;
		bool ok = trace_id_parse(slice_cstr(forms[i].text), &id, &exact);

		if (ok != forms[i].ok ||
		    (ok && (id.hi != forms[i].hi || id.lo != forms[i].lo || exact != forms[i].exact)))
			fail_msg("%s: ok %d hi %llx lo %llx exact %d", forms[i].text, ok,
				 (unsigned long long)id.hi, (unsigned long long)id.lo, exact);
		if (!ok)
			assert_int_equal(id.hi, 7); /* untouched */
	}
}

static void test_format_and_match(void **state)
{
	struct buf b;
	struct trace_id id = { HI, LO }, half = { 0, LO };

	(void)state;
	buf_init(&b);
	trace_id_format(&b, id);
	assert_true(slice_is(buf_slice(&b), ID));
	assert_true(trace_id_matches(id, half, false));
	assert_false(trace_id_matches(id, (struct trace_id){ 1, LO }, true));
	assert_true(trace_id_matches(half, id, true)); /* a 64-bit tracer's entry for a 128-bit question */
	buf_fini(&b);
}

/* ---------------------------------------------------------------- lines */

#define NONE (-1)
static const struct {
	const char *line;
	int source; /* of the entry's own id; NONE: no id at all */
	uint64_t lo;
} lines[] = {
	{ "{\"msg\":\"x\",\"trace_id\":\"" ID "\"}", TRACE_FROM_JSON, LO },
	{ "{\"trace_id\" : \"" ID "\"}", TRACE_FROM_JSON, LO },
	{ "{\"TraceId\":\"4BF92F3577B34DA6A3CE929D0E0E4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"otelTraceID\":\"0\",\"msg\":\"a\"}", NONE, 0 },
	{ "{\"trace_id\":\"00000000000000000000000000000000\"}", NONE, 0 },
	{ "{\"trace_id\":\"a3ce929d0e0e4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"dd.trace_id\":\"11803532876627986230\"}", TRACE_FROM_JSON, LO },
	{ "{\"dd\":{\"trace_id\":11803532876627986230}}", TRACE_FROM_JSON, LO },
	{ "{\"trace\":{\"id\":\"a3ce929d0e0e4736\"},\"x\":1}", TRACE_FROM_JSON, LO },
	{ "{\"trace\":{\"sampled\":true,\"id\":\"a3ce929d0e0e4736\"}}", TRACE_FROM_JSON, LO },
	{ "{\"ctx\":{\"traceId\":\"a3ce929d0e0e4736\"}}", TRACE_FROM_JSON, LO },
	{ "{\"tra\\u0063e_id\":\"a3ce929d0e0e4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"trace_id\":\"a3ce929d0e\\u0030e4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"@tr\":\"a3ce929d0e0e4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"str\":\"a3ce929d0e0e4736\",\"tr\":\"a3ce929d0e0e4736\"}", NONE, 0 },
	{ "{\"level\":\"trace\",\"span_id\":\"a3ce929d0e0e4736\"}", NONE, 0 },
	{ "{\"X-B3-TraceId\":\"a3ce929d0e0e4736\"}", TRACE_FROM_JSON, LO },
	{ "{\"traceparent\":\"00-" ID "-00f067aa0ba902b7-01\"}", TRACE_FROM_JSON, LO },
	{ "level=info trace_id=" ID " msg=x", TRACE_FROM_LOGFMT, LO },
	{ "level=info traceID=a3ce929d0e0e4736", TRACE_FROM_LOGFMT, LO },
	{ "dd.trace_id=11803532876627986230 x", TRACE_FROM_LOGFMT, LO },
	{ "[dd.trace_id=11803532876627986230]", TRACE_FROM_LOGFMT, LO },
	{ "trace_id=\"a3ce929d0e0e4736\" x=1", TRACE_FROM_LOGFMT, LO },
	{ "uber-trace-id=3ce929d0e0e4736:1:0:1", TRACE_FROM_LOGFMT, 0x3ce929d0e0e4736ULL },
	{ "hello " ID " world", TRACE_FROM_TEXT, LO },
	{ ID, TRACE_FROM_TEXT, LO },
	{ "hello {\"trace_id\":\"" ID "\"}", TRACE_FROM_JSON, LO },
	{ "{\"log\":\"{\\\"trace_id\\\":\\\"" ID "\\\"}\"}", TRACE_FROM_JSON, LO },
	{ "id 4bf92f35-77b3-4da6-a3ce-929d0e0e4736.", TRACE_FROM_TEXT, LO },
	{ "id ff4bf92f35-77b3-4da6-a3ce-929d0e0e4736ff", TRACE_FROM_TEXT, LO },
	{ "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736", TRACE_FROM_TEXT, LO },
	{ "trace_id=" ID2 " other " ID, TRACE_FROM_LOGFMT, LO2 },
	{ "other " ID " trace_id=" ID2, TRACE_FROM_LOGFMT, LO2 },
	{ "traceback: nothing here", NONE, 0 },
	{ "trace_id=", NONE, 0 },
	{ "trace_id=\"", NONE, 0 },
	{ "", NONE, 0 },
	{ ID "0", NONE, 0 },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		find(slice_cstr(lines[i].line));
		if ((found.n_refs == 0) != (lines[i].source == NONE))
			fail_msg("%s: %zu ids", lines[i].line, found.n_refs);
		if (found.n_refs == 0)
			continue;
		if ((int)found.ref[0].source != lines[i].source || found.ref[0].id.lo != lines[i].lo ||
		    !has(lines[i].lo))
			fail_msg("%s: source %d lo %llx", lines[i].line, (int)found.ref[0].source,
				 (unsigned long long)found.ref[0].id.lo);
	}
}

static void test_flags(void **state)
{
	static const struct {
		const char *line;
		bool long_run, escaped;
	} cases[] = {
		{ "x " ID " y", false, false },
		{ "x " ID "0 y", true, false },
		{ "x " ID ID " y", true, false },
		{ "{\"a\":\"\\u003cb\\u003e \\u001b[1m \\u00e9\"}", false, false },
		{ "{\"a\":\"\\u0041\"}", false, true },
		{ "{\"a\":\"\\u002d\"}", false, true },
		{ "{\"a\":\"\\\\u0041\"}", false, false },
		{ "{\"a\":\"\\\\\\u0041\"}", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		find(slice_cstr(cases[i].line));
		if (has(TRACE_TOKEN_LONG_RUN) != cases[i].long_run ||
		    has(TRACE_TOKEN_ESCAPED) != cases[i].escaped)
			fail_msg("%s", cases[i].line);
	}
}

static void encode(struct buf *b, const char *const *pair, size_t n)
{
	buf_reset(b);
	buf_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		buf_lenslice(b, slice_cstr(pair[2 * i]));
		buf_lenslice(b, slice_cstr(pair[2 * i + 1]));
	}
}

static void test_metadata_comes_first(void **state)
{
	static const char *const meta[] = { "a", "xx", "trace_id", ID2 };
	static const char *const labels[] = { "app", "web", "traceid", "a3ce929d0e0e4737" };
	struct buf m, l;

	(void)state;
	buf_init(&m);
	buf_init(&l);
	encode(&m, meta, 2);
	encode(&l, labels, 2);
	trace_find(keys, SLICE("trace_id=" ID), buf_slice(&m), buf_slice(&l), &found);
	assert_int_equal(found.n_refs, 3);
	assert_int_equal(found.ref[0].source, TRACE_FROM_META);
	assert_int_equal(found.ref[0].id.lo, LO2);
	assert_int_equal(found.ref[1].source, TRACE_FROM_LABEL);
	assert_int_equal(found.ref[2].source, TRACE_FROM_LOGFMT);
	assert_int_equal(found.n_tokens, 3);
	/* An id that stands twice is one id, with its best source. */
	trace_find(keys, SLICE("x " ID2), buf_slice(&m), SLICE(""), &found);
	assert_int_equal(found.n_refs, 1);
	assert_int_equal(found.ref[0].source, TRACE_FROM_META);
	buf_fini(&m);
	buf_fini(&l);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(trace_keys_has(keys, SLICE("trace_id")));
	assert_true(trace_keys_has(keys, SLICE("Trace_ID")));
	assert_true(trace_keys_has(keys, SLICE("dd_trace_id")));
	assert_true(trace_keys_has(keys, SLICE("X_B3_TraceId")));
	assert_false(trace_keys_has(keys, SLICE("trace")));
	assert_false(trace_keys_has(keys, SLICE("_tr")));
	assert_false(trace_keys_has(keys, SLICE("span_id")));
	assert_true(trace_keys_has_field(keys, SLICE("request_id")));
	assert_true(trace_keys_has_field(keys, SLICE("order_no")));
	assert_false(trace_keys_has_field(keys, SLICE("order")));
}

static void test_indexed_fields(void **state)
{
	static const struct {
		const char *line, *name, *value;
		bool hit;
	} cases[] = {
		{ "{\"request_id\":\"r-17\"}", "request_id", "r-17", true },
		{ "{\"request_id\":\"r\\u002d17\"}", "request_id", "r-17", true },
		{ "{\"request_id\":1.50}", "request_id", "1.50", true },
		{ "{\"request\":{\"id\":\"a b\\nc\"}}", "request_id", "a b\nc", true },
		{ "{\"order\":{\"no\":77,\"x\":[1,{\"no\":1}]}}", "order_no", "77", true },
		{ "{\"x\":{\"order.no\":77}}", "order_no", "77", true },
		{ "request_id=r-17 x=1", "request_id", "r-17", true },
		{ "request_id=\"r \\\"17\" x=1", "request_id", "r \"17", true },
		{ "request_id=r-18 x=1", "request_id", "r-17", false },
		{ "{\"request_id\":\"" ID "\"}", "request_id", ID, true },
		{ "{\"request_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0e4736\"}", "request_id",
		  "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", true },
		{ "{\"request_id\":\"00000000000000000000000000000000\"}", "request_id",
		  "00000000000000000000000000000000", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t token[4];
		size_t n = trace_tokens_for_label(keys, slice_cstr(cases[i].name), slice_cstr(cases[i].value),
						  token);
		bool hit = false;

		assert_true(n > 0);
		find(slice_cstr(cases[i].line));
		for (size_t j = 0; j < n; j++)
			hit |= has(token[j]);
		if (hit != cases[i].hit)
			fail_msg("%s", cases[i].line);
	}
}

static void test_needles(void **state)
{
	static const struct {
		const char *needle;
		size_t n;
		uint64_t token[2];
	} cases[] = {
		{ ID, 2, { LO, TRACE_TOKEN_LONG_RUN } },
		{ "\"" ID "\"", 1, { LO } },
		{ "=" ID, 2, { LO, TRACE_TOKEN_LONG_RUN } },
		{ "00-" ID "-", 1, { LO } },
		{ "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", 1, { LO } },
		{ "4bf92f35-77b3-4da6-a3ce-929d0e0e473", 0, { 0 } },
		{ "bf92f35-77b3-4da6-a3ce-929d0e0e4736", 0, { 0 } },
		{ ID "0", 1, { TRACE_TOKEN_LONG_RUN } },
		{ "4bf92f3577b34da6a3ce929d0e0e473", 0, { 0 } },
		{ "00000000000000000000000000000000", 0, { 0 } },
		{ "\"00000000000000000000000000000000\" " ID " ", 1, { LO } },
		{ "trace_id=5", 0, { 0 } },
		{ "", 0, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t token[4];
		size_t n = trace_tokens_for_needle(slice_cstr(cases[i].needle), token);

		if (n != cases[i].n)
			fail_msg("%s: %zu tokens", cases[i].needle, n);
		for (size_t j = 0; j < n; j++)
			if (token[j] != cases[i].token[j])
				fail_msg("%s: token %zu is %llx", cases[i].needle, j,
					 (unsigned long long)token[j]);
	}
}

/* ---------------------------------------------------------------- random lines */

static uint64_t seed = 42;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static void put_hex(struct buf *b, size_t n)
{
	static const char digit[] = "0123456789abcdefABCDEF";
	bool zero = rnd(20) == 0;

	for (size_t i = 0; i < n; i++)
		buf_putc(b, zero ? '0' : digit[rnd(22)]);
}

/* Text built around ids: whole, cut, extended, dashed, escaped, quoted. */
static void put_piece(struct buf *b)
{
	static const size_t lengths[] = { 31, 32, 33, 64, 16, 32, 32, 8, 40 };
	static const char *const glue[] = { " ",
					    "-",
					    "\"",
					    ":",
					    "=",
					    ",",
					    "{",
					    "}",
					    "\\",
					    "\\u00",
					    "trace_id",
					    "trace",
					    "\"trace_id\":\"",
					    "trace_id=",
					    "\"dd\":{\"trace_id\":",
					    "g",
					    "z",
					    "\\\"",
					    "\xc3\xa9",
					    "[",
					    "]",
					    "request_id=",
					    "\"request_id\":",
					    "\n",
					    "1-",
					    "id",
					    ".",
					    "\\u0061",
					    "\"trace\":{\"id\":\"",
					    "null",
					    "\x01" };

	switch (rnd(5)) {
	case 0: put_hex(b, lengths[rnd(ARRAY_LEN(lengths))]); break;
	case 1:
		put_hex(b, 8 + (rnd(4) == 0 ? rnd(30) : 0));
		for (int i = 0; i < 3; i++) {
			buf_putc(b, '-');
			put_hex(b, rnd(12) == 0 ? 5 : 4);
		}
		buf_putc(b, '-');
		put_hex(b, 12 + (rnd(4) == 0 ? rnd(30) : 0));
		break;
	case 2:
		buf_puts(b, "1-");
		put_hex(b, 8);
		buf_putc(b, '-');
		put_hex(b, 24 + rnd(2) * rnd(9));
		break;
	default: buf_puts(b, glue[rnd(ARRAY_LEN(glue))]); break;
	}
}

static void put_line(struct buf *b)
{
	buf_reset(b);
	if (rnd(2) == 0)
		buf_putc(b, '{');
	for (uint32_t n = rnd(12); n > 0; n--)
		put_piece(b);
}

static void check_needle(struct slice line, struct slice needle)
{
	uint64_t token[4];
	size_t n = trace_tokens_for_needle(needle, token);
	bool hit = n == 0;

	for (size_t i = 0; i < n; i++)
		hit |= has(token[i]);
	if (!hit)
		fail_msg("needle <%.*s> in <%.*s>", SLICE_ARG(needle), SLICE_ARG(line));
}

/* Whatever part of a line is searched for, the line's tokens hold one of the needle's. */
static void test_needles_are_never_missed(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int round = 0; round < 4000; round++) {
		put_line(&b);
		struct slice line = buf_slice(&b);
		find(line);
		check_needle(line, line);
		for (int i = 0; i < 60 && line.n > 0; i++) {
			size_t at = rnd((uint32_t)line.n), n = 1 + rnd((uint32_t)(line.n - at));

			check_needle(line, slice_sub(line, at, n));
		}
		for (size_t at = 0; at + 32 <= line.n && at < 80; at++) {
			check_needle(line, slice_sub(line, at, 32));
			check_needle(line, slice_sub(line, at, 36));
		}
	}
	buf_fini(&b);
}

/* The rules, one offset after the other. */
static bool naive_hex(struct slice s, size_t i)
{
	return i < s.n && text_hex_digit(s.p[i]) >= 0;
}

static bool naive_pattern(struct slice s, const char *pattern, uint64_t *lo)
{
	char digits[33] = "";
	size_t n = 0;

	for (size_t i = 0; pattern[i] != '\0'; i++) {
		if (pattern[i] == 'x' ? !naive_hex(s, i) : i >= s.n || s.p[i] != pattern[i])
			return false;
		if (pattern[i] == 'x')
			digits[n++] = s.p[i];
	}
	assert_int_equal(n, 32);
	digits[32] = '\0';
	*lo = strtoull(digits + 16, NULL, 16);
	return strspn(digits, "0") < 32;
}

static void test_matches_the_naive_reading(void **state)
{
	struct buf b;
	uint64_t lo;

	(void)state;
	buf_init(&b);
	for (int round = 0; round < 20000; round++) {
		size_t expected = 0, n_run;
		uint64_t want[256];

		put_line(&b);
		struct slice line = buf_slice(&b);
		find(line);
		for (size_t i = 0; i < line.n; i++) {
			if (naive_pattern(slice_from(line, i), "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", &lo) ||
			    naive_pattern(slice_from(line, i), "1-xxxxxxxx-xxxxxxxxxxxxxxxxxxxxxxxx", &lo))
				want[expected++] = lo;
			if (i > 0 && naive_hex(line, i - 1))
				continue;
			for (n_run = 0; naive_hex(line, i + n_run); n_run++)
				;
			if (n_run > 32)
				want[expected++] = TRACE_TOKEN_LONG_RUN;
			else if (n_run == 32 &&
				 naive_pattern(slice_from(line, i), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", &lo))
				want[expected++] = lo;
		}
		for (size_t i = 0; i < expected; i++)
			if (!has(want[i]))
				fail_msg("token %llx of <%.*s>", (unsigned long long)want[i],
					 SLICE_ARG(line));
		/* Lines without any key hold nothing else. */
		if (slice_find(line, SLICE("trace")) == SLICE_NONE &&
		    slice_find(line, SLICE("request")) == SLICE_NONE &&
		    slice_find(line, SLICE("\\")) == SLICE_NONE)
			for (size_t i = 0; i < found.n_tokens; i++) {
				size_t j = 0;

				while (j < expected && want[j] != found.token[i])
					j++;
				if (j == expected)
					fail_msg("extra token in <%.*s>", SLICE_ARG(line));
			}
		for (size_t i = 0; i < found.n_tokens; i++)
			for (size_t j = 0; j < i; j++)
				assert_true(found.token[i] != found.token[j]);
	}
	buf_fini(&b);
}

/* ---------------------------------------------------------------- random documents, read by another JSON
 * library */

static void put_escaped(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (rnd(25) == 0)
			buf_printf(b, rnd(2) == 0 ? "\\u%04x" : "\\u%04X", (unsigned char)s.p[i]);
		else
			buf_putc(b, s.p[i]);
	}
}

static void put_object(struct buf *b, int depth)
{
	static const char *const names[] = { "trace_id", "trace",      "id",	   "dd",	"TraceID",
					     "request",	 "request_id", "order",	   "no",	"order.no",
					     "x",	 "",	       "trace id", " traceId ", "other",
					     "_id",	 "trace.id" };
	char text[64];

	buf_putc(b, '{');
	for (uint32_t i = 0, n = 1 + rnd(4); i < n; i++) {
		if (i > 0)
			buf_puts(b, rnd(3) == 0 ? " , " : ",");
		buf_putc(b, '"');
		put_escaped(b, slice_cstr(names[rnd(ARRAY_LEN(names))]));
		buf_puts(b, rnd(3) == 0 ? "\" : " : "\":");
		switch (depth > 0 ? rnd(8) : 2 + rnd(6)) {
		case 0:
		case 1: put_object(b, depth - 1); break;
		case 2: buf_printf(b, "%u", rnd(1000000)); break;
		case 3:
			snprintf(text, sizeof(text), "%08x%08x", rnd(1u << 30), rnd(1u << 30));
			buf_putc(b, '"');
			put_escaped(b, slice_cstr(text));
			buf_putc(b, '"');
			break;
		case 4: buf_puts(b, "\"" ID "\""); break;
		case 5: buf_puts(b, "[{\"trace_id\":\"1\"},\"]\",2]"); break;
		case 6: buf_puts(b, rnd(2) == 0 ? "\"a-b \\\" c\"" : "true"); break;
		default: buf_printf(b, "\"%u\"", rnd(100)); break;
		}
	}
	buf_putc(b, '}');
}

static void sanitise(char *out, const char *key)
{
	while (*key == ' ')
		key++;
	for (; *key != '\0' && strspn(key, " ") < strlen(key); key++)
		*out++ = (char)((*key >= '0' && *key <= '9') || ((*key | 32) >= 'a' && (*key | 32) <= 'z')
					? *key
					: '_');
	*out = '\0';
}

static void check_labels(struct slice line, const char *prefix, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		char part[64], path[512], text[128] = "";
		uint64_t token[4];

		sanitise(part, key);
		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix != '\0' && *part != '\0' ? "_" : "",
			 part);
		if (json_is_object(value)) {
			check_labels(line, path, value);
			continue;
		}
		if (json_is_string(value))
			snprintf(text, sizeof(text), "%s", json_string_value(value));
		else if (json_is_integer(value))
			snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
		else if (json_is_true(value))
			snprintf(text, sizeof(text), "true");
		size_t n = trace_tokens_for_label(keys, slice_cstr(path), slice_cstr(text), token);
		bool hit = n == 0;
		for (size_t i = 0; i < n; i++)
			hit |= has(token[i]);
		if (!hit)
			fail_msg("%s=%s of <%.*s>", path, text, SLICE_ARG(line));
	}
}

static void test_json_labels_are_never_missed(void **state)
{
	struct buf b;
	json_error_t error;

	(void)state;
	buf_init(&b);
	for (int round = 0; round < 20000; round++) {
		buf_reset(&b);
		put_object(&b, 4);
		json_t *doc = json_loadb(b.p, b.n, 0, &error);
		assert_non_null(doc);
		find(buf_slice(&b));
		check_labels(buf_slice(&b), "", doc);
		json_decref(doc);
	}
	buf_fini(&b);
}

/* Broken documents whose good part the json stage would still read. */
/* Pieces of keys at all distances from each other and from the ends of the line, so that they lie across blocks. */
static void put_scattered(struct buf *b)
{
	static const char *const piece[] = { "trace",
					     "TRACE_ID=",
					     "\"otelTraceID\":\"" ID "\"",
					     "@tr",
					     "@t",
					     "request_id=7",
					     "\\u0074race",
					     "\"order\":{\"no\":5}",
					     ID,
					     "-",
					     "\"" };

	buf_reset(b);
	if (rnd(3) == 0)
		buf_putc(b, '{');
	for (uint32_t n = rnd(40); n > 0; n--) {
		for (uint32_t gap = rnd(4) * rnd(12); gap > 0; gap--)
			buf_putc(b, "tra -@x\\"[rnd(8)]);
		buf_puts(b, piece[rnd(ARRAY_LEN(piece))]);
	}
}

static void test_vectors_change_nothing(void **state)
{
	struct trace_keys *plain =
		trace_keys_new(key_names, ARRAY_LEN(key_names), field_names, ARRAY_LEN(field_names));
	struct trace_found want = { 0 };
	struct buf b = { 0 };

	(void)state;
	assert_false(trace_keys_use_vectors(plain, false));
	for (int i = 0; i < 60000; i++) {
		if (i % 3 == 0)
			put_line(&b);
		else
			put_scattered(&b);
		/* memory of the line's own size, so that a sanitizer sees what is read too far */
		char *line = xmalloc(MAX(b.n, (size_t)1));
		memcpy(line, b.p, b.n);
		find(slice_of(line, b.n));
		trace_find(plain, slice_of(line, b.n), SLICE(""), SLICE(""), &want);
		assert_int_equal(found.n_tokens, want.n_tokens);
		assert_int_equal(found.n_refs, want.n_refs);
		assert_memory_equal(found.token, want.token, want.n_tokens * sizeof(*want.token));
		for (size_t k = 0; k < want.n_refs; k++) {
			assert_int_equal(found.ref[k].id.hi, want.ref[k].id.hi);
			assert_int_equal(found.ref[k].id.lo, want.ref[k].id.lo);
			assert_int_equal(found.ref[k].source, want.ref[k].source);
		}
		free(line);
	}
	trace_found_fini(&want);
	trace_keys_free(plain);
	buf_fini(&b);
}

static void test_odd_json_is_flagged(void **state)
{
	static const char *const odd[] = {
		"{\"a\":{\"x\":[{]},\"b\":1},\"trace\":{\"id\":\"5\"}}",
		"{\"trace\":{\"id\":\"5\"",
		"{\"trace\":{\"x\":[1}],\"id\":\"5\"}}",
		"{\"trace\":{\"x\":nope,\"id\":\"5\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		find(slice_cstr(odd[i]));
		assert_true(has(TRACE_TOKEN_ESCAPED));
	}
}

static void test_many_ids_on_a_line(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int i = 0; i < 3000; i++)
		buf_printf(&b, "%032x trace_id=%032x ", i % 500 + 1, 77);
	find(buf_slice(&b));
	assert_int_equal(found.n_refs, 500); /* 77 is among them */
	assert_int_equal(found.n_tokens, 500);
	assert_int_equal(found.ref[0].id.lo, 0x77 - 0x77 + 77);
	assert_int_equal(found.ref[0].source, TRACE_FROM_LOGFMT);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_format_and_match),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_metadata_comes_first),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_indexed_fields),
		cmocka_unit_test(test_needles),
		cmocka_unit_test(test_needles_are_never_missed),
		cmocka_unit_test(test_matches_the_naive_reading),
		cmocka_unit_test(test_json_labels_are_never_missed),
		cmocka_unit_test(test_vectors_change_nothing),
		cmocka_unit_test(test_odd_json_is_flagged),
		cmocka_unit_test(test_many_ids_on_a_line),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
