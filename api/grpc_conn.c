#include "api/grpc_conn.h"
#include "api/grpc.h"
#include "api/h2.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/gunzip.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>

enum {
	MAX_STREAMS = 128,
	WINDOW = 1 << 20,
	CONN_WINDOW = 8 << 20,
	MAX_GLITCHES = 500,
	GLITCHES_PER_S = 50,
	OUT_HIGH = 256 << 10, /* bytes not yet taken by the client; nothing is read from it then */
	OUT_STEP = 64 << 10,
	CALL_BYTES = 12 << 10, /* what a call takes beside its head and its message */
	BODY_STEP = 64 << 10,
};
static const int64_t check_ns = NS_PER_S; /* of a body that comes slowly */
static const int64_t min_wait_ns = 10 * NS_PER_MS;
static const struct slice no_memory = { "too many requests in flight: ingest_memory limit", 48 };

struct grpc_conn {
	struct h2 *h2;
	int64_t active_ns; /* the connection's begin, the last call's end, the last PING */
	uint64_t n_pings;
	bool speaks; /* HTTP/2, as far as we know: until then nothing is sent */
	bool closing;
};

/* Lives in the exchange's arena. */
struct grpc_call {
	struct h2_stream *st; /* NULL: closed, or answered */
	struct grpc_reader reader;
	int64_t deadline_ns; /* INT64_MAX: none */
	int64_t body_ns;     /* when reading it began */
	size_t head_bytes;   /* set aside for it, beside its message */
	size_t held;	     /* bytes of the window that the client gets back when it may go on */
	bool authorized, ended;
};

/* ---------------------------------------------------------------- answers */

static void count_call(const struct exchange *ex, enum grpc_status status)
{
	const struct route *route = ex->req.route;
	struct buf labels = { 0 };

	metric_label(&labels, "method",
		     route != NULL ? slice_from(slice_cstr(route->path), 1) : SLICE("other"));
	metric_label(&labels, "code", slice_cstr(grpc_status_name(status)));
	buf_cstr_end(&labels);
	metric_add(metric_counter("spoor_grpc_requests_total",
				  "gRPC calls, by the status they were answered with.", labels.p),
		   1);
	buf_fini(&labels);
}

/* The stream goes on without the call. */
static void detach(struct exchange *ex)
{
	struct grpc_call *call = ex->call;
	struct h2 *h2 = ex->conn->grpc->h2;

	h2_consume(h2, NULL, call->held);
	call->held = 0;
	call->st->user = NULL;
	call->st = NULL;
}

static void answer_ok(struct h2 *h2, struct h2_stream *st, struct slice message)
{
	const struct http1_header head[] = { { SLICE("content-type"), SLICE("application/grpc") } };
	const struct http1_header trailer[] = { { SLICE("grpc-status"), SLICE("0") } };
	struct buf body = { 0 };

	grpc_put_message(&body, message);
	h2_answer(h2, st, 200, head, ARRAY_LEN(head), &body, trailer, ARRAY_LEN(trailer));
	buf_fini(&body);
}

/* Trailers alone. retry_s: 0 = none */
static void answer_error(struct h2 *h2, struct h2_stream *st, enum grpc_status status, struct slice text,
			 unsigned retry_s)
{
	struct buf message = { 0 }, details = { 0 };
	struct http1_header head[5];
	char code[8];
	size_t n = 0;

	snprintf(code, sizeof(code), "%d", (int)status);
	grpc_put_text(&message, text);
	head[n++] = (struct http1_header){ SLICE("content-type"), SLICE("application/grpc") };
	head[n++] = (struct http1_header){ SLICE("grpc-status"), slice_cstr(code) };
	if (message.n > 0)
		head[n++] = (struct http1_header){ SLICE("grpc-message"), buf_slice(&message) };
	if (retry_s > 0) {
		grpc_put_retry_details(&details, status, text, retry_s);
		head[n++] = (struct http1_header){ SLICE("grpc-status-details-bin"), buf_slice(&details) };
	}
	if (status == GRPC_UNIMPLEMENTED)
		head[n++] = (struct http1_header){ SLICE("grpc-accept-encoding"), SLICE("identity,gzip") };
	h2_answer(h2, st, 200, head, n, NULL, NULL, 0);
	buf_fini(&message);
	buf_fini(&details);
}

/* Answers in the place of the request's steps, which may be under way elsewhere. */
static void fail(struct exchange *ex, enum grpc_status status, const char *reason, struct slice text)
{
	struct grpc_call *call = ex->call;

	refused_count(reason);
	count_call(ex, status);
	log_debug("call refused", KV("peer", ex->peer), KVS("path", ex->req.path), KV("reason", reason),
		  KVS("text", text));
	answer_error(ex->conn->grpc->h2, call->st, status, text, status == GRPC_UNAVAILABLE ? 1 : 0);
	detach(ex);
	ex->conn = NULL;
	if (ex->deferred)
		exchange_cancel(ex);
	else
		exchange_free(ex);
}

static unsigned retry_after(const struct exchange *ex)
{
	static const char name[] = "Retry-After: ";
	struct slice headers = buf_slice(&ex->headers);
	size_t at = slice_find(headers, slice_cstr(name));
	uint64_t s;

	if (at == SLICE_NONE)
		return 0;
	struct slice value = slice_from(headers, at + sizeof(name) - 1);
	return slice_to_u64(slice_sub(value, 0, slice_find_byte(value, '\r')), &s) && s < 86400 ? (unsigned)s
												: 1;
}

void grpc_call_reply(struct exchange *ex)
{
	enum grpc_status status = grpc_status_of_http(ex->status);
	struct h2 *h2 = ex->conn->grpc->h2;
	struct slice text = ex->req.route == NULL ? SLICE("unknown method") : buf_slice(&ex->out);

	count_call(ex, status);
	if (status == GRPC_OK)
		answer_ok(h2, ex->call->st, buf_slice(&ex->out));
	else
		answer_error(h2, ex->call->st, status, text, retry_after(ex));
	detach(ex);
}

/* ---------------------------------------------------------------- a call begins */

static struct slice header_of(const struct h2_stream *st, struct slice name)
{
	for (size_t i = 0; i < st->n_headers; i++)
		if (slice_eq(st->header[i].name, name))
			return st->header[i].value;
	return (struct slice){ NULL, 0 };
}

/* Two values of what decides who asks, or how the rest is read. */
static bool has_duplicate(const struct h2_stream *st)
{
	static const struct slice once[] = { { "x-scope-orgid", 13 },
					     { "authorization", 13 },
					     { "content-type", 12 },
					     { "grpc-encoding", 13 },
					     { "grpc-timeout", 12 } };

	for (size_t k = 0; k < ARRAY_LEN(once); k++) {
		size_t n = 0;

		for (size_t i = 0; i < st->n_headers; i++)
			n += slice_eq(st->header[i].name, once[k]);
		if (n > 1)
			return true;
	}
	return false;
}

/* What HTTP/1's steps want to see of a request. The stream may close before the exchange is over. */
static void copy_head(struct exchange *ex, const struct h2_stream *st)
{
	struct http1_head *h = &ex->req.head;
	struct arena *a = &ex->req.arena;

	*h = (struct http1_head){ .content_length = -1, .minor = 1, .keep_alive = true };
	h->method = arena_dup(a, st->method);
	h->target = arena_dup(a, st->path);
	if (st->authority.p != NULL)
		h->host = arena_dup(a, st->authority);
	h->header = xcalloc(MAX(st->n_headers, (size_t)1), sizeof(*h->header));
	for (size_t i = 0; i < st->n_headers; i++)
		h->header[h->n_headers++] = (struct http1_header){ arena_dup(a, st->header[i].name),
								   arena_dup(a, st->header[i].value) };
	ex->req.method = h->method;
	ex->req.path = h->target;
}

static struct exchange *call_new(struct conn *c, struct h2_stream *st)
{
	struct exchange *ex = exchange_new(c);
	struct grpc_call *call = arena_new(&ex->req.arena, struct grpc_call);

	*call = (struct grpc_call){ .st = st, .deadline_ns = INT64_MAX, .body_ns = st->since_ns };
	grpc_reader_init(&call->reader);
	ex->call = call;
	ex->req.start_ns = st->since_ns;
	copy_head(ex, st);
	st->user = ex;
	return ex;
}

static bool is_known_encoding(struct slice s)
{
	return s.n == 0 || slice_is(s, "identity") || slice_is(s, "gzip");
}

static void on_head(void *arg, struct h2_stream *st)
{
	struct conn *c = arg;
	struct h2 *h2 = c->grpc->h2;
	struct slice timeout = header_of(st, SLICE("grpc-timeout"));
	int64_t ns = INT64_MAX;

	if (!slice_is(st->method, "POST") || st->path.n == 0) {
		h2_answer(h2, st, 405, NULL, 0, NULL, NULL, 0);
		return;
	}
	if (!grpc_is_content_type(header_of(st, SLICE("content-type")))) {
		h2_answer(h2, st, 415, NULL, 0, NULL, NULL, 0);
		return;
	}
	struct exchange *ex = call_new(c, st);
	if (!req_reserve(&ex->req, st->head_bytes + CALL_BYTES)) {
		fail(ex, GRPC_UNAVAILABLE, "memory", no_memory);
		return;
	}
	ex->call->head_bytes = st->head_bytes + CALL_BYTES;
	if (has_duplicate(st)) {
		fail(ex, GRPC_INVALID_ARGUMENT, "bad_request", SLICE("a header stands there twice"));
	} else if (timeout.p != NULL && !grpc_parse_timeout(timeout, &ns)) {
		fail(ex, GRPC_INVALID_ARGUMENT, "bad_request", SLICE("malformed grpc-timeout"));
	} else if (!is_known_encoding(header_of(st, SLICE("grpc-encoding")))) {
		fail(ex, GRPC_UNIMPLEMENTED, "encoding", SLICE("grpc-encoding must be identity or gzip"));
	} else {
		if (__builtin_add_overflow(st->since_ns, ns, &ex->call->deadline_ns))
			ex->call->deadline_ns = INT64_MAX;
		exchange_start(ex);
	}
}

/* ---------------------------------------------------------------- its message */

/* False: the call is over. */
static bool add_bytes(struct exchange *ex, struct slice s)
{
	while (ex->body.n + s.n > ex->reserved - ex->call->head_bytes)
		if (!req_reserve(&ex->req, MAX(MAX(ex->body.n, s.n), (size_t)BODY_STEP))) {
			fail(ex, GRPC_UNAVAILABLE, "memory", no_memory);
			return false;
		}
	buf_add(&ex->body, s);
	return true;
}

static bool begin_message(struct exchange *ex)
{
	uint64_t limit = ex->settings->s.max_body_bytes;
	struct err err;

	if (ex->call->reader.length <= limit)
		return true;
	err_set(&err, ERR_TOO_LARGE, "request body too large: %llu bytes, limit: %llu bytes",
		(unsigned long long)ex->call->reader.length, (unsigned long long)limit);
	fail(ex, GRPC_RESOURCE_EXHAUSTED, "body_too_large", slice_cstr(err.msg));
	return false;
}

static bool read_message(struct exchange *ex, struct slice data)
{
	struct grpc_reader *r = &ex->call->reader;
	struct slice piece;

	for (;;) {
		switch (grpc_read(r, &data, &piece)) {
		case GRPC_MORE: return true;
		case GRPC_BAD: fail(ex, GRPC_INTERNAL, "bad_request", slice_cstr(r->why)); return false;
		case GRPC_MESSAGE:
			if (!begin_message(ex))
				return false;
			break;
		case GRPC_BYTES:
			if (!add_bytes(ex, piece))
				return false;
			break;
		}
	}
}

static void on_data(void *arg, struct h2_stream *st, struct slice data)
{
	struct conn *c = arg;
	struct exchange *ex = st->user;

	if (ex == NULL || !read_message(ex, data))
		h2_consume(c->grpc->h2, NULL, data.n);
	else if (ex->call->authorized)
		h2_consume(c->grpc->h2, st, data.n);
	else
		ex->call->held += data.n;
}

static void on_end(void *arg, struct h2_stream *st)
{
	struct exchange *ex = st->user;

	(void)arg;
	if (ex == NULL)
		return;
	if (!grpc_read_whole(&ex->call->reader)) {
		fail(ex, GRPC_INTERNAL, "bad_request", SLICE("the request ends before its message does"));
		return;
	}
	ex->call->ended = true;
	if (!ex->call->authorized)
		return;
	ex->waiting = false;
	exchange_run(ex);
}

static void on_close(void *arg, struct h2_stream *st)
{
	struct conn *c = arg;
	struct exchange *ex = st->user;

	c->grpc->active_ns = clock_mono_ns();
	if (ex == NULL)
		return;
	count_call(ex, GRPC_CANCELLED);
	detach(ex);
	ex->conn = NULL;
	if (ex->deferred)
		exchange_cancel(ex);
	else
		exchange_free(ex);
}

bool grpc_call_authorized(struct exchange *ex)
{
	struct grpc_call *call = ex->call;

	call->authorized = true;
	call->body_ns = clock_mono_ns();
	h2_consume(ex->conn->grpc->h2, call->st, call->held);
	call->held = 0;
	return call->ended;
}

static bool reserve(void *arg, size_t bytes)
{
	return req_reserve_decoded(arg, bytes);
}

int grpc_call_unpack(struct exchange *ex, struct err *err)
{
	const struct room room = { ex->settings->s.max_decoded_bytes, reserve, &ex->req };
	struct slice encoding = req_header(&ex->req, SLICE("grpc-encoding"));
	struct buf plain = { 0 };

	if (!ex->call->reader.compressed)
		return 0;
	if (!slice_is(encoding, "gzip"))
		return err_set(err, ERR_BAD_REQUEST,
			       "the message is compressed, but no grpc-encoding says how");
	if (gunzip(buf_slice(&ex->body), &room, &plain, err) == -1) {
		buf_fini(&plain);
		return -1;
	}
	buf_fini(&ex->body);
	ex->body = plain;
	return 0;
}

/* ---------------------------------------------------------------- the connection */

int grpc_conn_new(struct conn *c)
{
	static const struct h2_ops ops = { on_head, on_data, on_end, on_close };
	struct settings *set = settings_ref(c->io->server);
	const struct h2_limits limits = {
		.max_streams = MAX_STREAMS,
		.max_head_bytes = set->s.max_head_bytes,
		.max_headers = set->s.max_headers,
		.window = WINDOW,
		.conn_window = CONN_WINDOW,
		.max_glitches = MAX_GLITCHES,
		.glitches_per_s = GLITCHES_PER_S,
	};

	settings_unref(c->io->server, set);
	c->grpc = xcalloc(1, sizeof(*c->grpc));
	c->grpc->active_ns = clock_mono_ns();
	c->grpc->h2 = h2_new(&limits, &ops, c);
	if (c->grpc->h2 != NULL)
		return 0;
	free(TAKE(c->grpc));
	return -1;
}

void grpc_conn_free(struct conn *c)
{
	if (c->grpc == NULL)
		return;
	h2_free(c->grpc->h2);
	free(TAKE(c->grpc));
}

static void pull(struct conn *c)
{
	struct buf out = { 0 };

	while (c->grpc->speaks && !c->dead && conn_n_unsent(c) < OUT_HIGH) {
		buf_reset(&out);
		h2_pull(c->grpc->h2, &out, OUT_STEP);
		if (out.n == 0)
			break;
		conn_write(c, buf_slice(&out));
	}
	buf_fini(&out);
}

static void pause_or_resume(struct conn *c)
{
	bool pause = conn_n_unsent(c) >= OUT_HIGH;

	if (pause == c->paused)
		return;
	c->paused = pause;
	if (pause)
		bufferevent_disable(c->bev, EV_READ);
	else
		bufferevent_enable(c->bev, EV_READ);
}

/* When something is due on a stream; INT64_MAX: nothing. */
static int64_t stream_due(const struct h2_stream *st, const struct server_settings *set)
{
	const struct exchange *ex = st->user;

	if (!st->has_head)
		return st->since_ns + set->header_timeout_ns;
	if (st->answered)
		return st->since_ns + set->write_stall_ns;
	if (ex == NULL || ex->call->ended || !ex->call->authorized)
		return ex != NULL ? ex->call->deadline_ns : INT64_MAX;
	int64_t free_until = ex->call->body_ns + MIN(set->body_free_ns, set->body_timeout_ns);
	return MIN(MAX(free_until, clock_mono_ns() + check_ns), ex->call->deadline_ns);
}

static int64_t next_due(struct conn *c, const struct server_settings *set)
{
	const struct grpc_conn *g = c->grpc;
	const struct h2_stream *st;
	int64_t due = INT64_MAX;

	TAILQ_FOREACH(st, h2_streams(g->h2), link)
	{
		int64_t at = stream_due(st, set);

		due = MIN(due, at);
	}
	if (TAILQ_EMPTY(h2_streams(g->h2)))
		due = g->active_ns + (h2_is_greeted(g->h2) ? set->idle_timeout_ns : set->header_timeout_ns);
	return due;
}

static void watch(struct conn *c)
{
	struct settings *set = settings_ref(c->io->server);
	bool idle = TAILQ_EMPTY(h2_streams(c->grpc->h2));

	if (idle != (c->state == CONN_IDLE))
		conn_set_state(c, idle ? CONN_IDLE : CONN_WORK);
	int64_t due = next_due(c, &set->s);
	if (due != INT64_MAX)
		conn_deadline(c, MAX(due - clock_mono_ns(), min_wait_ns));
	settings_unref(c->io->server, set);
}

static bool is_closing(const struct conn *c)
{
	return c->state == CONN_OUT || c->state == CONN_LINGER;
}

void grpc_conn_go_on(struct conn *c)
{
	struct grpc_conn *g = c->grpc;

	if (c->dead || is_closing(c))
		return;
	pull(c);
	if (c->dead)
		return;
	if (g->closing || h2_is_over(g->h2)) {
		c->close_after = true;
		conn_answered(c);
		return;
	}
	pause_or_resume(c);
	watch(c);
}

/* What HTTP/1 sends first is no preface. */
static bool is_http1(struct slice in)
{
	static const struct slice words[] = { { "GET ", 4 },  { "POST ", 5 },	{ "PUT ", 4 },
					      { "HEAD ", 5 }, { "DELETE ", 7 }, { "OPTIONS ", 8 } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_starts(in, words[i]))
			return true;
	return false;
}

static void bad_bytes(struct conn *c, const char *why)
{
	refused_count("http2");
	log_info("HTTP/2 connection ended", KV("peer", c->peer), KV("why", why));
	c->grpc->closing = true;
}

void grpc_conn_read(struct conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	struct grpc_conn *g = c->grpc;
	struct slice in;

	if (!g->speaks && !is_closing(c) && is_http1(conn_input(c))) {
		conn_refuse(c, 400, "http2", "this port speaks gRPC (HTTP/2)");
		return;
	}
	while (!c->dead && (in = conn_input(c)).n > 0) {
		const char *why = "";

		g->speaks = true;
		if (!is_closing(c) && !g->closing && h2_feed(g->h2, in, &why) == -1)
			bad_bytes(c, why);
		evbuffer_drain(input, in.n);
	}
	if (h2_n_pings(g->h2) != g->n_pings) {
		g->n_pings = h2_n_pings(g->h2);
		g->active_ns = clock_mono_ns();
	}
	grpc_conn_go_on(c);
}

static bool is_slow(const struct exchange *ex, int64_t now)
{
	const struct server_settings *set = &ex->settings->s;
	int64_t age = now - ex->call->body_ns;

	if (ex->call->ended || !ex->call->authorized)
		return false;
	return age >= set->body_timeout_ns ||
	       (double)ex->body.n < (double)set->body_min_rate * (double)(age - set->body_free_ns) / 1e9;
}

/* False: the whole connection is at fault. */
static bool check_stream(struct conn *c, struct h2_stream *st, const struct server_settings *set, int64_t now)
{
	struct exchange *ex = st->user;

	if (!st->has_head)
		return now - st->since_ns < set->header_timeout_ns;
	if (st->answered) {
		if (now - st->since_ns >= set->write_stall_ns)
			h2_reset(c->grpc->h2, st); /* it leaves no window for the answer */
	} else if (ex != NULL && now >= ex->call->deadline_ns) {
		fail(ex, GRPC_DEADLINE_EXCEEDED, "deadline", SLICE("deadline exceeded"));
	} else if (ex != NULL && is_slow(ex, now)) {
		fail(ex, GRPC_DEADLINE_EXCEEDED, "body_timeout", SLICE("request body comes too slowly"));
	}
	return true;
}

static void say_goodbye(struct conn *c)
{
	c->grpc->speaks = true;
	h2_goaway(c->grpc->h2);
}

void grpc_conn_timer(struct conn *c)
{
	const struct h2_streams *streams = h2_streams(c->grpc->h2);
	struct settings *set = settings_ref(c->io->server);
	int64_t now = clock_mono_ns();
	struct h2_stream *st;

	TAILQ_FOREACH(st, streams, link)
	if (!check_stream(c, st, &set->s, now))
		c->grpc->closing = true;
	if (TAILQ_EMPTY(streams) && now >= next_due(c, &set->s))
		say_goodbye(c);
	settings_unref(c->io->server, set);
	grpc_conn_go_on(c);
}

void grpc_conn_drain(struct conn *c)
{
	say_goodbye(c);
	grpc_conn_go_on(c);
}
