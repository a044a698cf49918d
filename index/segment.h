/* index/segment.h - one immutable file of chunks, "<id>.seg" in its partition's folder. Written once, after that only
 * read or unlinked, so any number of threads may read without a lock.
 *
 *	+--------+-------+-------+- - -+----------+----------+- - -+--------+---------+
 *	| header | chunk | chunk |     | filter 1 | counts 1 |     | footer | trailer |
 *	+--------+-------+-------+- - -+----------+----------+- - -+--------+---------+
 *
 * header, 40 bytes:  "SPOORSEG" u32 version u32 flags(refuse unknown) u64 file_id u64 created_ns u64 checksum
 * filters: one fuse filter of trace tokens for each chunk; behind it may stand the chunk's counts (index/counts.h), which
 *          only their own magic and checksum tell from what else may stand there: older files have none
 * footer:  u32 "SPFT", varint wal_first, wal_last, level, u64 trace_keys, varint n_replaces, ids it replaces;
 *          varint n_streams, per stream: length and encoded labels; varint n_chunks, per chunk: varint stream, off,
 *          header_bytes, total_bytes, svarint first_ts, varint last_ts - first_ts, entries, raw_bytes, filter_off,
 *          filter_bytes, u64 filter checksum
 * trailer, 32 bytes: u64 footer_off u32 footer_bytes u32 "SPEN" u64 footer checksum u64 trailer checksum
 *
 * The footer holds all that index.db holds (but the trace index, made from the entries), so the index can be rebuilt. */
#ifndef INDEX_SEGMENT_H
#define INDEX_SEGMENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "index/chunk.h"

struct segment_chunk {
	uint32_t stream; /* number in the segment's stream table */
	uint64_t off;
	struct chunk_info info;
	uint64_t filter_off;
	uint32_t filter_bytes;
	uint64_t filter_sum;
};

struct segment_summary {
	uint64_t id, file_id;
	uint64_t wal_first,
		wal_last; /* numbers of the WAL files whose entries it holds; they also order segments */
	uint32_t level;	  /* how often its bytes were merged */
	uint64_t size;	  /* of the file */
	uint64_t n_entries, raw_bytes;
	int64_t first_ts, last_ts;
	uint64_t trace_keys; /* fingerprint of the keys with which its filters were made */
};

/* ---- writing */
const struct chunk_codec *segment_codec(void); /* what new chunks are written with */
void segment_set_codec(
	const struct chunk_codec *codec); /* for tests of older codecs; while no store is open */
struct segment_writer;
int segment_writer_open(const char *dir, uint64_t id, struct segment_writer **out, struct err *err);
/* A stream's number; encoded labels are borrowed until finish. */
uint32_t segment_writer_stream(struct segment_writer *w, struct slice encoded_labels);
/* tokens: trace tokens of these entries; sorted and made unique in place. */
int segment_writer_chunk(struct segment_writer *w, uint32_t stream, const struct chunk_entry *e, size_t n,
			 int effort, uint64_t *tokens, size_t n_tokens, struct err *err);
/* A chunk as it stands elsewhere, encoded with that seed. The bytes may be changed. */
struct segment_piece {
	struct chunk_info info;
	uint64_t seed;
	struct slice chunk, filter, counts; /* counts may be empty */
};
const struct chunk_codec *segment_piece_codec(const struct segment_piece *piece);
/* Writes the bytes of a chunk as they are, but for what depends on their place. */
int segment_writer_place(struct segment_writer *w, uint32_t stream, const struct segment_piece *piece,
			 struct err *err);
const struct slice *segment_writer_streams(const struct segment_writer *w); /* encoded labels by number */
size_t segment_writer_n_chunks(const struct segment_writer *w);
const struct segment_chunk *segment_writer_get(const struct segment_writer *w, size_t i);
/* Writes filters, footer and trailer; the file is durable afterwards. */
int segment_writer_finish(struct segment_writer *w, uint64_t wal_first, uint64_t wal_last, uint32_t level,
			  uint64_t trace_keys, const uint64_t *replaces, size_t n_replaces,
			  struct segment_summary *out, struct err *err);
void segment_writer_close(struct segment_writer *w,
			  bool keep); /* keep false: unlinks the file; NULL is fine */

/* ---- reading */
struct segment;
int segment_open(const char *dir, uint64_t id, struct segment **out, struct err *err); /* one reference */
struct segment *segment_ref(struct segment *s);
void segment_unref(struct segment *s);	   /* the last one closes, and unlinks if the segment is dead */
void segment_mark_dead(struct segment *s); /* unlinked when nobody reads it any more */
uint64_t segment_id(const struct segment *s);
uint64_t segment_file_id(const struct segment *s); /* random: no two files have the same */
int segment_chunk_header(struct segment *s, uint64_t off, uint32_t header_bytes, struct chunk_header *out,
			 struct err *err);

struct segment_reader_arg {
	struct segment *s;
	uint64_t chunk_off;
};
int segment_read(void *arg /* struct segment_reader_arg */, uint64_t off, size_t n, void *p, struct err *err);

/* The bytes of a chunk, its filter and its counts, for segment_writer_place; they stand in b. 1: *out is filled; 0: not
 * fit to be copied (its header or its filter is damaged); -1: ERR_IO. */
int segment_read_piece(struct segment *s, const struct segment_chunk *c, struct buf *b,
		       struct segment_piece *out, struct err *err);

/* Does the chunk's filter say "perhaps" for at least one token of every group? Damage counts as perhaps. */
struct trace_group;
bool segment_filter_may_hold(struct segment *s, uint64_t filter_off, uint32_t filter_bytes,
			     uint64_t filter_sum, const struct trace_group *groups, size_t n_groups);

/* Filters read in one go: false if they cannot be; each is to be asked for its soundness then. */
bool segment_read_filters(struct segment *s, uint64_t off, size_t n, char *out);
bool segment_filter_is_sound(const struct segment *s, struct slice filter, uint64_t filter_sum);
bool segment_filter_asks(struct slice filter, const struct trace_group *groups, size_t n_groups);
bool segment_filter_is_good(struct segment *s, uint64_t filter_off, uint32_t filter_bytes,
			    uint64_t filter_sum);

/* The chunk's counts stand at counts_off, behind its filter. 1: *out is filled; 0: there are none; -1: ERR_CORRUPT or
 * ERR_IO. */
struct counts;
int segment_counts(struct segment *s, uint64_t off, uint64_t counts_off, const struct chunk_info *info,
		   struct counts *out, struct err *err);

struct segment_footer {
	struct segment_summary sum;
	struct slice *stream; /* encoded labels */
	size_t n_streams;
	struct segment_chunk *chunk;
	size_t n_chunks;
	uint64_t *replaces;
	size_t n_replaces;
};
/* Does it end as a finished file does? Says nothing of the rest. */
bool segment_was_finished(struct segment *s);
int segment_read_footer(struct segment *s, struct arena *a, struct segment_footer *out, struct err *err);

/* Every entry of one chunk, in time order, to fn (-1 stops). Damaged blocks are skipped and counted. */
typedef int (*segment_entry_fn)(void *arg, const struct chunk_entry *e, struct err *err);
int segment_each_entry(struct segment *s, uint64_t off, uint32_t header_bytes, segment_entry_fn fn, void *arg,
		       uint64_t *n_bad_blocks, struct err *err);

void segment_path(char *out, size_t size, const char *dir, uint64_t id);

#endif
