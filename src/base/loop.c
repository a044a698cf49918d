#include "base/loop.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop {
	struct event_base *base;
	struct event *wake;
	int wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* protects the queue */
	struct loop_job *first, **last;
	bool stopping;
};

static void run_posted(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	struct loop_job *job = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->lock);
	for (struct loop_job *next; job != NULL; job = next) {
		next = job->next;
		job->run(job);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t n;

	(void)what;
	while (read((int)fd, &n, sizeof(n)) == -1 && errno == EINTR)
		;
	run_posted(l);
	pthread_mutex_lock(&l->lock);
	bool stopping = l->stopping;
	pthread_mutex_unlock(&l->lock);
	if (stopping)
		event_base_loopbreak(l->base);
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;

	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

int loop_new(const char *name, struct loop **out, struct err *err)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->base = event_base_new();
	if (l->wake_fd == -1 || l->base == NULL)
		goto fail;
	l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
	if (l->wake == NULL || event_add(l->wake, NULL) == -1)
		goto fail;
	if (pthread_create(&l->thread, NULL, loop_main, l) != 0)
		goto fail;
	pthread_setname_np(l->thread, name);
	*out = l;
	return 0;
fail:
	err_set(err, ERR_INTERNAL, "event loop cannot start");
	if (l->wake != NULL)
		event_free(l->wake);
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->wake_fd != -1)
		close(l->wake_fd);
	free(l);
	return -1;
}

static void wake(struct loop *l)
{
	uint64_t one = 1;

	while (write(l->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR)
		;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	assert(!loop_is_current(l));
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	pthread_join(l->thread, NULL);
	run_posted(l);
	event_free(l->wake);
	/* What bufferevents have put off holds on to them. */
	while (event_base_get_num_events(l->base, EVENT_BASE_COUNT_ACTIVE) > 0 &&
	       event_base_loop(l->base, EVLOOP_NONBLOCK) == 0)
		;
	event_base_free(l->base);
	close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

void loop_post(struct loop *l, struct loop_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&l->lock);
	bool was_empty = l->first == NULL;
	*l->last = job;
	l->last = &job->next;
	pthread_mutex_unlock(&l->lock);
	if (was_empty)
		wake(l);
}

bool loop_is_current(const struct loop *l)
{
	return pthread_equal(pthread_self(), l->thread) != 0;
}
