/* index/store.h - the one door to everything on disk: append, snapshot and read, labels, retention, check, rebuild.
 * Others include this header only.
 *
 *	push ──► store_append ──► WAL (group commit) ──► head ──► flush ──► segment + index.db of its partition
 *	query ─► snapshot_take ─► units (stream x time slice) ─► reader ─► blocks of entries
 *
 * Threads: store_append and snapshot_take may be called from any thread. A snapshot and its units are read-only and
 * may be shared; a reader belongs to one thread. */
#ifndef INDEX_STORE_H
#define INDEX_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "index/columns.h"
#include "model/batch.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/timerange.h"
#include "model/traceid.h"

struct account;
struct store;

enum wal_sync { WAL_SYNC_ALWAYS, WAL_SYNC_INTERVAL, WAL_SYNC_NONE };

/* What the store is told of LogQL, by those who speak it: the text of a delete request or of a retention rule, compiled.
 * Read-only and shared by threads. */
struct erase_rule {
	const struct matcher *m; /* streams that it concerns */
	size_t n_matchers;
	bool whole; /* all their entries: there is nothing to ask of an entry */
	void *own;
};
struct erase_ops {
	int (*compile)(struct slice text, struct erase_rule **out, struct err *err); /* ERR_BAD_REQUEST */
	void (*free)(struct erase_rule *rule);
	/* What one thread needs to ask entries of one stream, and does; labels and rule must outlive it. */
	void *(*state_new)(const struct erase_rule *rule, struct labels stream);
	void (*state_free)(void *state);
	bool (*matches)(void *state, struct slice meta, int64_t ts, struct slice line);
};

struct store_options {
	const char *dir; /* the data directory */
	enum wal_sync wal_sync;
	int64_t wal_sync_interval_ns; /* WAL_SYNC_INTERVAL */
	uint64_t head_bytes;	      /* flush when the head holds so much (lines + metadata + overhead) */
	int64_t head_max_age_ns;      /* or when its oldest entry arrived so long ago */
	uint64_t max_chunk_bytes;     /* a full chunk, raw */
	uint32_t max_chunk_entries;
	int64_t trace_bucket_ns;       /* width of a document of the trace index */
	int64_t merge_interval_ns;     /* how often to look for chunks to merge; 0 = never */
	uint64_t min_free_bytes;       /* read-only below; 0 = the smaller of 1 GiB and 5 % */
	uint64_t ingest_memory_bytes;  /* replay flushes to stay below */
	struct account *memory;	       /* borrowed, may be NULL: flushes earlier when it is short */
	uint64_t index_cache_bytes;    /* for what queries learn from the indexes of days; 0 = none */
	const struct trace_keys *keys; /* borrowed; must outlive the store */
	/* Settings of a tenant that the store asks for when it needs them; thread-safe, may be NULL (no limit). */
	int64_t (*retention_ns)(void *arg, struct slice tenant); /* 0 = keep */
	uint64_t (*max_streams)(void *arg, struct slice tenant); /* active streams; 0 = no limit */
	/* "{selector}=720h; {selector}=24h": the first that matches a stream says how long it is kept, instead of retention_ns.
	 * Lives as long as the store. */
	const char *(*retention_streams)(void *arg, struct slice tenant);
	/* How many bytes the data directory may have before its oldest days go; 0 = no limit. */
	uint64_t (*max_disk_bytes)(void *arg, uint64_t disk_bytes);
	void *arg;
	const struct erase_ops *erase;	 /* borrowed; NULL: no deletes, no retention by stream */
	int64_t delete_cancel_period_ns; /* how long a delete request only hides and can be cancelled */
};
void store_options_init(struct store_options *o); /* the defaults */

/* Locks the directory, recovers. ERR_LOCKED, ERR_CONFIG (format newer than this program), ERR_IO. */
int store_open(const struct store_options *o, struct store **out, struct err *err);
/* Flushes (unless it was told not to), syncs, unlocks. No append may be under way. NULL is fine. */
void store_close(struct store *s, bool flush);

/* ------------------------------------------------------------------ writing */

/* Called once, on the store's writer thread, or before store_append returns. err->code ERR_NONE: durable as wal_sync
 * says, and visible to queries. ERR_LIMITED: the stream limit; the text says so and whatever belonged to existing
 * streams was stored (n_refused entries were not). ERR_UNAVAILABLE: read-only, try later; nothing was stored. */
typedef void (*store_done_fn)(void *arg, const struct err *err, size_t n_refused);
/* Decides ahead of store_append which streams of the batch are too many (struct batch_stream.refused). Without it
 * store_append decides by itself. */
void store_admit(struct store *s, struct batch *b);
/* Copies what it needs before it returns. Rejected streams and entries of the batch are skipped. */
void store_append(struct store *s, const struct batch *b, store_done_fn done, void *arg);
int store_flush(struct store *s, struct err *err);  /* all heads to segments, synchronously */
int store_merge(struct store *s, struct err *err);  /* until nothing is left to merge (tests, benchmarks) */
int store_retain(struct store *s, struct err *err); /* drops days past retention now */
/* Empty string while writable, else why not. The text lives in buf. */
bool store_read_only(struct store *s, char *why, size_t why_size);
void store_status(struct store *s, struct buf *out); /* lines for /ready?verbose */

/* ------------------------------------------------------------------ deleting */

enum { STORE_DELETE_ID = 16 };
enum store_delete_state {
	STORE_DELETE_RECEIVED,	/* hides; can be cancelled */
	STORE_DELETE_PICKED_UP, /* hides; entries are being removed */
	STORE_DELETE_PROCESSED, /* all are gone from disk; hides nothing */
};
struct store_delete {
	char id[STORE_DELETE_ID];
	struct slice query;
	struct timerange range;
	int64_t created_ns, purged_ns; /* wall clock; purged_ns 0 until processed */
	bool filter_only;	       /* hides for ever, removes nothing */
	enum store_delete_state state;
	uint64_t n_entries, n_bytes, n_chunks; /* removed so far; chunks: removed or rewritten */
	uint32_t days_done, days_total;	       /* of the attempt under way */
};
/* Durable and in force for every snapshot taken afterwards. ERR_BAD_REQUEST: the text; ERR_LIMITED: too many wait. */
int store_delete_add(struct store *s, struct slice tenant, struct slice query, struct timerange range,
		     bool filter_only, char id[STORE_DELETE_ID], struct err *err);
/* ERR_NOT_FOUND; ERR_BAD_REQUEST: picked up already, and not force. What is removed by then stays so. */
int store_delete_cancel(struct store *s, struct slice tenant, struct slice id, bool force, struct err *err);
/* All of the tenant's, oldest first; in the arena. */
void store_delete_list(struct store *s, struct slice tenant, struct arena *a, struct store_delete **out,
		       size_t *n);
int store_purge(struct store *s, struct err *err); /* carries all requests out now (tests) */
/* Is this text good for retention_streams? */
int store_check_retention(const struct erase_ops *ops, const char *text, struct err *err);

/* ------------------------------------------------------------------ reading */

/* What must hold of an entry for it to matter, as far as the index can use it. All of it is a hint: the reader may
 * return entries that do not fulfil it (except the time range, which is exact). */
struct scan_hint {
	struct timerange range; /* exact */
	bool backward;		/* order of units and blocks */
	bool no_lines; /* only times, lengths and metadata: line[i].p may be NULL, line[i].n is right */
	bool columns;  /* the caller knows how to use entry_block.columns */
	const struct slice *needles; /* every line of interest contains all of these byte strings */
	size_t n_needles;
	/* Each group is a set of trace tokens: an entry of interest holds at least one token of every group. */
	struct trace_group {
		const uint64_t *token;
		size_t n;
	} * groups;
	size_t n_groups;
};

struct snap_stream {
	uint64_t hash; /* labels_hash */
	struct labels labels;
	struct slice encoded; /* labels_encode form */
	size_t index;	      /* 0 .. n_streams-1, in order of labels_cmp */
};

/* A unit of work: one stream, one slice of time, disjoint in time from all other units of that stream. Reading units
 * in any order and in parallel and merging by time gives every entry exactly once. */
struct snap_unit {
	const struct snap_stream *stream;
	struct timerange range;		/* entries of the unit lie in it; already cut to the hint's range */
	uint64_t raw_bytes;		/* about what reading it costs: lines + metadata */
	uint64_t n_entries;		/* upper bound; exact if exact_count */
	bool exact_count;		/* no duplicates possible and wholly inside the range */
	size_t first_source, n_sources; /* the snapshot's own */
};

struct snap_stats {
	/* Chunks in the time range, of streams that match (where the trace index is asked, those between the first and the
	 * last time it names), and why some of them need not be read. Those skipped by time are not among them. */
	uint64_t chunks_considered, chunks_skipped_by_time, chunks_skipped_by_trace, chunks_skipped_by_filter;
	uint64_t days_skipped_by_trace; /* their filter says that they hold nothing */
	uint64_t head_entries;
	uint64_t chunks_missing; /* damaged rows or lost segments: the answer must carry a warning */
	bool used_trace_index;
};

struct snapshot;
/* tenant may name several, "a|b" (no id holds a bar): then each stream has one more label, __tenant_id__, and matchers of
 * that name choose among the tenants. So do the functions below.
 *
 * Streams of the tenant that fulfil all matchers, and the units to read, newest first if hint->backward, else oldest
 * first (by the unit's end, respectively start). hint is copied; matchers are only used during the call.
 * want_units false: only streams that have entries in the range (labels, series). */
int snapshot_take(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		  const struct scan_hint *hint, bool want_units, struct snapshot **out, struct err *err);
void snapshot_release(struct snapshot *snap);
size_t snapshot_n_streams(const struct snapshot *snap);
const struct snap_stream *snapshot_stream(const struct snapshot *snap, size_t i);
size_t snapshot_n_units(const struct snapshot *snap);
const struct snap_unit *snapshot_unit(const struct snapshot *snap, size_t i);
const struct snap_stats *snapshot_stats(const struct snapshot *snap);
/* Appends what names the entries of a unit: units of any snapshot with the same stream, range and name hold the same. False:
 * it has none, since some of its sources are in memory or partly hidden by deletes. */
bool snapshot_unit_name(const struct snapshot *snap, const struct snap_unit *u, struct buf *out);

/* Entries of one stream in ascending time order; equal timestamps in the order they were written. Valid until the
 * reader's next call. In a backward read blocks come newest first, and inside a block entries still ascend: walk it
 * from the end. */
struct entry_block {
	size_t n;
	const int64_t *ts;
	const struct slice *line;
	const uint32_t *meta;	   /* index into metas */
	const struct slice *metas; /* distinct metadata sets of this block, encoded (labels.h) */
	size_t n_metas;
	uint64_t metas_key; /* blocks with equal key share the same metas array: cache by it; 0 = never */
	/* Not NULL (only if hint.columns): the block as columns; then line, meta and metas are NULL until reader_rows. Entry i is
	 * row first_row + i. ts stands as always. */
	struct columns *columns;
	uint32_t first_row;
};

struct read_stats {
	uint64_t blocks_read, blocks_skipped, bytes_decompressed, bytes_compressed, lines, duplicates;
	uint64_t head_lines, head_bytes, meta_bytes, chunks_read;
	uint64_t chunks_counted;		 /* reader_counts had an answer */
	uint64_t columns_decoded, lines_rebuilt; /* of chunks of columns */
	uint64_t chunks_skipped_by_templates,
		blocks_skipped_by_templates; /* nothing in them can hold the needles */
	uint64_t corrupt_blocks;	     /* skipped; the answer must carry a warning */
};

struct reader;
struct reader *reader_new(struct snapshot *snap); /* reusable for any number of units */
void reader_free(struct reader *r);
void reader_start(struct reader *r, const struct snap_unit *u);
/* 1: *b is filled; 0: the unit is done; -1: error (I/O that is not damage to one block). Blocks that the needles rule out
 * are skipped, entries outside the unit's range are cut off. */
int reader_next(struct reader *r, struct entry_block *b, struct err *err);
const struct read_stats *reader_stats(const struct reader *r); /* since reader_new */
/* Turns the block at hand into one without columns, of the entries whose bit is set (bit i: entry i of *b), lines and
 * metadata as everywhere. The columns stay usable. -1 as from reader_next; a damaged block gives 0 entries. */
int reader_rows(struct reader *r, const struct entry_block *b, const uint64_t *entries,
		struct entry_block *out, struct err *err);
/* A function of index/columns.h failed on the block at hand. 0: damage, noted; leave the block. -1: err stands. */
int reader_damaged(struct reader *r, struct err *err);

/* Entries of a chunk with times in [first, last], counted when it was written. `meta` stands for the metadata sets they
 * have: of those, it holds the names detected_level and level. */
struct count_bucket {
	int64_t first, last;
	uint64_t n_entries, bytes; /* bytes: of lines */
	uint32_t meta;
};
struct unit_counts {
	const struct count_bucket
		*bucket; /* ascending, disjoint in time but for those of one bucket's sets */
	size_t n_buckets;
	const struct slice *metas; /* encoded */
	size_t n_metas;
	uint64_t raw_bytes; /* of the whole chunk: lines + metadata */
};
/* What the chunk of a unit holds, without reading entries: buckets that lie in the unit's range count each of its
 * entries once, those outside must be skipped and those that its ends cut be read (of a copy of the unit whose range is
 * narrower). False: there are no counts, or entries may have metadata of one of these names, or are hidden. *out is
 * valid until the reader's next call. */
bool reader_counts(struct reader *r, const struct snap_unit *u, const struct slice *names, size_t n_names,
		   struct unit_counts *out);

/* Label names or values over the streams with entries in the range (matchers may be none). Sorted, unique. name.p
 * NULL: names. */
int store_labels(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		 struct timerange range, struct slice name, struct arena *a, struct slice **out,
		 size_t *n_out, struct err *err);
/* Sums over the chunks and heads of the streams that match; counts what lies in the range in proportion. */
struct store_sums {
	uint64_t streams, chunks, bytes, entries;
};
int store_sums(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
	       struct timerange range, struct store_sums *out, struct err *err);

/* ------------------------------------------------------------------ offline */

struct check_report {
	uint64_t segments, chunks, blocks, entries, wal_files, wal_records, bytes;
	uint64_t bad_segments, bad_chunks, bad_blocks, bad_wal_records, bad_indexes, bad_deletes, orphans;
};
/* Verifies every checksum below dir. Each finding is one call of say. Takes the lock (ERR_LOCKED if a daemon runs). */
int store_check(const char *dir, void (*say)(void *arg, const char *line), void *arg,
		struct check_report *out, struct err *err);
/* Makes every index.db anew from the segments alone. */
int store_rebuild_index(const struct store_options *o, struct err *err);

#endif
