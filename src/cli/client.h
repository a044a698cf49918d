/* cli/client.h - one HTTP connection to the server, opened when it is needed and kept for the next request.
 * Blocking, with a deadline. One thread. (Plain sockets: libevent's client would try only the first address
 * of a name, and could not say which address refused.) */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/response.h"

struct client;

struct client_options {
	const char *url;	   /* http://host[:port][/prefix] */
	const char *tenant;	   /* X-Scope-OrgID; NULL: not sent */
	const char *authorization; /* the header's value; NULL: not sent */
	int64_t timeout_ns;	   /* for a whole request and its answer */
	size_t max_answer_bytes;
};

int client_new(const struct client_options *o, struct client **out,
	       struct err *err);    /* ERR_BAD_REQUEST: the URL */
void client_free(struct client *c); /* NULL is fine */
/* path with its query string, below the URL's prefix. content_type NULL: no body. The response is the
 * client's, valid until the next call. ERR_UNAVAILABLE: no connection, or it broke; ERR_TIMEOUT; what
 * response_feed says. */
int client_request(struct client *c, const char *method, struct slice path, const char *content_type,
		   struct slice body, const struct response **out, struct err *err);
void url_escape(struct buf *b, struct slice s); /* all but unreserved characters as %XX */

#endif
