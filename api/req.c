#include "api/req.h"
#include "api/conn.h"
#include "base/account.h"
#include "base/mem.h"

#include <assert.h>
#include <zlib.h>

enum { GZIP_MIN_BYTES = 1400, GZIP_LEVEL = 1 };

static struct exchange *exchange_of(struct req *req)
{
	return (struct exchange *)req;
}

struct slice req_header(const struct req *req, struct slice name)
{
	return http1_header_get(&req->head, name);
}

struct slice req_param(const struct req *req, struct slice name)
{
	return url_params_first(&req->params, name);
}

struct slice req_media_type(const struct req *req)
{
	struct slice type = req_header(req, SLICE("content-type"));

	return slice_trim(slice_sub(type, 0, slice_find_byte(type, ';')));
}

/* "gzip", "gzip;q=0.5" but not "gzip;q=0" */
static bool is_gzip(struct slice word)
{
	size_t semi = slice_find_byte(word, ';');
	double q;

	if (!slice_eq_nocase(slice_trim(slice_sub(word, 0, semi)), SLICE("gzip")))
		return false;
	struct slice param = semi == SLICE_NONE ? SLICE("") : slice_trim(slice_from(word, semi + 1));
	if (!slice_eq_nocase(slice_sub(param, 0, 2), SLICE("q=")))
		return true;
	return slice_to_double(slice_trim(slice_from(param, 2)), &q) && q > 0;
}

bool req_accepts_gzip(const struct req *req)
{
	struct slice rest = req_header(req, SLICE("accept-encoding"));

	while (rest.n > 0) {
		size_t comma = slice_find_byte(rest, ',');

		if (is_gzip(slice_sub(rest, 0, comma)))
			return true;
		rest = slice_from(rest, comma == SLICE_NONE ? rest.n : comma + 1);
	}
	return false;
}

static bool reserve(struct exchange *ex, uint64_t alone, size_t bytes)
{
	if (!server_reserve(ex->io->server, ex->settings->s.ingest_memory_bytes, alone, bytes))
		return false;
	ex->reserved += bytes;
	return true;
}

bool req_reserve(struct req *req, size_t bytes)
{
	return reserve(exchange_of(req), UINT64_MAX, bytes);
}

bool req_reserve_decoded(struct req *req, size_t bytes)
{
	return reserve(exchange_of(req), exchange_of(req)->reserved, bytes);
}

void req_release(struct req *req, size_t bytes)
{
	struct exchange *ex = exchange_of(req);

	assert(bytes <= ex->reserved);
	ex->reserved -= bytes;
	atomic_fetch_sub(&ex->io->server->memory_used, bytes);
	account_release(ex->io->server->memory, bytes);
}

void req_add_header(struct req *req, const char *name, const char *value)
{
	struct exchange *ex = exchange_of(req);

	assert(strpbrk(name, "\r\n: ") == NULL && strpbrk(value, "\r\n") == NULL);
	if (slice_eq_nocase(slice_cstr(name), SLICE("retry-after")))
		ex->has_retry_after = true;
	buf_printf(&ex->headers, "%s: %s\r\n", name, value);
}

/* Replaces *body by its gzip form; keeps it where zlib has no memory. */
static bool compress_body(struct buf *body)
{
	z_stream z = { 0 };
	struct buf out;

	if (body->n > UINT32_MAX ||
	    deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	buf_init(&out);
	size_t room = deflateBound(&z, body->n);
	z.next_in = (unsigned char *)body->p;
	z.avail_in = (uInt)body->n;
	z.next_out = (unsigned char *)buf_reserve(&out, room);
	z.avail_out = room > UINT32_MAX ? UINT32_MAX : (uInt)room;
	int rc = deflate(&z, Z_FINISH);
	out.n = z.total_out;
	deflateEnd(&z);
	if (rc != Z_STREAM_END) {
		buf_fini(&out);
		return false;
	}
	buf_fini(body);
	*body = out;
	return true;
}

static unsigned route_flags(const struct req *req)
{
	return req->route != NULL ? req->route->flags : ROUTE_NEWLINE;
}

static void begin_reply(struct exchange *ex, int status, const char *content_type)
{
	assert(!ex->replied && !ex->streaming);
	ex->status = status;
	if (content_type != NULL)
		buf_printf(&ex->headers, "Content-Type: %s\r\n", content_type);
	if ((status == 429 || status == 503) && !ex->has_retry_after)
		buf_puts(&ex->headers, "Retry-After: 1\r\n");
	if ((route_flags(&ex->req) & ROUTE_GZIP) != 0)
		buf_puts(&ex->headers, "Vary: Accept-Encoding\r\n");
}

void req_reply(struct req *req, int status, const char *content_type, struct buf *body)
{
	struct exchange *ex = exchange_of(req);

	begin_reply(ex, status, content_type);
	ex->replied = true;
	if (body == NULL)
		return;
	ex->out = *body;
	*body = (struct buf){ 0 };
	if (ex->out.n >= GZIP_MIN_BYTES && (route_flags(req) & ROUTE_GZIP) != 0 && req_accepts_gzip(req) &&
	    compress_body(&ex->out))
		buf_puts(&ex->headers, "Content-Encoding: gzip\r\n");
}

void req_reply_text(struct req *req, int status, struct slice text)
{
	struct buf body;

	buf_init(&body);
	buf_add(&body, text);
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_reply(req, status, "text/plain; charset=utf-8", &body);
}

/* Status { int32 code = 1; string message = 2; } without the code */
void req_reply_status(struct req *req, int status, struct slice text)
{
	struct buf body;

	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	buf_init(&body);
	buf_varint(&body, 2 << 3 | 2);
	buf_lenslice(&body, text);
	/* Exporters send again after 429, 502, 503 and 504 only. */
	req_reply(req, status == 500 ? 503 : status, "application/octet-stream", &body);
}

void req_reply_error(struct req *req, const struct err *err)
{
	struct buf body;

	if ((route_flags(req) & ROUTE_STATUS) != 0 && err->code != ERR_UNAUTHORIZED) {
		req_reply_status(req, err_http_status(err->code), slice_cstr(err->msg));
		return;
	}
	buf_init(&body);
	buf_puts(&body, err->msg);
	if ((route_flags(req) & ROUTE_NEWLINE) != 0 || err->code == ERR_UNAUTHORIZED)
		buf_putc(&body, '\n');
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_reply(req, err_http_status(err->code), "text/plain; charset=utf-8", &body);
}

static void defer(struct exchange *ex)
{
	assert(!ex->replied && !ex->deferred && loop_is_current(ex->io->loop));
	ex->deferred = true;
}

void req_defer(struct req *req)
{
	defer(exchange_of(req));
}

void req_finish_from_any_thread(struct req *req)
{
	struct exchange *ex = exchange_of(req);

	assert(ex->deferred && ex->replied);
	ex->finish_job.run = exchange_on_finish;
	loop_post(ex->io->loop, &ex->finish_job);
}

void req_on_cancel(struct req *req, void (*fn)(void *arg), void *arg)
{
	struct exchange *ex = exchange_of(req);

	pthread_mutex_lock(&ex->lock);
	bool now = fn != NULL && atomic_load(&req->cancelled);
	ex->on_cancel = now ? NULL : fn;
	ex->cancel_arg = arg;
	if (now)
		fn(arg);
	pthread_mutex_unlock(&ex->lock);
}

/* Under ex->lock. */
static void post_stream(struct exchange *ex)
{
	if (ex->posted)
		return;
	ex->posted = true;
	loop_post(ex->io->loop, &ex->stream_job);
}

void req_stream_limits(struct req *req, size_t high, size_t low)
{
	struct exchange *ex = exchange_of(req);

	assert(!ex->streaming && low < high);
	ex->stream_high = high;
	ex->stream_low = low;
}

void req_stream_start(struct req *req, int status, const char *content_type, void (*on_low)(void *arg),
		      void *arg)
{
	struct exchange *ex = exchange_of(req);

	begin_reply(ex, status, content_type);
	ex->streaming = true;
	if (!ex->deferred)
		defer(ex);
	ex->stream_job.run = exchange_on_stream;
	pthread_mutex_lock(&ex->lock);
	ex->on_low = on_low;
	ex->low_arg = arg;
	post_stream(ex);
	pthread_mutex_unlock(&ex->lock);
}

void req_upgrade(struct req *req, const char *protocol, void (*on_data)(void *arg, struct slice bytes),
		 void (*on_low)(void *arg), void *arg)
{
	struct exchange *ex = exchange_of(req);

	assert(loop_is_current(ex->io->loop) && req->head.minor == 1);
	ex->protocol = protocol;
	ex->on_data = on_data;
	ex->data_arg = arg;
	req_stream_start(req, 101, NULL, on_low, arg);
}

enum req_stream req_stream_write(struct req *req, struct slice s)
{
	struct exchange *ex = exchange_of(req);

	if (atomic_load(&req->cancelled))
		return REQ_STREAM_GONE;
	pthread_mutex_lock(&ex->lock);
	buf_add(&ex->pending, s);
	if (ex->pending.n + ex->n_on_wire >= exchange_high(ex))
		ex->full = true;
	bool full = ex->full;
	if (ex->pending.n > 0)
		post_stream(ex);
	pthread_mutex_unlock(&ex->lock);
	return full ? REQ_STREAM_FULL : REQ_STREAM_OK;
}

void req_stream_end(struct req *req, bool complete)
{
	struct exchange *ex = exchange_of(req);

	pthread_mutex_lock(&ex->lock);
	assert(ex->streaming && !ex->ended);
	ex->ended = true;
	ex->complete = complete;
	post_stream(ex);
	pthread_mutex_unlock(&ex->lock);
}
