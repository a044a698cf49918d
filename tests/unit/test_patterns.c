/* Patterns of log lines: what they look like, that |> keeps every line counted for them, and that counts add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "ingest/patterns.h"
#include "ingest/shape.h"
#include "query/linefilter.h"

#define NOW (INT64_C(1795424400) * NS_PER_S)

#define assert_slice(got, want) assert_true(slice_is((got), (want)))

static char dir[] = "/tmp/spoor-patterns-XXXXXX";
static struct patterns *patterns;

static void open_with(uint64_t memory)
{
	const struct patterns_options o = { .dir = dir, .memory_bytes = memory, .tenant_bytes = memory };

	patterns = patterns_open(&o);
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	clock_fake(NOW);
	file_remove_tree(dir, &err);
	open_with(64 << 20);
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	patterns_close(patterns);
	file_remove_tree(dir, &err);
	clock_fake(0);
	return 0;
}

/* One line into {service_name=…, pod=…}. */
static void push(const char *service, const char *pod, const char *level, int64_t ts, struct slice line)
{
	struct label labels[] = { { SLICE("pod"), slice_cstr(pod) },
				  { SLICE("service_name"), slice_cstr(service) } };
	struct label meta = { SLICE("detected_level"), slice_cstr(level) };
	struct buf encoded;
	struct batch b;

	batch_init(&b);
	buf_init(&encoded);
	b.tenant = SLICE("t");
	struct batch_stream *s = batch_add_stream(&b);
	s->labels = (struct labels){ labels, 2 };
	labels_encode(&encoded, s->labels);
	s->hash = labels_hash(buf_slice(&encoded));
	struct batch_entry *e = batch_add_entry(&b);
	e->ts = ts;
	e->line = line;
	e->meta = &meta;
	e->n_meta = 1;
	assert_null(patterns_see(patterns, &b));
	batch_fini(&b);
	buf_fini(&encoded);
}

static void push_text(const char *line)
{
	push("web", "a", "info", NOW, slice_cstr(line));
}

struct found {
	struct arena arena;
	struct pattern_result *v;
	size_t n;
};

static struct found read_range(const char *service, int64_t start, int64_t end, int64_t step)
{
	struct matcher m = { .op = MATCH_EQ, .name = SLICE("service_name"), .value = slice_cstr(service) };
	const struct patterns_request r = { .tenant = SLICE("t"),
					    .matcher = &m,
					    .n_matchers = 1,
					    .range = { start, end },
					    .step = step,
					    .limit = 1000 };
	struct found f;

	arena_init(&f.arena);
	patterns_read(patterns, &r, &f.arena, &f.v, &f.n);
	return f;
}

static struct found read_all(const char *service)
{
	return read_range(service, 0, NOW + NS_PER_H, 10 * NS_PER_S);
}

static uint64_t total(const struct found *f)
{
	uint64_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->v[i].total;
	return n;
}

static const struct pattern_result *find(const struct found *f, const char *text)
{
	for (size_t i = 0; i < f->n; i++)
		if (slice_is(f->v[i].text, text))
			return &f->v[i];
	return NULL;
}

static void assert_one(const char *text)
{
	struct found f = read_all("web");

	assert_int_equal(f.n, 1);
	assert_slice(f.v[0].text, text);
	arena_fini(&f.arena);
}

/* ---- what is a pattern ---- */

static void what_holds_a_digit_is_wild(void **state)
{
	static const struct {
		const char *line[2], *pattern;
	} cases[] = {
		{ { "level=info msg=\"handled request\" id=17 dur=3ms path=/a/b",
		    "level=info msg=\"handled request\" id=2 dur=11ms path=/a/b" },
		  "level=info msg=\"handled request\" id=<_> dur=<_> path=/a/b" },
		{ { "{\"level\":\"info\",\"n\":1,\"v\":[1,2]}", "{\"level\":\"info\",\"n\":25,\"v\":[1]}" },
		  "{\"level\":\"info\",\"n\":<_>,\"v\":[<_>]}" },
		{ { "2026-11-23T09:14:59.123Z started 10.0.0.1:8080",
		    "2026-11-24T10:00:00Z started 10.0.0.2:80" },
		  "<_> started <_>" },
		{ { "user 550e8400-e29b-41d4-a716-446655440000 left.",
		    "user 650e8400-e29b-41d4-a716-446655440000 left." },
		  "user <_> left." },
		{ { "  5", "  6" }, "  <_>" },
		{ { "only words", "only words" }, "only words" },
		{ { "--- <b>7</b>", "--- <b>8</b>" }, "--- <<_>><_></b>" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setup(state);
		push_text(cases[i].line[0]);
		push_text(cases[i].line[1]);
		assert_one(cases[i].pattern);
		if (i + 1 < ARRAY_LEN(cases))
			teardown(state);
	}
}

static void words_of_a_variable_become_wild(void **state)
{
	static const char *const names[] = { "ann", "bob", "carol", "dan", "eve", "frank", "grace" };
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(line, sizeof(line), "user %s logged in", names[i]);
		push_text(line);
	}
	push_text("disk is almost full");
	push_text("disk is full");
	struct found f = read_all("web");
	assert_int_equal(f.n, 3);
	assert_int_equal(find(&f, "user <_> logged in")->total, 7);
	assert_int_equal(find(&f, "disk is almost full")->total, 1);
	arena_fini(&f.arena);
}

static void a_word_that_may_be_an_id_is_wild_at_once(void **state)
{
	(void)state;
	push_text("key deadbeef gone");
	push_text("key 17 gone");
	assert_one("key <_> gone");
}

static void long_lines_end_in_a_wildcard(void **state)
{
	struct buf line;

	(void)state;
	buf_init(&line);
	for (int i = 0; i < 3000; i++)
		buf_puts(&line, "abc ");
	push("web", "a", "info", NOW, buf_slice(&line));
	struct found f = read_all("web");
	assert_int_equal(f.n, 1);
	assert_true(slice_ends(f.v[0].text, SLICE("abc <_>")));
	arena_fini(&f.arena);
	buf_fini(&line);
}

/* Wherever the first word too many stands. */
static void words_are_counted_to_the_limit(void **state)
{
	struct shape s;
	struct buf line;

	(void)state;
	buf_init(&line);
	for (size_t first = 1; first < 200; first++) {
		buf_reset(&line);
		for (size_t i = 0; i < first; i++)
			buf_putc(&line, 'a');
		for (size_t i = 1; i < SHAPE_MAX_WORDS; i++)
			buf_puts(&line, " ab");
		shape_split(buf_slice(&line), &s);
		assert_int_equal(s.n, SHAPE_MAX_WORDS);
		assert_false(s.cut);
		buf_puts(&line, " abcdefghijkl");
		shape_split(buf_slice(&line), &s);
		assert_int_equal(s.n, SHAPE_MAX_WORDS);
		assert_true(s.cut);
		assert_int_equal(s.n_bytes, line.n - 12);
	}
	buf_fini(&line);
}

static void empty_lines_are_not_counted(void **state)
{
	(void)state;
	push_text("");
	struct found f = read_all("web");
	assert_int_equal(f.n, 0);
	arena_fini(&f.arena);
}

/* ---- counts ---- */

static void levels_streams_and_services_stay_apart(void **state)
{
	struct found f;

	(void)state;
	for (int i = 0; i < 3; i++)
		push("web", "a", "info", NOW, SLICE("took 1 ms"));
	push("web", "b", "info", NOW, SLICE("took 2 ms"));
	push("web", "b", "error", NOW, SLICE("took 2 ms"));
	push("db", "b", "error", NOW, SLICE("took 2 ms"));
	f = read_all("web");
	assert_int_equal(f.n, 2);
	assert_slice(f.v[0].level, "info");
	assert_int_equal(f.v[0].total, 4); /* of both pods */
	assert_slice(f.v[1].level, "error");
	assert_int_equal(f.v[1].total, 1);
	arena_fini(&f.arena);
	f = read_all("db");
	assert_int_equal(total(&f), 1);
	arena_fini(&f.arena);
	f = read_all("we");
	assert_int_equal(f.n, 0);
	arena_fini(&f.arena);
}

static void samples_stand_on_the_step(void **state)
{
	struct found f;

	(void)state;
	for (int i = 0; i < 60; i++)
		push("web", "a", "info", NOW + i * NS_PER_S, SLICE("tick 1"));
	push("web", "a", "info", NOW + 200 * NS_PER_S, SLICE("tick 1"));
	f = read_range("web", NOW, NOW + 300 * NS_PER_S, 30 * NS_PER_S);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0].n, 3);
	assert_int_equal(f.v[0].sample[0].at, NOW / NS_PER_S);
	assert_int_equal(f.v[0].sample[0].n, 30);
	assert_int_equal(f.v[0].sample[1].n, 30);
	assert_int_equal(f.v[0].sample[2].at, NOW / NS_PER_S + 180);
	arena_fini(&f.arena);
	f = read_range("web", NOW + 20 * NS_PER_S, NOW + 39 * NS_PER_S, 30 * NS_PER_S);
	assert_int_equal(f.v[0].total, 20);
	arena_fini(&f.arena);
}

static void old_counts_become_coarser_and_go(void **state)
{
	struct found f;

	(void)state;
	for (int i = 0; i < 600; i++)
		push("web", "a", "info", NOW + i * NS_PER_S, SLICE("tick 1"));
	clock_fake_advance(8 * NS_PER_H);
	size_t before = patterns_bytes(patterns);
	patterns_age(patterns);
	assert_true(patterns_bytes(patterns) < before);
	f = read_range("web", NOW, NOW + NS_PER_H, 10 * NS_PER_S);
	assert_int_equal(f.v[0].n, 2); /* five minutes each */
	assert_int_equal(f.v[0].sample[0].n, 300);
	arena_fini(&f.arena);
	clock_fake_advance(48 * NS_PER_H);
	patterns_age(patterns);
	f = read_range("web", NOW, NOW + NS_PER_H, 10 * NS_PER_S);
	assert_int_equal(f.n, 0);
	arena_fini(&f.arena);
	assert_int_equal(patterns_bytes(patterns), 0);
}

static void what_comes_too_late_is_left_out(void **state)
{
	(void)state;
	push("web", "a", "info", NOW - 49 * NS_PER_H, SLICE("tick 1"));
	push("web", "a", "info", -5, SLICE("tick 1"));
	assert_int_equal(patterns_bytes(patterns), 0);
}

/* ---- properties ---- */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

/* Lines of a few forms with random values, and now and then bytes that mean something to patterns. */
static void random_line(struct buf *b)
{
	static const char *const words[] = { "ok",   "<_>", "<name>", "a b",   "10:20", "x:y", "ü",
					     "\xff", "GET", "/v1/x",  "\"q\"", "<",	"" };

	buf_reset(b);
	switch (rnd(5)) {
	case 0: buf_printf(b, "level=%s id=%u msg=\"%s\"", words[rnd(13)], rnd(1000), words[rnd(13)]); break;
	case 1:
		buf_printf(b, "{\"a\":\"%s\",\"n\":%u,\"b\":\"%s\"}", words[rnd(13)], rnd(1000),
			   words[rnd(13)]);
		break;
	case 2: buf_printf(b, "%s %u %s", words[rnd(13)], rnd(1000), words[rnd(13)]); break;
	case 3: buf_printf(b, "<tag>%s</tag> %u:%s", words[rnd(13)], rnd(1000), words[rnd(13)]); break;
	default:
		for (unsigned n = 1 + rnd(rnd(10) == 0 ? 5000 : 40); n > 0; n--)
			buf_putc(b, rnd(20) == 0 ? (char)rnd(256) : "ab1 =:\"<>_.,"[rnd(12)]);
	}
}

static bool keeps(struct slice pattern, struct slice line)
{
	const struct line_test_arg arg = { .text = pattern };
	struct line_test *test;
	struct err err;

	if (line_test_new(LINE_PATTERN, &arg, 1, &test, &err) == -1)
		fail_msg("%.*s: %s", SLICE_ARG(pattern), err.msg);
	bool kept = line_test_match(test, line);
	line_test_free(test);
	return kept;
}

static void every_line_is_kept_by_its_pattern(void **state)
{
	enum { LINES = 4000 };
	struct buf line[LINES];

	(void)state;
	seed = 7;
	for (size_t i = 0; i < LINES; i++) {
		buf_init(&line[i]);
		random_line(&line[i]);
		push("web", "a", "info", NOW, buf_slice(&line[i]));
	}
	struct found f = read_all("web");
	assert_int_equal(total(&f), LINES);
	/* No fewer lines are kept by a pattern than it counts. */
	for (size_t k = 0; k < f.n; k++) {
		uint64_t n = 0;

		for (size_t i = 0; i < LINES; i++)
			n += keeps(f.v[k].text, buf_slice(&line[i]));
		if (n < f.v[k].total)
			fail_msg("%.*s keeps %llu of %llu", SLICE_ARG(f.v[k].text), (unsigned long long)n,
				 (unsigned long long)f.v[k].total);
	}
	arena_fini(&f.arena);
	for (size_t i = 0; i < LINES; i++)
		buf_fini(&line[i]);
}

/* One line at a time, alone in its service: whatever it is, its pattern keeps it. */
static void a_line_alone_is_kept_by_its_pattern(void **state)
{
	struct buf line;
	char service[32];

	(void)state;
	seed = 99;
	buf_init(&line);
	for (int i = 0; i < 1500; i++) {
		snprintf(service, sizeof(service), "s%d", i);
		random_line(&line);
		push(service, "a", "info", NOW, buf_slice(&line));
		struct found f = read_all(service);
		assert_int_equal(f.n, 1);
		if (!keeps(f.v[0].text, buf_slice(&line)))
			fail_msg("%.*s does not keep %.*s", SLICE_ARG(f.v[0].text),
				 SLICE_ARG(buf_slice(&line)));
		arena_fini(&f.arena);
	}
	buf_fini(&line);
}

/* Equal hashes are for equal words and separators, whatever the lengths and places of what is wild. */
static void hash_and_words_agree(void **state)
{
	struct shape s, of_changed;
	struct buf line, changed;

	(void)state;
	seed = 3;
	buf_init(&line);
	buf_init(&changed);
	for (int i = 0; i < 20000; i++) {
		random_line(&line);
		shape_split(buf_slice(&line), &s);
		if (s.cut)
			continue;
		buf_reset(&changed);
		size_t at = 0;
		for (size_t k = 0; k < s.n; k++) {
			buf_add(&changed, slice_sub(buf_slice(&line), at, s.word[k].off - at));
			at = s.word[k].off;
			if (!s.word[k].wild)
				continue;
			for (unsigned n = rnd(200); n > 0 && rnd(4) == 0; n--)
				buf_putc(&changed, 'z');
			buf_puts(&changed, "z5z"); /* no digit that a separator could be between */
			at += s.word[k].len;
		}
		buf_add(&changed, slice_from(buf_slice(&line), at));
		shape_split(buf_slice(&changed), &of_changed);
		if (of_changed.cut)
			continue;
		assert_int_equal(s.n, of_changed.n);
		assert_true(shape_hash(buf_slice(&line)) == shape_hash(buf_slice(&changed)));
		buf_puts(&changed, " x");
		assert_true(shape_hash(buf_slice(&line)) != shape_hash(buf_slice(&changed)));
	}
	buf_fini(&line);
	buf_fini(&changed);
}

/* ---- memory and files ---- */

static void memory_is_bounded(void **state)
{
	struct buf line;
	char service[32];

	patterns_close(patterns);
	open_with(1 << 20);
	(void)state;
	seed = 5;
	buf_init(&line);
	for (int i = 0; i < 30000; i++) {
		snprintf(service, sizeof(service), "s%u", rnd(50));
		random_line(&line);
		push(service, "a", "info", NOW + rnd(3600) * NS_PER_S, buf_slice(&line));
		clock_fake_advance(NS_PER_S / 100);
		assert_true(patterns_bytes(patterns) < (1 << 20) + (256 << 10));
	}
	patterns_age(patterns);
	assert_true(patterns_bytes(patterns) < 1 << 20);
	buf_fini(&line);
}

static void a_restart_loses_nothing(void **state)
{
	static const char *const names[] = { "ann", "bob", "carol", "dan", "eve", "frank", "grace" };
	struct found before, after;
	struct buf line;

	(void)state;
	seed = 11;
	buf_init(&line);
	for (int i = 0; i < 300; i++) {
		random_line(&line);
		push("web", i % 2 == 0 ? "a" : "b", "info", NOW + i * NS_PER_S, buf_slice(&line));
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		buf_reset(&line);
		buf_printf(&line, "user %s logged in", names[i]);
		push("web", "a", "warn", NOW, buf_slice(&line));
	}
	before = read_all("web");
	patterns_close(patterns);
	open_with(64 << 20);
	after = read_all("web");
	assert_int_equal(before.n, after.n);
	for (size_t i = 0; i < before.n; i++) {
		assert_true(slice_eq(before.v[i].text, after.v[i].text));
		assert_true(slice_eq(before.v[i].level, after.v[i].level));
		assert_int_equal(before.v[i].n, after.v[i].n);
		assert_memory_equal(before.v[i].sample, after.v[i].sample,
				    before.v[i].n * sizeof(struct pattern_sample));
	}
	arena_fini(&after.arena);
	/* What was learned is still known: no second pattern arises. */
	push("web", "b", "warn", NOW, SLICE("user zoe logged in"));
	after = read_all("web");
	assert_int_equal(before.n, after.n);
	arena_fini(&after.arena);
	arena_fini(&before.arena);
	buf_fini(&line);
}

static void a_damaged_file_is_left_out(void **state)
{
	char path[64];
	struct buf content;
	struct err err;

	(void)state;
	push_text("tick 1");
	assert_int_equal(patterns_save(patterns, &err), 0);
	snprintf(path, sizeof(path), "%s/t", dir);
	buf_init(&content);
	assert_int_equal(file_read_all(path, 1 << 20, &content, &err), 0);
	content.p[content.n / 2] ^= 1;
	patterns_close(patterns);
	assert_int_equal(file_replace(path, buf_slice(&content), &err), 0);
	open_with(64 << 20);
	assert_int_equal(patterns_bytes(patterns), 0);
	buf_fini(&content);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_holds_a_digit_is_wild, NULL, teardown),
		TEST(words_of_a_variable_become_wild),
		TEST(a_word_that_may_be_an_id_is_wild_at_once),
		TEST(long_lines_end_in_a_wildcard),
		TEST(words_are_counted_to_the_limit),
		TEST(empty_lines_are_not_counted),
		TEST(levels_streams_and_services_stay_apart),
		TEST(samples_stand_on_the_step),
		TEST(old_counts_become_coarser_and_go),
		TEST(what_comes_too_late_is_left_out),
		TEST(every_line_is_kept_by_its_pattern),
		TEST(a_line_alone_is_kept_by_its_pattern),
		TEST(hash_and_words_agree),
		TEST(memory_is_bounded),
		TEST(a_restart_loses_nothing),
		TEST(a_damaged_file_is_left_out),
	};

	if (mkdtemp(dir) == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
