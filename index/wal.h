/* index/wal.h - the write-ahead log: files "<number>.wal" of one folder, appended only, one writer. A WAL position is a
 * file's number: a flush covers whole files.
 *
 * file header, 56 bytes: "SPOORWAL" u32 version u32 flags(refuse unknown) u64 number u64 seed u64 prev_number
 *	u64 prev_good u64 checksum. prev_good says up to which offset the file prev_number may be believed: after a
 *	failed write or sync nothing more is appended to a file, its successor says where it ends.
 * record:	0        4         8                  16                24
 *		+--------+---------+------------------+-----------------+------------------- - -
 *		| "SPWR" | length  | payload checksum | header checksum | payload: length bytes
 *		+--------+---------+------------------+-----------------+------------------- - -
 *	The header's checksum is seeded by the file's seed and the record's offset, so that a flipped length is caught before
 *	it is used and a stale or misplaced record fails.
 * payload: u8 type (1 = entries), length and tenant, varint n_streams, per stream: length and encoded labels, varint n,
 *	per entry: svarint ts - previous ts (the first: - 0), length and line, length and encoded metadata, varint n_tokens,
 *	n_tokens u64. Varints may have padding (0x80 0x00 is 0): both counts are put in when the rest stands. */
#ifndef INDEX_WAL_H
#define INDEX_WAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/vec.h"
#include "model/batch.h"

enum { WAL_MAX_RECORD = 64 << 20, WAL_HEADER_BYTES = 56, WAL_TYPE_ENTRIES = 1 };

struct wal;
/* A log without a file yet: the first wal_next begins one after the highest number present, first_number at least. */
int wal_new(const char *dir, uint64_t first_number, struct wal **out, struct err *err);
/* The same with its first file. */
int wal_open(const char *dir, uint64_t first_number, struct wal **out, struct err *err);
void wal_close(struct wal *w);
uint64_t wal_number(const struct wal *w); /* of the file being written; without one, of the last one before */
uint64_t wal_bytes(const struct wal *w);  /* its size so far */
/* Appends one record. After -1 the file must be left: wal_next. */
int wal_append(struct wal *w, struct slice payload, uint64_t payload_sum, struct err *err);
int wal_sync_now(struct wal *w, struct err *err);
void wal_mark_good(struct wal *w); /* all that was appended so far is to be believed */
/* Closes the file and begins the next number. If anything after the last wal_mark_good was written, the new header says
 * that it does not count. */
int wal_next(struct wal *w, struct err *err);
int wal_remove_through(const char *dir, uint64_t number, struct err *err); /* unlinks files <= number */
uint64_t wal_payload_sum(struct slice payload);

struct wal_file {
	uint64_t number;
	uint64_t good; /* records at or past this offset do not count; UINT64_MAX: all count */
	bool damaged_header;
};
/* Files present, ascending, with what their successors say of them. */
int wal_list(const char *dir, struct wal_file **out, size_t *n, struct err *err);

struct wal_replay_stats {
	uint64_t records, bytes, damaged, torn;
};
/* Calls fn with each good payload in order. Bad records followed by good ones are damage: skipped and counted. A bad
 * tail is torn. fn returning -1 stops. */
int wal_replay(const char *dir, const struct wal_file *f,
	       int (*fn)(void *arg, struct slice payload, struct err *err), void *arg,
	       struct wal_replay_stats *stats, struct err *err);
/* The same over bytes in memory (fuzzing); seed and numbers from the header in them. */
int wal_replay_bytes(struct slice file, uint64_t good,
		     int (*fn)(void *arg, struct slice payload, struct err *err), void *arg,
		     struct wal_replay_stats *stats, struct err *err);

/* ---- payloads */

/* Writes one payload: start, each stream with its entries, finish. Everything is copied once, straight into b. */
struct wal_writer {
	struct buf *b;
	uint64_t n_streams, n_entries; /* of the payload, of the stream */
	size_t streams_at, entries_at; /* where these go */
	int64_t prev_ts;
	const struct label *meta; /* of the entry before; its encoded form is b's meta_n bytes at meta_at */
	uint32_t n_meta;
	size_t meta_at, meta_n;
};
void wal_writer_start(struct wal_writer *w, struct buf *b, struct slice tenant); /* b: emptied */
void wal_writer_stream(struct wal_writer *w, struct slice encoded);
void wal_writer_entry(struct wal_writer *w, const struct batch_entry *e);
void wal_writer_finish(struct wal_writer *w);
/* At least as many bytes as these entries will take, apart from their stream's labels. */
size_t wal_writer_bound(const struct batch_entry *e, size_t n);

struct wal_entry {
	int64_t ts;
	struct slice line, meta;
	struct slice tokens; /* n x u64le */
};
struct wal_reader {
	struct cursor c;
	struct slice tenant;
	uint64_t streams_left, entries_left;
	struct slice labels; /* encoded, of the current stream */
	int64_t prev_ts;
};
int wal_reader_start(struct wal_reader *r, struct slice payload, struct err *err);
/* 1: next stream begun (labels set); 0: no more; -1 malformed. All entries of the stream before must have been read. */
int wal_reader_stream(struct wal_reader *r, struct err *err);
int wal_reader_entry(struct wal_reader *r, struct wal_entry *e, struct err *err); /* 1, 0 end of stream, -1 */

#endif
