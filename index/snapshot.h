/* index/snapshot.h - the inside of a snapshot, for snapshot.c and reader.c. */
#ifndef INDEX_SNAPSHOT_H
#define INDEX_SNAPSHOT_H

#include "base/map.h"
#include "index/head.h"
#include "index/segment.h"
#include "index/store.h"

struct source {
	uint32_t stream;     /* number in the snapshot */
	int64_t first, last; /* inclusive */
	uint64_t seq, minor; /* order in which equal timestamps were written */
	uint64_t raw_bytes;
	uint32_t n_entries;
	bool clean; /* in order, no duplicates inside */
	/* a chunk … */
	struct segment *segment;
	uint64_t off;
	uint32_t header_bytes;
	const struct timerange *window; /* only blocks that meet one of these matter; n_windows 0: all */
	size_t n_windows;
	/* … or a run of a head, of which the first n_entries and n_metas count */
	const struct head_run *run;
	uint32_t n_metas;
};

struct snapshot {
	struct arena arena;
	struct store *store;
	struct scan_hint hint; /* its arrays copied into the arena */
	struct head *heads[2];
	struct map by_labels;		   /* encoded -> stream number + 1 */
	VEC(struct snap_stream *) streams; /* sorted at the end */
	VEC(struct source) sources;
	VEC(struct snap_unit) units;
	VEC(uint32_t) unit_sources;
	VEC(struct segment *) segments; /* references */
	struct snap_stats stats;
};

#endif
