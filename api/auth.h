/* api/auth.h - who sent a request: credentials, and the check of what a client presents against them. What a
 * credential may do is checked in guard.h.
 *
 *	head of a request ─► auth_begin ─┬─► AUTH_OK, AUTH_REFUSED                              at once
 *	                                 └─► AUTH_WAIT ─► crypt(3) on a thread of auth's ─► attempt->done
 *
 * A password that was right is remembered for a minute under a keyed hash, so that a request costs no crypt; of a
 * bearer token only its SHA-256 is known. An address whose attempts failed ten times within a minute is refused
 * until the minute is over. Thread-safe. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include <stdatomic.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"

enum auth_mode { AUTH_NONE, AUTH_BASIC, AUTH_BEARER, AUTH_MTLS };

enum { AUTH_TOKEN_HASH_BYTES = 32, AUTH_ADDR_BYTES = 16, AUTH_MAX_FAILURES = 10 };

struct credential {
	struct slice name;
	const char *password_hash; /* crypt(3) form; NULL: cannot be used with AUTH_BASIC */
	bool has_token;
	unsigned char token_sha256[AUTH_TOKEN_HASH_BYTES];
	struct slice certificate; /* SAN or CN; absent: cannot be used with AUTH_MTLS */
	bool all_tenants;
	const struct slice *tenants;
	size_t n_tenants;
	unsigned roles; /* ROLE_… of route.h */
};

/* Built by one owner, read-only once it is given to auth_set; counted from then on. */
struct credentials {
	struct arena arena; /* what the slices point into */
	VEC(struct credential) v;
	_Atomic unsigned n_refs;
	struct map by_name, by_certificate; /* filled by auth_set */
};
struct credentials *credentials_new(void);
void credentials_unref(struct credentials *c); /* NULL is fine */
bool credential_may_use(const struct credential *who, struct slice tenant);
bool auth_password_hash_ok(const char *hash); /* a method that is strong and that this system knows? */

struct auth;

struct auth *auth_new(void);	/* AUTH_NONE */
void auth_free(struct auth *a); /* waits for what it verifies; NULL is fine */
/* From now on; takes c over (NULL: none). What was remembered is forgotten. */
void auth_set(struct auth *a, enum auth_mode mode, struct credentials *c);
enum auth_mode auth_mode(const struct auth *a); /* a NULL: AUTH_NONE */
/* The value of WWW-Authenticate in a 401; NULL: there is nothing to ask for. */
const char *auth_challenge(const struct auth *a);

enum auth_state { AUTH_OK, AUTH_REFUSED, AUTH_WAIT };

struct auth_attempt {
	/* What the client presents; must last until the attempt is decided. */
	struct slice authorization; /* the header's value; absent if there is none */
	struct slice tls_user;	    /* of its verified certificate; absent if there is none */
	struct slice peer;	    /* its address as text, for the log */
	char addr[AUTH_ADDR_BYTES]; /* its address: what failures are counted by */
	size_t addr_n;
	void (*done)(struct auth_attempt *t); /* after AUTH_WAIT: once, on a thread of auth's */
	/* The verdict. */
	enum auth_state state;
	const struct credential *who; /* AUTH_OK; NULL with AUTH_NONE; valid until auth_end */
	struct err err; /* AUTH_REFUSED: ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_LIMITED, ERR_UNAVAILABLE */
	unsigned retry_after_s; /* ERR_LIMITED, ERR_UNAVAILABLE */
	/* auth's own */
	struct credentials *set;
	struct auth_attempt *next;
};

/* The state is in t, too. AUTH_WAIT: t is auth's until done is called. */
enum auth_state auth_begin(struct auth *a, struct auth_attempt *t);
void auth_end(struct auth_attempt *t); /* gives back what `who` points to; any decided or unused attempt */

#endif
