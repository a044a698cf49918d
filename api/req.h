/* api/req.h - a request as its handler sees it, and the ways to answer.
 *
 * A handler runs on the connection's loop thread and either answers before it returns,
 *
 *	req_reply(req, 200, "application/json", &body);
 *
 * or puts the answer off and gives the request to whoever will answer, on any thread:
 *
 *	req_defer(req); pool_submit(...);            the worker owns req from here on
 *	...
 *	req_reply(req, 200, type, &body); req_finish_from_any_thread(req);   and no longer from here on
 *
 * A streamed answer is req_stream_start, req_stream_write..., req_stream_end, also on any thread. One thread
 *at a time may use a req. If the client leaves, `cancelled` becomes true, the function of req_on_cancel is
 *called, and answering does nothing; the owner must still finish the request, which then goes away. */
#ifndef API_REQ_H
#define API_REQ_H

#include <stdatomic.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "api/http1.h"
#include "api/route.h"
#include "api/url.h"

struct req {
	const struct route *route;
	void *app; /* of server_options */
	struct slice method;
	struct slice path;     /* decoded */
	struct slice param;    /* the :name segment of the route, decoded, not empty; absent if it has none */
	struct slice param2;   /* the second one */
	struct slice query;    /* as sent, without the '?'; "" if there is none */
	struct slice tenant;   /* with NEED_TENANT */
	struct slice body;     /* as sent: not decompressed */
	struct slice peer;     /* the client's address, as text */
	struct slice user;     /* the name of its credential; absent where requests are not authenticated */
	struct slice tls_user; /* by its verified certificate (tls.h); absent if it gave none */
	struct url_params params; /* of the URL and, with NEED_FORM, of the body; the body's first */
	struct http1_head head;
	struct arena arena; /* lives as long as the request */
	int64_t start_ns;   /* monotonic: when its first byte came */
	_Atomic bool cancelled;
};

struct slice req_header(const struct req *req, struct slice name); /* absent if there is none */
struct slice req_param(const struct req *req,
		       struct slice name); /* the first value; absent if there is none */
struct slice req_media_type(
	const struct req *req); /* Content-Type without parameters; absent if there is none */
bool req_accepts_gzip(const struct req *req);

/* Counts bytes that the request makes the process hold (its body) against the memory for all bodies in
 * flight. False: over the limit, answer 503. Given back when the request ends. */
bool req_reserve(struct req *req, size_t bytes);
/* The same for what a body becomes when it is decoded. The only request that holds memory may pass the limit,
 * or a body that fits its own limits would be refused each time it is sent again. */
bool req_reserve_decoded(struct req *req, size_t bytes);
void req_release(struct req *req, size_t bytes); /* sooner */

/* Before the reply. The strings are copied; neither may come from a client unchecked. */
void req_add_header(struct req *req, const char *name, const char *value);

/* The answer. body is taken (emptied) and may be NULL; content_type may be NULL. Exactly one reply a request.
 * Compresses here, on the caller's thread, where the route allows it and the client accepts it. */
void req_reply(struct req *req, int status, const char *content_type, struct buf *body);
void req_reply_text(struct req *req, int status,
		    struct slice text); /* text/plain with nosniff; text is copied as it is */
/* A google.rpc.Status in protobuf that holds the text, without a newline at its end; 500 is sent as 503. */
void req_reply_status(struct req *req, int status, struct slice text);
/* Status by err->code, text/plain, a newline if the route has ROUTE_NEWLINE; with ROUTE_STATUS as above, but for 401. 429
 * and 503 get Retry-After: 1 unless req_add_header gave one. */
void req_reply_error(struct req *req, const struct err *err);

void req_defer(struct req *req);		  /* inside the handler, before req becomes someone else's */
void req_finish_from_any_thread(struct req *req); /* sends the reply; req is gone for the caller */

/* fn runs on the loop thread (or here and now if the client is gone already), at most once, and never after
 * req_on_cancel with NULL has returned. It runs under the request's lock: only set flags and wake someone in
 * it. */
void req_on_cancel(struct req *req, void (*fn)(void *arg), void *arg);

enum { REQ_STREAM_HIGH = 1 << 20, REQ_STREAM_LOW = 256 << 10 }; /* bytes not yet taken by the client */

/* Other limits for this stream; before it starts. */
void req_stream_limits(struct req *req, size_t high, size_t low);

enum req_stream { REQ_STREAM_OK, REQ_STREAM_FULL, REQ_STREAM_GONE };

/* Starts a streamed (chunked) answer; implies req_defer. on_low, if given, runs on the loop thread under the
 * request's lock when the queue has fallen below REQ_STREAM_LOW after a write that said REQ_STREAM_FULL, or
 * the client has left. */
void req_stream_start(struct req *req, int status, const char *content_type, void (*on_low)(void *arg),
		      void *arg);
/* Takes the bytes in any case but GONE. FULL: write no more before on_low, or the queue grows in memory. */
enum req_stream req_stream_write(struct req *req, struct slice s);
/* The connection stops being HTTP (WebSocket): answers 101 with the headers added so far and `Upgrade: protocol`; implies
 * req_defer. From here on it is a stream as above, whose writes are raw bytes on the wire: req_stream_write,
 * req_stream_end (which closes the connection once all is sent; not complete: cuts it), on_low, req_on_cancel when the
 * client leaves. on_data is called on the loop thread with each piece that the client sends, never again after
 * req_stream_end was called on that thread or `cancelled` is true; it may write and end. Idle and body deadlines do not
 * apply, the write deadline does. */
void req_upgrade(struct req *req, const char *protocol, void (*on_data)(void *arg, struct slice bytes),
		 void (*on_low)(void *arg), void *arg);
/* Ends the answer and the request. Not complete: the connection is cut, so that the client sees a broken
 * answer. */
void req_stream_end(struct req *req, bool complete);

#endif
