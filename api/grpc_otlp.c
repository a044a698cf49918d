/* api/grpc_otlp.c - the methods of OTLP over gRPC. Logs are stored; metrics and spans are not, but answered so that an
 * SDK that sends all three has nothing to complain of. */
#include "api/handlers.h"
#include "api/api.h"
#include "api/req.h"
#include "ingest/ingest.h"

#include <stdio.h>

static bool reserve(void *arg, size_t bytes)
{
	return req_reserve_decoded(arg, bytes);
}

static struct ingest_request request_of(struct req *req)
{
	return (struct ingest_request){ .kind = PUSH_OTLP,
					.tenant = req->tenant,
					.content_type = SLICE("application/x-protobuf"),
					.body = req->body,
					.reserve = reserve,
					.reserve_arg = req };
}

/* Export…ServiceResponse { Export…PartialSuccess partial_success = 1; }
 * Export…PartialSuccess  { int64 rejected_… = 1; string error_message = 2; } */
static void put_partial_success(struct buf *b, uint64_t n_rejected, struct slice why)
{
	struct buf partial = { 0 };

	buf_varint(&partial, 1 << 3);
	buf_varint(&partial, n_rejected);
	buf_varint(&partial, 2 << 3 | 2);
	buf_lenslice(&partial, why);
	buf_varint(b, 1 << 3 | 2);
	buf_lenslice(b, buf_slice(&partial));
	buf_fini(&partial);
}

struct push {
	struct req *req;
	struct ingest_counts counts;
};

/* On any thread, at once or later. */
static void pushed(void *arg, int status, struct slice text, unsigned retry_after)
{
	struct push *p = arg;
	struct req *req = p->req;
	struct buf body = { 0 };
	char seconds[16];

	if (retry_after > 0) {
		snprintf(seconds, sizeof(seconds), "%u", retry_after);
		req_add_header(req, "Retry-After", seconds);
	}
	if (status == 400 && p->counts.accepted > 0) {
		put_partial_success(&body, p->counts.rejected, slice_trim(text));
		req_reply(req, 200, NULL, &body);
	} else if (status == 204 || status == 422) { /* nothing in it: OTLP wants that to be a success */
		req_reply(req, 200, NULL, NULL);
	} else {
		req_reply_text(req, status, text);
	}
	req_finish_from_any_thread(req);
}

void grpc_otlp_logs(struct req *req)
{
	const struct api_context *api = req->app;
	struct ingest_request rq = request_of(req);
	struct push *p = arena_new(&req->arena, struct push);

	*p = (struct push){ .req = req };
	rq.counts = &p->counts;
	req_defer(req);
	ingest_push(api->ingest, &rq, pushed, p); /* req may be gone when it returns */
}

static void discard(struct req *req, enum otlp_signal signal)
{
	const struct api_context *api = req->app;
	struct ingest_request rq = request_of(req);
	struct buf body = { 0 };
	struct err err;
	uint64_t n = 0;
	bool json;

	if (ingest_otlp_discard(api->ingest, &rq, signal, &n, &json, &err) == -1) {
		req_reply_error(req, &err);
		return;
	}
	if (signal == OTLP_TRACES && n > 0)
		put_partial_success(&body, n, SLICE("spoor stores logs; spans are not stored"));
	req_reply(req, 200, NULL, &body);
	buf_fini(&body);
}

void grpc_otlp_metrics(struct req *req)
{
	discard(req, OTLP_METRICS);
}

void grpc_otlp_traces(struct req *req)
{
	discard(req, OTLP_TRACES);
}
