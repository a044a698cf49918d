/* Whatever a server sends as events: in one piece and in two pieces it must be the same ones. */
#include "cli/events.h"
#include "base/text.h"

#include <assert.h>

static bool note(void *arg, struct slice type, struct slice id, struct slice data)
{
	buf_printf(arg, "%zu %zu %zu:", type.n, id.n, data.n);
	buf_add(arg, data);
	return true;
}

static void read_all(struct slice a, struct slice b, struct buf *out)
{
	struct events e;

	events_init(&e, note, out);
	events_feed(&e, a);
	events_feed(&e, b);
	events_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	size_t cut = size > 0 ? data[0] % (size + 1) : 0;
	struct buf one = { 0 }, two = { 0 };

	read_all(s, SLICE(""), &one);
	read_all(slice_sub(s, 0, cut), slice_from(s, cut), &two);
	assert(slice_eq(buf_slice(&one), buf_slice(&two)));
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
