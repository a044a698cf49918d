#include "api/ws.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void handshake(void **state)
{
	static const struct {
		const char *upgrade, *connection, *version, *key;
		bool ok;
	} cases[] = {
		{ "websocket", "Upgrade", "13", KEY, true },
		{ "WebSocket", "keep-alive, upgrade", "13", KEY, true },
		{ "h2c", "Upgrade", "13", KEY, false },
		{ "websocket", "close", "13", KEY, false },
		{ "websocket", "Upgrade", "8", KEY, false },
		{ "websocket", "Upgrade", "13", "c2hvcnQ=", false },
		{ "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZSE=", false }, /* 17 bytes */
		{ "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25j*Q==", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http1_header header[] = {
			{ SLICE("Upgrade"), slice_cstr(cases[i].upgrade) },
			{ SLICE("Connection"), slice_cstr(cases[i].connection) },
			{ SLICE("Sec-WebSocket-Version"), slice_cstr(cases[i].version) },
			{ SLICE("Sec-WebSocket-Key"), slice_cstr(cases[i].key) },
		};
		struct http1_head h = { .header = header, .n_headers = ARRAY_LEN(header), .minor = 1 };
		char accept[WS_ACCEPT_SIZE];

		assert_int_equal(ws_handshake(&h, accept), cases[i].ok);
		if (cases[i].ok)
			assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	}
}

#define MASK "\0\0\0\0"

static void frames(void **state)
{
	static const struct {
		struct slice in, out;
		bool open;
	} cases[] = {
		{ { "\x89\x82" MASK "hi", 8 }, { "\x8a\x02hi", 4 }, true },
		{ { "\x01\x81" MASK "a\x80\x81" MASK "b", 14 }, { "", 0 }, true },
		{ { "\x88\x82" MASK "\x03\xe8", 8 }, { "\x88\x02\x03\xe8", 4 }, false },
		{ { "\x81\x01"
		    "a",
		    3 },
		  { "\x88\x02\x03\xea", 4 },
		  false },
		{ { "\x83\x81" MASK "a", 7 }, { "\x88\x02\x03\xea", 4 }, false },
		{ { "\x09\x81" MASK "a", 7 }, { "\x88\x02\x03\xea", 4 }, false },
		{ { "\x81\xfe\x10\x01" MASK "x", 9 }, { "\x88\x02\x03\xf1", 4 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t step = 1; step <= cases[i].in.n; step++) {
			struct ws *w = ws_new();
			struct buf out = { 0 };
			bool open = true;

			for (size_t at = 0; open && at < cases[i].in.n; at += step)
				open = ws_feed(w, slice_sub(cases[i].in, at, step), &out);
			assert_int_equal(open, cases[i].open);
			assert_int_equal(out.n, cases[i].out.n);
			assert_true(slice_eq(buf_slice(&out), cases[i].out));
			buf_fini(&out);
			ws_free(w);
		}
}

static void closing(void **state)
{
	char reason[130];
	struct ws *w = ws_new();
	struct buf out = { 0 };

	(void)state;
	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 121, "\xe2\x82\xac", 3); /* would be cut in two */
	ws_close(w, WS_INTERNAL, slice_of(reason, sizeof(reason)), &out);
	assert_int_equal(out.n, 2 + 2 + 121);
	ws_close(w, WS_NORMAL, SLICE(""), &out);
	assert_int_equal(out.n, 2 + 2 + 121);
	assert_true(ws_is_closed(w));
	buf_fini(&out);
	ws_free(w);
}

static void text_heads(void **state)
{
	char head[10];

	(void)state;
	assert_int_equal(ws_put_text_head(head, 125), 2);
	assert_int_equal(ws_put_text_head(head, 126), 4);
	assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
	assert_int_equal(ws_put_text_head(head, 65536), 10);
	assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake),
		cmocka_unit_test(frames),
		cmocka_unit_test(closing),
		cmocka_unit_test(text_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
