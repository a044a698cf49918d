/* The parser: what it accepts, the tree it builds, and the exact text and place of every error. */
#include "base/buf.h"
#include "base/mem.h"
#include "logql/fmt.h"
#include "logql/funcs.h"
#include "logql/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NO_MATCHER                                                                                           \
	"parse error : queries require at least one regexp or equality matcher that does not have an "       \
	"empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but "             \
	"app=~\".+\" will"

static struct arena arena;
static struct logql *query;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena);
	query = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	logql_free(query);
	arena_fini(&arena);
	return 0;
}

/* The tree of a query that must parse; lives until the next call or the end of the test. */
static const struct logql_expr *parse_slice(struct slice text)
{
	struct err err = { 0 };

	logql_free(query);
	query = NULL;
	if (logql_parse(text, &arena, &query, NULL, &err) == -1)
		fail_msg("%.*s: %s", SLICE_ARG(text), err.msg);
	return query->root;
}

static const struct logql_expr *parse(const char *text)
{
	return parse_slice(slice_cstr(text));
}

static void assert_fails(struct slice text, const char *message)
{
	struct logql *q = NULL;
	struct err err = { 0 };

	if (logql_parse(text, &arena, &q, NULL, &err) == 0) {
		logql_free(q);
		fail_msg("accepted: %.*s", SLICE_ARG(slice_sub(text, 0, 200)));
	}
	assert_null(q);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	if (strcmp(err.msg, message) != 0)
		fail_msg("%.*s\n  want %s\n  got  %s", SLICE_ARG(slice_sub(text, 0, 200)), message, err.msg);
}

static void assert_slice(struct slice s, const char *want)
{
	if (!slice_is(s, want))
		fail_msg("want \"%s\", got \"%.*s\"", want, SLICE_ARG(s));
}

/* ---- errors ---- */

static const struct {
	const char *query, *message;
} invalid[] = {
	{ "", "parse error : syntax error: unexpected $end" },
	{ "{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }" },
	{ "}", "parse error at line 1, col 1: syntax error: unexpected }" },
	{ "{a",
	  "parse error at line 1, col 3: syntax error: unexpected $end, expecting = or =~ or !~ or !=" },
	{ "{a=", "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING" },
	{ "{a=\"b\"", "parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ," },
	{ "{a=\"b\",}", "parse error at line 1, col 8: syntax error: unexpected }, expecting IDENTIFIER" },
	{ "{a=\"b\" c=\"d\"}",
	  "parse error at line 1, col 8: syntax error: unexpected IDENTIFIER, expecting } or ," },
	{ "{a=b}", "parse error at line 1, col 4: syntax error: unexpected IDENTIFIER, expecting STRING" },
	{ "{a='b'}", "parse error at line 1, col 4: syntax error: unexpected IDENTIFIER, expecting STRING" },
	{ "{\"a\"=\"b\"}",
	  "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }" },
	{ "{a==\"b\"}",
	  "parse error at line 0, col 3: syntax error: unexpected ==, expecting = or =~ or !~ or !=" },
	{ "{a.b=\"c\"}",
	  "parse error at line 1, col 3: syntax error: unexpected ., expecting = or =~ or !~ or !=" },
	{ "{1a=\"c\"}",
	  "parse error at line 1, col 2: syntax error: unexpected NUMBER, expecting IDENTIFIER or }" },
	{ "{json=\"c\"}",
	  "parse error at line 1, col 2: syntax error: unexpected json, expecting IDENTIFIER or }" },
	{ "{}", NO_MATCHER },
	{ "{a=~\".*\"}", NO_MATCHER },
	{ "{a=\"\"}", NO_MATCHER },
	{ "{a!~\".+\"}", NO_MATCHER },
	{ "rate({}[5m])", NO_MATCHER },
	{ "{a=~\"(\"}", "parse error : error parsing regexp: missing closing ): `(`" },
	{ "{a=\"b\"} |", "parse error at line 1, col 10: syntax error: unexpected $end" },
	{ "{a=\"b\"} |= foo",
	  "parse error at line 1, col 12: syntax error: unexpected IDENTIFIER, expecting STRING or ip" },
	{ "{a=\"b\"} |= \"x\" or |= \"y\"",
	  "parse error at line 0, col 19: syntax error: unexpected |=, expecting STRING or ip" },
	{ "{a=\"b\"} | \"foo\"", "parse error at line 1, col 11: syntax error: unexpected STRING" },
	{ "{a=\"b\"} | foo", "parse error at line 1, col 14: syntax error: unexpected $end" },
	{ "{a=\"b\"} |= \"\\q\"", "parse error at line 1, col 12: invalid char escape" },
	{ "{a=\"b\"} |= \"abc", "parse error at line 1, col 12: literal not terminated" },
	{ "{a=\"b\"} |~ \"(\"",
	  "parse error : stage '|~ \"(\"' : error parsing regexp: missing closing ): `(`" },
	{ "{a=\"b\"} |= ip(\"1.1.1.1.1\")",
	  "parse error : stage '|= ip(\"1.1.1.1.1\")' : ip: invalid pattern: \"1.1.1.1.1\"" },
	{ "{a=\"b\"} |~ ip(\"1.1.1.1\")",
	  "parse error : stage '|~ ip(\"1.1.1.1\")' : ip: invalid operation" },
	{ "{a=\"b\"} | x>ip(\"1.1.1.1\")", "parse error at line 1, col 13: syntax error: unexpected ip" },
	{ "{a=\"b\"} |> \"<a> b\"",
	  "parse error : stage '|> \"<a> b\"' : named captures are not allowed: found '<a>'" },
	{ "{a=\"b\"} | regexp \"(x)\"",
	  "parse error : invalid regexp parser: at least one named capture must be supplied" },
	{ "{a=\"b\"} | pattern \"<a> <a>\"",
	  "parse error : invalid pattern parser: duplicate capture name (a): invalid expression" },
	{ "{a=\"b\"} | json foo=\"a..b\"",
	  "parse error : stage '| json foo=\"a..b\"' : cannot parse expression [a..b]: syntax error: "
	  "unexpected DOT, expecting FIELD" },
	{ "{a=\"b\"} | json --strict",
	  "parse error at line 0, col 16: syntax error: unexpected FUNCTION_FLAG" },
	{ "{a=\"b\"} | logfmt --foo",
	  "parse error at line 1, col 20: syntax error: unexpected IDENTIFIER, expecting NUMBER" },
	{ "{a=\"b\"} | label_format a=b,a=c", "parse error : stage '| label_format a=b,a=c' : multiple label "
					      "name 'a' not allowed in a single format operation" },
	{ "{a=\"b\"} | x > \"5\"", "parse error at line 1, col 15: syntax error: unexpected STRING" },
	{ "{a=\"b\"} | x == \"5\"", "parse error at line 1, col 16: syntax error: unexpected STRING" },
	{ "{a=\"b\"} | x = 5 and",
	  "parse error at line 1, col 20: syntax error: unexpected $end, expecting IDENTIFIER or (" },
	{ "{a=\"b\"} | x > 5zz", "parse error at line 1, col 18: syntax error: unexpected $end" },
	{ "{a=\"b\"} | x > 1EB", "parse error at line 1, col 15: exponent has no digits" },
	{ "{a=\"b\"} | x > -5KB",
	  "parse error at line 0, col 16: syntax error: unexpected BYTES, expecting NUMBER" },
	{ "{a=\"b\"} | unwrap x", "parse error at line 1, col 11: syntax error: unexpected unwrap" },
	{ "{a=\"b\"} | distinct x", "parse error at line 1, col 20: syntax error: unexpected IDENTIFIER" },
	{ "({a=\"b\"}) |= \"x\"", "parse error at line 0, col 11: syntax error: unexpected |=" },
	{ "count_over_time({a=\"b\"})", "parse error at line 1, col 24: syntax error: unexpected )" },
	{ "count_over_time({a=\"b\"}[5m]",
	  "parse error at line 1, col 28: syntax error: unexpected $end, expecting )" },
	{ "count_over_time({a=\"b\"}[])", "parse error at line 0, col 24: empty duration string" },
	{ "count_over_time({a=\"b\"}[5])",
	  "parse error at line 0, col 24: not a valid duration string: \"5\"" },
	{ "count_over_time({a=\"b\"}[5minutes])",
	  "parse error at line 0, col 24: unknown unit \"minutes\" in duration \"5minutes\"" },
	{ "count_over_time({a=\"b\"}[1.5m])",
	  "parse error at line 0, col 24: unknown unit \".\" in duration \"1.5m\"" },
	{ "count_over_time({a=\"b\"}[ 5m ])",
	  "parse error at line 0, col 24: not a valid duration string: \" 5m \"" },
	{ "count_over_time({a=\"b\"}[5m)", "parse error at line 0, col 24: missing closing ']' in duration" },
	{ "rate({a=\"b\"}[5m]) by (a)", "parse error : grouping not allowed for rate aggregation" },
	{ "sum_over_time({a=\"b\"}[5m])", "parse error : invalid aggregation sum_over_time without unwrap" },
	{ "count_over_time({a=\"b\"} | unwrap x [5m])",
	  "parse error : invalid aggregation count_over_time with unwrap" },
	{ "quantile_over_time({a=\"b\"} | unwrap x [5m])",
	  "parse error : parameter required for operation quantile_over_time" },
	{ "avg_over_time(0.5, {a=\"b\"} | unwrap x [5m])",
	  "parse error : parameter 0.5 not supported for operation avg_over_time" },
	{ "rate({a=\"b\"}[5m] offset 5)",
	  "parse error at line 1, col 25: syntax error: unexpected NUMBER, expecting DURATION" },
	{ "rate({a=\"b\"}[5m]) offset 5m", "parse error at line 1, col 19: syntax error: unexpected offset" },
	{ "rate({a=\"b\"} | unwrap [5m])",
	  "parse error at line 0, col 23: syntax error: unexpected RANGE, expecting IDENTIFIER or BYTES_CONV "
	  "or DURATION_CONV or DURATION_SECONDS_CONV" },
	{ "rate({a=\"b\"} | unwrap x | json [5m])",
	  "parse error at line 1, col 27: syntax error: unexpected json, expecting IDENTIFIER or (" },
	{ "sum({a=\"b\"})", "parse error at line 1, col 12: syntax error: unexpected )" },
	{ "sum(5, rate({a=\"b\"}[5m]))", "parse error : unsupported parameter for operation sum(5," },
	{ "topk(rate({a=\"b\"}[5m]))", "parse error : parameter required for operation topk" },
	{ "topk(0, rate({a=\"b\"}[5m]))", "parse error : invalid parameter (must be greater than 0) topk(0" },
	{ "topk(1.5, rate({a=\"b\"}[5m]))", "parse error : invalid parameter topk(1.5," },
	{ "sort(rate({a=\"b\"}[5m])) by (x)", "parse error : sort and sort_desc doesn't allow grouping by " },
	{ "sum by a (rate({a=\"b\"}[5m]))",
	  "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER" },
	{ "sum by (a,) (rate({a=\"b\"}[5m]))",
	  "parse error at line 1, col 11: syntax error: unexpected ), expecting IDENTIFIER" },
	{ "foo(rate({a=\"b\"}[5m]))", "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER" },
	{ "{a=\"b\"} + 1",
	  "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr" },
	{ "rate({a=\"b\"}[5m]) and 1",
	  "parse error : unexpected literal for right leg of logical/set binary operation (and): 1.000000" },
	{ "rate({a=\"b\"}[5m]) + on rate({a=\"b\"}[5m])",
	  "parse error at line 1, col 24: syntax error: unexpected RATE, expecting (" },
	{ "rate({a=\"b\"}[5m]) + group_left rate({a=\"b\"}[5m])",
	  "parse error at line 1, col 21: syntax error: unexpected group_left" },
	{ "1 +", "parse error at line 1, col 4: syntax error: unexpected $end" },
	{ "1 + 0x10", "parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "
		      "\"0x10\": invalid syntax" },
	{ "vector(-1)", "parse error at line 1, col 8: syntax error: unexpected -, expecting NUMBER" },
	{ "vector(0x10)", "parse error : unable to parse vectorExpr as a float: strconv.ParseFloat: parsing "
			  "\"0x10\": invalid syntax" },
	{ "label_replace(rate({a=\"b\"}[5m]), \"x\", \"y\", \"z\")",
	  "parse error at line 1, col 47: syntax error: unexpected ), expecting ," },
	{ "{a=\"b\"}\n|= \"x\"\n|= y",
	  "parse error at line 3, col 4: syntax error: unexpected IDENTIFIER, expecting STRING or ip" },
	{ "{a=\"b\"} |\n", "parse error at line 2, col 1: syntax error: unexpected $end" },
	{ "{a='ab'}", "parse error at line 1, col 4: invalid char literal" },
	{ "{a=\"b\"} /* x", "parse error at line 1, col 9: comment not terminated" },
	{ "{a=\"é\"} |= x",
	  "parse error at line 1, col 12: syntax error: unexpected IDENTIFIER, expecting STRING or ip" },
	{ "{a=\"b\"}[5m]", "parse error at line 0, col 8: syntax error: unexpected RANGE" },
	{ "rate({a=\"b\"}[5m:1m])",
	  "parse error at line 0, col 13: unknown unit \"m:\" in duration \"5m:1m\"" },
	{ "rate({a=\"b\"}[5m] @ 5)",
	  "parse error at line 1, col 18: syntax error: unexpected IDENTIFIER, expecting )" },
	{ "-rate({a=\"b\"}[5m])",
	  "parse error at line 1, col 2: syntax error: unexpected RATE, expecting NUMBER" },
	{ "1 + {a=\"b\"} |= \"x\"",
	  "parse error : unexpected type for right leg of binary operation (+): *syntax.PipelineExpr" },
	{ "{a=\"b\"} | status >= 400 and < 500",
	  "parse error at line 1, col 29: syntax error: unexpected <, expecting IDENTIFIER or (" },
	{ "{a=\"b\"} | duration(x) > 5",
	  "parse error at line 1, col 11: syntax error: unexpected DURATION_CONV" },
	{ "{a=\"b\"} | label_format x=5",
	  "parse error at line 1, col 26: syntax error: unexpected NUMBER, expecting IDENTIFIER or STRING" },
	{ "{a=\"b\"} |= \"x\" \"y\"", "parse error at line 1, col 16: syntax error: unexpected STRING" },
	{ "5 -0", "parse error at line 0, col 3: syntax error: unexpected DURATION" },
	{ "rate({a=\"b\"}[5m] offset -1d)",
	  "parse error at line 1, col 25: syntax error: unexpected -, expecting DURATION" },
	{ "rate({a=\"b\"}[100us])",
	  "parse error at line 0, col 13: unknown unit \"us\" in duration \"100us\"" },
	{ "{a=\"b\"} | ip(\"1.1.1.1\")", "parse error at line 1, col 11: syntax error: unexpected ip" },
	{ "variants(rate({a=\"b\"}[5m])) of ({a=\"b\"}[5m])",
	  "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER" },
	/* states that name what may follow, beyond those above */
	{ "rate({a=\"b\"} | unwrap x",
	  "parse error at line 1, col 24: syntax error: unexpected $end, expecting RANGE or |" },
	{ "rate({a=\"b\"} | unwrap bytes(x [5m])",
	  "parse error at line 0, col 31: syntax error: unexpected RANGE, expecting )" },
	{ "rate(({a=\"b\"})",
	  "parse error at line 1, col 15: syntax error: unexpected $end, expecting RANGE" },
	{ "rate(({a=\"b\"} |= \"x\")[5m] | unwrap x)",
	  "parse error at line 1, col 27: syntax error: unexpected |, expecting )" },
	{ "rate(5, 1)", "parse error at line 1, col 9: syntax error: unexpected NUMBER, expecting { or (" },
	{ "sum by (x) {a=\"b\"}", "parse error at line 1, col 12: syntax error: unexpected {, expecting (" },
	{ "sum by (x) ({a=\"b\"}[5m])", "parse error at line 0, col 20: syntax error: unexpected RANGE" },
	{ "1 + on(x,) 2", "parse error at line 1, col 10: syntax error: unexpected ), expecting IDENTIFIER" },
	{ "label_replace(vector(1), 5",
	  "parse error at line 1, col 26: syntax error: unexpected NUMBER, expecting STRING" },
	{ "label_replace(vector(1),\"a\",\"b\",\"c\",\"d\"",
	  "parse error at line 1, col 40: syntax error: unexpected $end, expecting )" },
	{ "vector(1", "parse error at line 1, col 9: syntax error: unexpected $end, expecting )" },
	{ "vector by (1)", "parse error at line 1, col 8: syntax error: unexpected by, expecting (" },
	{ "{a=\"b\"} | drop x=",
	  "parse error at line 1, col 18: syntax error: unexpected $end, expecting STRING" },
	{ "{a=\"b\"} | x=~5",
	  "parse error at line 1, col 14: syntax error: unexpected NUMBER, expecting STRING" },
	{ "{a=\"b\"} | (5)",
	  "parse error at line 1, col 12: syntax error: unexpected NUMBER, expecting IDENTIFIER or (" },
	{ "{a=\"b\"} | x=1,",
	  "parse error at line 1, col 15: syntax error: unexpected $end, expecting IDENTIFIER or (" },
	{ "{a=\"b\"} |= ip(5)",
	  "parse error at line 1, col 15: syntax error: unexpected NUMBER, expecting STRING" },
	{ "{a=\"b\"} |= ip(\"5\"",
	  "parse error at line 1, col 18: syntax error: unexpected $end, expecting )" },
	{ "{\xc3\xa9=\"x\"}",
	  "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }" },
	/* meaning */
	{ "quantile_over_time(0x1, {a=\"b\"} | unwrap x [5m])",
	  "parse error : invalid parameter for operation quantile_over_time: strconv.ParseFloat: parsing "
	  "\"0x1\": "
	  "invalid syntax" },
	{ "1 + 1e400", "parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "
		       "\"1e400\": value out of range" },
	{ "approx_topk(2, rate({a=\"b\"}[5m])) by (x)",
	  "parse error : grouping not allowed for approx_topk aggregation" },
	{ "rate({a=\"b\"} | unwrap x [5m]) by (y)",
	  "parse error : grouping not allowed for rate aggregation" },
	{ "sum_over_time({a=\"b\"}[5m]) by (y)",
	  "parse error : grouping not allowed for sum_over_time aggregation" },
	{ "1 or rate({a=\"b\"}[5m])",
	  "parse error : unexpected literal for left leg of logical/set binary operation (or): 1.000000" },
	{ "label_replace(rate({a=\"b\"}[5m]),\"a\",\"b\",\"c\",\"(\")",
	  "parse error : invalid regex in label_replace: error parsing regexp: missing closing ): "
	  "`^(?:()$`" },
	{ "rate({a=\"b\"}[5m]) + rate({}[5m])", NO_MATCHER },
	{ "{} |~ \"(\"", NO_MATCHER },
	{ "{a=\"b\"} | regexp \"(?P<a>.)(?P<a>.)\"",
	  "parse error : invalid regexp parser: duplicate extracted label name 'a'" },
	{ "{a=\"b\"} | regexp \"(?P<1a>.)\"",
	  "parse error : invalid regexp parser: invalid extracted label name '1a'" },
	/* the canonical text of the failing stage */
	{ "{a=\"b\"} |= \"a\" != \"b\" or \"c\" |~ \"(\"",
	  "parse error : stage '|= \"a\" != \"b\" != \"c\" |~ \"(\"' : error parsing regexp: missing closing "
	  "): `(`" },
	{ "{a=\"b\"} |~ `a\"b(`",
	  "parse error : stage '|~ \"a\\\"b(\"' : error parsing regexp: missing closing ): `a\"b(`" },
	{ "{a=\"b\"} | json c, d=\"[\"", "parse error : stage '| json c=\"c\",d=\"[\"' : cannot parse "
					 "expression [[]: syntax error: unexpected $end, "
					 "expecting STRING or INDEX" },
	{ "{a=\"b\"} | logfmt --keep-empty --strict x=\"b c\"",
	  "parse error : stage '| logfmt --strict --keep-empty x=\"b c\"' : cannot parse expression [b c]: "
	  "syntax error: "
	  "unexpected KEY" },
	{ "{a=\"b\"} | label_format __error__=x",
	  "parse error : stage '| label_format __error__=x' : __error__ cannot be formatted" },
	{ "{a=\"b\"} | x=ip(\"zz\")", "parse error : stage '| x=ip(\"zz\")' : ip: invalid pattern: \"zz\"" },
	{ "rate({a=\"b\"} | unwrap y | x=ip(\"zz\") [5m])",
	  "parse error : stage '| x=ip(\"zz\")' : ip: invalid pattern: \"zz\"" },
	{ "{a=\"b\"} |> \"<_><_>\"",
	  "parse error : stage '|> \"<_><_>\"' : found consecutive capture '<_><_>': invalid expression" },
};

static void errors_have_lokis_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		assert_fails(slice_cstr(invalid[i].query), invalid[i].message);
}

/* Editors get the real line, also where the message says line 0. */
static void errors_have_a_place(void **state)
{
	static const struct {
		const char *query;
		uint32_t off, line, col;
	} places[] = {
		{ "{a=\"b\"}\n|= \"x\"\n|= y", 18, 3, 4 },
		{ "{a=\"b\"}\n |= \"x\" or |=", 19, 2, 12 },
		{ "{a=\"\xc3\xa9\"} |= x", 12, 1, 12 },
		{ "{a=\"b\"} | json\n|~ \"(\"", 15, 2, 1 },
		{ "1 + {}", 4, 1, 5 },
		{ "", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct logql_pos where = { 9, 9, 9 };
		struct err err;
		struct logql *q;

		assert_int_equal(logql_parse(slice_cstr(places[i].query), &arena, &q, &where, &err), -1);
		assert_int_equal(where.off, places[i].off);
		assert_int_equal(where.line, places[i].line);
		assert_int_equal(where.col, places[i].col);
	}
}

/* ---- what is valid ---- */

static void odd_queries_are_valid(void **state)
{
	static const char *const valid[] = {
		"{rate=\"c\"}",
		"{rate=\"c\", sum=\"x\", ip=\"1\"}",
		"{a=\"b\"} | duration > 5s",
		"rate ({a=\"b\"}[5m])",
		"{a=\"b\"}|json|=\"x\"",
		"{a=\"b\"} | logfmt--strict",
		"1 + + 1",
		"1 + on() 2",
		"sort by () (rate({a=\"b\"}[5m]))",
		"rate({a=\"b\"}[5m] offset 1m |= \"x\")",
		"SUM(RATE({a=\"b\"}[5m]))",
		"{a=\"b\"} | LOGFMT | x=1 AND y=2 OR z=3",
		"({a=\"b\"})",
		"((1))",
		"rate((({a=\"b\"})[5m]))",
		"rate(({a=\"b\"})[5m] offset 1m | unwrap x)",
		"rate({a=\"b\"}[5m] | json | unwrap x | x > 1)",
		"rate(({a=\"b\"} | unwrap x)[5m])",
		"rate({a=\"b\"}[0])",
		"rate({a=\"b\"}[5m] offset -5m)",
		"rate({a=\"b\"}[5m] offset 1.5h)",
		"rate({a=\"b\"}[5m]) + bool rate({a=\"b\"}[5m])",
		"rate({a=\"b\"}[5m]) and on(a) group_left rate({a=\"b\"}[5m])",
		"label_replace(rate({a=\"b\"}[5m]), \"9bad\", \"$1\", \"b\", \"(.*)\")",
		"{a=\"b\", a!=\"c\"} # comment |= ",
		"{a=\"b\"} // comment\n|= /* x */ \"y\"",
		"{a!=\"\"}",
		"{a=~\".+\"}",
		"{a=\"b\"} | x=ip(\"zz\") or y=1", /* a bad pattern in a tree only never matches */
		"count_over_time({a=\"b\"} | line_format \"{{\" [5m])", /* templates are compiled elsewhere */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		parse(valid[i]);
}

/* ---- trees ---- */

static void selector_has_matchers(void **state)
{
	const struct logql_expr *e = parse("{ a=\"x\", b!=`y`, c=~\"z.*\",d!~\"w\" }");

	(void)state;
	assert_int_equal(e->kind, LOGQL_LOG);
	assert_int_equal(e->log.n_matchers, 4);
	assert_int_equal(e->log.n_stages, 0);
	assert_int_equal(e->log.matchers[1].op, MATCH_NE);
	assert_slice(e->log.matchers[1].name, "b");
	assert_slice(e->log.matchers[1].value, "y");
	assert_int_equal(e->log.matchers[2].op, MATCH_RE);
	assert_true(matcher_matches(&e->log.matchers[2], SLICE("za\nb"))); /* the dot matches a newline */
	assert_false(matcher_matches(&e->log.matchers[2], SLICE("xz")));   /* anchored */
	assert_int_equal(e->log.matchers[3].op, MATCH_NRE);
	assert_int_equal(e->pos.col, 1);
}

static void adjacent_line_filters_are_one_stage(void **state)
{
	const struct logql_log *log =
		&parse("{a=\"b\"} |= \"x\" or ip(\"10.0.0.0/8\") != \"y\" or \"z\" | json |~ \"w\"")->log;
	const struct logql_stage *s = log->stages;

	(void)state;
	assert_int_equal(log->n_stages, 3);
	assert_int_equal(s[0].kind, STAGE_LINE_FILTER);
	assert_int_equal(s[0].line.n, 3); /* a negative chain is split */
	assert_int_equal(s[0].line.v[0].n, 2);
	assert_false(s[0].line.v[0].alts[0].is_ip);
	assert_true(s[0].line.v[0].alts[1].is_ip);
	assert_int_equal(s[0].line.v[0].alts[1].ip.lo[0], 10);
	assert_int_equal(s[0].line.v[2].op, LINE_NE);
	assert_slice(s[0].line.v[2].alts[0].text, "z");
	assert_int_equal(s[1].kind, STAGE_JSON);
	assert_int_equal(s[2].line.v[0].op, LINE_RE);
	assert_true(re_match(s[2].line.v[0].alts[0].re, SLICE("a w b")));
	assert_int_equal(s[2].pos.col, 57);
}

static void label_filters_bind_as_loki_does(void **state)
{
	static const struct {
		const char *filter, *tree;
	} rows[] = {
		{ "a=1,b=1 or c=1", "( a==1 , ( b==1 or c==1 ) )" },
		{ "a=1 or b=1,c=1", "( a==1 or ( b==1 , c==1 ) )" },
		{ "a=1 b=1 or c=1", "( a==1 , ( b==1 or c==1 ) )" },
		{ "a=1 or b=1 and c=1", "( a==1 or ( b==1 , c==1 ) )" },
		{ "a=1 and b=1 or c=1", "( ( a==1 , b==1 ) or c==1 )" },
		{ "a=1 or b=1 or c=1", "( ( a==1 or b==1 ) or c==1 )" },
		{ "(a=1 or b=1) and c=1", "( ( a==1 or b==1 ) , c==1 )" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[200];
		struct buf b;

		snprintf(text, sizeof(text), "{a=\"b\"} | %s", rows[i].filter);
		buf_init(&b);
		logql_fmt_stage(&b, &parse(text)->log.stages[0]);
		assert_slice(slice_from(buf_slice(&b), 2), rows[i].tree);
		buf_fini(&b);
	}
}

static void label_filters_have_types(void **state)
{
	const struct logql_log *log =
		&parse("{a=\"b\"} | x=\"s\" | x=~\"s\" | x>-5 | x==1h30m | x<=10KiB | x!=ip(\"::1\")")->log;
	const struct label_filter *f;

	(void)state;
	assert_int_equal(log->stages[0].filter->kind, LABEL_FILTER_STRING);
	f = log->stages[1].filter;
	assert_true(re_match(f->matcher.re, SLICE("s")));
	assert_false(re_match(f->matcher.re, SLICE("ss")));
	f = log->stages[2].filter;
	assert_int_equal(f->kind, LABEL_FILTER_NUMBER);
	assert_int_equal(f->cmp, CMP_GT);
	assert_true(f->number == -5);
	f = log->stages[3].filter;
	assert_int_equal(f->kind, LABEL_FILTER_DURATION);
	assert_int_equal(f->cmp, CMP_EQ);
	assert_int_equal(f->duration_ns, 5400000000000);
	f = log->stages[4].filter;
	assert_int_equal(f->kind, LABEL_FILTER_BYTES);
	assert_int_equal(f->bytes, 10240);
	f = log->stages[5].filter;
	assert_int_equal(f->kind, LABEL_FILTER_IP);
	assert_int_equal(f->cmp, CMP_NE);
	assert_true(f->ip_ok && f->ip.v6);
}

static void parsers_have_arguments(void **state)
{
	const struct logql_stage *s = parse("{a=\"b\"} | json x, y=\"p.q[3]\" | logfmt --strict --keep-empty "
					    "z=\"k\" | regexp \"(?P<n>x)\" "
					    "| pattern \"<ip> - <_>\" | unpack")
					      ->log.stages;

	(void)state;
	assert_int_equal(s[0].extract.n, 2);
	assert_slice(s[0].extract.v[0].expr, "x");
	assert_int_equal(s[0].extract.v[1].path.n, 3);
	assert_slice(s[0].extract.v[1].path.steps[1].key, "q");
	assert_true(s[0].extract.v[1].path.steps[2].is_index);
	assert_int_equal(s[0].extract.v[1].path.steps[2].index, 3);
	assert_true(s[1].extract.strict && s[1].extract.keep_empty);
	assert_slice(s[1].extract.v[0].key, "k");
	assert_slice(re_group_name(s[2].regexp.re, 1), "n");
	assert_int_equal(s[3].pattern.pattern.n, 3);
	assert_int_equal(s[4].kind, STAGE_UNPACK);
}

static void formatters_have_arguments(void **state)
{
	const struct logql_stage *s =
		parse("{a=\"b\"} | line_format \"{{.x}}\" | label_format p=q,r=\"{{.s}}\" "
		      "| decolorize | drop x,y=~\"z\" | keep w")
			->log.stages;

	(void)state;
	assert_slice(s[0].line_format.text, "{{.x}}");
	assert_int_equal(s[1].label_format.n, 2);
	assert_false(s[1].label_format.v[0].is_template);
	assert_slice(s[1].label_format.v[0].value, "q");
	assert_true(s[1].label_format.v[1].is_template);
	assert_int_equal(s[2].kind, STAGE_DECOLORIZE);
	assert_false(s[3].names.v[0].has_matcher);
	assert_slice(s[3].names.v[0].matcher.name, "x");
	assert_true(s[3].names.v[1].has_matcher);
	assert_int_equal(s[3].names.v[1].matcher.op, MATCH_RE);
	assert_int_equal(s[4].kind, STAGE_KEEP);
}

static void ranges_have_windows_in_every_form(void **state)
{
	static const char *const forms[] = {
		"sum_over_time({a=\"b\"} | json | unwrap bytes(x) | y=\"1\" [5m] offset 1m)",
		"sum_over_time({a=\"b\"}[5m] offset 1m | json | unwrap bytes(x) | y=\"1\")",
		"sum_over_time(({a=\"b\"} | json | unwrap bytes(x) | y=\"1\")[5m] offset 1m)",
		"sum_over_time(({a=\"b\"} | json | unwrap bytes(x) | y=\"1\" [5m] offset 1m))",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		const struct logql_expr *e = parse(forms[i]);
		const struct logql_range *r = &e->range_agg.range;

		assert_int_equal(e->kind, LOGQL_RANGE_AGG);
		assert_int_equal(e->range_agg.op, RANGE_SUM);
		assert_int_equal(r->range_ns, 300000000000);
		assert_int_equal(r->offset_ns, 60000000000);
		assert_int_equal(r->log.n_stages, 1);
		assert_non_null(r->unwrap);
		assert_int_equal(r->unwrap->conv, UNWRAP_BYTES);
		assert_slice(r->unwrap->label, "x");
		assert_int_equal(r->unwrap->n_filters, 1);
	}
}

static void aggregations_have_parameters_and_groupings(void **state)
{
	const struct logql_expr *e =
		parse("topk(3, quantile_over_time(0.9, {a=\"b\"} | unwrap x [1m]) by (c)) without (d, e)");
	const struct logql_expr *inner;

	(void)state;
	assert_int_equal(e->kind, LOGQL_VECTOR_AGG);
	assert_int_equal(e->vector_agg.op, VECTOR_TOPK);
	assert_int_equal(e->vector_agg.param, 3);
	assert_true(e->vector_agg.grouping.present && e->vector_agg.grouping.without);
	assert_int_equal(e->vector_agg.grouping.labels.n, 2);
	inner = e->vector_agg.expr;
	assert_int_equal(inner->range_agg.op, RANGE_QUANTILE);
	assert_true(inner->range_agg.has_param && inner->range_agg.param == 0.9);
	assert_slice(inner->range_agg.grouping.labels.v[0], "c");
	e = parse("sum(5 + vector(1))");
	assert_int_equal(e->vector_agg.expr->kind, LOGQL_BINOP);
	assert_true(parse("sum by () (vector(1))")->vector_agg.grouping.present);
	assert_false(parse("sum(vector(1))")->vector_agg.grouping.present);
}

static void binary_operators_bind_by_precedence(void **state)
{
	static const struct {
		const char *query, *tree;
	} rows[] = {
		{ "vector(1) + vector(2) * vector(3)",
		  "(vector(1.000000) + (vector(2.000000) * vector(3.000000)))" },
		{ "vector(1) - vector(2) - vector(3)",
		  "((vector(1.000000) - vector(2.000000)) - vector(3.000000))" },
		{ "vector(1) ^ vector(2) ^ vector(3)",
		  "(vector(1.000000) ^ (vector(2.000000) ^ vector(3.000000)))" },
		{ "vector(1) or vector(2) and vector(3) == vector(4) + 5",
		  "(vector(1.000000) or (vector(2.000000) and (vector(3.000000) == (vector(4.000000) + "
		  "5))))" },
		{ "-2 ^ 2", "4" },
		{ "2 ^ 3 ^ 2", "512" },
		{ "1 - -1", "2" },
		{ "1 > 2", "0" },
		{ "1 <= bool 2", "1" },
		{ "7 % 4", "3" },
		{ "010", "10" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b);
		logql_fmt(&b, parse(rows[i].query));
		assert_slice(buf_slice(&b), rows[i].tree);
		buf_fini(&b);
	}
	assert_true(parse("1/0")->literal != parse("1/0")->literal); /* NaN */
}

static void vector_matching_is_kept(void **state)
{
	const struct logql_expr *e = parse("vector(1) > bool on(a,b) group_left(c) vector(2)");
	const struct vector_match *m = &e->binop.match;

	(void)state;
	assert_int_equal(e->binop.op, BIN_GT);
	assert_true(e->binop.return_bool);
	assert_true(m->on && !m->ignoring);
	assert_int_equal(m->labels.n, 2);
	assert_int_equal(m->card, CARD_MANY_TO_ONE);
	assert_slice(m->include.v[0], "c");
	e = parse("vector(1) / ignoring() group_right vector(2)");
	assert_true(e->binop.match.ignoring);
	assert_int_equal(e->binop.match.card, CARD_ONE_TO_MANY);
}

static void label_replace_is_anchored(void **state)
{
	const struct logql_expr *e = parse("label_replace(vector(1), \"d\", \"$1\", \"s\", \"a(.)|b\")");

	(void)state;
	assert_slice(e->label_replace.dst, "d");
	assert_slice(e->label_replace.regex, "a(.)|b");
	assert_true(re_match(e->label_replace.re, SLICE("ax")));
	assert_false(re_match(e->label_replace.re, SLICE("axx")));
	assert_false(re_match(e->label_replace.re, SLICE("a\n")));
}

/* ---- selectors alone ---- */

static void selector_endpoints_take_matchers_only(void **state)
{
	static const struct {
		const char *query;
		unsigned flags;
		const char *message; /* NULL: accepted */
	} rows[] = {
		{ "{a=\"b\"}", 0, NULL },
		{ " {} ", LOGQL_ALLOW_EMPTY, NULL },
		{ "{a=~\".*\"}", LOGQL_ALLOW_EMPTY, NULL },
		{ "{}", 0, NO_MATCHER },
		{ "{a=\"b\"} |= \"x\"", 0, "only label matchers are supported" },
		{ "sum(rate({a=\"b\"}[5m]))", LOGQL_ALLOW_EMPTY, "only label matchers are supported" },
		{ "{a=", 0, "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct logql *q = NULL;
		struct err err = { 0 };
		int rc = logql_parse_selector(slice_cstr(rows[i].query), rows[i].flags, &arena, &q, NULL,
					      &err);

		assert_int_equal(rc, rows[i].message == NULL ? 0 : -1);
		if (rows[i].message != NULL)
			assert_string_equal(err.msg, rows[i].message);
		logql_free(q);
	}
}

/* ---- limits ---- */

/* before, then n times part, then after */
static struct slice repeated(struct buf *b, const char *before, const char *part, size_t n, const char *after)
{
	buf_reset(b);
	buf_puts(b, before);
	for (size_t i = 0; i < n; i++)
		buf_puts(b, part);
	buf_puts(b, after);
	return buf_slice(b);
}

static void limits_are_named(void **state)
{
	struct buf b, close;

	(void)state;
	buf_init(&b);
	buf_init(&close);
	repeated(&close, "1", ")", 128, "");
	buf_cstr_end(&close);
	parse_slice(repeated(&b, "", "(", 128, close.p));
	assert_fails(repeated(&b, "", "(", 10000, "1"),
		     "parse error at line 1, col 130: query nested too deep, the limit is 128");
	assert_fails(repeated(&b, "vector(1)", "+vector(1)", 10000, ""),
		     "parse error at line 1, col 1290: too many operators in a row, the limit is 128");
	assert_fails(repeated(&b, "{a=\"b\"} | ", "(", 10000, "x=1"),
		     "parse error at line 1, col 139: query nested too deep, the limit is 128");
	assert_fails(repeated(&b, "{a=\"b\"} | x=1", ",x=1", 10000, ""),
		     "parse error at line 1, col 523: query nested too deep, the limit is 128");
	assert_fails(repeated(&b, "rate(", "(", 10000, "{a=\"b\"}[5m]"),
		     "parse error at line 1, col 134: query nested too deep, the limit is 128");
	parse_slice(repeated(&b, "{a=\"b\"}", "|json", 128, ""));
	assert_fails(repeated(&b, "{a=\"b\"}", "|json", 129, ""),
		     "parse error at line 1, col 649: too many stages in a pipeline, the limit is 128");
	assert_fails(repeated(&b, "{a=\"b\"}", "|=\"x\"", 129, ""),
		     "parse error at line 1, col 650: too many stages in a pipeline, the limit is 128");
	parse_slice(repeated(&b, "{a=\"b\"", ",c=\"d\"", 999, "}"));
	assert_fails(repeated(&b, "{a=\"b\"", ",c=\"d\"", 1000, "}"),
		     "parse error at line 1, col 6002: too many matchers in a selector, the limit is 1000");
	assert_fails(repeated(&b, "{a=\"b\"} | drop x", ",x", 1000, ""),
		     "parse error at line 1, col 2016: too many names in a list, the limit is 1000");
	assert_fails(repeated(&b, "{a=\"b\"} | drop x", ",x=~\"y\"", 999, "|~\"z\" |~\"z\""),
		     "parse error : stage '|~ \"z\" |~ \"z\"' : too many regular expressions in a query, the "
		     "limit is 1000");
	parse_slice(repeated(&b, "{a=\"b\"}", " ", 131063, ""));
	assert_fails(repeated(&b, "{a=\"b\"}", " ", 131065, ""),
		     "parse error : input size too long (131072 > 131072)");
	buf_fini(&b);
	buf_fini(&close);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(errors_have_lokis_text),
		TEST(errors_have_a_place),
		TEST(odd_queries_are_valid),
		TEST(selector_has_matchers),
		TEST(adjacent_line_filters_are_one_stage),
		TEST(label_filters_bind_as_loki_does),
		TEST(label_filters_have_types),
		TEST(parsers_have_arguments),
		TEST(formatters_have_arguments),
		TEST(ranges_have_windows_in_every_form),
		TEST(aggregations_have_parameters_and_groupings),
		TEST(binary_operators_bind_by_precedence),
		TEST(vector_matching_is_kept),
		TEST(label_replace_is_anchored),
		TEST(selector_endpoints_take_matchers_only),
		TEST(limits_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
