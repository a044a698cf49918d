/* Regular expressions: Go's dialect and its meaning, on libre2. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fold.h"
#include "base/mem.h"
#include "base/re.h"
#include "base/re_expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define KELVIN "\xe2\x84\xaa"

static struct re *compile(const char *pattern, unsigned flags)
{
	struct re *re = NULL;
	struct err err = { 0 };

	if (re_compile(slice_cstr(pattern), flags, &re, &err) == -1)
		fail_msg("%s: %s", pattern, err.msg);
	return re;
}

static const struct {
	const char *pattern;
	unsigned flags;
	struct slice text;
	bool match;
} cases[] = {
	{ "o w", 0, { "hello world", 11 }, true },
	{ "o w", RE_ANCHORED, { "hello world", 11 }, false },
	{ "a|ab", RE_ANCHORED, { "ab", 2 }, true },
	{ "", 0, { "", 0 }, true },
	{ "", RE_ANCHORED, { "x", 1 }, false },
	{ "", RE_ANCHORED, { NULL, 0 }, true },
	{ "a.b", 0, { "a\nb", 3 }, false },
	{ "a.b", RE_DOT_NL, { "a\nb", 3 }, true },
	{ "(?-s)a.b", RE_DOT_NL, { "a\nb", 3 }, false },
	{ "(?s)a.b", 0, { "a\nb", 3 }, true },
	{ "a.b", 0, { "a\0b", 3 }, true },
	{ "foo$", 0, { "foo\n", 4 }, false },
	{ "foo$", 0, { "foo\nbar", 7 }, false },
	{ "(?m)foo$", 0, { "foo\nbar", 7 }, true },
	{ "(?m)^bar", 0, { "foo\nbar", 7 }, true },
	{ "^bar", 0, { "foo\nbar", 7 }, false },
	{ "foo\\z", 0, { "foo\n", 4 }, false },
	{ "\\s", 0, { "\v", 1 }, false },
	{ "[[:space:]]", 0, { "\v", 1 }, true },
	{ "\\w\\d", 0, { "\xc3\xa9\xd9\xa1", 4 }, false },
	{ "\\bk\\b", 0, { "\xc3\xa9k", 3 }, true },
	{ "(?i)k.", 0, { KELVIN "x", 4 }, true },
	{ "^.$", 0, { "\xc3\xa9", 2 }, true },
	{ "\\p{Greek}+", RE_ANCHORED, { "\xce\xb1\xce\xa9", 4 }, true },
	{ "\\p{^Greek}|\\PL", 0, { "\xce\xb1", 2 }, false },
	{ "(?P<a>x)(?<a>y)", RE_ANCHORED, { "xy", 2 }, true },
	{ "(?<1a>x)", RE_ANCHORED, { "x", 1 }, true },
	{ "[(?P<n>]", RE_ANCHORED, { "<", 1 }, true },
	{ "\\(?P<n>", RE_ANCHORED, { "P<n>", 4 }, true },
	{ "\\Q(?P<n>\\E", RE_ANCHORED, { "(?P<n>", 6 }, true },
	{ "a{,2}", RE_ANCHORED, { "a{,2}", 5 }, true },
	/* each byte that is not UTF-8 acts as U+FFFD */
	{ "a.b",
	  0,
	  { "a\xff"
	    "b",
	    3 },
	  true },
	{ "a..b",
	  RE_ANCHORED,
	  { "a\xe2\x84"
	    "b",
	    4 },
	  true },
	{ "a[^x]b",
	  0,
	  { "a\xff"
	    "b",
	    3 },
	  true },
	{ "\\x{FFFD}",
	  0,
	  { "a\xff"
	    "b",
	    3 },
	  true },
	{ "\xc3\xbf",
	  0,
	  { "a\xff"
	    "b",
	    3 },
	  false },
};

static void the_dialect_is_that_of_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct re *re = compile(cases[i].pattern, cases[i].flags);

		if (re_match(re, cases[i].text) != cases[i].match)
			fail_msg("case %zu: %s", i, cases[i].pattern);
		re_free(re);
	}
}

static void groups_have_names_and_places(void **state)
{
	struct re *re = compile("(?P<key>\\w+)=(?:(\\d+)|(?<word>[a-z]+))", 0);
	struct slice text = SLICE("-- a=1 b=c"), g[5];

	(void)state;
	assert_int_equal(re_n_groups(re), 3);
	assert_true(slice_is(re_group_name(re, 1), "key"));
	assert_int_equal(re_group_name(re, 2).n, 0);
	assert_true(slice_is(re_group_name(re, 3), "word"));
	assert_true(re_find(re, text, g, 5));
	assert_true(slice_is(g[0], "a=1"));
	assert_ptr_equal(g[1].p, text.p + 3);
	assert_true(slice_is(g[2], "1"));
	assert_null(g[3].p);
	assert_null(g[4].p);
	assert_false(re_find(re, SLICE("nothing"), g, 5));
	re_free(re);
}

static void the_leftmost_first_match_is_found(void **state)
{
	struct re *re = compile("(a|ab)(c|bcd)?", 0);
	struct slice g[3];

	(void)state;
	assert_true(re_find(re, SLICE("xabcd"), g, 3));
	assert_true(slice_is(g[0], "abcd"));
	assert_true(slice_is(g[1], "a"));
	re_free(re);
	re = compile("a*?", 0);
	assert_true(re_find(re, SLICE("aaa"), g, 1));
	assert_int_equal(g[0].n, 0);
	assert_non_null(g[0].p);
	re_free(re);
}

static void groups_lie_in_the_text_when_it_is_not_utf8(void **state)
{
	struct re *re = compile("(b.)(c)", 0);
	struct slice text = SLICE("\xff\xfe"
				  "b\xff"
				  "c\xff"),
		     g[3];

	(void)state;
	assert_true(re_find(re, text, g, 3));
	assert_ptr_equal(g[0].p, text.p + 2);
	assert_int_equal(g[0].n, 3);
	assert_ptr_equal(g[1].p, text.p + 2);
	assert_int_equal(g[1].n, 2);
	assert_ptr_equal(g[2].p, text.p + 4);
	re_free(re);
}

static void too_large_a_program_is_an_error(void **state)
{
	struct re *re = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(re_compile(SLICE("(\\pL{100}){10}"), 0, &re, &err), -1);
	assert_null(re);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	assert_string_equal(err.msg,
			    "regular expression is too large: compiled, it is over the limit of 256 KiB");
	assert_int_equal(re_compile(SLICE("("), 0, &re, &err), -1);
	assert_string_equal(err.msg, "error parsing regexp: missing closing ): `(`");
	re_free(NULL);
}

static void no_pattern_takes_exponential_time(void **state)
{
	static const char *const hostile[] = { "(a+)+$", "(a|aa)+$", "(.*a){20}$", "(x+x+)+y", "\\s+$" };
	static char text[64 << 10];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		struct re *re = compile(hostile[i], 0);

		assert_false(re_match(re, slice_of(text, sizeof(text))));
		re_free(re);
	}
}

static bool says_stop(void *arg)
{
	int *n_more = arg;

	return (*n_more)-- == 0;
}

static void a_guard_keeps_matches_short(void **state)
{
	static char text[256 << 10];
	struct re *big = compile("(.{0,1000}a.{0,1000}b)c", 0), *small = compile("(a|bb)+c", 0);
	struct slice g[2], all = slice_of(text, sizeof(text));
	int n_more = 1;

	(void)state;
	memset(text, 'a', sizeof(text));
	re_guard = (struct re_guard){ .stop = says_stop, .arg = &n_more };
	assert_false(re_match(small, all));
	assert_false(re_match(big, slice_sub(all, 0, 100)));
	assert_false(re_guard.given_up);
	assert_in_range(re_guard.steps, sizeof(text), 16 << 20);
	assert_false(re_match(big, all)); /* might take seconds */
	assert_true(re_guard.given_up);
	assert_false(re_match(small, SLICE("ac")));
	re_guard = (struct re_guard){ .stop = says_stop, .arg = &n_more };
	assert_false(re_find(big, all, g, 2));
	assert_true(re_guard.given_up);
	re_guard = (struct re_guard){ .stop = says_stop, .arg = &n_more };
	for (int i = 0; i < 1000 && !re_guard.given_up; i++)
		re_match(small, all);
	assert_true(re_guard.given_up); /* was asked twice */
	assert_int_equal(n_more, -1);
	re_guard = (struct re_guard){ 0 };
	assert_true(re_match(small, SLICE("ac")));
	re_free(big);
	re_free(small);
}

static void letters_fold_by_simple_unicode_rules(void **state)
{
	uint32_t orbit[RUNE_MAX_ORBIT];

	(void)state;
	assert_int_equal(rune_lower('K'), 'k');
	assert_int_equal(rune_lower(0x416), 0x436);
	assert_int_equal(rune_fold(0x212a), 'k');
	assert_int_equal(rune_fold(0x17f), 's');
	assert_int_equal(rune_fold(0x3a3), 0x3c3);
	assert_int_equal(rune_fold(0x3c2), 0x3c3);
	assert_int_equal(rune_orbit('a', orbit), 2);
	assert_int_equal(rune_orbit('5', orbit), 1);
	assert_int_equal(rune_orbit(0x212a, orbit), 3);
	assert_int_equal(rune_orbit(0x3b8, orbit), 4);
}

static const struct {
	const char *text, *needle;
	bool has, equal;
} folds[] = {
	{ "A Big FOO", "foo", true, false },
	{ "FoO", "foo", true, true },
	{ "", "", true, true },
	{ "x", "", true, false },
	{ "fo", "foo", false, false },
	{ "aaab", "aab", true, false },
	{ "[", "{", false, false },
	{ "\xd0\x9f\xd0\xa0 x", "\xd0\xbf\xd1\x80", true, false },
	{ KELVIN "g", "kg", false, true },
	{ "1" KELVIN " and kg", "kg", true, false },
	{ "o" KELVIN, "ok", true, true },
	{ "\xff"
	  "A",
	  "a", true, false },
};

static void search_without_case_lowers_the_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
		struct slice text = slice_cstr(folds[i].text), needle = slice_cstr(folds[i].needle);

		if (text_has_fold(text, needle) != folds[i].has)
			fail_msg("%s in %s", folds[i].needle, folds[i].text);
		if (text_eq_fold(text, needle) != folds[i].equal)
			fail_msg("%s = %s", folds[i].needle, folds[i].text);
	}
}

static const struct {
	const char *pattern, *text, *replacement, *result;
} expansions[] = {
	{ "(.)(.)", "ab", "$2$1", "ba" },
	{ "(.)(.)", "ab", "${2}x$1", "bxa" },
	{ "(.)(.)", "ab", "$1x", "" }, /* the group 1x */
	{ "(.)(.)", "ab", "$0-$9-$01-", "ab---" },
	{ "(.)(.)", "ab", "$$1 $ ${ ${1 $-", "$1 $ ${ ${1 $-" },
	{ "(?P<n>.)(?P<long_1>.)", "ab", "$n$long_1${n}$nope", "aba" },
	{ "(?P<n>x)|(?P<m>y)", "y", "[$n$m$1]", "[y]" },
	{ "(.)", "a", "$1\xc5\xbc", "" }, /* a letter goes on with the name */
	{ "(.)", "a", "$1\xe2\x80\xa6", "a\xe2\x80\xa6" },
	{ "(.)", "a", "$99999999999999999999", "" },
	{ "(.)", "a", "", "" },
	{ "(.)", "a", "$", "$" },
};

static void replacements_expand_as_in_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
		struct slice group[4];
		struct re *re = compile(expansions[i].pattern, RE_ANCHORED);
		struct buf b;

		buf_init(&b);
		assert_true(re_find(re, slice_cstr(expansions[i].text), group, ARRAY_LEN(group)));
		re_expand(&b, slice_cstr(expansions[i].replacement), re, group,
			  MIN(re_n_groups(re) + 1, ARRAY_LEN(group)));
		buf_cstr_end(&b);
		assert_string_equal(b.p, expansions[i].result);
		buf_fini(&b);
		re_free(re);
	}
}

static bool put_match(void *arg, const struct slice *group)
{
	buf_printf(arg, "[%.*s]", SLICE_ARG(group[0]));
	return true;
}

static bool stop_at_first(void *arg, const struct slice *group)
{
	put_match(arg, group);
	return false;
}

static const struct {
	const char *pattern, *text, *matches;
} all_matches[] = {
	{ "a", "banana", "[a][a][a]" },
	{ "x", "banana", "" },
	{ "a*", "baaac", "[][aaa][]" }, /* no empty one right behind another */
	{ "", "ab", "[][][]" },
	{ "", "\303\251", "[][]" }, /* runes, not bytes */
	{ "^a", "aaa", "[a]" },	    /* the text before a search counts */
	{ "\\b", "ab cd", "[][][][]" },
	{ "$", "ab", "[]" },
	{ ".", "a\377b", "[a][\377][b]" },
	{ "b+", "\377b\377bb", "[b][bb]" },
};

static void all_matches_are_those_of_go(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(all_matches); i++) {
		struct re *re = compile(all_matches[i].pattern, 0);

		buf_reset(&b);
		re_each(re, slice_cstr(all_matches[i].text), 1, put_match, &b);
		buf_cstr_end(&b);
		assert_string_equal(b.p, all_matches[i].matches);
		re_free(re);
	}
	struct re *re = compile("a", 0);
	buf_reset(&b);
	re_each(re, SLICE("aaa"), 1, stop_at_first, &b);
	assert_true(slice_is(buf_slice(&b), "[a]"));
	re_free(re);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dialect_is_that_of_go),
		cmocka_unit_test(groups_have_names_and_places),
		cmocka_unit_test(the_leftmost_first_match_is_found),
		cmocka_unit_test(groups_lie_in_the_text_when_it_is_not_utf8),
		cmocka_unit_test(too_large_a_program_is_an_error),
		cmocka_unit_test(no_pattern_takes_exponential_time),
		cmocka_unit_test(a_guard_keeps_matches_short),
		cmocka_unit_test(letters_fold_by_simple_unicode_rules),
		cmocka_unit_test(search_without_case_lowers_the_text),
		cmocka_unit_test(replacements_expand_as_in_go),
		cmocka_unit_test(all_matches_are_those_of_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
