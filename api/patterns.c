/* api/patterns.c - the patterns of log lines, and what Grafana's Logs Drilldown asks about limits. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "ingest/level.h"
#include "ingest/patterns.h"
#include "ingest/validate.h"
#include "logql/parse.h"

enum { MAX_PATTERNS = 1000 };

/* ---- patterns ---- */

static void put_pattern(struct json_out *j, const struct pattern_result *r)
{
	json_open(j, '{');
	json_key(j, "pattern");
	json_sep(j);
	json_quote(j->b, r->text, true);
	json_key(j, "level");
	json_str(j, r->level);
	json_key(j, "samples");
	json_open(j, '[');
	for (size_t i = 0; i < r->n; i++) {
		json_open(j, '[');
		json_int(j, r->sample[i].at);
		json_int(j, (int64_t)r->sample[i].n);
		json_close(j, ']');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void encode_patterns(struct buf *b, const struct pattern_result *v, size_t n)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "success");
	json_key(&j, "data");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++)
		put_pattern(&j, &v[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_patterns(struct job *job, struct buf *body, struct err *err)
{
	struct patterns_request r = { .tenant = job->req->tenant,
				      .range = job->query.range,
				      .step = job->query.step,
				      .limit = MAX_PATTERNS };
	struct pattern_result *v = NULL;
	struct logql *q;
	size_t n = 0;

	if (logql_parse_selector(job->query.text, 0, &job->req->arena, &q, NULL, err) == -1)
		return -1;
	r.matcher = q->root->log.matchers;
	r.n_matchers = q->root->log.n_matchers;
	query_guard_begin(&job->control);
	patterns_read(job->api->patterns, &r, &job->req->arena, &v, &n);
	int rc = query_guard_end(&job->control, 0, err);
	logql_free(q);
	if (rc == 0)
		encode_patterns(body, v, n);
	return rc;
}

void patterns_list(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (!job->limits.pattern_ingester_enabled) {
		req_reply(req, 404, NULL, NULL);
		return;
	}
	job->text = job->query.text = req_param(req, SLICE("query"));
	if (params_bounds(&req->params, job->now, &job->query.range, &err) == -1 ||
	    params_step(&req->params, job->query.range, &job->query.step, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_META, work_patterns);
}

/* ---- limits for Drilldown ---- */

static void put_bool(struct json_out *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

static void put_count(struct json_out *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_int(j, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void put_duration(struct json_out *j, const char *key, int64_t ns)
{
	json_key(j, key);
	json_sep(j);
	buf_putc(j->b, '"');
	clock_format_prom_duration(j->b, ns);
	buf_putc(j->b, '"');
}

/* As a number of the largest unit that divides it: 0B, 256KB. */
static void put_bytes(struct json_out *j, const char *key, uint64_t n)
{
	static const char *const unit[] = { "B", "KB", "MB", "GB", "TB" };
	size_t i = 0;

	for (; n > 0 && n % 1024 == 0 && i + 1 < sizeof(unit) / sizeof(unit[0]); i++)
		n /= 1024;
	json_key(j, key);
	json_sep(j);
	buf_printf(j->b, "\"%llu%s\"", (unsigned long long)n, unit[i]);
}

static void put_discovery(struct json_out *j, const struct limits *l)
{
	const char *const *service;
	const struct slice *level;
	size_t n;

	put_bool(j, "discover_log_levels", l->discover_log_levels);
	json_key(j, "discover_service_name");
	json_open(j, '[');
	service = validate_service_labels(&n);
	for (size_t i = 0; i < n && l->discover_service_name; i++)
		json_cstr(j, service[i]);
	json_close(j, ']');
	json_key(j, "log_level_fields");
	json_open(j, '[');
	level = level_names(&n);
	for (size_t i = 0; i < n; i++)
		json_str(j, level[i]);
	json_close(j, ']');
}

static void put_otlp(struct json_out *j, const struct api_context *api)
{
	json_key(j, "otlp_config");
	json_open(j, '{');
	json_key(j, "resource_attributes");
	json_open(j, '{');
	json_key(j, "attributes_config");
	json_open(j, '[');
	json_open(j, '{');
	json_key(j, "action");
	json_cstr(j, "index_label");
	json_key(j, "attributes");
	json_open(j, '[');
	for (size_t i = 0; i < api->n_otlp_labels; i++)
		json_str(j, api->otlp_labels[i]);
	json_close(j, ']');
	json_close(j, '}');
	json_close(j, ']');
	json_close(j, '}');
	json_close(j, '}');
}

static void put_limits(struct json_out *j, const struct api_context *api, const struct limits *l)
{
	json_open(j, '{');
	put_discovery(j, l);
	put_count(j, "max_entries_limit_per_query", l->max_entries_limit_per_query);
	put_bool(j, "max_line_size_truncate", l->max_line_size_truncate);
	put_bytes(j, "max_query_bytes_read", l->max_query_bytes_read);
	put_duration(j, "max_query_length", l->max_query_length);
	put_duration(j, "max_query_lookback", l->max_query_lookback);
	put_duration(j, "max_query_range", l->max_query_range);
	put_count(j, "max_query_series", l->max_query_series);
	put_bool(j, "metric_aggregation_enabled", false);
	put_otlp(j, api);
	put_bool(j, "pattern_persistence_enabled", false);
	put_duration(j, "query_timeout", l->query_timeout);
	put_duration(j, "retention_period", l->retention_period);
	put_bool(j, "volume_enabled", l->volume_enabled);
	put_count(j, "volume_max_series", l->volume_max_series);
	json_close(j, '}');
}

void drilldown_limits(struct req *req)
{
	const struct api_context *api = req->app;
	struct json_out j = { .b = &(struct buf){ 0 } };
	struct limits l;

	api->limits(api->arg, req->tenant, &l);
	json_open(&j, '{');
	json_key(&j, "limits");
	put_limits(&j, api, &l);
	put_bool(&j, "pattern_ingester_enabled", l.pattern_ingester_enabled);
	json_key(&j, "version");
	json_cstr(&j, api->version);
	json_close(&j, '}');
	buf_putc(j.b, '\n');
	req_reply(req, 200, "application/json", j.b);
	buf_fini(j.b);
}
