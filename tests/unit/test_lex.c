/* The lexer: kinds, values and places of tokens, and what cannot be one. */
#include <stdio.h>

#include "base/mem.h"
#include "logql/funcs.h"
#include "logql/lex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The spelling of each token, separated by spaces, and the error that ends them, if any. */
static void spell_all(struct slice text, char *out, size_t size)
{
	struct arena arena;
	struct lexer lx;
	struct token t;
	struct lex_error e;
	size_t n = 0;
	int rc;

	arena_init(&arena);
	lex_init(&lx, text, &arena);
	out[0] = '\0';
	while ((rc = lex_next(&lx, &t, &e)) == 0 && t.kind != TOK_END) {
		char name[40];

		lex_spelling(&t, name);
		n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? " " : "", name);
	}
	if (rc == -1)
		snprintf(out + n, size - n, "%s!%u:%u %s", n > 0 ? " " : "", e.line0 ? 0 : e.pos.line,
			 e.pos.col, e.msg);
	arena_fini(&arena);
}

static const struct {
	const char *text, *tokens;
} cases[] = {
	{ "", "" },
	{ " \t\r\n", "" },
	{ "# a\n// b\n/* c\nd */ x", "IDENTIFIER" },
	{ "a /b", "IDENTIFIER / IDENTIFIER" },
	{ "a //b", "IDENTIFIER" },
	{ "\xef\xbb\xbf{", "{" },
	/* words */
	{ "a _b c1 \xc3\xa9t\xc3\xa9", "IDENTIFIER IDENTIFIER IDENTIFIER IDENTIFIER" },
	{ "by BY By", "by by by" },
	{ "rate", "IDENTIFIER" },
	{ "rate (", "RATE (" },
	{ "RATE\n(", "RATE (" },
	{ "sum by (x)(", "SUM by ( IDENTIFIER ) (" },
	{ "sum without(", "SUM without (" },
	{ "sum by a (", "IDENTIFIER by IDENTIFIER (" },
	{ "sumby(", "IDENTIFIER (" },
	{ "bytes(x) duration(x) duration_seconds(x)",
	  "BYTES_CONV ( IDENTIFIER ) DURATION_CONV ( IDENTIFIER ) DURATION_SECONDS_CONV ( IDENTIFIER )" },
	{ "ip( ip label_replace( vector(", "ip ( IDENTIFIER label_replace ( VECTOR (" },
	{ "; $ : @ ? \\ ~ ! \xe2\x80\x9c", "IDENTIFIER IDENTIFIER IDENTIFIER IDENTIFIER IDENTIFIER "
					   "IDENTIFIER IDENTIFIER IDENTIFIER IDENTIFIER" },
	/* punctuation */
	{ "{}(),.=!==~!~==>>=<<=+-*/%^", "{ } ( ) , . = != =~ !~ == > >= < <= + - * / % ^" },
	{ "| |= |~ |> !> !=", "| |= |~ |> !> !=" },
	{ "===", "== =" },
	{ "| =", "| =" },
	/* strings */
	{ "\"a\" `b\nc` \"\\\"\"", "STRING STRING STRING" },
	{ "'a' '\\n' '\xc3\xa9'", "IDENTIFIER IDENTIFIER IDENTIFIER" },
	{ "'ab'", "!1:1 invalid char literal" },
	{ "''", "!1:1 invalid char literal" },
	{ "x \"abc", "IDENTIFIER !1:3 literal not terminated" },
	{ "\"abc\nd\"", "!1:1 literal not terminated" },
	{ "`abc", "!1:1 literal not terminated" },
	{ "\"\\q\"", "!1:1 invalid char escape" },
	{ "\"\\'\"", "!1:1 invalid char escape" },
	{ "\"\\xzz\"", "!1:1 invalid char escape" },
	{ "\"\\08\"", "!1:1 invalid char escape" },
	{ "\"\\u12\"", "!1:1 invalid char escape" },
	{ "\"\\400\"", "!1:1 invalid syntax" },
	{ "\"\\U00110000\"", "!1:1 invalid syntax" },
	{ "/* x", "!1:1 comment not terminated" },
	/* numbers, durations, sizes */
	{ "5 5. .5 1e3 1_000 010 0x1p3 1E5 1e-5",
	  "NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER" },
	{ "5m 1h30m 1.5h 1d12h 1h30m10.5s 100us 5\xc2\xb5s 0s 1y",
	  "DURATION DURATION DURATION DURATION DURATION DURATION DURATION DURATION DURATION" },
	{ "1.5d", "NUMBER IDENTIFIER" },
	{ "1h1d", "NUMBER IDENTIFIER" },
	{ "5x 5zz", "NUMBER IDENTIFIER NUMBER IDENTIFIER" },
	{ "5B 5KB 5kB 5KiB 1.5MB 1k 1M 1Ki 1P 1PB",
	  "BYTES BYTES BYTES BYTES BYTES BYTES BYTES BYTES BYTES BYTES" },
	{ "1b", "NUMBER IDENTIFIER" },
	{ "5mb", "DURATION IDENTIFIER" },
	{ "1EB", "!1:1 exponent has no digits" },
	{ "1e", "!1:1 exponent has no digits" },
	{ "0x", "!1:1 hexadecimal literal has no digits" },
	{ "0x1.8", "!1:1 hexadecimal mantissa requires a 'p' exponent" },
	{ "1p3", "!1:1 'p' exponent requires hexadecimal mantissa" },
	{ "08", "!1:1 invalid digit '8' in octal literal" },
	{ "0b12", "!1:1 invalid digit '2' in binary literal" },
	{ "1__0", "!1:1 '_' must separate successive digits" },
	{ "-5m -1h30m -0", "DURATION DURATION DURATION" },
	{ "-5 -0.5 - 5m -1d", "- NUMBER - NUMBER - DURATION - DURATION" },
	{ "[5m] [0] [1d12h]", "RANGE RANGE RANGE" },
	{ "x [5]", "IDENTIFIER !0:3 not a valid duration string: \"5\"" },
	{ "[5m", "!0:1 missing closing ']' in duration" },
	{ "]", "]" },
	/* flags */
	{ "--strict --keep-empty --strict|", "FUNCTION_FLAG FUNCTION_FLAG FUNCTION_FLAG |" },
	{ "--stricter", "- - IDENTIFIER" },
	{ "--strict--keep-empty", "- - IDENTIFIER FUNCTION_FLAG" },
	{ "- -strict", "- - IDENTIFIER" },
	/* bytes that are no text */
	{ "{a=\"\xff\"}", "{ IDENTIFIER = !1:4 invalid UTF-8 encoding" },
	{ "{\xff", "!1:1 invalid UTF-8 encoding" },
	{ "{ \xff", "{ !0:1 invalid UTF-8 encoding" },
};

static void text_becomes_tokens(void **state)
{
	char got[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		spell_all(slice_cstr(cases[i].text), got, sizeof(got));
		if (strcmp(got, cases[i].tokens) != 0)
			fail_msg("%s\n  want %s\n  got  %s", cases[i].text, cases[i].tokens, got);
	}
	spell_all(slice_of("{a=\"x\0\"}", 8), got, sizeof(got));
	assert_string_equal(got, "{ IDENTIFIER = !1:4 invalid character NUL");
	spell_all(slice_of("\0", 1), got, sizeof(got));
	assert_string_equal(got, "!0:0 invalid character NUL");
}

static struct token first(const char *text, struct arena *arena)
{
	struct lexer lx;
	struct token t;
	struct lex_error e;

	lex_init(&lx, slice_cstr(text), arena);
	if (lex_next(&lx, &t, &e) == -1)
		fail_msg("%s: %s", text, e.msg);
	return t;
}

static void strings_are_unescaped(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{ "\"\"", "" },
		{ "\"a b\"", "a b" },
		{ "`a\\n\r\n`", "a\\n\r\n" },
		{ "\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\"", "\a\b\f\n\r\t\v\\\"" },
		{ "\"\\101\\x41\\u0041\\U00000041\"", "AAAA" },
		{ "\"\\xff\"", "\xff" },
		{ "\"\\u00e9\\ud800\"", "\xc3\xa9\xef\xbf\xbd" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(slice_is(first(rows[i].text, &arena).text, rows[i].value));
	arena_fini(&arena);
}

static void values_are_read(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena);
	assert_int_equal(first("1h30m", &arena).duration_ns, 5400000000000);
	assert_int_equal(first("-5m", &arena).duration_ns, -300000000000);
	assert_int_equal(first("[1d]", &arena).duration_ns, 86400000000000);
	assert_int_equal(first("1.5KiB", &arena).bytes, 1536);
	assert_int_equal(first("5kB", &arena).bytes, 5000);
	assert_true(slice_is(first("0x1p3 ", &arena).text, "0x1p3"));
	assert_int_equal(first("quantile_over_time(", &arena).op, RANGE_QUANTILE);
	assert_int_equal(first("sort_desc(", &arena).op, VECTOR_SORT_DESC);
	assert_int_equal(first("duration(", &arena).op, UNWRAP_DURATION);
	assert_true(first("\xc3\xa9", &arena).non_ascii);
	arena_fini(&arena);
}

static void places_count_runes(void **state)
{
	static const struct logql_pos want[] = { { 0, 1, 1 }, { 5, 1, 5 }, { 9, 2, 2 } };
	struct arena arena;
	struct lexer lx;
	struct token t;
	struct lex_error e;

	(void)state;
	arena_init(&arena);
	lex_init(&lx, SLICE("\"\xc3\xa9\" |=\n a\n"), &arena);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(lex_next(&lx, &t, &e), 0);
		assert_int_equal(t.pos.off, want[i].off);
		assert_int_equal(t.pos.line, want[i].line);
		assert_int_equal(t.pos.col, want[i].col);
		assert_int_equal(t.line0, i == 1); /* |= takes a second scan */
	}
	assert_int_equal(lex_next(&lx, &t, &e), 0);
	assert_int_equal(t.kind, TOK_END);
	assert_int_equal(t.pos.line, 3);
	assert_int_equal(t.pos.col, 1);
	assert_int_equal(lex_next(&lx, &t, &e), 0);
	assert_int_equal(t.kind, TOK_END);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_tokens),
		cmocka_unit_test(strings_are_unescaped),
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(places_count_runes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
