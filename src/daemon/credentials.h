/* daemon/credentials.h - the file of credentials, spoor-credentials(5), read as a whole: whoever is in it may ask.
 *
 *	credentials:
 *	  - name: agent
 *	    password_hash: $y$j9T$...        # auth: basic
 *	    token_sha256: 2cf24dba...        # auth: bearer
 *	    certificate: agent.example.org   # auth: mtls
 *	    tenants: [acme, globex]          # "*": all; default: the single tenant, fake
 *	    roles: [write, read, delete, admin]
 *
 * No error text holds what might be a secret. */
#ifndef DAEMON_CREDENTIALS_H
#define DAEMON_CREDENTIALS_H

#include "api/auth.h"

/* ERR_CONFIG; a file that everyone may read is refused, too. Somebody in it must be able to log in with this mode. */
int credentials_load(const char *file, enum auth_mode mode, struct credentials **out, struct err *err);
int credentials_load_text(struct slice yaml, const char *name, enum auth_mode mode, struct credentials **out,
			  struct err *err);

#endif
