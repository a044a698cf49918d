/* Texts that people paste and save: the body of a saved query, and whatever may hold trace ids. */
#include "base/mem.h"
#include "query/saved.h"
#include "query/trace_text.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice names[] = { { "trace_id", 8 }, { "traceparent", 11 } };
	struct slice text = slice_of(data, size);
	struct trace_id id[TRACE_TEXT_MAX_IDS];
	struct saved_query q;
	struct arena a;
	struct err err;

	arena_init(&a);
	(void)saved_parse(text, &a, &q, &err);
	arena_fini(&a);
	struct trace_keys *k = trace_keys_new(names, ARRAY_LEN(names), NULL, 0);
	size_t n = trace_text_ids(k, text, id);
	assert(n <= TRACE_TEXT_MAX_IDS);
	for (size_t i = 0; i < n; i++)
		assert(id[i].lo != 0 || id[i].hi != 0);
	trace_keys_free(k);
	return 0;
}
