/* The server's side of HTTP/2 against nghttp2's client, in memory. */
#include "api/h2.h"
#include "base/mem.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { WINDOW = 1 << 16, CONN_WINDOW = 1 << 18, MAX_STREAMS = 4 };

/* Both ends; the client notes what it sees as text. */
struct wire {
	struct h2 *h2;
	nghttp2_session *client;
	struct buf seen;	  /* of the client */
	struct buf body;	  /* of the server */
	size_t n_heads, n_closed; /* of the server */
	struct slice upload;	  /* of the client */
	size_t uploaded;
	bool hold; /* the server does not give room back */
	bool mute; /* the server does not answer */
	struct h2_stream *last;
	uint32_t goaway;
	const char *why;
};

/* ---- the server's ops ---- */

static void on_head(void *arg, struct h2_stream *st)
{
	static bool yes;
	struct wire *w = arg;

	w->n_heads++;
	st->user = slice_is(st->path, "/bare") ? &yes : NULL;
	w->last = st;
}

static void on_data(void *arg, struct h2_stream *st, struct slice data)
{
	struct wire *w = arg;

	buf_add(&w->body, data);
	if (!w->hold)
		h2_consume(w->h2, st, data.n);
}

static void on_end(void *arg, struct h2_stream *st)
{
	const struct http1_header head[] = { { SLICE("content-type"), SLICE("application/grpc") } };
	const struct http1_header trailer[] = { { SLICE("grpc-status"), SLICE("0") } };
	struct wire *w = arg;
	struct buf body = { 0 };

	if (w->mute)
		return;
	if (st->user != NULL) { /* "/bare" */
		h2_answer(w->h2, st, 200, trailer, 1, NULL, NULL, 0);
		return;
	}
	buf_printf(&body, "got %zu", w->body.n);
	h2_answer(w->h2, st, 200, head, 1, &body, trailer, 1);
}

static void on_close(void *arg, struct h2_stream *st)
{
	struct wire *w = arg;

	(void)st;
	w->n_closed++;
	w->last = NULL;
}

/* ---- the client's ---- */

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			 size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct wire *w = arg;

	(void)session;
	(void)frame;
	(void)flags;
	buf_printf(&w->seen, "%.*s=%.*s ", (int)name_n, (const char *)name, (int)value_n,
		   (const char *)value);
	return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
		       void *arg)
{
	struct wire *w = arg;

	(void)session;
	(void)flags;
	(void)id;
	buf_printf(&w->seen, "'%.*s' ", (int)n, (const char *)data);
	return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct wire *w = arg;
	bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;

	(void)session;
	if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0)
		buf_puts(&w->seen, "empty ");
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		buf_printf(&w->seen, "reset%u ", frame->rst_stream.error_code);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		w->goaway = frame->goaway.error_code;
	if (carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		buf_puts(&w->seen, "end ");
	return 0;
}

static ssize_t client_upload(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
			     nghttp2_data_source *source, void *arg)
{
	struct wire *w = arg;
	size_t n = MIN(cap, w->upload.n - w->uploaded);

	(void)session;
	(void)id;
	(void)source;
	memcpy(out, w->upload.p + w->uploaded, n);
	w->uploaded += n;
	if (w->uploaded == w->upload.n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* ---- */

static void wire_init(struct wire *w)
{
	static const struct h2_ops ops = { on_head, on_data, on_end, on_close };
	const struct h2_limits limits = { .max_streams = MAX_STREAMS,
					  .max_head_bytes = 4096,
					  .max_headers = 20,
					  .window = WINDOW,
					  .conn_window = CONN_WINDOW,
					  .max_glitches = 100,
					  .glitches_per_s = 1 };
	nghttp2_session_callbacks *cb;

	*w = (struct wire){ .goaway = UINT32_MAX };
	w->h2 = h2_new(&limits, &ops, w);
	assert_non_null(w->h2);
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, client_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, client_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, client_frame);
	assert_int_equal(nghttp2_session_client_new(&w->client, cb, w), 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(w->client, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void wire_fini(struct wire *w)
{
	h2_free(w->h2);
	nghttp2_session_del(w->client);
	buf_fini(&w->seen);
	buf_fini(&w->body);
}

/* Until both have nothing to say. 0, or what h2_feed said. */
static int talk(struct wire *w)
{
	struct buf out = { 0 };
	bool moved = true;
	int rc = 0;

	while (moved && rc == 0) {
		const uint8_t *p;
		ssize_t n;

		moved = false;
		while (rc == 0 && (n = nghttp2_session_mem_send(w->client, &p)) > 0) {
			rc = h2_feed(w->h2, slice_of(p, (size_t)n), &w->why);
			moved = true;
		}
		buf_reset(&out);
		h2_pull(w->h2, &out, SIZE_MAX);
		if (out.n > 0) {
			assert_int_equal(nghttp2_session_mem_recv(w->client, (uint8_t *)out.p, out.n), out.n);
			moved = true;
		}
	}
	buf_fini(&out);
	buf_cstr_end(&w->seen);
	return rc;
}

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
			     strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int32_t ask(struct wire *w, const char *path, bool upload)
{
	const nghttp2_nv head[] = { nv(":method", "POST"), nv(":scheme", "http"), nv(":path", path),
				    nv(":authority", "spoor"), nv("x-test", "a") };
	nghttp2_data_provider body = { .read_callback = client_upload };

	return nghttp2_submit_request(w->client, NULL, head, ARRAY_LEN(head), upload ? &body : NULL, NULL);
}

static void test_call(void **state)
{
	struct wire w;

	(void)state;
	wire_init(&w);
	w.upload = SLICE("some bytes");
	ask(&w, "/x", true);
	assert_int_equal(talk(&w), 0);
	assert_string_equal(w.seen.p,
			    ":status=200 content-type=application/grpc 'got 10' grpc-status=0 end ");
	assert_memory_equal(w.body.p, "some bytes", 10);
	assert_int_equal(w.n_closed, 1);
	assert_true(h2_is_greeted(w.h2));
	buf_reset(&w.seen);
	ask(&w, "/bare", false);
	assert_int_equal(talk(&w), 0);
	assert_string_equal(w.seen.p, ":status=200 grpc-status=0 end ");
	wire_fini(&w);
}

static void test_windows(void **state)
{
	static char big[1 << 20];
	struct wire w;

	(void)state;
	wire_init(&w);
	memset(big, 'x', sizeof(big));
	w.upload = slice_of(big, sizeof(big));
	w.hold = true;
	ask(&w, "/x", true);
	assert_int_equal(talk(&w), 0);
	assert_int_equal(w.body.n, WINDOW); /* no more until the owner gives room back */
	w.hold = false;
	h2_consume(w.h2, w.last, WINDOW);
	assert_int_equal(talk(&w), 0);
	assert_int_equal(w.body.n, sizeof(big));
	assert_string_equal(w.seen.p,
			    ":status=200 content-type=application/grpc 'got 1048576' grpc-status=0 end ");
	wire_fini(&w);
}

/* Whoever resets its streams gives the connection's window back, again and again. */
static void test_window_of_the_dead(void **state)
{
	static char big[WINDOW];
	struct wire w;

	(void)state;
	wire_init(&w);
	w.mute = true;
	for (int i = 0; i < 3 * CONN_WINDOW / WINDOW; i++) {
		w.upload = slice_of(big, sizeof(big));
		w.uploaded = 0;
		w.hold = true;
		buf_reset(&w.body);
		int32_t id = ask(&w, "/x", true);
		assert_int_equal(talk(&w), 0);
		assert_int_equal(w.body.n, WINDOW);
		nghttp2_submit_rst_stream(w.client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		assert_int_equal(talk(&w), 0);
		h2_consume(w.h2, NULL, WINDOW);
	}
	wire_fini(&w);
}

static void test_early_answer(void **state)
{
	static char big[1 << 20];
	struct wire w;

	(void)state;
	wire_init(&w);
	w.upload = slice_of(big, sizeof(big));
	w.hold = true;
	ask(&w, "/x", true);
	assert_int_equal(talk(&w), 0);
	h2_answer(w.h2, w.last, 415, NULL, 0, NULL, NULL, 0);
	assert_int_equal(talk(&w), 0);
	assert_string_equal(w.seen.p, ":status=415 end reset0 "); /* NO_ERROR: it need not send the rest */
	assert_int_equal(w.n_closed, 1);
	wire_fini(&w);
}

static void test_head_limits(void **state)
{
	nghttp2_nv many[40] = { nv(":method", "POST"), nv(":scheme", "http"), nv(":path", "/x"),
				nv(":authority", "x") };
	static char long_value[5000];
	struct wire w;

	(void)state;
	wire_init(&w);
	for (size_t i = 4; i < ARRAY_LEN(many); i++)
		many[i] = nv("x-more", "1");
	nghttp2_submit_request(w.client, NULL, many, ARRAY_LEN(many), NULL, NULL);
	memset(long_value, 'v', sizeof(long_value) - 1);
	many[4] = nv("x-long", long_value);
	nghttp2_submit_request(w.client, NULL, many, 5, NULL, NULL);
	assert_int_equal(talk(&w), 0);
	assert_string_equal(w.seen.p, ":status=431 end :status=431 end ");
	assert_int_equal(w.n_heads, 0);
	wire_fini(&w);
}

static void test_streams_at_a_time(void **state)
{
	struct wire w;

	(void)state;
	wire_init(&w);
	w.mute = true;
	assert_int_equal(talk(&w), 0);
	for (int i = 0; i < 3 * MAX_STREAMS; i++)
		ask(&w, "/x", false);
	assert_int_equal(talk(&w), 0);
	assert_int_equal(w.n_heads, MAX_STREAMS); /* the others wait in the client */
	wire_fini(&w);
}

/* One more useless frame. */
static void annoy(struct wire *w, int how)
{
	if (how == 0)
		nghttp2_submit_ping(w->client, NGHTTP2_FLAG_NONE, NULL);
	else if (how == 1)
		nghttp2_submit_settings(w->client, NGHTTP2_FLAG_NONE, NULL, 0);
	else
		nghttp2_submit_rst_stream(w->client, NGHTTP2_FLAG_NONE, w->last->id, NGHTTP2_CANCEL);
}

static void test_floods(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct wire w;
		int rc = 0, i = 0;

		wire_init(&w);
		w.mute = true;
		for (; i < 500 && rc == 0; i++) {
			if (how == 2)
				ask(&w, "/x", false);
			assert_int_equal(talk(&w), 0);
			annoy(&w, how);
			rc = talk(&w);
		}
		assert_int_equal(rc, -1);
		assert_in_range(i, 90, 110);
		assert_string_equal(w.why, "too many frames that only make work");
		assert_int_equal(w.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
		assert_true(h2_is_over(w.h2));
		wire_fini(&w);
	}
}

static void test_goaway(void **state)
{
	struct wire w;

	(void)state;
	wire_init(&w);
	w.mute = true;
	ask(&w, "/x", false);
	assert_int_equal(talk(&w), 0);
	h2_goaway(w.h2);
	h2_goaway(w.h2);
	assert_int_equal(talk(&w), 0);
	assert_int_equal(w.goaway, NGHTTP2_NO_ERROR);
	assert_false(h2_is_over(w.h2)); /* one is open */
	w.mute = false;
	on_end(&w, w.last);
	assert_int_equal(talk(&w), 0);
	assert_non_null(strstr(w.seen.p, "grpc-status=0 end"));
	assert_true(h2_is_over(w.h2));
	wire_fini(&w);
}

static void test_not_http2(void **state)
{
	struct wire w;

	(void)state;
	wire_init(&w);
	assert_int_equal(h2_feed(w.h2, SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), &w.why), -1);
	assert_false(h2_is_greeted(w.h2));
	wire_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_window_of_the_dead),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_head_limits),
		cmocka_unit_test(test_streams_at_a_time),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_not_http2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
