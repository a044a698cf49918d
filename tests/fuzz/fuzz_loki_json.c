/* Both JSON shapes, and everything that a push goes through before the store. */
#include <stddef.h>
#include <stdint.h>

#include "ingest/correlate.h"
#include "ingest/loki_json.h"
#include "ingest/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct limits limits = { .max_line_size = 1000,
				      .max_label_names_per_series = 15,
				      .max_label_name_length = 100,
				      .max_label_value_length = 200,
				      .max_structured_metadata_entries_count = 20,
				      .allow_structured_metadata = true,
				      .discover_log_levels = true,
				      .discover_service_name = true,
				      .increment_duplicate_timestamp = true };

static void run(decode_fn decode, struct slice body)
{
	static const struct slice names[] = { { "trace_id", 8 } };
	static struct trace_keys *keys;
	struct decode_options o = { .max_streams = 100, .max_entries = 1000, .max_labels_bytes = 10000 };
	struct correlator c = { 0 };
	struct tally t = { 0 };
	struct buf text;
	struct batch b;
	struct err err;

	if (keys == NULL)
		keys = trace_keys_new(names, 1, NULL, 0);
	batch_init(&b);
	buf_init(&text);
	if (decode(body, &o, &b, &err) == 0) {
		validate_batch(&b, &limits, 1795425259000000000, &t);
		tally_text(&t, &text);
		correlate_batch(&c, keys, &b);
	}
	correlator_fini(&c);
	buf_fini(&text);
	batch_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(decode_loki_json, slice_of(data, size));
	run(decode_loki_json_legacy, slice_of(data, size));
	return 0;
}
