/* index/head.h - entries not yet in a segment, in memory. One writer (the store's writer thread) appends under the
 * head's write lock; readers take what they need under its read lock and then read without it, because runs are only
 * appended to and live as long as the head, which is reference-counted.
 *
 * A stream's entries stand in runs of up to 1,024, in order of arrival. A run is a source like a chunk: it has a time
 * range, and if it is clean (ascending, without duplicates inside) it is a block as it stands, without a copy. */
#ifndef INDEX_HEAD_H
#define INDEX_HEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "index/store.h"

struct head_stream;

struct head_tokens {
	uint32_t n;
	uint64_t v[];
};

struct head_run {
	struct head_stream *stream;
	struct head_run *next;
	uint32_t cap, n, n_metas;
	int64_t min_ts, max_ts, last_ts;
	uint64_t bytes; /* lines + metadata */
	bool clean;
	int64_t *ts;
	struct slice *line;
	uint32_t *meta;
	struct slice *metas;
	const struct head_tokens **tokens; /* NULL: none */
};

struct head_stream {
	struct labels labels;
	struct slice encoded;
	uint64_t hash;
	struct head_run *first, *last;
	uint64_t n_entries;
};

struct head_tenant {
	struct slice id;
	struct map by_labels; /* encoded -> struct head_stream */
	VEC(struct head_stream *) streams;
};

struct head {
	_Atomic int refs;
	pthread_rwlock_t lock;
	struct arena arena;
	struct map tenants; /* id -> struct head_tenant */
	struct trace_map {
		struct trace_slot {
			uint64_t token;	  /* 0 = free: no token is 0 */
			uint32_t posting; /* newest, number + 1 */
		} * slot;
		size_t n, cap;
		VEC(struct {
			struct head_run *run;
			uint32_t prev; /* number + 1, 0 = end */
		})
		postings;
	} traces;
	uint64_t wal_first, wal_last; /* files whose records it holds */
	/* Not NULL: tokens are found anew (replay: those in the log may have been found with other keys). */
	const struct trace_keys *find_tokens;
	struct trace_found found;
	uint64_t n_entries, n_duplicates, bytes;
	int64_t born_mono_ns; /* of its first entry; 0 = empty */
	size_t n_streams;
};

struct head *head_new(uint64_t wal_number);
struct head *head_ref(struct head *h);
void head_unref(struct head *h);
/* Approximate memory in use, bytes. */
uint64_t head_memory(const struct head *h);

/* Applies one WAL payload. keep (may be NULL) is asked for each entry: false skips it (it is in a partition already, or
 * past retention). Takes the write lock itself. */
typedef bool (*head_keep_fn)(void *arg, struct slice tenant, int64_t ts);
int head_apply(struct head *h, struct slice payload, head_keep_fn keep, void *arg, struct err *err);

struct head_tenant *head_tenant(const struct head *h, struct slice id); /* under the lock; NULL if absent */
/* Runs that hold at least one token of every group, each once; under the read lock. The array is the caller's. */
struct head_run **head_trace_runs(const struct head *h, const struct trace_group *groups, size_t n_groups,
				  size_t *n);

#endif
