/* api/traces.c - GET /api/v1/traces/:trace_id/logs: all lines of a trace, without a time range; /find: the ids in what was
 * pasted. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "model/trace_link.h"
#include "query/trace_text.h"

/* The links to the trace at other places. Texts are in the request's arena. */
static void make_links(struct job *job, const struct trace_result *r, struct encoded_links *out)
{
	struct trace_link_values values = { r->id, r->n > 0, r->first_ns, r->last_ns };
	struct arena *a = &job->req->arena;
	const struct slice *setting = NULL;
	size_t n = 0;
	struct buf b;

	buf_init(&b);
	job->api->trace_url_template(job->api->arg, &b);
	struct slice template = arena_dup(a, buf_slice(&b));
	buf_reset(&b);
	trace_url(&b, template, r->id);
	out->url = arena_dup(a, buf_slice(&b));
	if (job->api->trace_links != NULL)
		n = job->api->trace_links(job->api->arg, &setting);
	out->v = arena_array(a, struct encoded_link, n + 1);
	out->n = 0;
	if (out->url.n > 0)
		out->v[out->n++] = (struct encoded_link){ SLICE("Trace"), out->url };
	for (size_t i = 0; i < n; i++) {
		struct slice name;

		buf_reset(&b);
		if (trace_link(&b, setting[i], &values, &name))
			out->v[out->n++] = (struct encoded_link){ name, arena_dup(a, buf_slice(&b)) };
	}
	buf_fini(&b);
}

static int work(struct job *job, struct buf *body, struct err *err)
{
	struct trace_result result;
	struct encoded_links links;
	int64_t t0 = clock_mono_ns();

	if (trace_run(job->api->engine, &job->trace, &job->control, &result, err) == -1)
		return -1;
	job_observe("scan", (double)(clock_mono_ns() - t0) / (double)NS_PER_S);
	make_links(job, &result, &links);
	int rc = encode_trace(body, &result, &links, &job->control, err);
	trace_result_fini(&result);
	return rc;
}

/* Forward unless asked otherwise: a trace is read from its beginning. */
static int parse(struct job *job, struct err *err)
{
	struct req *req = job->req;
	struct trace_request *t = &job->trace;

	*t = (struct trace_request){ .tenant = req->tenant, .id = req->param, .limits = &job->limits };
	if (params_limit(&req->params, "limit", TRACE_DEFAULT_LIMIT, &t->limit, err) == -1)
		return -1;
	if (req_param(req, SLICE("direction")).n > 0 &&
	    params_direction(&req->params, &t->backward, err) == -1)
		return -1;
	if (job_check_entries(job, t->limit, err) == 0)
		return 0;
	if (req_param(req, SLICE("limit")).n > 0)
		return -1;
	t->limit = (uint32_t)job->limits.max_entries_limit_per_query;
	return 0;
}

void traces_logs(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req->param;
	job_page_headers(job);
	if (parse(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work);
}

/* ---- ids in a text ---- */

static int work_find(struct job *job, struct buf *body, struct err *err)
{
	struct trace_id id[TRACE_TEXT_MAX_IDS];
	struct json_out j = { .b = body };
	struct buf text = { 0 };

	(void)err;
	size_t n = trace_text_ids(job->api->engine->keys, job->text, id);
	json_open(&j, '{');
	json_key(&j, "ids");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++) {
		buf_reset(&text);
		trace_text_format(&text, id[i]);
		json_str(&j, buf_slice(&text));
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_putc(body, '\n');
	buf_fini(&text);
	return 0;
}

void traces_find(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("text"));
	job_page_headers(job);
	if (job->text.n > TRACE_TEXT_MAX_BYTES) {
		err_set(&err, ERR_BAD_REQUEST, "text has %zu bytes, the limit is %d", job->text.n,
			TRACE_TEXT_MAX_BYTES);
		job_refuse(job, &err);
	} else {
		job_submit(job, SCHED_META, work_find);
	}
}
