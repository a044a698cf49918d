/* tests/unit/fake_store.h - a store in memory with the reading half of index/store.h, for tests of the query
 * layer. It cuts each stream into units and blocks of chosen sizes, and remembers what it was asked. It keeps
 * duplicates. */
#ifndef TESTS_FAKE_STORE_H
#define TESTS_FAKE_STORE_H

#include <stdatomic.h>
#include "index/store.h"

struct fake_entry {
	int64_t ts;
	struct slice line, meta; /* encoded */
};
struct fake_stream {
	struct labels labels;
	VEC(struct fake_entry) entries; /* as written */
};
struct fake_store {
	struct arena arena;
	VEC(struct fake_stream) streams;
	size_t unit_entries, block_entries;
	bool exact_count;	 /* units may say so */
	bool share_metas;	 /* blocks of a unit share one list of metadata sets */
	uint64_t corrupt_blocks; /* reported by each reader that reads */
	/* what was asked last */
	size_t n_groups, n_needles, n_tokens;
	bool no_lines;
	_Atomic size_t blocks_read;
};

void fake_store_init(struct fake_store *f);
void fake_store_fini(struct fake_store *f);
/* labels, meta: {a="b"} text; meta may be NULL. */
void fake_store_add(struct fake_store *f, const char *labels, int64_t ts, const char *line, const char *meta);

#endif
