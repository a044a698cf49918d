/* The first byte chooses the headers, the rest is the body: codings, media types, bombs. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const coding[] = { "", "gzip", "deflate", "snappy", "zstd", "lz4" };
	static const char *const type[] = { "application/json", "application/x-protobuf" };
	struct body_headers h = { .room.limit = 100000 };
	struct decode_options o = { .max_streams = 100, .max_entries = 1000 };
	struct buf scratch[2];
	struct batch b;
	struct err err;
	const char *format;
	char media[128];

	if (size == 0)
		return 0;
	if (data[0] < 24) {
		h.kind = (enum push_kind)(data[0] % 3);
		h.content_encoding = slice_cstr(coding[data[0] / 3 % 4]);
		h.content_type = slice_cstr(type[data[0] / 12 % 2]);
	} else {
		h.kind = PUSH_OTLP;
		h.content_encoding = slice_cstr(coding[data[0] % 6]);
		h.content_type = slice_cstr(type[data[0] / 6 % 2]);
	}
	buf_init(&scratch[0]);
	buf_init(&scratch[1]);
	batch_init(&b);
	body_decode(&h, slice_of(data + 1, size - 1), &o, scratch, &b, &format, &err);
	assert(scratch[0].n <= h.room.limit + 1 && scratch[1].n <= h.room.limit + 1);
	batch_fini(&b);
	buf_fini(&scratch[0]);
	buf_fini(&scratch[1]);
	body_media_type(slice_of(data, size), media, &err);
	return 0;
}
