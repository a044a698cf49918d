/* Time zones by name: offsets, the hours when they change, and rules for years that no table holds. */
#include "base/zone.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct zone *zone(const char *name)
{
	const struct zone *z = zone_find(slice_cstr(name));

	if (z == NULL && zone_find(SLICE("Europe/Berlin")) != NULL)
		fail_msg("no zone %s", name);
	if (z == NULL)
		skip(); /* no time zones on this system */
	return z;
}

static void test_offsets(void **state)
{
	static const struct {
		const char *zone;
		int64_t unix_s;
		int32_t offset_s;
		const char *abbrev;
	} rows[] = {
		{ "UTC", 0, 0, "UTC" },
		{ "", 0, 0, "UTC" },
		{ "Europe/Berlin", 1711846799, 3600, "CET" }, /* 2024-03-31 00:59:59 UTC */
		{ "Europe/Berlin", 1711846800, 7200, "CEST" },
		{ "Europe/Berlin", 1729990799, 7200, "CEST" }, /* 2024-10-27 00:59:59 UTC */
		{ "Europe/Berlin", 1729990800, 3600, "CET" },
		{ "Europe/Berlin", 3802291200, 7200, "CEST" }, /* 2090-06-28: by the rule */
		{ "Europe/Berlin", 3787776000, 3600, "CET" },  /* 2090-01-11 */
		{ "America/New_York", 1720000000, -14400, "EDT" },
		{ "Asia/Kolkata", 1720000000, 19800, "IST" },
		{ "Australia/Sydney", 3787776000, 39600, "AEDT" }, /* summer spans the new year */
		{ "Australia/Sydney", 3802291200, 36000, "AEST" },
		{ "Etc/GMT+5", 1720000000, -18000, "-05" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone_time t = zone_at(zone(rows[i].zone), rows[i].unix_s);

		assert_int_equal(t.offset_s, rows[i].offset_s);
		assert_true(slice_is(t.abbrev, rows[i].abbrev));
		assert_true(t.start <= rows[i].unix_s && rows[i].unix_s < t.end);
	}
}

static void test_names_that_are_none(void **state)
{
	static const char *const names[] = { "Nope/Zone",     "../etc/passwd", "/etc/passwd",	 "Europe",
					     "Europe/../UTC", "a\\b",	       "Europe/Berlin ", "zone.tab" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_null(zone_find(slice_cstr(names[i])));
}

static void test_a_zone_is_loaded_once(void **state)
{
	(void)state;
	assert_ptr_equal(zone("Europe/Berlin"), zone("Europe/Berlin"));
	assert_ptr_equal(zone_find(SLICE("UTC")), zone_utc());
}

static void test_abbreviations(void **state)
{
	const struct zone *berlin = zone("Europe/Berlin");
	int32_t offset;

	(void)state;
	assert_true(zone_abbrev_offset(berlin, SLICE("CEST"), 1720000000, &offset));
	assert_int_equal(offset, 7200);
	assert_true(zone_abbrev_offset(berlin, SLICE("CET"), 1720000000, &offset));
	assert_int_equal(offset, 3600);
	assert_false(zone_abbrev_offset(berlin, SLICE("PST"), 1720000000, &offset));
}

static void test_fixed(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	struct zone_time t = zone_at(zone_fixed(SLICE("X"), -90, &a), 5);
	assert_int_equal(t.offset_s, -90);
	assert_true(slice_is(t.abbrev, "X"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_a_zone_is_loaded_once),
		cmocka_unit_test(test_abbreviations),
		cmocka_unit_test(test_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
