/* A configuration file: whatever is accepted must, rendered, be read back as the same configuration. */
#include "base/mem.h"
#include "daemon/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_args args = { 0 };
	struct config *c = NULL, *again = NULL;
	struct buf text = { 0 };
	struct err err;

	if (size == 0 || config_load_text(slice_of(data, size), "fuzz", &args, &c, &err) == -1)
		return 0;
	config_render(c, CONFIG_DIFFS, &text);
	int rc = config_load_text(buf_slice(&text), "again", &args, &again, &err);
	assert(rc == 0 && config_same(c, again));
	config_free(again);
	config_free(c);
	buf_fini(&text);
	return 0;
}
