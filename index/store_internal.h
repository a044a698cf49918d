/* index/store_internal.h - what the files of the store share. Nobody outside index/ includes it.
 *
 * Threads: any thread appends (queue) and takes snapshots; the writer thread owns the WAL and the active head; the
 * sealer turns its full parts into chunks; the flusher turns the frozen head into segments; the keeper merges, drops, closes
 * and watches the disk.
 * Locks, in the order in which they may be taken: flush_lock, heads_lock, head.lock; head.seal_lock, head.lock; partition.merge_lock,
 * partition.write_lock, partitions_lock; partition.write_lock, partition.segments_lock, partition.lock. The others are
 * held alone (tombstones: save_lock, then lock).
 * Waiting is timed by the monotonic clock: a wall clock that is set back must not make anybody wait. */
#ifndef INDEX_STORE_INTERNAL_H
#define INDEX_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/map.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "index/head.h"
#include "index/partition.h"
#include "index/store.h"
#include "index/tombstone.h"
#include "index/wal.h"

enum { STORE_SPARE = 4, STORE_SPARE_BYTES = 4 << 20 /* each */ };

struct append_record {
	struct buf payload;
	uint64_t sum;
};

struct append_job {
	struct append_job *next;
	VEC(struct append_record) records;
	size_t n_entries, bytes;
	size_t n_refused;
	struct err refused; /* code ERR_NONE: nothing was refused */
	store_done_fn done;
	void *arg;
};

/* Streams a tenant wrote to lately: two generations, the older one dropped at each flush. */
struct active_streams {
	char *tenant;
	struct map young, old; /* 8-byte hash keys in the arenas */
	size_t n_both;	       /* how many keys of old came again, and stand in young, too */
	struct arena young_arena, old_arena;
};

struct store {
	struct store_options o;
	char *dir, *wal_dir;
	int lock_fd;

	/* queue of appends: producers any thread, consumer the writer */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_more;
	struct append_job *first, **last;
	uint64_t flush_wanted; /* store_flush calls so far */
	bool stopping;
	pthread_t writer;

	pthread_mutex_t spare_lock; /* memory of payloads, from the writer back to those who append */
	struct buf spare[STORE_SPARE];
	size_t n_spare;

	struct wal *wal;	  /* the writer's */
	uint64_t full_logs_bytes; /* of the active head's files before the one that is being written */
	int64_t last_sync_mono_ns;
	int64_t last_heal_mono_ns;
	bool unsynced;

	/* active is replaced by the writer only, frozen set by the writer and cleared by the flusher */
	pthread_rwlock_t heads_lock;
	struct head *active, *frozen;

	pthread_mutex_t flush_lock;
	pthread_cond_t flush_more; /* there is a frozen head, or we stop */
	pthread_cond_t flush_done;
	/* parts of the active head that wait to be sealed */
	pthread_mutex_t seal_lock;
	pthread_cond_t seal_more, seal_done;
	bool seal_wanted, sealer_stop;
	pthread_t sealer;

	uint64_t flush_served;	/* flush_wanted that has been fulfilled */
	uint64_t flush_claimed; /* flush_wanted that the frozen head fulfils */
	uint64_t flush_failures;
	struct err flush_err; /* of the last attempt; ERR_NONE when it went well */
	bool flusher_stop;
	pthread_t flusher;

	pthread_mutex_t partitions_lock;
	VEC(struct partition *) partitions;
	VEC(struct left_out {
		char *tenant;
		int64_t day;
	})
	left_out; /* days on disk that could not be opened; under partitions_lock */

	struct tombstones tombstones;
	struct account_user *head_memory, *encode_memory;
	struct cache *index_cache; /* of all partitions: catalog.h */

	pthread_mutex_t streams_lock;
	VEC(struct active_streams *) streams;

	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_more;
	bool keeper_stop;
	pthread_t keeper;
	int64_t wall_minus_mono_ns, retention_blocked_until_mono_ns;

	pthread_mutex_t disk_lock;  /* of keep_disk; taken before state_lock */
	pthread_mutex_t state_lock; /* the texts below */
	_Atomic bool wal_failed, disk_low;
	char wal_why[256], disk_why[256];

	struct {
		struct metric *appended_entries, *appended_bytes, *wal_bytes, *wal_syncs, *wal_records,
			*wal_sync_seconds, *flush_seconds, *flushes, *flushed_bytes, *flushed_raw, *merges,
			*merged_raw, *merged_bytes, *merge_copied, *merge_encoded, *sealed, *duplicates,
			*head_bytes, *head_entries, *head_streams, *head_memory, *read_only, *corrupt,
			*partitions, *retained, *retained_for_room, *retained_entries;
	} m;
};

/* store.c */
/* The partition of that day, opened or made; a reference. create false: NULL without error if there is none. */
struct partition *store_partition(struct store *s, struct slice tenant, int64_t day, bool create,
				  struct err *err);
/* References to the tenant's partitions that meet the range, ascending by day. tenant.p NULL: all tenants. */
struct partition **store_partitions(struct store *s, struct slice tenant, struct timerange range, size_t *n);
void store_partitions_release(struct partition **p, size_t n);
void store_streams_age(struct store *s);
void store_leave_out(struct store *s, struct slice tenant, int64_t day);
void store_retry_left_out(struct store *s);
size_t store_n_left_out(struct store *s, struct slice tenant, struct timerange range);
void store_set_wal_state(struct store *s, bool failed, const char *why);
/* So long from now, for pthread_cond_timedwait on one of the store's conditions. */
struct timespec store_deadline(int64_t ns);

/* snapshot.c */
void snapshot_sums(const struct snapshot *snap, uint64_t *chunks, uint64_t *bytes, uint64_t *entries);

/* recover.c */
int store_lock_dir(const char *dir, int *fd, struct err *err);
int store_check_format(const char *dir, struct err *err);
int store_load_partitions(struct store *s, struct err *err);
int store_replay(struct store *s, struct err *err);
int store_note_dropped(struct store *s, const struct partition *p, uint64_t wal_number, struct err *err);

struct head *store_new_head(const struct store *s, uint64_t wal_number);

/* flush.c */
int flush_head(struct store *s, struct head *h, struct err *err);
/* merge.c */
int merge_partition(struct store *s, struct partition *p, bool eager, bool *did, struct err *err);
/* retain.c */
int keep_retention(struct store *s, struct err *err);
void keep_look_at_clock(struct store *s); /* at the start */
/* purge.c */
int keep_deletes(struct store *s, bool eager, struct err *err);
/* keep.c */
/* Looks whether there is space left; for any thread that just wrote, or failed to. */
void keep_disk(struct store *s);
void *keep_main(void *arg);
bool keep_must_stop(struct store *s);
int keep_blooms(struct store *s, bool eager, struct err *err);

#endif
