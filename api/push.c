/* api/push.c - the write endpoints. A body is decoded on the I/O thread that read it; the answer comes from the
 * store's writer thread once the entries are durable. */
#include "api/handlers.h"
#include "api/api.h"
#include "api/req.h"
#include "ingest/ingest.h"

#include <stdio.h>

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

static bool reserve(void *arg, size_t bytes)
{
	return req_reserve_decoded(arg, bytes);
}

static void push(struct req *req, struct ingest_request *rq)
{
	const struct api_context *api = req->app;

	rq->tenant = req->tenant;
	rq->content_type = req_header(req, SLICE("Content-Type"));
	rq->content_encoding = req_header(req, SLICE("Content-Encoding"));
	rq->body = req->body;
	rq->reserve = reserve;
	rq->reserve_arg = req;
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
