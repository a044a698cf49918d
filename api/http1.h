/* api/http1.h - an incremental, strict reader of HTTP/1.1 requests. Pure: bytes in, events out, no sockets,
 *no clock. Whatever two readers could understand differently is refused (400), and the connection must then
 *be closed: after HTTP1_BAD nobody knows where the next request begins. The same bytes give the same events
 *however they are cut.
 *
 *	http1_init(&p, &limits);
 *	while ((ev = http1_feed(&p, &in, &data)) != HTTP1_MORE)
 *		HTTP1_HEAD once, HTTP1_BODY for each piece of body, HTTP1_DONE: then http1_reset for the next
 *one
 *
 * Not thread-safe. */
#ifndef API_HTTP1_H
#define API_HTTP1_H

#include "base/buf.h"

struct http1_limits {
	size_t max_head_bytes; /* request line and headers: over it 414 or 431 */
	size_t max_headers;    /* over it 431 */
};

struct http1_header {
	struct slice name;
	struct slice value; /* without white space around it */
};

struct http1_head {
	struct slice method;
	struct slice target; /* path and query; "*" or an authority only for OPTIONS and CONNECT */
	struct slice host;   /* with its port; absent only in HTTP/1.0 */
	struct http1_header *header;
	size_t n_headers;
	int64_t content_length; /* -1: not given */
	int minor;		/* 0 or 1: HTTP/1.minor */
	bool chunked;
	bool keep_alive;
	bool expect_continue;
	char *raw; /* what the slices point into */
};

enum http1_event {
	HTTP1_MORE, /* all input is eaten, more is needed */
	HTTP1_HEAD, /* p->head is complete */
	HTTP1_BODY, /* *data is a piece of the body, borrowed from the input */
	HTTP1_DONE, /* the request ends here; what is left of the input belongs to the next */
	HTTP1_BAD,  /* p->status and p->why say what is wrong; final */
};

struct http1_field;
struct http1 {
	struct http1_limits limits;
	int state;
	struct buf line;	   /* the head while it comes in; then one chunk line or trailer */
	size_t line_start;	   /* where in `line` the current line starts */
	struct http1_field *field; /* header lines as offsets, since `line` moves */
	size_t n_fields, cap_fields;
	uint64_t left;	/* bytes of the body or the chunk still to come */
	size_t n_extra; /* bytes of chunk extensions and trailers so far */
	size_t n_trailers;
	bool skipped_line;
	struct http1_head head;
	int status;
	const char *why;
};

void http1_init(struct http1 *p, const struct http1_limits *limits);
void http1_fini(struct http1 *p);
void http1_reset(struct http1 *p); /* ready for the next request of the connection */
enum http1_event http1_feed(struct http1 *p, struct slice *in, struct slice *data);

void http1_head_take(struct http1 *p, struct http1_head *out); /* out is the caller's, to http1_head_fini */
void http1_head_fini(struct http1_head *h);
struct slice http1_header_get(const struct http1_head *h, struct slice name); /* the first; absent if none */
/* Is `token` among the comma-separated words of any header `name`? Without regard to case. */
bool http1_header_has_token(const struct http1_head *h, struct slice name, struct slice token);
const char *http1_reason(int status); /* "Not Found" */

#endif
