/* Pipelines: what is decided once a metadata set, once a line, and by which labels; label filters by their
 * tables. */
#include "base/buf.h"
#include "logql/parse.h"
#include "query/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct pipe_test {
	struct arena arena;
	struct logql *query;
	struct label_needs needs;
	struct pipeline *pipeline;
	struct pipe_state state;
	struct buf text;
};

static void compile(struct pipe_test *t, const char *query)
{
	struct err err;

	assert_int_equal(logql_parse(slice_cstr(query), &t->arena, &t->query, NULL, &err), 0);
	t->needs.all = true;
	assert_int_equal(pipeline_new(&t->query->root->log, &t->needs, &t->pipeline, &err), 0);
	pipe_state_init(&t->state, t->pipeline);
}

static void done(struct pipe_test *t)
{
	pipe_state_fini(&t->state);
	pipeline_free(t->pipeline);
	logql_free(t->query);
	arena_fini(&t->arena);
	buf_fini(&t->text);
	*t = (struct pipe_test){ 0 };
}

static struct labels labels_of(struct pipe_test *t, const char *text)
{
	struct labels l;
	struct err err;

	assert_int_equal(labels_parse(slice_cstr(text), &t->arena, &l, &err), 0);
	return l;
}

/* The labels of an entry that gets through, "" for one that does not. */
static const char *run(struct pipe_test *t, const char *stream, const char *meta, const char *line)
{
	struct label_vec v = { 0 };
	struct pipe_base base;
	struct buf encoded;

	buf_init(&encoded);
	buf_reset(&t->text);
	labels_encode(&encoded, labels_of(t, meta));
	pipeline_base(&t->state, labels_of(t, stream), arena_dup(&t->arena, buf_slice(&encoded)), &t->arena,
		      &base);
	if (base.keep && pipeline_line(t->pipeline, slice_cstr(line)) &&
	    pipeline_run(&t->state, &base, 0, slice_cstr(line))) {
		label_set_list(&t->state.set, LABEL_CAT_ALL, &v);
		labels_format(&t->text, (struct labels){ v.v, v.n });
	}
	buf_cstr_end(&t->text);
	buf_fini(&encoded);
	vec_fini(&v);
	return t->text.p;
}

static void test_precedence(void **state)
{
	static const char stream[] = "{app=\"stream\"}", meta[] = "{app=\"meta\", x=\"meta\"}",
			  line[] = "{\"x\":\"parsed\",\"app\":\"parsed\"}";
	static const struct {
		const char *query, *labels;
	} cases[] = {
		{ "{a=\"b\"}", "{app=\"stream\", app_extracted=\"meta\", x=\"meta\"}" },
		{ "{a=\"b\"} | json",
		  "{app=\"stream\", app_extracted=\"parsed\", x=\"meta\", x_extracted=\"parsed\"}" },
		{ "{a=\"b\"} | json | x=\"parsed\"", "" },
		{ "{a=\"b\"} | json | x_extracted=\"parsed\" | app=\"stream\"",
		  "{app=\"stream\", app_extracted=\"parsed\", x=\"meta\", x_extracted=\"parsed\"}" },
		/* The first filter of a name is asked when a parser finds the name (as Loki does it), others in
		 * their turn. */
		{ "{a=\"b\"} | app_extracted=\"meta\" | json | app_extracted=\"parsed\"", "" },
		{ "{a=\"b\"} | app_extracted=~\"meta|parsed\" | json | app_extracted=\"parsed\"",
		  "{app=\"stream\", app_extracted=\"parsed\", x=\"meta\", x_extracted=\"parsed\"}" },
		{ "{a=\"b\"} | json | json",
		  "{app=\"stream\", app_extracted=\"parsed\", x=\"meta\", x_extracted=\"parsed\"}" },
		{ "{a=\"b\"} | json |= \"nope\"", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pipe_test t = { 0 };

		compile(&t, cases[i].query);
		assert_string_equal(run(&t, stream, meta, line), cases[i].labels);
		done(&t);
	}
}

/* Values of v that a filter keeps; the same as metadata, before any parser, and as a parsed label. */
static void test_label_filters(void **state)
{
	static const struct {
		const char *filter;
		const char *keeps[8], *drops[8];
	} cases[] = {
		{ "v>4", { "5", "5.0", "1e1", "1_0", "+Inf" }, { "NaN", "-3", "0" } },
		{ "v!=5", { "1e1", "1_0", "NaN", "+Inf", "-3", "0" }, { "5", "5.0" } },
		{ "v==5", { "5", "5.0" }, { "1e1", "-3" } },
		{ "v<=-3", { "-3", "-4" }, { "0" } },
		{ "v>=5ms", { "5ms", "1h30m", "1.5h", ".5s" }, { "500us", "-5ms", "0" } },
		{ "v>5KB", { "10KB", "10 kb", "5MiB" }, { "1,000", "1.5KB", "5", "0" } },
		{ "v=~\"5.*\"", { "5", "5ms", "1.5h", "500us" }, { "6" } },
		{ "v=~\"(?i)a.*\"", { "abc", "NaN" }, { "x" } },
		{ "v=~\"5|abc\"", { "5", "abc" }, { "55" } },
		{ "v=~\"[0-9]\"", { "5" }, { "55" } },
		{ "v!~\"[0-9]\"", { "55" }, { "5" } },
		{ "v=~\"\"", { "5", "" }, { NULL } },
		{ "v!~\"\"", { NULL }, { "5", "" } },
		{ "v=\"5\"", { "5" }, { "55", "" } },
		{ "v!=\"5\"", { "55", "" }, { "5" } },
		{ "v=ip(\"10.0.0.0/8\")", { "10.1.2.3", "from 10.1.2.3:80" }, { "11.0.0.1", "" } },
		{ "v!=ip(\"10.0.0.0/8\")", { "11.0.0.1", "" }, { "10.1.2.3" } },
		{ "v>4 and v<6", { "5" }, { "4", "6" } },
		{ "v<4 or v>6", { "3", "7" }, { "5" } },
		{ "( v=\"1\" or v=\"2\" ) and v!=\"2\"", { "1" }, { "2", "3" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int parse = 0; parse < 2; parse++) {
			struct pipe_test t = { 0 };
			char text[128], value[64];

			snprintf(text, sizeof(text), "{a=\"b\"} %s | %s", parse ? "| json" : "",
				 cases[i].filter);
			compile(&t, text);
			for (size_t side = 0; side < 2; side++) {
				const char *const *v = side == 0 ? cases[i].keeps : cases[i].drops;

				for (size_t k = 0; k < 8 && v[k] != NULL; k++) {
					snprintf(value, sizeof(value),
						 parse ? "{\"v\":\"%s\"}" : "{v=\"%s\"}", v[k]);
					/* Metadata has no empty values. */
					if (!parse && v[k][0] == '\0')
						continue;
					const char *got = parse ? run(&t, "{a=\"b\"}", "{}", value)
								: run(&t, "{a=\"b\"}", value, "");
					if ((got[0] != '\0') != (side == 0))
						print_error("%s %s\n", text, v[k]);
					assert_true((got[0] != '\0') == (side == 0));
					assert_null(strstr(got, "__error__"));
				}
			}
			done(&t);
		}
}

static void test_missing_labels(void **state)
{
	static const struct {
		const char *filter;
		bool keeps;
	} cases[] = {
		{ "nope!=5", false },	      { "nope=\"\"", true },
		{ "nope!=\"x\"", true },      { "nope!=ip(\"10.0.0.0/8\")", false },
		{ "nope>5ms", false },	      { "nope<1KB", false },
		{ "nope=~\".+\"", false },    { "__error__=\"\"", true },
		{ "__error__!=\"\"", false }, { "__error_details__!=\"\"", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pipe_test t = { 0 };
		char text[64];

		snprintf(text, sizeof(text), "{a=\"b\"} | %s", cases[i].filter);
		compile(&t, text);
		assert_int_equal(run(&t, "{a=\"b\"}", "{}", "x")[0] != '\0', cases[i].keeps);
		done(&t);
	}
}

static void test_conversion_errors(void **state)
{
#define FAILED(v, details)                                                                                   \
	"{__error__=\"LabelFilterErr\", __error_details__=\"" details "\", a=\"b\", v=\"" v "\"}"
	static const struct {
		const char *filter, *value, *labels;
	} cases[] = {
		{ "v>4", "abc", FAILED("abc", "strconv.ParseFloat: parsing \\\"abc\\\": invalid syntax") },
		{ "v=1d", "1d", FAILED("1d", "time: unknown unit \\\"d\\\" in duration \\\"1d\\\"") },
		{ "v>1s", "5", FAILED("5", "time: missing unit in duration \\\"5\\\"") },
		{ "v>1KB", "5ms", FAILED("5ms", "unhandled size name: ms") },
		{ "v>4 or v=\"abc\"", "xyz",
		  FAILED("xyz", "strconv.ParseFloat: parsing \\\"xyz\\\": invalid syntax") },
		/* Both sides of `and` run; the line goes all the same. */
		{ "v=\"no\" and v>4", "abc", "" },
		{ "v>4 | __error__=\"\"", "abc", "" },
		/* The first error stands. An address filter lets a failed entry pass. */
		{ "v>4 | v>1s", "abc",
		  FAILED("abc", "strconv.ParseFloat: parsing \\\"abc\\\": invalid syntax") },
		{ "v>4 | v=ip(\"10.0.0.1\")", "abc",
		  FAILED("abc", "strconv.ParseFloat: parsing \\\"abc\\\": invalid syntax") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pipe_test t = { 0 };
		char text[128], meta[64];

		snprintf(text, sizeof(text), "{a=\"b\"} | %s", cases[i].filter);
		snprintf(meta, sizeof(meta), "{v=\"%s\"}", cases[i].value);
		compile(&t, text);
		assert_string_equal(run(&t, "{a=\"b\"}", meta, "x"), cases[i].labels);
		done(&t);
	}
}

static void test_what_must_run(void **state)
{
	static const struct {
		const char *query;
		bool lines, base, stages;
		size_t needles;
	} cases[] = {
		{ "{a=\"b\"}", false, false, false, 0 },
		{ "{a=\"b\"} |= \"x\" != \"y\"", true, false, false, 1 },
		{ "{a=\"b\"} |= \"\"", false, false, false, 0 },
		{ "{a=\"b\"} | x=\"1\"", false, true, false, 0 },
		{ "{a=\"b\"} | json | x=\"1\"", false, false, true, 0 },
		{ "{a=\"b\"} | y=\"1\" | json |= \"x\" |= \"z\"", true, true, true, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pipe_test t = { 0 };
		struct slice needle[4];

		compile(&t, cases[i].query);
		assert_int_equal(pipeline_has_line_filters(t.pipeline), cases[i].lines);
		assert_int_equal(pipeline_has_base_filters(t.pipeline), cases[i].base);
		assert_int_equal(pipeline_has_line_stages(t.pipeline), cases[i].stages);
		assert_int_equal(pipeline_needles(t.pipeline, needle, 4), cases[i].needles);
		done(&t);
	}
}

static void test_metadata_can_carry_an_error(void **state)
{
	struct pipe_test t = { 0 };

	(void)state;
	compile(&t, "{a=\"b\"} | __error__=\"e\"");
	assert_string_equal(run(&t, "{a=\"b\"}", "{__error__=\"e\", x=\"1\"}", "line"),
			    "{__error__=\"e\", a=\"b\", x=\"1\"}");
	done(&t);
}

/* label_set alone: replacing, hiding, grouping. */
static void test_label_set(void **state)
{
	static struct slice by[] = { { "a", 1 }, { "m", 1 }, { "p", 1 } };
	struct label_group group = { .n = 3, .names = by };
	struct label_vec v = { 0 };
	struct label_base base;
	struct label_set s;
	struct arena arena;
	struct buf b;

	(void)state;
	arena_init(&arena);
	buf_init(&b);
	label_set_init(&s);
	static const struct label stream[] = { { { "a", 1 }, { "1", 1 } }, { { "b", 1 }, { "2", 1 } } };
	static const struct label meta[] = { { { "m", 1 }, { "3", 1 } } };
	labels_encode(&b, (struct labels){ meta, 1 });
	label_base_init(&base, (struct labels){ stream, 2 }, arena_dup(&arena, buf_slice(&b)), &arena);
	label_set_start(&s, &base);
	label_set_put(&s, SLICE("p"), SLICE("4"));
	label_set_put(&s, SLICE("a"), SLICE("5"));
	label_set_put(&s, SLICE("p"), SLICE(""));
	assert_true(label_set_extracted(&s, SLICE("p")));
	assert_false(label_set_extracted(&s, SLICE("m")));
	assert_true(slice_is(label_set_get(&s, SLICE("a")), "5"));
	label_set_list(&s, LABEL_CAT_STREAM, &v);
	assert_int_equal(v.n, 1);
	label_set_group(&s, &group, &v);
	buf_reset(&b);
	labels_format(&b, (struct labels){ v.v, v.n });
	assert_true(slice_is(buf_slice(&b), "{a=\"5\", m=\"3\", p=\"\"}"));
	group.without = true;
	label_set_group(&s, &group, &v);
	assert_int_equal(v.n, 1);
	/* Nothing is left of it for the next entry. */
	label_set_start(&s, &base);
	assert_true(slice_is(label_set_get(&s, SLICE("a")), "1"));
	assert_null(label_set_get(&s, SLICE("p")).p);
	label_set_fini(&s);
	vec_fini(&v);
	buf_fini(&b);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_precedence),     cmocka_unit_test(test_label_filters),
		cmocka_unit_test(test_missing_labels), cmocka_unit_test(test_conversion_errors),
		cmocka_unit_test(test_what_must_run),  cmocka_unit_test(test_metadata_can_carry_an_error),
		cmocka_unit_test(test_label_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
