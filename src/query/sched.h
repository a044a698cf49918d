/* query/sched.h - who may run now. Queries run on threads of the scheduler's own, so that their number is
 * bounded and an I/O thread never waits; metadata queries (labels, series) have a few threads to themselves,
 * so that a label menu opens while heavy queries run. What cannot run at once waits in its tenant's queue;
 * tenants take turns.
 *
 *	sched_submit ─► queue of the tenant ─► a free slot ─► job->run(job, NULL)         on a worker
 *	                        └─ too long, too late, cancelled, stopping ─► job->run(job, why)
 *
 * Thread-safe. The job is the scheduler's from sched_submit until it calls run, exactly once; run may free
 * it. */
#ifndef QUERY_SCHED_H
#define QUERY_SCHED_H

#include <stdatomic.h>
#include "base/err.h"
#include "base/pool.h"

enum sched_class { SCHED_QUERY, SCHED_META, SCHED_N_CLASSES };

struct sched;
struct sched_tenant;

struct sched_job {
	/* refused NULL: do the work. Otherwise the job never ran; called on the scheduler's own thread:
	 * ERR_LIMITED (queued for max_queue_ns), ERR_TIMEOUT (its deadline), ERR_CANCELLED, ERR_UNAVAILABLE
	 * (stopping). */
	void (*run)(struct sched_job *job, const struct err *refused);
	enum sched_class class;
	int64_t deadline_mono_ns;      /* 0 = none */
	const _Atomic bool *cancelled; /* looked at while it waits; may be NULL */
	int64_t queued_ns;	       /* out: how long it waited; set before run */
	/* the scheduler's own */
	struct pool_job pool_job;
	struct sched *sched;
	struct sched_tenant *tenant;
	struct sched_job *next, *prev;
	int64_t submitted_mono_ns;
};

struct sched_options {
	unsigned slots[SCHED_N_CLASSES]; /* how many run at once; at least 1 */
	int64_t max_queue_ns;		 /* a job that waited so long is refused */
};
void sched_options_init(struct sched_options *o, unsigned n_cores); /* 2 x cores, 2 for metadata; 10 s */

struct sched *sched_new(const struct sched_options *o);
/* Refuses what is queued, waits for what runs. NULL is fine. */
void sched_free(struct sched *s);
/* The caller has filled run, class, deadline and cancelled. -1 (ERR_LIMITED, ERR_UNAVAILABLE): the job is
 * still the caller's and run is not called. max_queued: of this tenant and class; 0 = no limit. */
int sched_submit(struct sched *s, struct slice tenant, size_t max_queued, struct sched_job *job,
		 struct err *err);
/* Refuses the jobs that waited too long or are cancelled. The scheduler does it ten times a second; tests
 * with a fake clock call it. */
void sched_expire(struct sched *s);
size_t sched_n_queued(struct sched *s, enum sched_class class);
size_t sched_n_running(struct sched *s, enum sched_class class);

#endif
