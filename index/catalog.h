/* index/catalog.h - what the index of a partition says of its segments, chunks and streams, held in memory so that a query
 * need not ask SQLite for the same rows again. Kept in the store's cache under keys that name what was read:
 *
 *	list	  (index, version)	     the segments of one state of the index, and how many streams it knows
 *	rows	  (index, segment)	     the segment's chunk rows, ascending by first_ts: they never change
 *	streams	  (index, last id)	     ids and labels: streams are only ever added
 *	filters	  (index, segment)	     the trace filters of the segment's chunks, their checksums verified
 *
 * A publish makes a new version, so the next query reads the short list anew, and of the rows only those it does not
 * know. Nothing has to be invalidated; what is no longer named grows old and leaves the cache.
 *
 * A catalog belongs to one thread, and lives between partition_read_begin and partition_read_end. What stands in it is as
 * new as the version of the index at its opening, or newer. */
#ifndef INDEX_CATALOG_H
#define INDEX_CATALOG_H

#include "index/partition.h"

struct catalog_segment {
	uint64_t id;
	int64_t first_ts, last_ts;
};

struct catalog {
	struct partition_reader *r;
	struct cache_item *list, *streams;
	const struct catalog_segment *segment; /* ascending by first_ts */
	size_t n_segments;
	int64_t last_stream;	 /* the highest id */
	struct cache_item **row; /* by segment; NULL: it does not meet the range */
	size_t n_damaged;	 /* rows whose checksum is wrong; they are left out */
};

/* Loads the rows of all segments that meet the range. On success catalog_close must follow. */
int catalog_open(struct partition_reader *r, struct timerange range, struct catalog *out, struct err *err);
void catalog_close(struct catalog *c);
/* Rows of segment i, ascending by first_ts; none if it does not meet the range. */
const struct chunk_row *catalog_rows(const struct catalog *c, size_t i, size_t *n);

/* From so many streams on they are not held in memory: ask partition_match_streams and partition_stream. */
enum { CATALOG_MAX_STREAMS = 50000 };
int catalog_load_streams(struct catalog *c, struct err *err);
/* After catalog_load_streams. Encoded labels; p NULL: no such stream. Lives as long as the catalog. */
struct slice catalog_stream(const struct catalog *c, int64_t id);

/* The filters of all chunks of segment i in one piece: from the cache, or read in one go if `load`. A reference, or NULL. */
struct cache_item *catalog_filters(const struct catalog *c, size_t i, struct segment *s, bool load);
/* The filter of one chunk among them. */
struct slice catalog_filter(const struct cache_item *filters, const struct chunk_row *row);

#endif
