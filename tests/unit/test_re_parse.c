/* The parser of regular expressions: Go's error texts, and what is left of a pattern after factoring. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/re.h"
#include "base/re_literals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
	const char *pattern, *error;
} errors[] = {
	{ "(", "missing closing ): `(`" },
	{ "(a|b", "missing closing ): `(a|b`" },
	{ "a)", "unexpected ): `a)`" },
	{ "(a))", "unexpected ): `(a))`" },
	{ "*a", "missing argument to repetition operator: `*`" },
	{ "|*", "missing argument to repetition operator: `*`" },
	{ "(*a)", "missing argument to repetition operator: `*`" },
	{ "{2}", "missing argument to repetition operator: `{2}`" },
	{ "\\Q\\E*", "missing argument to repetition operator: `*`" },
	{ "a**", "invalid nested repetition operator: `**`" },
	{ "a++", "invalid nested repetition operator: `++`" },
	{ "a{2}{3}", "invalid nested repetition operator: `{2}{3}`" },
	{ "a*?+", "invalid nested repetition operator: `*?+`" },
	{ "a{2000}", "invalid repeat count: `{2000}`" },
	{ "a{2,1}", "invalid repeat count: `{2,1}`" },
	{ "a{1,99999999999}", "invalid repeat count: `{1,99999999999}`" },
	{ "(a{100}){100}", "invalid repeat count: `{100}`" },
	{ "[z-a]", "invalid character class range: `z-a`" },
	{ "\\pX", "invalid character class range: `\\pX`" },
	{ "\\p", "invalid character class range: `\\p`" },
	{ "\\p{Foo}", "invalid character class range: `\\p{Foo}`" },
	{ "\\p{Greek", "invalid character class range: `\\p{Greek`" },
	{ "[[:foo:]]", "invalid character class range: `[:foo:]`" },
	{ "[a", "missing closing ]: `[a`" },
	{ "x[]", "missing closing ]: `[]`" },
	{ "[^]", "missing closing ]: `[^]`" },
	{ "[a-\\d]", "invalid escape sequence: `\\d`" },
	{ "\\y", "invalid escape sequence: `\\y`" },
	{ "(a)\\1", "invalid escape sequence: `\\1`" },
	{ "\\8", "invalid escape sequence: `\\8`" },
	{ "\\C", "invalid escape sequence: `\\C`" },
	{ "\\Z", "invalid escape sequence: `\\Z`" },
	{ "\\h", "invalid escape sequence: `\\h`" },
	{ "\\R", "invalid escape sequence: `\\R`" },
	{ "\\K", "invalid escape sequence: `\\K`" },
	{ "\\G", "invalid escape sequence: `\\G`" },
	{ "\\e", "invalid escape sequence: `\\e`" },
	{ "\\cA", "invalid escape sequence: `\\c`" },
	{ "\\\xc3\xa9", "invalid escape sequence: `\\\xc3\xa9`" },
	{ "\\x4", "invalid escape sequence: `\\x4`" },
	{ "\\xg0", "invalid escape sequence: `\\xg0`" },
	{ "\\x{}", "invalid escape sequence: `\\x{}`" },
	{ "\\u0041", "invalid escape sequence: `\\u`" },
	{ "\\x{110000}", "invalid escape sequence: `\\x{110000`" },
	{ "a\\", "trailing backslash at end of expression: ``" },
	{ "(?=a)", "invalid or unsupported Perl syntax: `(?=`" },
	{ "(?!a)", "invalid or unsupported Perl syntax: `(?!`" },
	{ "(?>a)", "invalid or unsupported Perl syntax: `(?>`" },
	{ "(?#c)", "invalid or unsupported Perl syntax: `(?#`" },
	{ "(?|a)", "invalid or unsupported Perl syntax: `(?|`" },
	{ "(?z)", "invalid or unsupported Perl syntax: `(?z`" },
	{ "(?x)", "invalid or unsupported Perl syntax: `(?x`" },
	{ "(?i-)", "invalid or unsupported Perl syntax: `(?i-)`" },
	{ "(?i--s)", "invalid or unsupported Perl syntax: `(?i--`" },
	{ "(?P=n)", "invalid or unsupported Perl syntax: `(?P`" },
	{ "(?P>n)", "invalid or unsupported Perl syntax: `(?P`" },
	{ "(?'n'a)", "invalid or unsupported Perl syntax: `(?'`" },
	{ "(?i", "invalid or unsupported Perl syntax: `(?i`" },
	{ "(?<!a)", "invalid named capture: `(?<!a)`" },
	{ "(?<=a)", "invalid named capture: `(?<=a)`" },
	{ "(?P<>a)", "invalid named capture: `(?P<>`" },
	{ "(?P<a b>c)", "invalid named capture: `(?P<a b>`" },
	{ "(?P<a", "invalid named capture: `(?P<a`" },
	{ "(?<a-b>c)", "invalid named capture: `(?<a-b>`" },
	{ "a\xff", "invalid UTF-8: `\xff`" },
	{ "[\xff]", "invalid UTF-8: `\xff]`" },
};

static void errors_are_worded_as_go_words_them(void **state)
{
	char want[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct arena a;
		struct err err = { 0 };
		struct re_node *node = NULL;

		arena_init(&a);
		assert_int_equal(re_parse(slice_cstr(errors[i].pattern), 0, &a, &node, &err), -1);
		assert_null(node);
		snprintf(want, sizeof(want), "error parsing regexp: %s", errors[i].error);
		assert_string_equal(err.msg, want);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
		arena_fini(&a);
	}
}

static void dump(struct buf *b, const struct re_node *node)
{
	static const char *const name[] = {
		[RE_OP_LITERAL] = "lit",     [RE_OP_CLASS] = "class",	[RE_OP_ANY] = "any",
		[RE_OP_ANY_NOT_NL] = "dot",  [RE_OP_BEGIN] = "begin",	[RE_OP_END] = "end",
		[RE_OP_BEGIN_LINE] = "bol",  [RE_OP_END_LINE] = "eol",	[RE_OP_WORD] = "word",
		[RE_OP_NOT_WORD] = "nword",  [RE_OP_CAPTURE] = "cap",	[RE_OP_STAR] = "star",
		[RE_OP_PLUS] = "plus",	     [RE_OP_QUEST] = "quest",	[RE_OP_REPEAT] = "rep",
		[RE_OP_CONCAT] = "cat",	     [RE_OP_ALTERNATE] = "alt", [RE_OP_EMPTY] = "emp",
		[RE_OP_NOTHING] = "nothing",
	};

	if (node->op == RE_OP_CAPTURE && node->name.n > 0)
		buf_printf(b, "%.*s:", SLICE_ARG(node->name));
	buf_puts(b, name[node->op]);
	if (node->fold)
		buf_puts(b, "fold");
	if (node->lazy)
		buf_putc(b, '?');
	if (node->op == RE_OP_REPEAT)
		buf_printf(b, "%d,%d", node->min, node->max);
	if (node->op == RE_OP_LITERAL)
		buf_printf(b, "{%.*s}", SLICE_ARG(node->lit));
	if (node->n_sub == 0)
		return;
	buf_putc(b, '{');
	for (size_t i = 0; i < node->n_sub; i++) {
		if (i > 0)
			buf_putc(b, ' ');
		dump(b, node->sub[i]);
	}
	buf_putc(b, '}');
}

static const struct {
	const char *pattern, *tree;
} trees[] = {
	{ "", "emp" },
	{ "abc", "lit{abc}" },
	{ "a.c", "cat{lit{a} dot lit{c}}" },
	{ "(?s)a.c", "cat{lit{a} any lit{c}}" },
	{ "^a$", "cat{begin lit{a} end}" },
	{ "(?m)^a$", "cat{bol lit{a} eol}" },
	{ "\\Aa\\z\\b\\B", "cat{begin lit{a} end word nword}" },
	{ "ab*", "cat{lit{a} star{lit{b}}}" },
	{ "ab*?", "cat{lit{a} star?{lit{b}}}" },
	{ "(?U)ab*", "cat{lit{a} star?{lit{b}}}" },
	{ "(?U)ab*?", "cat{lit{a} star{lit{b}}}" },
	{ "(?:ab)c", "lit{abc}" },
	{ "(a)(?P<n>b)(?<m>c)", "cat{cap{lit{a}} n:cap{lit{b}} m:cap{lit{c}}}" },
	{ "[a]b", "lit{ab}" },
	{ "[Aa]", "litfold{a}" },
	{ "[k]", "lit{k}" },
	{ "(?i)[k]", "class" },
	{ "(?i)[a]", "litfold{a}" },
	{ "(?i)K", "litfold{k}" },
	{ "(?i)ABC5", "litfold{abc5}" },
	{ "(?i:ab)c", "cat{litfold{ab} lit{c}}" },
	{ "a(?i)b|c", "alt{cat{lit{a} litfold{b}} litfold{c}}" },
	{ "[^\\x00-@B-\\x{10FFFF}]", "lit{A}" },
	{ "[^\\x00-\\x{10FFFF}]", "nothing" },
	{ "(?:[^\\n])*", "star{dot}" },
	{ "\\Qa.b\\E+", "cat{lit{a.} plus{lit{b}}}" },
	{ "\\.\\_\\x41\\x{42}\\103\\07\\n", "lit{._ABC\a\n}" },
	{ "a{,2}", "lit{a{,2}}" },
	{ "a{", "lit{a{}" },
	{ "a{02}", "lit{a{02}}" },
	{ "a{2,5}", "rep2,5{lit{a}}" },
	{ "a{2,}", "rep2,-1{lit{a}}" },
	{ "a{0}", "emp" },
	{ "a{1}", "lit{a}" },
	{ "a{0,1}", "quest{lit{a}}" },
	{ ".{0,}", "star{dot}" },
	{ ".{1,}", "plus{dot}" },
	{ "(?:a*)*", "star{lit{a}}" },
	{ "(?:)*", "emp" },
	{ "^*", "star{begin}" },
	{ "a|b", "class" },
	{ "a|a", "lit{a}" },
	{ "a|A", "litfold{a}" },
	{ "a|[b-d]|.", "dot" },
	{ "\\n|.", "any" },
	{ "foo|bar", "alt{lit{foo} lit{bar}}" },
	{ "foo|", "alt{lit{foo} emp}" },
	{ "||", "emp" },
	{ "abc|abd", "cat{lit{ab} class}" },
	{ "abc|abxyz", "cat{lit{ab} alt{lit{c} lit{xyz}}}" },
	{ "bar|b|buzz", "cat{lit{b} alt{lit{ar} emp lit{uzz}}}" },
	{ "foo(bar|qux)", "cat{lit{foo} cap{alt{lit{bar} lit{qux}}}}" },
	{ "foo(bar|baz)", "cat{lit{foo} cap{cat{lit{ba} class}}}" },
	{ "(?:foo|bar)|baz", "alt{lit{foo} cat{lit{ba} class}}" },
	{ "a.b|a.c", "cat{lit{a} cat{dot class}}" },
	{ "\\d+a|\\d+b", "alt{cat{plus{class} lit{a}} cat{plus{class} lit{b}}}" },
	{ "\\dab|\\dcd", "cat{class alt{lit{ab} lit{cd}}}" },
	{ "(?i)abc|abd", "cat{litfold{ab} class}" },
	{ "abc|(?i)abd", "alt{lit{abc} litfold{abd}}" },
	{ "\xc3\xa9"
	  "a|\xc3\xa8"
	  "a",
	  "alt{lit{\xc3\xa9"
	  "a} lit{\xc3\xa8"
	  "a}}" },
	{ "(?:.*a)(?:b.*)", "cat{star{dot} lit{a} lit{b} star{dot}}" },
	{ "[]a]|[a-]", "class" },
	{ "[]a]|[^]a]", "any" },
	{ "[[.a.]]", "cat{class lit{]}}" },
	{ "\\p{Greek}|\\PN|\\p{^Lu}|\\pL", "class" },
};

static void alternations_are_factored_as_go_factors_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct arena a;
		struct err err = { 0 };
		struct re_node *node;
		struct buf b;

		arena_init(&a);
		buf_init(&b);
		if (re_parse(slice_cstr(trees[i].pattern), 0, &a, &node, &err) == -1)
			fail_msg("%s: %s", trees[i].pattern, err.msg);
		dump(&b, node);
		buf_cstr_end(&b);
		if (strcmp(b.p, trees[i].tree) != 0)
			fail_msg("%s: %s, expected %s", trees[i].pattern, b.p, trees[i].tree);
		buf_fini(&b);
		arena_fini(&a);
	}
}

static const struct {
	const char *pattern, *literals;
} literals[] = {
	{ "abc", "abc" },
	{ "a.*bcd.*ef", "bcd ef a" },
	{ "(foo)(bar)+", "foobar" },
	{ "^\\[error\\] (timeout|refused)", "[error] " },
	{ "foo(a|b)", "foo" },
	{ "abc|abd", "ab" },
	{ "foo|bar", "" },
	{ "(?i)foo", "" },
	{ "x(?i:foo)yz", "yz x" },
	{ "(abc)*", "" },
	{ "(abc)?d", "d" },
	{ "(abc){2,3}", "abc" },
	{ "(abc){0,3}x", "x" },
	{ "a\\bb", "ab" },
	{ "a\\x{FFFD}b", "" },
	{ "", "" },
};

static void literals_are_those_of_every_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
		struct arena a;
		struct err err = { 0 };
		struct re_node *node;
		struct slice found[8];
		struct buf b;

		arena_init(&a);
		buf_init(&b);
		assert_int_equal(re_parse(slice_cstr(literals[i].pattern), 0, &a, &node, &err), 0);
		size_t n = re_literals(node, &a, found, 8);
		for (size_t j = 0; j < n; j++)
			buf_printf(&b, "%s%.*s", j > 0 ? " " : "", SLICE_ARG(found[j]));
		buf_cstr_end(&b);
		assert_string_equal(b.p, literals[i].literals);
		buf_fini(&b);
		arena_fini(&a);
	}
}

static int parse_nested(size_t depth, struct err *err)
{
	struct arena a;
	struct re_node *node;
	struct buf b;

	arena_init(&a);
	buf_init(&b);
	for (size_t i = 0; i < depth; i++)
		buf_putc(&b, '(');
	buf_putc(&b, 'a');
	for (size_t i = 0; i < depth; i++)
		buf_putc(&b, ')');
	int rc = re_parse(buf_slice(&b), 0, &a, &node, err);
	buf_fini(&b);
	arena_fini(&a);
	return rc;
}

static void nesting_and_length_have_limits(void **state)
{
	struct err err = { 0 };
	struct arena a;
	struct re_node *node;
	static char long_pattern[RE_MAX_PATTERN + 1];

	(void)state;
	assert_int_equal(parse_nested(999, &err), 0);
	assert_int_equal(parse_nested(1000, &err), -1);
	assert_true(slice_starts(slice_cstr(err.msg),
				 SLICE("error parsing regexp: expression nests too deeply: `(((")));
	memset(long_pattern, 'a', sizeof(long_pattern));
	arena_init(&a);
	assert_int_equal(re_parse(slice_of(long_pattern, RE_MAX_PATTERN), 0, &a, &node, &err), 0);
	assert_int_equal(node->lit.n, RE_MAX_PATTERN);
	assert_int_equal(re_parse(slice_of(long_pattern, RE_MAX_PATTERN + 1), 0, &a, &node, &err), -1);
	assert_string_equal(err.msg, "regular expression is 4097 bytes long, the limit is 4096");
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_worded_as_go_words_them),
		cmocka_unit_test(alternations_are_factored_as_go_factors_them),
		cmocka_unit_test(literals_are_those_of_every_match),
		cmocka_unit_test(nesting_and_length_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
