/* api/saved.c - the saved queries of a tenant: list, put, delete. Writes sync, so all of it runs on workers. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/json_out.h"
#include "base/log.h"
#include "query/saved.h"

/* Every byte of a saved query may be sent as \uXXXX. */
enum { MAX_BODY_BYTES = 6 * SAVED_MAX_BYTES + 1024 };

static void encode(struct buf *b, const struct saved_query *v, size_t n)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	json_key(&j, "queries");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(&j, '{');
		json_key(&j, "name");
		json_str(&j, v[i].name);
		json_key(&j, "query");
		json_str(&j, v[i].query);
		json_key(&j, "note");
		json_str(&j, v[i].note);
		json_key(&j, "saved");
		json_int_text(&j, v[i].saved_ns);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static int work_list(struct job *job, struct buf *body, struct err *err)
{
	struct req *req = job->req;
	struct saved_query *v;
	size_t n;

	if (saved_list(job->api->saved, req->tenant, &req->arena, &v, &n, err) == -1)
		return -1;
	encode(body, v, n);
	return 0;
}

static int work_put(struct job *job, struct buf *body, struct err *err)
{
	struct req *req = job->req;
	struct saved_query q;

	(void)body;
	if (req->body.n > MAX_BODY_BYTES)
		return err_set(err, ERR_TOO_LARGE, "the body has %zu bytes, the limit is %d", req->body.n,
			       MAX_BODY_BYTES);
	if (saved_parse(req->body, &req->arena, &q, err) == -1)
		return -1;
	q.name = req->param;
	q.saved_ns = job->now;
	if (saved_put(job->api->saved, req->tenant, &q, err) == -1)
		return -1;
	log_info("query saved", KVS("tenant", req->tenant), KVS("name", req->param), KVS("user", req->user));
	return 0;
}

static int work_delete(struct job *job, struct buf *body, struct err *err)
{
	struct req *req = job->req;

	(void)body;
	if (saved_delete(job->api->saved, req->tenant, req->param, err) == -1)
		return -1;
	log_info("saved query deleted", KVS("tenant", req->tenant), KVS("name", req->param),
		 KVS("user", req->user));
	return 0;
}

static void submit(struct req *req, int (*work)(struct job *, struct buf *, struct err *))
{
	struct job *job = job_new(req);

	job_page_headers(job);
	job_submit(job, SCHED_META, work);
}

void saved_queries_list(struct req *req)
{
	submit(req, work_list);
}

void saved_queries_put(struct req *req)
{
	submit(req, work_put);
}

void saved_queries_delete(struct req *req)
{
	submit(req, work_delete);
}
