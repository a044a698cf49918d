/* Whatever a server sends: reading it in one piece and in two pieces must come to the same end. */
#include "cli/response.h"

#include <assert.h>

static int read_all(struct response *r, struct slice a, struct slice b)
{
	struct err err;
	int rc = a.n > 0 ? response_feed(r, a, &err) : 0;

	if (rc != -1 && b.n > 0)
		rc = response_feed(r, b, &err);
	return rc == 0 ? response_eof(r, &err) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	size_t cut = size > 0 ? data[0] % (size + 1) : 0;
	struct response one, two;

	response_init(&one, 4096);
	response_init(&two, 4096);
	int rc = read_all(&one, s, SLICE("")), rc2 = read_all(&two, slice_sub(s, 0, cut), slice_from(s, cut));
	assert(rc == rc2);
	if (rc == 1)
		assert(one.status == two.status && slice_eq(buf_slice(&one.body), buf_slice(&two.body)));
	response_fini(&one);
	response_fini(&two);
	return 0;
}
