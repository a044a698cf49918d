/* daemon/tenants.h - the configuration in force, and the limits of a tenant: its overrides, or else what the
 * configuration says for all. Any thread may ask at any time, also during a reload, and takes no lock. What
 * tenants_limits returns stays valid until tenants_free: a reload that changes something keeps the former
 * configuration, so that whoever reads it need not count references. */
#ifndef DAEMON_TENANTS_H
#define DAEMON_TENANTS_H

#include "daemon/config.h"
#include "daemon/overrides.h"

struct tenants;

/* Each takes c and o over. o was laid over c, or is NULL: no overrides. */
struct tenants *tenants_new(struct config *c, struct overrides *o);
void tenants_replace(struct tenants *t, struct config *c, struct overrides *o);
void tenants_replace_overrides(struct tenants *t,
			       struct overrides *o); /* laid over the current configuration */
void tenants_free(struct tenants *t);		     /* NULL is fine */
const struct settings *tenants_settings(struct tenants *t);
const struct config *tenants_config(struct tenants *t);
const struct limits *tenants_limits(struct tenants *t, struct slice tenant);
/* Also of several at once, "a|b": the stricter of each limit. */
void tenants_copy_limits(struct tenants *t, struct slice tenant, struct limits *out);

#endif
