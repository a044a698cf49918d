/* daemon/overrides.h - the limits of single tenants, in the form of Loki's runtime configuration:
 *
 *	overrides:
 *	  acme:
 *	    ingestion_rate_mb: 10
 *	    max_query_series: 1000
 *
 * Names and values are those of the settings that are limits of a tenant; what a tenant does not name is as the
 * configuration says. Immutable once loaded: any thread may ask. */
#ifndef DAEMON_OVERRIDES_H
#define DAEMON_OVERRIDES_H

#include "daemon/settings.h"

struct overrides;

/* Lays the file's values over base. ERR_CONFIG: the message names file, line and setting. */
int overrides_load(const char *file, const struct settings *base, struct overrides **out, struct err *err);
int overrides_load_text(struct slice yaml, const char *name, const struct settings *base,
			struct overrides **out, struct err *err);
/* Asks check about every tenant's limits. -1: one is refused; the message names the tenant. */
int overrides_check(const struct overrides *o, int (*check)(const struct limits *l, struct err *err),
		    struct err *err);
void overrides_free(struct overrides *o);					     /* NULL is fine */
const struct limits *overrides_find(const struct overrides *o, struct slice tenant); /* NULL if it has none */
bool overrides_same(const struct overrides *a,
		    const struct overrides *b); /* made of the same text; NULL is fine */

#endif
