/* ingest/room.h - how far a body may grow when it is decompressed. */
#ifndef INGEST_ROOM_H
#define INGEST_ROOM_H

#include "base/err.h"

struct room {
	uint64_t limit; /* bytes; beyond it ERR_TOO_LARGE */
	/* Asked before memory is taken; false: others hold too much of it now. NULL: always true. */
	bool (*reserve)(void *arg, size_t bytes);
	void *arg;
};

static inline int room_reserve(const struct room *r, size_t bytes, struct err *err)
{
	if (r->reserve == NULL || r->reserve(r->arg, bytes))
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "too many pushes in work; the limit is ingest_memory");
}

#endif
