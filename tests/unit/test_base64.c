/* The test vectors of RFC 4648 §10, all byte values, digits. */
#include "base/base64.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void texts_and_their_base64(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd", "//79" },
		{ "\xfb\xef\xbe", "++++" },
	};
	struct buf b;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&b);
		buf_putc(&b, '>'); /* appends */
		buf_base64(&b, slice_cstr(cases[i].in));
		assert_int_equal(b.n, 1 + strlen(cases[i].out));
		assert_memory_equal(b.p + 1, cases[i].out, b.n - 1);
		assert_int_equal(b.n - 1, BASE64_SIZE(strlen(cases[i].in)));
	}
	buf_fini(&b);
}

static void digits_have_values(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(base64_digit('A'), 0);
	assert_int_equal(base64_digit('z'), 51);
	assert_int_equal(base64_digit('0'), 52);
	assert_int_equal(base64_digit('+'), 62);
	assert_int_equal(base64_digit('/'), 63);
	for (int c = -128; c < 128; c++)
		n += base64_digit((char)c) >= 0;
	assert_int_equal(n, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_their_base64),
		cmocka_unit_test(digits_have_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
