/* The two forms in which counters are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/metrics.h"

static struct buf out;

static bool shows(enum metrics_format format, const char *text)
{
	buf_reset(&out);
	metrics_render_as(&out, format);
	return slice_find(buf_slice(&out), slice_cstr(text)) != SLICE_NONE;
}

static int setup(void **state)
{
	(void)state;
	metric_add(metric_counter("a_lines_total", "Lines.", "tenant=\"x\""), 7);
	metric_add(metric_seconds("b_seconds_total", "Time.", NULL), 1500000);
	metric_set(metric_gauge("c_bytes", "Memory.", NULL), 42);
	metric_add(metric_counter("d_odd", "A counter by another name.", NULL), 3);
	metric_observe(metric_histogram("e_seconds", "Times.", NULL), 0.7);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_fini(&out);
	return 0;
}

static void test_text(void **state)
{
	static const char *const parts[] = {
		"# HELP a_lines_total Lines.\n# TYPE a_lines_total counter\na_lines_total{tenant=\"x\"} 7\n",
		"# TYPE b_seconds_total counter\nb_seconds_total 1.5\n",
		"# TYPE c_bytes gauge\nc_bytes 42\n",
		"# TYPE d_odd counter\nd_odd 3\n",
		"# TYPE e_seconds histogram\n",
		"e_seconds_bucket{le=\"1\"} 1\n",
		"e_seconds_bucket{le=\"+Inf\"} 1\ne_seconds_sum 0.7\ne_seconds_count 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!shows(METRICS_TEXT, parts[i]))
			fail_msg("%s is missing in %.*s", parts[i], SLICE_ARG(buf_slice(&out)));
	assert_false(shows(METRICS_TEXT, "# EOF"));
	assert_false(shows(METRICS_TEXT, "# UNIT"));
}

static void test_openmetrics(void **state)
{
	static const char *const parts[] = {
		"# HELP a_lines Lines.\n# TYPE a_lines counter\na_lines_total{tenant=\"x\"} 7\n",
		"# TYPE b_seconds counter\n# UNIT b_seconds seconds\nb_seconds_total 1.5\n",
		"# TYPE c_bytes gauge\n# UNIT c_bytes bytes\nc_bytes 42\n",
		"# TYPE d_odd unknown\nd_odd 3\n",
		"e_seconds_bucket{le=\"1.0\"} 1\n",
		"e_seconds_bucket{le=\"2.5\"} 1\n",
		"e_seconds_bucket{le=\"120.0\"} 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!shows(METRICS_OPENMETRICS, parts[i]))
			fail_msg("%s is missing in %.*s", parts[i], SLICE_ARG(buf_slice(&out)));
	assert_true(slice_ends(buf_slice(&out), SLICE("\n# EOF\n")));
}

static void test_exemplar(void **state)
{
	struct metric *m = metric_counter("f_errors_total", "Errors.", "s=\"1\"");

	(void)state;
	metric_add(m, 5);
	metric_exemplar(m, SLICE("not \"an\" id"), 1, 5);
	assert_true(shows(METRICS_OPENMETRICS, "f_errors_total{s=\"1\"} 5\n"));
	metric_exemplar(m, SLICE("4bf92f3577b34da6a3ce929d0e0e4736"), 1, INT64_C(1795424400123456789));
	assert_true(shows(METRICS_OPENMETRICS,
			  "f_errors_total{s=\"1\"} 5 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 1 "
			  "1795424400.123\n"));
	assert_true(shows(METRICS_TEXT, "f_errors_total{s=\"1\"} 5\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_exemplar),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
