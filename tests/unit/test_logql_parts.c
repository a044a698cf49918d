/* The small languages inside LogQL: numbers and units, addresses, paths, patterns. */
#include "base/mem.h"
#include "logql/ip.h"
#include "logql/path.h"
#include "logql/pattern.h"
#include "logql/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <cmocka.h>

static void numbers_are_gos(void **state)
{
	static const struct {
		const char *text;
		double v;
		const char *error;
	} rows[] = {
		{ "5", 5, NULL },
		{ "-5.5", -5.5, NULL },
		{ "5.", 5, NULL },
		{ ".5", .5, NULL },
		{ "1e3", 1000, NULL },
		{ "1_000", 1000, NULL },
		{ "010", 10, NULL },
		{ "0x1p4", 16, NULL },
		{ "+Inf", INFINITY, NULL },
		{ "-infinity", -INFINITY, NULL },
		{ "1e-400", 0, NULL },
		{ "", 0, "strconv.ParseFloat: parsing \"\": invalid syntax" },
		{ "abc", 0, "strconv.ParseFloat: parsing \"abc\": invalid syntax" },
		{ " 5", 0, "strconv.ParseFloat: parsing \" 5\": invalid syntax" },
		{ "1__0", 0, "strconv.ParseFloat: parsing \"1__0\": invalid syntax" },
		{ "1_", 0, "strconv.ParseFloat: parsing \"1_\": invalid syntax" },
		{ "0x10", 0, "strconv.ParseFloat: parsing \"0x10\": invalid syntax" },
		{ "1e", 0, "strconv.ParseFloat: parsing \"1e\": invalid syntax" },
		{ "1.2.3", 0, "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax" },
		{ "+nan", 0, "strconv.ParseFloat: parsing \"+nan\": invalid syntax" },
		{ "1e400", 0, "strconv.ParseFloat: parsing \"1e400\": value out of range" },
	};
	struct err err;
	double v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int rc = units_parse_number(slice_cstr(rows[i].text), &v, &err);

		assert_int_equal(rc, rows[i].error == NULL ? 0 : -1);
		if (rc == -1)
			assert_string_equal(err.msg, rows[i].error);
		else
			assert_true(v == rows[i].v);
	}
	assert_int_equal(units_parse_number(SLICE("NaN"), &v, &err), 0);
	assert_true(isnan(v));
}

static void whole_numbers_are_gos(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} rows[] = {
		{ "42", true, 42 },	 { "-42", true, -42 },
		{ "+5", true, 5 },	 { "0x1f", true, 31 },
		{ "0X1F", true, 31 },	 { "010", true, 8 },
		{ "0o17", true, 15 },	 { "0b11", true, 3 },
		{ "1_000", true, 1000 }, { "0_7", true, 7 },
		{ "0b_1", true, 1 },	 { "0", true, 0 },
		{ "-0", true, 0 },	 { "9223372036854775807", true, INT64_MAX },
		{ "", false, 0 },	 { "-9223372036854775808", true, INT64_MIN },
		{ "-", false, 0 },	 { "9223372036854775808", false, 0 },
		{ "08", false, 0 },	 { "1.5", false, 0 },
		{ "1e3", false, 0 },	 { " 1", false, 0 },
		{ "1_", false, 0 },	 { "_1", false, 0 },
		{ "1__0", false, 0 },	 { "0x", false, 0 },
		{ "0b2", false, 0 },	 { "abc", false, 0 },
		{ "--1", false, 0 },	 { "99999999999999999999", false, 0 },
	};
	uint64_t u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = 0;

		if (units_parse_go_int(slice_cstr(rows[i].text), &v) != rows[i].ok)
			fail_msg("%s", rows[i].text);
		assert_int_equal(v, rows[i].value);
	}
	assert_true(units_parse_go_uint(SLICE("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_false(units_parse_go_uint(SLICE("18446744073709551616"), &u));
	assert_false(units_parse_go_uint(SLICE("-1"), &u));
}

static void durations_of_values_are_gos(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
		const char *error;
	} rows[] = {
		{ "5ms", 5000000, NULL },
		{ "1h30m", 5400000000000, NULL },
		{ "1.5h", 5400000000000, NULL },
		{ "-5ms", -5000000, NULL },
		{ ".5s", 500000000, NULL },
		{ "0", 0, NULL },
		{ "-0", 0, NULL },
		{ "1s1h", 3601000000000, NULL },
		{ "3\xc2\xb5s", 3000, NULL },
		{ "3\xce\xbcs", 3000, NULL },
		{ "9223372036854775807ns", INT64_MAX, NULL },
		{ "-9223372036854775808ns", INT64_MIN, NULL },
		{ "", 0, "time: invalid duration \"\"" },
		{ "abc", 0, "time: invalid duration \"abc\"" },
		{ ".s", 0, "time: invalid duration \".s\"" },
		{ "5", 0, "time: missing unit in duration \"5\"" },
		{ "1d", 0, "time: unknown unit \"d\" in duration \"1d\"" },
		{ "9223372036854775808ns", 0, "time: invalid duration \"9223372036854775808ns\"" },
		{ "9999999h", 0, "time: invalid duration \"9999999h\"" },
		{ "1\xc3\xa9", 0, "time: unknown unit \"\\xc3\\xa9\" in duration \"1\\xc3\\xa9\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		int64_t ns = 0;
		int rc = units_parse_go_duration(slice_cstr(rows[i].text), &ns, &err);

		assert_int_equal(rc, rows[i].error == NULL ? 0 : -1);
		if (rc == -1)
			assert_string_equal(err.msg, rows[i].error);
		assert_int_equal(ns, rows[i].ns);
	}
}

static void durations_of_ranges_are_prometheus(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
		const char *error;
	} rows[] = {
		{ "5m", 300000000000, NULL },
		{ "1y2w3d4h5m6s7ms", 33019506007000000, NULL },
		{ "0", 0, NULL },
		{ "0s", 0, NULL },
		{ "", 0, "empty duration string" },
		{ "5", 0, "not a valid duration string: \"5\"" },
		{ " 5m ", 0, "not a valid duration string: \" 5m \"" },
		{ "1h1d", 0, "not a valid duration string: \"1h1d\"" },
		{ "1m1m", 0, "not a valid duration string: \"1m1m\"" },
		{ "5us", 0, "unknown unit \"us\" in duration \"5us\"" },
		{ "1.5m", 0, "unknown unit \".\" in duration \"1.5m\"" },
		{ "300y", 0, "duration out of range" },
		{ "292y200d", 0, "duration out of range" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		int64_t ns = 0;
		int rc = units_parse_prom_duration(slice_cstr(rows[i].text), &ns, &err);

		if (rc != (rows[i].error == NULL ? 0 : -1))
			fail_msg("%s", rows[i].text);
		if (rc == -1)
			assert_string_equal(err.msg, rows[i].error);
		assert_int_equal(ns, rows[i].ns);
	}
}

static void sizes_know_both_powers(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *error;
	} rows[] = {
		{ "5", 5, NULL },
		{ "5B", 5, NULL },
		{ "10KB", 10000, NULL },
		{ "10 kb", 10000, NULL },
		{ "5MiB", 5242880, NULL },
		{ "1,000", 1000, NULL },
		{ "1.5KB", 1500, NULL },
		{ "2Ki", 2048, NULL },
		{ "15eib", 17293822569102704640ULL, NULL },
		{ "abc", 0, "strconv.ParseFloat: parsing \"\": invalid syntax" },
		{ "-3", 0, "strconv.ParseFloat: parsing \"\": invalid syntax" },
		{ "5ms", 0, "unhandled size name: ms" },
		{ "16EiB", 0, "too large: 16EiB" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		uint64_t bytes = 0;
		int rc = units_parse_bytes(slice_cstr(rows[i].text), &bytes, &err);

		assert_int_equal(rc, rows[i].error == NULL ? 0 : -1);
		if (rc == -1)
			assert_string_equal(err.msg, rows[i].error);
		assert_true(bytes == rows[i].bytes);
	}
}

static void check_text(struct buf *b, const char *want)
{
	buf_cstr_end(b);
	assert_string_equal(b->p, want);
	buf_reset(b);
}

static void units_are_written(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	units_fmt_go_duration(&b, 5400000000000), check_text(&b, "1h30m0s");
	units_fmt_go_duration(&b, -300000000000), check_text(&b, "-5m0s");
	units_fmt_go_duration(&b, 1500000), check_text(&b, "1.5ms");
	units_fmt_go_duration(&b, 1500), check_text(&b, "1.5\xc2\xb5s");
	units_fmt_go_duration(&b, 7), check_text(&b, "7ns");
	units_fmt_go_duration(&b, 61050000000), check_text(&b, "1m1.05s");
	units_fmt_go_duration(&b, 0), check_text(&b, "0s");
	units_fmt_go_duration(&b, INT64_MIN), check_text(&b, "-2562047h47m16.854775808s");
	units_fmt_prom_duration(&b, 5400000000000), check_text(&b, "1h30m");
	units_fmt_prom_duration(&b, 604800000000000), check_text(&b, "1w");
	units_fmt_prom_duration(&b, 691200000000000), check_text(&b, "8d");
	units_fmt_prom_duration(&b, 1500000000), check_text(&b, "1s500ms");
	units_fmt_prom_duration(&b, 0), check_text(&b, "0s");
	units_fmt_bytes(&b, 9), check_text(&b, "9B");
	units_fmt_bytes(&b, 10000), check_text(&b, "10kB");
	units_fmt_bytes(&b, 1536), check_text(&b, "1.5kB");
	units_fmt_number(&b, 0.99), check_text(&b, "0.99");
	units_fmt_number(&b, 1e6), check_text(&b, "1000000");
	units_fmt_number(&b, 1e21), check_text(&b, "1e+21");
	units_fmt_number(&b, 1.5e-7), check_text(&b, "1.5e-07");
	buf_fini(&b);
}

static void ip_patterns(void **state)
{
	static const struct {
		const char *pattern, *addr;
		bool has;
	} rows[] = {
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.4", false },
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.1/8", "11.0.0.0", false },
		{ "0.0.0.0/0", "255.1.2.3", true },
		{ "10.1.2.0/23", "10.1.3.255", true },
		{ "10.1.2.0-10.1.2.9", "10.1.2.9", true },
		{ "10.1.2.0-10.1.2.9", "10.1.2.10", false },
		{ "::1", "::1", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "1.2.3.4", "::ffff:1.2.3.4", false },
		{ "::/0", "1.2.3.4", false },
	};
	static const char *const bad[] = {
		"",
		"zz",
		"1.1.1.1.1",
		"1.1.1",
		"010.1.1.1",
		"256.1.1.1",
		"10.0.0.1/33",
		"10.0.0.1/",
		"10.0.0.1/08",
		"::/129",
		"10.0.0.2-10.0.0.1",
		"10.0.0.1-::1",
		"10.0.0.1 - 10.0.0.2",
		"-",
		"/",
		"1.1.1.1%eth0",
	};
	struct ip_set set;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t addr[16];
		bool v6;

		assert_true(ip_set_parse(slice_cstr(rows[i].pattern), &set));
		assert_true(ip_parse_addr(slice_cstr(rows[i].addr), &v6, addr));
		assert_int_equal(ip_set_has(&set, v6, addr), rows[i].has);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (ip_set_parse(slice_cstr(bad[i]), &set))
			fail_msg("accepted: %s", bad[i]);
}

/* a.b["c"][3] -> a|b|c|#3 */
static void spell_path(const struct json_path *path, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < path->n; i++) {
		const char *sep = i > 0 ? "|" : "";

		if (path->steps[i].is_index)
			n += (size_t)snprintf(out + n, size - n, "%s#%llu", sep,
					      (unsigned long long)path->steps[i].index);
		else
			n += (size_t)snprintf(out + n, size - n, "%s%.*s", sep,
					      SLICE_ARG(path->steps[i].key));
	}
}

static void json_paths(void **state)
{
	static const struct {
		const char *text, *path, *error;
	} rows[] = {
		{ "a", "a", NULL },
		{ "a.b.c", "a|b|c", NULL },
		{ "a[0].b", "a|#0|b", NULL },
		{ "[0][\"x y\"]", "#0|x y", NULL },
		{ "[\"a b\"].z", "a b|z", NULL },
		{ " a . b [ 1 ] ", "a|b|#1", NULL },
		{ "[\"\xc3\xa9\"]", "\xc3\xa9", NULL },
		{ "a..b", NULL, "syntax error: unexpected DOT, expecting FIELD" },
		{ "a[b]", NULL, "syntax error: unexpected FIELD, expecting STRING or INDEX" },
		{ "a[1.5]", NULL, "syntax error: unexpected $end, expecting STRING or INDEX" },
		{ "a[-1]", NULL, "syntax error: unexpected $end, expecting STRING or INDEX" },
		{ "a[99999999999999999999]", NULL,
		  "syntax error: unexpected $end, expecting STRING or INDEX" },
		{ "", NULL, "syntax error: unexpected $end, expecting LSB or FIELD" },
		{ "-", NULL, "syntax error: unexpected $end, expecting LSB or FIELD" },
		{ "1", NULL, "syntax error: unexpected $end, expecting LSB or FIELD" },
		{ ".a", NULL, "syntax error: unexpected DOT, expecting LSB or FIELD" },
		{ "...", NULL, "syntax error: unexpected DOT, expecting LSB or FIELD" },
		{ "a.", NULL, "syntax error: unexpected $end, expecting FIELD" },
		{ "a.[0]", NULL, "syntax error: unexpected LSB, expecting FIELD" },
		{ "a[0", NULL, "syntax error: unexpected $end, expecting STRING or INDEX" },
		{ "a[\"b\"", NULL, "syntax error: unexpected $end, expecting RSB" },
		{ "a b", NULL, "syntax error: unexpected FIELD" },
		{ "a\"b", NULL, "syntax error: unexpected STRING" },
		{ "a]", NULL, "syntax error: unexpected RSB" },
		{ "a-b", NULL, "unexpected char -" },
		{ "a\xc3\xa9", NULL, "unexpected char \xc3\xa9" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_path path;
		struct err err;
		char got[300];
		int rc = json_path_parse(slice_cstr(rows[i].text), &arena, &path, &err);

		if (rc == 0) {
			spell_path(&path, got, sizeof(got));
			assert_string_equal(got, rows[i].path);
		} else {
			snprintf(got, sizeof(got), "cannot parse expression [%s]: %s", rows[i].text,
				 rows[i].error);
			assert_string_equal(err.msg, got);
		}
	}
	arena_fini(&arena);
}

static void logfmt_keys(void **state)
{
	static const struct {
		const char *text, *key, *error;
	} rows[] = {
		{ "a", "a", NULL },
		{ " a_1 ", "a_1", NULL },
		{ "\"a b\"", "a b", NULL },
		{ "b c", NULL, "syntax error: unexpected KEY" },
		{ "", NULL, "syntax error: unexpected $end, expecting STRING or KEY" },
		{ "1", NULL, "syntax error: unexpected $end, expecting STRING or KEY" },
		{ "-", NULL, "syntax error: unexpected $end, expecting STRING or KEY" },
		{ "a-b", NULL, "unexpected char -" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice key;
		struct err err;
		char want[200];
		int rc = logfmt_key_parse(slice_cstr(rows[i].text), &key, &err);

		assert_int_equal(rc, rows[i].key != NULL ? 0 : -1);
		if (rc == 0) {
			assert_true(slice_is(key, rows[i].key));
		} else {
			snprintf(want, sizeof(want), "cannot parse expression [%s]: %s", rows[i].text,
				 rows[i].error);
			assert_string_equal(err.msg, want);
		}
	}
}

/* Literals as they are, captures in angle brackets, with | between nodes. */
static void spell_pattern(const struct pattern *p, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < p->n; i++)
		n += (size_t)snprintf(out + n, size - n, p->nodes[i].is_capture ? "%s<%.*s>" : "%s%.*s",
				      i > 0 ? "|" : "", SLICE_ARG(p->nodes[i].text));
}

static void patterns(void **state)
{
	static const struct {
		const char *text;
		bool filter;
		const char *nodes, *error;
	} rows[] = {
		{ "<ip> - <m> <_>", false, "<ip>| - |<m>| |<>", NULL },
		{ "a<b>c", false, "a|<b>|c", NULL },
		{ "<1a><a><a>b>", false, NULL, "found consecutive capture '<a><a>': invalid expression" },
		{ "<1a> <a x> <<b>> <c", false, "<1a> <a x> <|<b>|> <c", NULL },
		{ "nocapture", false, NULL, "at least one capture is required" },
		{ "<_>", false, NULL, "at least one capture is required" },
		{ "<a><b>", false, NULL, "found consecutive capture '<a><b>': invalid expression" },
		{ "<a> <a>", false, NULL, "duplicate capture name (a): invalid expression" },
		{ "<_> <_> <a>", false, "<>| |<>| |<a>", NULL },
		{ "", true, "", NULL },
		{ "x", true, "x", NULL },
		{ "<_>x<_>", true, "<>|x|<>", NULL },
		{ "<a>", true, NULL, "named captures are not allowed: found '<a>'" },
		{ "<_><_>", true, NULL, "found consecutive capture '<_><_>': invalid expression" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice text = slice_cstr(rows[i].text);
		struct pattern p;
		struct err err;
		char got[200];
		int rc = rows[i].filter ? pattern_parse_filter(text, &arena, &p, &err)
					: pattern_parse(text, &arena, &p, &err);

		assert_int_equal(rc, rows[i].nodes != NULL ? 0 : -1);
		if (rc == 0) {
			spell_pattern(&p, got, sizeof(got));
			assert_string_equal(got, rows[i].nodes);
		} else {
			assert_string_equal(err.msg, rows[i].error);
		}
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_gos),
		cmocka_unit_test(whole_numbers_are_gos),
		cmocka_unit_test(durations_of_values_are_gos),
		cmocka_unit_test(durations_of_ranges_are_prometheus),
		cmocka_unit_test(sizes_know_both_powers),
		cmocka_unit_test(units_are_written),
		cmocka_unit_test(ip_patterns),
		cmocka_unit_test(json_paths),
		cmocka_unit_test(logfmt_keys),
		cmocka_unit_test(patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
