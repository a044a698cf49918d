#include "api/job.h"
#include "api/running.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <stdio.h>

enum { LOGGED_TEXT_BYTES = 1024 };

struct job *job_new(struct req *req)
{
	struct job *job = arena_new(&req->arena, struct job);

	job->req = req;
	job->api = req->app;
	job->now = clock_now_ns();
	job->started_mono_ns = clock_mono_ns();
	job->api->limits(job->api->arg, req->tenant, &job->limits);
	return job;
}

int job_check_entries(const struct job *job, uint32_t limit, struct err *err)
{
	uint64_t max = job->limits.max_entries_limit_per_query;

	if (max == 0 || limit <= max)
		return 0;
	return err_set(
		err, ERR_BAD_REQUEST,
		"max entries limit per query exceeded, limit > max_entries_limit_per_query (%u > %llu)",
		limit, (unsigned long long)max);
}

void job_observe(const char *phase, double seconds)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "phase=\"%s\"", phase);
	metric_observe(metric_histogram("spoor_query_phase_seconds", "Time of queries by phase.", labels),
		       seconds);
}

static void count_refusal(enum err_code code)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "reason=\"%s\"", err_name(code));
	metric_add(
		metric_counter("spoor_query_refusals_total", "Read requests that failed, by reason.", labels),
		1);
}

static double seconds_since(int64_t mono_ns)
{
	return (double)(clock_mono_ns() - mono_ns) / (double)NS_PER_S;
}

static struct slice logged_text(const struct job *job)
{
	if (!atomic_load(&job->api->log_queries) || job->text.p == NULL)
		return SLICE("");
	return slice_sub(job->text, 0, LOGGED_TEXT_BYTES);
}

/* What the server failed at is always worth a line; the client's own mistakes only while debugging. That a client
 * went away is logged by the connection, with status 499. */
static void log_failure(const struct job *job, const struct err *err)
{
	int status = err_http_status(err->code);

#define FAILURE_KEYS                                                                                         \
	KVS("tenant", job->req->tenant), KVS("path", job->req->path), KVI("status", status),                 \
		KV("error", err->msg), KVF("seconds", seconds_since(job->started_mono_ns)),                  \
		KVS("query", logged_text(job))
	if (status >= 500)
		log_warn("query failed", FAILURE_KEYS);
	else
		log_debug("query refused", FAILURE_KEYS);
#undef FAILURE_KEYS
}

static void log_slow(const struct job *job)
{
	int64_t limit = atomic_load(&job->api->slow_query_ns);

	if (limit > 0 && clock_mono_ns() - job->started_mono_ns >= limit)
		log_info("slow query", KVS("tenant", job->req->tenant), KVS("path", job->req->path),
			 KVF("seconds", seconds_since(job->started_mono_ns)),
			 KVF("queued_seconds", (double)job->sched_job.queued_ns / (double)NS_PER_S),
			 KVS("query", logged_text(job)));
}

void job_page_headers(struct job *job)
{
	req_add_header(job->req, "Cache-Control", "no-store");
	job->nosniff = true;
}

void job_refuse(struct job *job, const struct err *err)
{
	count_refusal(err->code);
	log_failure(job, err);
	req_reply_error(job->req, err);
}

/* Runs on the loop thread, under the request's lock. */
static void on_cancel(void *arg)
{
	struct job *job = arg;

	atomic_store(&job->control.cancelled, true);
}

void job_watch_client(struct job *job)
{
	req_on_cancel(job->req, on_cancel, job);
}

static void reply(const struct job *job, struct buf *body)
{
	if (job->nosniff)
		req_add_header(job->req, "X-Content-Type-Options", "nosniff");
	if (job->status != 0)
		req_reply(job->req, job->status, job->content_type, body);
	else
		req_reply(job->req, body->n > 0 ? 200 : 204, body->n > 0 ? JOB_JSON : NULL, body);
}

static void run(struct sched_job *sched_job, const struct err *refused)
{
	struct job *job = (struct job *)sched_job; /* its first member */
	struct req *req = job->req;
	struct err err;
	struct buf body;

	if (refused != NULL) {
		running_remove(job);
		job_refuse(job, refused);
		req_finish_from_any_thread(req);
		return;
	}
	buf_init(&body);
	int rc = job->work(job, &body, &err);
	running_remove(job);
	if (rc == 0)
		reply(job, &body);
	else
		job_refuse(job, &err);
	buf_fini(&body);
	log_slow(job);
	req_finish_from_any_thread(req);
}

void job_submit(struct job *job, enum sched_class class,
		int (*work)(struct job *, struct buf *, struct err *))
{
	struct req *req = job->req;
	struct err err;

	_Static_assert(offsetof(struct job, sched_job) == 0, "run() relies on it");
	job->work = work;
	if (job->limits.query_timeout > 0)
		job->control.deadline_mono_ns = job->started_mono_ns + job->limits.query_timeout;
	job->sched_job.run = run;
	job->sched_job.class = class;
	job->sched_job.deadline_mono_ns = job->control.deadline_mono_ns;
	job->sched_job.cancelled = &job->control.cancelled;
	req_defer(req);
	job_watch_client(job);
	running_add(job);
	if (sched_submit(job->api->sched, req->tenant, (size_t)job->limits.max_queued_queries,
			 &job->sched_job, &err) == 0)
		return;
	running_remove(job);
	job_refuse(job, &err);
	req_finish_from_any_thread(req);
}
