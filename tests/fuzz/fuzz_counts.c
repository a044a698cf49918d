/* The counts of a chunk from hostile bytes. The first bytes say which chunk they should fit. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "index/counts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(slice_of(data, size));
	struct chunk_info info = { 0 };
	struct counts counts = { 0 };
	uint64_t n = 0;
	struct err err;

	info.first_ts = (int64_t)cursor_u64le(&c);
	info.last_ts = (int64_t)((uint64_t)info.first_ts + cursor_varint(&c));
	info.n_entries = (uint32_t)cursor_varint(&c);
	info.raw_bytes = cursor_varint(&c);
	if (c.bad)
		return 0;
	if (counts_parse(slice_of(c.p, cursor_left(&c)), &info, &counts, &err) == 0) {
		for (size_t i = 0; i < counts.buckets.n; i++) {
			const struct count_bucket *b = &counts.buckets.v[i];

			assert(b->first <= b->last && b->first >= info.first_ts && b->last <= info.last_ts);
			assert(i == 0 || b->first == b[-1].first || b->first > b[-1].last);
			assert(b->meta < counts.metas.n);
			n += b->n_entries;
		}
		assert(n == info.n_entries);
		counts_have_name(&counts, SLICE("trace_id"));
	}
	counts_fini(&counts);
	return 0;
}
