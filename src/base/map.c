#include "base/map.h"
#include "base/hash.h"
#include "base/mem.h"

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
	free(m->slot);
	*m = (struct map){ 0 };
}

static uint64_t key_hash(struct slice key)
{
	uint64_t h = hash_seeded(key);

	return h != 0 ? h : 1;
}

static size_t find_slot(const struct map *m, struct slice key, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->slot[i].hash != 0 && (m->slot[i].hash != hash || !slice_eq(m->slot[i].key, key)))
		i = (i + 1) & (m->cap - 1);
	return i;
}

void *map_get(const struct map *m, struct slice key)
{
	if (m->n == 0)
		return NULL;
	const struct map_slot *s = &m->slot[find_slot(m, key, key_hash(key))];
	return s->hash != 0 ? s->value : NULL;
}

static void rehash(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap == 0 ? 16 : old.cap * 2;
	m->slot = xcalloc(m->cap, sizeof(*m->slot));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i].hash != 0)
			m->slot[find_slot(m, old.slot[i].key, old.slot[i].hash)] = old.slot[i];
	free(old.slot);
}

void **map_put(struct map *m, struct slice key, bool *is_new)
{
	uint64_t hash = key_hash(key);

	if (m->n * 4 >= m->cap * 3)
		rehash(m);
	struct map_slot *s = &m->slot[find_slot(m, key, hash)];
	if (is_new != NULL)
		*is_new = s->hash == 0;
	if (s->hash == 0) {
		*s = (struct map_slot){ key, hash, NULL };
		m->n++;
	}
	return &s->value;
}

void *map_remove(struct map *m, struct slice key)
{
	if (m->n == 0)
		return NULL;
	size_t i = find_slot(m, key, key_hash(key));
	if (m->slot[i].hash == 0)
		return NULL;
	void *value = m->slot[i].value;
	/* Close the gap: move back each following slot whose home is at or before the gap. */
	for (size_t j = (i + 1) & (m->cap - 1); m->slot[j].hash != 0; j = (j + 1) & (m->cap - 1)) {
		size_t home = m->slot[j].hash & (m->cap - 1);

		if (((j - home) & (m->cap - 1)) >= ((j - i) & (m->cap - 1))) {
			m->slot[i] = m->slot[j];
			i = j;
		}
	}
	m->slot[i] = (struct map_slot){ 0 };
	m->n--;
	return value;
}

bool map_next(const struct map *m, size_t *i, struct slice *key, void **value)
{
	for (; *i < m->cap; (*i)++) {
		if (m->slot[*i].hash != 0) {
			*key = m->slot[*i].key;
			*value = m->slot[*i].value;
			(*i)++;
			return true;
		}
	}
	return false;
}
