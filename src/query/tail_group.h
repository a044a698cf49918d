/* query/tail_group.h - one query that one or more tails follow: compiled, run over the feeds of its tenant, with a ring of
 * what got through. group_wants is for any thread; all else is the tail thread's. */
#ifndef QUERY_TAIL_GROUP_H
#define QUERY_TAIL_GROUP_H

#include "base/map.h"
#include "logql/ast.h"
#include "query/pipeline.h"
#include "query/query.h"
#include "query/tail.h"
#include "query/tail_feed.h"
#include "query/tail_ring.h"

struct tail_group {
	uint64_t id;
	enum tail_format format;
	int64_t delay_ns;
	struct slice text; /* in arena */
	uint64_t text_hash;
	struct arena arena;
	struct logql *query;
	const struct logql_log *log;
	struct label_needs needs;
	struct pipeline *pipeline;
	/* the tail thread's */
	struct pipe_state pipe;
	struct label_vec labels, meta, parsed;
	struct arena match_arena;
	struct map matches;    /* encoded labels -> does the selector want them? */
	struct tail_heap heap; /* entries that are not in the ring yet */
	struct tail_ring ring;
	uint64_t needed; /* nobody waits for an older entry */
	bool failed;
	struct err err;
	/* the hub's */
	_Atomic bool resumable; /* a client may come back for what is in the ring; set when a tail joins */
	unsigned n_refs;
	int64_t idle_since_ns; /* when the last tail left */
};

/* Parses and compiles. */
int group_new(struct slice text, enum tail_format format, int64_t delay_ns, struct tail_group **out,
	      struct err *err);
void group_free(struct tail_group *g); /* NULL is fine */
bool group_wants(const struct tail_group *g, struct labels stream);
/* Takes in entries [first, first + n) of a stream of a feed. */
void group_feed(struct tail_group *g, const struct tail_feed *f, const struct feed_stream *st, size_t first,
		size_t n, struct labels labels, tail_encode_fn encode, struct arena *scratch);
/* Moves what is old enough into the ring, in order of time. Returns when there is more to move, 0 = never. */
int64_t group_flush(struct tail_group *g, int64_t mono_ns, uint64_t max_held_bytes);

#endif
