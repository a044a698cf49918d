/* A log file from hostile bytes: once as it is, once as the payload of a record whose checksums fit. */
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "index/head.h"
#include "index/wal.h"

static int apply(void *arg, struct slice payload, struct err *err)
{
	head_apply(arg, payload, NULL, NULL, err);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wal_replay_stats st = { 0 };
	const struct head_limits limits = { .chunk_bytes = 1 << 20,
					    .chunk_entries = 64,
					    .open_bytes = 1 << 20 };
	struct head *h = head_new(1, &limits);
	struct err err;
	struct buf b;

	buf_init(&b);
	wal_replay_bytes(slice_of(data, size), UINT64_MAX, apply, h, &st, &err);
	/* A header whose checksum fits, then the input as records. */
	buf_puts(&b, "SPOORWAL");
	buf_u32le(&b, 1);
	buf_u32le(&b, 0);
	for (int i = 0; i < 3; i++)
		buf_u64le(&b, 1);
	buf_u64le(&b, UINT64_MAX);
	buf_u64le(&b, hash64(buf_slice(&b)));
	buf_append(&b, data, size);
	wal_replay_bytes(buf_slice(&b), UINT64_MAX, apply, h, &st, &err);
	apply(h, slice_of(data, size), &err);
	buf_fini(&b);
	head_unref(h);
	return 0;
}
