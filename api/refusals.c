/* api/refusals.c - GET /api/v1/refusals: what of the tenant's pushes was refused of late, and why. */
#include "ingest/refusals.h"
#include "api/api.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/json_out.h"
#include "ingest/ingest.h"

static void put_sample(struct json_out *j, const struct refusal *s)
{
	json_open(j, '{');
	json_key_int_text(j, "time", s->time_ns);
	json_key(j, "status");
	json_int(j, s->status);
	json_key(j, "answer");
	json_str(j, s->text);
	json_key(j, "stream");
	json_str(j, s->labels);
	json_key(j, "line");
	json_str(j, s->line);
	json_key(j, "lineBytes");
	json_int(j, (int64_t)s->line_bytes);
	json_close(j, '}');
}

static void put_account(void *arg, const struct refusal_account *a)
{
	struct json_out *j = arg;

	json_open(j, '{');
	json_key(j, "reason");
	json_cstr(j, a->reason);
	json_key(j, "entries");
	json_int(j, (int64_t)a->n_entries);
	json_key(j, "pushes");
	json_int(j, (int64_t)a->n_pushes);
	json_key_int_text(j, "first", a->first_ns);
	json_key_int_text(j, "last", a->sample[0].time_ns);
	json_key(j, "samples");
	json_open(j, '[');
	for (size_t i = 0; i < a->n_samples; i++)
		put_sample(j, &a->sample[i]);
	json_close(j, ']');
	json_close(j, '}');
}

void refusals_get(struct req *req)
{
	const struct api_context *api = req->app;
	struct buf body;

	buf_init(&body);
	struct json_out j = { .b = &body };
	json_open(&j, '{');
	json_key(&j, "refusals");
	json_open(&j, '[');
	refusals_each(ingest_refusals(api->ingest), req->tenant, put_account, &j);
	json_close(&j, ']');
	json_close(&j, '}');
	req_add_header(req, "Cache-Control", "no-store");
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_reply(req, 200, JOB_JSON, &body);
	buf_fini(&body);
}
