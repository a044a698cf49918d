/* query/scan.h - runs a plan over the store: one snapshot, its units handed out in order, small ones
 * several at a time, to all threads of the pool, each with a worker that holds the reader and the memory of one thread. The caller of scan_run
 * decides what happens to the entries of a unit. */
#ifndef QUERY_SCAN_H
#define QUERY_SCAN_H

#include <pthread.h>
#include "index/store.h"
#include "query/column_lines.h"
#include "query/plan.h"
#include "query/query.h"

/* One query under way. Shared by its threads. */
struct exec {
	struct query_engine *engine;
	const struct query_request *req;
	struct query_control *control;
	struct arena *arena;	 /* of the thread that runs the query */
	_Atomic uint64_t memory; /* bytes held by results and partial results */
	struct query_stats stats;
	uint64_t corrupt_blocks, chunks_missing;
};
/* Accounts for n bytes; ERR_BAD_REQUEST over max_query_memory, ERR_UNAVAILABLE over the engine's.
 * Thread-safe. */
int exec_charge(struct exec *x, uint64_t n, struct err *err);
void exec_refund(struct exec *x, uint64_t n);

struct scan;
/* What the entries of one metadata set have in common; made when the first of them is met. */
struct meta_ctx {
	bool ready;
	struct pipe_base base;
	void *own;	   /* the caller's: a series, a key; NULL at first */
	uint64_t n, bytes; /* the caller's */
};
struct scan_worker {
	struct scan *scan;
	struct reader *reader;
	struct pipe_state pipe;
	const struct snap_stream *stream;
	struct arena ctx_arena;
	struct meta_ctx *ctx; /* by metadata index of the block at hand */
	uint64_t metas_key;
	size_t n_metas;
	uint32_t work;				/* since the deadline was looked at */
	VEC(uint64_t) rows, next_rows, entries; /* of the block at hand, for columns */
	struct column_lines column_lines;
	struct column_classes *classes; /* NULL until they are needed */
	struct pipe_state probe;	/* of plan->probe, if there is one */
	struct label_vec labels;	/* scratch of the caller's */
	struct buf text;
	void *own;
	struct scan_worker *next;
};

struct scan {
	struct exec *exec;
	const struct plan *plan;
	struct snapshot *snap;
	/* On several threads at once. -1: the query fails. */
	int (*unit)(struct scan_worker *w, const struct snap_unit *u, struct err *err);
	void (*worker_fini)(struct scan_worker *w); /* may be NULL */
	void *own;
	/* private */
	pthread_mutex_t lock;
	struct scan_worker *idle;
	VEC(size_t) batch; /* the number of the first unit of each, and the number of units */
	_Atomic bool failed;
	struct err err;
};

/* Takes the snapshot. On success scan_fini must follow. */
int scan_init(struct scan *s, struct exec *x, const struct plan *plan, struct err *err);
int scan_run(struct scan *s, struct err *err);
void scan_fini(struct scan *s);

/* The next block of the unit begun with scan_unit_start: 1, 0 at its end, -1. */
void scan_unit_start(struct scan_worker *w, const struct snap_unit *u);
int scan_block(struct scan_worker *w, struct entry_block *b, struct err *err);
/* Looks at deadline and cancellation now and then; n: bytes of work since the last call. */
int scan_tick(struct scan_worker *w, size_t n, struct err *err);

/* A block of columns becomes one of lines, of the rows in the set; 0 entries if it is damaged. */
int scan_rows(struct scan_worker *w, const struct entry_block *b, const uint64_t *rows,
	      struct entry_block *out, struct err *err);

void scan_ctx_fill(struct scan_worker *w, const struct entry_block *b, struct meta_ctx *c, size_t meta);
/* The context of entry i of the block. */
static inline struct meta_ctx *scan_ctx(struct scan_worker *w, const struct entry_block *b, size_t i)
{
	struct meta_ctx *c = &w->ctx[b->meta[i]];

	if (!c->ready)
		scan_ctx_fill(w, b, c, b->meta[i]);
	return c;
}

#endif
