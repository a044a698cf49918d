/* ingest/rate.h - token buckets: bytes a second, with bursts. Time is the monotonic clock. Thread-safe. */
#ifndef INGEST_RATE_H
#define INGEST_RATE_H

#include "base/slice.h"

struct rate;

/* Two tables: one bucket for each tenant, and a bounded number of buckets for streams (a stream that pushed
 * nothing for long may lose its bucket, which then is full, as it would be anyhow). */
struct rate *rate_new(void);
void rate_free(struct rate *r);

/* Takes n tokens if the bucket holds them, else none. rate: tokens a second, burst: the bucket's size. rate
 * 0: no limit. A new bucket is full. */
bool rate_take_tenant(struct rate *r, struct slice tenant, double rate, double burst, double n);
bool rate_take_stream(struct rate *r, uint64_t stream, double rate, double burst, double n);

#endif
