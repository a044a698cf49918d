/* Entries for tests of codec 2: lines of many shapes, so that every kind of column occurs, also with values that do not
 * fit. The same for the same seed. */
#ifndef TESTS_COLUMNS_SAMPLE_H
#define TESTS_COLUMNS_SAMPLE_H

#include "base/arena.h"
#include "index/chunk.h"

struct sample_random {
	uint64_t s;
};
static inline uint64_t sample_next(struct sample_random *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
static inline unsigned sample_below(struct sample_random *r, unsigned n)
{
	return (unsigned)((sample_next(r) >> 32) * n >> 32);
}

enum sample_kind {
	SAMPLE_JSON,
	SAMPLE_LOGFMT,
	SAMPLE_ACCESS,
	SAMPLE_MIXED,
	SAMPLE_NOISE,
	SAMPLE_WORDS,
	SAMPLE_N
};
/* n entries in order of time, in the arena. */
struct chunk_entry *sample_entries(struct arena *a, enum sample_kind kind, uint64_t seed, size_t n);

#endif
