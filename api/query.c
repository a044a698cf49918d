/* api/query.c - /loki/api/v1/query and query_range. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"

static struct slice encoding_flags(const struct job *job)
{
	return req_header(job->req, SLICE("X-Loki-Response-Encoding-Flags"));
}

static struct query_request request_of(const struct job *job)
{
	const struct params_query *p = &job->query;

	return (struct query_request){
		.tenant = job->req->tenant,
		.text = p->text,
		.start = p->range.start,
		.end = p->range.end,
		.step = p->step,
		.interval = p->interval,
		.limit = p->limit,
		.backward = p->backward,
		.categorize = encode_wants_categories(encoding_flags(job)),
		.limits = &job->limits,
	};
}

static int run_and_encode(struct job *job, const struct query_request *r, struct buf *body, struct err *err)
{
	struct query_result result;

	if (query_run(job->api->engine, r, &job->control, &result, err) == -1)
		return -1;
	int64_t t0 = clock_mono_ns();
	result.stats.queue_seconds = (double)job->sched_job.queued_ns / (double)NS_PER_S;
	int rc = encode_result(body, &result, encoding_flags(job), &job->control, err);
	job_observe("plan", result.stats.plan_seconds);
	job_observe("scan", result.stats.scan_seconds);
	job_observe("encode", (double)(clock_mono_ns() - t0) / (double)NS_PER_S);
	query_result_fini(&result);
	return rc;
}

/* Only log queries are bound by it, so a query that asks for too much is parsed to see what it is. */
static int check_entries(const struct job *job, struct err *err)
{
	struct err not_a_log_query;

	if (job_check_entries(job, job->query.limit, err) == 0 ||
	    meta_check_log_query(job->query.text, &not_a_log_query) == -1)
		return 0;
	return -1;
}

static int work_range(struct job *job, struct buf *body, struct err *err)
{
	struct query_request r = request_of(job);

	if (check_entries(job, err) == -1)
		return -1;
	return run_and_encode(job, &r, body, err);
}

static int work_instant(struct job *job, struct buf *body, struct err *err)
{
	struct query_request r = request_of(job);

	r.instant = true;
	return run_and_encode(job, &r, body, err);
}

void query_range(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	if (params_query_range(&req->params, job->now, &job->query, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work_range);
}

void query_instant(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	if (params_query_instant(&req->params, job->now, &job->query, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work_instant);
}
