/* index/rewrite.h - makes entries go for good: the segments of one partition that hold some are written anew without them.
 *
 * Order, each step durable before the next: the new segment, whose footer names the old one as replaced; the index
 * transaction that forgets the old one and names the new; the old file's end. A crash before the second step leaves an
 * unfinished merge, which the start removes; after it, a file that is known to be replaced, also to a rebuilt index. A
 * segment of which nothing is left becomes one without chunks, so that the same holds for it. */
#ifndef INDEX_REWRITE_H
#define INDEX_REWRITE_H

#include "index/store_internal.h"

struct rewrite_count {
	uint64_t entries, bytes, chunks; /* removed; chunks: removed or rewritten */
};

struct rewrite {
	struct store *s;
	struct partition *p;
	struct tombstone *const *v; /* what to remove */
	size_t n;
	struct rewrite_count *count; /* of v, n of them; added to */
	/* Whole streams to remove; may be NULL. */
	bool (*expired)(void *arg, struct slice encoded);
	void *arg;
	struct rewrite_count expired_count;
	uint64_t n_segments; /* written anew */
};

/* ERR_CORRUPT: a damaged segment stays as it is (the others are done). ERR_UNAVAILABLE: the store is being closed. A crash
 * or a failure on the way loses nothing, and what is done is done. */
int rewrite_partition(struct rewrite *r, struct err *err);

#endif
