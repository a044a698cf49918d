#include "base/pool.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct pool_job *first, **last;
	bool stopping;
	unsigned n_threads;
	pthread_t thread[];
};

static void *worker(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_job *job = p->first;

		if (job == NULL) {
			if (p->stopping)
				break;
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		p->first = job->next;
		if (p->first == NULL)
			p->last = &p->first;
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct pool *pool_new(const char *name, unsigned n_threads)
{
	struct pool *p = xcalloc(1, sizeof(*p) + n_threads * sizeof(pthread_t));

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->last = &p->first;
	for (; p->n_threads < n_threads; p->n_threads++) {
		if (pthread_create(&p->thread[p->n_threads], NULL, worker, p) != 0)
			break;
		pthread_setname_np(p->thread[p->n_threads], name);
	}
	if (p->n_threads == 0)
		abort();
	return p;
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pool_submit(struct pool *p, struct pool_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->last = job;
	p->last = &job->next;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

unsigned pool_n_threads(const struct pool *p)
{
	return p->n_threads;
}

/* Shared by the caller and the helpers it asked for; the last to leave frees it. A helper that starts after the
 * work is gone finds nothing to do. */
struct spread {
	void (*fn)(void *arg, size_t i);
	void *arg;
	size_t n;
	_Atomic size_t next;
	_Atomic unsigned refs;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t n_done;
};
struct helper {
	struct pool_job job;
	struct spread *s;
};

static void spread_unref(struct spread *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void spread_run(struct spread *s)
{
	size_t n_done = 0;

	for (size_t i; (i = atomic_fetch_add(&s->next, 1)) < s->n; n_done++)
		s->fn(s->arg, i);
	if (n_done == 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->n_done += n_done;
	if (s->n_done == s->n)
		pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

static void help(struct pool_job *job)
{
	struct helper *h = (struct helper *)job;

	spread_run(h->s);
	spread_unref(h->s);
	free(h);
}

void pool_for(struct pool *p, size_t n, unsigned max_threads, void (*fn)(void *arg, size_t i), void *arg)
{
	unsigned n_helpers = MIN(p->n_threads, max_threads > 0 ? max_threads - 1 : 0);

	if (n == 0)
		return;
	n_helpers = (unsigned)MIN((size_t)n_helpers, n - 1);
	if (n_helpers == 0) {
		for (size_t i = 0; i < n; i++)
			fn(arg, i);
		return;
	}
	struct spread *s = xcalloc(1, sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	s->n = n;
	atomic_store(&s->refs, n_helpers + 1);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	for (unsigned i = 0; i < n_helpers; i++) {
		struct helper *h = xmalloc(sizeof(*h));

		h->job.run = help;
		h->s = s;
		pool_submit(p, &h->job);
	}
	spread_run(s);
	pthread_mutex_lock(&s->lock);
	while (s->n_done < n)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	spread_unref(s);
}
