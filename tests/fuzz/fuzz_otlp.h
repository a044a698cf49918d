/* Both OTLP targets: decode, validate, and hold the batch to what the store relies on. */
#ifndef FUZZ_OTLP_H
#define FUZZ_OTLP_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/otlp.h"
#include "ingest/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_otlp(decode_fn decode, struct slice body)
{
	static const struct limits limits = { .max_label_names_per_series = 15,
					      .allow_structured_metadata = true,
					      .discover_log_levels = true,
					      .discover_service_name = true };
	static const struct slice names[] = { { "service.name", 12 }, { "k8s.pod.name", 12 } };
	struct decode_options o = { .max_streams = 100,
				    .max_entries = 1000,
				    .now_ns = 1795425259000000000,
				    .otlp_labels = names,
				    .n_otlp_labels = 2 };
	struct tally t = { 0 };
	struct batch b;
	struct err err;
	size_t at = 0;

	batch_init(&b);
	if (decode(body, &o, &b, &err) == 0) {
		for (size_t i = 0; i < b.streams.n; i++) {
			assert(b.streams.v[i].first == at && b.streams.v[i].n > 0);
			at += b.streams.v[i].n;
			for (size_t k = 0; k < i; k++)
				assert(!labels_eq(b.streams.v[i].labels, b.streams.v[k].labels));
		}
		assert(at == b.entries.n);
		for (size_t i = 0; i < b.entries.n; i++)
			for (size_t k = 1; k < b.entries.v[i].n_meta; k++)
				assert(slice_cmp(b.entries.v[i].meta[k - 1].name,
						 b.entries.v[i].meta[k].name) < 0);
		validate_batch(&b, &limits, o.now_ns, &t);
	}
	batch_fini(&b);
}

#endif
