/* What the client prints: for a terminal, for a pipe, for a program; and times as people write them. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/render.h"
#include "cli/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define T0 (INT64_C(1768471200) * NS_PER_S) /* 2026-01-15T10:00:00Z */

static struct label web[] = { { SLICE("app"), SLICE("web") }, { SLICE("pod"), SLICE("web-1") } };
static struct label web2[] = { { SLICE("app"), SLICE("web") },
			       { SLICE("pod"), SLICE("web-2") },
			       { SLICE("x"), SLICE("y") } };

static void says(struct buf *b, const char *expected)
{
	buf_cstr_end(b);
	assert_string_equal(b->n > 0 ? b->p : "", expected);
	buf_fini(b);
}

static void only_differing_labels_are_shown(void **state)
{
	const struct render r = { .output = OUTPUT_TEXT };
	const struct entry e[] = {
		{ T0, SLICE("one"), { web, 2 } },
		{ T0 + 1500000, SLICE("two"), { web2, 3 } },
	};
	struct buf b = { 0 };
	struct arena a;

	(void)state;
	arena_init(&a);
	struct labels common = labels_common(&a, e, 2);
	assert_int_equal(common.n, 1);
	assert_true(slice_is(common.v[0].name, "app"));
	render_entry(&b, &r, &e[0], common);
	render_entry(&b, &r, &e[1], common);
	says(&b, "2026-01-15T10:00:00Z {pod=\"web-1\"} one\n"
		 "2026-01-15T10:00:00.0015Z {pod=\"web-2\", x=\"y\"} two\n");
	/* all in common: no braces at all; a later line that lacks a common label says so */
	common = labels_common(&a, e, 1);
	render_entry(&b, &r, &e[0], common);
	says(&b, "2026-01-15T10:00:00Z one\n");
	const struct entry bare = { T0, SLICE("three"), { web, 1 } };
	render_entry(&b, &r, &bare, common);
	says(&b, "2026-01-15T10:00:00Z {pod=\"\"} three\n");
	assert_int_equal(labels_common(&a, e, 0).n, 0);
	arena_fini(&a);
}

static void a_terminal_sees_no_controls(void **state)
{
	const struct render tty = { .output = OUTPUT_TEXT, .escape = true }, pipe = { .output = OUTPUT_RAW };
	static struct label evil[] = { { SLICE("a"), SLICE("\x1b[2J\xe2\x80\xae") } };
	const struct entry e = { T0, SLICE("\x1b]0;x\x07 \xc2\x9b\xff\tok"), { evil, 1 } };
	struct buf b = { 0 };

	(void)state;
	render_entry(&b, &tty, &e, (struct labels){ 0 });
	for (size_t i = 0; i + 1 < b.n; i++)
		assert_true((unsigned char)b.p[i] >= 0x20 || b.p[i] == '\t');
	assert_true(slice_find(buf_slice(&b), SLICE("\xe2\x80\xae")) == SLICE_NONE);
	assert_true(slice_find(buf_slice(&b), SLICE("\\x1b]0;x\\x07")) != SLICE_NONE);
	buf_reset(&b);
	render_entry(&b, &pipe, &e, (struct labels){ 0 });
	says(&b, "\x1b]0;x\x07 \xc2\x9b\xff\tok\n");
}

static void colours_stand_around_data(void **state)
{
	const struct render r = { .output = OUTPUT_TEXT, .color = true, .escape = true };
	const struct entry e = { T0, SLICE("l"), { web, 1 } };
	struct buf b = { 0 };

	(void)state;
	render_entry(&b, &r, &e, (struct labels){ 0 });
	says(&b, "\x1b[2m2026-01-15T10:00:00Z\x1b[0m \x1b[36m{app=\"web\"}\x1b[0m l\n");
}

static void objects_for_programs(void **state)
{
	const struct render r = { .output = OUTPUT_JSONL };
	const struct entry e = { T0 + 1, SLICE("say \"hi\"\n"), { web, 2 } };
	const struct sample s = { T0, SLICE("1.5"), { web, 1 } };
	struct buf b = { 0 };

	(void)state;
	render_entry(&b, &r, &e, (struct labels){ web, 2 });
	says(&b, "{\"timestamp\":\"2026-01-15T10:00:00.000000001Z\",\"labels\":{\"app\":\"web\",\"pod\":"
		 "\"web-1\"},"
		 "\"line\":\"say \\\"hi\\\"\\n\"}\n");
	render_samples(&b, &r, &s, 1);
	says(&b, "{\"timestamp\":\"2026-01-15T10:00:00Z\",\"labels\":{\"app\":\"web\"},\"value\":\"1.5\"}\n");
	render_labels(&b, &r, (struct labels){ web, 1 });
	says(&b, "{\"app\":\"web\"}");
}

static void samples_are_a_table(void **state)
{
	const struct render text = { .output = OUTPUT_TEXT }, raw = { .output = OUTPUT_RAW };
	const struct sample s[] = {
		{ T0, SLICE("1"), { web, 1 } },
		{ T0 + NS_PER_MIN, SLICE("123456.5"), { web, 1 } },
	};
	struct buf b = { 0 };

	(void)state;
	render_samples(&b, &text, s, 2);
	says(&b, "TIME                     VALUE  LABELS\n"
		 "2026-01-15T10:00:00Z         1  {app=\"web\"}\n"
		 "2026-01-15T10:01:00Z  123456.5  {app=\"web\"}\n");
	render_samples(&b, &raw, s, 2);
	says(&b, "1\n123456.5\n");
}

static void a_trace_is_aligned(void **state)
{
	static struct label labels[] = { { SLICE("detected_level"), SLICE("error") },
					 { SLICE("service_name"), SLICE("cart") } };
	static struct label longer[] = { { SLICE("detected_level"), SLICE("notable-one") },
					 { SLICE("service_name"), SLICE("checkout") } };
	const struct render r = { .output = OUTPUT_TEXT };
	const struct entry e[] = {
		{ T0, SLICE("a"), { labels, 2 } },
		{ T0 + 1234567, SLICE("b"), { labels, 1 } },
		{ T0 + 61 * NS_PER_S, SLICE("c"), { labels, 2 } },
		{ T0 + 123456789 * NS_PER_S, SLICE("d"), { longer, 2 } },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		render_trace_entry(&b, &r, &e[i], T0, 4);
	says(&b, "+0.000ms    cart  error     a\n"
		 "+1.235ms    -     error     b\n"
		 "+61.000s    cart  error     c\n"
		 "+123456789.000s  checkout  notable-one  d\n");
}

static void times_as_people_write_them(void **state)
{
	static const struct {
		const char *in;
		int64_t ns; /* -1: not a time */
	} table[] = {
		{ "now", T0 },
		{ "15m", T0 - 15 * NS_PER_MIN },
		{ "now-1h30m", T0 - 90 * NS_PER_MIN },
		{ "2026-01-15T10:00:00Z", T0 },
		{ "2026-01-15T11:00:00+01:00", T0 },
		{ "2026-01-15T10:00:00.5Z", T0 + NS_PER_S / 2 },
		{ "2026-01-15", T0 - 10 * NS_PER_H },
		{ "2026-01-15 10:00", T0 },
		{ "2026-01-15 10:00:00", T0 },
		{ "2026-01-15T10:00", T0 },
		{ "1768471200", T0 },
		{ "1768471200000000001", T0 + 1 },
		{ "", -1 },
		{ "yesterday", -1 },
		{ "2026-13-01", -1 },
		{ "2026-01-15x10:00", -1 },
		{ "2026-01-15 25:00", -1 },
		{ "-", -1 },
		{ "99999999999999999999", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		int64_t ns = 0;
		bool ok = time_parse(slice_cstr(table[i].in), T0, &ns);

		if (ok != (table[i].ns != -1) || (ok && ns != table[i].ns))
			fail_msg("%s: %d %lld", table[i].in, ok, (long long)ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_differing_labels_are_shown),
		cmocka_unit_test(a_terminal_sees_no_controls),
		cmocka_unit_test(colours_stand_around_data),
		cmocka_unit_test(objects_for_programs),
		cmocka_unit_test(samples_are_a_table),
		cmocka_unit_test(a_trace_is_aligned),
		cmocka_unit_test(times_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
