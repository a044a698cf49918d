/* index/snapshot.h - the inside of a snapshot, for snapshot.c and reader.c. */
#ifndef INDEX_SNAPSHOT_H
#define INDEX_SNAPSHOT_H

#include "base/map.h"
#include "index/erase.h"
#include "index/head.h"
#include "index/segment.h"
#include "index/store.h"

/* What tells streams of several tenants apart; Loki's name. */
#define SNAPSHOT_TENANT_LABEL SLICE("__tenant_id__")

struct source {
	uint32_t stream;     /* number in the snapshot */
	int64_t first, last; /* inclusive */
	uint64_t seq, minor; /* order in which equal timestamps were written */
	uint64_t raw_bytes;
	uint32_t n_entries;
	bool clean;		       /* in order, no duplicates inside */
	const struct erase_set *erase; /* may hide some of it; NULL: nothing */
	/* a chunk … */
	struct segment *segment;
	uint64_t off, counts_off;
	uint32_t header_bytes;
	const struct timerange *window; /* only blocks that meet one of these matter; n_windows 0: all */
	size_t n_windows;
	/* … or a run of a head, of which the first n_entries and n_metas count */
	const struct head_run *run;
	const struct slice *metas;
	uint32_t n_metas;
	/* … or a chunk in a head's memory */
	const struct head_sealed *sealed;
};

/* One of those whose entries are read; streams and tombstones are each tenant's own. */
struct snap_tenant {
	struct slice id;
	struct tombstone **tombstones; /* references; of the tenant, that meet the range */
	size_t n_tombstones;
	struct map erase_sets; /* encoded -> struct erase_set, or &no_set */
	struct map by_labels;  /* encoded -> stream number + 1 */
};

struct snapshot {
	struct arena arena;
	struct store *store;
	struct scan_hint hint;	       /* its arrays copied into the arena */
	struct head *heads[2];	       /* while it is taken */
	VEC(struct head_part *) parts; /* references: what runs and sealed chunks live in */
	bool several;		       /* tenants were asked for: their streams get the label __tenant_id__ */
	struct snap_tenant *tenants;   /* the arena's */
	size_t n_tenants;
	struct snap_tenant *now;	   /* the one that is being looked at */
	VEC(struct snap_stream *) streams; /* sorted at the end */
	VEC(struct source) sources;
	VEC(struct snap_unit) units;
	VEC(uint32_t) unit_sources;
	VEC(struct segment *) segments; /* references */
	struct snap_stats stats;
};

#endif
