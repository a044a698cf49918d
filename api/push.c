/* api/push.c - the write endpoints. A body is decoded on the I/O thread that read it; the answer comes from the
 * store's writer thread once the entries are durable. */
#include "api/handlers.h"
#include "api/api.h"
#include "api/req.h"
#include "ingest/ingest.h"

#include <stdio.h>

enum { DECODE_FACTOR = 4, DECODE_MAX_RESERVE = 64 << 20 };

/* On any thread, at once or later. */
static void done(void *arg, int status, struct slice text, unsigned retry_after)
{
	struct req *req = arg;
	char seconds[16];

	if (retry_after > 0) {
		snprintf(seconds, sizeof(seconds), "%u", retry_after);
		req_add_header(req, "Retry-After", seconds);
	}
	if (text.n > 0)
		req_reply_text(req, status, text);
	else
		req_reply(req, status, NULL, NULL);
	req_finish_from_any_thread(req);
}

/* Decoding holds a multiple of a compressed body for a moment. The reserve is a guess with an upper end, so that a
 * large body passes when it comes alone; max_decompressed_size bounds the rest. */
static bool reserve_for_decoding(struct req *req, const struct ingest_request *rq)
{
	size_t n = req->body.n > DECODE_MAX_RESERVE / DECODE_FACTOR ? DECODE_MAX_RESERVE
								    : req->body.n * DECODE_FACTOR;

	if (rq->content_encoding.n == 0 && slice_eq_nocase(req_media_type(req), SLICE("application/json")))
		return true;
	return req_reserve(req, n);
}

static void push(struct req *req, struct ingest_request *rq)
{
	const struct api_context *api = req->app;
	struct err err;

	rq->tenant = req->tenant;
	rq->content_type = req_header(req, SLICE("Content-Type"));
	rq->content_encoding = req_header(req, SLICE("Content-Encoding"));
	rq->body = req->body;
	if (!reserve_for_decoding(req, rq)) {
		err_set(&err, ERR_UNAVAILABLE, "too many pushes in work; the limit is ingest_memory");
		req_reply_error(req, &err);
		return;
	}
	req_defer(req);
	ingest_push(api->ingest, rq, done, req); /* req may be gone when it returns */
}

void push_loki(struct req *req)
{
	push(req, &(struct ingest_request){ .kind = PUSH_LOKI });
}

void push_legacy(struct req *req)
{
	push(req, &(struct ingest_request){ .kind = PUSH_LEGACY });
}

/* ?labels=a,b: each name trimmed, empty ones skipped. */
static void add_labels(struct req *req, struct slice text, struct ingest_request *rq)
{
	size_t max = 1;

	for (size_t i = 0; i < text.n; i++)
		max += text.p[i] == ',';
	struct slice *v = arena_array(&req->arena, struct slice, max);
	rq->labels = v;
	while (text.n > 0) {
		size_t comma = slice_find_byte(text, ',');
		struct slice name = slice_trim(slice_sub(text, 0, comma));

		if (name.n > 0)
			v[rq->n_labels++] = name;
		text = slice_from(text, comma == SLICE_NONE ? text.n : comma + 1);
	}
}

void push_plain(struct req *req)
{
	struct ingest_request rq = { .kind = PUSH_PLAIN };

	add_labels(req, req_param(req, SLICE("labels")), &rq);
	push(req, &rq);
}
