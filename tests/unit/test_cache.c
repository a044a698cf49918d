/* base/cache: what was put can be got, within the limit, the least recently used goes first, references stay good. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/cache.h"
#include "base/mem.h"

enum { KB = 1024 };

static struct buf value_of(char fill, size_t n)
{
	struct buf b;

	buf_init(&b);
	memset(buf_reserve(&b, n), fill, n);
	b.n = n;
	return b;
}

static void put(struct cache *c, const char *key, char fill, size_t n)
{
	struct buf b = value_of(fill, n);

	cache_release(cache_put(c, slice_cstr(key), &b));
	assert_null(b.p);
}

/* The first byte of the value, 0 if there is none. */
static char get(struct cache *c, const char *key)
{
	struct cache_item *i = cache_get(c, slice_cstr(key));
	char first = i != NULL ? cache_value(i).p[0] : '\0';

	cache_release(i);
	return first;
}

static void keeps_what_fits(void **state)
{
	struct cache *c = cache_new(64 * KB);

	(void)state;
	put(c, "a", 'A', 100);
	put(c, "b", 'B', 100);
	assert_int_equal(get(c, "a"), 'A');
	assert_int_equal(get(c, "b"), 'B');
	assert_int_equal(get(c, "c"), 0);
	struct cache_stats s = cache_stats(c);
	assert_int_equal(s.items, 2);
	assert_int_equal(s.hits, 2);
	assert_int_equal(s.misses, 1);
	assert_true(s.bytes > 200);
	cache_free(c);
}

static void least_recently_used_goes_first(void **state)
{
	struct cache *c = cache_new(16 * KB);

	(void)state;
	put(c, "a", 'A', 7 * KB / 2);
	put(c, "b", 'B', 7 * KB / 2);
	put(c, "c", 'C', 7 * KB / 2);
	put(c, "d", 'D', 7 * KB / 2);
	assert_int_equal(get(c, "a"), 'A');
	put(c, "e", 'E', 7 * KB / 2);
	put(c, "f", 'F', 7 * KB / 2);
	assert_int_equal(get(c, "a"), 'A');
	assert_int_equal(get(c, "b"), 0);
	assert_int_equal(get(c, "c"), 0);
	assert_int_equal(get(c, "f"), 'F');
	assert_int_equal(cache_stats(c).evicted, 2);
	assert_true(cache_stats(c).bytes <= 16 * KB);
	cache_free(c);
}

static void large_values_are_handed_back_only(void **state)
{
	struct cache *c = cache_new(16 * KB);
	struct buf b = value_of('L', 8 * KB);

	(void)state;
	put(c, "a", 'A', KB);
	struct cache_item *i = cache_put(c, SLICE("large"), &b);
	assert_int_equal(cache_value(i).n, 8 * KB);
	cache_release(i);
	assert_int_equal(get(c, "large"), 0);
	assert_int_equal(get(c, "a"), 'A');
	cache_free(c);
}

static void nothing_is_kept_without_room(void **state)
{
	struct cache *c = cache_new(0);

	(void)state;
	put(c, "a", 'A', 1);
	assert_int_equal(get(c, "a"), 0);
	cache_free(c);
}

static void a_reference_outlives_replacement_and_cache(void **state)
{
	struct cache *c = cache_new(64 * KB);
	struct buf b = value_of('1', 10);
	struct cache_item *i = cache_put(c, SLICE("a"), &b);

	(void)state;
	put(c, "a", '2', 10);
	assert_int_equal(cache_value(i).p[0], '1');
	assert_int_equal(get(c, "a"), '2');
	assert_int_equal(cache_stats(c).items, 1);
	cache_free(c);
	assert_int_equal(cache_value(i).p[9], '1');
	cache_release(i);
}

static void *hammer(void *arg)
{
	struct cache *c = arg;
	char key[16];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "%u", i * 7 % 61);
		struct cache_item *item = cache_get(c, slice_cstr(key));
		if (item == NULL) {
			struct buf b = value_of(key[0], 500);

			item = cache_put(c, slice_cstr(key), &b);
		}
		if (cache_value(item).p[499] != key[0])
			return c;
		cache_release(item);
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	struct cache *c = cache_new(16 * KB);
	pthread_t t[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, c), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		void *wrong;

		pthread_join(t[i], &wrong);
		assert_null(wrong);
	}
	assert_true(cache_stats(c).evicted > 0);
	cache_free(c);
}

static void count_end(void *object)
{
	++*(int *)object;
}

static void objects_end_with_their_last_reference(void **state)
{
	struct cache *c = cache_new(4 * KB);
	int ended = 0, other = 0;

	(void)state;
	struct cache_item *i = cache_put_object(c, SLICE("a"), &ended, 600, count_end);
	assert_ptr_equal(cache_object(i), &ended);
	cache_release(i);
	assert_int_equal(ended, 0); /* the cache has one */
	i = cache_get(c, SLICE("a"));
	assert_ptr_equal(cache_object(i), &ended);
	assert_true(cache_stats(c).bytes >= 600);
	cache_free(c);
	assert_int_equal(ended, 0);
	cache_release(i);
	assert_int_equal(ended, 1);
	cache_release(cache_put_object(NULL, SLICE("b"), &other, 1, count_end));
	assert_int_equal(other, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_fits),
		cmocka_unit_test(least_recently_used_goes_first),
		cmocka_unit_test(large_values_are_handed_back_only),
		cmocka_unit_test(nothing_is_kept_without_room),
		cmocka_unit_test(a_reference_outlives_replacement_and_cache),
		cmocka_unit_test(threads_share_it),
		cmocka_unit_test(objects_end_with_their_last_reference),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
