/* ingest/gunzip.h - inflates a body in steps, so that a bomb costs no more than the limit. */
#ifndef INGEST_GUNZIP_H
#define INGEST_GUNZIP_H

#include "base/buf.h"
#include "base/err.h"
#include "ingest/room.h"

/* gzip: one member or several, one after the other; anything else behind them is an error. Replaces *out. */
int gunzip(struct slice body, const struct room *room, struct buf *out, struct err *err);
/* "deflate": raw (RFC 1951) or in a zlib wrapper (RFC 1950), told apart by the first two bytes. */
int inflate_any(struct slice body, const struct room *room, struct buf *out, struct err *err);

#endif
