#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/account.h"
#include "base/cache.h"
#include "base/clock.h"

static void users_share_one_limit(void **state)
{
	struct account *a = account_new(1000);
	struct account_user *x = account_user(a, "x"), *y = account_user(a, "y");

	(void)state;
	assert_true(account_try(x, 600));
	assert_true(account_try(y, 200));
	assert_false(account_is_short(a));
	assert_false(account_try(y, 201));
	assert_int_equal(account_in_use(a), 800);
	account_charge(y, 100); /* always succeeds */
	assert_true(account_is_short(a));
	assert_false(account_is_over(x));
	account_charge(y, 101);
	assert_true(account_is_over(x));
	account_release(x, 600);
	assert_int_equal(account_used_by(x), 0);
	assert_int_equal(account_used_by(y), 401);
	assert_int_equal(account_in_use(a), 401);
	account_free(a);
}

static void adjusting_goes_both_ways(void **state)
{
	struct account *a = account_new(0);
	struct account_user *x = account_user(a, "x");
	uint64_t charged = 0;

	(void)state;
	account_adjust(x, &charged, 70);
	account_adjust(x, &charged, 50);
	assert_int_equal(charged, 50);
	assert_int_equal(account_in_use(a), 50);
	assert_true(account_try(x, UINT64_MAX / 4)); /* no limit */
	assert_false(account_is_short(a));
	account_free(a);
}

static void no_account_no_limit(void **state)
{
	uint64_t charged = 0;

	(void)state;
	assert_null(account_user(NULL, "x"));
	assert_true(account_try(NULL, 1));
	account_charge(NULL, 1);
	account_adjust(NULL, &charged, 9);
	assert_int_equal(charged, 9);
	assert_false(account_is_over(NULL));
	assert_false(account_is_short(NULL));
	assert_int_equal(account_limit(NULL), 0);
}

static void shrink(void *arg)
{
	cache_shrink(arg);
}

static void fill(struct cache *c, int n)
{
	for (int i = 0; i < n; i++) {
		struct buf value;

		buf_init(&value);
		buf_append(&value, (char[1000]){ 0 }, 1000);
		cache_release(cache_put(c, slice_of(&i, sizeof(i)), &value));
	}
}

static void caches_give_way(void **state)
{
	struct account *a = account_new(100000);
	struct account_user *x = account_user(a, "x");
	struct cache *c = cache_new(50000);

	(void)state;
	cache_use_account(c, account_user(a, "cache"));
	account_on_short(a, shrink, c);
	fill(c, 30);
	uint64_t before = cache_stats(c).bytes;
	assert_int_equal(account_in_use(a), before);
	fill(c, 30); /* each again */
	assert_int_equal(account_in_use(a), before);
	account_charge(x, 80000);
	assert_true(cache_stats(c).bytes <= before / 2);
	assert_int_equal(account_in_use(a), 80000 + cache_stats(c).bytes);
	fill(c, 200); /* evicts by itself */
	assert_int_equal(account_in_use(a), 80000 + cache_stats(c).bytes);
	cache_free(c);
	assert_int_equal(account_in_use(a), 80000);
	account_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_share_one_limit),
		cmocka_unit_test(adjusting_goes_both_ways),
		cmocka_unit_test(no_account_no_limit),
		cmocka_unit_test(caches_give_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
