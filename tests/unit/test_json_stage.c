/* The plain json stage: which labels and which error a line yields. */
#include "base/buf.h"
#include "query/stage_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NO_OBJECT "Value looks like object, but can't find closing '}' symbol"
#define NO_ARRAY  "Value is array, but can't find closing ']' symbol"
#define NO_STRING "Value is string, but can't find closing '\"' symbol"
#define BAD_VALUE "Unknown value type"
#define MALFORMED "Malformed JSON error"
#define BAD_ESC	  "Encountered an invalid escape sequence in a string"

struct json_case {
	const char *line, *labels, *error;
};

static const struct json_case cases[] = {
	{ "{\"a\":1,\"c\":{\"d\":\"e\",\"f\":{\"g\":1.50}},\"arr\":[1],\"n\":null,\"t\":true,\"e\":\"\"}",
	  "{a=\"1\", c_d=\"e\", c_f_g=\"1.50\", e=\"\", t=\"true\"}", NULL },
	{ "{\"a b\":\"1\",\"1x\":\"2\",\"\xc3\xa9\":\"3\",\"a.b\":\"4\",\" sp \":\"6\",\"\":\"7\"}",
	  "{_=\"3\", _1x=\"2\", a_b=\"1\", sp=\"6\"}", NULL },
	{ "{\"a\":\"1\",\"a\":\"2\",\"c\":{\"d\":1},\"c_d\":2}", "{a=\"1\", c_d=\"1\"}", NULL },
	{ "{\"a\":\"b\\u00e9\\n\",\"b\":\"\\ud83d\\ude00\",\"c\":\"\\ud800\",\"g\":\"\\x\"}",
	  "{a=\"b\xc3\xa9\\n\", b=\"\xf0\x9f\x98\x80\", c=\"\", g=\"\"}", NULL },
	{ "{\"z\":{\"\":\"e\"}}", "{z=\"e\"}", NULL },
	{ "{\"z\":{\"1\":\"e\"}, \"2\": {\"3\": 4}}", "{_2_3=\"4\", z_1=\"e\"}", NULL },
	{ "{\"a\":1e5,\"b\":-0,\"c\":1abc,\"d\":-}", "{a=\"1e5\", b=\"-0\", c=\"1abc\", d=\"-\"}", NULL },
	{ "{\"a\":\"x\\ufffdy\xff\xffz\"}", "{a=\"x y  z\"}", NULL },
	{ " \t{ \"a\" : 1 , } trailing", "{a=\"1\"}", NULL },
	{ "{}", "{}", NULL },
	{ "{\"a\":\"say \\\"hi\\\" \\\\\",\"b\":\"\\/\\b\\f\\r\\t\"}",
	  "{a=\"say \\\"hi\\\" \\\\\", b=\"/\\b\\f\\r\\t\"}", NULL },
	{ "{\"a\":[1,\"]\",{\"x\":\"]}\"}],\"b\":{\"c\":\"}\"}}", "{b_c=\"}\"}", NULL },
	{ "{\"\\u0061b\":1}", "{ab=\"1\"}", NULL },
	/* The stream has a label app, the metadata one called meta. */
	{ "{\"app\":\"p\",\"meta\":\"q\",\"app_extracted\":\"r\"}",
	  "{app_extracted=\"p\", meta_extracted=\"q\"}", NULL },

	{ "", "{}", NO_OBJECT },
	{ "   ", "{}", NO_OBJECT },
	{ "not json", "{}", NO_OBJECT },
	{ "[1,2]", "{}", NO_OBJECT },
	{ "\"str\"", "{}", NO_OBJECT },
	{ "123", "{}", NO_OBJECT },
	{ "null", "{}", NO_OBJECT },
	{ "{a:1}", "{}", NO_OBJECT },
	{ "{\"a\":1 \"b\":2}", "{a=\"1\"}", NO_OBJECT },
	{ "{\"a\":{\"b\":", "{}", NO_OBJECT },
	{ "{\"a\":1", "{a=\"1\"}", NO_ARRAY },
	{ "{\"a\":1,", "{a=\"1\"}", NO_ARRAY },
	{ "{\"a\":[1", "{}", NO_ARRAY },
	{ "{\"a\":\"x", "{}", NO_STRING },
	{ "{\"a\":}", "{}", BAD_VALUE },
	{ "{\"a\":tru}", "{}", BAD_VALUE },
	{ "{", "{}", MALFORMED },
	{ "{\"", "{}", MALFORMED },
	{ "{\"a\"", "{}", MALFORMED },
	{ "{\"a\" 1}", "{}", MALFORMED },
	{ "{\"a\":", "{}", MALFORMED },
	{ "{\"a\":1,\"b\"", "{a=\"1\"}", MALFORMED },
	{ "{\"a\":1,\"\\x\":2}", "{a=\"1\"}", BAD_ESC },
	{ "{\"a\":{\"b\" 1},\"c\":2}", "{}", MALFORMED },
};

struct stage_test {
	struct arena arena;
	struct label_base base;
	struct label_set set;
	struct label_needs needs;
	uint8_t found[8];
	struct parse_hints hints;
	struct buf text;
};

static int setup(void **state)
{
	static const struct label stream[] = { { { "app", 3 }, { "s", 1 } } };
	static const struct label meta[] = { { { "meta", 4 }, { "m", 1 } } };
	struct stage_test *t = xcalloc(1, sizeof(*t));
	struct buf encoded;

	buf_init(&encoded);
	labels_encode(&encoded, (struct labels){ meta, 1 });
	struct slice own = arena_dup(&t->arena, buf_slice(&encoded));
	label_base_init(&t->base, (struct labels){ stream, 1 }, own, &t->arena);
	label_set_init(&t->set);
	t->needs.all = true;
	t->hints = (struct parse_hints){ .needs = &t->needs, .found = t->found };
	buf_fini(&encoded);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct stage_test *t = *state;

	label_set_fini(&t->set);
	arena_fini(&t->arena);
	buf_fini(&t->text);
	free(t);
	return 0;
}

/* The parsed labels without the error. */
static const char *parsed(struct stage_test *t, const char *line)
{
	struct label_vec v = { 0 };
	struct slice error, details;

	label_set_start(&t->set, &t->base);
	parse_hints_start(&t->hints);
	stage_json_run(slice_cstr(line), &t->set, &t->hints, &t->arena);
	error = t->set.error;
	details = t->set.details;
	label_set_error(&t->set, (struct slice){ NULL, 0 }, (struct slice){ NULL, 0 });
	label_set_list(&t->set, LABEL_CAT_PARSED, &v);
	label_set_error(&t->set, error, details);
	buf_reset(&t->text);
	labels_format(&t->text, (struct labels){ v.v, v.n });
	buf_cstr_end(&t->text);
	vec_fini(&v);
	return t->text.p;
}

static void test_lines(void **state)
{
	struct stage_test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = parsed(t, cases[i].line);

		if (strcmp(got, cases[i].labels) != 0)
			print_error("%s\n", cases[i].line);
		assert_string_equal(got, cases[i].labels);
		assert_int_equal(t->set.error.p != NULL, cases[i].error != NULL);
		if (cases[i].error == NULL)
			continue;
		assert_true(slice_is(t->set.error, "JSONParserErr"));
		if (!slice_is(t->set.details, cases[i].error))
			print_error("%s: %.*s\n", cases[i].line, SLICE_ARG(t->set.details));
		assert_true(slice_is(t->set.details, cases[i].error));
	}
}

static void test_only_what_is_needed(void **state)
{
	static struct slice names[] = { { "a", 1 }, { "c_d", 3 } };
	struct stage_test *t = *state;

	t->needs = (struct label_needs){ .n = 2, .names = names };
	assert_string_equal(parsed(t, "{\"x\":1,\"a\":2,\"c\":{\"y\":1,\"d\":3},\"z\":4}"),
			    "{a=\"2\", c_d=\"3\"}");
	/* Nothing is missing, so what follows is not looked at. */
	assert_string_equal(parsed(t, "{\"a\":2,\"c\":{\"d\":3},\"z\""), "{a=\"2\", c_d=\"3\"}");
	assert_null(t->set.error.p);
	assert_string_equal(parsed(t, "{\"a\":2,\"z\""), "{a=\"2\"}");
	assert_non_null(t->set.error.p);
	t->needs.n = 0;
	assert_string_equal(parsed(t, "not json"), "{}");
	assert_null(t->set.error.p);
}

static void test_depth(void **state)
{
	struct stage_test *t = *state;
	struct buf b;

	buf_init(&b);
	for (int depth = 120; depth < 140; depth++) {
		buf_reset(&b);
		for (int i = 0; i < depth; i++)
			buf_puts(&b, "{\"k\":");
		buf_puts(&b, "1");
		for (int i = 0; i < depth; i++)
			buf_putc(&b, '}');
		buf_cstr_end(&b);
		parsed(t, b.p);
		assert_int_equal(t->set.error.p != NULL, depth > STAGE_JSON_MAX_DEPTH);
	}
	buf_fini(&b);
}

/* Thousands of labels in one line: found by a table, and each name once. */
static void test_many_labels(void **state)
{
	struct stage_test *t = *state;
	struct label_vec v = { 0 };
	struct buf b;

	buf_init(&b);
	for (int line = 0; line < 3; line++) {
		buf_reset(&b);
		buf_putc(&b, '{');
		for (int i = 0; i < 20000; i++)
			buf_printf(&b, "\"k%d\":%d,", i % 10000, i + line);
		buf_puts(&b, "}");
		buf_cstr_end(&b);
		parsed(t, b.p);
		label_set_list(&t->set, LABEL_CAT_PARSED, &v);
		assert_int_equal(v.n, 10000);
		buf_reset(&b);
		buf_printf(&b, "%d", 77 + line);
		assert_true(slice_eq(label_set_get(&t->set, SLICE("k77")), buf_slice(&b)));
		assert_null(label_set_get(&t->set, SLICE("k10000")).p);
	}
	buf_fini(&b);
	vec_fini(&v);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_only_what_is_needed),
		TEST(test_depth),
		TEST(test_many_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
