/* api/fields.c - what the page shows beside the lines: stream labels, and fields with their frequent values. */
#include "api/api.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "query/fields.h"

enum { DEFAULT_SAMPLE = 1000 };

static void key_uint(struct json_out *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_int(j, (int64_t)MIN(v, (uint64_t)INT64_MAX));
}

/* ---- labels ---- */

static void encode_labels(struct buf *b, const struct api_context *api, const struct detected_label *v,
			  size_t n, uint64_t n_streams)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	key_uint(&j, "streams", n_streams);
	json_key(&j, "labels");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(&j, '{');
		json_key(&j, "name");
		json_str(&j, v[i].name);
		key_uint(&j, "values", v[i].cardinality);
		key_uint(&j, "streams", v[i].streams);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_key_strs(&j, "traceIdKeys", api->trace_id_keys, api->n_trace_id_keys);
	json_key_strs(&j, "indexedFields", api->indexed_fields, api->n_indexed_fields);
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_labels(struct job *job, struct buf *body, struct err *err)
{
	struct meta_request r = { .tenant = job->req->tenant,
				  .selector = job->query.text,
				  .range = job->query.range };
	struct detected_label *v;
	uint64_t n_streams;
	size_t n;

	if (detect_all_labels(job->api->engine, &r, &job->control, &job->req->arena, &v, &n, &n_streams,
			      err) == -1)
		return -1;
	encode_labels(body, job->api, v, n, n_streams);
	return 0;
}

static int parse(struct job *job, struct err *err)
{
	job->text = job->query.text = req_param(job->req, SLICE("query"));
	return params_bounds(&job->req->params, job->now, &job->query.range, err) == -1
		       ? -1
		       : params_apply_limits(&job->limits, job->now, &job->query.range, err);
}

void fields_labels(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job_page_headers(job);
	if (parse(job, &err) == -1)
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
static const char *const origin_names[] = { [FIELD_OF_STREAM] = "label",
					    [FIELD_OF_METADATA] = "metadata",
					    [FIELD_OF_PIPELINE] = "parsed",
					    [FIELD_IN_LINE] = "detected" };

static void put_top(struct json_out *j, const struct field_summary *f)
{
	json_key(j, "top");
	json_open(j, '[');
	for (size_t i = 0; i < f->n_top; i++) {
		json_open(j, '{');
		json_key(j, "value");
		json_str(j, f->top[i].value);
		key_uint(j, "lines", f->top[i].lines);
		if (f->top[i].cut) {
			json_key(j, "cut");
			json_bool(j, true);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void put_field(struct json_out *j, const struct field_summary *f)
{
	json_open(j, '{');
	json_key(j, "name");
	json_str(j, f->name);
	json_key(j, "origin");
	json_cstr(j, origin_names[f->origin]);
	if (f->origin == FIELD_IN_LINE) {
		json_key(j, "parser");
		json_cstr(j, parser_names[f->parser]);
	}
	json_key(j, "type");
	json_cstr(j, type_names[f->type]);
	json_key(j, "exact");
	json_bool(j, f->exact);
	key_uint(j, "lines", f->lines);
	key_uint(j, "values", f->values);
	if (f->more) {
		json_key(j, "more");
		json_bool(j, true);
	}
	put_top(j, f);
	json_close(j, '}');
}

static void encode_fields(struct buf *b, const struct fields_result *r)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	key_uint(&j, "sampled", r->sampled);
	json_key(&j, "complete");
	json_bool(&j, r->complete);
	if (r->more) {
		json_key(&j, "more");
		json_bool(&j, true);
	}
	json_key(&j, "fields");
	json_open(&j, '[');
	for (size_t i = 0; i < r->n; i++)
		put_field(&j, &r->field[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_fields(struct job *job, struct buf *body, struct err *err)
{
	struct detect_request r = { .tenant = job->req->tenant,
				    .text = job->query.text,
				    .range = job->query.range,
				    .line_limit = job->line_limit,
				    .limits = &job->limits };
	struct fields_result result;

	if (fields_summarize(job->api->engine, &r, &job->control, &job->req->arena, &result, err) == -1)
		return -1;
	encode_fields(body, &result);
	return 0;
}

/* A sample need not be larger than any other log query's answer. */
static int parse_fields(struct job *job, struct err *err)
{
	uint64_t max = job->limits.max_entries_limit_per_query;

	if (parse(job, err) == -1 ||
	    params_limit(&job->req->params, "limit", DEFAULT_SAMPLE, &job->line_limit, err) == -1)
		return -1;
	if (max > 0 && job->line_limit > max)
		job->line_limit = (uint32_t)max;
	return 0;
}

void fields_list(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job_page_headers(job);
	if (parse_fields(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work_fields);
}
