/* api/traces.c - GET /api/v1/traces/:trace_id/logs: all lines of a trace, without a time range. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"

static int work(struct job *job, struct buf *body, struct err *err)
{
	struct trace_result result;
	struct buf template, url;
	int64_t t0 = clock_mono_ns();

	if (trace_run(job->api->engine, &job->trace, &job->control, &result, err) == -1)
		return -1;
	job_observe("scan", (double)(clock_mono_ns() - t0) / (double)NS_PER_S);
	buf_init(&template);
	buf_init(&url);
	job->api->trace_url_template(job->api->arg, &template);
	trace_url(&url, buf_slice(&template), result.id);
	int rc = encode_trace(body, &result, buf_slice(&url), &job->control, err);
	buf_fini(&url);
	buf_fini(&template);
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
	if (parse(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work);
}
