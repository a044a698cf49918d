#include "api/running.h"

#include <pthread.h>
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/text.h"

enum { SHOWN_TEXT_BYTES = 16 << 10 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects the list and each job's place in it */
static struct job *first, *last;
static uint64_t last_id;

void running_add(struct job *job)
{
	pthread_mutex_lock(&lock);
	job->running.id = ++last_id;
	job->running.prev = last;
	job->running.next = NULL;
	*(last != NULL ? &last->running.next : &first) = job;
	last = job;
	pthread_mutex_unlock(&lock);
}

void running_remove(struct job *job)
{
	pthread_mutex_lock(&lock);
	*(job->running.prev != NULL ? &job->running.prev->running.next : &first) = job->running.next;
	*(job->running.next != NULL ? &job->running.next->running.prev : &last) = job->running.prev;
	pthread_mutex_unlock(&lock);
}

static void put_job(struct json_out *j, const struct job *job)
{
	json_open(j, '{');
	json_key_int_text(j, "id", (int64_t)job->running.id);
	json_key(j, "tenant");
	json_str(j, job->req->tenant);
	json_key(j, "query");
	json_str(j, slice_sub(job->text, 0, SHOWN_TEXT_BYTES));
	json_key(j, "path");
	json_str(j, job->req->path);
	json_key(j, "user");
	json_str(j, job->req->user);
	json_key_int_text(j, "started", job->now);
	json_key(j, "seconds");
	json_float(j, (double)(clock_mono_ns() - job->started_mono_ns) / (double)NS_PER_S);
	json_close(j, '}');
}

void running_list(struct slice tenant, struct buf *out)
{
	struct json_out j = { .b = out };

	json_open(&j, '{');
	json_key(&j, "queries");
	json_open(&j, '[');
	pthread_mutex_lock(&lock);
	for (const struct job *job = first; job != NULL; job = job->running.next)
		if (slice_eq(job->req->tenant, tenant))
			put_job(&j, job);
	pthread_mutex_unlock(&lock);
	json_close(&j, ']');
	json_close(&j, '}');
}

bool running_cancel(struct slice tenant, uint64_t id)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	for (struct job *job = first; job != NULL && !found; job = job->running.next)
		if (job->running.id == id && slice_eq(job->req->tenant, tenant)) {
			atomic_store(&job->control.cancelled, true);
			found = true;
		}
	pthread_mutex_unlock(&lock);
	return found;
}

/* ------------------------------------------------------------------ the handlers */

void running_queries(struct req *req)
{
	struct buf body;

	buf_init(&body);
	running_list(req->tenant, &body);
	req_add_header(req, "Cache-Control", "no-store");
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_reply(req, 200, JOB_JSON, &body);
	buf_fini(&body);
}

void running_cancel_query(struct req *req)
{
	int64_t id;

	if (slice_to_i64(req->param, &id) && id > 0 && running_cancel(req->tenant, (uint64_t)id))
		req_reply(req, 204, NULL, NULL);
	else
		req_reply_text(req, 404, SLICE("no such query is running\n"));
}
