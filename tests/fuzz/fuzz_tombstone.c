/* A file of delete requests from hostile bytes: as it is, and as one request whose checksums fit. */
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "index/tombstone.h"

static void parse(struct slice file)
{
	struct tombstone_vec v = { 0 };
	size_t lost = 0;
	struct err err;

	tombstones_parse(file, SLICE("a"), &v, &lost, &err);
	for (size_t i = 0; i < v.n; i++)
		tombstone_unref(v.v[i]);
	vec_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = hash64(SLICE("a"));
	struct slice in = slice_of(data, size);
	struct buf b;

	parse(in);
	buf_init(&b);
	buf_puts(&b, "SPOORDEL");
	buf_u32le(&b, 1);
	buf_u32le(&b, 0);
	buf_u32le(&b, 2);
	buf_u64le(&b, hash64_seed(buf_slice(&b), seed));
	buf_u32le(&b, (uint32_t)size);
	buf_u64le(&b, hash64_seed(in, seed));
	buf_add(&b, in);
	parse(buf_slice(&b));
	buf_fini(&b);
	return 0;
}
