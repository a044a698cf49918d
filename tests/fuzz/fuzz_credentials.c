/* Credentials: whatever is accepted has names, roles, tenants and something to log in with. */
#include "daemon/credentials.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct credentials *c = NULL;
	struct err err;

	if (credentials_load_text(slice_of(data, size), "fuzz", AUTH_BEARER, &c, &err) == -1)
		return 0;
	for (size_t i = 0; i < c->v.n; i++) {
		const struct credential *who = &c->v.v[i];

		assert(who->name.n > 0 && who->roles != 0 && (who->all_tenants || who->n_tenants > 0));
		assert(who->has_token || who->password_hash != NULL || who->certificate.n > 0);
	}
	struct auth *a = auth_new();
	struct auth_attempt t = { .authorization = SLICE("Bearer token") };
	auth_set(a, AUTH_BEARER, c);
	auth_begin(a, &t);
	auth_end(&t);
	auth_free(a);
	return 0;
}
