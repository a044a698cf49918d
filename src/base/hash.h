/* base/hash.h - XXH3-64 (xxhash.com), for checksums on disk and for hash tables. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

uint64_t hash64(struct slice s);		     /* stable: goes to disk */
uint64_t hash64_seed(struct slice s, uint64_t seed); /* stable */
uint64_t hash_seeded(struct slice s);		     /* random seed of this process: never goes to disk */

/* A good mixer for integers (the finaliser of MurmurHash3). */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

#endif
