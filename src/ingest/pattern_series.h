/* ingest/pattern_series.h - how often something happened, over time: counts in buckets of 10 s, which old age makes
 * coarser. Times are Unix seconds. One owner at a time. */
#ifndef INGEST_PATTERN_SERIES_H
#define INGEST_PATTERN_SERIES_H

#include "base/buf.h"
#include "base/bytes.h"

enum { SERIES_GRAIN_S = 10 };

struct series_point {
	uint32_t at; /* start of the bucket, in units of SERIES_GRAIN_S since the epoch */
	uint32_t n;
};
struct pattern_series {
	struct series_point *v; /* ascending */
	uint32_t n, cap;
};

void series_fini(struct pattern_series *s);
/* The number of bytes that the series grew by. A full series (may_grow false) counts in the nearest bucket in front
 * or, if there is none, not at all: then SERIES_FULL. */
#define SERIES_FULL ((size_t)-1)
size_t series_add_slow(struct pattern_series *s, uint32_t at, uint32_t n, bool may_grow);

static inline size_t series_add(struct pattern_series *s, uint32_t at, uint32_t n, bool may_grow)
{
	if (s->n > 0 && s->v[s->n - 1].at == at && s->v[s->n - 1].n <= UINT32_MAX - n) {
		s->v[s->n - 1].n += n;
		return 0;
	}
	return series_add_slow(s, at, n, may_grow);
}

/* Drops what is older than `oldest`, makes buckets older than minute_before whole minutes and those older than
 * five_before five minutes, and gives memory back. All in Unix seconds. */
void series_age(struct pattern_series *s, int64_t oldest, int64_t minute_before, int64_t five_before);
void series_merge(struct pattern_series *to, const struct pattern_series *from);
size_t series_bytes(const struct pattern_series *s);

void series_encode(struct buf *b, const struct pattern_series *s);
bool series_decode(struct cursor *c, struct pattern_series *out); /* false: malformed, out is empty */

#endif
