/* Numbers in text: eight digits are read at a time, which must not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/slice.h"

static const struct {
	const char *text;
	bool ok;
	int64_t value;
} cases[] = {
	{ "", false, 0 },
	{ "0", true, 0 },
	{ "12345678", true, 12345678 },
	{ "123456789", true, 123456789 },
	{ "1234567:", false, 0 },
	{ "1234567/", false, 0 },
	{ "00000000000000000000000000017", true, 17 },
	{ "1768435207957968002", true, 1768435207957968002 },
	{ "-1768435207957968002", true, -1768435207957968002 },
	{ "9223372036854775807", true, INT64_MAX },
	{ "9223372036854775808", false, 0 },
	{ "-9223372036854775808", true, INT64_MIN },
	{ "-9223372036854775809", false, 0 },
	{ "18446744073709551616", false, 0 },
	{ "99999999999999999999999999999999", false, 0 },
	{ "176843520795796800x", false, 0 },
};

static void reads_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t v = 0;

		assert_int_equal(slice_to_i64(slice_cstr(cases[i].text), &v), cases[i].ok);
		assert_int_equal(v, cases[i].value);
	}
}

/* Each byte at each place of a number of 20 bytes. */
static void refuses_every_other_byte(void **state)
{
	(void)state;
	for (size_t at = 0; at < 19; at++) {
		for (unsigned c = 0; c < 256; c++) {
			char text[] = "1234567890123456789";
			uint64_t v;

			text[at] = (char)c;
			assert_int_equal(slice_to_u64(slice_of(text, 19), &v), c >= '0' && c <= '9');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(refuses_every_other_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
