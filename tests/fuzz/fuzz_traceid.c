/* Any bytes as a line: whatever half of it is searched for, the index must not miss it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "model/traceid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice names[] = {
		{ "trace_id", 8 }, { "trace.id", 8 }, { "@tr", 3 }, { "dd.trace_id", 11 }
	};
	static const struct slice fields[] = { { "request_id", 10 } };
	static struct trace_keys *keys;
	static struct trace_found found;
	struct slice line = slice_of(data, size);
	struct trace_id id;
	bool exact;

	if (keys == NULL)
		keys = trace_keys_new(names, 4, fields, 1);
	trace_find(keys, line, SLICE(""), SLICE(""), &found);
	for (size_t at = 0; at < size; at += 1 + size / 8) {
		struct slice needle = slice_from(line, at);
		uint64_t token[4];
		size_t n = trace_tokens_for_needle(needle, token), hit = n == 0;

		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < found.n_tokens; j++)
				hit |= token[i] == found.token[j];
		assert(hit);
		trace_id_parse(needle, &id, &exact);
	}
	trace_find(keys, slice_sub(line, 0, size / 2), slice_from(line, size / 2), slice_from(line, size / 4),
		   &found);
	return 0;
}
