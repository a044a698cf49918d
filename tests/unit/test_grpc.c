/* The parts of gRPC that are not HTTP/2. */
#include "api/grpc.h"
#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* What the reader makes of it, fed in pieces: "5!" flag and length, then the bytes, then how it ends. */
static void read_in_pieces(struct slice all, size_t piece, struct buf *out)
{
	struct grpc_reader r;
	enum grpc_event ev = GRPC_MORE;

	buf_reset(out);
	grpc_reader_init(&r);
	for (size_t off = 0; off < all.n && ev != GRPC_BAD; off += piece) {
		struct slice in = slice_sub(all, off, piece), data;

		while ((ev = grpc_read(&r, &in, &data)) != GRPC_MORE && ev != GRPC_BAD)
			if (ev == GRPC_MESSAGE)
				buf_printf(out, "%u%s", r.length, r.compressed ? "z:" : ":");
			else
				buf_add(out, data);
	}
	buf_puts(out, ev == GRPC_BAD ? " bad" : grpc_read_whole(&r) ? " whole" : " cut");
}

static void test_reader(void **state)
{
	static const struct {
		struct slice in;
		const char *want;
	} cases[] = {
		{ { "\0\0\0\0\5hello", 10 }, "5:hello whole" },
		{ { "\1\0\0\0\5hello", 10 }, "5z:hello whole" },
		{ { "\0\0\0\0\0", 5 }, "0: whole" },
		{ { "", 0 }, " cut" },
		{ { "\0\0\0\0", 4 }, " cut" },
		{ { "\0\0\0\0\5hell", 9 }, "5:hell cut" },
		{ { "\0\xff\xff\xff\xff", 5 }, "4294967295: cut" },
		{ { "\2\0\0\0\5hello", 10 }, " bad" },
		{ { "\0\0\0\0\1hello", 10 }, "1:h bad" },
		{ { "\0\0\0\0\0\0", 6 }, "0: bad" },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece < 12; piece++) {
			read_in_pieces(cases[i].in, piece, &out);
			buf_cstr_end(&out);
			assert_string_equal(out.p, cases[i].want);
		}
	buf_reset(&out);
	grpc_put_message(&out, SLICE("hello"));
	assert_int_equal(out.n, 10);
	assert_memory_equal(out.p, "\0\0\0\0\5hello", 10);
	buf_fini(&out);
}

static void test_timeout(void **state)
{
	static const struct {
		const char *in;
		int64_t ns; /* -1: not one */
	} cases[] = {
		{ "1S", NS_PER_S },
		{ "9961m", 9961 * NS_PER_MS },
		{ "5u", 5000 },
		{ "7n", 7 },
		{ "2M", 2 * NS_PER_MIN },
		{ "1H", 60 * NS_PER_MIN },
		{ "0S", 0 },
		{ "99999999H", INT64_MAX },
		{ "99999999S", 99999999 * NS_PER_S },
		{ "", -1 },
		{ "S", -1 },
		{ "1", -1 },
		{ "1s", -1 },
		{ "123456789S", -1 },
		{ "-1S", -1 },
		{ "1 S", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ns = -1;
		bool ok = grpc_parse_timeout(slice_cstr(cases[i].in), &ns);

		assert_int_equal(ok, cases[i].ns != -1);
		assert_int_equal(ok ? ns : -1, cases[i].ns);
	}
}

static void test_text(void **state)
{
	struct buf out = { 0 };

	(void)state;
	grpc_put_text(&out, SLICE("line 1: 50% of \xc3\xbc\nno\n"));
	buf_cstr_end(&out);
	assert_string_equal(out.p, "line 1: 50%25 of %C3%BC%0Ano");
	buf_fini(&out);
}

static void test_content_type(void **state)
{
	(void)state;
	assert_true(grpc_is_content_type(SLICE("application/grpc")));
	assert_true(grpc_is_content_type(SLICE("application/grpc+proto")));
	assert_true(grpc_is_content_type(SLICE("application/grpc; charset=utf-8")));
	assert_false(grpc_is_content_type(SLICE("application/grpc-web")));
	assert_false(grpc_is_content_type(SLICE("application/grpc+json")));
	assert_false(grpc_is_content_type(SLICE("application/json")));
	assert_false(grpc_is_content_type((struct slice){ NULL, 0 }));
}

/* Exporters send again what is Unavailable, and throw away the rest. */
static void test_statuses(void **state)
{
	static const struct {
		int http;
		const char *name;
	} cases[] = {
		{ 200, "OK" },
		{ 204, "OK" },
		{ 400, "InvalidArgument" },
		{ 422, "InvalidArgument" },
		{ 401, "Unauthenticated" },
		{ 403, "PermissionDenied" },
		{ 404, "Unimplemented" },
		{ 301, "Unimplemented" },
		{ 413, "ResourceExhausted" },
		{ 429, "Unavailable" },
		{ 500, "Unavailable" },
		{ 503, "Unavailable" },
		{ 504, "DeadlineExceeded" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(grpc_status_name(grpc_status_of_http(cases[i].http)), cases[i].name);
}

static void test_retry_details(void **state)
{
	struct buf out = { 0 };

	(void)state;
	grpc_put_retry_details(&out, GRPC_UNAVAILABLE, SLICE("slow"), 3);
	buf_cstr_end(&out);
	/* Status { code: 14 message: "slow" details: Any { RetryInfo { retry_delay { seconds: 3 } } } } */
	assert_string_equal(out.p,
			    "CA4SBHNsb3caMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAw");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),	 cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_text),	 cmocka_unit_test(test_content_type),
		cmocka_unit_test(test_statuses), cmocka_unit_test(test_retry_details),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
