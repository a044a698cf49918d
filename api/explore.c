/* api/explore.c - volumes and detected fields, which this version does not compute: a wrong request is told what is
 * wrong with it, any other that the feature is off. Parsing is cheap enough for the I/O thread. */
#include "api/handlers.h"
#include "api/job.h"
#include "query/meta.h"

static void refuse_as_off(struct job *job, int rc, struct err *err)
{
	if (rc == 0)
		err_set(err, ERR_NOT_FOUND, "not found");
	job_refuse(job, err);
}

/* limit=0 means the default here. */
static int volume_limit(struct req *req, struct err *err)
{
	uint32_t limit;

	if (slice_is(req_param(req, SLICE("limit")), "0"))
		return 0;
	return params_limit(&req->params, "limit", PARAMS_DEFAULT_LIMIT, &limit, err);
}

static int check_volume(struct job *job, struct err *err)
{
	struct slice by = req_param(job->req, SLICE("aggregateBy"));

	if (params_bounds(&job->req->params, job->now, &job->query.range, err) == -1 ||
	    volume_limit(job->req, err) == -1)
		return -1;
	if (by.n > 0 && !slice_is(by, "series") && !slice_is(by, "labels"))
		return err_set(err, ERR_BAD_REQUEST, "invalid aggregation option");
	if (meta_check_selector(job->text, true, err) == -1)
		return -1;
	return params_apply_limits(&job->limits, job->now, &job->query.range, err);
}

void explore_volume(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	refuse_as_off(job, check_volume(job, &err), &err);
}

void explore_volume_range(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	int rc = check_volume(job, &err);
	if (rc == 0)
		rc = params_step(&req->params, job->query.range, &job->query.step, &err);
	refuse_as_off(job, rc, &err);
}

static int check_fields(struct job *job, struct err *err)
{
	const struct url_params *params = &job->req->params;
	const char *limit_name = req_param(job->req, SLICE("limit")).n > 0 ? "limit" : "field_limit";
	uint32_t limit, line_limit;

	if (params_bounds(params, job->now, &job->query.range, err) == -1 ||
	    params_limit(params, limit_name, 1000, &limit, err) == -1 ||
	    params_limit(params, "line_limit", 100, &line_limit, err) == -1 ||
	    params_step(params, job->query.range, &job->query.step, err) == -1)
		return -1;
	return meta_check_log_query(job->text, err);
}

void explore_fields(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	refuse_as_off(job, check_fields(job, &err), &err);
}
