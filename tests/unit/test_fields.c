/* The fields panel on a fake store: where a field comes from, its type, how many lines and values, the top. */
#include "query/fields.h"
#include "base/clock.h"
#include "tests/unit/query_test.h"

/* The label names of the fake store's streams are not asked for through the store but answered here. */
static const char *label_names[] = { "app", "pod" };

int store_labels(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		 struct timerange range, struct slice name, struct arena *a, struct slice **out,
		 size_t *n_out, struct err *err)
{
	(void)s;
	(void)tenant;
	(void)m;
	(void)n_matchers;
	(void)range;
	(void)name;
	(void)err;
	*out = arena_array(a, struct slice, ARRAY_LEN(label_names));
	for (size_t i = 0; i < ARRAY_LEN(label_names); i++)
		(*out)[i] = slice_cstr(label_names[i]);
	*n_out = ARRAY_LEN(label_names);
	return 0;
}

static void render_summary(struct buf *b, const struct field_summary *f)
{
	static const char *const origins[] = { "label", "metadata", "parsed", "detected" };
	static const char *const types[] = { "int", "float", "boolean", "duration", "bytes", "string" };

	buf_printf(b, "%s%s %.*s %s%s lines=%llu values=%llu%s", origins[f->origin],
		   f->origin != FIELD_IN_LINE ? ""
		   : f->parser == FIELD_JSON  ? "/json"
					      : "/logfmt",
		   SLICE_ARG(f->name), types[f->type], f->exact ? " exact" : "", (unsigned long long)f->lines,
		   (unsigned long long)f->values, f->more ? "+" : "");
	for (size_t i = 0; i < f->n_top; i++)
		buf_printf(b, " %.*s%s:%llu", SLICE_ARG(f->top[i].value), f->top[i].cut ? "…" : "",
			   (unsigned long long)f->top[i].lines);
	buf_putc(b, '\n');
}

static const char *fields(struct query_test *t, const char *text, uint32_t sample)
{
	struct detect_request r = { .tenant = SLICE("fake"),
				    .text = slice_cstr(text),
				    .range = { 0, 1000 * NS_PER_MS },
				    .line_limit = sample,
				    .limits = &t->limits };
	struct fields_result v;
	struct arena a;

	arena_init(&a);
	buf_reset(&t->text);
	int rc = fields_summarize(&t->engine, &r, &t->control, &a, &v, &t->err);
	if (rc == 0)
		buf_printf(&t->text, "%llu%s\n", (unsigned long long)v.sampled,
			   v.complete ? " complete" : "");
	for (size_t i = 0; rc == 0 && i < v.n; i++)
		render_summary(&t->text, &v.field[i]);
	buf_cstr_end(&t->text);
	arena_fini(&a);
	return rc == 0 ? t->text.p : t->err.msg;
}

static void origins_and_types(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", NS_PER_MS,
		       "{\"n\":1,\"f\":1,\"ok\":true,\"u\":{\"id\":\"x\"}}", "{user=\"7\"}");
	fake_store_add(&t->store, "{app=\"a\"}", 2 * NS_PER_MS,
		       "{\"n\":2,\"f\":1.5,\"ok\":false,\"app\":\"z\"}", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 3 * NS_PER_MS, "n=2 took=10ms size=5MB mixed=1", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 4 * NS_PER_MS, "mixed=yes", NULL);
	assert_string_equal(fields(t, "{app=~\".+\"}", 100),
			    "4 complete\n"
			    "label app string exact lines=4 values=2 a:2 b:2\n"
			    "metadata user int exact lines=1 values=1 7:1\n"
			    "detected/json f float exact lines=2 values=2 1:1 1.5:1\n"
			    "detected/logfmt mixed string exact lines=2 values=2 1:1 yes:1\n"
			    "detected/json n int exact lines=2 values=2 1:1 2:1\n"
			    "detected/json ok boolean exact lines=2 values=2 false:1 true:1\n"
			    "detected/json app_extracted string exact lines=1 values=1 z:1\n"
			    "detected/logfmt n int exact lines=1 values=1 2:1\n"
			    "detected/logfmt size bytes exact lines=1 values=1 5MB:1\n"
			    "detected/logfmt took duration exact lines=1 values=1 10ms:1\n"
			    "detected/json u_id string exact lines=1 values=1 x:1\n");
	/* What the query's own stages make is not detected again. */
	assert_string_equal(fields(t, "{app=\"b\"} | logfmt | n=2", 100),
			    "1 complete\n"
			    "label app string exact lines=1 values=1 b:1\n"
			    "parsed mixed int exact lines=1 values=1 1:1\n"
			    "parsed n int exact lines=1 values=1 2:1\n"
			    "parsed size bytes exact lines=1 values=1 5MB:1\n"
			    "parsed took duration exact lines=1 values=1 10ms:1\n");
	assert_string_equal(fields(t, "rate({app=\"a\"}[1m])", 100), "only log selector is supported");
	assert_string_equal(fields(t, "{app=\"none\"}", 100), "0 complete\n");
}

static void the_most_frequent_first(void **state)
{
	struct query_test *t = *state;

	for (int i = 0; i < 60; i++) {
		char line[32];

		snprintf(line, sizeof(line), "v=%d w=%d", i < 20 ? 5 : i, i % 2);
		fake_store_add(&t->store, "{app=\"a\"}", (i + 1) * NS_PER_MS, line, NULL);
	}
	assert_string_equal(fields(t, "{app=\"a\"}", 100),
			    "60 complete\n"
			    "label app string exact lines=60 values=1 a:60\n"
			    "detected/logfmt v int exact lines=60 values=41 5:20 20:1 21:1 22:1 23:1 24:1 "
			    "25:1 26:1 27:1 28:1\n"
			    "detected/logfmt w int exact lines=60 values=2 0:30 1:30\n");
}

/* Labels of a bare selector are counted in all lines, everything else in the newest ones. */
static void labels_of_the_whole_range(void **state)
{
	struct query_test *t = *state;

	for (int i = 0; i < 50; i++)
		fake_store_add(&t->store, i < 40 ? "{app=\"a\", pod=\"1\"}" : "{app=\"b\"}", i * NS_PER_MS,
			       "k=v", NULL);
	fake_store_add(&t->store, "{app=\"b\"}", 1000 * NS_PER_MS, "k=too late", NULL);
	assert_string_equal(fields(t, "{app=~\".+\"}", 5),
			    "5\n"
			    "label app string exact lines=50 values=2 a:40 b:10\n"
			    "label pod int exact lines=40 values=1 1:40\n"
			    "detected/logfmt k string lines=5 values=1 v:5\n");
	assert_string_equal(fields(t, "{app=~\".+\"} # all\n", 5),
			    "5\n"
			    "label app string exact lines=50 values=2 a:40 b:10\n"
			    "label pod int exact lines=40 values=1 1:40\n"
			    "detected/logfmt k string lines=5 values=1 v:5\n");
	assert_string_equal(fields(t, "{app=~\".+\"} |= `v`", 5),
			    "5\n"
			    "label app string lines=5 values=1 b:5\n"
			    "detected/logfmt k string lines=5 values=1 v:5\n");
	t->limits.max_query_series = 1; /* of clients' queries: these are our own */
	assert_non_null(strstr(fields(t, "{app=~\".+\"}", 5), "label app string exact lines=50"));
}

static void many_and_long_values(void **state)
{
	struct query_test *t = *state;
	struct buf line = { 0 };

	for (int i = 0; i < 1200; i++) {
		buf_reset(&line);
		buf_printf(&line, "{\"id\":%d}", i);
		buf_cstr_end(&line);
		fake_store_add(&t->store, "{app=\"a\"}", i * 1000, line.p, NULL);
	}
	assert_non_null(
		strstr(fields(t, "{app=\"a\"}", 5000), "detected/json id int lines=1200 values=1000+ "));
	for (int i = 0; i < 3; i++) {
		buf_reset(&line);
		buf_puts(&line, "v=");
		for (int k = 0; k < 511; k++)
			buf_putc(&line, 'x');
		buf_printf(&line, "é%d", i / 2);
		buf_cstr_end(&line);
		fake_store_add(&t->store, "{app=\"b\"}", i * 1000, line.p, NULL);
	}
	const char *got = fields(t, "{app=\"b\"}", 100);
	assert_non_null(strstr(got, "detected/logfmt v string exact lines=3 values=2 xxxx"));
	assert_non_null(strstr(got, "x…:2 xxxx")); /* not cut inside é */
	assert_non_null(strstr(got, "x…:1\n"));
	buf_fini(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(origins_and_types, query_test_setup, query_test_teardown),
		cmocka_unit_test_setup_teardown(the_most_frequent_first, query_test_setup,
						query_test_teardown),
		cmocka_unit_test_setup_teardown(labels_of_the_whole_range, query_test_setup,
						query_test_teardown),
		cmocka_unit_test_setup_teardown(many_and_long_values, query_test_setup, query_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
