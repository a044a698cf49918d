/* ingest/correlate.h - fills batch_entry.tokens: what the trace index shall know of each entry. */
#ifndef INGEST_CORRELATE_H
#define INGEST_CORRELATE_H

#include "model/batch.h"
#include "model/traceid.h"

struct correlator { /* scratch, reused from push to push; zero it first */
	struct trace_found of_stream, of_entry;
	struct buf encoded;
};
void correlator_fini(struct correlator *c);

/* After validation; refused streams and entries are left out. Tokens live in the batch's arena. */
void correlate_batch(struct correlator *c, const struct trace_keys *keys, struct batch *b);

#endif
