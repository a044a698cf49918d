/* index/sorted.h - entries of one stream gathered from several sources, put in time order and rid of duplicates. Equal
 * timestamps keep the order in which they were written; equal (timestamp, line, metadata) is kept once, the first. */
#ifndef INDEX_SORTED_H
#define INDEX_SORTED_H

#include "base/vec.h"
#include "index/chunk.h"

struct sorted_entry {
	struct chunk_entry e;
	uint64_t order; /* ascending as written */
	union {
		uint32_t n_tokens; /* the head's: trace tokens behind the line's bytes */
		uint32_t
			late_block; /* the reader's: 1 + number of the block that has the rest of it; 0: it is here */
	};
	uint32_t meta; /* the reader's own */
};

struct sorted {
	VEC(struct sorted_entry) entries;
};

void sorted_finish(struct sorted *s, uint64_t *n_duplicates);
/* The two halves of it. By timestamp, then as written: */
void sorted_by_time(struct sorted *s);
/* Entries of one timestamp: the first of each content comes to the front; how many they are. */
size_t sorted_unique(struct sorted_entry *v, size_t n);
void sorted_fini(struct sorted *s);

#endif
