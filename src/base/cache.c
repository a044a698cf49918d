#include "base/cache.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ITEM_OVERHEAD = 64, LARGEST_SHARE = 4 }; /* a value may take a quarter of the cache */

struct cache_item {
	_Atomic int refs;
	char *key, *value; /* malloc's */
	void *object;	   /* instead of a value */
	void (*fini)(void *object);
	size_t key_n, n;
	struct cache_item *newer, *older; /* under the cache's lock */
};

struct cache {
	pthread_mutex_t lock; /* held for a moment only */
	struct map by_key;
	struct cache_item *newest, *oldest;
	uint64_t max_bytes;
	struct cache_stats stats;
	struct account_user *memory;
};

struct cache *cache_new(uint64_t max_bytes)
{
	struct cache *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	map_init(&c->by_key);
	c->max_bytes = max_bytes;
	return c;
}

static uint64_t item_bytes(const struct cache_item *i)
{
	return sizeof(*i) + ITEM_OVERHEAD + i->key_n + i->n;
}

static struct slice item_key(const struct cache_item *i)
{
	return slice_of(i->key, i->key_n);
}

static void unlink_item(struct cache *c, struct cache_item *i)
{
	*(i->newer != NULL ? &i->newer->older : &c->newest) = i->older;
	*(i->older != NULL ? &i->older->newer : &c->oldest) = i->newer;
}

static void link_newest(struct cache *c, struct cache_item *i)
{
	i->newer = NULL;
	i->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = i;
	c->newest = i;
}

/* Out of the cache; the caller gets its reference. */
static struct cache_item *take_out(struct cache *c, struct cache_item *i)
{
	map_remove(&c->by_key, item_key(i));
	unlink_item(c, i);
	c->stats.bytes -= item_bytes(i);
	c->stats.items--;
	return i;
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	account_release(c->memory, c->stats.bytes);
	while (c->oldest != NULL)
		cache_release(take_out(c, c->oldest));
	map_fini(&c->by_key);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct cache_item *cache_get(struct cache *c, struct slice key)
{
	if (c == NULL)
		return NULL;
	pthread_mutex_lock(&c->lock);
	struct cache_item *i = map_get(&c->by_key, key);
	if (i != NULL) {
		atomic_fetch_add(&i->refs, 1);
		unlink_item(c, i);
		link_newest(c, i);
		c->stats.hits++;
	} else {
		c->stats.misses++;
	}
	pthread_mutex_unlock(&c->lock);
	return i;
}

static struct cache_item *item_new(struct slice key)
{
	struct cache_item *i = xcalloc(1, sizeof(*i));

	atomic_store(&i->refs, 1);
	i->key = xmalloc(key.n + 1);
	memcpy(i->key, key.p, key.n);
	i->key_n = key.n;
	return i;
}

/* Puts what must go at the head of *gone, linked by `older`. */
static void make_room(struct cache *c, uint64_t max_bytes, struct cache_item **gone)
{
	while (c->stats.bytes > max_bytes && c->oldest != NULL) {
		struct cache_item *i = take_out(c, c->oldest);

		i->older = *gone;
		*gone = i;
		c->stats.evicted++;
	}
}

static void release_all(struct cache_item *gone)
{
	for (struct cache_item *next; gone != NULL; gone = next) {
		next = gone->older;
		cache_release(gone);
	}
}

void cache_use_account(struct cache *c, struct account_user *u)
{
	c->memory = u;
}

bool cache_is_on(const struct cache *c)
{
	return c != NULL && c->max_bytes > 0;
}

void cache_shrink(struct cache *c)
{
	struct cache_item *gone = NULL;

	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	uint64_t before = c->stats.bytes;
	make_room(c, before / 2, &gone);
	uint64_t freed = before - c->stats.bytes;
	pthread_mutex_unlock(&c->lock);
	account_release(c->memory, freed);
	release_all(gone);
}

static struct cache_item *put_item(struct cache *c, struct slice key, struct cache_item *i)
{
	struct cache_item *gone = NULL;

	if (c == NULL || item_bytes(i) > c->max_bytes / LARGEST_SHARE)
		return i;
	account_charge(c->memory, item_bytes(i));
	pthread_mutex_lock(&c->lock);
	uint64_t bytes_before = c->stats.bytes + item_bytes(i);
	struct cache_item *before = map_get(&c->by_key, key);
	if (before != NULL) {
		gone = take_out(c, before);
		gone->older = NULL;
	}
	atomic_fetch_add(&i->refs, 1);
	*map_put(&c->by_key, item_key(i), NULL) = i;
	link_newest(c, i);
	c->stats.bytes += item_bytes(i);
	c->stats.items++;
	make_room(c, c->max_bytes, &gone);
	uint64_t freed = bytes_before - c->stats.bytes;
	pthread_mutex_unlock(&c->lock);
	account_release(c->memory, freed);
	release_all(gone);
	return i;
}

struct cache_item *cache_put(struct cache *c, struct slice key, struct buf *value)
{
	struct cache_item *i = item_new(key);
	char *taken = buf_take(value, &i->n);

	i->value = xrealloc(taken, i->n + 1); /* no more than is accounted for */
	return put_item(c, key, i);
}

struct cache_item *cache_put_object(struct cache *c, struct slice key, void *object, size_t n_bytes,
				    void (*fini)(void *object))
{
	struct cache_item *i = item_new(key);

	i->object = object;
	i->fini = fini;
	i->n = n_bytes;
	return put_item(c, key, i);
}

void *cache_object(const struct cache_item *i)
{
	return i->object;
}

struct slice cache_value(const struct cache_item *i)
{
	return slice_of(i->value, i->n);
}

void cache_release(struct cache_item *i)
{
	if (i == NULL || atomic_fetch_sub(&i->refs, 1) != 1)
		return;
	if (i->fini != NULL)
		i->fini(i->object);
	free(i->key);
	free(i->value);
	free(i);
}

struct cache_stats cache_stats(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	struct cache_stats s = c->stats;
	pthread_mutex_unlock(&c->lock);
	return s;
}
