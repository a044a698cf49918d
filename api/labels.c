/* api/labels.c - questions about streams: labels, label values, series, index statistics; also under the old paths. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/mem.h"
#include "base/vec.h"

static struct meta_request request_of(const struct job *job)
{
	return (struct meta_request){ .tenant = job->req->tenant,
				      .selector = job->query.text,
				      .range = job->query.range };
}

/* Parses what all four have in common; false: answered. */
static bool prepare(struct job *job)
{
	struct err err;

	job->text = job->query.text = req_param(job->req, SLICE("query"));
	if (params_bounds(&job->req->params, job->now, &job->query.range, &err) == 0 &&
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == 0)
		return true;
	job_refuse(job, &err);
	return false;
}

static int work_names(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = request_of(job);
	struct slice *v;
	size_t n;

	if (meta_label_names(job->api->engine, &r, &job->control, &job->req->arena, &v, &n, err) == -1)
		return -1;
	encode_strings(body, v, n);
	return 0;
}

static int work_values(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = request_of(job);
	struct slice *v;
	size_t n;

	if (meta_label_values(job->api->engine, &r, job->req->param, &job->control, &job->req->arena, &v, &n,
			      err) == -1)
		return -1;
	encode_strings(body, v, n);
	return 0;
}

static int work_series(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = request_of(job);
	struct labels *v;
	size_t n;

	if (meta_series(job->api->engine, &r, job->selector, job->n_selectors, &job->control,
			&job->req->arena, &v, &n, err) == -1)
		return -1;
	encode_series(body, v, n);
	return 0;
}

static int work_stats(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = request_of(job);
	struct meta_stats stats;

	if (meta_stats(job->api->engine, &r, &job->control, &stats, err) == -1)
		return -1;
	encode_index_stats(body, &stats);
	return 0;
}

void labels_names(struct req *req)
{
	struct job *job = job_new(req);

	if (prepare(job))
		job_submit(job, SCHED_META, work_names);
}

void labels_values(struct req *req)
{
	struct job *job = job_new(req);

	if (prepare(job))
		job_submit(job, SCHED_META, work_values);
}

/* match[]=… and match=…, in any number. */
static void collect_selectors(struct job *job)
{
	const struct url_params *params = &job->req->params;

	job->selector = arena_array(&job->req->arena, struct slice, params->n);
	for (size_t i = 0; i < params->n; i++)
		if (slice_is(params->v[i].name, "match[]") || slice_is(params->v[i].name, "match"))
			job->selector[job->n_selectors++] = params->v[i].value;
}

void labels_series(struct req *req)
{
	struct job *job = job_new(req);

	if (!prepare(job))
		return;
	collect_selectors(job);
	job->text = job->n_selectors > 0 ? job->selector[0] : (struct slice){ NULL, 0 };
	job_submit(job, SCHED_META, work_series);
}

void labels_index_stats(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (!prepare(job))
		return;
	if (params_step(&req->params, job->query.range, &job->query.step, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_stats);
}
