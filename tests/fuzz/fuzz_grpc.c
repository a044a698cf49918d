/* Messages of gRPC in pieces (the first byte says which), and the texts of its headers. */
#include "api/grpc.h"
#include "base/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct slice all, size_t piece, struct buf *out)
{
	enum grpc_event ev = GRPC_MORE;
	struct grpc_reader r;

	grpc_reader_init(&r);
	for (size_t off = 0; off < all.n && ev != GRPC_BAD; off += piece) {
		struct slice in = slice_sub(all, off, piece), part;

		while ((ev = grpc_read(&r, &in, &part)) != GRPC_MORE && ev != GRPC_BAD)
			if (ev == GRPC_MESSAGE)
				buf_printf(out, "%u %d:", r.length, r.compressed);
			else
				buf_add(out, part);
	}
	buf_printf(out, "%d %d", ev == GRPC_BAD, grpc_read_whole(&r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 }, text = { 0 };
	int64_t ns;

	if (size < 2)
		return 0;
	struct slice all = slice_of(data + 1, size - 1);
	run(all, all.n, &whole);
	run(all, (size_t)data[0] % 16 + 1, &pieces);
	if (!slice_eq(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	grpc_put_text(&text, all);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < 0x20 || text.p[i] > 0x7e)
			abort();
	grpc_put_retry_details(&text, GRPC_UNAVAILABLE, all, data[0]);
	if (grpc_parse_timeout(all, &ns) && ns < 0)
		abort();
	grpc_is_content_type(all);
	buf_fini(&whole);
	buf_fini(&pieces);
	buf_fini(&text);
	return 0;
}
