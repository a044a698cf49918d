/* index/merge.h - a set of segments of one partition that becomes one segment, for merging (merge.c) and for leaving out
 * what is to go (rewrite.c). The caller holds the partition's merge_lock throughout, write_lock where it says so. */
#ifndef INDEX_MERGE_H
#define INDEX_MERGE_H

#include "index/store_internal.h"

struct merge_set {
	uint64_t *ids;		  /* of the segments, by rank */
	struct segment **segment; /* references, by rank */
	uint64_t *trace_keys;	  /* of their filters, by rank */
	size_t n;
	/* What the new segment's footer says it replaces: ids, and what these replaced themselves where the file is still
	 * there (somebody reads it, or it could not be removed). Else a crash might leave a file that nothing explains, and
	 * rebuilding the index would bring back what was removed from its successor. */
	VEC(uint64_t) replaces;
	VEC(struct chunk_row) rows; /* sorted by stream, time, segment rank */
	VEC(struct slice) labels;   /* of the streams in rows, in that order */
	struct arena arena;
	uint64_t wal_first, wal_last;
	uint32_t level; /* of the new segment */
	/* May be NULL. Asked for each stream, under no lock but merge_lock: which entries to leave out; and told of each. */
	const struct erase_set *(*leaves_out)(void *arg, struct slice encoded);
	void (*left_out)(void *arg, const struct tombstone *x, const struct chunk_entry *e);
	void *arg;
};

/* Under write_lock. seg: neighbours by wal_first. Fini in any case. */
int merge_set_load(struct merge_set *set, struct partition *p, const struct segment_summary *seg, size_t n,
		   struct err *err);
void merge_set_fini(struct merge_set *set);
/* Writes and publishes the new segment. Takes write_lock. out: what it is, may be NULL. */
int merge_set_write(struct store *s, struct partition *p, struct merge_set *set, struct segment_summary *out,
		    struct err *err);

#endif
