/* api/tail.c - live tails: Loki's WebSocket, the old one, and the same as server-sent events.
 *
 * A struct client lives in its request's arena, so the loop thread may look at it as long as the request exists. The tail
 * thread sends and ends; the loop thread reads what a WebSocket client says, and reports room and hang-ups. Lock order:
 * client, then request; or request, then the tail hub's. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "api/ws.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "logql/parse.h"
#include "query/tail.h"

#include <pthread.h>
#include <stdio.h>

enum {
	MAX_OUT = 256 << 10, /* bytes on the way to one client before its tail waits */
	MIN_OUT = 32 << 10,  /* the least: clients that come when there are many share OUT_ALL */
	OUT_ALL = 64 << 20,
	MAX_DELAY_S = 5,
	PINGS_TO_LIVE = 3, /* without a sign of life */
	RETRY_MS = 2000,   /* when an event stream broke */
};

struct client {
	struct req *req;
	struct tail *tail;
	struct ws *ws; /* NULL: events */
	enum tail_format format;
	struct slice flags; /* X-Loki-Response-Encoding-Flags */
	int64_t ping_ns;
	int64_t pinged_ns; /* the tail thread's */
	_Atomic int64_t heard_ns;
	_Atomic bool full;
	pthread_mutex_t lock; /* protects ws, and keeps what is written in one piece */
	bool ended;
};

static _Atomic unsigned n_clients; /* tails that were started and have not ended */

/* ------------------------------------------------------------------ what is sent */

static void put_dropped(struct buf *b, const struct client *c, const struct tail_out *out)
{
	if (c->format == TAIL_LEGACY && out->n_dropped == 0) {
		buf_puts(b, ",\"dropped_entries\":null");
		return;
	}
	for (size_t i = 0; i < out->n_dropped; i++) {
		buf_puts(b, i == 0 ? ",\"dropped_entries\":[{\"timestamp\":\"" : ",{\"timestamp\":\"");
		if (c->format == TAIL_LEGACY)
			clock_format_rfc3339(b, out->dropped[i].ts, true);
		else
			buf_printf(b, "%lld", (long long)out->dropped[i].ts);
		buf_puts(b, "\",\"labels\":");
		buf_add(b, out->dropped[i].labels);
		buf_putc(b, '}');
	}
	if (out->n_dropped > 0)
		buf_putc(b, ']');
}

/* What follows the entries. */
static void put_suffix(struct buf *b, const struct client *c, const struct tail_out *out)
{
	buf_putc(b, ']');
	put_dropped(b, c, out);
	if (c->ws == NULL && out->n_missed > 0)
		buf_printf(b, ",\"dropped_count\":%llu", (unsigned long long)out->n_missed);
	if (c->format != TAIL_LEGACY)
		encode_flags(b, c->flags);
	buf_puts(b, c->format == TAIL_LEGACY ? "}\n" : "}");
}

static void put_event_id(struct buf *b, const struct tail_cursor *cursor)
{
	buf_puts(b, "id: ");
	tail_cursor_format(b, cursor);
	buf_putc(b, '\n');
}

/* ------------------------------------------------------------------ on the tail thread */

/* Under the client's lock. */
static void write_out(struct client *c, struct slice s)
{
	if (s.n > 0 && req_stream_write(c->req, s) == REQ_STREAM_FULL)
		atomic_store(&c->full, true);
}

static void write_message(struct client *c, const struct tail_out *out)
{
	static const struct slice begin = { "{\"streams\":[", 12 };
	struct buf head, suffix;
	char ws_head[10];

	buf_init(&head);
	buf_init(&suffix);
	put_suffix(&suffix, c, out);
	if (c->ws != NULL) {
		size_t n = ws_put_text_head(ws_head, begin.n + out->body.n + suffix.n);
		buf_append(&head, ws_head, n);
	} else {
		put_event_id(&head, &out->cursor);
		buf_puts(&head, "data: ");
		buf_puts(&suffix, "\n\n");
	}
	buf_add(&head, begin);
	write_out(c, buf_slice(&head));
	write_out(c, out->body);
	write_out(c, buf_slice(&suffix));
	buf_fini(&head);
	buf_fini(&suffix);
}

static enum tail_send on_send(void *arg, const struct tail_out *out)
{
	struct client *c = arg;

	atomic_store(&c->full, false);
	pthread_mutex_lock(&c->lock);
	if (c->ws == NULL || !ws_is_closed(c->ws))
		write_message(c, out);
	pthread_mutex_unlock(&c->lock);
	return atomic_load(&c->full) ? TAIL_FULL : TAIL_OK;
}

/* Before any entry comes, so that a client whose connection breaks knows where it was. */
static void on_live(void *arg, const struct tail_cursor *cursor)
{
	struct client *c = arg;
	struct buf b;

	if (c->ws != NULL)
		return;
	buf_init(&b);
	put_event_id(&b, cursor);
	buf_putc(&b, '\n');
	pthread_mutex_lock(&c->lock);
	write_out(c, buf_slice(&b));
	pthread_mutex_unlock(&c->lock);
	buf_fini(&b);
}

static void ping(struct client *c)
{
	struct buf b;

	if (c->ws == NULL) {
		write_out(c, SLICE(": \n\n"));
		return;
	}
	if (ws_is_closed(c->ws))
		return;
	buf_init(&b);
	ws_put_ping(&b);
	write_out(c, buf_slice(&b));
	buf_fini(&b);
}

static void on_tick(void *arg, int64_t now)
{
	struct client *c = arg;

	if (c->ws != NULL && now - atomic_load(&c->heard_ns) >= PINGS_TO_LIVE * c->ping_ns) {
		tail_close(c->tail);
		return;
	}
	if (now - c->pinged_ns < c->ping_ns || atomic_load(&c->full))
		return;
	c->pinged_ns = now;
	pthread_mutex_lock(&c->lock);
	ping(c);
	pthread_mutex_unlock(&c->lock);
}

static unsigned close_code(enum tail_end why)
{
	switch (why) {
	case TAIL_END_CLOSED:
	case TAIL_END_DURATION: return WS_NORMAL;
	case TAIL_END_SHUTDOWN: return WS_GOING_AWAY;
	case TAIL_END_ERROR: break;
	}
	return WS_INTERNAL;
}

static void write_end(struct client *c, enum tail_end why, const struct err *err)
{
	struct slice text = err != NULL ? slice_cstr(err->msg) : SLICE("");
	struct buf b;

	buf_init(&b);
	if (c->ws != NULL) {
		ws_close(c->ws, close_code(why), text, &b);
	} else if (why == TAIL_END_ERROR) {
		buf_puts(&b, "event: failed\ndata: {\"error\":");
		json_quote(&b, text, true);
		buf_puts(&b, "}\n\n");
	}
	write_out(c, buf_slice(&b));
	buf_fini(&b);
}

static void on_end(void *arg, enum tail_end why, const struct err *err)
{
	struct client *c = arg;
	struct req *req = c->req;

	/* Who has room for nothing more does not get the end either when the server wants to go. */
	bool complete = why != TAIL_END_SHUTDOWN || !atomic_load(&c->full);
	pthread_mutex_lock(&c->lock);
	write_end(c, why, err);
	c->ended = true;
	ws_free(TAKE(c->ws));
	pthread_mutex_unlock(&c->lock);
	req_on_cancel(req, NULL, NULL);
	req_stream_end(req, complete); /* c is gone with it */
	atomic_fetch_sub(&n_clients, 1);
}

static const struct tail_client client_ops = { on_send, on_live, on_tick, on_end };

/* ------------------------------------------------------------------ on the loop thread */

static void on_data(void *arg, struct slice bytes)
{
	struct client *c = arg;
	struct buf out;

	buf_init(&out);
	atomic_store(&c->heard_ns, clock_mono_ns());
	pthread_mutex_lock(&c->lock);
	if (!c->ended && !ws_is_closed(c->ws)) {
		bool open = ws_feed(c->ws, bytes, &out);

		/* Who floods us with pings and reads nothing gets no pongs. */
		if (!open || !atomic_load(&c->full))
			write_out(c, buf_slice(&out));
		if (!open)
			tail_close(c->tail);
	}
	pthread_mutex_unlock(&c->lock);
	buf_fini(&out);
}

/* Under the request's lock. */
static void on_low(void *arg)
{
	struct client *c = arg;

	atomic_store(&c->full, false);
	tail_wake(c->tail);
}

static void on_cancel(void *arg)
{
	struct client *c = arg;

	tail_close(c->tail);
}

/* ------------------------------------------------------------------ parameters */

struct tail_params {
	struct params_query query;
	int64_t delay_ns;
	bool in_future;	 /* start */
	struct buf text; /* the query, with the old regexp parameter */
	bool resume;
	struct tail_cursor cursor;
};

static int parse_delay(const struct req *req, int64_t *out, struct err *err)
{
	struct slice text = req_param(req, SLICE("delay_for"));
	int64_t seconds = 0;

	if (text.n > 0 && !slice_to_i64(text, &seconds))
		return err_set(err, ERR_BAD_REQUEST, "strconv.Atoi: parsing \"%.*s\": invalid syntax",
			       SLICE_ARG(slice_sub(text, 0, 256)));
	if (seconds < 0 || seconds > MAX_DELAY_S)
		return err_set(err, ERR_BAD_REQUEST, "delay_for can't be greater than %d", MAX_DELAY_S);
	*out = seconds * NS_PER_S;
	return 0;
}

static bool starts_later(const struct req *req, int64_t now)
{
	struct slice start = req_param(req, SLICE("start"));
	struct err err;
	int64_t t;

	return start.n > 0 && params_parse_time(start, &t, &err) == 0 && t > now;
}

static int parse_range(struct req *req, const struct limits *l, struct tail_params *p, int64_t now,
		       struct err *err)
{
	struct timerange *r = &p->query.range;

	p->in_future = starts_later(req, now);
	*r = (struct timerange){ now, now };
	if (!p->in_future &&
	    (params_bounds(&req->params, now, r, err) == -1 || params_apply_limits(l, now, r, err) == -1))
		return -1;
	/* Clocks of senders may be ahead of ours. */
	r->end = now + MAX(l->creation_grace_period, NS_PER_MIN);
	return 0;
}

/* A browser sends the last id it saw; others may give the same as a parameter. */
static int parse_cursor(const struct req *req, const struct limits *l, struct tail_params *p, int64_t now,
			struct err *err)
{
	struct slice text = req_header(req, SLICE("last-event-id"));

	if (text.n == 0)
		text = req_param(req, SLICE("cursor"));
	if (text.n == 0)
		return 0;
	if (!tail_cursor_parse(text, &p->cursor))
		return err_set(err, ERR_BAD_REQUEST, "invalid cursor: %.*s",
			       SLICE_ARG(slice_sub(text, 0, 256)));
	p->resume = true;
	int64_t most = l->max_query_length;
	if (l->max_query_lookback > 0 && (most == 0 || l->max_query_lookback < most))
		most = l->max_query_lookback;
	if (most > 0)
		p->cursor.ts = MAX(p->cursor.ts, now - most);
	return 0;
}

static int parse_params(struct req *req, const struct limits *l, bool events, struct tail_params *p,
			struct err *err)
{
	struct slice regexp = req_param(req, SLICE("regexp"));
	int64_t now = clock_now_ns();
	struct logql *q;

	/* What is wrong with the query is said first, also to those who cannot open a WebSocket. */
	if (logql_parse(req_param(req, SLICE("query")), &req->arena, &q, NULL, err) == -1)
		return -1;
	logql_free(q);
	buf_add(&p->text, req_param(req, SLICE("query")));
	if (regexp.n > 0) {
		buf_puts(&p->text, " |~ ");
		text_go_quote(&p->text, regexp);
	}
	if (params_limit(&req->params, "limit", PARAMS_DEFAULT_LIMIT, &p->query.limit, err) == -1 ||
	    parse_delay(req, &p->delay_ns, err) == -1 || parse_range(req, l, p, now, err) == -1)
		return -1;
	if (l->max_entries_limit_per_query > 0 && p->query.limit > l->max_entries_limit_per_query)
		return err_set(err, ERR_BAD_REQUEST,
			       "max entries limit per query exceeded, limit > max_entries_limit_per_query "
			       "(%u > %llu)",
			       p->query.limit, (unsigned long long)l->max_entries_limit_per_query);
	return events ? parse_cursor(req, l, p, now, err) : 0;
}

/* ------------------------------------------------------------------ the handlers */

static void refuse(struct req *req, const struct err *err)
{
	log_debug("tail refused", KVS("tenant", req->tenant), KV("error", err->msg));
	req_reply_error(req, err);
}

static struct client *client_new(struct req *req, enum tail_format format, struct slice flags)
{
	struct api_context *api = req->app;
	struct client *c = arena_new(&req->arena, struct client);

	c->req = req;
	c->format = format;
	c->flags = flags;
	c->pinged_ns = clock_mono_ns();
	atomic_store(&c->heard_ns, c->pinged_ns);
	c->ping_ns = api->tail_ping_ns;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static int open_tail(struct client *c, const struct tail_params *p, const struct limits *l, bool events,
		     struct err *err)
{
	struct api_context *api = c->req->app;
	const struct tail_request r = { .tenant = c->req->tenant,
					.text = buf_slice(&p->text),
					.format = c->format,
					.start = p->query.range.start,
					.end = p->query.range.end,
					.limit = p->query.limit,
					.delay_ns = p->delay_ns,
					.resumable = events,
					.resume = p->resume ? &p->cursor : NULL,
					.limits = l,
					.client = &client_ops,
					.arg = c };

	return tail_open(api->tails, &r, &c->tail, err);
}

static void too_late(const struct limits *l, struct err *err)
{
	struct buf b;

	buf_init(&b);
	clock_format_prom_duration(&b, l->max_query_lookback);
	err_set(err, ERR_BAD_REQUEST,
		"this data is no longer available, it is past now - max_query_lookback (%.*s)",
		SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
}

/* One more client. */
static void limit_output(struct req *req)
{
	unsigned n = atomic_fetch_add(&n_clients, 1) + 1;
	size_t high = MIN((size_t)MAX_OUT, MAX((size_t)MIN_OUT, (size_t)OUT_ALL / n));

	req_stream_limits(req, high, high / 4);
}

static void start(struct client *c)
{
	req_on_cancel(c->req, on_cancel, c);
	tail_start(c->tail); /* c and its request are the tail thread's from here on */
}

static void on_ignored(void *arg, struct slice bytes)
{
	(void)arg;
	(void)bytes;
}

/* A request that is well-formed but asks for what cannot be: said inside the WebSocket, as Loki does. */
static void close_at_once(struct req *req, struct ws *ws, const struct err *err)
{
	struct buf b;

	buf_init(&b);
	ws_close(ws, WS_INTERNAL, slice_cstr(err->msg), &b);
	req_upgrade(req, "websocket", on_ignored, NULL, NULL);
	req_stream_write(req, buf_slice(&b));
	buf_fini(&b);
	ws_free(ws);
	req_stream_end(req, true);
}

static void upgrade(struct req *req, struct client *c, const char *accept)
{
	req_add_header(req, "Sec-WebSocket-Accept", accept);
	limit_output(req);
	req_upgrade(req, "websocket", on_data, on_low, c);
	start(c);
}

static void serve_ws(struct req *req, struct tail_params *p, enum tail_format format, struct slice flags)
{
	struct api_context *api = req->app;
	char accept[WS_ACCEPT_SIZE];
	struct limits l;
	struct err err;

	api->limits(api->arg, req->tenant, &l);
	if (parse_params(req, &l, false, p, &err) == -1) {
		refuse(req, &err);
		return;
	}
	if (!ws_handshake(&req->head, accept)) {
		req_add_header(req, "Sec-Websocket-Version", "13");
		req_reply_text(req, 400, SLICE("Bad Request\n"));
		return;
	}
	struct client *c = client_new(req, format, flags);
	c->ws = ws_new();
	if (c->ws == NULL) {
		err_set(&err, ERR_UNAVAILABLE, "out of memory");
		refuse(req, &err);
		return;
	}
	if (p->in_future)
		too_late(&l, &err);
	else if (open_tail(c, p, &l, false, &err) == 0) {
		upgrade(req, c, accept);
		return;
	}
	if (p->in_future || err.code == ERR_NOT_SUPPORTED) {
		req_add_header(req, "Sec-WebSocket-Accept", accept);
		close_at_once(req, TAKE(c->ws), &err);
		return;
	}
	ws_free(TAKE(c->ws));
	refuse(req, &err);
}

static void serve_events(struct req *req, struct tail_params *p)
{
	struct api_context *api = req->app;
	struct slice flags = req_header(req, SLICE("X-Loki-Response-Encoding-Flags"));
	struct buf b;
	struct limits l;
	struct err err;

	api->limits(api->arg, req->tenant, &l);
	if (flags.n == 0 && slice_is(req_param(req, SLICE("categorize")), "true"))
		flags = SLICE("categorize-labels");
	struct client *c =
		client_new(req, encode_wants_categories(flags) ? TAIL_CATEGORIZED : TAIL_PLAIN, flags);
	c->ping_ns /= 2;
	int rc = parse_params(req, &l, true, p, &err);
	if (rc == 0 && p->in_future) {
		too_late(&l, &err);
		rc = -1;
	}
	if (rc == -1 || open_tail(c, p, &l, true, &err) == -1) {
		if (err.code == ERR_NOT_SUPPORTED)
			err.code = ERR_BAD_REQUEST;
		refuse(req, &err);
		return;
	}
	req_add_header(req, "Cache-Control", "no-store");
	req_add_header(req, "X-Accel-Buffering", "no");
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	limit_output(req);
	req_stream_start(req, 200, "text/event-stream", on_low, c);
	buf_init(&b);
	buf_printf(&b, "retry: %d\n\n", RETRY_MS);
	req_stream_write(req, buf_slice(&b));
	buf_fini(&b);
	start(c);
}

void tail_loki(struct req *req)
{
	struct slice flags = req_header(req, SLICE("X-Loki-Response-Encoding-Flags"));
	struct tail_params p = { 0 };

	serve_ws(req, &p, encode_wants_categories(flags) ? TAIL_CATEGORIZED : TAIL_PLAIN, flags);
	buf_fini(&p.text);
}

void tail_legacy(struct req *req)
{
	struct tail_params p = { 0 };

	serve_ws(req, &p, TAIL_LEGACY, SLICE(""));
	buf_fini(&p.text);
}

void tail_events(struct req *req)
{
	struct tail_params p = { 0 };

	serve_events(req, &p);
	buf_fini(&p.text);
}
