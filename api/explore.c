/* api/explore.c - what is there to be asked for: volumes by label, labels worth showing, fields found in lines and
 * their values. The answers of the detected_ endpoints have no envelope, and are {} when nothing was found. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "query/detect.h"
#include "query/volume.h"

enum { DEFAULT_FIELDS = 1000 };

/* ---- volumes: parameters ---- */

/* limit=0 means the default here. */
static int volume_limit(struct job *job, struct err *err)
{
	uint64_t max = job->limits.volume_max_series;
	uint32_t limit = PARAMS_DEFAULT_LIMIT;

	if (!slice_is(req_param(job->req, SLICE("limit")), "0") &&
	    params_limit(&job->req->params, "limit", PARAMS_DEFAULT_LIMIT, &limit, err) == -1)
		return -1;
	job->query.limit = max > 0 && limit > max ? (uint32_t)max : limit;
	return 0;
}

static void volume_targets(struct job *job)
{
	struct slice list = req_param(job->req, SLICE("targetLabels"));
	size_t n = 1;

	for (size_t i = 0; i < list.n; i++)
		n += list.p[i] == ',';
	job->selector = arena_array(&job->req->arena, struct slice, n);
	for (size_t at = 0; at < list.n;) {
		size_t comma = slice_find_byte(slice_from(list, at), ',');
		struct slice name = slice_trim(slice_sub(list, at, comma));

		if (name.n > 0)
			job->selector[job->n_selectors++] = name;
		at = comma == SLICE_NONE ? list.n : at + comma + 1;
	}
}

static int parse_volume(struct job *job, struct err *err)
{
	struct slice by = req_param(job->req, SLICE("aggregateBy"));

	job->text = job->query.text = req_param(job->req, SLICE("query"));
	if (params_bounds(&job->req->params, job->now, &job->query.range, err) == -1 ||
	    volume_limit(job, err) == -1)
		return -1;
	if (by.n > 0 && !slice_is(by, "series") && !slice_is(by, "labels"))
		return err_set(err, ERR_BAD_REQUEST, "invalid aggregation option");
	job->by_name = slice_is(by, "labels");
	volume_targets(job);
	if (meta_check_selector(job->text, true, err) == -1)
		return -1;
	return params_apply_limits(&job->limits, job->now, &job->query.range, err);
}

static int check_enabled(const struct job *job, struct err *err)
{
	return job->limits.volume_enabled ? 0 : err_set(err, ERR_NOT_FOUND, "not found");
}

/* ---- volumes: answers ---- */

/* [seconds,"bytes"] */
static void put_point(struct json_out *j, const struct volume_point *p)
{
	int64_t ms = p->ts / NS_PER_MS - (p->ts % NS_PER_MS < 0);

	json_open(j, '[');
	json_float(j, (double)ms / 1000);
	json_sep(j);
	buf_printf(j->b, "\"%llu\"", (unsigned long long)p->bytes);
	json_close(j, ']');
}

static void put_series(struct json_out *j, const struct volume_series *s, bool matrix)
{
	json_open(j, '{');
	json_key(j, "metric");
	labels_json(j, s->labels);
	json_key(j, matrix ? "values" : "value");
	if (matrix)
		json_open(j, '[');
	for (size_t i = 0; i < s->n; i++)
		put_point(j, &s->point[i]);
	if (matrix)
		json_close(j, ']');
	json_close(j, '}');
}

/* A matrix only if some series has several points, even when a range was asked for: so does Loki. */
static void encode_volume(struct buf *b, const struct volume_series *v, size_t n)
{
	static const struct query_stats none; /* the index answers: no line is read */
	struct json_out j = { .b = b };
	bool matrix = false;

	for (size_t i = 0; i < n; i++)
		matrix = matrix || v[i].n > 1;
	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "success");
	json_key(&j, "data");
	json_open(&j, '{');
	json_key(&j, "resultType");
	json_cstr(&j, matrix ? "matrix" : "vector");
	json_key(&j, "result");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++)
		put_series(&j, &v[i], matrix);
	json_close(&j, ']');
	encode_stats(&j, &none);
	json_close(&j, '}');
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_volume(struct job *job, struct buf *body, struct err *err)
{
	struct volume_request r = { .tenant = job->req->tenant,
				    .selector = job->query.text,
				    .range = job->query.range,
				    .step = job->query.step,
				    .target = job->selector,
				    .n_targets = job->n_selectors,
				    .by_name = job->by_name,
				    .limit = job->query.limit,
				    .limits = &job->limits };
	struct volume_series *v;
	size_t n;

	if (volume_run(job->api->engine, &r, &job->control, &job->req->arena, &v, &n, err) == -1)
		return -1;
	encode_volume(body, v, n);
	return 0;
}

void explore_volume(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (parse_volume(job, &err) == -1 || check_enabled(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_volume);
}

void explore_volume_range(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (parse_volume(job, &err) == -1 ||
	    params_step(&req->params, job->query.range, &job->query.step, &err) == -1 ||
	    check_enabled(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_volume);
}

/* ---- labels ---- */

static void encode_labels(struct buf *b, const struct detected_label *v, size_t n)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	if (n > 0) {
		json_key(&j, "detectedLabels");
		json_open(&j, '[');
	}
	for (size_t i = 0; i < n; i++) {
		json_open(&j, '{');
		json_key(&j, "label");
		json_str(&j, v[i].name);
		json_key(&j, "cardinality");
		json_int(&j, (int64_t)v[i].cardinality);
		json_close(&j, '}');
	}
	if (n > 0)
		json_close(&j, ']');
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_labels(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = { .tenant = job->req->tenant,
				  .selector = job->query.text,
				  .range = job->query.range };
	struct detected_label *v;
	size_t n;

	if (detect_labels(job->api->engine, &r, &job->control, &job->req->arena, &v, &n, err) == -1)
		return -1;
	encode_labels(body, v, n);
	return 0;
}

void explore_labels(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = job->query.text = req_param(req, SLICE("query"));
	if (params_bounds(&req->params, job->now, &job->query.range, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_labels);
}

/* ---- fields ---- */

static const char *const type_names[] = {
	[FIELD_INT] = "int",	       [FIELD_FLOAT] = "float", [FIELD_BOOLEAN] = "boolean",
	[FIELD_DURATION] = "duration", [FIELD_BYTES] = "bytes", [FIELD_STRING] = "string",
};
static const char *const parser_names[] = { [FIELD_JSON] = "json", [FIELD_LOGFMT] = "logfmt" };

static void put_field(struct json_out *j, const struct detected_field *f)
{
	json_open(j, '{');
	json_key(j, "label");
	json_str(j, f->name);
	json_key(j, "type");
	json_cstr(j, type_names[f->type]);
	json_key(j, "cardinality");
	json_int(j, (int64_t)f->cardinality);
	json_key(j, "parsers");
	if (f->n_parsers == 0)
		json_put_null(j); /* clients tell metadata by it */
	else
		json_open(j, '[');
	for (size_t i = 0; i < f->n_parsers; i++)
		json_cstr(j, parser_names[f->parser[i]]);
	if (f->n_parsers > 0)
		json_close(j, ']');
	if (f->n_path > 0) {
		json_key(j, "jsonPath");
		json_open(j, '[');
		for (size_t i = 0; i < f->n_path; i++)
			json_str(j, f->path[i]);
		json_close(j, ']');
	}
	json_close(j, '}');
}

static void encode_fields(struct buf *b, const struct detected_field *v, size_t n, uint32_t limit)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	if (n > 0) {
		json_key(&j, "fields");
		json_open(&j, '[');
		for (size_t i = 0; i < n; i++)
			put_field(&j, &v[i]);
		json_close(&j, ']');
		json_key(&j, "limit");
		json_int(&j, limit);
	}
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static void encode_values(struct buf *b, const struct slice *v, size_t n, uint32_t limit)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	if (n > 0) {
		json_key(&j, "limit");
		json_int(&j, limit);
		json_key(&j, "values");
		json_open(&j, '[');
		for (size_t i = 0; i < n; i++)
			json_str(&j, v[i]);
		json_close(&j, ']');
	}
	json_close(&j, '}');
	buf_putc(b, '\n');
}

/* A sample need not be larger than any other log query's answer. */
static uint32_t sampled_lines(const struct job *job, uint32_t asked)
{
	uint64_t max = job->limits.max_entries_limit_per_query;

	return max > 0 && asked > max ? (uint32_t)max : asked;
}

static int parse_fields(struct job *job, struct err *err)
{
	const struct url_params *params = &job->req->params;
	const char *limit_name = req_param(job->req, SLICE("limit")).n > 0 ? "limit" : "field_limit";
	int64_t step;

	job->text = job->query.text = req_param(job->req, SLICE("query"));
	if (params_bounds(params, job->now, &job->query.range, err) == -1 ||
	    params_limit(params, limit_name, DEFAULT_FIELDS, &job->query.limit, err) == -1 ||
	    params_limit(params, "line_limit", PARAMS_DEFAULT_LIMIT, &job->line_limit, err) == -1 ||
	    params_step(params, job->query.range, &step, err) == -1 ||
	    meta_check_log_query(job->text, err) == -1)
		return -1;
	job->line_limit = sampled_lines(job, job->line_limit);
	return params_apply_limits(&job->limits, job->now, &job->query.range, err);
}

static struct detect_request detect_request_of(const struct job *job)
{
	return (struct detect_request){ .tenant = job->req->tenant,
					.text = job->query.text,
					.range = job->query.range,
					.line_limit = job->line_limit,
					.limit = job->query.limit,
					.limits = &job->limits };
}

static int work_fields(struct job *job, struct buf *body, struct err *err)
{
	struct detect_request r = detect_request_of(job);
	struct detected_field *v;
	size_t n;

	if (detect_fields(job->api->engine, &r, &job->control, &job->req->arena, &v, &n, err) == -1)
		return -1;
	encode_fields(body, v, n, r.limit);
	return 0;
}

static int work_values(struct job *job, struct buf *body, struct err *err)
{
	struct detect_request r = detect_request_of(job);
	struct slice *v;
	size_t n;

	if (detect_values(job->api->engine, &r, job->req->param, &job->control, &job->req->arena, &v, &n,
			  err) == -1)
		return -1;
	encode_values(body, v, n, r.limit);
	return 0;
}

static void submit_fields(struct req *req, int (*work)(struct job *, struct buf *, struct err *))
{
	struct job *job = job_new(req);
	struct err err;

	if (parse_fields(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work);
}

void explore_fields(struct req *req)
{
	submit_fields(req, work_fields);
}

void explore_values(struct req *req)
{
	submit_fields(req, work_values);
}
