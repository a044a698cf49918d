/* base/pool.h - a fixed set of worker threads and one queue. Between pool_submit and done the worker owns the job;
 * whoever submitted it may only set the job's own atomic cancel flag. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;
struct pool_job {
	void (*run)(struct pool_job *job); /* on a worker; the job may be freed inside */
	struct pool_job *next;		   /* the pool's */
};

struct pool *pool_new(const char *name, unsigned n_threads);
void pool_free(struct pool *p);				/* runs what is queued, then joins; NULL is fine */
void pool_submit(struct pool *p, struct pool_job *job); /* first in, first out; cannot fail */
unsigned pool_n_threads(const struct pool *p);

/* Runs fn(arg, i) for i in [0, n) on the calling thread and on idle workers, returns when all are done. Work is
 * handed out in order of i, one at a time. Safe to call on a worker. max_threads bounds how many take part. */
void pool_for(struct pool *p, size_t n, unsigned max_threads, void (*fn)(void *arg, size_t i), void *arg);

#endif
