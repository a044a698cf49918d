/* Detected labels and fields on a fake store: what is a field, its name, type, parsers and path. */
#include "query/detect.h"
#include "tests/unit/query_test.h"

/* Belongs to the store; nothing here asks for it. */
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
	(void)a;
	(void)out;
	(void)n_out;
	return err_set(err, ERR_INTERNAL, "not expected");
}

static const char *labels(struct query_test *t, const char *selector)
{
	struct meta_request r = { SLICE("fake"), slice_cstr(selector), { 0, 1000 } };
	struct detected_label *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	int rc = detect_labels(&t->engine, &r, &t->control, &a, &v, &n, &t->err);
	buf_reset(&t->text);
	for (size_t i = 0; rc == 0 && i < n; i++)
		buf_printf(&t->text, "%.*s=%llu ", SLICE_ARG(v[i].name),
			   (unsigned long long)v[i].cardinality);
	buf_cstr_end(&t->text);
	arena_fini(&a);
	return rc == 0 ? t->text.p : t->err.msg;
}

static struct detect_request request(struct query_test *t, const char *text, uint32_t limit)
{
	return (struct detect_request){ .tenant = SLICE("fake"),
					.text = slice_cstr(text),
					.range = { 0, 1000 },
					.line_limit = 100,
					.limit = limit,
					.limits = &t->limits };
}

static void render_field(struct buf *b, const struct detected_field *f)
{
	static const char *const types[] = { "int", "float", "boolean", "duration", "bytes", "string" };

	buf_printf(b, "%.*s %s %llu", SLICE_ARG(f->name), types[f->type], (unsigned long long)f->cardinality);
	for (size_t i = 0; i < f->n_parsers; i++)
		buf_puts(b, f->parser[i] == FIELD_JSON ? " json" : " logfmt");
	for (size_t i = 0; i < f->n_path; i++)
		buf_printf(b, "%s%.*s", i == 0 ? " " : "/", SLICE_ARG(f->path[i]));
	buf_putc(b, '\n');
}

static const char *fields(struct query_test *t, const char *text, uint32_t limit)
{
	struct detect_request r = request(t, text, limit);
	struct detected_field *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	int rc = detect_fields(&t->engine, &r, &t->control, &a, &v, &n, &t->err);
	buf_reset(&t->text);
	for (size_t i = 0; rc == 0 && i < n; i++)
		render_field(&t->text, &v[i]);
	buf_cstr_end(&t->text);
	arena_fini(&a);
	return rc == 0 ? t->text.p : t->err.msg;
}

static const char *values(struct query_test *t, const char *text, const char *name, uint32_t limit)
{
	struct detect_request r = request(t, text, limit);
	struct slice *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	int rc = detect_values(&t->engine, &r, slice_cstr(name), &t->control, &a, &v, &n, &t->err);
	buf_reset(&t->text);
	for (size_t i = 0; rc == 0 && i < n; i++)
		buf_printf(&t->text, "%.*s ", SLICE_ARG(v[i]));
	buf_cstr_end(&t->text);
	arena_fini(&a);
	return rc == 0 ? t->text.p : t->err.msg;
}

static void labels_that_are_no_ids(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store,
		       "{app=\"a\", pod=\"1\", flag=\"0\", n=\"1.5\", "
		       "id=\"4bf92f35-77b3-4da6-a3ce-929d0e0e4736\", mixed=\"7\"}",
		       1, "x", NULL);
	fake_store_add(&t->store,
		       "{app=\"b\", pod=\"2\", flag=\"1\", n=\"2\", id=\"4bf92f3577b34da6a3ce929d0e0e4736\", "
		       "mixed=\"x\"}",
		       1, "x", NULL);
	assert_string_equal(labels(t, ""), "app=2 flag=2 mixed=2 pod=2 ");
	assert_string_equal(labels(t, "{app=\"a\"}"), "app=1 flag=1 pod=1 ");
	assert_string_equal(labels(t, "{app=\"c\"}"), "");
	assert_string_equal(labels(t, "{app=\"a\"} | json"), "only label matchers are supported");
}

static void json_lines(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1,
		       "{\"n\":1,\"user\":{\"id\":\"u1\",\"a "
		       "b\":{\"c\":true}},\"list\":[1],\"nil\":null,\"app\":\"x\"}",
		       NULL);
	assert_string_equal(fields(t, "{app=\"a\"}", 100), "app_extracted string 1 json app\n"
							   "n int 1 json n\n"
							   "user_a_b_c boolean 1 json user/a b/c\n"
							   "user_id string 1 json user/id\n");
	assert_string_equal(fields(t, "{app=\"a\"} | json", 2), "app_extracted string 1 json app\n"
								"n int 1 json n\n");
}

static void types(void **state)
{
	static const struct {
		const char *value, *type;
	} rows[] = {
		{ "12", "int" },	{ "-3", "int" },
		{ "1.5", "float" },	{ "99999999999999999999", "float" },
		{ "1e3", "float" },	{ "true", "boolean" },
		{ "F", "boolean" },	{ "yes", "string" },
		{ "1.5s", "duration" }, { "3d", "string" },
		{ "2KB", "bytes" },	{ "1.5 MiB", "bytes" },
		{ "12x", "string" },
	};
	struct query_test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[64], expected[64];

		snprintf(line, sizeof(line), "v=\"%s\"", rows[i].value);
		snprintf(expected, sizeof(expected), "v %s 1 logfmt\n", rows[i].type);
		fake_store_fini(&t->store);
		fake_store_init(&t->store);
		fake_store_add(&t->store, "{app=\"a\"}", 1, line, NULL);
		assert_string_equal(fields(t, "{app=\"a\"}", 100), expected);
	}
}

/* The newest line is looked at first; metadata has no parser, and where it holds a name a parsed one gets a suffix. */
static void both_parsers_and_metadata(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1, "{\"s\":200,\"id\":\"line\"}", "{id=\"meta\"}");
	fake_store_add(&t->store, "{app=\"a\"}", 2, "s=500 id=x plain text", "{id=\"meta\"}");
	assert_string_equal(fields(t, "{app=\"a\"}", 100), "id string 1\n"
							   "id_extracted string 2 logfmt json id\n"
							   "s int 2 logfmt json s\n");
	assert_string_equal(values(t, "{app=\"a\"}", "id", 10), "meta ");
	assert_string_equal(values(t, "{app=\"a\"}", "s", 10), "500 200 ");
	assert_string_equal(values(t, "{app=\"a\"}", "s", 1), "500 ");
	assert_string_equal(values(t, "{app=\"a\"} |= \"line\"", "s", 10), "200 ");
}

/* What the query's own stages make are fields, too, and do not stand in the way of those in the line. */
static void with_a_pipeline(void **state)
{
	struct query_test *t = *state;

	fake_store_add(&t->store, "{app=\"a\"}", 1, "W status=500", NULL);
	fake_store_add(&t->store, "{app=\"a\"}", 2, "I status=200", NULL);
	assert_string_equal(fields(t, "{app=\"a\"} | logfmt | status=500", 10), "status int 1 logfmt\n");
	assert_string_equal(fields(t, "{app=\"a\"} | regexp `^(?P<sev>.)` | status=\"\"", 10),
			    "sev string 2 logfmt\nstatus int 2 logfmt\n");
	assert_string_equal(fields(t, "{app=\"a\"} | json", 10), "status int 2 logfmt\n");
	assert_string_equal(values(t, "{app=\"a\"}", "app", 10), "");
	assert_string_equal(fields(t, "rate({app=\"a\"}[1m])", 10), "only log selector is supported");
	t->control.cancelled = true;
	(void)fields(t, "{app=\"a\"}", 10);
	assert_int_equal(t->err.code, ERR_CANCELLED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, query_test_setup, query_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(labels_that_are_no_ids),	 TEST(json_lines),	TEST(types),
		TEST(both_parsers_and_metadata), TEST(with_a_pipeline),
	};

	(void)query;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
