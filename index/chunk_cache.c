#include "index/chunk_cache.h"
#include "base/mem.h"
#include "index/column_read.h"

enum { KIND_HEADER = 'h' };

/* Other kinds of the same cache: index/catalog.c. All members are of 8 bytes, for padding would be compared, too. */
struct header_key {
	uint64_t kind, file_id, off;
};

static void header_free(void *object)
{
	chunk_header_fini(object);
	free(object);
}

static size_t header_bytes_held(const struct chunk_header *h)
{
	return sizeof(*h) + h->n_blocks * sizeof(*h->block) +
	       (h->columns != NULL ? chunk_columns_bytes(h->columns) : 0);
}

struct cache_item *cached_header_get(struct cache *c, struct segment *s, uint64_t off, uint32_t header_bytes,
				     struct err *err)
{
	struct header_key k = { KIND_HEADER, segment_file_id(s), off };
	struct slice key = slice_of(&k, sizeof(k));
	struct cache_item *found = cache_get(c, key);

	if (found != NULL)
		return found;
	struct chunk_header *h = xmalloc(sizeof(*h));
	if (segment_chunk_header(s, off, header_bytes, h, err) == -1) {
		free(h);
		return NULL;
	}
	return cache_put_object(c, key, h, header_bytes_held(h), header_free);
}

const struct chunk_header *cached_header(const struct cache_item *i)
{
	return cache_object(i);
}
