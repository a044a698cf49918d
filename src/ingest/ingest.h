/* ingest/ingest.h - the write door: a push comes in as bytes, is decoded, validated, correlated with its
 *traces and appended to the store.
 *
 *	body ─► body_decode ─► validate_batch ─► limit_* ─► correlate_batch ─► store_append ─► done
 *
 * Threads: ingest_push may be called from any number of threads at once; it does all of its work on the
 *caller's. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "base/slice.h"
#include "ingest/body.h"
#include "ingest/otlp.h"
#include "model/limits.h"

struct batch;
struct store;
struct refusals;
struct trace_keys;
struct ingest;

/* Someone who wants to see what comes in: live tails, the pattern miner. before is called on the pushing thread with the
 * validated batch (entries and streams marked rejected or refused are not part of it) and returns what it wants to have
 * back, or NULL for nothing; done then follows exactly once, on any thread: stored says whether the entries became durable
 * and visible. Both must be quick and may not call ingest_push. */
struct ingest_observer {
	void *(*before)(void *arg, const struct batch *b);
	void (*done)(void *arg, void *seen, bool stored);
	void *arg;
};
enum { INGEST_MAX_OBSERVERS = 4 };

struct ingest_options {
	struct store *store;	       /* borrowed */
	const struct trace_keys *keys; /* borrowed */
	/* Fills in the tenant's limits; called once for each push, from any thread. */
	void (*limits)(void *arg, struct slice tenant, struct limits *out);
	void *arg;
	uint64_t max_decompressed_size;	 /* bytes */
	const struct slice *otlp_labels; /* borrowed: attributes of OTLP resources that become labels */
	size_t n_otlp_labels;
	struct ingest_observer observers[INGEST_MAX_OBSERVERS];
	size_t n_observers;
};

/* What validation and limits made of a push's entries. */
struct ingest_counts {
	uint64_t accepted, rejected;
};

struct ingest_request {
	enum push_kind kind;
	struct slice tenant;	   /* checked */
	struct slice content_type; /* p == NULL: no such header */
	struct slice content_encoding;
	struct slice body;
	/* Asked before a compressed body takes more memory, on the caller's thread; NULL: it always may. */
	bool (*reserve)(void *arg, size_t bytes);
	void *reserve_arg;
	const struct slice *labels; /* PUSH_PLAIN: fields that become labels */
	size_t n_labels;
	struct ingest_counts *counts; /* NULL or set before done is called, if the body could be read */
};

/* status 204: text is empty. Otherwise text is the answer's body, with its newline; it dies with the call.
 * retry_after: seconds for the header of that name, 0 = none. */
typedef void (*ingest_done_fn)(void *arg, int status, struct slice text, unsigned retry_after);

struct ingest *ingest_new(const struct ingest_options *o);
void ingest_free(struct ingest *in); /* no push may be under way; NULL is fine */

/* Calls done exactly once: before it returns, or later on the store's writer thread. The request and its body
 * are not used after it has returned. */
void ingest_push(struct ingest *in, const struct ingest_request *rq, ingest_done_fn done, void *arg);

/* What was refused of late; lives as long as in. */
struct refusals *ingest_refusals(struct ingest *in);

/* A request with OTLP metrics or traces (kind PUSH_OTLP): nothing of it is kept. Counts it in the metrics; *n: data points
 * or spans, *json: it came as JSON and wants an answer in JSON. */
int ingest_otlp_discard(struct ingest *in, const struct ingest_request *rq, enum otlp_signal signal,
			uint64_t *n, bool *json, struct err *err);

#endif
