/* base/cache.h - bytes by key, within a limit: what was used least recently goes first. Values never change once they are
 * in; who needs another value uses another key, so nothing ever has to be taken out. Any thread may call anything. A cache
 * that is NULL keeps nothing. */
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include "base/account.h"
#include "base/buf.h"

struct cache;
struct cache_item; /* one value; counted references, so it outlives its place in the cache */

struct cache_stats {
	uint64_t bytes, items, hits, misses, evicted;
};

struct cache *cache_new(uint64_t max_bytes); /* 0: keeps nothing */
/* Accounts for what is kept. At the start, before anything is. */
void cache_use_account(struct cache *c, struct account_user *u);
bool cache_is_on(const struct cache *c); /* may it keep anything? */
void cache_shrink(struct cache *c);	 /* gives up half of what it holds; NULL is fine */
void cache_free(struct cache *c);	 /* NULL is fine; references that are still held stay good */

struct cache_item *cache_get(struct cache *c, struct slice key); /* a reference, or NULL */
/* Keeps the value unless it is so large that it would push out most others; a reference either way. The bytes of `value`
 * are taken and it is empty afterwards. If the key has a value already, that one is replaced. */
struct cache_item *cache_put(struct cache *c, struct slice key, struct buf *value);
/* The same for a thing that is more than bytes: `n_bytes` is what it takes at most, fini gives it back once the last reference
 * is gone, on whatever thread. What changes inside it is its owner's to lock. */
struct cache_item *cache_put_object(struct cache *c, struct slice key, void *object, size_t n_bytes,
				    void (*fini)(void *object));
void *cache_object(const struct cache_item *i);
struct slice cache_value(const struct cache_item *i); /* aligned as malloc does */
void cache_release(struct cache_item *i);	      /* NULL is fine */
struct cache_stats cache_stats(struct cache *c);

#endif
