/* api/legacy.c - /api/prom/query, as the first Lokis answered it: log queries alone, and an envelope of its own. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/text.h"

/* The regexp parameter is one more line filter behind the query. */
static struct slice query_text(struct req *req)
{
	struct slice query = req_param(req, SLICE("query")), regexp = req_param(req, SLICE("regexp"));
	struct buf text;

	if (regexp.n == 0)
		return query;
	buf_init(&text);
	buf_add(&text, query);
	buf_puts(&text, " |~ ");
	text_go_quote(&text, regexp);
	query = arena_dup(&req->arena, buf_slice(&text));
	buf_fini(&text);
	return query;
}

static int work_legacy(struct job *job, struct buf *body, struct err *err)
{
	const struct params_query *p = &job->query;
	struct query_request r = { .tenant = job->req->tenant,
				   .text = p->text,
				   .start = p->range.start,
				   .end = p->range.end,
				   .step = p->step,
				   .interval = p->interval,
				   .limit = p->limit,
				   .backward = p->backward,
				   .limits = &job->limits };
	struct query_result result;

	if (job_check_entries(job, p->limit, err) == -1 ||
	    query_run(job->api->engine, &r, &job->control, &result, err) == -1)
		return -1;
	int rc = -1;
	if (result.type == RESULT_STREAMS)
		rc = encode_legacy(body, &result, &job->control, err);
	else
		err_set(err, ERR_BAD_REQUEST, "legacy endpoints only support streams result type");
	query_result_fini(&result);
	return rc;
}

void legacy_query(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (params_query_range(&req->params, job->now, &job->query, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1) {
		job_refuse(job, &err);
		return;
	}
	job->text = job->query.text = query_text(req);
	job_submit(job, SCHED_QUERY, work_legacy);
}
