/* Counts of chunks: they add up to what a walk over the entries yields, and stay small; what does not add up is not
 * believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "index/counts.h"
#include "model/labels.h"

static const uint64_t SEED = 777;
static const int64_t T0 = INT64_C(1768435200) * NS_PER_S;

struct chunk {
	struct arena arena;
	VEC(struct chunk_entry) e;
	struct chunk_info info;
};

static struct slice encode(struct arena *a, struct label *l, size_t n)
{
	struct buf b;

	buf_init(&b);
	labels_sort(l, n);
	labels_encode(&b, (struct labels){ l, n });
	struct slice out = arena_dup(a, buf_slice(&b));
	buf_fini(&b);
	return out;
}

static void add(struct chunk *c, int64_t ts, size_t line_bytes, struct label *l, size_t n)
{
	vec_push(&c->e,
		 ((struct chunk_entry){ ts, slice_of(arena_zalloc(&c->arena, line_bytes + 1), line_bytes),
					encode(&c->arena, l, n) }));
}

static void add_level(struct chunk *c, int64_t ts, size_t line_bytes, const char *level)
{
	struct label l = { SLICE("detected_level"), slice_cstr(level) };

	add(c, ts, line_bytes, &l, level != NULL);
}

static void chunk_init(struct chunk *c)
{
	*c = (struct chunk){ 0 };
	arena_init(&c->arena);
}

static void chunk_fini(struct chunk *c)
{
	vec_fini(&c->e);
	arena_fini(&c->arena);
}

/* The payload; n is 0 if the chunk was not counted. */
static struct slice build(struct chunk *c, uint64_t chunk_bytes, struct buf *out)
{
	uint64_t sum;

	c->info = (struct chunk_info){ .first_ts = c->e.v[0].ts,
				       .last_ts = c->e.v[c->e.n - 1].ts,
				       .n_entries = (uint32_t)c->e.n,
				       .total_bytes = chunk_bytes };
	for (size_t i = 0; i < c->e.n; i++)
		c->info.raw_bytes += c->e.v[i].line.n + c->e.v[i].meta.n;
	buf_init(out);
	buf_puts(out, "before");
	counts_build(c->e.v, c->e.n, &c->info, SEED, out);
	if (out->n == 6)
		return slice_of(NULL, 0);
	assert_true(out->n > 6 + COUNTS_HEADER_BYTES);
	assert_int_equal(counts_header(out->p + 6, &sum), out->n - 6 - COUNTS_HEADER_BYTES);
	return slice_from(buf_slice(out), 6 + COUNTS_HEADER_BYTES);
}

static void expect_bucket(const struct counts *c, size_t i, int64_t first, int64_t last, const char *level,
			  uint64_t n, uint64_t bytes)
{
	const struct count_bucket *b = &c->buckets.v[i];
	struct slice v = labels_get_encoded(c->metas.v[b->meta], SLICE("detected_level"));

	assert_true(i < c->buckets.n);
	assert_true(b->first == first && b->last == last);
	assert_int_equal(b->n_entries, n);
	assert_int_equal(b->bytes, bytes);
	assert_true(level == NULL ? v.p == NULL : slice_eq(v, slice_cstr(level)));
}

static void test_buckets_end_on_the_minute(void **state)
{
	struct chunk c;
	struct counts counts = { 0 };
	struct buf out;
	struct err err;

	(void)state;
	chunk_init(&c);
	add_level(&c, T0 - 5, 10, "info");
	add_level(&c, T0, 1, "info"); /* of the minute that ends here */
	add_level(&c, T0 + 1, 100, "error");
	add_level(&c, T0 + NS_PER_MIN, 200, "info");
	add_level(&c, T0 + 5 * NS_PER_MIN + 7, 0, NULL);
	struct slice payload = build(&c, 1000, &out);
	assert_int_equal(counts_parse(payload, &c.info, &counts, &err), 0);
	assert_int_equal(counts.buckets.n, 4);
	expect_bucket(&counts, 0, T0 - 5, T0, "info", 2, 11);
	expect_bucket(&counts, 1, T0 + 1, T0 + NS_PER_MIN, "info", 1, 200);
	expect_bucket(&counts, 2, T0 + 1, T0 + NS_PER_MIN, "error", 1, 100);
	expect_bucket(&counts, 3, T0 + 5 * NS_PER_MIN + 1, T0 + 5 * NS_PER_MIN + 7, NULL, 1, 0);
	assert_true(payload.n < 50);
	counts_fini(&counts);
	buf_fini(&out);
	chunk_fini(&c);
}

static void test_the_ends_of_time(void **state)
{
	struct chunk c;
	struct counts counts = { 0 };
	struct buf out;
	struct err err;

	(void)state;
	chunk_init(&c);
	for (int k = 0; k < 4; k++) {
		static const int64_t ts[] = { INT64_MIN, -1, 0, INT64_MAX };

		c.e.n = 0;
		add_level(&c, ts[k], 3, "warn");
		assert_int_equal(counts_parse(build(&c, 100, &out), &c.info, &counts, &err), 0);
		expect_bucket(&counts, 0, ts[k], ts[k], "warn", 1, 3);
		buf_fini(&out);
	}
	counts_fini(&counts);
	chunk_fini(&c);
}

static void test_names_are_known(void **state)
{
	struct chunk c;
	struct counts counts = { 0 };
	struct buf out;
	struct err err;
	struct label l[3] = { { SLICE("detected_level"), SLICE("info") },
			      { SLICE("level"), SLICE("INFO") },
			      { SLICE("trace_id"), SLICE("1") } };

	(void)state;
	chunk_init(&c);
	add(&c, T0 + 1, 5, l, 3);
	add(&c, T0 + 2, 5, l, 2);
	assert_int_equal(counts_parse(build(&c, 1000, &out), &c.info, &counts, &err), 0);
	assert_int_equal(counts.metas.n, 1); /* a trace id is no kind */
	assert_true(slice_eq(labels_get_encoded(counts.metas.v[0], SLICE("level")), SLICE("INFO")));
	assert_true(counts_have_name(&counts, SLICE("trace_id")));
	assert_false(counts_have_name(&counts, SLICE("span_id")));
	assert_false(counts_have_name(&counts, SLICE("level")));
	counts_fini(&counts);
	buf_fini(&out);
	chunk_fini(&c);
}

/* Too many levels, too long ones, too many names: such a chunk is read. */
static void test_what_is_not_counted(void **state)
{
	struct buf out;

	(void)state;
	for (int what = 0; what < 3; what++) {
		struct chunk c;

		chunk_init(&c);
		for (unsigned i = 0; i <= COUNTS_MAX_NAMES; i++) {
			char text[COUNTS_MAX_VALUE + 2];
			struct label l = { SLICE("detected_level"), SLICE("info") };

			if (what == 0)
				snprintf(text, sizeof(text), "level%u", i);
			else if (what == 1)
				snprintf(text, sizeof(text), "%0*u", COUNTS_MAX_VALUE + 1, 7);
			else
				snprintf(text, sizeof(text), "name%u", i);
			*(what < 2 ? &l.value : &l.name) = arena_dup(&c.arena, slice_cstr(text));
			add(&c, T0 + i, 100, &l, 1);
		}
		assert_int_equal(build(&c, 1 << 20, &out).n, 0);
		buf_fini(&out);
		chunk_fini(&c);
	}
}

/* A line every ten seconds for a day: by the minute only if the lines are long enough for counts to be small beside them. */
static void test_few_lines_are_counted_by_wider_buckets(void **state)
{
	static const struct {
		size_t line;
		int64_t width;
	} cases[] = { { 1000, NS_PER_MIN }, { 200, 5 * NS_PER_MIN }, { 10, NS_PER_H } };
	struct counts counts = { 0 };
	struct buf out;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct chunk c;
		uint64_t n = (uint64_t)(cases[i].width / (10 * NS_PER_S));

		chunk_init(&c);
		for (int64_t k = 0; k < 8640; k++)
			add_level(&c, T0 + 1 + k * 10 * NS_PER_S, cases[i].line, "info");
		struct slice payload = build(&c, 1000, &out);

		assert_int_equal(counts_parse(payload, &c.info, &counts, &err), 0);
		assert_int_equal(counts.buckets.n, (NS_PER_DAY + cases[i].width - 1) / cases[i].width);
		expect_bucket(&counts, 1, T0 + cases[i].width + 1, T0 + 2 * cases[i].width, "info", n,
			      n * cases[i].line);
		assert_true(payload.n <= 256 + c.info.raw_bytes / 512);
		buf_fini(&out);
		chunk_fini(&c);
	}
	counts_fini(&counts);
}

/* Each cut and each changed byte is refused, or yields counts that add up. */
static void test_damage(void **state)
{
	struct chunk c;
	struct counts counts = { 0 };
	struct buf out;
	struct err err;

	(void)state;
	chunk_init(&c);
	for (int64_t i = 0; i < 300; i++)
		add_level(&c, T0 + i * NS_PER_S, (size_t)i, i % 3 == 0 ? "info" : "error");
	struct slice payload = build(&c, 10000, &out);
	assert_int_equal(counts_parse(payload, &c.info, &counts, &err), 0);
	for (size_t i = 0; i < payload.n; i++)
		assert_int_equal(counts_parse(slice_sub(payload, 0, i), &c.info, &counts, &err), -1);
	char *copy = xmalloc(payload.n);
	for (size_t i = 0; i < payload.n * 8; i++) {
		memcpy(copy, payload.p, payload.n);
		copy[i / 8] ^= (char)(1 << i % 8);
		if (counts_parse(slice_of(copy, payload.n), &c.info, &counts, &err) == 0)
			assert_int_equal(counts.n_entries, 300);
		else
			assert_int_equal(err.code, ERR_CORRUPT);
	}
	c.info.n_entries--;
	assert_int_equal(counts_parse(payload, &c.info, &counts, &err), -1);
	free(copy);
	counts_fini(&counts);
	buf_fini(&out);
	chunk_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_end_on_the_minute),
		cmocka_unit_test(test_the_ends_of_time),
		cmocka_unit_test(test_names_are_known),
		cmocka_unit_test(test_what_is_not_counted),
		cmocka_unit_test(test_few_lines_are_counted_by_wider_buckets),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
