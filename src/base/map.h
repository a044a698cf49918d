/* base/map.h - a hash table from bytes to a pointer. Keys are borrowed: they must live as long as the map. Open
 * addressing, linear probing, XXH3 seeded once a process so that a sender cannot choose collisions.
 * Not thread-safe. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map_slot {
	struct slice key;
	uint64_t hash; /* 0 = free */
	void *value;
};
struct map {
	struct map_slot *slot;
	size_t n;
	size_t cap; /* a power of two, or 0 */
};

void map_init(struct map *m);
void map_fini(struct map *m);
void *map_get(const struct map *m, struct slice key);	       /* NULL if absent */
void **map_put(struct map *m, struct slice key, bool *is_new); /* address of the value, NULL in it when new */
void *map_remove(struct map *m, struct slice key);	       /* the value, or NULL */
/* for (size_t i = 0; map_next(m, &i, &key, &value); ) in no particular order; the map must not change meanwhile */
bool map_next(const struct map *m, size_t *i, struct slice *key, void **value);

#endif
