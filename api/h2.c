#include "api/h2.h"
#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>

struct h2 {
	nghttp2_session *session;
	struct h2_limits limits;
	struct h2_ops ops;
	void *arg;
	struct h2_streams streams;
	bool greeted, going;
	uint64_t n_pings;
	/* A bucket that fills with useless frames and leaks steadily. */
	double glitches;
	int64_t glitches_ns;
	bool flooded;
};

/* ---------------------------------------------------------------- streams */

static struct h2_stream *stream_of(struct h2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->session, id);
}

static void stream_free(struct h2 *h, struct h2_stream *st)
{
	TAILQ_REMOVE(&h->streams, st, link);
	if (st->has_head)
		h->ops.on_close(h->arg, st);
	buf_fini(&st->body);
	arena_fini(&st->arena);
	free(st);
}

static void glitch(struct h2 *h)
{
	int64_t now = clock_mono_ns();
	double leaked = (double)(now - h->glitches_ns) / 1e9 * h->limits.glitches_per_s;

	h->glitches_ns = now;
	h->glitches = MAX(h->glitches - leaked, 0.0) + 1;
	if (h->glitches <= h->limits.max_glitches || h->flooded)
		return;
	h->flooded = true;
	nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---------------------------------------------------------------- what comes in */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct h2_stream *st = xcalloc(1, sizeof(*st));
	st->id = frame->hd.stream_id;
	st->since_ns = clock_mono_ns();
	arena_init(&st->arena);
	TAILQ_INSERT_TAIL(&h->streams, st, link);
	nghttp2_session_set_stream_user_data(session, st->id, st);
	return 0;
}

static void add_header(struct h2_stream *st, struct slice name, struct slice value)
{
	if (st->n_headers == st->cap_headers) {
		struct http1_header *old = st->header;

		st->cap_headers = st->cap_headers > 0 ? 2 * st->cap_headers : 16;
		st->header = arena_array(&st->arena, struct http1_header, st->cap_headers);
		if (st->n_headers > 0)
			memcpy(st->header, old, st->n_headers * sizeof(*old));
	}
	st->header[st->n_headers++] = (struct http1_header){ arena_dup(&st->arena, name),
							     slice_trim(arena_dup(&st->arena, value)) };
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
		     const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *st = stream_of(h, frame->hd.stream_id);
	struct slice n = slice_of(name, name_n), v = slice_of(value, value_n);

	(void)session;
	(void)flags;
	if (st == NULL || st->has_head) /* trailers mean nothing to us */
		return 0;
	st->head_bytes += name_n + value_n + 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
	if (st->head_bytes > h->limits.max_head_bytes || st->n_headers >= h->limits.max_headers)
		st->too_large = true;
	if (st->too_large)
		return 0;
	if (slice_is(n, ":method"))
		st->method = arena_dup(&st->arena, v);
	else if (slice_is(n, ":path"))
		st->path = arena_dup(&st->arena, v);
	else if (slice_is(n, ":authority"))
		st->authority = arena_dup(&st->arena, v);
	else if (name_n > 0 && name[0] != ':')
		add_header(st, n, v);
	return 0;
}

/* Heads of few bytes on the wire can be large here, and streams stay open for long. */
static void forget_head(struct h2_stream *st)
{
	st->method = st->path = st->authority = (struct slice){ NULL, 0 };
	st->header = NULL;
	st->n_headers = st->cap_headers = 0;
	if (st->trailer == NULL)
		arena_fini(&st->arena);
}

static void head_is_whole(struct h2 *h, struct h2_stream *st)
{
	if (st->too_large) {
		h2_answer(h, st, 431, NULL, 0, NULL, NULL, 0);
		forget_head(st);
		return;
	}
	st->has_head = true;
	st->since_ns = clock_mono_ns();
	h->ops.on_head(h->arg, st);
	forget_head(st);
}

static void stream_ended(struct h2 *h, struct h2_stream *st)
{
	st->ended = true;
	if (st->has_head)
		h->ops.on_end(h->arg, st);
}

static void count_frame(struct h2 *h, const nghttp2_frame *frame)
{
	bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;

	switch (frame->hd.type) {
	case NGHTTP2_PING:
		h->n_pings++;
		if (!ack)
			glitch(h);
		break;
	case NGHTTP2_SETTINGS:
		h->greeted = true;
		if (!ack)
			glitch(h);
		break;
	case NGHTTP2_DATA:
		if (frame->hd.length == frame->data.padlen &&
		    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
			glitch(h);
		break;
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_GOAWAY: glitch(h); break;
	default: break;
	}
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
	struct h2_stream *st = carries ? stream_of(h, frame->hd.stream_id) : NULL;

	(void)session;
	count_frame(h, frame);
	if (st == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		head_is_whole(h, st);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		stream_ended(h, st);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
		   void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *st = stream_of(h, id);

	(void)flags;
	if (st != NULL && st->has_head && !st->answered)
		h->ops.on_data(h->arg, st, slice_of(data, n));
	else /* nobody wants it: the stream has no more room, the others must not suffer */
		nghttp2_session_consume_connection(session, n);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *st = stream_of(h, id);

	(void)session;
	(void)error;
	if (st != NULL)
		stream_free(h, st);
	return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	uint8_t type = frame->hd.type;

	/* A client that makes us reset its streams is no better than one that resets them. */
	if (type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
		glitch(h);
	if ((type != NGHTTP2_HEADERS && type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	struct h2_stream *st = stream_of(h, frame->hd.stream_id);
	if (st != NULL && !st->ended) /* it need not send the rest */
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
	return 0;
}

/* ---------------------------------------------------------------- life */

static nghttp2_session_callbacks *callbacks_new(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	return cb;
}

static nghttp2_session *session_new(struct h2 *h)
{
	nghttp2_session_callbacks *cb = callbacks_new();
	nghttp2_session *session = NULL;
	nghttp2_option *option = NULL;

	if (cb != NULL && nghttp2_option_new(&option) == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_max_outbound_ack(option, 200);
		nghttp2_option_set_max_settings(option, 16);
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_deflate_dynamic_table_size(option, 4096);
		if (nghttp2_session_server_new2(&session, cb, h, option) != 0)
			session = NULL;
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	return session;
}

static int greet(struct h2 *h)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits.max_streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->limits.window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h->limits.max_head_bytes },
	};

	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0)
		return -1;
	return nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
						     (int32_t)h->limits.conn_window);
}

struct h2 *h2_new(const struct h2_limits *limits, const struct h2_ops *ops, void *arg)
{
	struct h2 *h = xcalloc(1, sizeof(*h));

	h->limits = *limits;
	h->ops = *ops;
	h->arg = arg;
	h->glitches_ns = clock_mono_ns();
	TAILQ_INIT(&h->streams);
	h->session = session_new(h);
	if (h->session == NULL || greet(h) != 0) {
		h2_free(h);
		return NULL;
	}
	return h;
}

void h2_free(struct h2 *h)
{
	struct h2_stream *st;

	if (h == NULL)
		return;
	while ((st = TAILQ_FIRST(&h->streams)) != NULL)
		stream_free(h, st);
	nghttp2_session_del(h->session);
	free(h);
}

/* ---------------------------------------------------------------- in and out */

int h2_feed(struct h2 *h, struct slice in, const char **why)
{
	if (in.n == 0 || nghttp2_session_want_read(h->session) == 0)
		return 0;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)in.p, in.n);
	if (h->flooded) {
		*why = "too many frames that only make work";
		return -1;
	}
	if (n < 0 && n != NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	if (n < 0) {
		*why = nghttp2_strerror((int)n);
		return -1;
	}
	assert((size_t)n == in.n); /* nobody pauses it */
	return 0;
}

void h2_pull(struct h2 *h, struct buf *out, size_t max)
{
	const uint8_t *p;
	ssize_t n;

	while (out->n < max && (n = nghttp2_session_mem_send(h->session, &p)) > 0)
		buf_append(out, p, (size_t)n);
}

bool h2_is_greeted(const struct h2 *h)
{
	return h->greeted;
}

bool h2_is_over(const struct h2 *h)
{
	return nghttp2_session_want_read(h->session) == 0 && nghttp2_session_want_write(h->session) == 0;
}

const struct h2_streams *h2_streams(const struct h2 *h)
{
	return &h->streams;
}

uint64_t h2_n_pings(const struct h2 *h)
{
	return h->n_pings;
}

/* ---------------------------------------------------------------- answers */

static nghttp2_nv nv_of(struct slice name, struct slice value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
			     .namelen = name.n,
			     .value = (uint8_t *)(uintptr_t)value.p,
			     .valuelen = value.n,
			     .flags = NGHTTP2_NV_FLAG_NONE };
}

enum { MAX_SENT_HEADERS = 8 };

static void submit_trailers(nghttp2_session *session, const struct h2_stream *st)
{
	nghttp2_nv nv[MAX_SENT_HEADERS];

	for (size_t i = 0; i < st->n_trailers; i++)
		nv[i] = nv_of(st->trailer[i].name, st->trailer[i].value);
	nghttp2_submit_trailer(session, st->id, nv, st->n_trailers);
}

/* The last DATA frame carries bytes; the trailers end the stream, with no empty DATA between them. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct h2_stream *st = source->ptr;
	size_t n = MIN(cap, st->body.n - st->body_sent);

	(void)id;
	(void)arg;
	memcpy(out, st->body.p + st->body_sent, n);
	st->body_sent += n;
	if (st->body_sent == st->body.n) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (st->n_trailers > 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_trailers(session, st);
		}
	}
	return (ssize_t)n;
}

void h2_answer(struct h2 *h, struct h2_stream *st, int status, const struct http1_header *head, size_t n_head,
	       struct buf *body, const struct http1_header *trailer, size_t n_trailers)
{
	nghttp2_data_provider provider = { .source.ptr = st, .read_callback = read_body };
	nghttp2_nv nv[MAX_SENT_HEADERS + 1];
	bool has_body = body != NULL && body->n > 0;
	char code[16];
	int n = snprintf(code, sizeof(code), "%03d", status);

	assert(!st->answered && n_head <= MAX_SENT_HEADERS && n_trailers <= MAX_SENT_HEADERS);
	assert(has_body || n_trailers == 0);
	st->answered = true;
	st->since_ns = clock_mono_ns();
	nv[0] = nv_of(SLICE(":status"), slice_of(code, (size_t)n));
	for (size_t i = 0; i < n_head; i++)
		nv[i + 1] = nv_of(head[i].name, head[i].value);
	if (has_body) {
		st->body = *body;
		*body = (struct buf){ 0 };
		st->trailer = arena_array(&st->arena, struct http1_header, MAX(n_trailers, (size_t)1));
		for (size_t i = 0; i < n_trailers; i++)
			st->trailer[st->n_trailers++] =
				(struct http1_header){ arena_dup(&st->arena, trailer[i].name),
						       arena_dup(&st->arena, trailer[i].value) };
	}
	nghttp2_submit_response(h->session, st->id, nv, n_head + 1, has_body ? &provider : NULL);
}

void h2_reset(struct h2 *h, struct h2_stream *st)
{
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
}

void h2_consume(struct h2 *h, struct h2_stream *st, size_t n)
{
	if (n == 0)
		return;
	if (st != NULL)
		nghttp2_session_consume(h->session, st->id, n);
	else
		nghttp2_session_consume_connection(h->session, n);
}

void h2_goaway(struct h2 *h)
{
	if (h->going)
		return;
	h->going = true;
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
}
