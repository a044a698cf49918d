/* The scheduler: tenants take turns, queues are bounded, nobody waits too long, metadata has slots of its own. */
#include "query/sched.h"
#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { N_JOBS = 64 };

/* A job that notes when it ran, and can be held while it runs. */
struct job {
	struct sched_job sched_job;
	const char *name;
	bool hold;
	_Atomic bool cancelled;
	enum err_code refused;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool released;
	const char *order[N_JOBS];
	size_t n_done, n_started;
} world = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void run(struct sched_job *sched_job, const struct err *refused)
{
	struct job *job = (struct job *)sched_job;

	pthread_mutex_lock(&world.lock);
	world.n_started++;
	pthread_cond_broadcast(&world.changed);
	while (job->hold && refused == NULL && !world.released)
		pthread_cond_wait(&world.changed, &world.lock);
	job->refused = refused != NULL ? refused->code : ERR_NONE;
	world.order[world.n_done++] = job->name;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
}

static void release(void)
{
	pthread_mutex_lock(&world.lock);
	world.released = true;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
}

static void wait_done(size_t n)
{
	pthread_mutex_lock(&world.lock);
	while (world.n_done < n)
		pthread_cond_wait(&world.changed, &world.lock);
	pthread_mutex_unlock(&world.lock);
}

static void wait_started(size_t n)
{
	pthread_mutex_lock(&world.lock);
	while (world.n_started < n)
		pthread_cond_wait(&world.changed, &world.lock);
	pthread_mutex_unlock(&world.lock);
}

static struct sched *one_slot(void)
{
	struct sched_options o;

	sched_options_init(&o, 1);
	o.slots[SCHED_QUERY] = 1;
	world.released = false;
	world.n_done = world.n_started = 0;
	return sched_new(&o);
}

static void submit(struct sched *s, const char *tenant, struct job *job)
{
	struct err err;

	job->sched_job.run = run;
	job->sched_job.cancelled = &job->cancelled;
	if (sched_submit(s, slice_cstr(tenant), 0, &job->sched_job, &err) == -1)
		fail_msg("%s: %s", job->name, err.msg);
}

static void a_free_slot_runs_at_once(void **state)
{
	struct sched *s = one_slot();
	struct job job = { .name = "a" };

	(void)state;
	submit(s, "t", &job);
	wait_done(1);
	assert_int_equal(job.refused, ERR_NONE);
	assert_int_equal(sched_n_queued(s, SCHED_QUERY), 0);
	sched_free(s);
}

static void tenants_take_turns(void **state)
{
	struct sched *s = one_slot();
	struct job first = { .name = "first", .hold = true };
	struct job a[3] = { { .name = "a1" }, { .name = "a2" }, { .name = "a3" } };
	struct job b[2] = { { .name = "b1" }, { .name = "b2" } };
	struct job c = { .name = "c1" };
	static const char *const order[] = { "first", "a1", "b1", "c1", "a2", "b2", "a3" };

	(void)state;
	submit(s, "a", &first);
	wait_started(1);
	for (int i = 0; i < 3; i++)
		submit(s, "a", &a[i]);
	for (int i = 0; i < 2; i++)
		submit(s, "b", &b[i]);
	submit(s, "c", &c);
	assert_int_equal(sched_n_queued(s, SCHED_QUERY), 6);
	release();
	wait_done(7);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_string_equal(world.order[i], order[i]);
	sched_free(s);
}

static void a_tenants_queue_is_bounded(void **state)
{
	struct sched *s = one_slot();
	struct job first = { .name = "first", .hold = true }, waits[2] = { { .name = "1" }, { .name = "2" } };
	struct job extra = { .name = "extra", .sched_job = { .run = run } }, other = { .name = "other" };
	struct err err;

	(void)state;
	submit(s, "a", &first);
	wait_started(1);
	submit(s, "a", &waits[0]);
	submit(s, "a", &waits[1]);
	assert_int_equal(sched_submit(s, SLICE("a"), 2, &extra.sched_job, &err), -1);
	assert_int_equal(err.code, ERR_LIMITED);
	assert_string_equal(err.msg, "too many outstanding requests");
	other.sched_job.run = run;
	assert_int_equal(sched_submit(s, SLICE("b"), 2, &other.sched_job, &err), 0);
	release();
	wait_done(4);
	sched_free(s);
}

static void who_waits_too_long_is_refused(void **state)
{
	struct sched *s;
	struct job first = { .name = "first", .hold = true };
	struct job late = { .name = "late" }, deadline = { .name = "deadline" }, young = { .name = "young" };

	(void)state;
	clock_fake(1000 * NS_PER_S);
	s = one_slot();
	submit(s, "a", &first);
	wait_started(1);
	submit(s, "a", &late);
	clock_fake_advance(5 * NS_PER_S);
	deadline.sched_job.deadline_mono_ns = clock_mono_ns() + 4 * NS_PER_S;
	submit(s, "b", &deadline);
	submit(s, "a", &young);
	sched_expire(s);
	assert_int_equal(sched_n_queued(s, SCHED_QUERY), 3);
	clock_fake_advance(5 * NS_PER_S);
	sched_expire(s);
	wait_done(2); /* here or on the scheduler's own thread */
	assert_int_equal(late.refused, ERR_LIMITED);
	assert_true(late.sched_job.queued_ns == 10 * NS_PER_S);
	assert_int_equal(deadline.refused, ERR_TIMEOUT);
	assert_int_equal(sched_n_queued(s, SCHED_QUERY), 1);
	release();
	wait_done(4);
	assert_int_equal(young.refused, ERR_NONE);
	assert_true(young.sched_job.queued_ns == 5 * NS_PER_S);
	sched_free(s);
	clock_fake(0);
}

static void a_cancelled_job_leaves_the_queue(void **state)
{
	struct sched *s = one_slot();
	struct job first = { .name = "first", .hold = true }, gone = { .name = "gone" };

	(void)state;
	submit(s, "a", &first);
	wait_started(1);
	submit(s, "a", &gone);
	atomic_store(&gone.cancelled, true);
	wait_done(1); /* noticed by the scheduler's own thread */
	assert_int_equal(gone.refused, ERR_CANCELLED);
	release();
	wait_done(2);
	sched_free(s);
}

static void metadata_has_slots_of_its_own(void **state)
{
	struct sched *s = one_slot();
	struct job heavy = { .name = "heavy", .hold = true };
	struct job labels = { .name = "labels", .sched_job = { .class = SCHED_META } };

	(void)state;
	submit(s, "a", &heavy);
	wait_started(1);
	submit(s, "a", &labels);
	wait_done(1);
	assert_string_equal(world.order[0], "labels");
	assert_int_equal(sched_n_running(s, SCHED_QUERY), 1);
	release();
	wait_done(2);
	sched_free(s);
}

static void freeing_refuses_what_waits(void **state)
{
	struct sched *s = one_slot();
	struct job first = { .name = "first", .hold = true }, waits = { .name = "waits" };

	(void)state;
	submit(s, "a", &first);
	wait_started(1);
	submit(s, "a", &waits);
	release(); /* both outcomes are right for `waits`: it ran, or it was refused */
	sched_free(s);
	assert_int_equal(world.n_done, 2);
	assert_true(waits.refused == ERR_NONE || waits.refused == ERR_UNAVAILABLE);
}

/* Many submitters, many tenants: every job runs exactly once. */
static struct sched *crowd_sched;

static void *crowd(void *arg)
{
	struct job *jobs = arg;

	for (int i = 0; i < N_JOBS / 4; i++) {
		char tenant[8] = { (char)('a' + i % 5), '\0' };

		submit(crowd_sched, tenant, &jobs[i]);
	}
	return NULL;
}

static void every_job_of_a_crowd_runs_once(void **state)
{
	static struct job jobs[N_JOBS];
	struct sched_options o;
	pthread_t t[4];

	(void)state;
	sched_options_init(&o, 2);
	world.n_done = world.n_started = 0;
	crowd_sched = sched_new(&o);
	for (int i = 0; i < N_JOBS; i++)
		jobs[i] = (struct job){ .name = "x",
					.sched_job = { .class = i % 7 == 0 ? SCHED_META : SCHED_QUERY } };
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, crowd, &jobs[i * (N_JOBS / 4)]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	wait_done(N_JOBS);
	sched_free(crowd_sched);
	assert_int_equal(world.n_done, N_JOBS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_free_slot_runs_at_once),
		cmocka_unit_test(tenants_take_turns),
		cmocka_unit_test(a_tenants_queue_is_bounded),
		cmocka_unit_test(who_waits_too_long_is_refused),
		cmocka_unit_test(a_cancelled_job_leaves_the_queue),
		cmocka_unit_test(metadata_has_slots_of_its_own),
		cmocka_unit_test(freeing_refuses_what_waits),
		cmocka_unit_test(every_job_of_a_crowd_runs_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
