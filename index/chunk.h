/* index/chunk.h - a compressed run of one stream's entries in time order, and the codecs that write and read it. The
 * codec's number stands in the chunk's header; everything else about the bytes is the codec's own business, behind
 * struct chunk_codec, so that codecs live side by side.
 *
 *	+--------------------------------------------- - - -+--------+--------+- - -
 *	| header: codec, entries, time range, block table   | block  | block  |
 *	+--------------------------------------------- - - -+--------+--------+- - -
 *
 * Header, little-endian, varints as in base/buf.h:
 *	u32 "SPCK"  u8 codec  varint n_entries  svarint first_ts  varint last_ts - first_ts  varint raw_bytes
 *	varint n_blocks, then per block: varint n_entries, varint first_ts - chunk.first_ts, varint last_ts - block.first_ts,
 *	varint sizes… (codec)   u64 checksum of each section (codec)   and at the end u64 checksum of the header.
 * All checksums are XXH3-64, seeded by the segment's file id and the chunk's offset in it, so that a misplaced or stale
 * chunk fails. They are verified before decompression and before any length inside is believed. */
#ifndef INDEX_CHUNK_H
#define INDEX_CHUNK_H

#include "base/buf.h"
#include "base/err.h"

enum { CHUNK_MAX_HEADER = 1 << 20, CHUNK_MAX_BLOCKS = 65536 };

struct chunk_entry {
	int64_t ts;
	struct slice line;
	struct slice meta; /* encoded labels */
};

struct chunk_info {
	int64_t first_ts, last_ts;
	uint32_t n_entries;
	uint64_t raw_bytes; /* lines + encoded metadata */
	uint32_t header_bytes;
	uint64_t total_bytes; /* header and blocks */
};

struct chunk_block {
	uint32_t n_entries;
	int64_t first_ts, last_ts;
	uint32_t first_entry;				     /* its number in the chunk */
	uint64_t off;					     /* from the start of the chunk */
	uint32_t text_raw, text_comp, table_raw, table_comp; /* codec 1: sizes of its two sections */
	uint64_t text_sum, table_sum;
};

struct chunk_header {
	uint8_t codec;
	struct chunk_info info;
	uint64_t seed;
	uint32_t n_blocks;
	struct chunk_block *block;     /* malloc'd */
	struct chunk_columns *columns; /* codec 2: descriptors and where the sections stand; malloc'd */
};

/* Decoded parts of a block. Buffers are reused from block to block; zero it first, chunk_scratch_fini at the end. */
struct chunk_scratch {
	struct buf comp, text, table;
	int64_t *ts;
	struct slice *line;
	uint32_t *meta;
	struct slice *metas;
	size_t n, cap, n_metas, cap_metas;
	uint64_t metas_key;	 /* as entry_block.metas_key */
	struct columns *columns; /* codec 2: the block's columns; the bytes of lines and metas stand there */
};

/* How the bytes of a chunk are fetched: all of [off, off+n) into p, or -1. */
struct chunk_source {
	int (*read)(void *arg, uint64_t off, size_t n, void *p, struct err *err);
	void *arg;
};

struct chunk_codec {
	uint8_t number;
	const char *name;
	/* Entries sorted by time, no duplicates. Appends the whole chunk to out. */
	void (*encode)(const struct chunk_entry *e, size_t n, uint64_t seed, int effort, struct buf *out,
		       struct chunk_info *info);
	/* The encoded chunk at `chunk` is to stand elsewhere: rewrites what depends on the seed. It was encoded with `from`. */
	void (*place)(char *chunk, const struct chunk_info *info, uint64_t from, uint64_t to);
	/* Could the block hold lines with all needles? Loads what it must into the scratch. 1 perhaps, 0 no, -1 error. */
	int (*block_may_match)(const struct chunk_header *h, size_t i, struct chunk_source src,
			       const struct slice *needles, size_t n_needles, struct chunk_scratch *s,
			       struct err *err);
	/* Fills ts, line, meta, metas of the scratch. with_lines false: line[].p is NULL, line[].n right. After block_may_match of the
	 * same block its work is not done again, and entries that lack a needle may be left out. -1: ERR_CORRUPT (this block only) or ERR_IO. */
	int (*block_read)(const struct chunk_header *h, size_t i, struct chunk_source src, bool with_lines,
			  struct chunk_scratch *s, struct err *err);
};

const struct chunk_codec *chunk_codec_find(uint8_t number); /* NULL if unknown */
extern const struct chunk_codec chunk_codec_rows;	    /* codec 1 */

/* seed for the chunk at off of the segment with this file id */
uint64_t chunk_seed(uint64_t file_id, uint64_t off);
int chunk_header_parse(struct slice bytes, uint64_t seed, struct chunk_header *out, struct err *err);
void chunk_header_fini(struct chunk_header *h);
void chunk_scratch_reset(struct chunk_scratch *s); /* forgets which block it holds */
void chunk_scratch_fini(struct chunk_scratch *s);

#endif
