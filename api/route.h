/* api/route.h - the route table: a row for each endpoint. The server knows nothing of what the handlers do.
 * Rows are constant and outlive the server; two rows may share a path and differ in methods. Thread-safe:
 * nothing changes. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "base/slice.h"

struct req;

enum {
	NEED_TENANT = 1 << 0, /* req->tenant is set; 401 or 400 if the header is wrong */
	NEED_BODY = 1 << 1,   /* a body up to max_body_bytes; without it 64 KiB are read and ignored */
	NEED_FORM = 1 << 2,   /* a form-encoded body of a POST adds to req->params */
	ROUTE_MULTI_TENANT =
		1 << 3,		/* with multi_tenant_queries on, req->tenant may be "a|b", each part valid */
	ROUTE_GZIP = 1 << 4,	/* bodies of 1400 bytes and more may be compressed; answers carry Vary */
	ROUTE_NEWLINE = 1 << 5, /* error texts end in a newline, as Loki's push does */
	ROUTE_SAME_SITE = 1 << 6, /* changes state or streams: refused when a page of another site sent it */
	ROUTE_ADMIN = 1 << 7,	  /* lives on the admin listener if there is one */
	ROUTE_OTLP = 1 << 8,	  /* lives on the OTLP listener, too, if there is one */
	ROUTE_ESCAPED = 1 << 9,	  /* names in the path may hold a slash, sent as %2F */
	ROUTE_OPEN = 1 << 10,	  /* no credential is needed even where requests are authenticated */
	/* What a credential must be good for; several: one of them; none: ROLE_ADMIN. */
	ROLE_WRITE = 1 << 11,
	ROLE_READ = 1 << 12,
	ROLE_DELETE = 1 << 13,
	ROLE_ADMIN = 1 << 14,
	ROUTE_GRPC = 1 << 15,	/* a method of gRPC: lives on the gRPC listener alone */
	ROUTE_STATUS = 1 << 16, /* errors are a google.rpc.Status in protobuf, as OTLP has them */
	ROLE_ANY = ROLE_WRITE | ROLE_READ | ROLE_DELETE | ROLE_ADMIN,
};

enum { ROUTE_MAX_PARAMS = 2 };

struct route {
	const char *methods; /* "GET" or "GET|POST" */
	const char *path;    /* "/loki/api/v1/label/:name/values": at most ROUTE_MAX_PARAMS such names, each
				matching one non-empty segment */
	void (*handler)(struct req *req); /* on the connection's loop thread; see req.h */
	unsigned flags;
};

/* The row for a method and a decoded path, or NULL. param[] are the :name segments (absent if the row has fewer);
 * *path_known tells 405 from 404. Only rows with all of `must` and none of `must_not` in their flags count.
 */
const struct route *route_find(const struct route *routes, size_t n, struct slice method, struct slice path,
			       unsigned must, unsigned must_not, struct slice param[ROUTE_MAX_PARAMS],
			       bool *path_known);
void route_check(const struct route *routes, size_t n); /* asserts that a table is well-formed */

#endif
