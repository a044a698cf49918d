/* The formatter: canonical text, and that it means the same when parsed again. */
#include "base/buf.h"
#include "base/mem.h"
#include "logql/fmt.h"
#include "logql/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define LONG_NAME  "a_label_with_a_name_that_is_long_enough"
#define LONG_VALUE "a value of some length, so that the line breaks"

static void format(struct slice text, struct buf *out)
{
	struct arena arena;
	struct logql *q;
	struct err err;

	arena_init(&arena);
	if (logql_parse(text, &arena, &q, NULL, &err) == -1)
		fail_msg("%.*s: %s", SLICE_ARG(text), err.msg);
	logql_fmt_pretty(out, q->root);
	buf_cstr_end(out);
	logql_free(q);
	arena_fini(&arena);
}

/* want NULL: the text is canonical already. */
static const struct {
	const char *in, *want;
} cases[] = {
	{ "{ a=\"b\" , c!=`d` }|=\"x\"!=\"y\"", "{a=\"b\", c!=\"d\"} |= \"x\" != \"y\"" },
	{ "{a=\"b\"} # comment", "{a=\"b\"}" },
	{ "({a=\"b\"})", "{a=\"b\"}" },
	{ "{a=\"b\"} |~ \"re\" or \"se\" |= ip(\"10.0.0.0/8\") or \"x\" |> \"<_>x\" !> \"y<_>\"", NULL },
	{ "{a=\"b\"} != \"x\" or \"y\"", "{a=\"b\"} != \"x\" != \"y\"" },
	{ "{a=\"b\"} | json x,y=\"p.q\"", "{a=\"b\"} | json x=\"x\",y=\"p.q\"" },
	{ "{a=\"b\"} | logfmt --keep-empty --strict x", "{a=\"b\"} | logfmt --strict --keep-empty x=\"x\"" },
	{ "{a=\"b\"} | regexp \"(?P<x>.*)\" | pattern \"<a> <b>\" | unpack | decolorize", NULL },
	{ "{a=\"b\"} | line_format \"{{.x}}\" | label_format p=q,r=\"{{.s}}\" | drop e,f=\"g\" | keep h",
	  NULL },
	{ "{a=\"b\"} | x=\"1\" and y>1 or z<2s", "{a=\"b\"} | ( ( x=\"1\" , y>1 ) or z<2s )" },
	{ "{a=\"b\"} | x=1 | x!=1.50 | x=ip(\"::1\") | y!=ip(\"::2\")",
	  "{a=\"b\"} | x==1 | x!=1.5 | x=ip(\"::1\") | y!=ip(\"::2\")" },
	{ "{a=\"b\"} | x>1h30m | x>-5m | x>1.5ms", "{a=\"b\"} | x>1h30m0s | x>-5m0s | x>1.5ms" },
	{ "{a=\"b\"} | x<10KB | x<1KiB | x<1.5MB | x<999999B",
	  "{a=\"b\"} | x<10kB | x<1024B | x<1.5MB | x<999999B" },
	{ "{a=\"b\"} |= \"tab\\tquote\\\" \\xff\"", NULL },
	{ "sum(rate({a=\"b\"}[1m])) by (x)", "sum by (x)(rate({a=\"b\"}[1m]))" },
	{ "rate({a=\"b\"}[5m] offset 5m | json)", "rate({a=\"b\"} | json[5m] offset 5m0s)" },
	{ "rate({a=\"b\"}[90m] offset -1s)", "rate({a=\"b\"}[1h30m] offset -1s)" },
	{ "quantile_over_time(0.99,{a=\"b\"}|unwrap duration(x)|__error__=\"\"[5m])by(c)",
	  "quantile_over_time(0.99,{a=\"b\"} | unwrap duration(x) | __error__=\"\"[5m]) by (c)" },
	{ "topk(5, vector(1)) without ()", "topk without ()(5,vector(1.000000))" },
	{ "sum by () (vector(0.0000001))", "sum by ()(vector(1e-07))" },
	{ "1+2*3", "7" },
	{ "1/0", "(0 / 0)" },
	{ "-1e308*10", "(-1e+308 * 10)" },
	{ "vector(1) * (0 * -1)", "(vector(1.000000) * - 0)" },
	{ "vector(1) > bool 2 or vector(0)", "((vector(1.000000) > bool 2) or vector(0.000000))" },
	{ "vector(1) / on(b) group_left(c) (vector(2) + 1)",
	  "(vector(1.000000) / on (b) group_left (c) (vector(2.000000) + 1))" },
	{ "vector(1) / on(b) group_left vector(2)",
	  "(vector(1.000000) / on (b) group_left () vector(2.000000))" },
	{ "vector(1) + bool ignoring() vector(2)", "(vector(1.000000) + ignoring () vector(2.000000))" },
	{ "label_replace(vector(1), \"x\", \"$1\", \"y\", \"(.*)\")",
	  "label_replace(vector(1.000000),\"x\",\"$1\",\"y\",\"(.*)\")" },
	/* longer than a line */
	{ "max(rate({" LONG_NAME "=\"" LONG_VALUE "\"} |= \"" LONG_VALUE "\" | json [5m])) by (a,b)",
	  "max by (a, b)(\n"
	  "  rate(\n"
	  "    {" LONG_NAME "=\"" LONG_VALUE "\"}\n"
	  "      |= \"" LONG_VALUE "\"\n"
	  "      | json [5m]\n"
	  "  )\n"
	  ")" },
	{ "topk(3, quantile_over_time(0.5, {" LONG_NAME "=\"" LONG_VALUE "\"} | unwrap x | y=\"" LONG_VALUE
	  "\" [5m] offset 1s) by (c))",
	  "topk(\n"
	  "  3,\n"
	  "  quantile_over_time(\n"
	  "    0.5,\n"
	  "    {" LONG_NAME "=\"" LONG_VALUE "\"}\n"
	  "      | unwrap x\n"
	  "      | y=\"" LONG_VALUE "\" [5m] offset 1s\n"
	  "  ) by (c)\n"
	  ")" },
	{ "(rate({a=\"" LONG_VALUE "\"}[5m]) + rate({b=\"" LONG_VALUE "\"}[5m])) * 2",
	  "  (\n"
	  "    rate({a=\"" LONG_VALUE "\"}[5m])\n"
	  "  +\n"
	  "    rate({b=\"" LONG_VALUE "\"}[5m])\n"
	  "  )\n"
	  "*\n"
	  "  2" },
	{ "label_replace(rate({a=\"b\"}[5m]), \"" LONG_NAME "\", \"$1\", \"" LONG_NAME "\", \"(.*)-.*\")",
	  "label_replace(\n"
	  "  rate({a=\"b\"}[5m]),\n"
	  "  \"" LONG_NAME "\",\n"
	  "  \"$1\",\n"
	  "  \"" LONG_NAME "\",\n"
	  "  \"(.*)-.*\"\n"
	  ")" },
};

static void queries_have_one_form(void **state)
{
	struct buf once, twice;

	(void)state;
	buf_init(&once);
	buf_init(&twice);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&once);
		buf_reset(&twice);
		format(slice_cstr(cases[i].in), &once);
		assert_string_equal(once.p, cases[i].want != NULL ? cases[i].want : cases[i].in);
		format(buf_slice(&once), &twice);
		assert_string_equal(twice.p, once.p);
	}
	buf_fini(&once);
	buf_fini(&twice);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(queries_have_one_form) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
