/* A connection reads one request at a time: its callbacks only note what happened, feed the parser and let
 * the request take its steps. Nothing is freed inside a callback but at its end (conn_settle), since each
 * function on the way may find that the connection is over. */
#include "api/conn.h"
#include "api/grpc_conn.h"
#include "api/guard.h"
#include "api/tls.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
	MAX_PIPELINED_BYTES = 64 << 10, /* read ahead of the request in work */
	MAX_FORM_BYTES = 4 << 20,
	MAX_IGNORED_BYTES = 64 << 10,
	MAX_RECV_BYTES = 1 << 20,    /* of one body in one turn of the loop */
	MAX_COPIED_REPLY = 32 << 10, /* a larger body is not copied behind its head */
	BODY_STEP = 64 << 10,
};
static const int64_t linger_ns = 2 * NS_PER_S, hangup_check_ns = 50 * NS_PER_MS;

struct req_step {
	const char *name;
	const struct req_step *(*run)(struct exchange *ex);
};
static const struct req_step step_admit, step_authenticate, step_authenticated, step_authorize, step_body,
	step_handle, step_reply;

static void conn_process(struct conn *c);

/* ---- the connection's state ---- */

static struct timeval timeval_of(int64_t ns)
{
	if (ns < 0)
		ns = 0;
	return (struct timeval){ .tv_sec = ns / NS_PER_S, .tv_usec = (ns % NS_PER_S) / NS_PER_US };
}

void conn_deadline(struct conn *c, int64_t ns)
{
	struct timeval tv = timeval_of(ns);

	event_add(c->timer, &tv);
}

void conn_set_state(struct conn *c, enum conn_state state)
{
	bool was_idle = c->state == CONN_IDLE, is_idle = state == CONN_IDLE;

	if (was_idle != is_idle) {
		TAILQ_REMOVE(was_idle ? &c->io->idle : &c->io->busy, c, link);
		TAILQ_INSERT_TAIL(is_idle ? &c->io->idle : &c->io->busy, c, link);
	}
	c->state = state;
	event_del(c->timer);
	if (c->paused && state != CONN_WORK && state != CONN_OUT) {
		c->paused = false;
		bufferevent_enable(c->bev, EV_READ);
	}
}

/* Fresh memory costs a fault for each page, which is more than reading a body into it. */
static void take_spare(struct exchange *ex)
{
	if (ex->body.p == NULL && ex->req.head.content_length > BODY_STEP && ex->io->n_spare > 0)
		ex->body = ex->io->spare[--ex->io->n_spare];
}

static void give_spare(struct exchange *ex)
{
	struct io *io = ex->io;

	if (ex->body.cap <= BODY_STEP || ex->body.cap > IO_SPARE_BYTES || io->n_spare == IO_SPARE)
		return;
	buf_reset(&ex->body);
	io->spare[io->n_spare++] = ex->body;
	ex->body = (struct buf){ 0 };
}

void exchange_free(struct exchange *ex)
{
	struct server *s = ex->io->server;

	assert(ex->conn == NULL);
	req_release(&ex->req, ex->reserved);
	settings_unref(s, ex->settings);
	auth_end(&ex->auth);
	http1_head_fini(&ex->req.head);
	arena_fini(&ex->req.arena);
	give_spare(ex);
	buf_fini(&ex->body);
	buf_fini(&ex->headers);
	buf_fini(&ex->out);
	buf_fini(&ex->pending);
	pthread_mutex_destroy(&ex->lock);
	free(ex);
	server_exchange_gone(s);
}

void exchange_cancel(struct exchange *ex)
{
	pthread_mutex_lock(&ex->lock);
	atomic_store(&ex->req.cancelled, true);
	void (*fn)(void *) = TAKE(ex->on_cancel);
	if (fn != NULL)
		fn(ex->cancel_arg);
	if (ex->on_low != NULL && ex->full && !ex->ended) /* it waits for room that will not come */
		ex->on_low(ex->low_arg);
	pthread_mutex_unlock(&ex->lock);
}

/* The connection and the request part. Someone may still own the request: then it goes when that one has
 * finished. */
static void conn_drop_exchange(struct conn *c)
{
	struct exchange *ex = TAKE(c->ex);

	if (ex == NULL)
		return;
	ex->conn = NULL;
	if (ex->deferred)
		exchange_cancel(ex);
	else
		exchange_free(ex);
}

static void conn_close(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	conn_drop_exchange(c);
}

static void conn_free(struct conn *c)
{
	struct server *s = c->io->server;

	grpc_conn_free(c);

	TAILQ_REMOVE(c->state == CONN_IDLE ? &c->io->idle : &c->io->busy, c, link);
	event_free(c->timer);
	if (c->tls != NULL && !c->shaking)
		tls_bev_goodbye(c->bev);
	bufferevent_free(c->bev); /* closes the descriptor */
	tls_unref(c->tls);
	buf_fini(&c->tls_user);
	http1_fini(&c->parser);
	server_forget_addr(s, c->addr, c->addr_n);
	free(c);
	server_conn_gone(s);
}

/* The end of each callback. */
static void conn_settle(struct conn *c)
{
	if (c->dead)
		conn_free(c);
}

size_t conn_n_unsent(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static bool is_draining(const struct conn *c)
{
	return atomic_load(&c->io->server->draining);
}

static void conn_idle(struct conn *c)
{
	struct settings *set = settings_ref(c->io->server);

	http1_reset(&c->parser);
	conn_set_state(c, CONN_IDLE);
	conn_deadline(c, set->s.idle_timeout_ns);
	settings_unref(c->io->server, set);
}

/* What has come and was not used yet, as far as it lies in one piece. */
struct slice conn_input(struct conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_contiguous_space(input);

	return n > 0 ? slice_of(evbuffer_pullup(input, (ev_ssize_t)n), n) : slice_of("", 0);
}

/* The answer is out. */
static void conn_after_answer(struct conn *c)
{
	if (c->close_after && !c->eof) {
		if (c->tls != NULL)
			tls_bev_goodbye(c->bev);
		shutdown(c->fd, SHUT_WR);
		conn_set_state(c, CONN_LINGER);
		conn_deadline(c, linger_ns);
		evbuffer_drain(bufferevent_get_input(c->bev),
			       evbuffer_get_length(bufferevent_get_input(c->bev)));
	} else if (c->close_after || is_draining(c)) {
		conn_close(c);
	} else {
		conn_idle(c);
	}
}

/* All of the answer was written to the connection. */
void conn_answered(struct conn *c)
{
	if (c->dead)
		return;
	if (conn_n_unsent(c) > 0)
		conn_set_state(c, CONN_OUT); /* on_write goes on; the write timeout watches */
	else
		conn_after_answer(c);
}

/* Small answers leave at once: a turn of the loop would cost more than the answer itself. (Under TLS the bytes of
 * the socket are OpenSSL's.) */
void conn_write(struct conn *c, struct slice s)
{
	if (s.n > 0 && c->tls == NULL && conn_n_unsent(c) == 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			s = slice_from(s, (size_t)n);
	}
	if (s.n > 0)
		bufferevent_write(c->bev, s.p, s.n);
}

static void free_reference(const void *p, size_t n, void *arg)
{
	(void)p;
	(void)n;
	free(arg);
}

static void conn_write_buf(struct conn *c, struct buf *b)
{
	size_t n;
	char *p = buf_take(b, &n);

	if (evbuffer_add_reference(bufferevent_get_output(c->bev), p, n, free_reference, p) == -1) {
		free(p);
		c->dead = true; /* the caller's exchange is still needed */
	}
}

static void put_status_line(struct conn *c, struct buf *b, int minor, int status)
{
	buf_printf(b, "HTTP/1.%d %d %s\r\nDate: %s\r\n", minor, status, http1_reason(status), io_date(c->io));
}

/* A refusal in place of an answer: what the client sends from here on cannot be understood or is not wanted.
 */
void conn_refuse(struct conn *c, int status, const char *reason, const char *text)
{
	struct buf b;

	refused_count(reason);
	log_debug("request refused", KV("peer", c->peer), KVI("status", status), KV("reason", reason),
		  KV("text", text));
	conn_drop_exchange(c);
	buf_init(&b);
	put_status_line(c, &b, 1, status);
	if (status == 503)
		buf_puts(&b, "Retry-After: 1\r\n");
	buf_printf(&b,
		   "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
		   "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
		   strlen(text) + 1, text);
	conn_write(c, buf_slice(&b));
	buf_fini(&b);
	c->close_after = true;
	conn_answered(c);
}

/* ---- the request's steps ---- */

void exchange_run(struct exchange *ex)
{
	while (ex->step != NULL && !ex->waiting)
		ex->step = ex->step->run(ex);
	if (ex->step != NULL)
		return;
	struct conn *c = ex->conn;
	if (c != NULL) {
		c->ex = NULL;
		ex->conn = NULL;
	}
	bool is_call = ex->call != NULL;
	exchange_free(ex);
	if (c != NULL && !is_call)
		conn_answered(c);
}

static const struct req_step *refuse(struct exchange *ex, const char *reason, const struct err *err)
{
	refused_count(reason);
	log_debug("request refused", KV("peer", ex->peer), KVS("path", ex->req.path), KV("reason", reason),
		  KV("text", err->msg));
	req_reply_error(&ex->req, err);
	return &step_reply;
}

static bool has_body(const struct exchange *ex)
{
	return ex->req.head.chunked || ex->req.head.content_length > 0;
}

static void too_large(struct err *err, uint64_t n, uint64_t limit)
{
	err_set(err, ERR_TOO_LARGE, "request body too large: %llu bytes, limit: %llu bytes",
		(unsigned long long)n, (unsigned long long)limit);
}

static size_t max_body_of(const struct exchange *ex)
{
	uint64_t max = ex->settings->s.max_body_bytes;
	unsigned flags = ex->req.route->flags;

	if ((flags & NEED_BODY) == 0)
		max = MIN(max, (uint64_t)((flags & NEED_FORM) != 0 ? MAX_FORM_BYTES : MAX_IGNORED_BYTES));
	return max > SIZE_MAX ? SIZE_MAX : (size_t)max;
}

/* Is there room for the declared body, or for the first piece of a chunked one? What did not come yet holds none, or a
 * few who announce much and send little would keep everybody else out. */
static const struct req_step *admit_body(struct exchange *ex)
{
	struct http1_head *h = &ex->req.head;
	struct err err;
	size_t n;

	ex->max_body = max_body_of(ex);
	if (h->content_length > 0 && (uint64_t)h->content_length > ex->max_body) {
		too_large(&err, (uint64_t)h->content_length, ex->max_body);
		return refuse(ex, "body_too_large", &err);
	}
	n = h->chunked ? MIN(ex->max_body, (size_t)BODY_STEP) : (size_t)h->content_length;
	if (!req_reserve(&ex->req, n)) {
		err_set(&err, ERR_UNAVAILABLE, "too many requests in flight: ingest_memory limit: %llu bytes",
			(unsigned long long)ex->settings->s.ingest_memory_bytes);
		return refuse(ex, "memory", &err);
	}
	if (n > BODY_STEP)
		req_release(&ex->req, n - BODY_STEP);
	return NULL;
}

static const struct req_step *redirect(struct exchange *ex, struct slice raw_path)
{
	struct buf b;

	buf_init(&b);
	url_path_clean(&b, raw_path);
	for (size_t i = 0; i < ex->req.query.n; i++) {
		char c = ex->req.query.p[i];

		if (i == 0)
			buf_putc(&b, '?');
		if ((unsigned char)c < 0x80 && strchr("\"<>\\^`{|}", c) == NULL)
			buf_putc(&b, c);
		else
			buf_printf(&b, "%%%02X", (unsigned char)c);
	}
	buf_cstr_end(&b);
	req_add_header(&ex->req, "Location", b.p);
	buf_fini(&b);
	req_reply(&ex->req, 301, NULL, NULL);
	return &step_reply;
}

/* Finds the row for the decoded path, or with `escaped` for the raw one: then its names are decoded afterwards. */
static int match_route(struct exchange *ex, bool escaped, struct slice raw, bool *path_known, struct err *err)
{
	static const unsigned only[LISTEN_N_KINDS] = {
		[LISTEN_ADMIN] = ROUTE_ADMIN, [LISTEN_OTLP] = ROUTE_OTLP, [LISTEN_GRPC] = ROUTE_GRPC
	};
	struct req *req = &ex->req;
	struct server *s = ex->io->server;
	enum listener_kind on = ex->conn->kind;
	bool no_admin = on != LISTEN_ADMIN && (on != LISTEN_MAIN || s->port[LISTEN_ADMIN] != 0);
	struct slice param[ROUTE_MAX_PARAMS];

	req->route = route_find(s->routes, s->n_routes, req->method, escaped ? raw : req->path,
				only[on] | (escaped ? ROUTE_ESCAPED : 0),
				(no_admin ? ROUTE_ADMIN : 0) | (on != LISTEN_GRPC ? ROUTE_GRPC : 0), param,
				path_known);
	for (size_t i = 0; req->route != NULL && escaped && i < ROUTE_MAX_PARAMS; i++)
		if (param[i].p != NULL && url_unescape(&req->arena, param[i], false, &param[i], err) == -1)
			return -1;
	req->param = param[0];
	req->param2 = param[1];
	return 0;
}

/* The row of the table for this request, or the answer where there is none. */
static const struct req_step *find_route(struct exchange *ex)
{
	struct req *req = &ex->req;
	struct slice target = req->head.target;
	size_t mark = slice_find_byte(target, '?');
	bool path_known = false;
	enum url_path kind;
	struct err err;

	if (slice_is(req->method, "TRACE") || slice_is(req->method, "CONNECT")) {
		req_reply(req, 501, NULL, NULL);
		return &step_reply;
	}
	if (target.p[0] != '/') {
		req_reply(req, 405, NULL, NULL); /* OPTIONS * */
		return &step_reply;
	}
	req->query = mark == SLICE_NONE ? SLICE("") : slice_from(target, mark + 1);
	if (url_path_decode(&req->arena, slice_sub(target, 0, mark), &req->path, &kind, &err) == -1)
		return refuse(ex, "bad_url", &err);
	if (kind == URL_PATH_UNCLEAN)
		return redirect(ex, slice_sub(target, 0, mark));
	if (kind != URL_PATH_NEVER &&
	    match_route(ex, kind == URL_PATH_ESCAPED, slice_sub(target, 0, mark), &path_known, &err) == -1)
		return refuse(ex, "bad_url", &err);
	if (req->route != NULL)
		return NULL;
	if (path_known)
		req_reply(req, 405, NULL, NULL);
	else
		req_reply_text(req, 404, SLICE("404 page not found\n"));
	return &step_reply;
}

/* A refusal leaves the body unread, so that nothing can follow it on the connection. */
static const struct req_step *turn_away(struct exchange *ex, const struct req_step *refusal)
{
	ex->refused = has_body(ex);
	return refusal;
}

/* Operators' pages on an address of their own need no credential. */
static bool needs_credential(const struct exchange *ex)
{
	return auth_mode(ex->io->server->auth) != AUTH_NONE && ex->conn->kind != LISTEN_ADMIN;
}

/* What can be decided without knowing who asks. NULL: go on. */
static const struct req_step *admit(struct exchange *ex)
{
	struct req *req = &ex->req;
	const struct server_settings *set = &ex->settings->s;
	const struct req_step *refusal;
	struct err err;

	/* A page cannot speak gRPC: it has no say in the frames. */
	if (!needs_credential(ex) && ex->call == NULL &&
	    guard_host(&req->head, set, slice_cstr(ex->io->server->own_name), &err) == -1)
		return refuse(ex, "host", &err);
	if ((refusal = find_route(ex)) != NULL)
		return refusal;
	if ((req->route->flags & ROUTE_SAME_SITE) != 0 && guard_site(&req->head, set, &err) == -1)
		return refuse(ex, "origin", &err);
	return NULL;
}

static const struct req_step *run_admit(struct exchange *ex)
{
	const struct req_step *refusal = admit(ex);

	return refusal != NULL ? turn_away(ex, refusal) : &step_authenticate;
}

static void on_authenticated(struct auth_attempt *t)
{
	struct exchange *ex = (struct exchange *)((char *)t - offsetof(struct exchange, auth));

	ex->finish_job.run = exchange_on_finish;
	loop_post(ex->io->loop, &ex->finish_job);
}

static const struct req_step *run_authenticate(struct exchange *ex)
{
	struct conn *c = ex->conn;
	struct auth_attempt *t = &ex->auth;

	if (!needs_credential(ex) || (ex->req.route->flags & ROUTE_OPEN) != 0)
		return &step_authorize;
	t->authorization = req_header(&ex->req, SLICE("authorization"));
	t->tls_user = ex->req.tls_user;
	t->peer = ex->req.peer;
	memcpy(t->addr, c->addr, c->addr_n);
	t->addr_n = c->addr_n;
	t->done = on_authenticated;
	if (auth_begin(ex->io->server->auth, t) == AUTH_WAIT) {
		if (ex->call == NULL)
			conn_set_state(c, CONN_WORK);
		ex->deferred = true;
		ex->waiting = true; /* until exchange_on_finish */
	}
	return &step_authenticated;
}

static const struct req_step *run_authenticated(struct exchange *ex)
{
	struct auth_attempt *t = &ex->auth;
	const char *challenge = auth_challenge(ex->io->server->auth);
	char seconds[16];

	if (ex->conn == NULL)
		return &step_reply;
	if (t->state == AUTH_OK) {
		if (t->who != NULL)
			ex->req.user = t->who->name;
		return &step_authorize;
	}
	if (t->err.code == ERR_UNAUTHORIZED && challenge != NULL)
		req_add_header(&ex->req, "WWW-Authenticate", challenge);
	if (t->retry_after_s > 0) {
		snprintf(seconds, sizeof(seconds), "%u", t->retry_after_s);
		req_add_header(&ex->req, "Retry-After", seconds);
	}
	return turn_away(ex, refuse(ex, "credentials", &t->err));
}

/* May who asks have what is asked for, and is there room for the body? NULL: go on. */
static const struct req_step *authorize(struct exchange *ex)
{
	struct req *req = &ex->req;
	unsigned flags = req->route->flags;
	struct err err;

	if (guard_role(flags, ex->auth.who, &err) == -1)
		return refuse(ex, "role", &err);
	if ((flags & NEED_TENANT) != 0 &&
	    guard_tenant(req_header(req, SLICE("x-scope-orgid")), &ex->settings->s, flags, ex->auth.who,
			 &req->arena, &req->tenant, &err) == -1)
		return refuse(ex, "tenant", &err);
	return has_body(ex) ? admit_body(ex) : NULL;
}

static const struct req_step *run_authorize(struct exchange *ex)
{
	struct conn *c = ex->conn;
	const struct req_step *refusal = authorize(ex);

	if (refusal != NULL)
		return turn_away(ex, refusal);
	if (ex->call != NULL) {
		ex->waiting = !grpc_call_authorized(ex); /* until its message is whole */
		return &step_body;
	}
	if (has_body(ex) && ex->req.head.expect_continue)
		conn_write(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
	c->since_ns = clock_mono_ns();
	conn_set_state(c, CONN_BODY);
	conn_deadline(c, MIN(ex->settings->s.body_free_ns, ex->settings->s.body_timeout_ns));
	ex->waiting = true; /* until conn_process has seen the end of the body */
	return &step_body;
}

static bool has_form(const struct req *req)
{
	return (req->route->flags & NEED_FORM) != 0 && !slice_is(req->method, "GET") &&
	       slice_eq_nocase(req_media_type(req), SLICE("application/x-www-form-urlencoded"));
}

static const struct req_step *run_body(struct exchange *ex)
{
	struct req *req = &ex->req;
	struct err err;

	if (ex->call != NULL && grpc_call_unpack(ex, &err) == -1)
		return refuse(ex, "bad_body", &err);
	req->body = ex->body.n > 0 ? buf_slice(&ex->body) : SLICE("");
	if (has_form(req) && url_params_add(&req->params, &req->arena, req->body, &err) == -1)
		return refuse(ex, "bad_url", &err);
	if (url_params_add(&req->params, &req->arena, req->query, &err) == -1)
		return refuse(ex, "bad_url", &err);
	return &step_handle;
}

/* No more will come from the client. A push cannot be taken back, and its sender may have closed its side alone to say
 * that this was all (nc -N): it is answered. Anyone else has left as far as one can tell, and a query for nobody must
 * not go on. */
static bool outlives_eof(const struct conn *c)
{
	const struct exchange *ex = c->ex;

	return ex != NULL && ex->protocol == NULL && ex->req.route != NULL &&
	       (ex->req.route->flags & NEED_BODY) != 0;
}

static const struct req_step *run_handle(struct exchange *ex)
{
	struct conn *c = ex->conn;

	if (ex->call == NULL)
		conn_set_state(c, CONN_WORK);
	ex->req.route->handler(&ex->req);
	/* From here on a deferred request may be another thread's: only the loop's own fields are ours. */
	if (!ex->deferred) {
		assert(ex->replied);
		return &step_reply;
	}
	ex->waiting = true; /* until exchange_on_finish or the end of the stream */
	if (c->eof && !outlives_eof(c))
		conn_close(c);
	return &step_reply;
}

static struct slice route_label(const struct req *req, struct buf *b)
{
	if (req->route == NULL)
		return SLICE("other");
	for (const char *p = req->route->path; *p != '\0'; p++) {
		bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (word)
			buf_putc(b, *p);
		else if (b->n > 0 && b->p[b->n - 1] != '_')
			buf_putc(b, '_');
	}
	return b->n > 0 ? buf_slice(b) : SLICE("root");
}

static struct slice method_label(struct slice method)
{
	static const struct slice known[] = { { "GET", 3 },    { "POST", 4 }, { "PUT", 3 },
					      { "DELETE", 6 }, { "HEAD", 4 }, { "OPTIONS", 7 } };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_eq(method, known[i]))
			return method;
	return SLICE("other");
}

static void observe(struct exchange *ex, int status)
{
	double seconds = (double)(clock_mono_ns() - ex->req.start_ns) / 1e9;
	struct buf labels, route;
	char code[16];

	buf_init(&labels);
	buf_init(&route);
	snprintf(code, sizeof(code), "%d", status);
	metric_label(&labels, "method", ex->call != NULL ? SLICE("gRPC") : method_label(ex->req.method));
	metric_label(&labels, "route", route_label(&ex->req, &route));
	metric_label(&labels, "status_code", slice_cstr(code));
	metric_label(&labels, "ws", ex->protocol != NULL ? SLICE("true") : SLICE("false"));
	buf_cstr_end(&labels);
	metric_observe(metric_histogram("loki_request_duration_seconds",
					"Time (in seconds) spent serving HTTP requests.", labels.p),
		       seconds);
	buf_fini(&labels);
	buf_fini(&route);
	log_debug("request", KVS("method", ex->req.method), KVS("path", ex->req.path), KVI("status", status),
		  KV("peer", ex->peer), KVS("tenant", ex->req.tenant), KVF("seconds", seconds));
}

static void put_head(struct conn *c, struct exchange *ex, struct buf *b)
{
	struct http1_head *h = &ex->req.head;

	c->close_after = ex->refused || !h->keep_alive || is_draining(c) || c->close_after;
	put_status_line(c, b, h->minor, ex->status);
	buf_add(b, buf_slice(&ex->headers));
	if (c->close_after)
		buf_puts(b, "Connection: close\r\n");
}

static void send_reply(struct conn *c, struct exchange *ex)
{
	struct buf b;

	buf_init(&b);
	put_head(c, ex, &b);
	if (ex->status != 204 && ex->status != 304)
		buf_printf(&b, "Content-Length: %zu\r\n", ex->out.n);
	buf_puts(&b, "\r\n");
	if (slice_is(ex->req.method, "HEAD") || ex->status == 204 || ex->status == 304)
		buf_reset(&ex->out);
	if (ex->out.n <= MAX_COPIED_REPLY) {
		buf_add(&b, buf_slice(&ex->out));
		conn_write(c, buf_slice(&b));
	} else {
		conn_write(c, buf_slice(&b));
		conn_write_buf(c, &ex->out);
	}
	buf_fini(&b);
}

static const struct req_step *run_reply(struct exchange *ex)
{
	if (ex->conn == NULL) {
		log_info("client went away", KVS("path", ex->req.path), KV("peer", ex->peer),
			 KVI("status", 499));
		observe(ex, 499);
		return NULL;
	}
	if (ex->call != NULL)
		grpc_call_reply(ex);
	else if (!ex->streaming)
		send_reply(ex->conn, ex);
	else if (!ex->complete)
		ex->conn->dead = true;
	observe(ex, ex->status);
	return NULL;
}

static const struct req_step step_admit = { "admit", run_admit };
static const struct req_step step_authenticate = { "authenticate", run_authenticate };
static const struct req_step step_authenticated = { "authenticated", run_authenticated };
static const struct req_step step_authorize = { "authorize", run_authorize };
static const struct req_step step_body = { "body", run_body };
static const struct req_step step_handle = { "handle", run_handle };
static const struct req_step step_reply = { "reply", run_reply };

struct exchange *exchange_new(struct conn *c)
{
	struct exchange *ex = xcalloc(1, sizeof(*ex));

	server_exchange_new(c->io->server);
	ex->io = c->io;
	ex->conn = c;
	ex->settings = settings_ref(c->io->server);
	pthread_mutex_init(&ex->lock, NULL);
	memcpy(ex->peer, c->peer, sizeof(ex->peer));
	arena_init(&ex->req.arena);
	ex->req.app = c->io->server->app;
	ex->req.query = SLICE("");
	ex->req.peer = slice_cstr(ex->peer);
	if (c->tls_user.n > 0)
		ex->req.tls_user = arena_dup(&ex->req.arena, buf_slice(&c->tls_user));
	ex->req.start_ns = c->since_ns;
	return ex;
}

void exchange_start(struct exchange *ex)
{
	ex->step = &step_admit;
	exchange_run(ex);
}

static void conn_begin_request(struct conn *c)
{
	struct exchange *ex = exchange_new(c);

	http1_head_take(&c->parser, &ex->req.head);
	ex->req.method = ex->req.head.method;
	ex->req.path = ex->req.head.target; /* until it is decoded */
	c->ex = ex;
	exchange_start(ex);
}

/* Continues a request that someone has answered, possibly after its client has left. */
static void exchange_resume(struct exchange *ex)
{
	struct conn *c = ex->conn;

	ex->waiting = false;
	ex->deferred = false; /* the loop's again */
	exchange_run(ex);
	if (c == NULL)
		return;
	if (c->grpc != NULL)
		grpc_conn_go_on(c);
	else
		conn_process(c);
	conn_settle(c);
}

void exchange_on_finish(struct loop_job *job)
{
	exchange_resume((struct exchange *)((char *)job - offsetof(struct exchange, finish_job)));
}

/* ---- streams ---- */

static void stream_upgraded(struct conn *c, struct exchange *ex, struct slice s)
{
	struct buf b;

	buf_init(&b);
	if (!ex->head_sent) {
		put_status_line(c, &b, 1, ex->status);
		buf_printf(&b, "Upgrade: %s\r\nConnection: Upgrade\r\n", ex->protocol);
		buf_add(&b, buf_slice(&ex->headers));
		buf_puts(&b, "\r\n");
		c->close_after = true;
		ex->head_sent = true;
	}
	buf_add(&b, s);
	conn_write(c, buf_slice(&b));
	buf_fini(&b);
}

/* What the client of an upgraded connection sent goes to whoever speaks its protocol. */
static void conn_pass_on(struct conn *c)
{
	struct exchange *ex = c->ex;

	if (c->dead || ex == NULL || ex->protocol == NULL || !ex->head_sent)
		return;
	struct slice in = conn_input(c);
	while (in.n > 0) {
		pthread_mutex_lock(&ex->lock);
		bool ended = ex->ended;
		pthread_mutex_unlock(&ex->lock);
		if (!ended)
			ex->on_data(ex->data_arg, in);
		evbuffer_drain(bufferevent_get_input(c->bev), in.n);
		in = conn_input(c);
	}
}

static void stream_chunk(struct conn *c, struct exchange *ex, struct slice s, bool last)
{
	bool chunked = ex->req.head.minor == 1;
	struct buf b;

	buf_init(&b);
	if (!ex->head_sent) {
		if (!chunked)
			c->close_after = true; /* nothing else marks the end */
		put_head(c, ex, &b);
		buf_puts(&b, chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
		ex->head_sent = true;
	}
	if (s.n > 0 && chunked)
		buf_printf(&b, "%zx\r\n", s.n);
	buf_add(&b, s);
	if (s.n > 0 && chunked)
		buf_puts(&b, "\r\n");
	if (last && chunked)
		buf_puts(&b, "0\r\n\r\n");
	conn_write(c, buf_slice(&b));
	buf_fini(&b);
}

/* Under ex->lock: what the owner may know of the queue, and the call that wakes it. */
static void stream_measure(struct exchange *ex)
{
	ex->n_on_wire = ex->conn != NULL ? conn_n_unsent(ex->conn) : 0;
	if (ex->full && ex->pending.n + ex->n_on_wire <= exchange_low(ex)) {
		ex->full = false;
		if (ex->on_low != NULL && !ex->ended)
			ex->on_low(ex->low_arg);
	}
}

void exchange_on_stream(struct loop_job *job)
{
	struct exchange *ex = (struct exchange *)((char *)job - offsetof(struct exchange, stream_job));
	struct conn *c = ex->conn;

	pthread_mutex_lock(&ex->lock);
	struct buf b = ex->pending;
	bool ended = ex->ended;
	ex->pending = (struct buf){ 0 };
	ex->posted = false;
	pthread_mutex_unlock(&ex->lock);
	if (c != NULL) {
		bufferevent_setwatermark(c->bev, EV_WRITE, ended ? 0 : exchange_low(ex), 0);
		if (ex->protocol != NULL)
			stream_upgraded(c, ex, buf_slice(&b));
		else
			stream_chunk(c, ex, buf_slice(&b), ended && ex->complete);
	}
	buf_fini(&b);
	pthread_mutex_lock(&ex->lock);
	stream_measure(ex);
	pthread_mutex_unlock(&ex->lock);
	if (ended)
		exchange_resume(ex);
	else if (c != NULL)
		conn_pass_on(c);
}

/* ---- from the socket ---- */

/* Sets memory aside for n more bytes of the body, with some ahead. False: the request was refused. */
static bool body_room(struct conn *c, size_t n)
{
	struct exchange *ex = c->ex;
	size_t most = ex->req.head.chunked ? ex->max_body : (size_t)ex->req.head.content_length;

	while (ex->body.n + n > ex->reserved) {
		assert(ex->body.n + n <= most);
		if (req_reserve(&ex->req, MIN(MAX((size_t)ex->reserved, n), most - (size_t)ex->reserved)))
			continue;
		conn_refuse(c, 503, "memory", "too many requests in flight: ingest_memory limit");
		return false;
	}
	return true;
}

static void add_body(struct conn *c, struct slice data)
{
	struct exchange *ex = c->ex;
	struct err err;

	if (data.n > ex->max_body - ex->body.n) {
		too_large(&err, ex->body.n + data.n, ex->max_body);
		conn_refuse(c, 413, "body_too_large", err.msg);
		return;
	}
	if (!body_room(c, data.n))
		return;
	take_spare(ex);
	buf_add(&ex->body, data);
}

static void conn_handle(struct conn *c, enum http1_event event)
{
	switch (event) {
	case HTTP1_HEAD: conn_begin_request(c); break;
	case HTTP1_DONE:
		c->ex->waiting = false;
		exchange_run(c->ex);
		break;
	case HTTP1_BAD: conn_refuse(c, c->parser.status, "bad_request", c->parser.why); break;
	case HTTP1_BODY:
	case HTTP1_MORE: break;
	}
}

static bool conn_reads(const struct conn *c)
{
	return !c->dead && (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY);
}

static void conn_begin_head(struct conn *c)
{
	struct settings *set = settings_ref(c->io->server);

	c->parser.limits = (struct http1_limits){ set->s.max_head_bytes, set->s.max_headers };
	c->since_ns = clock_mono_ns();
	conn_set_state(c, CONN_HEAD);
	conn_deadline(c, set->s.header_timeout_ns);
	settings_unref(c->io->server, set);
}

/* Feeds what has come to the parser, as far as the requests can be worked on. */
static void conn_process(struct conn *c)
{
	while (conn_reads(c)) {
		struct slice in = conn_input(c), rest = in, data;

		if (c->state == CONN_IDLE) {
			if (in.n == 0) {
				if (c->eof)
					conn_close(c);
				return;
			}
			conn_begin_head(c);
		}
		enum http1_event event = http1_feed(&c->parser, &rest, &data);
		if (event == HTTP1_BODY)
			add_body(c, data);
		evbuffer_drain(bufferevent_get_input(c->bev), in.n - rest.n);
		if (event == HTTP1_MORE && in.n == 0)
			return;
		if (conn_reads(c))
			conn_handle(c, event);
	}
}

/* The rest of a body of known length goes from the socket to its place, not through the small reads of
 * libevent. */
static void conn_recv_body(struct conn *c)
{
	size_t total = 0;

	while (c->tls == NULL && conn_reads(c) && c->state == CONN_BODY && !c->ex->req.head.chunked &&
	       c->parser.left > 0 && total < MAX_RECV_BYTES) {
		struct buf *b = &c->ex->body;
		size_t whole = (size_t)c->ex->req.head.content_length, upto = BODY_STEP;

		take_spare(c->ex);
		while (upto <= b->n)
			upto *= 2;
		upto = MIN(upto, whole);
		if (b->cap < upto) {
			b->p = xrealloc(b->p, upto);
			b->cap = upto;
		}
		if (!body_room(c, upto - b->n))
			return;
		ssize_t n = recv(c->fd, b->p + b->n, upto - b->n, MSG_DONTWAIT);
		if (n <= 0)
			return; /* nothing yet; the end and errors are libevent's to report */
		struct slice in = slice_of(b->p + b->n, (size_t)n), data;
		b->n += (size_t)n;
		total += (size_t)n;
		enum http1_event event = http1_feed(&c->parser, &in, &data);
		assert(event == HTTP1_BODY && in.n == 0);
		if (c->parser.left == 0)
			conn_process(c);
	}
}

/* Enough is read ahead of the request in work. Whoever does not read does not see the client leave, so look
 * now and then. (libevent's own read mark would call on_read without end while the buffer is full.) */
static void conn_pause_reading(struct conn *c)
{
	if (c->dead || (c->state != CONN_WORK && c->state != CONN_OUT) ||
	    evbuffer_get_length(bufferevent_get_input(c->bev)) < MAX_PIPELINED_BYTES)
		return;
	c->paused = true;
	bufferevent_disable(c->bev, EV_READ);
	if (c->state == CONN_WORK)
		conn_deadline(c, hangup_check_ns);
}

static bool has_hung_up(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->grpc != NULL) {
		grpc_conn_read(c);
		conn_settle(c);
		return;
	}
	if (c->state == CONN_LINGER)
		evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
	conn_process(c);
	conn_pass_on(c);
	conn_recv_body(c);
	conn_pause_reading(c);
	conn_settle(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->ex != NULL && c->ex->head_sent) {
		pthread_mutex_lock(&c->ex->lock);
		stream_measure(c->ex);
		pthread_mutex_unlock(&c->ex->lock);
	}
	if (c->state == CONN_OUT && conn_n_unsent(c) == 0) {
		conn_after_answer(c);
		conn_process(c);
	} else if (c->grpc != NULL && !c->shaking) {
		grpc_conn_go_on(c);
	}
	conn_settle(c);
}

/* HTTP on a port for TLS: the one case where a person needs a hint. TLS is over, so the socket is free. */
static void say_plain_http(struct conn *c)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
				     "X-Content-Type-Options: nosniff\r\nContent-Length: 35\r\n"
				     "Connection: close\r\n\r\nthis port speaks TLS: use https://\n";
	char sink[4096];

	send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < 16 && recv(c->fd, sink, sizeof(sink), MSG_DONTWAIT) > 0; i++)
		; /* unread bytes would turn the close into a reset */
}

/* The end of the TLS handshake. */
static void conn_shaken(struct conn *c, short what)
{
	bool plain_http;

	if ((what & BEV_EVENT_CONNECTED) != 0) {
		c->shaking = false;
		tls_bev_user(c->bev, &c->tls_user);
		if (c->grpc != NULL) {
			grpc_conn_go_on(c);
			return;
		}
		conn_idle(c);
		conn_process(c);
		return;
	}
	refused_count("tls_handshake");
	const char *why = tls_bev_error(c->bev, &plain_http);
	log_debug("TLS handshake failed", KV("peer", c->peer), KV("why", why));
	if (plain_http)
		say_plain_http(c);
	conn_close(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->shaking)
		conn_shaken(c, what);
	else if ((what & BEV_EVENT_EOF) != 0 && c->grpc == NULL &&
		 (c->state == CONN_OUT || (c->state == CONN_WORK && outlives_eof(c))))
		c->eof = true; /* it may still read what it has asked for */
	else
		conn_close(c);
	conn_settle(c);
}

static bool body_is_slow(const struct conn *c, int64_t age_ns)
{
	const struct server_settings *set = &c->ex->settings->s;

	if (age_ns >= set->body_timeout_ns)
		return true;
	double paid_s = (double)(age_ns - set->body_free_ns) / 1e9;
	return (double)c->ex->body.n < (double)set->body_min_rate * paid_s;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->grpc != NULL && !c->shaking && c->state != CONN_OUT && c->state != CONN_LINGER) {
		grpc_conn_timer(c);
		conn_settle(c);
		return;
	}
	switch (c->state) {
	case CONN_HEAD: conn_refuse(c, 408, "header_timeout", "request head took too long"); break;
	case CONN_BODY:
		if (body_is_slow(c, clock_mono_ns() - c->since_ns))
			conn_refuse(c, 408, "body_timeout", "request body comes too slowly");
		else
			conn_deadline(c, MIN(NS_PER_S, c->ex->settings->s.body_free_ns + NS_PER_MS));
		break;
	case CONN_IDLE:
	case CONN_LINGER: conn_close(c); break;
	case CONN_WORK:
		if (has_hung_up(c))
			conn_close(c);
		else
			conn_deadline(c, hangup_check_ns);
		break;
	case CONN_OUT: break;
	}
	conn_settle(c);
}

/* ---- life ---- */

int conn_new(struct io *io, int fd, const struct sockaddr *sa, enum listener_kind kind, const char *addr,
	     size_t addr_n)
{
	struct event_base *base = loop_base(io->loop);
	struct conn *c = xcalloc(1, sizeof(*c));
	struct settings *set = settings_ref(io->server);
	struct timeval stall = timeval_of(set->s.write_stall_ns);
	struct http1_limits limits = { set->s.max_head_bytes, set->s.max_headers };
	socklen_t sa_n = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int one = 1;

	c->io = io;
	c->fd = fd;
	c->kind = kind;
	memcpy(c->addr, addr, addr_n);
	c->addr_n = addr_n;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (getnameinfo(sa, sa_n, c->peer, sizeof(c->peer), NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(c->peer, sizeof(c->peer), "unknown");
	c->timer = event_new(base, -1, 0, on_timer, c);
	bool ok = c->timer != NULL && (kind != LISTEN_GRPC || grpc_conn_new(c) == 0);
	if (ok && set->s.tls != NULL)
		c->bev = tls_bev_new(set->s.tls, base, fd, kind == LISTEN_GRPC);
	else if (ok)
		c->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL) {
		if (c->timer != NULL)
			event_free(c->timer);
		grpc_conn_free(c);
		settings_unref(io->server, set);
		free(c);
		return -1;
	}
	http1_init(&c->parser, &limits);
	TAILQ_INSERT_TAIL(&io->idle, c, link);
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_set_timeouts(c->bev, NULL, &stall);
	bufferevent_set_max_single_write(c->bev, 1 << 20);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	c->tls = tls_ref(set->s.tls);
	c->shaking = c->tls != NULL;
	if (c->shaking)
		conn_deadline(c, set->s.handshake_timeout_ns);
	else
		conn_deadline(c, c->grpc != NULL ? set->s.header_timeout_ns : set->s.idle_timeout_ns);
	settings_unref(io->server, set);
	return 0;
}

void conn_close_idle(struct io *io, size_t most)
{
	for (struct conn *c; most > 0 && (c = TAILQ_FIRST(&io->idle)) != NULL; most--) {
		conn_close(c);
		conn_settle(c);
	}
}

void conn_drain_all(struct io *io)
{
	struct conn *c, *next;

	while ((c = TAILQ_FIRST(&io->idle)) != NULL) {
		if (c->grpc != NULL && !c->shaking)
			grpc_conn_drain(c); /* no longer idle */
		else
			conn_close(c);
		conn_settle(c);
	}
	for (c = TAILQ_FIRST(&io->busy); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->grpc != NULL) {
			grpc_conn_drain(c);
			conn_settle(c);
		}
	}
}

void conn_kill_all(struct io *io)
{
	struct conn *c;

	conn_close_idle(io, SIZE_MAX);
	while ((c = TAILQ_FIRST(&io->busy)) != NULL) {
		conn_close(c);
		conn_settle(c);
	}
}
