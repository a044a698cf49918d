#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <pthread.h>
#include <sys/random.h>

uint64_t hash64(struct slice s)
{
	return XXH3_64bits(s.p, s.n);
}

uint64_t hash64_seed(struct slice s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s.p, s.n, seed);
}

static uint64_t process_seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
	if (getrandom(&process_seed, sizeof(process_seed), GRND_NONBLOCK) != (ssize_t)sizeof(process_seed))
		process_seed = (uint64_t)(uintptr_t)&process_seed;
}

uint64_t hash_seeded(struct slice s)
{
	pthread_once(&seed_once, make_seed);
	return XXH3_64bits_withSeed(s.p, s.n, process_seed);
}
