/* What the client makes of a server's bytes, in one piece and byte by byte. */
#include "cli/client.h"
#include "base/text.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *in;
	bool eof;	  /* then the connection ends */
	int rc;		  /* of the last step */
	const char *text; /* body, or part of the error */
	bool keep_alive;
} table[] = {
	{ OK "Content-Length: 5\r\n\r\nhello", false, 1, "hello", true },
	{ OK "content-length:5\r\nConnection: close\r\n\r\nhello", false, 1, "hello", false },
	{ OK "Content-Length: 0\r\n\r\n", false, 1, "", true },
	{ "HTTP/1.1 204 No Content\r\n\r\n", false, 1, "", true },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", false, 1, "x", true },
	{ "HTTP/1.0 200 OK\r\n\r\nto the end", true, 1, "to the end", false },
	{ OK "\r\nto the end", true, 1, "to the end", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", false, 1,
	  "hello world", true },
	{ OK "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", false, 1,
	  "0123456789", true },
	{ "HTTP/1.1 200\nContent-Length: 2\n\nab", false, 1, "ab", true },
	{ OK "Content-Length: 5\r\n\r\nhell", false, 0, NULL, false },
	{ OK "Content-Length: 5\r\n\r\nhell", true, -1, "in the middle", false },
	{ OK "Content-Length: 5\r\n\r\nhello!", false, -1, "more bytes than announced", false },
	{ OK "Content-Length: -1\r\n\r\n", false, -1, "Content-Length", false },
	{ OK "Content-Length: 99999999999\r\n\r\n", false, -1, "larger than 1000 bytes", false },
	{ OK "Transfer-Encoding: gzip\r\n\r\n", false, -1, "Transfer-Encoding", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", false, -1, "chunk size", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n\r\n", false, -1, "chunk size", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx", false, 0, NULL, false },
	{ OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx", false, -1, "chunk size", false },
	{ OK "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", false, -1, "chunk end", false },
	{ "SSH-2.0-OpenSSH\r\n\r\n", false, -1, "status line", false },
	{ "HTTP/1.1 99 x\r\n\r\n", false, -1, "status", false },
	{ "HTTP/1.1 2000 x\r\n\r\n", true, -1, "status", false },
	{ "", true, -1, "in the middle", false },
};

static void check(size_t i, size_t step)
{
	struct slice in = slice_cstr(table[i].in);
	struct response r;
	struct err err = { 0 };
	int rc = 0;

	response_init(&r, 1000);
	for (size_t off = 0; off < in.n && rc != -1; off += step)
		rc = response_feed(&r, slice_sub(in, off, step), &err);
	if (table[i].eof && rc == 0)
		rc = response_eof(&r, &err);
	if (rc != table[i].rc)
		fail_msg("case %zu, %zu bytes at a time: %d %s", i, step, rc, err.msg);
	if (rc == 1) {
		assert_true(slice_is(buf_slice(&r.body), table[i].text));
		assert_int_equal(r.keep_alive, table[i].keep_alive);
	} else if (rc == -1 && strstr(err.msg, table[i].text) == NULL) {
		fail_msg("case %zu: %s", i, err.msg);
	}
	response_fini(&r);
}

static void answers_are_read_however_they_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		check(i, 1);
		check(i, 7);
		check(i, 100000);
	}
}

static void headers_are_found(void **state)
{
	struct response r;
	struct err err;

	(void)state;
	response_init(&r, 1000);
	assert_int_equal(
		response_feed(
			&r,
			SLICE("HTTP/1.1 429 x\r\nRetry-After: 7\r\nX-A:  b \r\nContent-Length: 0\r\n\r\n"),
			&err),
		1);
	assert_int_equal(r.status, 429);
	assert_int_equal(r.retry_after_s, 7);
	assert_true(slice_is(response_header(&r, "x-a"), "b"));
	assert_null(response_header(&r, "x-b").p);
	response_reset(&r);
	assert_int_equal(r.retry_after_s, -1);
	response_fini(&r);
}

static void a_huge_head_is_refused(void **state)
{
	struct response r;
	struct buf head = { 0 };
	struct err err;

	(void)state;
	response_init(&r, 1000);
	buf_puts(&head, OK);
	for (int i = 0; i < 10000; i++)
		buf_puts(&head, "X-Header: y\r\n");
	assert_int_equal(response_feed(&r, buf_slice(&head), &err), -1);
	response_fini(&r);
	buf_fini(&head);
}

static void addresses(void **state)
{
	static const struct {
		const char *url;
		bool ok;
	} urls[] = {
		{ "http://127.0.0.1:3100", true },
		{ "http://localhost", true },
		{ "http://[::1]:3100/", true },
		{ "http://logs/prefix/", true },
		{ "https://logs", true },
		{ "https://[::1]:3443/x", true },
		{ "ftp://logs", false },
		{ "logs:3100", false },
		{ "http://", false },
		{ "http://:3100", false },
		{ "http://a:b@logs", false },
		{ "http://logs:0", false },
		{ "http://logs:70000", false },
		{ "http://logs:3100x", false },
		{ "http://[::1", false },
		{ "http://lo gs", false },
		{ "http://logs\r\nX: y", false },
		{ "http://logs/a b", false },
		{ "http://[::1]x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		const struct client_options o = { .url = urls[i].url };
		struct client *c = NULL;
		struct err err;

		if ((client_new(&o, &c, &err) == 0) != urls[i].ok)
			fail_msg("%s", urls[i].url);
		client_free(c);
	}
}

static void what_stands_in_a_url_is_escaped(void **state)
{
	struct buf b = { 0 };

	(void)state;
	text_url_escape(&b, SLICE("{a=\"b c\"} |= `\xc3\xa4/+&`"));
	assert_true(slice_is(buf_slice(&b), "%7Ba%3D%22b%20c%22%7D%20%7C%3D%20%60%C3%A4%2F%2B%26%60"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read_however_they_come),
		cmocka_unit_test(headers_are_found),
		cmocka_unit_test(a_huge_head_is_refused),
		cmocka_unit_test(addresses),
		cmocka_unit_test(what_stands_in_a_url_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
