/* api/guard.h - who may ask: the tenant a request names, the host it was sent to, the site whose page sent
 * it. Pure checks of a head against the settings; err->code decides the status. Thread-safe. */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "api/http1.h"
#include "api/server.h"

/* *tenant is a constant or points into the head. flags: the route's. */
int guard_tenant(const struct http1_head *h, const struct server_settings *s, unsigned flags,
		 struct slice *tenant, struct err *err);
/* DNS rebinding: own_name is this machine's. */
int guard_host(const struct http1_head *h, const struct server_settings *s, struct slice own_name,
	       struct err *err);
/* CSRF and cross-site streams. */
int guard_site(const struct http1_head *h, const struct server_settings *s, struct err *err);

#endif
