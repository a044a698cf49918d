/* The request reader: what it accepts, and everything that it must not, since two readers could differ on it.
 * Each case is fed whole, byte by byte and in pieces of 3, with the same result. */
#include "api/http1.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define H "Host: h\r\n"

static const struct http1_limits limits = { 64 << 10, 100 };

/* Events as text: "HEAD GET / ", "BODY(abc) ", "DONE ", "BAD 400 "; several requests follow each other. */
static char *trace(struct slice all, size_t piece)
{
	struct http1 p;
	struct buf out, body;
	enum http1_event ev = HTTP1_MORE;

	buf_init(&out);
	buf_init(&body);
	http1_init(&p, &limits);
	for (size_t off = 0; off < all.n && ev != HTTP1_BAD; off += piece) {
		struct slice in = slice_sub(all, off, piece), data;
		char *exact = xmalloc(in.n); /* so that reading past the piece is seen */

		memcpy(exact, in.p, in.n);
		in.p = exact;
		while ((ev = http1_feed(&p, &in, &data)) != HTTP1_MORE && ev != HTTP1_BAD) {
			if (ev == HTTP1_HEAD)
				buf_printf(&out, "HEAD %.*s %.*s ", SLICE_ARG(p.head.method),
					   SLICE_ARG(p.head.target));
			else if (ev == HTTP1_BODY)
				buf_add(&body, data);
			if (ev != HTTP1_DONE)
				continue;
			if (body.n > 0)
				buf_printf(&out, "BODY(%.*s) ", SLICE_ARG(buf_slice(&body)));
			buf_puts(&out, "DONE ");
			buf_reset(&body);
			http1_reset(&p);
		}
		free(exact);
	}
	if (ev == HTTP1_BAD)
		buf_printf(&out, "BAD %d ", p.status);
	buf_putc(&out, '\0');
	http1_fini(&p);
	buf_fini(&body);
	return out.p;
}

static const struct {
	const char *name, *in, *want;
} cases[] = {
	{ "plain", "GET / HTTP/1.1\r\n" H "\r\n", "HEAD GET / DONE " },
	{ "odd but clear names",
	  "GET /a?b={c=\"d\"} HTTP/1.1\r\nhOST:h:3100\r\nX!#$%&'*+-.^_`|~9: \t v\t w \t\r\n\r\n",
	  "HEAD GET /a?b={c=\"d\"} DONE " },
	{ "body by length", "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
	  "HEAD POST /p BODY(hello) DONE " },
	{ "length 0", "POST /p HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "HEAD POST /p DONE " },
	{ "body incomplete", "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell", "HEAD POST /p " },
	{ "pipelined",
	  "GET /1 HTTP/1.1\r\n" H "\r\nPOST /2 HTTP/1.1\r\n" H
	  "Content-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\n" H "\r\n",
	  "HEAD GET /1 DONE HEAD POST /2 BODY(hi) DONE HEAD GET /3 DONE " },
	{ "empty line after a body",
	  "POST /2 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi\r\nGET /3 HTTP/1.1\r\n" H "\r\n",
	  "HEAD POST /2 BODY(hi) DONE HEAD GET /3 DONE " },
	{ "two empty lines", "\r\n\r\nGET /3 HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "HEAD GET / DONE " },
	{ "UTF-8 in target and value", "GET /\xc3\xa9 HTTP/1.1\r\n" H "X: \xc3\xa9\r\n\r\n",
	  "HEAD GET /\xc3\xa9 DONE " },

	{ "chunked",
	  "POST /p HTTP/1.1\r\n" H
	  "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n",
	  "HEAD POST /p BODY(abc0123456789) DONE " },
	{ "chunk extensions",
	  "POST /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n",
	  "HEAD POST /p BODY(abc) DONE " },
	{ "trailers are read and dropped",
	  "POST /p HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nGET / HTTP/1.1\r\n" H
	  "\r\n",
	  "HEAD POST /p BODY(a) DONE HEAD GET / DONE " },
	{ "empty chunked body", "POST /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  "HEAD POST /p DONE " },

	{ "absolute form", "GET http://h/x?y HTTP/1.1\r\n" H "\r\n", "HEAD GET /x?y DONE " },
	{ "absolute form, empty path", "GET HTTP://H HTTP/1.1\r\n" H "\r\n", "HEAD GET / DONE " },
	{ "absolute form of another host", "GET http://evil/x HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "absolute form without Host", "GET http://h/x HTTP/1.1\r\n\r\n", "BAD 400 " },
	{ "absolute form with user", "GET http://u@h/x HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "other scheme", "GET ftp://h/x HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "HEAD OPTIONS * DONE " },
	{ "asterisk for GET", "GET * HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "authority", "CONNECT h:443 HTTP/1.1\r\n" H "\r\n", "HEAD CONNECT h:443 DONE " },
	{ "relative target", "GET x HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "fragment", "GET /x#y HTTP/1.1\r\n" H "\r\n", "BAD 400 " },

	{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", "BAD 505 " },
	{ "HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", "BAD 505 " },
	{ "HTTP/0.9", "GET /\r\n", "BAD 400 " },
	{ "long version", "GET / HTTP/1.10\r\n" H "\r\n", "BAD 400 " },
	{ "lower-case version", "GET / http/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "space in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "space at the end", "GET / HTTP/1.1 \r\n" H "\r\n", "BAD 400 " },
	{ "tab between", "GET\t/\tHTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "bad method", "G(T / HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "endless method", "GETGETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "TLS", "\x16\x03\x01\x02", "BAD 400 " },

	/* what evhttp takes and must not be taken */
	{ "two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	  "BAD 400 " },
	{ "the same length twice",
	  "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-length: 3\r\n\r\nabc", "BAD 400 " },
	{ "length list", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", "BAD 400 " },
	{ "signed length", "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", "BAD 400 " },
	{ "negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc", "BAD 400 " },
	{ "hex length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc", "BAD 400 " },
	{ "empty length", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nabc", "BAD 400 " },
	{ "length with a space inside", "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\nabc",
	  "BAD 400 " },
	{ "length over int64", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n",
	  "BAD 400 " },
	{ "length over uint64", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\n",
	  "BAD 400 " },
	{ "space before the colon", "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc", "BAD 400 " },
	{ "tab before the colon", "POST / HTTP/1.1\r\n" H "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "both framings",
	  "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "unknown coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", "BAD 400 " },
	{ "coding list", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "BAD 400 " },
	{ "chunked twice",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "almost chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "chunked with a vertical tab",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "BAD 400 " },
	{ "chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  "BAD 400 " },
	{ "chunk size 0x3",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk size +3", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk size -1", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk size with space",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk size after space",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "no chunk size", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n;x\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "empty chunk line", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk size that wraps",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "overlong zeros",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0000000000000003\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk longer than its size",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk line ends in LF",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "chunk ends in LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "CR in a chunk extension",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;\rx\r\nabc\r\n0\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "trailer is no header",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
	  "HEAD POST / BAD 400 " },
	{ "bare LF in the request line", "GET / HTTP/1.1\n" H "\r\n", "BAD 400 " },
	{ "bare LF in a header", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "BAD 400 " },
	{ "bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", "BAD 400 " },
	{ "bare LF first", "\nGET / HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "bare CR in a value", "GET / HTTP/1.1\r\n" H "X: a\rY: b\r\n\r\n", "BAD 400 " },
	{ "folded line", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", "BAD 400 " },
	{ "folded first line", "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", "BAD 400 " },
	{ "control character in a value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", "BAD 400 " },
	{ "DEL in the target", "GET /\x7f HTTP/1.1\r\n" H "\r\n", "BAD 400 " },
	{ "empty name", "GET / HTTP/1.1\r\n" H ": v\r\n\r\n", "BAD 400 " },
	{ "no colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", "BAD 400 " },
	{ "odd byte in a name", "GET / HTTP/1.1\r\n" H "X\xc3: v\r\n\r\n", "BAD 400 " },
	{ "no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", "BAD 400 " },
	{ "empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "BAD 400 " },
	{ "two Hosts", "GET / HTTP/1.1\r\n" H "HOST: h\r\n\r\n", "BAD 400 " },
	{ "two Hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", "BAD 400 " },
	{ "Host with a path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", "BAD 400 " },
	{ "Host with a comma", "GET / HTTP/1.1\r\nHost: h, g\r\n\r\n", "BAD 400 " },
	{ "Host with a bad port", "GET / HTTP/1.1\r\nHost: h:12a\r\n\r\n", "BAD 400 " },
	{ "v6 Host", "GET / HTTP/1.1\r\nHost: [::1]:3100\r\n\r\n", "HEAD GET / DONE " },
	{ "open v6 Host", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "BAD 400 " },
	{ "tenant twice", "GET / HTTP/1.1\r\n" H "X-Scope-OrgID: a\r\nx-scope-orgid: b\r\n\r\n", "BAD 400 " },
	{ "unknown Expect", "GET / HTTP/1.1\r\n" H "Expect: magic\r\n\r\n", "BAD 417 " },
};

static void test_cases(void **state)
{
	static const size_t pieces[] = { 1 << 20, 1, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			char *got = trace(slice_cstr(cases[i].in), pieces[k]);

			if (strcmp(got, cases[i].want) != 0)
				fail_msg("%s, pieces of %zu: got \"%s\", want \"%s\"", cases[i].name,
					 pieces[k], got, cases[i].want);
			free(got);
		}
}

static void expect_trace(struct slice in, const char *want)
{
	static const size_t pieces[] = { 1 << 20, 1, 1000 };

	for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
		char *got = trace(in, pieces[k]);

		assert_string_equal(got, want);
		free(got);
	}
}

static void test_nul(void **state)
{
	(void)state;
	expect_trace(SLICE("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), "BAD 400 ");
	expect_trace(SLICE("GET /\0 HTTP/1.1\r\n" H "\r\n"), "BAD 400 ");
	expect_trace(SLICE("GET / HTTP/1.1\r\n" H "X\0: b\r\n\r\n"), "BAD 400 ");
	expect_trace(SLICE("\0GET / HTTP/1.1\r\n" H "\r\n"), "BAD 400 ");
	expect_trace(SLICE("POST /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\0\r\nabc\r\n"),
		     "HEAD POST /p BAD 400 ");
}

static void fill(struct buf *b, char c, size_t n)
{
	memset(buf_reserve(b, n), c, n);
	b->n += n;
}

static void test_limits(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_puts(&b, "GET /");
	fill(&b, 'a', 64 << 10);
	expect_trace(buf_slice(&b), "BAD 414 ");

	buf_reset(&b);
	buf_puts(&b, "GET / HTTP/1.1\r\n" H "X: ");
	fill(&b, 'a', 64 << 10);
	expect_trace(buf_slice(&b), "BAD 431 ");

	buf_reset(&b);
	buf_puts(&b, "GET / HTTP/1.1\r\n" H);
	for (int i = 1; i < 100; i++)
		buf_puts(&b, "X: y\r\n");
	buf_puts(&b, "\r\n");
	expect_trace(buf_slice(&b), "HEAD GET / DONE ");
	b.n -= 2;
	buf_puts(&b, "X: y\r\n\r\n");
	expect_trace(buf_slice(&b), "BAD 431 ");

	buf_reset(&b);
	buf_puts(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;");
	fill(&b, 'e', 1100);
	expect_trace(buf_slice(&b), "HEAD POST / BAD 400 ");

	buf_reset(&b);
	buf_puts(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 18; i++) {
		buf_puts(&b, "1;");
		fill(&b, 'e', 1000);
		buf_puts(&b, "\r\na\r\n");
	}
	expect_trace(buf_slice(&b), "HEAD POST / BAD 400 ");

	buf_reset(&b);
	buf_puts(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n");
	for (int i = 0; i < 101; i++)
		buf_puts(&b, "X: y\r\n");
	expect_trace(buf_slice(&b), "HEAD POST / BAD 431 ");
	buf_fini(&b);
}

/* A size no smaller than what is sent: the reader counts in 64 bits. */
static void test_huge_length(void **state)
{
	struct slice in = SLICE("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\nabc"),
		     data;
	struct http1 p;

	(void)state;
	http1_init(&p, &limits);
	assert_int_equal(http1_feed(&p, &in, &data), HTTP1_HEAD);
	assert_int_equal(p.head.content_length, INT64_MAX);
	assert_int_equal(http1_feed(&p, &in, &data), HTTP1_BODY);
	assert_int_equal(data.n, 3);
	assert_int_equal(http1_feed(&p, &in, &data), HTTP1_MORE);
	http1_fini(&p);
}

static struct http1_head head_of(const char *text)
{
	struct slice in = slice_cstr(text), data;
	struct http1_head head;
	struct http1 p;

	http1_init(&p, &limits);
	assert_int_equal(http1_feed(&p, &in, &data), HTTP1_HEAD);
	http1_head_take(&p, &head);
	http1_fini(&p);
	return head;
}

static void test_head(void **state)
{
	struct http1_head h =
		head_of("POST /p HTTP/1.1\r\nHost: h:1\r\nAccept: a\r\naccept: b, C ,d\r\nX:\r\n"
			"Expect: 100-Continue\r\nConnection: TE, Close\r\n\r\n");

	(void)state;
	assert_true(slice_is(h.host, "h:1"));
	assert_true(slice_is(http1_header_get(&h, SLICE("ACCEPT")), "a"));
	assert_non_null(http1_header_get(&h, SLICE("x")).p);
	assert_int_equal(http1_header_get(&h, SLICE("x")).n, 0);
	assert_null(http1_header_get(&h, SLICE("y")).p);
	assert_true(http1_header_has_token(&h, SLICE("Accept"), SLICE("c")));
	assert_false(http1_header_has_token(&h, SLICE("Accept"), SLICE("e")));
	assert_true(h.expect_continue);
	assert_false(h.keep_alive);
	assert_int_equal(h.content_length, -1);
	http1_head_fini(&h);

	h = head_of("GET / HTTP/1.1\r\n" H "\r\n");
	assert_true(h.keep_alive);
	http1_head_fini(&h);
	h = head_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n");
	assert_false(h.keep_alive);
	assert_false(h.expect_continue);
	assert_int_equal(h.minor, 0);
	http1_head_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_huge_length),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
