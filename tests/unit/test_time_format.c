/* Date-times: found in text, taken apart as a difference to the entry's time, and written back to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/time_format.h"

#define NOW INT64_C(1768471202345678901) /* 2026-01-15T10:00:02.345678901Z */
#define SEC INT64_C(1000000000)

static const struct {
	const char *text, *form; /* form NULL: not one */
	size_t n;		 /* 0: all of it */
	int64_t diff;		 /* to NOW */
} detected[] = {
	{ "2026-01-15T10:00:02Z", "%Y-%m-%dT%H:%M:%SZ", 0, 0 },
	{ "2026-01-15T10:00:03Z", "%Y-%m-%dT%H:%M:%SZ", 0, 1 },
	{ "2026-01-15T10:00:02.345Z", "%Y-%m-%dT%H:%M:%S.%3Z", 0, 0 },
	{ "2026-01-15T10:00:02.345678902Z", "%Y-%m-%dT%H:%M:%S.%9Z", 0, 1 },
	{ "2026-01-15T11:00:02.344+01:00", "%Y-%m-%dT%H:%M:%S.%3%Z+01:00", 0, -1 },
	{ "2026-01-15 05:30:02,345 -0430", "%Y-%m-%d %H:%M:%S,%3 %z-0430", 0, 0 },
	{ "2026-01-15 10:00:02 INFO", "%Y-%m-%d %H:%M:%S", 19, 0 },
	{ "2026-01-15 10:00", "%Y-%m-%d %H:%M", 0, 0 },
	{ "2026-01-15 10:00:02.345, x", "%Y-%m-%d %H:%M:%S.%3", 23, 0 },
	{ "2026/01/15 10:00:02 [", "%Y/%m/%d %H:%M:%S", 19, 0 },
	{ "15/Jan/2026:10:00:02 +0000] \"GET", "%d/%b/%Y:%H:%M:%S %z+0000", 26, 0 },
	{ "Jan 15 10:00:02 host", "%b %e %H:%M:%S", 15, 0 },
	{ "Jan  5 10:00:02 host", "%b %e %H:%M:%S", 15, -10 * 86400 },
	{ "Jan 05 10:00:02 host", "%b %d %H:%M:%S", 15, -10 * 86400 },
	{ "Dec 31 10:00:02 host", "%b %e %H:%M:%S", 15, -15 * 86400 },
	{ "Thu Jan 15 10:00:02 2026]", "%a %b %d %H:%M:%S %Y", 24, 0 },
	{ "Thu, 15 Jan 2026 10:00:02 GMT", "%a, %d %b %Y %H:%M:%S", 25, 0 },
	{ "2026-01-15-10.00.02.345678", "%Y-%m-%d-%H.%M.%S.%6", 0, 0 },
	{ "26/01/15 10:00:02 INFO", "%y/%m/%d %H:%M:%S", 17, 0 },
	{ "260115 100002 148 INFO", "%y%m%d %H%M%S", 13, 0 },
	{ "20260115-10:00:02:345|", "%Y%m%d-%H:%M:%S:%3", 21, 0 },
	{ "20260115100002", "%Y%m%d%H%M%S", 0, 0 },
	{ "01-15 10:00:02.345  17", "%m-%d %H:%M:%S.%3", 18, 0 },
	{ "10:00:02.345 x", "%H:%M:%S.%3", 12, 0 },
	{ "23:59:59", "%H:%M:%S", 0, -10 * 3600 - 3 },
	{ "15/01/2026 10:00:02", "%d/%m/%Y %H:%M:%S", 0, 0 },
	{ "2026-13-15T10:00:02Z", NULL, 0, 0 }, /* month 13 */
	{ "2026-02-29T10:00:02Z", NULL, 0, 0 }, /* no leap year */
	{ "2026-01-15T24:00:02Z", NULL, 0, 0 },
	{ "2026-01-15T10:00:60Z", NULL, 0, 0 },
	{ "Fri Jan 15 10:00:02 2026", NULL, 0, 0 }, /* a Thursday */
	{ "2026-01-15T10:00:02Zulu", NULL, 0, 0 },
	{ "2026-01-15T10:00:02.1234567890Z", NULL, 0, 0 },
	{ "10:20:30:40:50:60", NULL, 0, 0 }, /* a MAC address */
	{ "10.20.30.40", NULL, 0, 0 },
	{ "10.20.30", NULL, 0, 0 },
	{ "2026-01-15", NULL, 0, 0 },
	{ "12345678", NULL, 0, 0 },
	{ "20260115100002777", NULL, 0, 0 },
	{ "January 15 10:00:02", NULL, 0, 0 },
	{ "", NULL, 0, 0 },
};

static void assert_writes(const struct time_format *f, int64_t ts, int64_t diff, struct time_cache *cache,
			  struct slice text)
{
	struct time_cache empty = { 0 };
	char out[TIME_TEXT_MAX];

	assert_int_equal(time_format_write(f, ts, diff, &empty, out), text.n);
	assert_memory_equal(out, text.p, text.n);
	assert_int_equal(time_format_write(f, ts, diff, cache, out), text.n);
	assert_memory_equal(out, text.p, text.n);
}

static void formats_are_detected(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(detected); i++) {
		struct slice text = slice_cstr(detected[i].text);
		char *copy =
			xmalloc(text.n > 0 ? text.n : 1); /* exact, so that ASan sees one byte too many */
		struct time_format f;
		struct time_cache cache = { 0 };
		int64_t diff;

		memcpy(copy, text.p, text.n);
		size_t n = time_format_detect(slice_of(copy, text.n), &f);
		free(copy);
		if (detected[i].form == NULL) {
			if (n != 0)
				fail_msg("%s is no date-time, but %.*s", detected[i].text, f.n, f.text);
			continue;
		}
		if (n != (detected[i].n > 0 ? detected[i].n : text.n))
			fail_msg("%s: %zu bytes", detected[i].text, n);
		if (!slice_is(slice_of(f.text, f.n), detected[i].form))
			fail_msg("%s: %.*s", detected[i].text, f.n, f.text);
		assert_int_equal(f.length, n);
		assert_true(time_format_diff(&f, slice_sub(text, 0, n), NOW, &diff));
		assert_int_equal(diff, detected[i].diff);
		assert_writes(&f, NOW, diff, &cache, slice_sub(text, 0, n));
		assert_false(time_format_diff(&f, slice_sub(text, 0, n - 1), NOW, &diff));
	}
}

static void epochs_are_formats_too(void **state)
{
	(void)state;
	static const struct {
		const char *form, *text;
		bool fits;
		int64_t diff;
	} cases[] = {
		{ "%s", "1768471202", true, 0 },
		{ "%s", "1768471200", true, -2 },
		{ "%s", "0", true, -1768471202 },
		{ "%s", "-5", true, -1768471207 },
		{ "%s%3", "1768471202346", true, 1 },
		{ "%s.%6", "1768471202.345678", true, 0 },
		{ "[%s.%1]", "[9.5]", true, -17684711928 },
		{ "%s", "01768471202", false, 0 },
		{ "%s", "-0", false, 0 },
		{ "%s", "+1", false, 0 },
		{ "%s", "", false, 0 },
		{ "%s.%1", "-1.5", false, 0 },
		{ "%s.%1", ".5", false, 0 },
		{ "%s%9", "9223372036854775808", false, 0 }, /* beyond 64 bits of ns */
		{ "%s", "9223372036854775808", false, 0 },
		{ "%s", "-9223372036854775808", false, 0 }, /* the difference is */
		{ "%s%3", "12", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct time_format f;
		struct time_cache cache = { 0 };
		int64_t diff;

		assert_true(time_format_parse(slice_cstr(cases[i].form), &f));
		assert_int_equal(f.length, 0);
		if (time_format_diff(&f, slice_cstr(cases[i].text), NOW, &diff) != cases[i].fits)
			fail_msg("%s in %s", cases[i].text, cases[i].form);
		if (cases[i].fits) {
			assert_int_equal(diff, cases[i].diff);
			assert_writes(&f, NOW, diff, &cache, slice_cstr(cases[i].text));
		}
	}
}

static void impossible_forms_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"%",
		"%H",
		"%Y-%m-%d",
		"%q",
		"%H:%M:%",
		"%H:%M:%S%0",
		"%Y%Y-%m-%d %H:%M",
		"%Y%y-%m-%d %H:%M",
		"%m %b %d %H:%M",
		"%d %e %m %H:%M",
		"%m %H:%M",
		"%Y %H:%M",
		"%a %H:%M",
		"%H:%M.%3",
		"%H:%M:%S.%3.%6",
		"%s %H:%M",
		"%s%s",
		"%H:%M:%S%z",
		"%H:%M:%S%z0000",
		"%H:%M:%S%z+2400",
		"%H:%M:%S%z+00:0",
		"%H:%M:%S%Z+0000",
		"%H:%M:%S%z+0000%z+0000",
		"%H:%M:%Sxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	struct time_format f;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (time_format_parse(slice_cstr(bad[i]), &f))
			fail_msg("%s was taken", bad[i]);
}

static const char *const forms[] = {
	"%Y-%m-%dT%H:%M:%S.%9Z",
	"%Y-%m-%dT%H:%M:%S.%6%Z+05:30",
	"%Y-%m-%d %H:%M:%S,%3",
	"%Y-%m-%d %H:%M",
	"%d/%b/%Y:%H:%M:%S %z-0800",
	"%b %e %H:%M:%S",
	"%a %b %d %H:%M:%S %Y",
	"%y%m%d %H%M%S",
	"%H:%M:%S.%1",
	"%%%Y|%m|%e|%H|%M|%S|%2%%",
};

/* What the C library says about the moment, in the same words. */
static size_t library_text(const char *form, int64_t second, int64_t ns, char *out)
{
	size_t n = 0;
	time_t t = (time_t)second;
	struct tm tm;

	gmtime_r(&t, &tm);
	for (const char *p = form; *p != '\0'; p++) {
		if (*p != '%') {
			out[n++] = *p;
			continue;
		}
		p++;
		if (*p >= '1' && *p <= '9') {
			char digits[10];

			snprintf(digits, sizeof(digits), "%09lld", (long long)ns);
			memcpy(out + n, digits, (size_t)(*p - '0'));
			n += (size_t)(*p - '0');
		} else if (*p == 'Y') {
			n += (size_t)snprintf(out + n, 16, "%04d", tm.tm_year + 1900);
		} else if (*p == 'b' || *p == 'a') {
			n += *p == 'b' ? strftime(out + n, 8, "%b", &tm) : strftime(out + n, 8, "%a", &tm);
		} else if (*p == 'e') {
			n += (size_t)snprintf(out + n, 16, "%2d", tm.tm_mday);
		} else if (*p == '%') {
			out[n++] = '%';
		} else if (*p != 'z' && *p != 'Z') {
			int two = *p == 'y'   ? tm.tm_year % 100
				  : *p == 'm' ? tm.tm_mon + 1
				  : *p == 'd' ? tm.tm_mday
				  : *p == 'H' ? tm.tm_hour
				  : *p == 'M' ? tm.tm_min
					      : tm.tm_sec;

			n += (size_t)snprintf(out + n, 16, "%02d", two);
		}
	}
	return n;
}

static void random_moments_come_back(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(forms); k++) {
		struct time_format f;
		struct time_seen seen = { .asked = false };
		struct time_cache cache = { 0 };
		uint64_t x = k;
		bool far = strstr(forms[k], "%Y") != NULL;

		assert_true(time_format_parse(slice_cstr(forms[k]), &f));
		for (int i = 0; i < 20000; i++) {
			x = hash_mix(x + 0x9e3779b97f4a7c15ULL);
			/* Around 2026, over all years, around a leap day and the turn of a year. */
			int64_t local = 1768471202 + (int64_t)(x >> 32) % 1000,
				ns = (int64_t)(x % 1000000000), diff;
			if (i % 4 == 1)
				local += (int64_t)(x >> 16 & 0xffffff) - 0x800000;
			else if (i % 4 == 2 && far)
				local = (int64_t)(hash_mix(x) % 315537897599ULL) - 62135596800;
			else if (i % 4 == 3)
				local = 1709164800 + (int64_t)(x >> 20 & 0x3ffff);
			char want[TIME_TEXT_MAX];
			size_t n = library_text(forms[k], local, ns, want);
			const char *zone = strpbrk(forms[k], "zZ");
			if (zone != NULL && zone[-1] == '%') {
				/* The zone's text is literal and stands last. */
				size_t m = strlen(zone + 1);

				assert_memory_equal(want + n - m, zone + 1, m);
			}
			/* Entries stand near, and 2^64 ns do not reach all years. */
			int64_t ts =
				i % 4 == 2 ? NOW
					   : (local - f.zone_s) * SEC + (int64_t)(x >> 24 & 0xffffffff) - SEC;
			if (!time_format_diff(&f, slice_of(want, n), ts, &diff)) {
				/* Only nanoseconds are too fine for all years. */
				assert_true(i % 4 == 2 && f.unit_ns == 1);
				continue;
			}
			int64_t next;
			assert_true(time_format_diff_next(&f, &seen, slice_of(want, n), ts, &next));
			assert_true(next == diff);
			if (i % 4 != 2)
				assert_true(diff < 6 * SEC && diff > -6 * SEC);
			assert_writes(&f, ts, diff, &cache, slice_of(want, n));
		}
	}
}

/* Any bytes: either refused, or exactly what is written. */
static void mutations_are_exact_or_refused(void **state)
{
	(void)state;
	static const char bytes[] = "0123456789 -:.,TZJanFebMarFriSat+/%";
	uint64_t x = 7;
	size_t n_taken = 0;

	for (size_t k = 0; k < ARRAY_LEN(forms); k++) {
		struct time_format f;
		struct time_cache cache = { 0 };
		char text[TIME_TEXT_MAX], changed[TIME_TEXT_MAX];

		assert_true(time_format_parse(slice_cstr(forms[k]), &f));
		size_t n = time_format_write(&f, NOW, 0, &cache, text);
		for (int i = 0; i < 50000; i++) {
			int64_t diff;

			memcpy(changed, text, n);
			for (int j = 0; j < 3; j++) {
				x = hash_mix(x + 0x9e3779b97f4a7c15ULL);
				changed[x % n] = bytes[(x >> 32) % (sizeof(bytes) - 1)];
			}
			if (time_format_diff(&f, slice_of(changed, n), NOW, &diff)) {
				assert_writes(&f, NOW, diff, &cache, slice_of(changed, n));
				n_taken++;
			}
		}
	}
	assert_true(n_taken > 1000);
}

static void any_difference_is_safe(void **state)
{
	(void)state;
	static const int64_t extremes[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX };

	for (size_t k = 0; k < ARRAY_LEN(forms) + 2; k++) {
		struct time_format f;
		struct time_cache cache = { 0 };
		char out[TIME_TEXT_MAX];

		assert_true(time_format_parse(slice_cstr(k < ARRAY_LEN(forms) ? forms[k]
							 : k % 2	      ? "%s.%9"
									      : "%s"),
					      &f));
		for (size_t i = 0; i < ARRAY_LEN(extremes); i++) {
			for (size_t j = 0; j < ARRAY_LEN(extremes); j++) {
				size_t n = time_format_write(&f, extremes[i], extremes[j], &cache, out);
				int64_t diff;

				assert_true(n > 0 && n <= TIME_TEXT_MAX);
				if (time_format_diff(&f, slice_of(out, n), extremes[i], &diff))
					assert_writes(&f, extremes[i], diff, &cache, slice_of(out, n));
			}
		}
	}
}

static void bytes_are_those_of_the_texts(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(forms); k++) {
		struct time_format f;
		struct time_cache cache = { 0 };
		uint64_t set[4] = { 0 };
		char out[TIME_TEXT_MAX];

		assert_true(time_format_parse(slice_cstr(forms[k]), &f));
		time_format_bytes(&f, set);
		for (int i = 0; i < 1000; i++) {
			size_t n = time_format_write(&f, NOW, (int64_t)hash_mix((uint64_t)i), &cache, out);

			for (size_t j = 0; j < n; j++)
				assert_true(set[(unsigned char)out[j] >> 6] >> (out[j] & 63) & 1);
		}
		assert_false(set['~' >> 6] >> ('~' & 63) & 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_are_detected),		  cmocka_unit_test(epochs_are_formats_too),
		cmocka_unit_test(impossible_forms_are_refused),	  cmocka_unit_test(random_moments_come_back),
		cmocka_unit_test(mutations_are_exact_or_refused), cmocka_unit_test(any_difference_is_safe),
		cmocka_unit_test(bytes_are_those_of_the_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
