/* ingest/unpack.h - inflates Zstandard and LZ4 frames in steps, so that a bomb costs no more than the limit. Both take
 * several frames one after the other; replace *out. */
#ifndef INGEST_UNPACK_H
#define INGEST_UNPACK_H

#include "base/buf.h"
#include "base/err.h"
#include "ingest/room.h"

int unpack_zstd(struct slice body, const struct room *room, struct buf *out, struct err *err);
int unpack_lz4(struct slice body, const struct room *room, struct buf *out, struct err *err);

#endif
