/* daemon/tenants.h - the configuration in force, and the limits of a tenant. Any thread may ask at any time,
 * also during a reload. What tenants_limits returns stays valid until tenants_free: a reload that changes
 * something keeps the former configuration, so that whoever reads it need not count references. */
#ifndef DAEMON_TENANTS_H
#define DAEMON_TENANTS_H

#include "daemon/config.h"

struct tenants;

struct tenants *tenants_new(struct config *c);		   /* takes c over */
void tenants_free(struct tenants *t);			   /* NULL is fine */
void tenants_replace(struct tenants *t, struct config *c); /* takes c over */
const struct settings *tenants_settings(struct tenants *t);
const struct config *tenants_config(struct tenants *t);
const struct limits *tenants_limits(struct tenants *t, struct slice tenant);

#endif
