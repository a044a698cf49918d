/* api/guard.h - who may ask: the tenant a request names, the host it was sent to, the site whose page sent
 * it. Pure checks of a head against the settings; err->code decides the status. Thread-safe. */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "api/auth.h"
#include "api/http1.h"
#include "api/server.h"

/* *tenant is a constant or points into the head. flags: the route's. */
int guard_tenant(const struct http1_head *h, const struct server_settings *s, unsigned flags,
		 struct slice *tenant, struct err *err);
/* The same for what `header` says (absent: not sent), for who asks (NULL: anyone): a credential for one tenant need not
 * name it, and one for others is refused with ERR_FORBIDDEN. Of several tenants each counts once and they are sorted. */
int guard_tenant_of(struct slice header, const struct server_settings *s, unsigned flags,
		    const struct credential *who, struct arena *a, struct slice *tenant, struct err *err);
/* Has it one of the roles that the route asks for? who NULL: fine. */
int guard_role(unsigned flags, const struct credential *who, struct err *err);
/* DNS rebinding: own_name is this machine's. */
int guard_host(const struct http1_head *h, const struct server_settings *s, struct slice own_name,
	       struct err *err);
/* CSRF and cross-site streams. */
int guard_site(const struct http1_head *h, const struct server_settings *s, struct err *err);

#endif
