/* query/tail_replay.h - what a tail shows first: entries that are stored already, read by an ordinary query on a worker of
 * the scheduler and encoded there. One replay belongs to one tail and may be run again for the next page. */
#ifndef QUERY_TAIL_REPLAY_H
#define QUERY_TAIL_REPLAY_H

#include "query/query.h"
#include "query/sched.h"
#include "query/tail.h"
#include "query/tail_ring.h"

enum { REPLAY_PAGE = 1000, REPLAY_MAX_PAGE = 64000, REPLAY_MAX_SEEN = 200000 };

struct tail_replay {
	struct sched_job job;
	struct query_engine *engine;
	struct query_control control;
	struct limits limits;
	struct slice tenant, text;
	enum tail_format format;
	tail_encode_fn encode;
	void (*done)(struct tail_replay *r); /* on the worker */
	void *owner;
	/* what to read; after a page where the next one begins */
	int64_t start, end;
	uint32_t limit;
	bool newest; /* the newest `limit` entries, one page; otherwise page after page to the end */
	/* what came out */
	struct tail_frames frames; /* ascending in time */
	bool more;
	bool failed;
	struct err err;
	uint64_t *seen; /* hashes of all that was sent; open addressing, 0 = free */
	size_t n_seen, cap_seen;
	int64_t ended_ns; /* monotonic: entries pushed later are not in it */
};

/* sched NULL: runs here and now. -1: the scheduler refused; done is not called. */
int replay_submit(struct tail_replay *r, struct sched *sched, struct err *err);
bool replay_has(const struct tail_replay *r, uint64_t hash);
void replay_fini(struct tail_replay *r);

#endif
