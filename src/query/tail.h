/* query/tail.h - live tails: who wants to see which entries as they come.
 *
 *	push ─► tail_before ─► store_append ─► tail_done ─► feed ─┐                           (ingest's threads)
 *	                                                          ▼
 *	                              group: selector, pipeline, encoding ─► ring ─► send     (the tail thread)
 *	                                                                     ▲
 *	tail_open ─► tail_start ─► pushes under way are over ─► replay ──────┘ live           (a worker)
 *
 * Tails with equal tenant, query and form share a group: an entry is run through the pipeline and encoded once for all
 * of them, and each tail is a position in the group's ring. Whoever reads so slowly that the ring leaves him behind
 * misses entries and is told which. Pushing threads only copy the streams that some selector wants.
 *
 * Only what was stored is shown, in the order in which it became durable; entries that arrived together are sorted by
 * time. A replay begins when every push that did not know of the tail has ended, so nothing falls between it and what
 * is live; what both hold is sent once.
 *
 * Threads: every function may be called on any thread. Lock order: whatever the caller holds, then the hub's. */
#ifndef QUERY_TAIL_H
#define QUERY_TAIL_H

#include "base/err.h"
#include "model/batch.h"
#include "model/limits.h"

struct query_engine;
struct sched;
struct tail_hub;
struct tail;

enum tail_format { TAIL_PLAIN, TAIL_CATEGORIZED, TAIL_LEGACY };

/* An entry as the pipeline left it. */
struct tail_entry {
	int64_t ts;
	struct slice line;
	struct labels labels;	    /* all that are shown */
	struct labels meta, parsed; /* TAIL_CATEGORIZED */
};
/* Appends the entry's text to b; *labels_off and *labels_n say where in it (from its begin) the labels stand. */
typedef void (*tail_encode_fn)(struct buf *b, enum tail_format format, const struct tail_entry *e,
			       size_t *labels_off, size_t *labels_n);

struct tail_hub_options {
	struct query_engine *engine; /* borrowed */
	struct sched *sched;	     /* borrowed; NULL: replays run on the tail thread (tests) */
	tail_encode_fn encode;
	uint64_t queue_bytes;  /* of one group's ring */
	uint64_t memory_bytes; /* of all rings together */
	uint64_t feed_bytes;   /* pushes that the tail thread has not looked at yet */
	int64_t linger_ns;     /* how long a ring waits for a client that may come back */
	bool manual;	       /* no thread: tail_hub_run does its work (tests) */
};
void tail_hub_options_init(struct tail_hub_options *o);

struct tail_hub *tail_hub_new(const struct tail_hub_options *o);
/* Ends all tails with TAIL_END_SHUTDOWN and refuses new ones; does not wait for them. */
void tail_hub_stop(struct tail_hub *hub);
/* No push may be under way and the scheduler must have ended. NULL is fine. */
void tail_hub_free(struct tail_hub *hub);
void tail_hub_run(struct tail_hub *hub); /* with `manual` only: does all there is to do */

/* A struct ingest_observer's functions; arg is the hub. */
void *tail_before(void *arg, const struct batch *b);
void tail_done(void *arg, void *seen, bool stored);

/* Where a tail stands: text form for clients that come back. */
struct tail_cursor {
	uint64_t hub, group, next; /* the entry to go on with, as long as that group's ring holds it */
	int64_t ts;		   /* otherwise what is not older than this is read again */
	bool replaying;		   /* ts is a place in the replay; `next` follows when it is over */
};
void tail_cursor_format(struct buf *b, const struct tail_cursor *c);
bool tail_cursor_parse(struct slice text, struct tail_cursor *out);

struct tail_dropped {
	int64_t ts;
	struct slice labels; /* encoded */
};
/* What is sent in one piece. Valid during the call. */
struct tail_out {
	struct slice body; /* n encoded entries with commas between them */
	size_t n;
	const struct tail_dropped *dropped; /* missed by this client since the last piece */
	size_t n_dropped;
	uint64_t n_missed; /* n_dropped, and those about which nothing more is known */
	struct tail_cursor cursor;
};

enum tail_send { TAIL_OK, TAIL_FULL };
enum tail_end {
	TAIL_END_CLOSED,   /* tail_close */
	TAIL_END_DURATION, /* max duration */
	TAIL_END_ERROR,	   /* the replay failed, or the query costs too much */
	TAIL_END_SHUTDOWN,
};

/* Called on the tail thread, never two at a time for one tail. */
struct tail_client {
	/* Takes out in any case. TAIL_FULL: nothing more until tail_wake. */
	enum tail_send (*send)(void *arg, const struct tail_out *out);
	/* The replay is over (or there was none); may be NULL. */
	void (*live)(void *arg, const struct tail_cursor *c);
	void (*tick)(void *arg, int64_t mono_ns); /* about once a second */
	/* The last call. The tail is gone when it returns, so nothing may call tail_wake or tail_close any more. */
	void (*end)(void *arg, enum tail_end why, const struct err *err);
};

struct tail_request {
	struct slice tenant, text;
	enum tail_format format;
	int64_t start, end;		  /* of the replay: ns, start <= ts < end */
	uint32_t limit;			  /* newest entries of the replay */
	int64_t delay_ns;		  /* entries are sent when they are so old */
	bool resumable;			  /* the client may come back with a cursor */
	const struct tail_cursor *resume; /* NULL: a replay of start, end, limit */
	const struct limits *limits;	  /* copied */
	const struct tail_client *client; /* borrowed */
	void *arg;
};
/* ERR_BAD_REQUEST: the query (Loki's text), too many tails; ERR_NOT_SUPPORTED: a metric query; ERR_UNAVAILABLE: shutting
 * down. Nothing is called before tail_start. */
int tail_open(struct tail_hub *hub, const struct tail_request *r, struct tail **out, struct err *err);
void tail_start(struct tail *t);
void tail_wake(struct tail *t);	 /* there is room again */
void tail_close(struct tail *t); /* end is called soon */

#endif
