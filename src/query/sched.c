#include "query/sched.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

enum { TICK_MS = 100 };

/* A tenant with jobs waiting in one class: a FIFO of jobs, and a place in the ring of tenants. It exists only
 * while something waits. */
struct sched_tenant {
	char *id;
	size_t id_n;
	struct sched_job *first, *last;
	size_t n;
	struct sched_tenant *next, *prev;
};

struct lane {
	struct pool *pool;
	unsigned slots, running;
	size_t n_queued;
	struct sched_tenant *first, *last; /* whose turn it is: the first */
	struct map tenants;
	struct metric *m_running, *m_queued;
};

struct sched {
	pthread_mutex_t lock; /* protects everything; never held while a job runs */
	pthread_cond_t tick;
	pthread_t ticker;
	bool stopping;
	int64_t max_queue_ns;
	struct lane lane[SCHED_N_CLASSES];
	struct metric *m_wait;
};

static const char *const class_names[SCHED_N_CLASSES] = { "query", "meta" };

/* ---- queues; all under the lock ---- */

static void ring_append(struct lane *l, struct sched_tenant *t)
{
	t->next = NULL;
	t->prev = l->last;
	if (l->last != NULL)
		l->last->next = t;
	else
		l->first = t;
	l->last = t;
}

static void ring_remove(struct lane *l, struct sched_tenant *t)
{
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		l->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		l->last = t->prev;
}

static struct sched_tenant *tenant_get(struct lane *l, struct slice id)
{
	struct sched_tenant *t = map_get(&l->tenants, id);
	bool is_new;

	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->id = xmalloc(id.n + 1);
	memcpy(t->id, id.p != NULL ? id.p : "", id.n);
	t->id_n = id.n;
	*map_put(&l->tenants, slice_of(t->id, t->id_n), &is_new) = t;
	ring_append(l, t);
	return t;
}

static void enqueue(struct lane *l, struct sched_tenant *t, struct sched_job *job)
{
	job->tenant = t;
	job->next = NULL;
	job->prev = t->last;
	if (t->last != NULL)
		t->last->next = job;
	else
		t->first = job;
	t->last = job;
	t->n++;
	l->n_queued++;
	metric_set(l->m_queued, (int64_t)l->n_queued);
}

static void dequeue(struct lane *l, struct sched_job *job)
{
	struct sched_tenant *t = job->tenant;

	assert(t != NULL && t->n > 0 && l->n_queued > 0);
	if (job->prev != NULL)
		job->prev->next = job->next;
	else
		t->first = job->next;
	if (job->next != NULL)
		job->next->prev = job->prev;
	else
		t->last = job->prev;
	job->next = job->prev = NULL;
	job->tenant = NULL;
	job->queued_ns = clock_mono_ns() - job->submitted_mono_ns;
	l->n_queued--;
	metric_set(l->m_queued, (int64_t)l->n_queued);
	if (--t->n > 0)
		return;
	ring_remove(l, t);
	map_remove(&l->tenants, slice_of(t->id, t->id_n));
	free(t->id);
	free(t);
}

static void start(struct sched *s, struct lane *l, struct sched_job *job)
{
	l->running++;
	metric_set(l->m_running, l->running);
	metric_observe(s->m_wait, (double)job->queued_ns / (double)NS_PER_S);
	pool_submit(l->pool, &job->pool_job);
}

/* Fills free slots: one job of each tenant in turn. */
static void start_waiting(struct sched *s, struct lane *l)
{
	while (l->running < l->slots && l->first != NULL) {
		struct sched_tenant *t = l->first;
		struct sched_job *job = t->first;

		ring_remove(l, t);
		ring_append(l, t);
		dequeue(l, job);
		start(s, l, job);
	}
}

/* ---- on a worker ---- */

static void run_job(struct pool_job *pool_job)
{
	struct sched_job *job = (struct sched_job *)((char *)pool_job - offsetof(struct sched_job, pool_job));
	struct sched *s = job->sched;
	struct lane *l = &s->lane[job->class];

	job->run(job, NULL); /* the job may be gone now */
	pthread_mutex_lock(&s->lock);
	l->running--;
	metric_set(l->m_running, l->running);
	start_waiting(s, l);
	pthread_mutex_unlock(&s->lock);
}

/* ---- giving up ---- */

static void refuse(struct sched_job *job, enum err_code code)
{
	static const char *const texts[ERR_N_CODES] = {
		[ERR_LIMITED] = "too many outstanding requests",
		[ERR_TIMEOUT] =
			"request timed out, decrease the duration of the request or add more label matchers "
			"(prefer exact match over regex match) to reduce the amount of data processed",
		[ERR_CANCELLED] = "the request was cancelled by the client",
		[ERR_UNAVAILABLE] = "the server is shutting down",
	};
	struct err err;

	err_set(&err, code, "%s", texts[code]);
	job->run(job, &err);
}

static enum err_code overdue(const struct sched *s, const struct sched_job *job, int64_t now)
{
	if (job->cancelled != NULL && atomic_load_explicit(job->cancelled, memory_order_relaxed))
		return ERR_CANCELLED;
	if (job->deadline_mono_ns != 0 && now >= job->deadline_mono_ns)
		return ERR_TIMEOUT;
	if (now - job->submitted_mono_ns >= s->max_queue_ns)
		return ERR_LIMITED;
	return ERR_NONE;
}

/* Takes one overdue job out of the queues; NULL when there is none. */
static struct sched_job *take_overdue(struct sched *s, enum err_code *code)
{
	int64_t now = clock_mono_ns();

	for (int c = 0; c < SCHED_N_CLASSES; c++)
		for (struct sched_tenant *t = s->lane[c].first; t != NULL; t = t->next)
			for (struct sched_job *job = t->first; job != NULL; job = job->next) {
				*code = s->stopping ? ERR_UNAVAILABLE : overdue(s, job, now);
				if (*code == ERR_NONE)
					continue;
				dequeue(&s->lane[c], job);
				return job;
			}
	return NULL;
}

void sched_expire(struct sched *s)
{
	struct sched_job *job;

	do {
		enum err_code code = ERR_NONE;

		pthread_mutex_lock(&s->lock);
		job = take_overdue(s, &code);
		pthread_mutex_unlock(&s->lock);
		if (job != NULL)
			refuse(job, code);
	} while (job != NULL);
}

static size_t all_queued(const struct sched *s)
{
	size_t n = 0;

	for (int c = 0; c < SCHED_N_CLASSES; c++)
		n += s->lane[c].n_queued;
	return n;
}

/* Sleeps while nothing waits; then looks ten times a second for jobs that waited too long. */
static void *ticker_main(void *arg)
{
	struct sched *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		struct timespec until;

		if (all_queued(s) == 0) {
			pthread_cond_wait(&s->tick, &s->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&s->tick, &s->lock, &until);
		pthread_mutex_unlock(&s->lock);
		sched_expire(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the outside ---- */

void sched_options_init(struct sched_options *o, unsigned n_cores)
{
	*o = (struct sched_options){
		.slots = { [SCHED_QUERY] = 2 * MAX(n_cores, 1U), [SCHED_META] = 2 },
		.max_queue_ns = 10 * NS_PER_S,
	};
}

static void lane_init(struct lane *l, enum sched_class class, unsigned slots)
{
	struct buf labels;

	buf_init(&labels);
	metric_label(&labels, "class", slice_cstr(class_names[class]));
	buf_cstr_end(&labels);
	l->slots = MAX(slots, 1U);
	l->pool = pool_new(class_names[class], l->slots);
	map_init(&l->tenants);
	l->m_running = metric_gauge("spoor_queries_running", "Queries that run now.", labels.p);
	l->m_queued = metric_gauge("spoor_queries_queued", "Queries that wait for a slot.", labels.p);
	buf_fini(&labels);
}

struct sched *sched_new(const struct sched_options *o)
{
	struct sched *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->tick);
	s->max_queue_ns = o->max_queue_ns;
	s->m_wait =
		metric_histogram("spoor_query_phase_seconds", "Time of queries by phase.", "phase=\"queue\"");
	for (int c = 0; c < SCHED_N_CLASSES; c++)
		lane_init(&s->lane[c], (enum sched_class)c, o->slots[c]);
	if (pthread_create(&s->ticker, NULL, ticker_main, s) != 0)
		abort();
	pthread_setname_np(s->ticker, "sched");
	return s;
}

void sched_free(struct sched *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->tick);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->ticker, NULL);
	sched_expire(s);
	for (int c = 0; c < SCHED_N_CLASSES; c++) {
		pool_free(s->lane[c].pool);
		assert(s->lane[c].n_queued == 0 && s->lane[c].running == 0);
		map_fini(&s->lane[c].tenants);
	}
	pthread_cond_destroy(&s->tick);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int admit(struct sched *s, struct slice tenant, size_t max_queued, struct sched_job *job,
		 struct err *err)
{
	struct lane *l = &s->lane[job->class];

	if (s->stopping)
		return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
	if (l->running < l->slots && l->n_queued == 0) {
		start(s, l, job);
		return 0;
	}
	const struct sched_tenant *t = map_get(&l->tenants, tenant);
	if (max_queued > 0 && t != NULL && t->n >= max_queued)
		return err_set(err, ERR_LIMITED, "too many outstanding requests");
	enqueue(l, tenant_get(l, tenant), job);
	pthread_cond_signal(&s->tick);
	return 0;
}

int sched_submit(struct sched *s, struct slice tenant, size_t max_queued, struct sched_job *job,
		 struct err *err)
{
	assert(job->run != NULL && job->class < SCHED_N_CLASSES);
	job->sched = s;
	job->pool_job.run = run_job;
	job->submitted_mono_ns = clock_mono_ns();
	job->queued_ns = 0;
	pthread_mutex_lock(&s->lock);
	int rc = admit(s, tenant, max_queued, job, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

size_t sched_n_queued(struct sched *s, enum sched_class class)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->lane[class].n_queued;
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t sched_n_running(struct sched *s, enum sched_class class)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->lane[class].running;
	pthread_mutex_unlock(&s->lock);
	return n;
}
