#include "rules/outbox.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "rules/http_post.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define FIRST_PAUSE_NS	 (NS_PER_S / 2)
#define LONGEST_PAUSE_NS (30 * NS_PER_S)
#define LAST_WORDS_NS	 (3 * NS_PER_S)

enum { MAX_HEADERS = 8 };

struct item {
	struct item *next;
	size_t tenant_n, n;
	char bytes[]; /* tenant, then the item */
};

struct outbox {
	struct outbox_options o;
	struct http_post *post;
	pthread_t thread;
	pthread_mutex_t lock; /* protects the rest */
	pthread_cond_t changed;
	struct item *first, *last;
	size_t n;
	bool stopping, ended;
	int64_t stop_by_mono_ns;
	/* the thread's own */
	bool troubled; /* the last attempt failed */
};

/* ---- the queue; under the lock ---- */

static struct item *pop(struct outbox *b)
{
	struct item *x = b->first;

	b->first = x->next;
	if (b->first == NULL)
		b->last = NULL;
	b->n--;
	return x;
}

static bool same_tenant(const struct item *a, const struct item *b)
{
	return slice_eq(slice_of(a->bytes, a->tenant_n), slice_of(b->bytes, b->tenant_n));
}

typedef VEC(struct item *) item_vec;

static void take_batch(struct outbox *b, item_vec *batch)
{
	while (b->first != NULL && batch->n < b->o.max_batch &&
	       (batch->n == 0 || !b->o.by_tenant || same_tenant(batch->v[0], b->first)))
		vec_push(batch, pop(b));
}

void outbox_put(struct outbox *b, struct slice tenant, struct slice item)
{
	struct item *x = xmalloc(sizeof(*x) + tenant.n + item.n), *oldest = NULL;

	*x = (struct item){ .tenant_n = tenant.n, .n = item.n };
	memcpy(x->bytes, tenant.p != NULL ? tenant.p : "", tenant.n);
	memcpy(x->bytes + tenant.n, item.p != NULL ? item.p : "", item.n);
	pthread_mutex_lock(&b->lock);
	if (b->n >= b->o.max_items)
		oldest = pop(b);
	if (b->last != NULL)
		b->last->next = x;
	else
		b->first = x;
	b->last = x;
	b->n++;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	if (oldest != NULL)
		metric_add(b->o.dropped, 1);
	free(oldest);
}

static void wait_until(struct outbox *b, int64_t mono_ns)
{
	const struct timespec until = { mono_ns / NS_PER_S, mono_ns % NS_PER_S };

	pthread_cond_timedwait(&b->changed, &b->lock, &until);
}

/* ---- delivery ---- */

static int send_batch(struct outbox *b, const item_vec *batch, long *status, struct err *err)
{
	const struct item *first = batch->v[0];
	struct slice *item = xmalloc(batch->n * sizeof(*item));
	const char *header[MAX_HEADERS];
	char *tenant = NULL;
	struct buf body;
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++)
		item[i] = slice_of(batch->v[i]->bytes + batch->v[i]->tenant_n, batch->v[i]->n);
	for (; n < b->o.n_headers && n < MAX_HEADERS - 1; n++)
		header[n] = b->o.header[n];
	if (b->o.by_tenant) {
		tenant = xasprintf("X-Scope-OrgID: %.*s", (int)first->tenant_n, first->bytes);
		header[n++] = tenant;
	}
	buf_init(&body);
	b->o.body(item, batch->n, &body);
	int rc = http_post_send(b->post, buf_slice(&body), header, n, status, err);
	buf_fini(&body);
	free(tenant);
	free(item);
	return rc;
}

static void report(struct outbox *b, size_t n, const struct err *err, bool again)
{
	if (err == NULL) {
		if (b->troubled)
			log_info("delivery works again", KV("url", http_post_name(b->post)));
		b->troubled = false;
		return;
	}
	if (!b->troubled || !again)
		log_warn(again ? "cannot deliver, will try again" : "delivery refused, dropped",
			 KV("url", http_post_name(b->post)), KVI("items", n), KV("error", err->msg));
	b->troubled = b->troubled || again;
}

/* True: done with the batch, one way or another. */
static bool deliver(struct outbox *b, const item_vec *batch)
{
	struct err err;
	long status;

	if (send_batch(b, batch, &status, &err) == 0) {
		metric_add(b->o.sent, batch->n);
		report(b, batch->n, NULL, false);
		return true;
	}
	metric_add(b->o.failed, batch->n);
	if (err.code == ERR_CANCELLED)
		return false;
	report(b, batch->n, &err, http_post_may_retry(status));
	if (http_post_may_retry(status))
		return false;
	metric_add(b->o.dropped, batch->n);
	return true;
}

/* Under the lock, which is let go meanwhile. False: the batch was given up because the outbox closes. */
static bool deliver_until_done(struct outbox *b, const item_vec *batch)
{
	int64_t pause = FIRST_PAUSE_NS;

	for (;;) {
		pthread_mutex_unlock(&b->lock);
		bool done = deliver(b, batch);
		pthread_mutex_lock(&b->lock);
		if (done)
			return true;
		int64_t until = clock_mono_ns() + pause;
		while (!b->stopping && clock_mono_ns() < until)
			wait_until(b, until);
		if (b->stopping)
			return false;
		pause = MIN(2 * pause, LONGEST_PAUSE_NS);
	}
}

static void *thread_main(void *arg)
{
	struct outbox *b = arg;
	item_vec batch = { 0 };
	bool ok = true;

	pthread_mutex_lock(&b->lock);
	while (ok && (b->first != NULL || !b->stopping)) {
		if (b->first == NULL) {
			pthread_cond_wait(&b->changed, &b->lock);
			continue;
		}
		take_batch(b, &batch);
		ok = deliver_until_done(b, &batch);
		if (!ok)
			metric_add(b->o.dropped, batch.n);
		for (size_t i = 0; i < batch.n; i++)
			free(batch.v[i]);
		batch.n = 0;
	}
	b->ended = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	vec_fini(&batch);
	return NULL;
}

/* ---- life ---- */

int outbox_new(const struct outbox_options *o, struct outbox **out, struct err *err)
{
	struct outbox *b;
	struct http_post *post;

	if (http_post_new(o->url, o->path, &post, err) == -1)
		return -1;
	b = xcalloc(1, sizeof(*b));
	b->o = *o;
	b->o.url = NULL;
	b->post = post;
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->changed);
	if (pthread_create(&b->thread, NULL, thread_main, b) != 0)
		abort();
	pthread_setname_np(b->thread, o->thread);
	*out = b;
	return 0;
}

void outbox_stop(struct outbox *b)
{
	pthread_mutex_lock(&b->lock);
	if (!b->stopping)
		b->stop_by_mono_ns = clock_mono_ns() + LAST_WORDS_NS;
	b->stopping = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

void outbox_free(struct outbox *b)
{
	if (b == NULL)
		return;
	outbox_stop(b);
	pthread_mutex_lock(&b->lock);
	while (!b->ended && clock_mono_ns() < b->stop_by_mono_ns)
		wait_until(b, b->stop_by_mono_ns);
	pthread_mutex_unlock(&b->lock);
	http_post_stop(b->post);
	pthread_join(b->thread, NULL);
	while (b->first != NULL) {
		metric_add(b->o.dropped, 1);
		free(pop(b));
	}
	http_post_free(b->post);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
