/* api/job.h - a read request on its way: parameters on the I/O thread, then a turn of the scheduler, then work and
 * encoding on a worker, then the answer. One struct job for each request, in the request's arena.
 *
 *	handler ─► job_new ─► parse parameters ─► job_submit ─► work(job, &body, &err) ─► reply
 *	                            └─ job_refuse ──────────────────────────────────────► reply        */
#ifndef API_JOB_H
#define API_JOB_H

#include "api/api.h"
#include "api/params.h"
#include "api/req.h"
#include "query/query.h"
#include "query/sched.h"
#include "query/trace.h"

struct job {
	struct sched_job sched_job;
	struct req *req;
	struct api_context *api;
	struct query_control control;
	struct limits limits;
	int64_t now;	   /* of the wall clock, when the request came */
	struct slice text; /* what to show in the log */
	int64_t started_mono_ns;
	/* On a worker. Fills body; err on failure. */
	int (*work)(struct job *job, struct buf *body, struct err *err);
	int status; /* of a successful answer, and its type; 0: 200 or 204, JSON */
	const char *content_type;
	struct params_query query; /* what work needs; which part depends on the endpoint */
	struct slice name;
	struct slice *selector;
	size_t n_selectors;
	struct trace_request trace;
	uint32_t line_limit;
	bool by_name;
	struct {
		uint64_t id;
		struct job *next, *prev;
	} running;    /* of running.c */
	void *state;  /* what more the endpoint keeps */
	bool nosniff; /* of a successful answer; errors have it anyway */
};

struct job *job_new(struct req *req);
/* Headers of answers that a page shows: never from a cache, and nothing but JSON. */
void job_page_headers(struct job *job);
/* Answers on the spot with err. */
void job_refuse(struct job *job, const struct err *err);
/* Cancels the job when its client leaves. */
void job_watch_client(struct job *job);
/* The job belongs to the scheduler from here on. */
void job_submit(struct job *job, enum sched_class class,
		int (*work)(struct job *, struct buf *, struct err *));
/* -1: limit is more than max_entries_limit_per_query. */
int job_check_entries(const struct job *job, uint32_t limit, struct err *err);
/* Seconds of one phase of queries: "plan", "scan", "encode" (the scheduler measures "queue"). */
void job_observe(const char *phase, double seconds);

#define JOB_JSON "application/json; charset=UTF-8"

#endif
