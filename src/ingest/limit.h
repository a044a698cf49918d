/* ingest/limit.h - rate limits of a validated batch: of the tenant (all or nothing), then of each stream. */
#ifndef INGEST_LIMIT_H
#define INGEST_LIMIT_H

#include "ingest/rate.h"
#include "ingest/validate.h"

/* False: the tenant may not push now; text says so, t counts it. Asked before validation. */
bool limit_blocked(const struct batch *b, const struct limits *l, int64_t now_ns, struct tally *t,
		   struct buf *text);
/* False: the push is refused as a whole; text says so, t counts it. */
bool limit_tenant(struct rate *r, const struct batch *b, const struct limits *l, struct tally *t,
		  struct buf *text);
/* Marks entries beyond their stream's rate as refused. Number of them; text tells of the first stream. */
size_t limit_streams(struct rate *r, struct batch *b, const struct limits *l, struct tally *t,
		     struct buf *text);

#endif
