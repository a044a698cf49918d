/* Server-sent events as the client reads them, in one piece and byte by byte. */
#include "cli/events.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
	const char *in;
	const char *out; /* each event as [type|id|data] */
} table[] = {
	{ "data: a\n\n", "[||a]" },
	{ "data:a\n\ndata:  b\n\n", "[||a][|| b]" },
	{ "id: 7\ndata: x\n\ndata: y\n\n", "[|7|x][|7|y]" },
	{ "event: dropped\ndata: 1\ndata: 2\n\ndata: 3\n\n", "[dropped||1\n2][||3]" },
	{ "\xef\xbb\xbf:comment\n: another\n\n\ndata: a\n\n", "[||a]" },
	{ "retry: 10\nunknown: x\ndata\ndata: a\n\n", "[||\na]" },
	{ "data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[||a][||b][||c]" },
	{ "id: 1\nid\ndata: a\n\n", "[||a]" },
	{ "id: 5\n\n: \n\nevent: x\n\ndata: a\n\n", "[|5|][|5|a]" },
	{ "data: incomplete\n", "" },
	{ "event: x\n\ndata: a\n\n", "[||a]" },
};

static bool note(void *arg, struct slice type, struct slice id, struct slice data)
{
	buf_printf(arg, "[%.*s|%.*s|%.*s]", SLICE_ARG(type), SLICE_ARG(id), SLICE_ARG(data));
	return !slice_is(data, "stop");
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct slice in = slice_cstr(table[i].in);

		for (size_t step = 1; step <= in.n; step += MAX(in.n - 1, (size_t)1)) {
			struct buf out = { 0 };
			struct events e;

			events_init(&e, note, &out);
			for (size_t k = 0; k < in.n; k += step)
				assert_true(events_feed(&e, slice_sub(in, k, MIN(step, in.n - k))));
			buf_cstr_end(&out);
			assert_string_equal(out.p, table[i].out);
			events_fini(&e);
			buf_fini(&out);
		}
	}
}

static void test_stop_and_go_on(void **state)
{
	struct buf out = { 0 };
	struct events e;

	(void)state;
	events_init(&e, note, &out);
	assert_false(events_feed(&e, SLICE("id: 4\ndata: stop\n\ndata: never\n\n")));
	events_reset(&e);
	assert_true(events_feed(&e, SLICE("data: half")));
	events_reset(&e);
	assert_true(events_feed(&e, SLICE("data: whole\n\n")));
	buf_cstr_end(&out);
	assert_string_equal(out.p, "[|4|stop][|4|whole]");
	events_fini(&e);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_stop_and_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
