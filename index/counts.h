/* index/counts.h - what a chunk holds, counted when it is written: entries and bytes of lines by level and minute, so that
 * a histogram need not read the chunk. Stands behind the chunk's trace filter (index/segment.h):
 *
 *	0        4        8          16
 *	+--------+--------+----------+---------------------- - - -+
 *	| "SPCN" | length | checksum | payload: length bytes      |   checksum: XXH3-64, seeded as the chunk's
 *	+--------+--------+----------+---------------------- - - -+
 *
 * payload: varint width of a bucket in seconds; varint n_names, n_names x u32: low halves of the hashes of all other names
 *	of metadata; varint n_kinds, per kind the values of `detected_level` and of `level`, each varint length + 1 and bytes
 *	(0: no such metadata); varint n_buckets, per bucket: varint number - that of the bucket before (the first: - that of
 *	the chunk's first entry), then per kind varint entries, and if there are any, varint bytes of lines
 *
 * Bucket k holds k * width < ts <= (k + 1) * width, as windows of range aggregations do. A chunk whose counts would be large
 * beside its raw bytes is counted by wider buckets, or not at all. */
#ifndef INDEX_COUNTS_H
#define INDEX_COUNTS_H

#include "base/buf.h"
#include "base/vec.h"
#include "index/chunk.h"
#include "index/store.h"

enum {
	COUNTS_HEADER_BYTES = 16,
	COUNTS_MAX_BYTES = 1 << 20, /* of the payload */
	COUNTS_MAX_KINDS = 16,
	COUNTS_MAX_NAMES = 64,
	COUNTS_MAX_BUCKETS = 4096,
	COUNTS_MAX_VALUE = 64, /* bytes of a level */
};

/* Header and payload of the chunk of these entries (sorted by time, as for chunk_codec.encode), or nothing. */
void counts_build(const struct chunk_entry *e, size_t n, const struct chunk_info *info, uint64_t seed,
		  struct buf *out);

/* What counts_build made of a chunk with seed `from` is to stand by one with seed `to`. Damaged bytes stay so. */
void counts_place(char *p, size_t n, uint64_t from, uint64_t to);

/* Decoded. Zero it first; buffers are reused. */
struct counts {
	struct buf bytes, text;
	VEC(uint32_t) names;
	VEC(struct slice) metas; /* kinds as encoded labels; in text */
	VEC(struct count_bucket) buckets;
	uint64_t n_entries; /* that they must add up to */
};
/* Payload length, or 0 if this is no header. */
uint32_t counts_header(const char header[COUNTS_HEADER_BYTES], uint64_t *checksum);
/* info: of the chunk, whose times and number of entries must fit. ERR_CORRUPT. */
int counts_parse(struct slice payload, const struct chunk_info *info, struct counts *out, struct err *err);
/* May an entry of the chunk have metadata of this name, other than the levels? */
bool counts_have_name(const struct counts *c, struct slice name);
void counts_fini(struct counts *c);

#endif
