/* Limits of single tenants: whatever is accepted reads the same again. */
#include "daemon/overrides.h"
#include "daemon/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config_args args = { 0 };
	static struct config *c;
	struct overrides *o = NULL, *again = NULL;
	struct err err;

	if (c == NULL && config_load(&args, &c, &err) == -1)
		return 0;
	if (overrides_load_text(slice_of(data, size), "fuzz", config_settings(c), &o, &err) == -1)
		return 0;
	int rc = overrides_load_text(slice_of(data, size), "fuzz", config_settings(c), &again, &err);
	assert(rc == 0 && overrides_same(o, again));
	overrides_free(o);
	overrides_free(again);
	return 0;
}
