/* Packed numbers: what was written is read, at every width, by every way of reading, and damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/bitpack.h"

enum { N = 1000 };

/* Exactly as many bytes as may be read, so that ASan sees one too many. */
static char *with_slack(struct slice s)
{
	char *p = xcalloc(1, s.n + BITPACK_SLACK);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static void width_holds_the_value(void **state)
{
	(void)state;
	static const struct {
		uint64_t v;
		unsigned bits;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 2, 2 },
		{ 255, 8 },
		{ 256, 9 },
		{ (UINT64_C(1) << 56) - 1, 56 },
		{ UINT64_C(1) << 56, 64 },
		{ UINT64_MAX, 64 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(bitpack_width(cases[i].v), cases[i].bits);
}

static void every_width_comes_back(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits <= 64; bits = bits == 56 ? 64 : bits + 1) {
		uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

		for (size_t n = 0; n <= N; n = n < 70 ? n + 1 : n + 233) {
			uint64_t in[N], out[N];
			uint32_t narrow[N];
			struct buf b;

			buf_init(&b);
			for (size_t i = 0; i < n; i++)
				in[i] = hash_mix(i * 65 + bits + 1) & mask;
			bitpack_write(in, n, bits, &b);
			assert_int_equal(b.n, bitpack_bytes(n, bits));
			char *p = with_slack(buf_slice(&b));
			bitpack_read(p, n, bits, out);
			assert_memory_equal(in, out, n * 8);
			/* Few values are read without vectors. */
			for (size_t i = 0; i < n; i += 8)
				bitpack_read(p + i / 8 * bits, MIN(8, n - i), bits, out + i);
			assert_memory_equal(in, out, n * 8);
			for (int piecewise = 0; piecewise < 2 && bits <= 32; piecewise++) {
				memset(narrow, 0xff, sizeof(narrow));
				for (size_t i = 0; i < n; i += piecewise ? 8 : n)
					bitpack_read32(p + i / 8 * bits, piecewise ? MIN(8, n - i) : n, bits,
						       narrow + i);
				for (size_t i = 0; i < n; i++)
					assert_int_equal(narrow[i], in[i]);
			}
			free(p);
			buf_fini(&b);
		}
	}
}

static void bits_stand_low_first(void **state)
{
	(void)state;
	static const uint64_t v[] = { 5, 2, 7, 1 }; /* 101 010 111 001, from the low bit on */
	struct buf b;

	buf_init(&b);
	bitpack_write(v, 4, 3, &b);
	assert_int_equal(b.n, 2);
	assert_memory_equal(b.p, "\xd5\x03", 2);
	buf_fini(&b);
}

static size_t assert_round_trip(const int64_t *v, size_t n)
{
	int64_t *out = xcalloc(n, sizeof(*out));
	struct buf b;

	buf_init(&b);
	numbers_write(v, n, &b);
	size_t bytes = b.n;
	buf_puts(&b, "next");
	char *p = with_slack(buf_slice(&b));
	struct cursor c = cursor_of(slice_of(p, b.n));
	numbers_read(&c, n, out);
	assert_false(c.bad);
	assert_int_equal(cursor_left(&c), 4);
	assert_memory_equal(v, out, n * 8);
	/* Cut short anywhere it is bad. */
	for (size_t cut = 0; cut < bytes && n < 100; cut++) {
		struct buf part;

		buf_init(&part);
		buf_append(&part, b.p, cut);
		char *q = with_slack(buf_slice(&part));
		c = cursor_of(slice_of(q, cut));
		numbers_read(&c, n, out);
		assert_true(c.bad);
		free(q);
		buf_fini(&part);
	}
	free(p);
	free(out);
	buf_fini(&b);
	return bytes;
}

static void numbers_come_back(void **state)
{
	(void)state;
	int64_t v[N];

	for (size_t i = 0; i < N; i++)
		v[i] = -7;
	assert_true(assert_round_trip(v, N) <= 4); /* all the same: no bits */
	for (size_t i = 0; i < N; i++)
		v[i] = (int64_t)i * 1000003 - 5;
	assert_true(assert_round_trip(v, N) <= 8); /* evenly spaced: no bits of difference */
	for (size_t i = 0; i < N; i++)
		v[i] = (int64_t)(i * 1000 + hash_mix(i) % 100);
	assert_true(assert_round_trip(v, N) < N * 9 / 8 + 16); /* rising: 8 bits of difference */
	for (size_t i = 0; i < N; i++)
		v[i] = i % 2 ? INT64_MAX : INT64_MIN;
	assert_round_trip(v, N);
	for (size_t i = 0; i < N; i++)
		v[i] = (int64_t)hash_mix(i);
	assert_round_trip(v, N);
	for (size_t n = 1; n < 70; n++)
		assert_round_trip(v, n);
	for (unsigned bits = 1; bits < 64; bits++) {
		for (size_t i = 0; i < N; i++)
			v[i] = (int64_t)(hash_mix(i) >> (64 - bits)) - (INT64_C(1) << (bits - 1));
		assert_round_trip(v, N);
	}
}

static bool ids_good(const int64_t *v, size_t n, uint32_t limit)
{
	uint32_t out[N];
	struct buf b;

	buf_init(&b);
	numbers_write(v, n, &b);
	char *p = with_slack(buf_slice(&b));
	struct cursor c = cursor_of(slice_of(p, b.n));
	numbers_read_ids(&c, n, limit, out);
	for (size_t i = 0; i < n && !c.bad; i++)
		assert_int_equal(out[i], v[i]);
	free(p);
	buf_fini(&b);
	return !c.bad;
}

static void ids_stay_below_their_limit(void **state)
{
	(void)state;
	int64_t v[N];

	for (size_t i = 0; i < N; i++)
		v[i] = (int64_t)(hash_mix(i) % 300);
	v[17] = 299;
	assert_true(ids_good(v, N, 300));
	assert_false(ids_good(v, N, 299));
	assert_true(ids_good(v, 20, 300));
	assert_false(ids_good(v, 20, 299));
	for (size_t i = 0; i < N; i++)
		v[i] = (int64_t)i * 2000000; /* by differences */
	assert_true(ids_good(v, N, UINT32_MAX));
	assert_false(ids_good(v, N, 1998000000));
	assert_true(ids_good(v, N, 1998000001));
	for (size_t i = 0; i < N; i++)
		v[i] = 4000000000 + (int64_t)(i % 7);
	assert_true(ids_good(v, N, UINT32_MAX));
	assert_false(ids_good(v, N, 4000000006));
	v[3] = -1;
	assert_false(ids_good(v, N, UINT32_MAX));
	v[3] = (int64_t)1 << 32; /* would be 0 in 32 bits */
	assert_false(ids_good(v, N, UINT32_MAX));
}

static void impossible_heads_are_bad(void **state)
{
	(void)state;
	static const struct {
		const char *p;
		size_t n;
	} heads[] = {
		{ "\2\0\0", 3 },					/* mode */
		{ "\0\0\x39", 3 },					/* 57 bits */
		{ "\0\0\x41", 3 },					/* 65 bits */
		{ "\0\0\xff", 3 },					/* 255 bits */
		{ "\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\0", 12 }, /* base longer than 64 bits */
		{ "\0\0\x01", 3 },					/* a bit a number, but none there */
	};

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		char *p = with_slack(slice_of(heads[i].p, heads[i].n));
		struct cursor c = cursor_of(slice_of(p, heads[i].n));
		int64_t out[8];
		uint32_t ids[8];

		numbers_read(&c, 8, out);
		assert_true(c.bad);
		c = cursor_of(slice_of(p, heads[i].n));
		numbers_read_ids(&c, 8, 10, ids);
		assert_true(c.bad);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(width_holds_the_value),      cmocka_unit_test(bits_stand_low_first),
		cmocka_unit_test(every_width_comes_back),     cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(ids_stay_below_their_limit), cmocka_unit_test(impossible_heads_are_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
