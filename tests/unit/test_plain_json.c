/* JSON lines of a log file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ingest/plain_json.h"

#define NOW 1795425370000000000

static const struct {
	const char *text;
	bool is_string, ok;
	int64_t ts;
} times[] = {
	{ "2026-11-23T09:10:00.5Z", true, true, 1795425000500000000 },
	{ "2026-11-23T10:10:00+01:00", true, true, 1795425000000000000 },
	{ "1795425000", false, true, 1795425000000000000 },
	{ "1795425000.25", false, true, 1795425000250000000 },
	{ "1795425000500", false, true, 1795425000500000000 },
	{ "1795425000500.125", false, true, 1795425000500125000 },
	{ "1795425000500000", false, true, 1795425000500000000 },
	{ "1795425000500000000", false, true, 1795425000500000000 },
	{ "1795425000500000000.9", false, true, 1795425000500000000 },
	{ "1.795425e9", false, true, 1795425000000000000 },
	{ "1795425000", true, true, 1795425000000000000 },
	{ "-5", false, true, -5000000000 },
	{ "0", false, true, 0 },
	{ "9223372036854775808", false, false, 0 },
	{ "yesterday", true, false, 0 },
	{ "", true, false, 0 },
	{ "true", false, false, 0 },
	{ "1e300", false, false, 0 },
};

static void test_times(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t ts = 42;
		bool ok = plain_json_time(slice_cstr(times[i].text), times[i].is_string, &ts);

		if (ok != times[i].ok || (ok && ts != times[i].ts))
			fail_msg("%s: %d %lld", times[i].text, ok, (long long)ts);
	}
}

static void show(const struct batch *b, struct buf *out)
{
	for (size_t i = 0; i < b->streams.n; i++) {
		labels_format(out, b->streams.v[i].labels);
		for (size_t k = 0; k < b->streams.v[i].n; k++) {
			const struct batch_entry *e = &b->entries.v[b->streams.v[i].first + k];

			buf_printf(out, " %lld|%.*s", (long long)(e->ts >= NOW ? e->ts - NOW : e->ts),
				   SLICE_ARG(e->line));
		}
		buf_puts(out, ";");
	}
	buf_cstr_end(out);
}

/* Times are shown as they are, arrival times as 0, 1, 2, ... */
static const struct {
	const char *body, *labels[4], *shown;
} cases[] = {
	{ "{\"ts\":5,\"m\":\"a\"}\n{\"ts\":6}\n",
	  { NULL },
	  "{} 5000000000|{\"ts\":5,\"m\":\"a\"} 6000000000|{\"ts\":6};" },
	{ "{\"m\":1}\r\n\n  \n{\"m\":2}", { NULL }, "{} 0|{\"m\":1} 1|{\"m\":2};" },
	{ "plain text\n{\"ts\":5} x\n[1]\n{\"ts\":5",
	  { NULL },
	  "{} 0|plain text 1|{\"ts\":5} x 2|[1] 3|{\"ts\":5;" },
	/* timestamp before time before ts before @timestamp, wherever they stand; one that is no time does
	   not count */
	{ "{\"@timestamp\":4,\"ts\":3,\"time\":2,\"timestamp\":1}",
	  { NULL },
	  "{} 1000000000|{\"@timestamp\":4,\"ts\":3,\"time\":2,\"timestamp\":1};" },
	{ "{\"timestamp\":\"soon\",\"@timestamp\":4}",
	  { NULL },
	  "{} 4000000000|{\"timestamp\":\"soon\",\"@timestamp\":4};" },
	{ "{\"a\":{\"ts\":5}}", { NULL }, "{} 0|{\"a\":{\"ts\":5}};" },
	/* fields as labels; streams are put together */
	{ "{\"l\":\"x\"}\n{\"l\":\"y\"}\n{\"l\":\"x\",\"n\":1}",
	  { "l", NULL },
	  "{l=\"x\"} 0|{\"l\":\"x\"} 2|{\"l\":\"x\",\"n\":1};{l=\"y\"} 1|{\"l\":\"y\"};" },
	{ "{\"a\":{\"b\":{\"c\":1.50}},\"a.b\":{\"d\":true},\"e\":null,\"f\":[1],\"g\":{},\"h\":"
	  "\"\\u0041\\n\"}",
	  { "a.b.c", "a_b_d", "h", NULL },
	  "{a_b_c=\"1.50\", a_b_d=\"true\", h=\"A\\n\"} "
	  "0|{\"a\":{\"b\":{\"c\":1.50}},\"a.b\":{\"d\":true},\"e\":null,\"f\":[1],\"g\":{},\"h\":"
	  "\"\\u0041\\n\"};" },
	{ "{\"e\":null,\"f\":[1],\"g\":{\"x\":1}}",
	  { "e", "f", "g", NULL },
	  "{} 0|{\"e\":null,\"f\":[1],\"g\":{\"x\":1}};" },
	{ "{\"k8s-pod\":\"p\",\"1x\":2}",
	  { "k8s-pod", "1x", NULL },
	  "{_1x=\"2\", k8s_pod=\"p\"} 0|{\"k8s-pod\":\"p\",\"1x\":2};" },
	{ "no object", { "l", NULL }, "{} 0|no object;" },
	{ "{\"l\":\"\xff\"}", { "l", NULL }, "{} 0|{\"l\":\"\xff\"};" },
	{ "", { NULL }, "" },
};

static void test_bodies(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice labels[4];
		struct decode_options o = { .now_ns = NOW, .labels = labels };
		size_t n = strlen(cases[i].body);
		char *copy = xmalloc(n + 1);
		struct batch b;
		struct err err;

		memcpy(copy, cases[i].body, n);
		for (; cases[i].labels[o.n_labels] != NULL; o.n_labels++)
			labels[o.n_labels] = slice_cstr(cases[i].labels[o.n_labels]);
		batch_init(&b);
		buf_reset(&out);
		assert_int_equal(decode_plain_json(slice_of(copy, n), &o, &b, &err), 0);
		show(&b, &out);
		if (strcmp(out.p, cases[i].shown) != 0)
			fail_msg("%s: %s", cases[i].body, out.p);
		batch_fini(&b);
		free(copy);
	}
	buf_fini(&out);
}

static void test_limits(void **state)
{
	struct slice labels[40], one[1] = { SLICE("l") };
	struct decode_options o = { .now_ns = NOW, .max_entries = 2 };
	struct batch b;
	struct err err;

	(void)state;
	batch_init(&b);
	assert_int_equal(decode_plain_json(SLICE("a\nb\nc\n"), &o, &b, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	batch_fini(&b);
	o = (struct decode_options){ .now_ns = NOW, .max_streams = 1, .labels = one, .n_labels = 1 };
	batch_init(&b);
	assert_int_equal(decode_plain_json(SLICE("{\"l\":1}\n{\"l\":2}\n"), &o, &b, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	batch_fini(&b);
	for (size_t i = 0; i < 40; i++)
		labels[i] = SLICE("x");
	o = (struct decode_options){ .now_ns = NOW, .labels = labels, .n_labels = 40 };
	batch_init(&b);
	assert_int_equal(decode_plain_json(SLICE("{}"), &o, &b, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	batch_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
