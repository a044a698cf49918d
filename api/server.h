/* api/server.h - the HTTP/1.1 front: listeners, connections, deadlines, admission. One event loop for each
 * I/O thread, all accepting from the same sockets; a connection stays on the loop that accepted it. HTTP
 * only: what a request means is decided by the handlers of the route table. All functions: any thread but the
 * loops'. */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "base/err.h"
#include "api/route.h"

/* What a reload may change. Lists are arrays of n strings. */
struct auth;
struct tls;
struct server_settings {
	bool multi_tenant;	   /* off: everyone is tenant "fake" and the header is ignored */
	bool multi_tenant_queries; /* "a|b" on routes with ROUTE_MULTI_TENANT */
	bool check_host; /* refuse names that a DNS rebinding could bring (no authentication in use) */
	const char *const *allowed_hosts; /* more names for check_host, without port; "*" allows all */
	size_t n_allowed_hosts;
	const char *const *allowed_origins; /* "https://grafana.example:3000" */
	size_t n_allowed_origins;
	uint64_t max_body_bytes;      /* of one request, on the wire */
	uint64_t ingest_memory_bytes; /* all bodies and decode buffers in flight */
	unsigned max_connections;
	unsigned max_connections_per_addr;
	size_t max_head_bytes;
	size_t max_headers;
	int64_t header_timeout_ns; /* from the first byte, however steadily bytes come */
	int64_t body_free_ns;	   /* then body_min_rate counts */
	uint64_t body_min_rate;	   /* bytes a second on average */
	int64_t body_timeout_ns;
	int64_t idle_timeout_ns;
	int64_t write_stall_ns; /* without one byte going out */
	int64_t handshake_timeout_ns;
	uint64_t max_decoded_bytes; /* of a compressed gRPC message */
	struct tls *tls;	    /* for new connections on all listeners; NULL: none */
};

/* What a listening socket is for. */
enum listener_kind {
	LISTEN_MAIN,
	LISTEN_ADMIN, /* HTTP, only routes with ROUTE_ADMIN, which the main one then does not serve */
	LISTEN_OTLP,  /* HTTP, only routes with ROUTE_OTLP (the main one serves them, too) */
	LISTEN_GRPC,  /* HTTP/2, see grpc.h */
	LISTEN_N_KINDS
};

struct server_options {
	/* "127.0.0.1:3100", "[::1]:3100", ":3100"; port 0 picks one. NULL: none; LISTEN_MAIN must be given. */
	const char *listen[LISTEN_N_KINDS];
	unsigned n_io_threads;
	unsigned fd_reserve;	     /* descriptors that connections leave to the storage */
	void *app;		     /* for the handlers */
	struct account_user *memory; /* bodies' share of the process's account; may be NULL */
	struct auth *auth;	     /* who may ask; NULL: anyone. Borrowed, outlives the server */
	struct server_settings settings;
};

struct account_user;
struct server;

void server_options_init(struct server_options *o); /* the defaults */
/* Binds, listens and starts to answer. Errors: an address that is wrong or taken. */
int server_new(const struct server_options *o, const struct route *routes, size_t n_routes,
	       struct server **out, struct err *err);
unsigned server_port(const struct server *s,
		     enum listener_kind kind); /* of its first socket; 0 if there is none */
void server_set_settings(struct server *s,
			 const struct server_settings *settings); /* copied; new requests see it */
/* Stops accepting, closes idle connections, lets requests in work finish. True when all are done within the
 * time. */
bool server_drain(struct server *s, int64_t timeout_ns);
/* Cuts the connections that are left, cancels their requests and waits until their owners have finished them.
 */
void server_free(struct server *s); /* NULL is fine */

#endif
