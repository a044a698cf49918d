/* index/head.h - entries not yet in a segment, in memory. One writer (the store's writer thread) appends under the
 * head's write lock. Readers take what they need under its read lock, with references, and then read without it.
 *
 *	stream ── parts, as written ──► [sealed] [sealed] … [carried over] [closed] [open]
 *	                                 └ one chunk each, encoded          └ runs of raw entries
 *
 * A stream's new entries stand in its open part, in runs of up to 1,024, in order of arrival. When the part makes a full
 * chunk it is closed, and soon sealed (seal.c): its entries sorted, encoded, and put in its place by one step under the
 * write lock, so that a reader sees the runs or the chunk. Whoever took the runs before keeps them by their part.
 *
 * A run is a source like a chunk: it has a time range, and if it is clean (ascending, without duplicates inside) it is
 * a block as it stands, without a copy. A sealed part is a chunk, and always clean. */
#ifndef INDEX_HEAD_H
#define INDEX_HEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/account.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "index/chunk.h"
#include "index/store.h"
#include "index/trace_map.h"

struct head_part;
struct head_stream;

struct head_run {
	struct head_part *part;
	struct head_run *next;
	uint32_t number; /* in the trace map, + 1; 0: holds no token */
	uint32_t minor;	 /* order within the part */
	uint32_t cap, n, n_metas, cap_metas;
	int64_t min_ts, max_ts, last_ts;
	uint64_t bytes; /* lines + metadata */
	bool clean;
	int64_t *ts;
	struct slice *line; /* its trace tokens follow its bytes */
	uint32_t *n_tokens;
	uint32_t *meta;
	struct slice *metas; /* moved when it grows; the old array stays as it is */
};

/* Tokens of a sealed part, for the trace index: those of each time bucket, ascending, each once. */
struct head_bucket {
	int64_t bucket;
	uint32_t n;
};

struct head_sealed {
	struct chunk_info info;
	struct slice chunk, filter, counts; /* encoded for place 0 (HEAD_SEED) */
	const struct head_bucket *buckets;
	size_t n_buckets;
	const uint64_t *tokens;
};

struct head_part {
	_Atomic int refs;
	struct head_stream *stream; /* of the head: not to be followed by those who only hold the part */
	uint64_t order;		    /* ascending as written */
	uint32_t minor;		    /* among parts of one order */
	size_t memory;
	struct account_user *account; /* that of the head */
	struct head_sealed *sealed;   /* NULL: runs */
	bool closed;		      /* nothing is added any more */
	bool in_order;		      /* ascending all through */
	int64_t max_ts;
	uint64_t n_entries, bytes;
	struct arena arena;
	struct head_run *first, *last;
};

struct head_stream {
	struct labels labels;
	struct slice encoded;
	uint64_t hash;
	struct head_tenant *tenant;
	VEC(struct head_part *) parts; /* as written; references */
	size_t n_sealed;	       /* these come first */
	struct head_part *open;	       /* the last of parts, or NULL */
	uint64_t next_order;
	int64_t sealed_max_ts; /* of all that was sealed */
	bool queued;	       /* waits to be sealed */
};

struct head_tenant {
	struct slice id;
	struct map by_labels; /* encoded -> struct head_stream */
	VEC(struct head_stream *) streams;
	VEC(struct head_part *) sealed; /* of all streams, for lookups by trace */
};

struct head_limits {
	uint64_t chunk_bytes; /* a full chunk, raw */
	uint32_t chunk_entries;
	struct account_user *memory;
	uint64_t
		open_bytes; /* memory of all open parts, from which on the largest are closed before they are full */
};

enum { HEAD_SEED = 0 };

struct head {
	_Atomic int refs;
	pthread_rwlock_t lock;
	pthread_mutex_t seal_lock; /* held while a stream is sealed; taken before lock */
	struct head_limits limits;
	struct arena arena;
	struct map tenants; /* id -> struct head_tenant */
	struct trace_map traces;
	VEC(struct head_stream *) to_seal; /* streams with closed parts */
	size_t next_to_seal;
	uint64_t wal_first, wal_last; /* files whose records it holds */
	/* Not NULL: tokens are found anew (replay: those in the log may have been found with other keys). */
	const struct trace_keys *find_tokens;
	struct trace_found found;
	uint64_t n_entries, n_duplicates, bytes;
	_Atomic uint64_t open_memory, closed_memory, sealed_memory, other_memory; /* bytes */
	uint64_t shed_at;     /* open_memory at which it is worth looking for large parts again */
	int64_t born_mono_ns; /* of its first entry; 0 = empty */
	size_t n_streams;
};

struct head *head_new(uint64_t wal_number, const struct head_limits *limits);
struct head *head_ref(struct head *h);
void head_unref(struct head *h);
struct head_part *head_part_ref(struct head_part *p);
void head_part_unref(struct head_part *p);
/* Memory in use, bytes; from any thread. */
uint64_t head_memory(const struct head *h);
/* How much of that waits to be sealed, and will shrink. */
uint64_t head_closed_memory(const struct head *h);

/* Applies one WAL payload. keep (may be NULL) is asked for each entry: false skips it (it is in a partition already, or
 * past retention). Takes the write lock itself. */
typedef bool (*head_keep_fn)(void *arg, struct slice tenant, int64_t ts);
int head_apply(struct head *h, struct slice payload, head_keep_fn keep, void *arg, struct err *err);

struct head_tenant *head_tenant(const struct head *h, struct slice id); /* under the lock; NULL if absent */

/* ---- for seal.c */
struct head_part *head_part_new(struct head_stream *s, struct account_user *account);
/* The part takes so much memory in all. */
void head_part_grown(struct head_part *p, size_t memory);
/* Copies one entry to the part's last run. tokens: n x u64le, unaligned. Not to a part that is closed. */
void head_part_add(struct head_part *p, int64_t ts, struct slice line, struct slice meta,
		   struct slice tokens);
/* Under the lock: a stream with a closed part, or NULL. It is not queued any more. */
struct head_stream *head_next_to_seal(struct head *h);
/* Under the lock: parts [n_sealed, n_sealed + n_in) of the stream give way to these: sealed ones, and perhaps one that
 * is not, the last. The caller's references to out pass to the head. */
void head_replace(struct head *h, struct head_stream *s, size_t n_in, struct head_part *const *out,
		  size_t n_out);

#endif
