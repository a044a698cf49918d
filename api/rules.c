/* api/rules.c - alerting and recording rules: their files as Loki's rules API reads and writes them, as YAML, and what the
 * ruler made of them, as Prometheus shows it. Writes sync, so all of it runs on workers. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "rules/rule_store.h"
#include "rules/rule_yaml.h"
#include "rules/ruler.h"

static const char yaml_type[] = "application/yaml", json_type[] = "application/json";
static const struct slice absent = { NULL, 0 };

static void submit(struct req *req, int status, const char *type,
		   int (*work)(struct job *, struct buf *, struct err *))
{
	struct job *job = job_new(req);

	job->status = status;
	job->content_type = type;
	job_submit(job, SCHED_META, work);
}

/* ------------------------------------------------------------------ rule files: reading */

static void put_namespaces(const struct rule_view *v, struct buf *out)
{
	for (size_t i = 0; i < v->n; i++) {
		if (i == 0 || !slice_eq(v->ref[i].ns, v->ref[i - 1].ns)) {
			rule_yaml_quote(out, v->ref[i].ns, 0);
			buf_puts(out, ":\n");
		}
		rule_group_format(v->ref[i].group, true, out);
	}
}

static int work_list(struct job *job, struct buf *body, struct err *err)
{
	struct rule_view v;

	rule_view_take(job->api->rules, job->req->tenant, job->req->param, absent, &v);
	int rc = v.n > 0 ? 0 : err_set(err, ERR_NOT_FOUND, "no rule groups found");
	put_namespaces(&v, body);
	rule_view_fini(&v);
	return rc;
}

static int work_get(struct job *job, struct buf *body, struct err *err)
{
	struct rule_view v;

	rule_view_take(job->api->rules, job->req->tenant, job->req->param, job->req->param2, &v);
	int rc = v.n > 0 ? 0 : err_set(err, ERR_NOT_FOUND, "group does not exist");
	if (v.n > 0)
		rule_group_format(v.ref[0].group, false, body);
	rule_view_fini(&v);
	return rc;
}

void rules_list(struct req *req)
{
	submit(req, 200, yaml_type, work_list);
}

void rules_get(struct req *req)
{
	submit(req, 200, yaml_type, work_get);
}

/* ------------------------------------------------------------------ rule files: writing */

static void put_success(struct buf *body)
{
	buf_puts(body, "{\"status\":\"success\",\"data\":null,\"errorType\":\"\",\"error\":\"\"}");
}

static int work_set(struct job *job, struct buf *body, struct err *err)
{
	const struct req *req = job->req;
	struct rule_group *g = NULL;

	if (rule_group_parse(req->body.p != NULL ? req->body : SLICE(""), &g, err) == -1)
		return -1;
	int rc = rule_store_put(job->api->rules, req->tenant, req->param, g, err);
	if (rc == 0) {
		log_info("rule group stored", KVS("tenant", req->tenant), KVS("namespace", req->param),
			 KVS("group", g->name), KVI("rules", g->n_rules));
		put_success(body);
	}
	rule_group_unref(g);
	return rc;
}

static int work_delete(struct job *job, struct buf *body, struct err *err)
{
	const struct req *req = job->req;

	if (rule_store_delete(job->api->rules, req->tenant, req->param, req->param2, err) == -1)
		return -1;
	log_info("rules deleted", KVS("tenant", req->tenant), KVS("namespace", req->param),
		 KVS("group", req->param2));
	put_success(body);
	return 0;
}

void rules_set(struct req *req)
{
	submit(req, 202, json_type, work_set);
}

void rules_delete(struct req *req)
{
	submit(req, 202, json_type, work_delete);
}

/* ------------------------------------------------------------------ what the ruler made of them */

static void reply_bad_type(struct req *req, struct slice type)
{
	struct json_out j = { .b = &(struct buf){ 0 } };
	struct buf text = { 0 };

	buf_puts(&text, "not supported value ");
	text_go_quote(&text, slice_sub(type, 0, 256));
	json_open(&j, '{');
	json_key(&j, "status");
	json_cstr(&j, "error");
	json_key(&j, "data");
	json_put_null(&j);
	json_key(&j, "errorType");
	json_cstr(&j, "bad_data");
	json_key(&j, "error");
	json_str(&j, buf_slice(&text));
	json_close(&j, '}');
	req_reply(req, 400, json_type, j.b);
	buf_fini(j.b);
	buf_fini(&text);
}

/* All values of a parameter; the arena's. */
static const struct slice *values(struct req *req, struct slice name, size_t *n)
{
	struct slice *v = arena_array(&req->arena, struct slice, req->params.n + 1), value;

	*n = 0;
	for (size_t i = 0; url_params_next(&req->params, &i, name, &value);)
		if (value.n > 0)
			v[(*n)++] = value;
	return v;
}

static void put_data(struct buf *body, const char *key, const struct buf *list)
{
	buf_printf(body, "{\"status\":\"success\",\"data\":{\"%s\":", key);
	if (list->n > 0)
		buf_add(body, buf_slice(list));
	else
		buf_puts(body, "[]"); /* no ruler */
	buf_puts(body, "},\"errorType\":\"\",\"error\":\"\"}");
}

static int work_groups(struct job *job, struct buf *body, struct err *err)
{
	struct req *req = job->req;
	struct slice type = req_param(req, SLICE("type"));
	struct ruler_filter f = { .only_alerting = slice_is(type, "alert"),
				  .only_recording = slice_is(type, "record") };
	struct buf list = { 0 };

	(void)err;
	f.file = values(req, SLICE("file"), &f.n_files);
	f.group = values(req, SLICE("rule_group"), &f.n_groups);
	f.rule = values(req, SLICE("rule_name"), &f.n_rules);
	if (job->api->ruler != NULL)
		ruler_groups_json(job->api->ruler, req->tenant, &f, &list);
	put_data(body, "groups", &list);
	buf_fini(&list);
	return 0;
}

static int work_alerts(struct job *job, struct buf *body, struct err *err)
{
	struct buf list = { 0 };

	(void)err;
	if (job->api->ruler != NULL)
		ruler_alerts_json(job->api->ruler, job->req->tenant, &list);
	put_data(body, "alerts", &list);
	buf_fini(&list);
	return 0;
}

void rules_groups(struct req *req)
{
	struct slice type = req_param(req, SLICE("type"));

	if (type.n > 0 && !slice_is(type, "alert") && !slice_is(type, "record"))
		reply_bad_type(req, type);
	else
		submit(req, 200, json_type, work_groups);
}

void rules_alerts(struct req *req)
{
	submit(req, 200, json_type, work_alerts);
}
