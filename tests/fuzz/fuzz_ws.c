/* A WebSocket client's frames, cut into pieces at every place the first bytes choose. What comes back must be whole frames
 * of the server's kind, whatever the client sends. */
#include "api/ws.h"
#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Control frames only, unmasked, not fragmented; nothing after a close. */
static void check_answer(struct slice out)
{
	bool closed = false;

	while (out.n > 0) {
		assert(!closed && out.n >= 2);
		unsigned char first = (unsigned char)out.p[0], len = (unsigned char)out.p[1];
		assert(first == 0x88 || first == 0x8a);
		assert(len <= 125 && out.n >= 2 + (size_t)len);
		closed = first == 0x88;
		out = slice_from(out, 2 + (size_t)len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of(data, n);
	struct buf out;
	bool open = true;

	if (n == 0)
		return 0;
	size_t step = 1 + data[0] % 16;
	in = slice_from(in, 1);
	buf_init(&out);
	struct ws *w = ws_new();
	while (open && in.n > 0) {
		open = ws_feed(w, slice_sub(in, 0, step), &out);
		in = slice_from(in, step);
	}
	ws_close(w, WS_INTERNAL, slice_of(data, MIN(n, (size_t)200)), &out);
	assert(ws_is_closed(w));
	check_answer(buf_slice(&out));
	buf_fini(&out);
	ws_free(w);
	return 0;
}
