/* Token buckets on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ingest/rate.h"

static int setup(void **state)
{
	clock_fake(1000 * NS_PER_S);
	*state = rate_new();
	return 0;
}

static int teardown(void **state)
{
	rate_free(*state);
	clock_fake(0);
	return 0;
}

static void test_tenant(void **state)
{
	struct rate *r = *state;
	struct slice a = SLICE("a"), b = SLICE("b");

	assert_true(rate_take_tenant(r, a, 100, 200, 150)); /* a new bucket is full */
	assert_false(rate_take_tenant(r, a, 100, 200, 51)); /* nothing is taken when it does not fit */
	assert_true(rate_take_tenant(r, a, 100, 200, 50));
	assert_false(rate_take_tenant(r, a, 100, 200, 1));
	assert_true(rate_take_tenant(r, b, 100, 200, 200)); /* of its own */
	clock_fake_advance(NS_PER_S / 2);
	assert_true(rate_take_tenant(r, a, 100, 200, 50));
	assert_false(rate_take_tenant(r, a, 100, 200, 1));
	clock_fake_advance(NS_PER_H);
	assert_false(rate_take_tenant(r, a, 100, 200, 201)); /* never more than the burst */
	assert_true(rate_take_tenant(r, a, 100, 200, 200));
	assert_true(rate_take_tenant(r, a, 0, 0, 1e12)); /* no limit */
}

static void test_streams(void **state)
{
	struct rate *r = *state;

	assert_true(rate_take_stream(r, 7, 10, 10, 10));
	assert_false(rate_take_stream(r, 7, 10, 10, 1));
	assert_true(rate_take_stream(r, 8, 10, 10, 10));
	clock_fake_advance(NS_PER_S / 10);
	assert_true(rate_take_stream(r, 7, 10, 10, 1));
	assert_false(rate_take_stream(r, 7, 10, 10, 1));
	assert_true(rate_take_stream(r, 7, 0, 0, 1e12));
}

/* Far more streams than there are buckets: bounded memory, and a stream that keeps pushing keeps its bucket.
 */
static void test_many_streams(void **state)
{
	struct rate *r = *state;

	assert_true(rate_take_stream(r, 1, 1, 10, 10));
	for (uint64_t i = 2; i < 200000; i++) {
		clock_fake_advance(1);
		if (i % 100 == 0)
			assert_false(rate_take_stream(r, 1, 1, 10, 5));
		assert_true(rate_take_stream(r, i * 0x9e3779b97f4a7c15ULL, 1, 10, 10));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tenant, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_streams, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
