/* Filters: whatever was put in is found; what was not is mostly not; damage never hides anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/filter.h"

static uint64_t token(size_t i)
{
	return hash_mix(i + 1);
}

static void fuse_finds_all_of_any_number(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 2, 3, 5, 10, 33, 100, 1000, 4096, 50000 };

	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		size_t n = sizes[s], hits = 0;
		uint64_t *t = xcalloc(2 * n + 1, sizeof(*t));
		struct buf out;

		buf_init(&out);
		for (size_t i = 0; i < 2 * n; i++)
			t[i] = token(i % (n > 0 ? n : 1)); /* each twice */
		fuse_build(t, 2 * n, &out);
		for (size_t i = 0; i < n; i++)
			assert_true(fuse_has(buf_slice(&out), token(i)));
		for (size_t i = 0; i < 20000; i++)
			hits += fuse_has(buf_slice(&out), token(1000000 + i));
		assert_true(hits < 10);
		if (n >= 1000)
			assert_true(out.n * 8 < n * (n < 50000 ? 26 : 21));
		buf_fini(&out);
		free(t);
	}
}

static void a_damaged_fuse_filter_says_perhaps(void **state)
{
	(void)state;
	uint64_t t[] = { 1, 2, 3 };
	struct buf out;

	buf_init(&out);
	fuse_build(t, 3, &out);
	assert_true(fuse_has(slice_sub(buf_slice(&out), 0, out.n - 1), 999));
	assert_true(fuse_has(SLICE(""), 999));
	memset(out.p + 12, 0xff, 8);
	assert_true(fuse_has(buf_slice(&out), 999));
	buf_fini(&out);
}

static void bloom_finds_all_and_notices_damage(void **state)
{
	(void)state;
	enum { N = 30000 };
	size_t n_blocks = bloom_n_blocks(N), hits = 0;
	char *b = xcalloc(n_blocks, BLOOM_BLOCK_BYTES);
	bool damaged;

	for (size_t i = 0; i < N; i++)
		bloom_add(b, n_blocks, token(i));
	bloom_seal(b, n_blocks);
	for (size_t i = 0; i < N + 100000; i++) {
		size_t at = bloom_block_of(token(i), n_blocks);
		bool has = bloom_block_has(b + at * BLOOM_BLOCK_BYTES, at, token(i), &damaged);

		assert_false(damaged);
		if (i < N)
			assert_true(has);
		else
			hits += has;
	}
	assert_true(hits < 2000); /* 2 % */
	b[5] ^= 1;
	assert_true(bloom_block_has(b, 0, 42, &damaged));
	assert_true(damaged);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fuse_finds_all_of_any_number),
		cmocka_unit_test(a_damaged_fuse_filter_says_perhaps),
		cmocka_unit_test(bloom_finds_all_and_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
