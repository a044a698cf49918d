/* Line filters and the regular expressions of label filters: which lines and values they keep. */
#include "base/buf.h"
#include "base/mem.h"
#include "logql/ip.h"
#include "query/labelre.h"
#include "query/linefilter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define KELVIN "\xe2\x84\xaa"

static const char *const lines[] = {
	"hello World", "foo bar 10.1.2.3 x", "", "FOO baz", "ip=::1 [2001:db8::1]:80", "multi\nline foo",
};

/* Alternatives of a filter; a text that starts with "ip:" stands for ip("..."). */
static struct line_test *filter(enum line_op op, const char *const *text, size_t n)
{
	struct line_test_arg arg[3];
	struct line_test *t = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct slice s = slice_cstr(text[i]);
		bool is_ip = slice_starts(s, SLICE("ip:"));

		arg[i] = (struct line_test_arg){ slice_from(s, is_ip ? 3 : 0), is_ip };
	}
	if (line_test_new(op, arg, n, &t, &err) == -1)
		fail_msg("%s: %s", text[0], err.msg);
	return t;
}

static size_t count(const char *const text[3])
{
	size_t n = 0;

	while (n < 3 && text[n] != NULL)
		n++;
	return n;
}

static const struct {
	enum line_op op;
	const char *text[3];
	const char *kept; /* numbers of lines */
} filters[] = {
	{ LINE_CONTAINS, { "" }, "123456" },
	{ LINE_MATCH, { "" }, "123456" },
	{ LINE_MATCH, { ".*" }, "123456" },
	{ LINE_MATCH, { "(.*)" }, "123456" },
	{ LINE_NOT_CONTAINS, { "" }, "" },
	{ LINE_NOT_MATCH, { "" }, "" },
	{ LINE_MATCH, { ".+" }, "12456" },
	{ LINE_NOT_PATTERN, { "" }, "12456" },
	{ LINE_PATTERN, { "<_>" }, "12456" },
	{ LINE_NOT_MATCH, { ".+" }, "3" },
	{ LINE_PATTERN, { "" }, "3" },
	{ LINE_CONTAINS, { "", "foo" }, "26" },
	{ LINE_CONTAINS, { "foo", "" }, "26" },
	{ LINE_CONTAINS, { "", "" }, "123456" },
	{ LINE_MATCH, { "", "foo" }, "26" },
	{ LINE_MATCH, { "foo", ".*", "FOO" }, "246" },
	{ LINE_NOT_CONTAINS, { "", "foo" }, "" },
	{ LINE_MATCH, { "foo|" }, "26" },
	{ LINE_MATCH, { "foo|.*" }, "26" },
	{ LINE_NOT_MATCH, { "foo|" }, "1345" },
	{ LINE_CONTAINS, { "foo", "hello" }, "126" },
	{ LINE_NOT_CONTAINS, { "foo", "hello" }, "345" },
	{ LINE_MATCH, { "foo|hello" }, "126" },
	{ LINE_NOT_MATCH, { "foo|hello" }, "345" },
	{ LINE_MATCH, { "hel(lo|p)" }, "1" },
	{ LINE_MATCH, { "hello.*" }, "1" },
	{ LINE_MATCH, { ".*World" }, "1" },
	{ LINE_MATCH, { ".*lo W.*" }, "1" },
	{ LINE_MATCH, { "lo.*(Wor|Wxy)" }, "1" },
	{ LINE_MATCH, { "(hello|foo) (W|bar)" }, "12" },
	{ LINE_MATCH, { "(?i)foo" }, "246" },
	{ LINE_MATCH, { "(?i)foo|(?i)hel" }, "1246" },
	{ LINE_MATCH, { "(?i)WORLD$" }, "1" },
	{ LINE_MATCH, { "[Ff][Oo][Oo]" }, "246" },
	{ LINE_MATCH, { "multi$" }, "" },
	{ LINE_MATCH, { "(?m)multi$" }, "6" },
	{ LINE_MATCH, { "multi.line" }, "" },
	{ LINE_MATCH, { "(?s)multi.line" }, "6" },
	{ LINE_MATCH, { "^foo" }, "2" },
	{ LINE_MATCH, { "\\d+\\.\\d+", "W" }, "12" },
	{ LINE_NOT_MATCH, { "\\d+\\.\\d+", "W" }, "3456" },
	{ LINE_CONTAINS, { "ip:10.0.0.0/8" }, "2" },
	{ LINE_CONTAINS, { "ip:10.1.2.3" }, "2" },
	{ LINE_CONTAINS, { "ip:10.1.2.0-10.1.2.9" }, "2" },
	{ LINE_NOT_CONTAINS, { "ip:10.0.0.0/8" }, "13456" },
	{ LINE_CONTAINS, { "ip:::1" }, "5" },
	{ LINE_CONTAINS, { "ip:2001:db8::/32" }, "5" },
	{ LINE_CONTAINS, { "ip:::1", "hello" }, "15" },
	{ LINE_NOT_CONTAINS, { "ip:::1", "hello" }, "2346" },
	{ LINE_PATTERN, { "<_> bar<_>" }, "2" },
	{ LINE_PATTERN, { "foo <_>" }, "2" },
	{ LINE_PATTERN, { "foo" }, "6" },
	{ LINE_PATTERN, { "World" }, "1" },
	{ LINE_PATTERN, { "<_>foo<_>" }, "" },
	{ LINE_NOT_PATTERN, { "<_>o<_>" }, "345" },
	{ LINE_PATTERN, { "foo", "<_>World" }, "16" },
	{ LINE_NOT_PATTERN, { "foo", "<_>World" }, "2345" },
};

static void filters_keep_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct line_test *t = filter(filters[i].op, filters[i].text, count(filters[i].text));
		char kept[ARRAY_LEN(lines) + 1] = "";
		size_t n = 0;

		for (size_t j = 0; j < ARRAY_LEN(lines); j++)
			if (line_test_match(t, slice_cstr(lines[j])))
				kept[n++] = (char)('1' + j);
		if (strcmp(kept, filters[i].kept) != 0)
			fail_msg("case %zu, %s: keeps \"%s\", not \"%s\"", i, filters[i].text[0], kept,
				 filters[i].kept);
		assert_int_equal(line_test_keeps_all(t), strcmp(kept, "123456") == 0);
		line_test_free(t);
	}
}

static const struct {
	const char *pattern, *line;
	bool kept;
} regexes[] = {
	{ "(?i)k", KELVIN, false },   /* reduced to a literal */
	{ "(?i)k.?$", KELVIN, true }, /* not reduced */
	{ "(?i)ok", "o" KELVIN, true },
	{ "(?i)stra\xc3\x9f"
	  "e",
	  "STRA\xc3\x9f"
	  "E",
	  true },
	{ "(?i)\xd0\xbf\xd1\x80", "\xd0\x9f\xd0\xa0", true },
	{ "foo(bar|qux)", "fooqux", true },
	{ "foo(bar|qux)", "foo", false },
	{ "foo.*(bar|qux)", "foo - qux", true },
	{ "foo(.*bar|qux)", "foo - bar", true },
	{ "foo(bar|qux)(a1|b2)", "fooa1", false },
	{ "bar|b|buzz", "b", true },
	{ "abcde|abcxy|abz1", "-abcxy-", true },
	{ "abcde|abcxy|abz1", "abc", false },
	{ "foo(?i:bar|qux)", "fooBAR", true },
	{ "foo(?i:bar|qux)", "FOObar", false },
	{ "a{2}", "aa", true },
	{ "a.b",
	  "a\xff"
	  "b",
	  true },
	{ "(timeout|refused) after \\d+ms", "dial: timeout after 30ms", true },
	{ "(timeout|refused) after \\d+ms", "dial: timeout after ms", false },
};

static void a_regex_means_the_same_when_it_is_reduced(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(regexes); i++) {
		struct line_test *t = filter(LINE_MATCH, &regexes[i].pattern, 1);

		if (line_test_match(t, slice_cstr(regexes[i].line)) != regexes[i].kept)
			fail_msg("%s on %s", regexes[i].pattern, regexes[i].line);
		line_test_free(t);
	}
}

static const struct {
	const char *set, *text;
	bool has;
} addresses[] = {
	{ "10.0.0.1", "x10.0.0.1y", true },
	{ "10.0.0.1", "10.0.0.1:80", true },
	{ "10.0.0.1", "10.0.0.1/8", true },
	{ "10.0.0.1", "at 10.0.0.1.", false },
	{ "10.0.0.1", "010.0.0.1", false },
	{ "10.0.0.1", "1.2.10.0.0.1", false },
	{ "10.0.0.1", "", false },
	{ "10.0.0.1/8", "10.9.9.9", true },
	{ "1.2.3.4", "::ffff:1.2.3.4", false },
	{ "1.2.3.4", "12:30:05 1.2.3.4", true },
	{ "1.2.3.4", "1.2.3.5,1.2.3.4", true },
	{ "::1", "[::1]:80", true },
	{ "::1", "::", false },
	{ "fe80::/10", "via fe80::1%eth0", true },
	{ "2001:db8::5-2001:db8::9", "2001:DB8::7", true },
};

static void addresses_are_found_in_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct ip_set set;

		assert_true(ip_set_parse(slice_cstr(addresses[i].set), &set));
		if (line_has_ip(slice_cstr(addresses[i].text), &set) != addresses[i].has)
			fail_msg("%s in %s", addresses[i].set, addresses[i].text);
	}
}

static const struct {
	enum line_op op;
	const char *text[3];
	const char *required;
} required[] = {
	{ LINE_CONTAINS, { "foo" }, "foo" },	  { LINE_CONTAINS, { "foo", "" }, "foo" },
	{ LINE_CONTAINS, { "foo", "bar" }, "" },  { LINE_CONTAINS, { "" }, "" },
	{ LINE_NOT_CONTAINS, { "foo" }, "" },	  { LINE_MATCH, { "foo.*" }, "foo" },
	{ LINE_MATCH, { "a.*foo\\d" }, "foo a" }, { LINE_MATCH, { "foo|bar" }, "" },
	{ LINE_MATCH, { "(?i)foo" }, "" },	  { LINE_MATCH, { ".+" }, "" },
	{ LINE_NOT_MATCH, { "foo" }, "" },	  { LINE_PATTERN, { "GET <_> 200 <_>" }, "GET  200 " },
	{ LINE_CONTAINS, { "ip:10.0.0.1" }, "" },
};

static void required_literals_are_in_each_kept_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(required); i++) {
		struct line_test *t = filter(required[i].op, required[i].text, count(required[i].text));
		struct slice out[4];
		struct buf b;

		buf_init(&b);
		size_t n = line_test_required(t, out, 4);
		for (size_t j = 0; j < n; j++)
			buf_printf(&b, "%s%.*s", j > 0 && required[i].op == LINE_MATCH ? " " : "",
				   SLICE_ARG(out[j]));
		buf_cstr_end(&b);
		assert_string_equal(b.p, required[i].required);
		buf_fini(&b);
		line_test_free(t);
	}
}

static const struct {
	enum line_op op;
	struct line_test_arg arg;
	const char *error;
} errors[] = {
	{ LINE_MATCH, { { "(", 1 }, false }, "error parsing regexp: missing closing ): `(`" },
	{ LINE_MATCH, { { "1.1.1.1", 7 }, true }, "ip: invalid operation" },
	{ LINE_PATTERN, { { "1.1.1.1", 7 }, true }, "ip: invalid operation" },
	{ LINE_CONTAINS, { { "zz", 2 }, true }, "ip: invalid pattern: \"zz\"" },
	{ LINE_PATTERN, { { "<a>", 3 }, false }, "named captures are not allowed: found '<a>'" },
	{ LINE_PATTERN,
	  { { "<_><_>", 6 }, false },
	  "found consecutive capture '<_><_>': invalid expression" },
};

static void bad_arguments_are_named(void **state)
{
	struct line_test_arg args[2] = { { SLICE("ok|fi(ne|\\d)"), false } };
	struct line_test *t = NULL;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		assert_int_equal(line_test_new(errors[i].op, &errors[i].arg, 1, &t, &err), -1);
		assert_null(t);
		assert_string_equal(err.msg, errors[i].error);
	}
	args[1] = errors[0].arg;
	assert_int_equal(line_test_new(LINE_MATCH, args, 2, &t, &err), -1);
	assert_null(t);
	line_test_free(NULL);
}

static const struct {
	const char *pattern, *value;
	bool match;
} label_regexes[] = {
	{ "abc", "abc", true },
	{ "abc", "xabc", false },
	{ "(?i)abc", "ABC", true },
	{ "(?i)abc", "ABCD", false },
	{ "", "anything", true },
	{ ".*", "", true },
	{ ".*", "a\nb", true },
	{ ".+", "", false },
	{ ".+", "a\nb", true },
	{ "abc|def", "def", true },
	{ "abc|def", "xdef", false },
	{ "abc|.*", "x", false }, /* the branch that is always true is dropped */
	{ "abc|.+", "x", true },
	{ "5.*", "1.5h", true }, /* contains, not anchored */
	{ ".*5", "51", true },
	{ ".*5.*", "151", true },
	{ "5.+", "15x", false }, /* anything else is anchored */
	{ "5.+", "5x", true },
	{ "foo(bar|qux)", "xfoobar", true },
	{ "foo(a|b)", "xfooa", false },
	{ "foo(a|b)", "foob", true },
	{ "abc|abd", "xabc", false },
	{ "bar|b|buzz", "xbx", true },
	{ "a.c", "a\nc", false },
	{ "\\d+", "12", true },
	{ "\\d+", "12x", false },
};

static void label_regexes_are_anchored_unless_they_reduce(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(label_regexes); i++) {
		struct label_re *re = NULL;
		struct err err = { 0 };

		assert_int_equal(label_re_new(slice_cstr(label_regexes[i].pattern), &re, &err), 0);
		if (label_re_match(re, slice_cstr(label_regexes[i].value)) != label_regexes[i].match)
			fail_msg("%s on %s", label_regexes[i].pattern, label_regexes[i].value);
		label_re_free(re);
	}
}

static void costs_put_byte_searches_first(void **state)
{
	const char *const lit[] = { "foo" }, *const alternation[] = { "foo|bar" }, *const re[] = { "fo+" },
			  *const ip[] = { "ip:10.0.0.1", "foo" };
	const struct {
		enum line_op op;
		const char *const *text;
		size_t n;
		int cost;
	} cases[] = {
		{ LINE_CONTAINS, lit, 1, 0 },
		{ LINE_MATCH, alternation, 1, 0 },
		{ LINE_NOT_CONTAINS, ip, 2, 1 },
		{ LINE_MATCH, re, 1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct line_test *t = filter(cases[i].op, cases[i].text, cases[i].n);

		assert_int_equal(line_test_cost(t), cases[i].cost);
		line_test_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_keep_lines),
		cmocka_unit_test(a_regex_means_the_same_when_it_is_reduced),
		cmocka_unit_test(addresses_are_found_in_text),
		cmocka_unit_test(required_literals_are_in_each_kept_line),
		cmocka_unit_test(bad_arguments_are_named),
		cmocka_unit_test(label_regexes_are_anchored_unless_they_reduce),
		cmocka_unit_test(costs_put_byte_searches_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
