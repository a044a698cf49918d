/* ingest/too_large.h - the one text for a body that inflates beyond the limit. */
#ifndef INGEST_TOO_LARGE_H
#define INGEST_TOO_LARGE_H

#include "base/err.h"

static inline int err_too_large(struct err *err, uint64_t n, uint64_t limit)
{
	return err_set(err, ERR_TOO_LARGE,
		       "request body too large: decompressed message size too large than max (%llu vs %llu)",
		       (unsigned long long)n, (unsigned long long)limit);
}

#endif
