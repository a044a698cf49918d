#include "ingest/rate.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>

struct bucket {
	uint64_t key; /* streams: hash, 0 = free */
	double tokens;
	int64_t at_ns; /* when tokens was right; monotonic */
};

struct tenant_bucket {
	struct bucket bucket;
	size_t n;
	char name[];
};

/* A stream's bucket lives in one of WAYS places; when all are taken, the one used longest ago makes room. */
enum { SETS = 8192, WAYS = 4, LOCKS = 64 };

struct rate {
	pthread_mutex_t tenant_lock;
	struct map tenants;
	pthread_mutex_t lock[LOCKS]; /* of the sets i with i % LOCKS == this */
	struct bucket *set;	     /* SETS * WAYS */
};

struct rate *rate_new(void)
{
	struct rate *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->tenant_lock, NULL);
	map_init(&r->tenants);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&r->lock[i], NULL);
	r->set = xcalloc(SETS * WAYS, sizeof(*r->set));
	return r;
}

void rate_free(struct rate *r)
{
	size_t i = 0;
	struct slice key;
	void *value;

	if (r == NULL)
		return;
	while (map_next(&r->tenants, &i, &key, &value))
		free(value);
	map_fini(&r->tenants);
	pthread_mutex_destroy(&r->tenant_lock);
	for (size_t k = 0; k < LOCKS; k++)
		pthread_mutex_destroy(&r->lock[k]);
	free(r->set);
	free(r);
}

static bool take(struct bucket *b, int64_t now, double rate, double burst, double n)
{
	double passed = (double)(now - b->at_ns) / 1e9;

	if (passed > 0) {
		b->tokens += passed * rate;
		b->at_ns = now;
	}
	if (b->tokens > burst)
		b->tokens = burst;
	if (n > b->tokens)
		return false;
	b->tokens -= n;
	return true;
}

bool rate_take_tenant(struct rate *r, struct slice tenant, double rate, double burst, double n)
{
	int64_t now = clock_mono_ns();
	bool is_new, ok;

	if (rate <= 0)
		return true;
	pthread_mutex_lock(&r->tenant_lock);
	struct tenant_bucket *t = map_get(&r->tenants, tenant);
	if (t == NULL) {
		t = xcalloc(1, sizeof(*t) + tenant.n + 1);
		t->n = tenant.n;
		memcpy(t->name, tenant.p, tenant.n);
		t->bucket = (struct bucket){ 0, burst, now };
		*map_put(&r->tenants, slice_of(t->name, t->n), &is_new) = t;
	}
	ok = take(&t->bucket, now, rate, burst, n);
	pthread_mutex_unlock(&r->tenant_lock);
	return ok;
}

bool rate_take_stream(struct rate *r, uint64_t stream, double rate, double burst, double n)
{
	uint64_t key = hash_mix(stream) | 1;
	size_t set = (size_t)(key >> 32) % SETS;
	int64_t now = clock_mono_ns();
	bool ok;

	if (rate <= 0)
		return true;
	pthread_mutex_lock(&r->lock[set % LOCKS]);
	struct bucket *way = &r->set[set * WAYS], *b = way;
	for (size_t i = 0; i < WAYS && b->key != key; i++)
		if (way[i].key == key || way[i].key == 0 || (b->key != 0 && way[i].at_ns < b->at_ns))
			b = &way[i];
	if (b->key != key)
		*b = (struct bucket){ key, burst, now };
	ok = take(b, now, rate, burst, n);
	pthread_mutex_unlock(&r->lock[set % LOCKS]);
	return ok;
}
