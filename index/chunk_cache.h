/* index/chunk_cache.h - headers of chunks, parsed, for all who read the same chunk: with codec 2 that is the skeleton and
 * whatever dictionaries were asked for. A chunk never changes where it stands and no two files have the same id, so an
 * entry is never wrong. Held in the store's index cache under (file id, offset). Any thread; what a header holds is
 * read-only but for what index/column_read.h says. */
#ifndef INDEX_CHUNK_CACHE_H
#define INDEX_CHUNK_CACHE_H

#include "base/cache.h"
#include "index/segment.h"

/* A reference to the header; its chunk_header is *cached_header(). Cache NULL: read each time. NULL: ERR_CORRUPT or ERR_IO. */
struct cache_item *cached_header_get(struct cache *c, struct segment *s, uint64_t off, uint32_t header_bytes,
				     struct err *err);
const struct chunk_header *cached_header(const struct cache_item *i);

#endif
