/* JSON lines: every line that is not empty must come out as it went in. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/plain_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice labels[] = { { "level", 5 }, { "a.b", 3 }, { "k8s-pod", 7 } };
	struct decode_options o = { .now_ns = 5, .labels = labels, .n_labels = 3 };
	struct batch b;
	struct err err;
	size_t n_lines = 0, n_streams = 0;

	batch_init(&b);
	assert(decode_plain_json(slice_of(data, size), &o, &b, &err) == 0);
	for (struct slice rest = slice_of(data, size); rest.n > 0;) {
		size_t end = slice_find_byte(rest, '\n');

		n_lines += slice_trim(slice_sub(rest, 0, end)).n > 0;
		rest = end == SLICE_NONE ? slice_of(data, 0) : slice_from(rest, end + 1);
	}
	assert(b.entries.n == n_lines);
	for (size_t i = 0; i < b.streams.n; i++)
		n_streams += b.streams.v[i].n;
	assert(n_streams == n_lines);
	for (size_t i = 0; i < b.entries.n; i++)
		assert(b.entries.v[i].line.p >= (const char *)data &&
		       b.entries.v[i].line.p + b.entries.v[i].line.n <= (const char *)data + size);
	batch_fini(&b);
	return 0;
}
