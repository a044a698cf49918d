/* api/parse.c - about queries, without running them: /loki/api/v1/format_query and /api/v1/parse. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "logql/fmt.h"
#include "logql/parse.h"
#include "query/explain.h"

static void put_position(struct json_out *j, struct logql_pos pos)
{
	json_key(j, "position");
	if (pos.line == 0) {
		json_put_null(j);
		return;
	}
	json_open(j, '{');
	json_key(j, "offset");
	json_int(j, pos.off);
	json_key(j, "line");
	json_int(j, pos.line);
	json_key(j, "column");
	json_int(j, pos.col);
	json_close(j, '}');
}

static void reply_invalid(struct req *req, const struct err *err, const struct logql_pos *pos)
{
	struct buf body;
	struct json_out j = { .b = &body };

	buf_init(&body);
	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "invalid-query");
	json_key(&j, "error");
	json_cstr(&j, err->msg);
	if (pos != NULL)
		put_position(&j, *pos);
	json_close(&j, '}');
	req_reply(req, 400, JOB_JSON, &body);
	buf_fini(&body);
}

/* ---- format_query ---- */

void parse_format(struct req *req)
{
	struct logql *q = NULL;
	struct buf text, body;
	struct json_out j = { .b = &body };
	struct err err;

	if (logql_parse(req_param(req, SLICE("query")), &req->arena, &q, NULL, &err) == -1) {
		reply_invalid(req, &err, NULL);
		return;
	}
	buf_init(&text);
	buf_init(&body);
	logql_fmt_pretty(&text, q->root);
	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "success");
	json_key(&j, "data");
	json_str(&j, buf_slice(&text));
	json_close(&j, '}');
	req_reply(req, 200, JOB_JSON, &body);
	buf_fini(&body);
	buf_fini(&text);
	logql_free(q);
}

/* ---- parse ---- */

static void put_node(struct json_out *j, const struct explain_node *n)
{
	json_open(j, '{');
	json_key(j, "depth");
	json_int(j, n->depth);
	json_key(j, "kind");
	json_cstr(j, n->kind);
	json_key(j, "name");
	json_str(j, n->name);
	json_key(j, "text");
	json_str(j, n->text);
	put_position(j, n->pos);
	json_close(j, '}');
}

static void key_count(struct json_out *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_int(j, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static void put_scan(struct json_out *j, const struct explain_scan *s)
{
	json_open(j, '{');
	json_key(j, "selector");
	json_str(j, s->selector);
	json_key_int_text(j, "start", s->window.start);
	json_key_int_text(j, "end", s->window.end);
	json_key(j, "index");
	json_cstr(j, s->index);
	json_key_strs(j, "needles", s->needle, s->n_needles);
	json_key(j, "trace_lookups");
	json_open(j, '[');
	for (size_t i = 0; i < s->n_lookups; i++)
		json_int(j, (int64_t)s->lookup_tokens[i]);
	json_close(j, ']');
	json_key(j, "all_labels");
	json_bool(j, s->all_labels);
	json_key_strs(j, "labels", s->label, s->n_labels);
	json_key(j, "reads_lines");
	json_bool(j, s->reads_lines);
	key_count(j, "streams", s->streams);
	key_count(j, "chunks", s->chunks);
	key_count(j, "chunks_skipped", s->chunks_skipped);
	key_count(j, "chunks_skipped_by_trace", s->chunks_skipped_by_trace);
	key_count(j, "chunks_skipped_by_filter", s->chunks_skipped_by_filter);
	key_count(j, "days_skipped", s->days_skipped);
	key_count(j, "units", s->units);
	key_count(j, "entries", s->entries);
	key_count(j, "bytes", s->bytes);
	json_close(j, '}');
}

static void put_explanation(struct buf *body, const struct explain_result *r)
{
	struct json_out j = { .b = body };

	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "success");
	json_key(&j, "data");
	json_open(&j, '{');
	json_key(&j, "type");
	json_cstr(&j, r->type);
	json_key(&j, "query");
	json_str(&j, r->text);
	json_key(&j, "outline");
	json_open(&j, '[');
	for (size_t i = 0; i < r->n_nodes; i++)
		put_node(&j, &r->node[i]);
	json_close(&j, ']');
	json_key(&j, "plan");
	json_open(&j, '[');
	for (size_t i = 0; i < r->n_scans; i++)
		put_scan(&j, &r->scan[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	json_close(&j, '}');
	buf_putc(body, '\n');
}

static int work_explain(struct job *job, struct buf *body, struct err *err)
{
	const struct params_query *p = &job->query;
	struct query_request r = { .tenant = job->req->tenant,
				   .text = p->text,
				   .instant = req_param(job->req, SLICE("time")).n > 0,
				   .start = p->range.start,
				   .end = p->range.end,
				   .step = p->step,
				   .backward = p->backward };
	struct explain_result result;

	if (explain_run(job->api->engine, &r, &job->control, &result, err) == -1)
		return -1;
	put_explanation(body, &result);
	explain_result_fini(&result);
	return 0;
}

/* With `time` as the instant query has it, else with the range query's parameters. */
static int read_params(struct job *job, struct err *err)
{
	struct req *req = job->req;

	if (req_param(req, SLICE("time")).n > 0)
		return params_query_instant(&req->params, job->now, &job->query, err);
	return params_query_range(&req->params, job->now, &job->query, err);
}

void parse_explain(struct req *req)
{
	struct job *job = job_new(req);
	struct logql_pos pos = { 0 };
	struct logql *q = NULL;
	struct err err;

	job->text = req_param(req, SLICE("query"));
	if (logql_parse(job->text, &req->arena, &q, &pos, &err) == -1) {
		reply_invalid(req, &err, &pos);
		return;
	}
	logql_free(q);
	if (read_params(job, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_explain);
}
