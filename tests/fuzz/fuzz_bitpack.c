/* Numbers from hostile bytes. The first two bytes say how many there should be; what was read is written and read again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "index/bitpack.h"

static char *with_slack(const void *p, size_t n)
{
	char *copy = xcalloc(1, n + BITPACK_SLACK);

	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

static void again(const int64_t *v, size_t n)
{
	int64_t *out = xcalloc(n, sizeof(*out));
	struct buf b;

	buf_init(&b);
	numbers_write(v, n, &b);
	char *copy = with_slack(b.p, b.n);
	struct cursor c = cursor_of(slice_of(copy, b.n));
	numbers_read(&c, n, out);
	assert(!c.bad && cursor_left(&c) == 0 && memcmp(v, out, n * sizeof(*v)) == 0);
	free(copy);
	free(out);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t n = data[0] + (size_t)data[1] * 256;
	uint32_t limit = data[0] * 100u + 1;
	char *copy = with_slack(data + 2, size - 2);
	int64_t *v = xcalloc(n + 1, sizeof(*v));
	uint32_t *id = xcalloc(n + 1, sizeof(*id));
	struct cursor c = cursor_of(slice_of(copy, size - 2)), d = c;

	numbers_read(&c, n, v);
	numbers_read_ids(&d, n, limit, id);
	bool below = true;
	for (size_t i = 0; i < n && !c.bad; i++)
		below = below && v[i] >= 0 && v[i] < (int64_t)limit;
	assert(d.bad == (c.bad || !below));
	for (size_t i = 0; i < n && !d.bad; i++)
		assert(id[i] == v[i]);
	if (!c.bad)
		again(v, n);
	free(copy);
	free(v);
	free(id);
	return 0;
}
