/* index/partition.h - one tenant, one UTC day of entry time: a folder with index.db and segments, standing alone.
 *
 * Readers and the publisher of new segments do not wait for each other: SQLite's own snapshots keep them apart. What a
 * reader must do under one pin (partition_read_begin … partition_read_end) is read rows and take references on the
 * segments they name; a replaced segment is unlinked only when nobody holds it.
 * Publishing (flush, merge, retention) is serialised by the partition's write mutex. A merge reads and writes for long
 * without it, so that no flush has to wait; merge_lock keeps others from changing the set of segments meanwhile (a flush
 * only adds to it). */
#ifndef INDEX_PARTITION_H
#define INDEX_PARTITION_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/cache.h"
#include "base/map.h"
#include "base/vec.h"
#include "index/segment.h"
#include "index/sql.h"
#include "index/store.h"
#include "model/labels.h"

struct partition {
	_Atomic int refs;
	char *tenant;
	char *data_dir, *dir;
	int64_t day;
	int64_t bucket_ns;	       /* width of its trace index's time buckets */
	const struct trace_keys *keys; /* borrowed */
	pthread_mutex_t
		merge_lock; /* held by whoever replaces or removes segments; taken before write_lock */
	pthread_mutex_t write_lock; /* held while publishing; also protects writer */
	struct sql *writer;
	pthread_rwlock_t segments_lock; /* readers pin; the publisher takes it to retire segments */
	pthread_mutex_t lock;		/* protects the fields below */
	VEC(struct sql *) idle_readers;
	VEC(struct segment *) open_segments;
	_Atomic int64_t last_used_mono_ns;
	_Atomic int64_t last_publish_mono_ns;
	_Atomic uint64_t wal_pos;      /* entries of WAL files <= this are in segments */
	_Atomic uint64_t bloom_blocks; /* > 0: trace.bloom is complete */
	_Atomic int bloom_fd;
	_Atomic uint64_t looked,
		looked_eagerly;	    /* the keeper's: version + 1 in which it found nothing to merge */
	_Atomic bool dropped;	    /* retention removed the folder */
	_Atomic bool merge_blocked; /* a damaged block was met: merging again would only fail again */
	_Atomic bool other_keys;    /* tokens of other trace keys than today's: its index is not asked */
	_Atomic bool index_damaged; /* to be made anew: partition_mend */
	_Atomic uint64_t n_missing; /* segments that could not be opened */
	struct cache *cache;	    /* the store's, of what catalog.c reads; borrowed, may be NULL */
	uint64_t uid;		  /* names the index in the cache; another one once the index is made anew */
	_Atomic uint64_t version; /* of the set of segments: goes up once a change of it is committed */
	VEC(uint64_t) in_doubt;	  /* under write_lock: see partition_publish */
	uint64_t
		retained_stage; /* the keeper's: which rules of retention it was looked through for, and when */
	int64_t retained_mono_ns, retain_again_mono_ns;
};

struct chunk_row {
	int64_t stream; /* id in this index */
	uint64_t segment, seq;
	struct chunk_info info;
	uint64_t off, filter_off, filter_sum;
	uint32_t filter_bytes;
};

struct trace_pair { /* for the trace index: a token seen in a time bucket */
	int64_t bucket;
	uint64_t token;
};

/* Opens the folder, creating folder and index if create. A damaged index is moved to quarantine and made anew from the
 * segments. */
int partition_open(const char *data_dir, struct slice tenant, int64_t day, bool create,
		   const struct trace_keys *keys, int64_t bucket_ns, struct partition **out, struct err *err);
struct partition *partition_ref(struct partition *p);
void partition_unref(struct partition *p);
struct timerange partition_range(const struct partition *p); /* its day */
void partition_close_idle(struct partition *p); /* closes its SQLite handles and files if nobody uses them */

/* ---- reading */
struct partition_reader {
	struct partition *p;
	struct sql *sql;  /* NULL until partition_reader_sql */
	uint64_t version; /* what SQLite shows is of this version, or newer */
};
/* ERR_NOT_FOUND: dropped. What a version names that was read between begin and end can be opened until then. */
int partition_read_begin(struct partition *p, struct partition_reader *r, struct err *err);
int partition_reader_sql(struct partition_reader *r, struct err *err); /* one snapshot until the end */
void partition_read_end(struct partition_reader *r);
/* A reference, or NULL (counted, logged) if the file is missing or unreadable. Between begin and end only. */
struct segment *partition_segment(struct partition *p, uint64_t id);
/* False: certainly no entry of this day holds a token of each group. Needs no SQLite. */
bool partition_may_hold(struct partition *p, const struct trace_group *groups, size_t n_groups);
/* Time windows in which entries with a token of each group may stand; merged, ascending. malloc'd. */
int partition_trace_windows(struct partition_reader *r, const struct trace_group *groups, size_t n_groups,
			    struct timerange **out, size_t *n, struct err *err);
/* 1 a row, 0 end, 2 a row whose checksum is wrong (err says so; the next call goes on), -1 error. */
int partition_chunk_row(struct sql *sql, sqlite3_stmt *st, struct chunk_row *out, struct err *err);
/* Streams (id, labels) that fulfil all matchers: fn for each; encoded dies with the call. */
int partition_match_streams(struct sql *sql, const struct matcher *m, size_t n,
			    int (*fn)(void *arg, int64_t id, struct slice encoded), void *arg,
			    struct err *err);
bool labels_match(struct slice encoded, const struct matcher *m, size_t n);

/* ---- publishing */
struct publish {
	struct segment_writer *segment; /* finished */
	struct segment_summary summary;
	const struct slice *streams; /* encoded labels by the segment's stream number */
	const uint64_t *replaces;    /* segment ids */
	size_t n_replaces;
	struct trace_pair *pairs; /* sorted by bucket, token; unique */
	size_t n_pairs;
	uint64_t wal_pos; /* 0: leave as it is (merge) */
	bool in_doubt;	  /* out, on failure: keep the segment's file */
};
/* The caller holds write_lock. One transaction; durable when it returns 0. If the commit itself fails, a crash before the
 * next transaction may still find it committed: the file must stay, and is remembered until a commit succeeds. */
int partition_publish(struct partition *p, struct publish *pub, struct err *err);
int partition_next_segment(struct partition *p, uint64_t *out, struct err *err); /* under write_lock */
struct sql *partition_writer(struct partition *p, struct err *err);		 /* under write_lock */
/* Segments by wal_first. malloc'd; n_chunks by the same index. */
int partition_segments(struct sql *sql, struct segment_summary **out, uint64_t **n_chunks, size_t *n,
		       struct err *err);
int partition_build_bloom(struct partition *p, struct err *err);
/* If the index is marked as damaged: moves it to quarantine and makes it anew from the segments.
 * Takes merge_lock and write_lock; readers wait. */
int partition_mend(struct partition *p, struct err *err);

/* ---- making the index anew (rebuild.c) */
int partition_rebuild(const char *dir, const struct trace_keys *keys, int64_t bucket_ns, struct err *err);
/* Removes what a crash left behind. oldest_wal: number of the oldest log file, 0 if there is none. A segment that the
 * index does not name, but whose entries the log no longer holds, means that the index has lost rows: it is mended. */
int partition_remove_orphans(struct partition *p, uint64_t oldest_wal, size_t *n_removed, struct err *err);
int partition_quarantine(const char *data_dir, const char *path, struct err *err);

/* Parts of publishing that rebuilding uses, inside its own transaction. */
int partition_add_traces(struct sql *sql, const struct trace_pair *v, size_t n, struct err *err);
int partition_add_footer(struct sql *sql, const struct segment_footer *f, struct err *err);

static inline int64_t trace_bucket(int64_t ts, int64_t bucket_ns)
{
	return ts / bucket_ns - (ts % bucket_ns < 0);
}
void trace_pairs_unique(struct trace_pair *v, size_t *n); /* sorts, too */

#endif
