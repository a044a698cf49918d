/* Parser stages, drop, keep and decolorize: what each makes of a line. The tables of the language's description
 * come first, then what they leave open. */
#include "base/re.h"
#include "base/text.h"
#include "logql/parse.h"
#include "query/decolorize.h"
#include "query/logfmt.h"
#include "query/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define OBJECT "Value looks like object, but can't find closing '}' symbol"

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

struct stage_case {
	const char *stages, *line;
	const char *labels;   /* "" for a line that is dropped */
	const char *new_line; /* NULL: as it was */
};

struct given {
	const char *stream, *meta;
	struct label_needs needs;
};

static const char *run(const struct given *g, const char *stages, struct slice line, struct buf *out)
{
	struct label_vec v = { 0 };
	struct pipeline *p = NULL;
	struct pipe_state st;
	struct pipe_base base;
	struct labels stream, meta;
	struct buf text, encoded;
	struct arena arena;
	struct logql *q;
	struct err err;

	arena_init(&arena);
	buf_init(&text);
	buf_init(&encoded);
	buf_printf(&text, "{a=\"b\"} %s", stages);
	assert_int_equal(labels_parse(slice_cstr(g->stream), &arena, &stream, &err), 0);
	assert_int_equal(labels_parse(slice_cstr(g->meta), &arena, &meta, &err), 0);
	labels_encode(&encoded, meta);
	if (logql_parse(buf_slice(&text), &arena, &q, NULL, &err) == -1 ||
	    pipeline_new(&q->root->log, &g->needs, &p, &err) == -1)
		fail_msg("%s: %s", stages, err.msg);
	pipe_state_init(&st, p);
	pipeline_base(&st, stream, buf_slice(&encoded), &arena, &base);
	buf_reset(out);
	if (base.keep && pipeline_line(p, line) && pipeline_run(&st, &base, 0, line)) {
		label_set_list(&st.set, LABEL_CAT_ALL, &v);
		labels_format(out, (struct labels){ v.v, v.n });
		if (!slice_eq(st.line, line)) {
			buf_puts(out, " -> ");
			buf_add(out, st.line);
		}
	}
	buf_cstr_end(out);
	vec_fini(&v);
	pipe_state_fini(&st);
	pipeline_free(p);
	logql_free(q);
	buf_fini(&text);
	buf_fini(&encoded);
	arena_fini(&arena);
	return out->p;
}

static void check(const struct given *g, const struct stage_case *c, size_t n)
{
	struct buf out, want;

	buf_init(&out);
	buf_init(&want);
	for (size_t i = 0; i < n; i++) {
		const char *got = run(g, c[i].stages, slice_cstr(c[i].line), &out);

		buf_reset(&want);
		buf_puts(&want, c[i].labels);
		if (c[i].new_line != NULL)
			buf_printf(&want, " -> %s", c[i].new_line);
		buf_cstr_end(&want);
		if (strcmp(got, want.p) != 0)
			fail_msg("%s on\n%s\nyields   %s\nbut not  %s", c[i].stages, c[i].line, got, want.p);
	}
	buf_fini(&out);
	buf_fini(&want);
}

static const struct given nothing = { .stream = "{}", .meta = "{}", .needs = { .all = true } };
static const struct given app = { .stream = "{app=\"stream\"}",
				  .meta = "{app=\"meta\", x=\"meta\"}",
				  .needs = { .all = true } };

#define CHECK(given, cases) check(&(given), cases, ARRAY_LEN(cases))

static void test_json_expressions(void **state)
{
	static const struct stage_case cases[] = {
		{ "| json x=\"a\"", "{\"a\":{\"b\":",
		  "{__error__=\"JSONParserErr\", __error_details__=\"" OBJECT "\", x=\"\"}", NULL },
		{ "| json x=\"x[0].a\"", "{\"x\":[{\"a\":1}]}", "{x=\"1\"}", NULL },
		{ "| json x=\"c\", y=\"nope\"", "{\"c\":{\"d\":\"e\"}}",
		  "{x=\"{\\\"d\\\":\\\"e\\\"}\", y=\"\"}", NULL },
		{ "| json a, b=\"c.d\"", "{\"b\":0,\"c\":{\"d\":\"x\\u00e9\"},\"a\":null}",
		  "{a=\"\", b=\"x\xc3\xa9\"}", NULL },
		{ "| json x=`[\"a b\"].z`", "{\"a b\":{\"z\":true}}", "{x=\"true\"}", NULL },
		{ "| json x=\"[1]\", y=\"[0].a\", z=\"[2]\"", "[{\"a\":[1]},\"two\",[3]]",
		  "{x=\"two\", y=\"[1]\", z=\"[3]\"}", NULL },
		{ "| json x=\"a[1][0].b\"", "{\"a\":[0,[{\"b\":\"deep\"}]]}", "{x=\"deep\"}", NULL },
		{ "| json x=\"a[0]\"", "{\"a\":[]}", "{x=\"\"}", NULL },
		{ "| json x=\"a[7]\", y=\"b\"", "{\"a\":[1,2],\"b\":3}", "{x=\"\", y=\"3\"}", NULL },
		{ "| json x=\"a.b\"", "{\"a\":{\"c\":1},\"a\":{\"b\":2},\"b\":3}", "{x=\"2\"}", NULL },
		{ "| json x=\"a\"", "{\"a\":1,\"a\":2}", "{x=\"1\"}", NULL },
		{ "| json x=\"a\"", "{\"b\":{\"a\":1}}", "{x=\"\"}", NULL },
		{ "| json x=\"a\", y=\"a.b\"", "{\"a\":{\"b\":1}}", "{x=\"{\\\"b\\\":1}\", y=\"1\"}", NULL },
		{ "| json x=\"a\"", "{\"\\u0061\":1}", "{x=\"1\"}", NULL },
		{ "| json x=\"a\"", "{\"b\":1 \"a\":2}", "{x=\"2\"}", NULL },
		{ "| json x=\"a\"", "{\"a\":\"no end",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Value is string, but can't find closing "
		  "'\\\"' symbol\", x=\"\"}",
		  NULL },
		{ "| json x=\"a\"", "{\"a\":tru}",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Unknown value type\", x=\"\"}", NULL },
		{ "| json x=\"a\"", "\"a\":1",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Malformed JSON error\", x=\"\"}", NULL },
		{ "| json x=\"a\"", "", "{}", NULL },
		{ "| json x=\"a\"", "not json", "{__error__=\"JSONParserErr\"}", NULL },
		{ "| json x=\"a\"", " {\"a\":1}", "{__error__=\"JSONParserErr\"}", NULL },
		{ "| json x=\"a\"", "\"text\"", "{x=\"\"}", NULL },
		{ "| json x=\"a\"", "]]]", "{__error__=\"JSONParserErr\"}", NULL },
		/* An expression replaces what was there; the plain stage does not. */
		{ "| json | json a=\"b\"", "{\"a\":1,\"b\":2}", "{a=\"2\", b=\"2\"}", NULL },
		{ "| json a=\"b\" | json", "{\"a\":1,\"b\":2}", "{a=\"2\", b=\"2\"}", NULL },
		{ "| json z | json", "{\"a\":1}", "{a=\"1\", z=\"\"}", NULL },
	};
	static const struct stage_case taken[] = {
		{ "| json app, x, y", "{\"app\":1,\"x\":2}",
		  "{app=\"stream\", app_extracted=\"1\", x=\"meta\", x_extracted=\"2\", y=\"\"}", NULL },
		{ "| json app", "{\"a\":1}", "{app=\"stream\", app_extracted=\"meta\", x=\"meta\"}", NULL },
	};

	(void)state;
	CHECK(nothing, cases);
	CHECK(app, taken);
}

static void test_logfmt(void **state)
{
	static const struct stage_case cases[] = {
		{ "| logfmt", "a=1 b=\"x y\" c= d e=\"\" f=\" g=2", "{a=\"1\", b=\"x y\"}", NULL },
		{ "| logfmt --keep-empty", "a=1 b=\"x y\" c= d e=\"\" f=\" g=2",
		  "{a=\"1\", b=\"x y\", c=\"\", d=\"\", e=\"\"}", NULL },
		{ "| logfmt", "a==b c=d", "{c=\"d\"}", NULL },
		{ "| logfmt", "k=\"un\\\"esc\\n\" \xc3\xa9=5 1x=2 a.b=3 x=\"a\" x=\"b\"",
		  "{_=\"5\", _1x=\"2\", a_b=\"3\", k=\"un\\\"esc\\n\", x=\"a\"}", NULL },
		{ "| logfmt x", "x=\"a\" x=\"b\"", "{x=\"b\"}", NULL },
		{ "| logfmt", "a=\"b\"c=d", "{a=\"b\", c=\"d\"}", NULL },
		{ "| logfmt", "a=\"\\q\"b=1 c=2", "{c=\"2\"}", NULL },
		{ "| logfmt",
		  "\t a=1\x01"
		  "b=2\n",
		  "{a=\"1\", b=\"2\"}", NULL },
		{ "| logfmt", "a=\"\\u00e9\\/\\'\\ud83d\\ude00\\ud800.\"",
		  "{a=\"\xc3\xa9/'\xf0\x9f\x98\x80 .\"}", NULL },
		{ "| logfmt", "a=\"tab\there\" b=\"tab\there\\n\"", "{a=\"tab\\there\"}", NULL },
		{ "| logfmt",
		  "a=x\xff\xfe"
		  "y b=\xef\xbf\xbd \xff=1 c=2",
		  "{a=\"x  y\", b=\" \", c=\"2\"}", NULL },
		{ "| logfmt", "a=b\"c\" d=1 \"e\" =f g", "{d=\"1\"}", NULL },
		{ "| logfmt", "just some words", "{}", NULL },
		{ "| logfmt", "", "{}", NULL },
		{ "| logfmt --strict", "x=1 a==b c=d",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 7 : "
		  "unexpected '='\", x=\"1\"}",
		  NULL },
		{ "| logfmt --strict", "=\"v\" b=2",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 1 : "
		  "unexpected '='\"}",
		  NULL },
		{ "| logfmt --strict", "a=b\"c\" z=1",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 4 : "
		  "unexpected '\\\"'\"}",
		  NULL },
		{ "| logfmt --strict", "{\"json\":1}",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 2 : "
		  "unexpected '\\\"'\"}",
		  NULL },
		{ "| logfmt --strict", "a=\"unterminated",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 16 : "
		  "unterminated quoted value\"}",
		  NULL },
		{ "| logfmt --strict", "a=\"\\q\" b=1",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 7 : "
		  "invalid quoted value\"}",
		  NULL },
		{ "| logfmt --strict a, b", "b=1 =",
		  "{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 5 : "
		  "unexpected '='\", a=\"\", b=\"1\"}",
		  NULL },
		{ "| logfmt --strict", "a=1 b=\"x\\\\\" ", "{a=\"1\", b=\"x\\\\\"}", NULL },
		{ "| logfmt z=\"_1x\", y=\"nope\"", "1x=5", "{y=\"\", z=\"5\"}", NULL },
		{ "| logfmt a=\"b\", b=\"a\"", "a=1 b=2", "{a=\"2\", b=\"1\"}", NULL },
		{ "| logfmt app=\"a\"", "app=9", "{app=\"9\"}", NULL },
		{ "| logfmt a", "a=\"x\xff\"", "{a=\"\"}", NULL },
		{ "| logfmt a", "", "{a=\"\"}", NULL },
		{ "| logfmt z | json", "{\"z\":1}", "{z=\"\"}", NULL },
		{ "| logfmt | logfmt x=\"b\"", "x=1 b=2", "{b=\"2\", x=\"2\"}", NULL },
	};
	static const struct stage_case taken[] = {
		{ "| logfmt", "app=1 x=2 x_extracted=3",
		  "{app=\"stream\", app_extracted=\"1\", x=\"meta\", x_extracted=\"2\"}", NULL },
		{ "| logfmt app, x, y", "app=1 y=2",
		  "{app=\"stream\", app_extracted=\"1\", x=\"meta\", y=\"2\"}", NULL },
	};

	(void)state;
	CHECK(nothing, cases);
	CHECK(app, taken);
}

static void test_pattern_and_regexp(void **state)
{
	static const char access[] = "| pattern \"<ip> - <m> <path>?<_> <st> <_>\"";
	const struct stage_case cases[] = {
		{ access, "1.2.3.4 - GET /foo?x=1 200 12ms",
		  "{ip=\"1.2.3.4\", m=\"GET\", path=\"/foo\", st=\"200\"}", NULL },
		{ access, "1.2.3.4 - POST", "{ip=\"1.2.3.4\", m=\"POST\"}", NULL },
		{ access, "GET /", "{ip=\"GET /\"}", NULL },
		{ access, "", "{}", NULL },
		{ "| pattern \"level=<l> \"", "level=info msg=x", "{l=\"info\"}", NULL },
		{ "| pattern \"level=<l> \"", " level=info ", "{}", NULL },
		{ "| pattern \"<a>,<b>,<c>\"", ",,", "{a=\"\", b=\"\", c=\"\"}", NULL },
		{ "| pattern \"<a>x<_>y<b>\"", "1x2y3y", "{a=\"1\", b=\"3y\"}", NULL },
		{ "| pattern \"<all>\"", "any\xffthing", "{all=\"any\\xffthing\"}", NULL },
		{ "| json | pattern \"<a>:<_>\"", "{\"a\":1}", "{a=\"1\"}", NULL },
		{ "| regexp `(?P<m>GET)|(?P<n>POST)`", "1.2.3.4 - POST", "{m=\"\", n=\"POST\"}", NULL },
		{ "| regexp `(?P<m>GET)`", "POST", "{}", NULL },
		{ "| regexp `(x)(?P<a>y)?(?<b>z)`", "xz xyz", "{a=\"\", b=\"z\"}", NULL },
		{ "| regexp `(?P<a>.)` | regexp `(?P<a>..)`", "xy", "{a=\"x\"}", NULL },
	};
	static const struct stage_case taken[] = {
		{ "| pattern \"<app> <x>\"", "1 2",
		  "{app=\"stream\", app_extracted=\"1\", x=\"meta\", x_extracted=\"2\"}", NULL },
		{ "| regexp `(?P<app>.)`", "1", "{app=\"stream\", app_extracted=\"1\", x=\"meta\"}", NULL },
	};

	(void)state;
	CHECK(nothing, cases);
	CHECK(app, taken);
}

static void test_unpack(void **state)
{
	static const struct stage_case cases[] = {
		{ "| unpack", "{\"_entry\":\"orig\",\"pod\":\"p1\",\"num\":5,\"b c\":\"z\"}",
		  "{b_c=\"z\", pod=\"p1\"}", "orig" },
		{ "| unpack", "{\"pod\":\"p1\"}", "{}", NULL },
		{ "| unpack", "{\"_entry\":5,\"pod\":\"p1\"}", "{}", NULL },
		{ "| unpack", "{\"pod\":\"1\",\"_entry\":\"a\\\"b\",\"pod\":\"2\"}", "{pod=\"2\"}", "a\"b" },
		{ "| unpack", "", "{}", NULL },
		{ "| unpack", " {}",
		  "{__error__=\"JSONParserErr\", __error_details__=\"expecting json object(6), but it is "
		  "not\"}",
		  NULL },
		{ "| unpack", "{\"_entry\":\"x\",\"a\":\"1\"",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Value is array, but can't find closing "
		  "']' symbol\"}",
		  NULL },
		{ "| unpack", "{\"_entry\":\"\\x\"}",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Encountered an invalid escape sequence "
		  "in a string\"}",
		  NULL },
		{ "| unpack | logfmt", "{\"_entry\":\"a=1 p=2\",\"p\":\"3\"}", "{a=\"1\", p=\"3\"}",
		  "a=1 p=2" },
		{ "| json | unpack", "{\"_entry\":\"l\",\"p\":\"3\"}", "{_entry=\"l\", p=\"3\"}", "l" },
		/* A line filter tests the line as the last unpack left it. */
		{ "| unpack |= \"orig\" != \"entry\"", "{\"_entry\":\"orig\"}", "{}", "orig" },
		{ "| unpack |= \"entry\"", "{\"_entry\":\"orig\"}", "", NULL },
		{ "|= \"entry\" | unpack", "{\"_entry\":\"orig\"}", "{}", "orig" },
	};
	static const struct stage_case taken[] = {
		{ "| unpack", "{\"_entry\":\"l\",\"app\":\"1\",\"x\":\"2\"}",
		  "{app=\"stream\", app_extracted=\"1\", x=\"meta\", x_extracted=\"2\"}", "l" },
	};

	(void)state;
	CHECK(nothing, cases);
	CHECK(app, taken);
}

static void test_drop_and_keep(void **state)
{
	static const char line[] = "{\"x\":\"parsed\",\"app\":\"parsed\",\"n\":\"1\"}";
	static const struct stage_case cases[] = {
		{ "", line, "{app=\"stream\", app_extracted=\"meta\", x=\"meta\"}", NULL },
		{ "| drop x, app_extracted, nope", line, "{app=\"stream\"}", NULL },
		{ "| drop x=\"meta\", app=\"other\"", line, "{app=\"stream\", app_extracted=\"meta\"}",
		  NULL },
		{ "| drop x=~\"m.*\", app!~\"s.*\"", line, "{app=\"stream\", app_extracted=\"meta\"}", NULL },
		{ "| drop x=~\"m\"", line, "{app=\"stream\", app_extracted=\"meta\", x=\"meta\"}", NULL },
		{ "| keep x", line, "{x=\"meta\"}", NULL },
		{ "| keep x, app=\"stream\", app_extracted!=\"meta\"", line, "{app=\"stream\", x=\"meta\"}",
		  NULL },
		{ "| keep nope", line, "{}", NULL },
		/* Who holds a name decides the suffix: metadata until it is dropped, a stream label for ever. */
		{ "| drop x | json", line,
		  "{app=\"stream\", app_extracted=\"parsed\", n=\"1\", x=\"parsed\"}", NULL },
		{ "| drop app | json", line,
		  "{app_extracted=\"parsed\", n=\"1\", x=\"meta\", x_extracted=\"parsed\"}", NULL },
		/* What was extracted once does not come back. */
		{ "| json | drop n | json | keep n, x", line, "{x=\"meta\"}", NULL },
		{ "| json | drop n | json n | keep n, x", line, "{n=\"1\", x=\"meta\"}", NULL },
		{ "| json | keep n | drop n=\"1\" | n=\"\"", line, "", NULL },
		{ "| json | keep n | drop n=\"2\" | n=\"1\"", line, "{n=\"1\"}", NULL },
		{ "| keep x | app=\"\"", line, "{x=\"meta\"}", NULL },
		{ "| drop app | app=\"stream\"", line, "", NULL },
		/* Errors */
		{ "| json | keep nope", "x",
		  "{__error__=\"JSONParserErr\", __error_details__=\"" OBJECT "\"}", NULL },
		{ "| json | keep x | drop __error__", "x", "{__error_details__=\"" OBJECT "\", x=\"meta\"}",
		  NULL },
		{ "| json | keep x | drop __error__, __error_details__", "x", "{x=\"meta\"}", NULL },
		{ "| json | keep x | drop __error__=\"JSONParserErr\" | __error__=\"\"", "x",
		  "{__error_details__=\"" OBJECT "\", x=\"meta\"}", NULL },
		{ "| json | keep x | drop __error__=\"other\" | __error__!=\"\"", "x",
		  "{__error__=\"JSONParserErr\", __error_details__=\"" OBJECT "\", x=\"meta\"}", NULL },
	};
	static const struct stage_case bare[] = {
		{ "| json | drop __error__", "x", "{}", NULL },
		{ "| json | drop __error__", "{\"a\":1",
		  "{__error_details__=\"Value is array, but can't find closing ']' symbol\", a=\"1\"}",
		  NULL },
		{ "| drop l=~\"a.b\"", "x", "{}", NULL },
	};

	(void)state;
	CHECK(app, cases);
	CHECK(nothing, bare);
}

static void test_filters_behind_parsers(void **state)
{
	static const struct stage_case cases[] = {
		/* In front of a value that decides, nothing else of the line matters. */
		{ "| json | a=\"x\"", "{\"a\":\"x\",\"b\":1",
		  "{__error__=\"JSONParserErr\", __error_details__=\"Value is array, but can't find closing "
		  "']' symbol\", a=\"x\", b=\"1\"}",
		  NULL },
		{ "| json | a=\"x\"", "{\"a\":\"y\",\"b\":\"x\"}", "", NULL },
		{ "| json | a=\"x\"", "{\"a\":\"\\u0078\"}", "{a=\"x\"}", NULL },
		{ "| json | a=\"\xc3\xa9\"", "{\"a\":\"\\u00e9\"}", "{a=\"\xc3\xa9\"}", NULL },
		{ "| json | a=\"x y\"",
		  "{\"a\":\"x\xff"
		  "y\"}",
		  "{a=\"x y\"}", NULL },
		{ "| json | b_c=\"1\" | d>1", "{\"b\":{\"c\":1},\"d\":2}", "{b_c=\"1\", d=\"2\"}", NULL },
		{ "| logfmt | a=\"x\" or b=\"1\"", "a=y b=1", "{a=\"y\", b=\"1\"}", NULL },
		{ "| logfmt | a>1", "a=zz b=1",
		  "{__error__=\"LabelFilterErr\", __error_details__=\"strconv.ParseFloat: parsing "
		  "\\\"zz\\\": invalid syntax\", a=\"zz\", b=\"1\"}",
		  NULL },
		{ "| logfmt | a>1GiB", "a=1050MB", "", NULL },
		{ "| logfmt | a>1GiB", "a=1101MB", "{a=\"1101MB\"}", NULL },
		{ "| logfmt | a>1GiB", "a=1100MB", "", NULL },
		{ "| unpack | a=\"x\"", "{\"a\":\"y\",\"_entry\":\"l\",\"a\":\"x\"}", "", NULL },
		{ "| pattern \"<a> <b>\" | a!=\"x\"", "x y", "", NULL },
		{ "| regexp `(?P<a>.)` | a=ip(\"10.0.0.1\")", "10.0.0.1", "", NULL },
		{ "| regexp `(?P<a>.*)` | a=ip(\"10.0.0.1\")", "10.0.0.1", "{a=\"10.0.0.1\"}", NULL },
		/* Loki asks the first filter of a name whatever stands in between. */
		{ "| json | drop a | a=\"\"", "{\"a\":1}", "", NULL },
		{ "| json | drop a | a=\"\" | a=\"\"", "{\"b\":1}", "{b=\"1\"}", NULL },
		{ "| json | a!=\"1\" | a=\"2\"", "{\"a\":\"2\"}", "{a=\"2\"}", NULL },
		/* Not those in and/or, nor for labels made by expressions. */
		{ "| json | drop a | a=\"\" and a=\"\"", "{\"a\":1}", "{}", NULL },
		{ "| json a | drop a | a=\"\"", "{\"a\":1}", "{}", NULL },
		/* A group of stages: line filters first, also before decolorize. */
		{ "| decolorize |= \"red a\"", "\x1b[31mred\x1b[0m a", "", NULL },
		{ "| decolorize |= \"\\x1b\"", "\x1b[31mred\x1b[0m a", "{}", "red a" },
		{ "| decolorize | a=\"\" |= \"red a\"", "\x1b[31mred\x1b[0m a", "{}", "red a" },
		{ "| decolorize | a=\"\" | json |= \"\\x1b\"", "\x1b[31mred\x1b[0m a", "", NULL },
		{ "| decolorize | logfmt", "\x1b[31ma\x1b[0m=1", "{a=\"1\"}", "a=1" },
	};

	(void)state;
	CHECK(nothing, cases);
}

/* With named groups, only what is needed is extracted, and filters are asked early only where that is right. */
static void test_needs(void **state)
{
	struct slice names[] = { SLICE("a"), SLICE("app"), SLICE("app_extracted") };
	struct given g = { .stream = "{app=\"s\"}",
			   .meta = "{}",
			   .needs = { .grouped = true, .n = ARRAY_LEN(names), .names = names } };
	static const struct stage_case cases[] = {
		{ "| json", "{\"b\":1,\"a\":2,\"app\":3,\"c\":4}",
		  "{a=\"2\", app=\"s\", app_extracted=\"3\"}", NULL },
		{ "| logfmt", "b=1 a=2 app=3 c=4", "{a=\"2\", app=\"s\", app_extracted=\"3\"}", NULL },
		{ "| pattern \"<a> <b> <app>\"", "1 2 3", "{a=\"1\", app=\"s\", app_extracted=\"3\"}", NULL },
		{ "| regexp `(?P<a>.)(?P<b>.)`", "12", "{a=\"1\", app=\"s\"}", NULL },
		{ "| unpack", "{\"a\":\"1\",\"b\":\"2\",\"_entry\":\"l\"}", "{a=\"1\", app=\"s\"}", "l" },
		{ "| json | drop a | a=\"\"", "{\"a\":1}", "{app=\"s\"}", NULL },
		{ "| json | drop b | a=\"\"", "{\"a\":1}", "", NULL },
		{ "| json | keep app | a=\"\"", "{\"a\":1}", "{app=\"s\"}", NULL },
		{ "| json | json a=\"b\" | a=\"5\"", "{\"a\":1,\"b\":5}", "{a=\"5\", app=\"s\"}", NULL },
	};

	(void)state;
	CHECK(g, cases);
	names[1] = names[2] = SLICE("z");
	g.needs.n = 1;
	/* Once all is found, the rest may be anything. */
	static const struct stage_case early_end[] = {
		{ "| json", "{\"a\":1,,,", "{a=\"1\", app=\"s\"}", NULL },
		{ "| logfmt --strict", "a=1 ==", "{a=\"1\", app=\"s\"}", NULL },
		{ "| json | logfmt --strict", "{\"a\":1}", "{a=\"1\", app=\"s\"}", NULL },
	};
	CHECK(g, early_end);
	g.needs = (struct label_needs){ 0 };
	static const struct stage_case none[] = {
		{ "| json | logfmt --strict", "==", "{app=\"s\"}", NULL },
		{ "| json a", "x", "{app=\"s\"}", NULL },
	};
	CHECK(g, none);
}

/* A filter alone takes every shortcut, `f or f` takes none. Both must keep the same lines. */
static void test_shortcuts(void **state)
{
	static const char *const parsers[] = { "| json", "| logfmt", "| logfmt --strict",
					       "| pattern `<_>a<v>,<_>`",
					       "| regexp `(?P<a>[x-z]+).*?(?P<n>[0-9]+)?`" };
	static const char *const filters[] = {
		"a=\"x\"",	  "a!=\"x\"", "a=\"\"",	       "a=\"x y\"", "app_extracted=\"x\"",
		"v=\"1\"",	  "n>1",      "n!=1",	       "n>1s",	    "a_b=~\"x|y\"",
		"__error__=\"\"", "x=\"z\"",  "app=\"stream\""
	};
	static const char *const pieces[] = { "{",
					      "}",
					      "\"a\":\"x\"",
					      "\"a\":\"y\"",
					      ",",
					      "\"n\":2",
					      "\"a\":{\"b\":\"x\"}",
					      " ",
					      "a=x",
					      "a=\"x y\"",
					      "n=1",
					      "n=5s",
					      "a=\"\\u0078\"",
					      "\"a\":\"\\u0078\"",
					      "\"app\":\"x\"",
					      "v=1",
					      "x\xffy",
					      "\"v\":1",
					      "==",
					      "x=z",
					      "a=x\xffy" };
	struct buf line, stages, quick, slow;

	(void)state;
	buf_init(&line);
	buf_init(&stages);
	buf_init(&quick);
	buf_init(&slow);
	for (int i = 0; i < 20000; i++) {
		const char *first = parsers[rnd(ARRAY_LEN(parsers))],
			   *second = parsers[rnd(ARRAY_LEN(parsers))];
		const char *f = filters[rnd(ARRAY_LEN(filters))];
		const struct given *g = rnd(2) == 0 ? &nothing : &app;

		buf_reset(&line);
		buf_puts(&line, rnd(2) == 0 ? "{" : "");
		for (unsigned n = rnd(8); n > 0; n--)
			buf_puts(&line, pieces[rnd(ARRAY_LEN(pieces))]);
		buf_reset(&stages);
		buf_printf(&stages, "%s %s | %s", first, second, f);
		buf_cstr_end(&stages);
		run(g, stages.p, buf_slice(&line), &quick);
		buf_printf(&stages, " or %s", f);
		buf_cstr_end(&stages);
		run(g, stages.p, buf_slice(&line), &slow);
		if (!slice_eq(buf_slice(&quick), buf_slice(&slow)))
			fail_msg("%s on %.*s yields %.*s without the `or`, else %.*s", stages.p,
				 SLICE_ARG(buf_slice(&line)), SLICE_ARG(buf_slice(&quick)),
				 SLICE_ARG(buf_slice(&slow)));
	}
	buf_fini(&line);
	buf_fini(&stages);
	buf_fini(&quick);
	buf_fini(&slow);
}

/* ---- decolorize against its regular expression ---- */

static void by_regex(const struct re *re, struct slice line, struct buf *out)
{
	struct slice group[1];

	buf_reset(out);
	while (re_find(re, line, group, 1)) {
		buf_append(out, line.p, (size_t)(group[0].p - line.p));
		line = slice_from(line, (size_t)(group[0].p - line.p) + group[0].n);
	}
	buf_add(out, line);
}

static void test_decolorize(void **state)
{
	static const char pattern[] =
		"[\\x{1b}\\x{9b}][[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\\x{07})|"
		"(?:(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]))";
	static const char *const pieces[] = { "\x1b",
					      "\x1b[",
					      "\xc2\x9b",
					      "\xc2",
					      "[",
					      "]",
					      "(",
					      "#",
					      ";",
					      "?",
					      "0",
					      "31",
					      "7",
					      "m",
					      "K",
					      "Q",
					      "a",
					      "z",
					      "\a",
					      " ",
					      "red",
					      "12345",
					      "\x1b]0;title\a",
					      "\x1b[1;31m",
					      "=" };
	struct buf line, want;
	struct arena arena;
	struct err err;
	struct re *re;

	(void)state;
	assert_int_equal(re_compile(slice_cstr(pattern), 0, &re, &err), 0);
	buf_init(&line);
	buf_init(&want);
	arena_init(&arena);
	for (int i = 0; i < 20000; i++) {
		buf_reset(&line);
		for (unsigned n = rnd(12); n > 0; n--)
			buf_puts(&line, pieces[rnd(ARRAY_LEN(pieces))]);
		by_regex(re, buf_slice(&line), &want);
		struct slice got = decolorize(buf_slice(&line), &arena);
		if (!slice_eq(got, buf_slice(&want))) {
			struct buf q;

			buf_init(&q);
			text_go_quote(&q, buf_slice(&line));
			buf_puts(&q, " became ");
			text_go_quote(&q, got);
			fail_msg("%.*s", SLICE_ARG(buf_slice(&q)));
		}
		arena_reset(&arena);
	}
	arena_fini(&arena);
	buf_fini(&line);
	buf_fini(&want);
	re_free(re);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_expressions),
		cmocka_unit_test(test_logfmt),
		cmocka_unit_test(test_pattern_and_regexp),
		cmocka_unit_test(test_unpack),
		cmocka_unit_test(test_drop_and_keep),
		cmocka_unit_test(test_filters_behind_parsers),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_shortcuts),
		cmocka_unit_test(test_decolorize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
