/* index/seal.h - turns parts of a head into chunks in memory: sorted, rid of duplicates, cut by day, encoded, with the filter,
 * the counts and the trace tokens that the flush will need. The flush then writes their bytes as they are.
 *
 * When entries did not come in order, the newest ninth is carried over to the stream's next chunk: what comes a little late
 * then finds its place there, and chunks do not overlap. What comes later than that is a chunk of its own. */
#ifndef INDEX_SEAL_H
#define INDEX_SEAL_H

#include "index/head.h"
#include "index/partition.h"
#include "index/sorted.h"

/* One thread's work memory. Zero it first (but for bucket_ns), sealer_fini at the end. */
struct sealer {
	int64_t bucket_ns;     /* of the trace index */
	uint64_t n_duplicates; /* dropped so far; the caller may reset it */
	struct sorted sorted;
	VEC(struct chunk_entry) entries;
	VEC(uint64_t) tokens, bucket_tokens;
	VEC(struct head_bucket) buckets;
	struct buf chunk, filter, counts;
	struct account_user *account; /* of the above; may be NULL */
	uint64_t charged;
};
void sealer_fini(struct sealer *x);

/* Seals the closed part that waits longest. False: none waits. */
bool head_seal_next(struct head *h, struct sealer *x);
/* Seals all there is. Nobody appends to the head any more. */
void head_seal_all(struct head *h, struct sealer *x);

#endif
