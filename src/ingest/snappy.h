/* ingest/snappy.h - Snappy's block format (not the framed one), as Loki's clients compress their pushes. */
#ifndef INGEST_SNAPPY_H
#define INGEST_SNAPPY_H

#include "base/buf.h"
#include "base/err.h"

/* Replaces *out. limit: ERR_TOO_LARGE if the block says it holds more; checked before anything is allocated.
 */
int snappy_decode(struct slice block, uint64_t limit, struct buf *out, struct err *err);

#endif
