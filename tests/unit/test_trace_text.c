/* The ids in what people paste, and the links made from an id. */
#include "query/trace_text.h"
#include "base/mem.h"
#include "model/trace_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ID    "4bf92f3577b34da6a3ce929d0e0e4736"
#define OTHER "0af7651916cd43dd8448eb211c80319c"
#define XRAY  "1-4bf92f35-77b34da6a3ce929d0e0e4736"

static const struct {
	const char *text, *ids;
} cases[] = {
	{ ID, ID },
	{ "  4BF92F3577B34DA6A3CE929D0E0E4736\n", ID },
	{ "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", ID },
	{ "00-" ID "-00f067aa0ba902b7-01", ID },
	{ "traceparent: 00-" ID "-00f067aa0ba902b7-01", ID },
	{ XRAY, ID },
	{ "Root=" XRAY ";Sampled=1", ID },
	{ "X-Amzn-Trace-Id: Self=1-67891234-12456789abcdef012345678a;Root=" XRAY,
	  "6789123412456789abcdef012345678a " ID },
	{ "parent " XRAY ".", ID },
	{ "80f198ee56343ba8", "80f198ee56343ba8" },
	{ "trace_id: 80f198ee56343ba8", "80f198ee56343ba8" },
	{ "level=info trace_id=80f198ee56343ba8 msg=x", "80f198ee56343ba8" },
	{ "from " OTHER " to " ID " and " OTHER, OTHER " " ID },
	{ "{\"msg\":\"after " OTHER "\",\"trace_id\":\"" ID "\"}", ID " " OTHER },
	{ "a " OTHER "\nb 4bf92f35-77b3-4da6-a3ce-929d0e0e4736\n", OTHER " " ID },
	{ "", "" },
	{ "nothing", "" },
	{ "00000000000000000000000000000000", "" },
};

static void ids_in_texts(void **state)
{
	static const struct slice names[] = { { "trace_id", 8 }, { "traceparent", 11 } };
	struct trace_keys *k = trace_keys_new(names, ARRAY_LEN(names), NULL, 0);
	struct trace_id id[TRACE_TEXT_MAX_IDS];
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = trace_text_ids(k, slice_cstr(cases[i].text), id);

		buf_reset(&b);
		for (size_t m = 0; m < n; m++) {
			if (m > 0)
				buf_putc(&b, ' ');
			trace_text_format(&b, id[m]);
		}
		buf_cstr_end(&b);
		assert_string_equal(b.p, cases[i].ids);
	}
	buf_reset(&b);
	for (int i = 1; i < 100; i++)
		buf_printf(&b, "%032x\n", i);
	assert_int_equal(trace_text_ids(k, buf_slice(&b), id), TRACE_TEXT_MAX_IDS);
	buf_fini(&b);
	trace_keys_free(k);
}

static void links(void **state)
{
	struct trace_link_values v = {
		{ 0x4bf92f3577b34da6, 0xa3ce929d0e0e4736 }, true, 1500000000, 2500000001
	};
	struct slice name;
	struct buf b = { 0 };

	(void)state;
	assert_true(trace_link(&b, SLICE("A b = http://x/{trace_id}?{span_id}&{start}-{end}&{&{{end}}"), &v,
			       &name));
	assert_true(slice_is(name, "A b"));
	buf_cstr_end(&b);
	assert_string_equal(b.p, "http://x/" ID "?{span_id}&1500-2501&{&{2501}");
	v.has_times = false;
	assert_false(trace_link(&b, SLICE("A=http://x/{trace_id}?{end}"), &v, &name));
	assert_true(trace_link(&b, SLICE("A=http://x/{trace_id}"), &v, &name));
	buf_fini(&b);
}

static void settings_of_links(void **state)
{
	static const char *const bad[] = { "",
					   "A",
					   "=http://x/{trace_id}",
					   "A=ftp://x/{trace_id}",
					   "A=http://x/",
					   "A=http://x/ {trace_id}",
					   "A=http://x/\n{trace_id}",
					   "A=javascript:alert('{trace_id}')",
					   "\xff=http://x/{trace_id}" };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(trace_link_check(slice_cstr(bad[i]), &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
	}
	assert_int_equal(trace_link_check(SLICE("Grafana Tempo=https://g/?a=b&id={trace_id}"), &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_in_texts),
		cmocka_unit_test(links),
		cmocka_unit_test(settings_of_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
