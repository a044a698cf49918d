/* The file of a service's patterns: what is read can be written and read again. The first byte chooses between that
 * and lines: each is counted, memory stays bounded by their number, and the hash does not see what is wild. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/pattern_miner.h"
#include "ingest/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_file(struct slice bytes)
{
	struct cursor c = cursor_of(bytes);
	struct miner *m = miner_decode(&c);
	struct buf once, twice;

	if (m == NULL)
		return;
	buf_init(&once);
	buf_init(&twice);
	miner_encode(&once, m);
	miner_free(m);
	c = cursor_of(buf_slice(&once));
	m = miner_decode(&c);
	assert(m != NULL && cursor_left(&c) == 0);
	miner_encode(&twice, m);
	assert(once.n == twice.n);
	miner_age(m, INT64_MAX, INT64_MAX, INT64_MAX);
	assert(miner_is_empty(m));
	miner_free(m);
	buf_fini(&once);
	buf_fini(&twice);
}

static void try_lines(struct slice text)
{
	struct label label = { SLICE("a"), SLICE("b") };
	struct miner *m = miner_new();
	struct miner_stream *s = miner_stream(m, 1, (struct labels){ &label, 1 }, true);

	for (uint32_t i = 0; text.n > 0; i++) {
		size_t end = slice_find_byte(text, '\n');
		struct slice line = slice_sub(text, 0, end);
		struct miner_line l = { shape_hash(line), i % 3 == 0 ? SLICE("info") : SLICE("warn"), line,
					i / 4 };

		if (line.n > 0)
			assert(miner_count(m, s, &l, 1, true));
		text = end == SLICE_NONE ? slice_of("", 0) : slice_from(text, end + 1);
	}
	miner_age(m, 0, 0, 0);
	struct buf b;
	buf_init(&b);
	miner_encode(&b, m);
	struct cursor c = cursor_of(buf_slice(&b));
	struct miner *again = miner_decode(&c);
	assert(again != NULL && cursor_left(&c) == 0);
	miner_free(again);
	miner_free(m);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct slice rest = slice_of(data + 1, size - 1);
	if (data[0] % 2 == 0)
		try_file(rest);
	else
		try_lines(rest);
	return 0;
}
