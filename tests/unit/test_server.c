/* A real server on a loopback port, toy handlers, raw sockets. */
#include "api/req.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/metrics.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

static struct server *server;
static struct pool *pool;
static sem_t entered, release, cancelled;
static _Atomic int n_hello;

/* ---- handlers ---- */

static void reply_printf(struct req *req, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void reply_printf(struct req *req, int status, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b);
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	req_reply(req, status, "text/plain", &b);
}

static void hello(struct req *req)
{
	n_hello++;
	reply_printf(req, 200, "hello %.*s\n", SLICE_ARG(req_param(req, SLICE("n"))));
}

static void echo(struct req *req)
{
	reply_printf(req, 200, "%.*s", SLICE_ARG(req->body));
}

static void no_content(struct req *req)
{
	req_reply(req, 204, NULL, NULL);
}

static void form(struct req *req)
{
	struct buf b;
	struct slice v;

	buf_init(&b);
	buf_printf(&b, "q=%.*s", SLICE_ARG(req_param(req, SLICE("q"))));
	for (size_t i = 0; url_params_next(&req->params, &i, SLICE("match[]"), &v);)
		buf_printf(&b, ",%.*s", SLICE_ARG(v));
	req_reply(req, 200, "text/plain", &b);
}

static void values(struct req *req)
{
	reply_printf(req, 200, "%.*s of %.*s", SLICE_ARG(req->param), SLICE_ARG(req->tenant));
}

static void bad_query(struct req *req)
{
	struct err err;

	err_set(&err, ERR_BAD_REQUEST, "parse error");
	req_reply_error(req, &err);
}

static void limited(struct req *req)
{
	struct err err;

	err_set(&err, ERR_LIMITED, "slow down");
	req_add_header(req, "X-Extra", "1");
	req_reply_error(req, &err);
}

static void big(struct req *req)
{
	struct buf b;
	uint64_t n = 0;

	slice_to_u64(req_param(req, SLICE("n")), &n);
	buf_init(&b);
	for (uint64_t i = 0; i < n; i += 23)
		buf_append(&b, "abcdefghijklmnopqrstuvw", MIN(n - i, 23));
	req_reply(req, 200, "text/plain", &b);
}

static void reserve(struct req *req)
{
	bool first = req_reserve(req, 900000), second = req_reserve(req, 900000);

	if (first)
		req_release(req, 100000);
	reply_printf(req, 200, "%d %d %d", first, second, req_reserve(req, 100000));
}

/* Answers on a worker, when the test says so. */
struct work {
	struct pool_job job;
	struct req *req;
};

static void on_cancel(void *arg)
{
	(void)arg;
	sem_post(&cancelled);
}

static void slow_run(struct pool_job *job)
{
	struct work *w = (struct work *)job;

	sem_post(&entered);
	sem_wait(&release);
	req_on_cancel(w->req, NULL, NULL);
	reply_printf(w->req, 200, "slow %d", atomic_load(&w->req->cancelled));
	req_finish_from_any_thread(w->req);
}

/* Lets one go on, and not one that enters later. */
static void release_one(void)
{
	int left;

	sem_post(&release);
	while (sem_getvalue(&release, &left) == 0 && left > 0)
		usleep(1000);
}

static void slow(struct req *req)
{
	struct work *w = arena_new(&req->arena, struct work);

	w->job.run = slow_run;
	w->req = req;
	req_on_cancel(req, on_cancel, NULL);
	req_defer(req);
	pool_submit(pool, &w->job);
}

/* Streams n pieces of 64 KiB, waiting for room when told to. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t room;
	bool low;
	_Atomic size_t n_full, n_written;
} flow = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0 };

static void on_low(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&flow.lock);
	flow.low = true;
	pthread_cond_signal(&flow.room);
	pthread_mutex_unlock(&flow.lock);
}

static void wait_for_room(void)
{
	flow.n_full++;
	pthread_mutex_lock(&flow.lock);
	while (!flow.low)
		pthread_cond_wait(&flow.room, &flow.lock);
	flow.low = false;
	pthread_mutex_unlock(&flow.lock);
}

static void stream_run(struct pool_job *job)
{
	struct work *w = (struct work *)job;
	struct req *req = w->req;
	enum req_stream rc = REQ_STREAM_OK;
	static char piece[65536];
	uint64_t n = 0;
	bool whole = req_param(req, SLICE("cut")).p == NULL;

	slice_to_u64(req_param(req, SLICE("n")), &n);
	req_stream_start(req, 200, "text/plain", on_low, NULL);
	memset(piece, 'x', sizeof(piece));
	for (uint64_t i = 0; i < n && rc != REQ_STREAM_GONE; i++) {
		rc = req_stream_write(req, slice_of(piece, sizeof(piece)));
		flow.n_written++;
		if (rc == REQ_STREAM_FULL)
			wait_for_room();
	}
	req_stream_end(req, whole);
	sem_post(&entered);
}

static void stream(struct req *req)
{
	struct work *w = arena_new(&req->arena, struct work);

	w->job.run = stream_run;
	w->req = req;
	req_defer(req);
	pool_submit(pool, &w->job);
}

static void short_stream(struct req *req)
{
	req_stream_start(req, 200, "text/event-stream", NULL, NULL);
	req_stream_write(req, SLICE("one"));
	req_stream_write(req, SLICE(" two"));
	req_stream_end(req, true);
}

static const struct route routes[] = {
	{ "GET", "/hello", hello, 0 },
	{ "POST", "/echo", echo, NEED_BODY | ROUTE_NEWLINE },
	{ "POST", "/push", no_content, NEED_BODY | NEED_TENANT | ROUTE_NEWLINE },
	{ "GET|POST", "/form", form, NEED_FORM },
	{ "GET", "/label/:name/values", values, NEED_TENANT },
	{ "GET", "/bad", bad_query, ROUTE_GZIP },
	{ "GET", "/limited", limited, ROUTE_NEWLINE },
	{ "GET", "/big", big, ROUTE_GZIP },
	{ "GET", "/plain", big, 0 },
	{ "GET", "/reserve", reserve, 0 },
	{ "GET", "/slow", slow, 0 },
	{ "GET", "/stream", stream, 0 },
	{ "GET", "/short", short_stream, 0 },
	{ "POST", "/state", no_content, ROUTE_SAME_SITE },
	{ "GET", "/metrics", hello, ROUTE_ADMIN },
};

/* ---- a client ---- */

static int dial_port(unsigned port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static int dial(void)
{
	return dial_port(server_port(server, LISTEN_MAIN));
}

static void put(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* refused and closed: the answer tells */
		s = slice_from(s, (size_t)n);
	}
}

static void puts_fd(int fd, const char *s)
{
	put(fd, slice_cstr(s));
}

/* Reads until `end` is in what came, or the server closes. NUL-terminated, the caller's to free. */
static char *get_until(int fd, const char *end)
{
	struct buf b;

	buf_init(&b);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		buf_cstr_end(&b);
		if (end != NULL && strstr(b.p, end) != NULL)
			return b.p;
		if (poll(&p, 1, 10000) != 1)
			fail_msg("no answer in 10 s, got: %s", b.p);
		ssize_t n = recv(fd, buf_reserve(&b, 65536), 65535, 0);
		if (n <= 0)
			return b.p;
		b.n += (size_t)n;
	}
}

static void expect(int fd, const char *end, const char *want_start, const char *want_end)
{
	char *got = get_until(fd, end);

	if (strncmp(got, want_start, strlen(want_start)) != 0 ||
	    (want_end != NULL &&
	     (strlen(got) < strlen(want_end) || strcmp(got + strlen(got) - strlen(want_end), want_end) != 0)))
		fail_msg("got: %s\nwant: %s ... %s", got, want_start, want_end);
	free(got);
}

/* One request on a connection of its own, closed by the server in the end. */
static char *ask(const char *request)
{
	int fd = dial();

	puts_fd(fd, request);
	char *got = get_until(fd, NULL);
	close(fd);
	return got;
}

static void expect_ask(const char *request, const char *want_start, const char *want_part,
		       const char *want_end)
{
	char *got = ask(request);

	if (strncmp(got, want_start, strlen(want_start)) != 0 ||
	    (want_part != NULL && strstr(got, want_part) == NULL) ||
	    (want_end != NULL &&
	     (strlen(got) < strlen(want_end) || strcmp(got + strlen(got) - strlen(want_end), want_end) != 0)))
		fail_msg("asked: %s\ngot: %s\nwant: %s ... %s ... %s", request, got, want_start, want_part,
			 want_end);
	free(got);
}

static struct server_options options(void)
{
	struct server_options o;

	server_options_init(&o);
	o.listen[LISTEN_MAIN] = "127.0.0.1:0";
	o.n_io_threads = 2;
	o.settings.max_body_bytes = 200000;
	o.settings.ingest_memory_bytes = 1000000;
	return o;
}

static void start_with(const struct server_options *o)
{
	struct err err;

	assert_int_equal(server_new(o, routes, ARRAY_LEN(routes), &server, &err), 0);
}

static int start(void **state)
{
	struct server_options o = options();

	(void)state;
	start_with(&o);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_free(server);
	server = NULL;
	return 0;
}

#define C "Host: localhost\r\nConnection: close\r\n"
#define K "Host: localhost\r\n"

/* ---- tests ---- */

static void test_answers(void **state)
{
	static const struct {
		const char *ask, *start, *part, *end;
	} cases[] = {
		{ "GET /hello?n=7 HTTP/1.1\r\n" C "\r\n",
		  "HTTP/1.1 200 OK\r\nDate: ", "\r\nContent-Length: 8\r\n", "\r\n\r\nhello 7\n" },
		{ "GET /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 OK\r\n", "\r\nConnection: close\r\n",
		  "hello \n" },
		{ "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n", "\r\nConnection: close\r\n",
		  "hello \n" },
		{ "GET http://localhost/hello?n=abs HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL,
		  "hello abs\n" },
		{ "POST /push HTTP/1.1\r\n" C "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 204 No Content\r\n",
		  NULL, "\r\nConnection: close\r\n\r\n" },
		{ "POST /echo HTTP/1.1\r\n" C "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 200 ", NULL,
		  "\r\n\r\nabc" },
		{ "POST /echo HTTP/1.1\r\n" C
		  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		  "HTTP/1.1 200 ", NULL, "\r\n\r\nabcde" },
		{ "GET /label/app/values HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, "app of fake" },
		{ "GET /label/a%20b/values HTTP/1.1\r\n" C "X-Scope-OrgID: x|y\r\n\r\n", "HTTP/1.1 200 ",
		  NULL, "a b of fake" },
		{ "GET /label/a%2fb/values HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", NULL,
		  "\r\n\r\n404 page not found\n" },
		{ "GET /hello%00 HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", NULL, NULL },
		{ "GET /label/../hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", NULL, NULL },
		{ "GET / HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ",
		  "Content-Type: text/plain; charset=utf-8\r\n", "404 page not found\n" },
		{ "GET /hello/ HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", "X-Content-Type-Options: nosniff\r\n",
		  NULL },
		{ "HEAD /nothing HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", "Content-Length: 19\r\n",
		  "\r\n\r\n" },
		{ "GET //hello?n=%31&x=\" HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 301 ",
		  "Location: /hello?n=%31&x=%22\r\n", "\r\n\r\n" },
		{ "HEAD /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 405 ", "Content-Length: 0\r\n", "\r\n\r\n" },
		{ "OPTIONS /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 405 ", NULL, "\r\n\r\n" },
		{ "OPTIONS * HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 405 ", NULL, "\r\n\r\n" },
		{ "POST /hello HTTP/1.1\r\n" C "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ",
		  "Connection: close\r\n", "\r\n\r\n" },
		{ "TRACE /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 501 ", NULL, "\r\n\r\n" },
		{ "CONNECT h:1 HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 501 ", NULL, "\r\n\r\n" },
		{ "GET /bad HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 400 ", "Vary: Accept-Encoding\r\n",
		  "\r\n\r\nparse error" },
		{ "GET /limited HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 429 ", "Retry-After: 1\r\n",
		  "\r\n\r\nslow down\n" },
		{ "GET /limited HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 429 ", "X-Extra: 1\r\n", NULL },
		{ "GET /hello?n=%zz HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 400 ", NULL,
		  "\r\n\r\ninvalid URL escape \"%zz\"" },
		{ "GET /hello?a;b HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 400 ", NULL,
		  "invalid semicolon separator in query" },
		{ "GET /%zz HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 400 ", NULL, "invalid URL escape \"%zz\"\n" },
		{ "GET /form?q=url&match[]=3 HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, "q=url,3" },
		{ "POST /form?q=url&match[]=3 HTTP/1.1\r\n" C
		  "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
		  "Content-Length: 24\r\n\r\nmatch[]=1&q=b%2B&match[]",
		  "HTTP/1.1 200 ", NULL, "q=b+,1,,3" },
		{ "POST /form?q=url HTTP/1.1\r\n" C
		  "Content-Type: application/json\r\nContent-Length: 3\r\n\r\nq=b",
		  "HTTP/1.1 200 ", NULL, "q=url" },
		{ "GET /hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "HTTP/1.1 403 ",
		  "allowed_hosts", NULL },
		{ "POST /state HTTP/1.1\r\n" C "Origin: http://evil.example\r\n\r\n", "HTTP/1.1 403 ",
		  "allowed_origins", NULL },
		{ "POST /state HTTP/1.1\r\n" C "Origin: http://localhost\r\n\r\n", "HTTP/1.1 204 ", NULL,
		  NULL },
		{ "GET /metrics HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, NULL },
		{ "GET /short HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", "Transfer-Encoding: chunked\r\n\r\n",
		  "\r\n0\r\n\r\n" },
		{ "GET /short HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", "Content-Type: text/event-stream\r\n",
		  "\r\n\r\none two" },
		{ "GET /reserve HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, "1 0 1" },
	};

	(void)state;
	for (int round = 0; round < 2; round++) /* twice: what was reserved must be given back */
		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			expect_ask(cases[i].ask, cases[i].start, cases[i].part, cases[i].end);
	char *got = ask("GET /hello HTTP/1.1\r\n" C "\r\n");
	assert_null(strstr(got, "Server:"));
	assert_null(strstr(got, "Allow"));
	free(got);
	got = ask("POST /push HTTP/1.1\r\n" C "\r\n");
	assert_null(strstr(got, "Content-Length"));
	assert_null(strstr(got, "Content-Type"));
	free(got);
}

/* Each with a request behind it that must not be answered: the connection is over. */
static void test_smuggling(void **state)
{
	static const struct {
		const char *head;
		int status;
	} cases[] = {
		{ "POST /echo HTTP/1.1\r\n" K "Content-Length: 4\r\nContent-Length: 3\r\n\r\n", 400 },
		{ "POST /echo HTTP/1.1\r\n" K "Content-Length: +3\r\n\r\n", 400 },
		{ "POST /echo HTTP/1.1\r\n" K "Content-Length : 3\r\n\r\n", 400 },
		{ "POST /echo HTTP/1.1\r\n" K "Transfer-Encoding: gzip\r\n\r\n", 400 },
		{ "POST /echo HTTP/1.1\r\n" K
		  "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		  400 },
		{ "POST /echo HTTP/1.1\r\n" K "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
		  400 },
		{ "POST /echo HTTP/1.1\r\n" K "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
		  400 },
		{ "POST /echo HTTP/1.1\r\n" K "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
		  400 },
		{ "GET /hello HTTP/1.1\n" K "\r\n", 400 },
		{ "GET /hello HTTP/1.1\r\n" K "X: a\r\n b\r\n\r\n", 400 },
		{ "GET /hello HTTP/1.1\r\n" K "X-Scope-OrgID: a\r\nX-Scope-OrgID: b\r\n\r\n", 400 },
		{ "GET /hello HTTP/1.1\r\n\r\n", 400 },
		{ "GET /hello HTTP/1.1\r\n" K K "\r\n", 400 },
		{ "GET http://other/hello HTTP/1.1\r\n" K "\r\n", 400 },
		{ "GET /hello HTTP/3.0\r\n" K "\r\n", 505 },
		{ "POST /echo HTTP/1.1\r\n" K "Expect: x\r\n\r\n", 417 },
		{ "\x16\x03\x01", 400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char start_line[32];
		struct buf b;
		int before = n_hello;

		buf_init(&b);
		buf_printf(&b, "%sGET /hello?n=smuggled HTTP/1.1\r\n" K "\r\n", cases[i].head);
		buf_cstr_end(&b);
		snprintf(start_line, sizeof(start_line), "HTTP/1.1 %d ", cases[i].status);
		char *got = ask(b.p);
		if (strncmp(got, start_line, strlen(start_line)) != 0 || strstr(got, "smuggled") != NULL ||
		    strstr(got, "Connection: close\r\n") == NULL || strstr(got, "\nHTTP/1.") != NULL)
			fail_msg("%s: %s", cases[i].head, got);
		assert_int_equal(n_hello, before);
		free(got);
		buf_fini(&b);
	}
	int fd = dial();
	put(fd, SLICE("GET /hello HTTP/1.1\r\n" K "X: a\0b\r\n\r\nGET /hello HTTP/1.1\r\n" K "\r\n"));
	expect(fd, NULL, "HTTP/1.1 400 ", NULL);
	close(fd);
}

static void test_limits(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_puts(&b, "GET /");
	memset(buf_reserve(&b, 100000), 'a', 100000);
	b.n += 100000;
	int fd = dial();
	put(fd, buf_slice(&b));
	expect(fd, NULL, "HTTP/1.1 414 ", NULL);
	close(fd);

	memcpy(b.p, "GET /hello HTTP/1.1\r\nX: ", 24);
	fd = dial();
	put(fd, buf_slice(&b));
	expect(fd, NULL, "HTTP/1.1 431 ", NULL);
	close(fd);

	/* before the body is read, for a declared length; when it is over, for chunks */
	expect_ask("POST /echo HTTP/1.1\r\n" K "Content-Length: 200001\r\n\r\n", "HTTP/1.1 413 ",
		   "Connection: close\r\n",
		   "\r\n\r\nrequest body too large: 200001 bytes, limit: 200000 bytes\n");
	expect_ask("POST /hello?n=1 HTTP/1.1\r\n" K "Content-Length: 200001\r\n\r\n", "HTTP/1.1 405 ", NULL,
		   NULL);
	expect_ask("GET /hello HTTP/1.1\r\n" K "Content-Length: 65537\r\n\r\n", "HTTP/1.1 413 ", NULL, NULL);
	buf_reset(&b);
	buf_puts(&b, "POST /echo HTTP/1.1\r\n" K "Transfer-Encoding: chunked\r\n\r\n30D41\r\n");
	memset(buf_reserve(&b, 200001), 'a', 200001);
	b.n += 200001;
	fd = dial();
	put(fd, buf_slice(&b));
	expect(fd, NULL, "HTTP/1.1 413 ", " bytes, limit: 200000 bytes\n");
	close(fd);

	/* exactly the limit passes, whatever the framing */
	buf_reset(&b);
	buf_puts(&b, "POST /echo HTTP/1.1\r\n" C "Transfer-Encoding: chunked\r\n\r\n30D40\r\n");
	memset(buf_reserve(&b, 200000), 'a', 200000);
	b.n += 200000;
	buf_puts(&b, "\r\n0\r\n\r\n");
	fd = dial();
	put(fd, buf_slice(&b));
	char *got = get_until(fd, NULL);
	assert_non_null(strstr(got, "\r\nContent-Length: 200000\r\n"));
	free(got);
	close(fd);
	buf_reset(&b);
	buf_puts(&b, "POST /echo HTTP/1.1\r\n" C "Content-Length: 200000\r\n\r\n");
	memset(buf_reserve(&b, 200000), 'a', 200000);
	b.n += 200000;
	fd = dial();
	put(fd, buf_slice(&b));
	got = get_until(fd, NULL);
	assert_non_null(strstr(got, "\r\nContent-Length: 200000\r\n"));
	assert_int_equal(strspn(strstr(got, "\r\n\r\n") + 4, "a"), 200000);
	free(got);
	close(fd);
	buf_fini(&b);
}

/* Announces 2,000,000 bytes and leaves. The answer's first line is 100 or 503. */
static bool may_send_more(void)
{
	int fd = dial();

	puts_fd(fd, "POST /echo HTTP/1.1\r\n" C "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n");
	char *got = get_until(fd, "\r\n\r\n");
	bool refused = strncmp(got, "HTTP/1.1 503 ", 13) == 0; /* and no 100 before it */
	if (refused)
		assert_non_null(strstr(got, "Retry-After: 1\r\n"));
	else
		assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
	free(got);
	close(fd);
	return !refused;
}

/* Bodies in flight share one budget: the one too many is refused before it is read, and passes later. What was only
 * announced holds little: here there is room for 15 of those beside the five bodies. */
static void test_memory(void **state)
{
	enum { N_SENT = 1900000 };
	struct server_options o = options();
	char *body = xmalloc(N_SENT);
	int fd[5], tries;

	(void)state;
	o.settings.max_body_bytes = 2000000;
	o.settings.ingest_memory_bytes = 11000000;
	server_set_settings(server, &o.settings);
	memset(body, 'a', N_SENT);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		assert_true(may_send_more());
		fd[i] = dial();
		puts_fd(fd[i], "POST /echo HTTP/1.1\r\n" C "Content-Length: 2000000\r\n\r\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		put(fd[i], slice_of(body, N_SENT));
	free(body);
	for (tries = 0; may_send_more(); tries++) { /* until the server has read it */
		assert_true(tries < 500);
		usleep(10000);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	for (tries = 0; !may_send_more(); tries++) { /* until the server has seen them leave */
		assert_true(tries < 500);
		usleep(10000);
	}
}

static void test_keep_alive_and_pipelining(void **state)
{
	struct buf b;
	int fd = dial();

	(void)state;
	for (int i = 0; i < 3; i++) {
		puts_fd(fd, "POST /echo HTTP/1.1\r\n" K "Content-Length: 4\r\n\r\nbody");
		expect(fd, "body", "HTTP/1.1 200 OK\r\n", "\r\n\r\nbody");
	}
	puts_fd(fd, "GET /nothing HTTP/1.1\r\n" K "\r\n"); /* an error without a body costs no connection */
	expect(fd, "found\n", "HTTP/1.1 404 ", NULL);

	buf_init(&b);
	for (int i = 0; i < 50; i++)
		buf_printf(&b, "GET /hello?n=%d. HTTP/1.1\r\n" K "\r\n", i);
	sem_post(&release);
	buf_puts(&b, "GET /slow HTTP/1.1\r\n" K "\r\nGET /hello?n=last HTTP/1.1\r\n" C "\r\n");
	put(fd, buf_slice(&b));
	char *got = get_until(fd, NULL);
	const char *at = got;
	for (int i = 0; i < 50; i++) {
		char want[32];

		snprintf(want, sizeof(want), "hello %d.\n", i);
		at = strstr(at, want);
		assert_non_null(at);
	}
	at = strstr(at, "slow 0");
	assert_non_null(at);
	assert_non_null(strstr(at, "hello last\n"));
	sem_wait(&entered);
	free(got);
	buf_fini(&b);
	close(fd);
}

/* Much behind a request in work: it waits in bounded memory and is answered in order. */
static void test_flood_behind_slow(void **state)
{
	enum { N = 20000 };
	struct buf b;
	int fd = dial();
	size_t sent = 0;

	(void)state;
	buf_init(&b);
	for (int i = 0; i < N; i++)
		buf_printf(&b, "GET /hello?n=%d. HTTP/1.1\r\n" K "\r\n", i);
	puts_fd(fd, "GET /slow HTTP/1.1\r\n" K "\r\n");
	sem_wait(&entered);
	while (sent < b.n) { /* as much as goes in without waiting */
		ssize_t n = send(fd, b.p + sent, b.n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	sem_post(&release);
	expect(fd, "slow 0", "HTTP/1.1 200 ", NULL);
	shutdown(fd, SHUT_WR);
	char *got = get_until(fd, NULL);
	char want[32];
	snprintf(want, sizeof(want), "hello %d.\n", 700);
	assert_non_null(strstr(got, want));
	free(got);
	close(fd);
	buf_fini(&b);
}

static void test_tenants(void **state)
{
	struct server_options o = options();

	(void)state;
	o.settings.multi_tenant = true;
	server_set_settings(server, &o.settings); /* as a reload does */
	expect_ask("GET /label/a/values HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 401 ", NULL, "\r\n\r\nno org id\n");
	expect_ask("GET /label/a/values HTTP/1.1\r\n" C "x-scope-orgid: acme\r\n\r\n", "HTTP/1.1 200 ", NULL,
		   "a of acme");
	expect_ask("POST /push HTTP/1.1\r\n" C "X-Scope-OrgID: a|b\r\n\r\n", "HTTP/1.1 400 ", NULL,
		   "\r\n\r\nmultiple org IDs present\n");
	expect_ask("POST /push HTTP/1.1\r\n" K "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		   "HTTP/1.1 401 ", "Connection: close\r\n", "no org id\n");
	expect_ask("GET /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, NULL);
}

static void inflate_all(struct slice in, struct buf *out)
{
	z_stream z = { 0 };
	int rc;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)in.p;
	z.avail_in = (uInt)in.n;
	do {
		z.next_out = (unsigned char *)buf_reserve(out, 65536);
		z.avail_out = 65536;
		rc = inflate(&z, Z_NO_FLUSH);
		out->n += 65536 - z.avail_out;
	} while (rc == Z_OK);
	assert_int_equal(rc, Z_STREAM_END);
	inflateEnd(&z);
}

static void test_gzip(void **state)
{
	static const struct {
		const char *ask;
		bool gzip;
	} cases[] = {
		{ "GET /big?n=1399 HTTP/1.1\r\n" C "Accept-Encoding: gzip\r\n\r\n", false },
		{ "GET /big?n=1400 HTTP/1.1\r\n" C "Accept-Encoding: gzip\r\n\r\n", true },
		{ "GET /big?n=1400 HTTP/1.1\r\n" C "Accept-Encoding: br, GZIP;q=0.5\r\n\r\n", true },
		{ "GET /big?n=1400 HTTP/1.1\r\n" C "Accept-Encoding: gzip;q=0\r\n\r\n", false },
		{ "GET /big?n=1400 HTTP/1.1\r\n" C "Accept-Encoding: gzipped, deflate\r\n\r\n", false },
		{ "GET /big?n=1400 HTTP/1.1\r\n" C "\r\n", false },
		{ "GET /plain?n=1400 HTTP/1.1\r\n" C "Accept-Encoding: gzip\r\n\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got = ask(cases[i].ask);

		assert_int_equal(strstr(got, "Content-Encoding: gzip\r\n") != NULL, cases[i].gzip);
		assert_int_equal(strstr(got, "Vary: Accept-Encoding\r\n") != NULL,
				 strstr(cases[i].ask, "/big") != NULL);
		free(got);
	}
	int fd = dial();
	struct buf all, body;
	buf_init(&all);
	buf_init(&body);
	puts_fd(fd, "GET /big?n=3000000 HTTP/1.1\r\n" C "Accept-Encoding: gzip\r\n\r\n");
	for (ssize_t n; (n = recv(fd, buf_reserve(&all, 65536), 65536, 0)) > 0;)
		all.n += (size_t)n;
	size_t at = slice_find(buf_slice(&all), SLICE("\r\n\r\n"));
	inflate_all(slice_from(buf_slice(&all), at + 4), &body);
	assert_int_equal(body.n, 3000000);
	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] != (char)('a' + i % 23))
			fail_msg("byte %zu", i);
	close(fd);
	buf_fini(&all);
	buf_fini(&body);
	char *got =
		ask("GET /plain?n=3000000 HTTP/1.1\r\n" C "\r\n"); /* more than the socket takes at once */
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), 3000000);
	free(got);
}

/* The worker hears of the hang-up at once, and its late answer goes nowhere. */
static void test_hangup(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		int fd = dial();

		puts_fd(fd, "GET /slow HTTP/1.1\r\n" K "\r\n");
		sem_wait(&entered);
		assert_int_equal(sem_trywait(&cancelled), -1);
		if (how >= 2) { /* the read buffer is full, so that reading has stopped */
			static char junk[100000];

			memset(junk, 'j', sizeof(junk));
			send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
			usleep(50000);
		}
		int64_t before = clock_mono_ns();
		if (how % 2 == 0) {
			close(fd);
		} else {
			struct linger reset = { 1, 0 };

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
			close(fd);
		}
		sem_wait(&cancelled);
		/* meant: 100 ms; what a busy machine adds is not ours */
		assert_true(clock_mono_ns() - before < NS_PER_S);
		release_one();
	}
	expect_ask("GET /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, NULL);
}

static void test_stream(void **state)
{
	(void)state;
	/* 6.25 MiB to a client that reads late: the writer is held back, and nothing is lost */
	flow.n_full = flow.n_written = 0;
	int fd = dial();
	int small = 65536;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	puts_fd(fd, "GET /stream?n=400 HTTP/1.1\r\n" C "\r\n");
	while (flow.n_full == 0)
		usleep(1000);
	assert_true(flow.n_written < 400);
	char *got = get_until(fd, NULL);
	assert_non_null(strstr(got, "\r\nTransfer-Encoding: chunked\r\n"));
	size_t n = 0;
	for (const char *p = strstr(got, "\r\n\r\n"); *p != '\0'; p++)
		n += *p == 'x';
	assert_int_equal(n, 400 * 65536);
	assert_string_equal(got + strlen(got) - 7, "\r\n0\r\n\r\n");
	free(got);
	close(fd);
	sem_wait(&entered);

	/* an answer that broke off has no end */
	got = ask("GET /stream?n=3&cut=1 HTTP/1.1\r\n" K "\r\n");
	assert_null(strstr(got, "\r\n0\r\n"));
	free(got);
	sem_wait(&entered);

	/* the client leaves while the writer waits for room */
	fd = dial();
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	flow.n_full = 0;
	puts_fd(fd, "GET /stream?n=100000 HTTP/1.1\r\n" K "\r\n");
	while (flow.n_full == 0)
		usleep(1000);
	close(fd);
	sem_wait(&entered);

	/* the connection is kept */
	fd = dial();
	puts_fd(fd, "GET /short HTTP/1.1\r\n" K "\r\nGET /hello?n=after HTTP/1.1\r\n" C "\r\n");
	expect(fd, NULL, "HTTP/1.1 200 ", "hello after\n");
	close(fd);
}

static void test_header_deadline(void **state)
{
	struct server_options o = options();

	(void)state;
	o.settings.header_timeout_ns = 300 * NS_PER_MS;
	server_set_settings(server, &o.settings);
	int fd = dial();
	int64_t before = clock_mono_ns();
	puts_fd(fd, "GET /hello HTTP/1.1\r\n");
	for (int i = 0; i < 100 && clock_mono_ns() - before < 2 * NS_PER_S;
	     i++) { /* a byte now and then does not help */
		struct pollfd p = { .fd = fd, .events = POLLIN };

		puts_fd(fd, "X");
		if (poll(&p, 1, 20) == 1)
			break;
	}
	assert_true(clock_mono_ns() - before < 2 * NS_PER_S);
	expect(fd, NULL, "HTTP/1.1 408 ", NULL);
	close(fd);
}

static void test_body_rate(void **state)
{
	struct server_options o = options();

	(void)state;
	o.settings.body_free_ns = 200 * NS_PER_MS;
	o.settings.body_min_rate = 1000;
	server_set_settings(server, &o.settings);
	int fd = dial();
	puts_fd(fd, "POST /echo HTTP/1.1\r\n" K "Content-Length: 1000\r\n\r\n");
	usleep(50000);
	puts_fd(fd, "some");
	expect(fd, NULL, "HTTP/1.1 408 ", NULL);
	close(fd);
	/* slow at first, but fast enough on the whole */
	fd = dial();
	puts_fd(fd, "POST /echo HTTP/1.1\r\n" C "Content-Length: 903\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		char part[300];

		memset(part, 'p', sizeof(part));
		put(fd, slice_of(part, sizeof(part)));
		usleep(100000);
	}
	puts_fd(fd, "end");
	expect(fd, NULL, "HTTP/1.1 200 ", "pend");
	close(fd);
}

static void test_idle_and_stall(void **state)
{
	struct server_options o = options();
	struct pollfd p = { .events = POLLIN };
	char byte;

	(void)state;
	o.settings.idle_timeout_ns = 200 * NS_PER_MS;
	o.settings.write_stall_ns = 300 * NS_PER_MS;
	server_set_settings(server, &o.settings);
	int fd = dial();
	puts_fd(fd, "GET /hello HTTP/1.1\r\n" K "\r\n");
	expect(fd, NULL, "HTTP/1.1 200 ", "hello \n"); /* until closed */
	close(fd);

	fd = dial(); /* says nothing at all */
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);

	fd = dial(); /* asks for much and does not read it */
	puts_fd(fd, "GET /plain?n=20000000 HTTP/1.1\r\n" K "\r\n");
	usleep(700000);
	char *got = get_until(fd, NULL); /* what the kernel held, no more */
	assert_true(strlen(got) < 20000000);
	free(got);
	close(fd);
}

static void test_connection_caps(void **state)
{
	struct server_options o = options();
	int fd[3];

	(void)state;
	o.settings.max_connections_per_addr = 2;
	server_set_settings(server, &o.settings);
	for (int i = 0; i < 2; i++) {
		fd[i] = dial();
		puts_fd(fd[i], "GET /hello HTTP/1.1\r\n" K "\r\n");
		expect(fd[i], "hello \n", "HTTP/1.1 200 ", NULL);
	}
	fd[2] = dial();
	expect(fd[2], NULL, "HTTP/1.1 503 ", "too many connections\n");
	o.settings.max_connections_per_addr = 100;
	o.settings.max_connections = 2;
	server_set_settings(server, &o.settings);
	close(fd[2]);
	fd[2] = dial();
	expect(fd[2], NULL, "HTTP/1.1 503 ", "too many connections\n");
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	for (int i = 0; i < 200; i++) {
		char *got = ask("GET /hello HTTP/1.1\r\n" C "\r\n");
		bool ok = strncmp(got, "HTTP/1.1 200 ", 13) == 0;

		free(got);
		if (ok)
			return;
		usleep(10000);
	}
	fail_msg("the places were not given back");
}

/* Sockets run out before descriptors do; old idle connections make room. */
static void test_descriptor_reserve(void **state)
{
	struct rlimit old, low = { 120, 0 };
	struct server_options o = options();
	int fd[100];
	size_t n_served = 0, n_refused = 0;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &old);
	low.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &low);
	o.fd_reserve = 1000; /* cut to a quarter */
	start_with(&o);
	low.rlim_cur = old.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &low); /* the server keeps to what it saw */
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial();
		puts_fd(fd[i], "GET /slow HTTP/1.0\r\n\r\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		sem_post(&release);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char *got = get_until(fd[i], NULL);

		n_served += strncmp(got, "HTTP/1.0 200 ", 13) == 0;
		n_refused += strncmp(got, "HTTP/1.1 503 ", 13) == 0;
		free(got);
		close(fd[i]);
	}
	for (size_t i = 0; i < n_served; i++)
		sem_wait(&entered);
	while (sem_trywait(&release) == 0)
		;
	assert_true(n_served > 0);
	assert_true(n_refused > 0);
	server_free(server);
	server = NULL;
}

static void test_deferred_from_threads(void **state)
{
	enum { N = 200 };

	(void)state;
	for (int i = 0; i < N; i++)
		sem_post(&release);
	for (int i = 0; i < N / 20; i++) {
		int fd[20];

		for (int k = 0; k < 20; k++) {
			fd[k] = dial();
			puts_fd(fd[k], "GET /slow HTTP/1.1\r\n" C "\r\n");
		}
		for (int k = 0; k < 20; k++) {
			if (k % 3 != 0) /* the others leave */
				expect(fd[k], NULL, "HTTP/1.1 200 ", NULL);
			close(fd[k]);
		}
	}
	for (int i = 0; i < N; i++)
		sem_wait(&entered);
	while (sem_trywait(&cancelled) == 0)
		;
}

static void test_drain(void **state)
{
	struct server_options o = options();
	struct err err;
	char byte;

	(void)state;
	start_with(&o);
	unsigned port = server_port(server, LISTEN_MAIN);
	int idle = dial(), busy = dial();
	puts_fd(idle, "GET /hello HTTP/1.1\r\n" K "\r\n");
	expect(idle, "hello \n", "HTTP/1.1 200 ", NULL);
	puts_fd(busy, "GET /slow HTTP/1.1\r\n" K "\r\n");
	sem_wait(&entered);
	assert_false(server_drain(server, 100 * NS_PER_MS)); /* not over yet */
	assert_int_equal(recv(idle, &byte, 1, 0), 0);
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int late = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(late, (struct sockaddr *)&sa, sizeof(sa)), -1);
	close(late);
	sem_post(&release);
	char *got =
		get_until(busy, NULL); /* the request in work is answered, and told that it was the last */
	assert_non_null(strstr(got, "Connection: close\r\n"));
	assert_non_null(strstr(got, "slow 0"));
	free(got);
	close(idle);
	close(busy);
	assert_true(server_drain(server, 5 * NS_PER_S));
	server_free(server);

	/* what does not finish is cancelled */
	start_with(&o);
	busy = dial();
	puts_fd(busy, "GET /slow HTTP/1.1\r\n" K "\r\n");
	sem_wait(&entered);
	sem_post(&release); /* the worker goes on whenever it likes */
	server_free(server);
	server = NULL;
	while (sem_trywait(&cancelled) == 0)
		;
	close(busy);

	o.listen[LISTEN_MAIN] = "127.0.0.1:notaport";
	assert_int_equal(server_new(&o, routes, ARRAY_LEN(routes), &server, &err), -1);
	o.listen[LISTEN_MAIN] = "127.0.0.1";
	assert_int_equal(server_new(&o, routes, ARRAY_LEN(routes), &server, &err), -1);
	assert_non_null(strstr(err.msg, "127.0.0.1"));
	o.listen[LISTEN_MAIN] = "192.0.2.1:0"; /* not ours */
	assert_int_equal(server_new(&o, routes, ARRAY_LEN(routes), &server, &err), -1);
	assert_non_null(strstr(err.msg, "192.0.2.1:0"));
	o.listen[LISTEN_MAIN] = ":0";
	start_with(&o);
	expect_ask("GET /hello HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, NULL);
	server_free(server);
	server = NULL;
}

static void test_admin_listener(void **state)
{
	struct server_options o = options();
	struct err err;

	(void)state;
	o.listen[LISTEN_ADMIN] = "127.0.0.1:0";
	start_with(&o);
	expect_ask("GET /metrics HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", NULL, NULL);
	int fd = dial_port(server_port(server, LISTEN_ADMIN));
	puts_fd(fd, "GET /metrics HTTP/1.1\r\n" K "\r\n");
	expect(fd, "hello \n", "HTTP/1.1 200 ", NULL);
	puts_fd(fd, "GET /hello HTTP/1.1\r\n" C "\r\n");
	expect(fd, NULL, "HTTP/1.1 404 ", NULL);
	close(fd);

	struct server *second = NULL;
	char taken[32];
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", server_port(server, LISTEN_MAIN));
	o.listen[LISTEN_MAIN] = taken;
	assert_int_equal(server_new(&o, routes, ARRAY_LEN(routes), &second, &err), -1);
	assert_non_null(strstr(err.msg, taken));
	assert_null(second);
	server_free(server);
	server = NULL;
}

static void test_metrics(void **state)
{
	struct buf b;

	(void)state;
	expect_ask("GET /label/x/values HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 200 ", NULL, NULL);
	expect_ask("FOO /x HTTP/1.1\r\n" C "\r\n", "HTTP/1.1 404 ", NULL, NULL);
	buf_init(&b);
	metrics_render(&b);
	buf_cstr_end(&b);
	assert_non_null(
		strstr(b.p, "loki_request_duration_seconds_count{method=\"GET\",route=\"label_name_values\","
			    "status_code=\"200\",ws=\"false\"}"));
	assert_non_null(strstr(b.p, "{method=\"other\",route=\"other\",status_code=\"404\",ws=\"false\"}"));
	assert_non_null(strstr(b.p, "spoor_http_refused_total{reason=\"bad_request\"}"));
	assert_non_null(strstr(b.p, "spoor_http_connections "));
	buf_fini(&b);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_answers),
		WITH_SERVER(test_smuggling),
		WITH_SERVER(test_limits),
		WITH_SERVER(test_memory),
		WITH_SERVER(test_keep_alive_and_pipelining),
		WITH_SERVER(test_flood_behind_slow),
		WITH_SERVER(test_tenants),
		WITH_SERVER(test_gzip),
		WITH_SERVER(test_hangup),
		WITH_SERVER(test_stream),
		WITH_SERVER(test_header_deadline),
		WITH_SERVER(test_body_rate),
		WITH_SERVER(test_idle_and_stall),
		WITH_SERVER(test_connection_caps),
		WITH_SERVER(test_deferred_from_threads),
		WITH_SERVER(test_metrics),
		cmocka_unit_test(test_descriptor_reserve),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_admin_listener),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	sem_init(&entered, 0, 0);
	sem_init(&release, 0, 0);
	sem_init(&cancelled, 0, 0);
	pool = pool_new("worker", 4);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	pool_free(pool);
	return rc;
}
