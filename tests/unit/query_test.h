/* tests/unit/query_test.h - runs a query on a fake store and renders the result as text, one stream or series
 *a line: {app="a"} 30:newest 20:older          {app="a"} 60=2 120=1                                        */
#ifndef TESTS_QUERY_TEST_H
#define TESTS_QUERY_TEST_H

/* Times are written in these: ns. */
#ifndef QUERY_TEST_UNIT
#define QUERY_TEST_UNIT 1
#endif

#include "base/pool.h"
#include "base/text.h"
#include "query/query.h"
#include "tests/unit/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct query_test {
	struct fake_store store;
	struct query_engine engine;
	struct query_request req;
	struct query_control control;
	struct limits limits;
	struct query_stats stats;
	struct buf text; /* of the last result */
	struct err err;	 /* of the last failure */
};

static void render_labels(struct buf *b, const char *name, struct labels l)
{
	if (l.n == 0)
		return;
	buf_puts(b, name);
	labels_format(b, l);
}

static void render(struct buf *b, const struct query_result *r)
{
	for (size_t i = 0; i < r->n_streams; i++) {
		labels_format(b, r->stream[i].labels);
		for (size_t k = 0; k < r->stream[i].n; k++) {
			const struct result_entry *e = &r->stream[i].entry[k];

			buf_printf(b, " %lld:%.*s", (long long)(e->ts / QUERY_TEST_UNIT), SLICE_ARG(e->line));
			render_labels(b, "+", e->meta);
			render_labels(b, "*", e->parsed);
		}
		buf_putc(b, '\n');
	}
	for (size_t i = 0; i < r->n_series; i++) {
		labels_format(b, r->series[i].labels);
		for (size_t k = 0; k < r->series[i].n; k++) {
			buf_printf(b, " %lld=", (long long)(r->series[i].point[k].ts / QUERY_TEST_UNIT));
			text_float(b, r->series[i].point[k].value);
		}
		buf_putc(b, '\n');
	}
	for (size_t i = 0; i < r->n_warnings; i++)
		buf_printf(b, "warning: %.*s\n", SLICE_ARG(r->warning[i]));
	buf_cstr_end(b);
}

static inline int query_test_setup(void **state)
{
	static const struct slice keys[] = { { "trace_id", 8 } };
	struct query_test *t = xcalloc(1, sizeof(*t));

	fake_store_init(&t->store);
	t->engine = (struct query_engine){ .store = (struct store *)&t->store,
					   .pool = pool_new("test", 2),
					   .keys = trace_keys_new(keys, 1, NULL, 0) };
	t->req = (struct query_request){ .tenant = SLICE("fake"),
					 .start = 0,
					 .end = 1000 * QUERY_TEST_UNIT,
					 .step = QUERY_TEST_UNIT,
					 .limit = 100,
					 .limits = &t->limits };
	*state = t;
	return 0;
}

static inline int query_test_teardown(void **state)
{
	struct query_test *t = *state;

	pool_free(t->engine.pool);
	trace_keys_free((struct trace_keys *)(uintptr_t)t->engine.keys);
	fake_store_fini(&t->store);
	buf_fini(&t->text);
	free(t);
	return 0;
}

/* The rendered result, or the error's text. */
static inline const char *query(struct query_test *t, const char *text)
{
	struct query_result r;

	t->req.text = slice_cstr(text);
	buf_reset(&t->text);
	err_clear(&t->err);
	if (query_run(&t->engine, &t->req, &t->control, &r, &t->err) == -1)
		return t->err.msg;
	render(&t->text, &r);
	t->stats = r.stats;
	query_result_fini(&r);
	return t->text.p;
}

#define assert_query(t, text, expected) assert_string_equal(query(t, text), expected)

#endif
