/* rules/remote_write.h - samples of rules to Prometheus and what speaks its remote write protocol 0.1.0: a protobuf
 * WriteRequest in a Snappy block, by a thread of its own. Thread-safe. */
#ifndef RULES_REMOTE_WRITE_H
#define RULES_REMOTE_WRITE_H

#include "model/labels.h"

/* "This series ends here": the bits of a NaN that no calculation yields. */
#define REMOTE_WRITE_STALE UINT64_C(0x7ff0000000000002)

struct remote_write;

int remote_write_new(const char *url, struct remote_write **out, struct err *err); /* ERR_CONFIG: no URL */
/* From now on there are a few seconds more for what is queued. */
void remote_write_stop(struct remote_write *w);
void remote_write_free(struct remote_write *w); /* NULL is fine */
/* Queues a sample: never blocks on the network. labels hold __name__ and are sorted; bits: of the double. The tenant
 * is named to the receiver in X-Scope-OrgID. */
void remote_write_put(struct remote_write *w, struct slice tenant, struct labels labels, int64_t t_ns,
		      uint64_t bits);

uint64_t remote_write_bits(double v);
/* One TimeSeries of one sample, as it stands in a WriteRequest. */
void remote_write_series(struct buf *out, struct labels labels, int64_t t_ms, uint64_t bits);
/* The body: series after series, in a Snappy block. */
void remote_write_body(const struct slice *series, size_t n, struct buf *out);

#endif
