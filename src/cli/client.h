/* cli/client.h - one HTTP connection to the server, plain or TLS, opened when it is needed and kept for the next request.
 * Blocking, with a deadline. One thread. (Plain sockets: libevent's client would try only the first address
 * of a name, and could not say which address refused.) */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/response.h"

struct client;

struct client_options {
	const char *url;     /* http[s]://host[:port][/prefix] */
	const char *ca_file; /* https: whom to trust instead of the system's authorities; NULL: these */
	const char *cert_file, *key_file; /* https: who we are; NULL: nobody */
	const char *tenant;		  /* X-Scope-OrgID; NULL: not sent */
	const char *authorization;	  /* the header's value; NULL: not sent */
	int64_t timeout_ns;		  /* for a whole request and its answer */
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
/* A GET whose answer goes on: each piece of a 200's body is passed to on_body, which returns false to stop. The deadline
 * is for silence. 0: the server ended it, or on_body did; *out has the status, and the body of a refusal. */
int client_stream(struct client *c, struct slice path, const char *header,
		  bool (*on_body)(void *arg, struct slice piece), void *arg, const struct response **out,
		  struct err *err);

#endif
