/* ingest/snappy.h - Snappy's block format (not the framed one), as Loki's clients compress their pushes. */
#ifndef INGEST_SNAPPY_H
#define INGEST_SNAPPY_H

#include "base/buf.h"
#include "base/err.h"
#include "ingest/room.h"

/* Replaces *out. ERR_TOO_LARGE if the block says it holds more than the room's limit; checked before anything is allocated.
 */
int snappy_decode(struct slice block, const struct room *room, struct buf *out, struct err *err);

#endif
