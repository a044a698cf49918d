#include "fuzz_otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = slice_of(data, size);
	struct err err;
	uint64_t n;

	fuzz_otlp(decode_otlp_json, body);
	otlp_count_json(OTLP_METRICS, body, &n, &err);
	otlp_count_json(OTLP_TRACES, body, &n, &err);
	return 0;
}
