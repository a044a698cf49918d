/* query/query.h - the read door: a LogQL text and its parameters in, a result out. query_run works on the calling
 * (worker) thread and spreads scans over the pool; it never runs on an I/O thread (see query/sched.h). */
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include <stdatomic.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "model/labels.h"
#include "model/limits.h"
#include "model/traceid.h"

struct account_user;
struct cache;
struct store;
struct pool;

struct query_engine {
	struct store *store;
	struct pool *pool;
	const struct trace_keys *keys;
	_Atomic uint64_t *memory_in_use; /* of all queries together; may be NULL */
	uint64_t memory_limit;		 /* for all queries together; 0 = none */
	struct account_user *memory;	 /* queries' share of the process's account; may be NULL */
	struct cache *result_cache;	 /* of parts of range aggregations; NULL: none */
};

/* Shared with whoever waits: only `cancelled` is written from outside. */
struct query_control {
	_Atomic bool cancelled;
	int64_t deadline_mono_ns; /* clock_mono_ns() past which the query fails with ERR_TIMEOUT; 0 = none */
};
/* 0 to go on; -1 with ERR_CANCELLED or ERR_TIMEOUT. Cheap: call at least every 1,024 entries. */
int query_control_check(const struct query_control *c, struct err *err);
/* Between these two the regexes of this thread stop when the query must, or where a single match might take seconds.
 * The end takes what the work in between returned; -1 also if it cannot be believed. */
void query_guard_begin(struct query_control *c);
int query_guard_end(const struct query_control *c, int rc, struct err *err);
bool query_guard_tripped(void); /* has a match been given up since the beginning? The end will fail. */

struct query_request {
	struct slice tenant;
	struct slice text;  /* LogQL */
	bool instant;	    /* metric value at `end`; else a range */
	int64_t start, end; /* ns. Logs: start <= ts < end. Metrics: steps at start, start+step, … <= end */
	int64_t step;	    /* ns, > 0 for range metrics */
	int64_t interval;   /* ns; thins out log results; 0 = off */
	uint32_t limit;	    /* log entries over all streams */
	bool backward;
	bool categorize; /* log entries also carry metadata and parsed labels apart */
	bool no_index;	 /* scan everything, for tests that compare with the trace index */
	bool no_columns; /* look at every line, for tests that compare with the columns */
	const struct limits *limits;
};

enum result_type { RESULT_STREAMS, RESULT_MATRIX, RESULT_VECTOR, RESULT_SCALAR };

struct result_entry {
	int64_t ts;
	size_t rank; /* its place among all entries of the answer, in the query's direction */
	struct slice line;
	struct labels meta, parsed; /* filled only with categorize */
};
struct result_stream {	      /* sorted by canonical label text */
	struct labels labels; /* stream + metadata + parsed, also with categorize */
	size_t n;
	struct result_entry *entry; /* in the query's direction */
};
struct result_point {
	int64_t ts; /* ns */
	double value;
};
struct result_series { /* matrix, vector: sorted by labels_cmp (unless sort() says otherwise) */
	struct labels labels;
	size_t n;
	struct result_point *point; /* ascending; vector and scalar: exactly one */
};

struct query_stats {
	uint64_t bytes_processed, lines_processed, meta_bytes_processed, post_filter_lines, entries_returned;
	uint64_t head_bytes, head_lines, decompressed_bytes, decompressed_lines, compressed_bytes, duplicates;
	uint64_t chunks_total, chunks_read, chunks_skipped_by_trace, blocks_read, blocks_skipped, streams;
	uint64_t chunks_counted; /* counted when they were written, and hardly or not at all read */
	/* Why chunks and blocks were not read, besides chunks_skipped_by_trace (the index of trace ids). */
	uint64_t chunks_skipped_by_time, chunks_skipped_by_filter, chunks_skipped_by_templates;
	uint64_t blocks_skipped_by_templates, days_skipped_by_trace;
	uint64_t columns_decoded, lines_rebuilt;
	/* The result cache, in units of work (query/range_cache.h). */
	uint64_t cache_requests, cache_hits, cache_stored, cache_bytes_found, cache_bytes_stored;
	bool used_trace_index;
	double exec_seconds, queue_seconds;
	double plan_seconds, scan_seconds;
};

struct query_result {
	struct arena arena; /* everything below lives here */
	enum result_type type;
	struct result_stream *stream;
	size_t n_streams;
	struct result_series *series;
	size_t n_series;
	struct slice *warning;
	size_t n_warnings;
	struct query_stats stats;
};

/* On failure nothing needs freeing. */
int query_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
	      struct query_result *out, struct err *err);
void query_result_fini(struct query_result *r);

#endif
