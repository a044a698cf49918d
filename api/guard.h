/* api/guard.h - who may ask: the tenant a request names, the host it was sent to, the site whose page sent
 * it. Pure checks of a head against the settings; err->code decides the status. Thread-safe. */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "api/auth.h"
#include "api/http1.h"
#include "api/server.h"

/* The tenant, or several as "a|b", for what X-Scope-OrgID says (absent: not sent) and who asks (NULL: anyone): a
 * credential for one tenant need not name it, and one for others is refused with ERR_FORBIDDEN. Of several tenants each
 * counts once and they are sorted. flags: the route's. *tenant is a constant, the credential's, the header's or the
 * arena's. */
int guard_tenant(struct slice header, const struct server_settings *s, unsigned flags,
		 const struct credential *who, struct arena *a, struct slice *tenant, struct err *err);
/* Has it one of the roles that the route asks for? who NULL: fine. */
int guard_role(unsigned flags, const struct credential *who, struct err *err);
/* DNS rebinding: own_name is this machine's. */
int guard_host(const struct http1_head *h, const struct server_settings *s, struct slice own_name,
	       struct err *err);
/* CSRF and cross-site streams. */
int guard_site(const struct http1_head *h, const struct server_settings *s, struct err *err);

#endif
