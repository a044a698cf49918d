/* api/otlp.c - OTLP over HTTP. Logs are stored; metrics and spans are not, but answered so that an SDK that sends all three
 * has nothing to complain of. An error is a google.rpc.Status, always as protobuf. */
#include "api/handlers.h"
#include "api/api.h"
#include "api/req.h"
#include "base/json_out.h"
#include "ingest/ingest.h"

#include <stdio.h>

static void put_field(struct buf *b, unsigned number, struct slice bytes)
{
	buf_varint(b, number << 3 | 2);
	buf_lenslice(b, bytes);
}

static void reply_status(struct req *req, int status, struct slice text, unsigned retry_after)
{
	char seconds[16];

	if (retry_after > 0) {
		snprintf(seconds, sizeof(seconds), "%u", retry_after);
		req_add_header(req, "Retry-After", seconds);
	}
	req_reply_status(req, status, text);
}

static bool reserve(void *arg, size_t bytes)
{
	return req_reserve_decoded(arg, bytes);
}

static struct ingest_request request_of(struct req *req)
{
	return (struct ingest_request){ .kind = PUSH_OTLP,
					.tenant = req->tenant,
					.content_type = req_header(req, SLICE("Content-Type")),
					.content_encoding = req_header(req, SLICE("Content-Encoding")),
					.body = req->body,
					.reserve = reserve,
					.reserve_arg = req };
}

/* On any thread, at once or later. */
static void done(void *arg, int status, struct slice text, unsigned retry_after)
{
	struct req *req = arg;

	if (status == 204)
		req_reply(req, status, NULL, NULL);
	else
		reply_status(req, status, text, retry_after);
	req_finish_from_any_thread(req);
}

void otlp_logs(struct req *req)
{
	const struct api_context *api = req->app;
	struct ingest_request rq = request_of(req);

	req_defer(req);
	ingest_push(api->ingest, &rq, done, req); /* req may be gone when it returns */
}

/* ---------------------------------------------------------------- what is not kept */

/* ExportTraceServiceResponse { ExportTracePartialSuccess partial_success = 1; }
 * ExportTracePartialSuccess  { int64 rejected_spans = 1; string error_message = 2; } */
static void put_rejected_spans(struct buf *b, uint64_t n, bool json)
{
	const struct slice why = SLICE("spoor stores logs; spans are not stored");
	struct buf partial;

	if (json) {
		buf_printf(b, "{\"partialSuccess\":{\"rejectedSpans\":\"%llu\",\"errorMessage\":",
			   (unsigned long long)n);
		json_quote(b, why, false);
		buf_puts(b, "}}");
		return;
	}
	buf_init(&partial);
	buf_varint(&partial, 1 << 3);
	buf_varint(&partial, n);
	put_field(&partial, 2, why);
	put_field(b, 1, buf_slice(&partial));
	buf_fini(&partial);
}

static void discard(struct req *req, enum otlp_signal signal)
{
	const struct api_context *api = req->app;
	struct ingest_request rq = request_of(req);
	struct buf body;
	struct err err;
	uint64_t n = 0;
	bool json;

	if (ingest_otlp_discard(api->ingest, &rq, signal, &n, &json, &err) == -1) {
		reply_status(req, err_http_status(err.code), slice_cstr(err.msg), 0);
		return;
	}
	buf_init(&body);
	if (signal == OTLP_TRACES && n > 0)
		put_rejected_spans(&body, n, json);
	else if (json)
		buf_puts(&body, "{}");
	req_reply(req, 200, json ? "application/json" : "application/x-protobuf", &body);
}

void otlp_metrics(struct req *req)
{
	discard(req, OTLP_METRICS);
}

void otlp_traces(struct req *req)
{
	discard(req, OTLP_TRACES);
}
