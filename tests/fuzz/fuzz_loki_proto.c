/* A protobuf push, already uncompressed, up to its validation. */
#include <stddef.h>
#include <stdint.h>

#include "ingest/loki_proto.h"
#include "ingest/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct limits limits = { .max_label_names_per_series = 15,
					      .allow_structured_metadata = true,
					      .discover_log_levels = true,
					      .discover_service_name = true };
	struct decode_options o = { .max_streams = 100, .max_entries = 1000, .max_labels_bytes = 10000 };
	struct tally t = { 0 };
	struct batch b;
	struct err err;

	batch_init(&b);
	if (decode_loki_proto(slice_of(data, size), &o, &b, &err) == 0)
		validate_batch(&b, &limits, 1795425259000000000, &t);
	batch_fini(&b);
	return 0;
}
