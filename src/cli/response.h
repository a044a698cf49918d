/* cli/response.h - an HTTP/1.1 answer, read as its bytes come. Pure: no sockets. Lengths from the server are
 * checked before they are believed; bodies are bounded. One thread. */
#ifndef CLI_RESPONSE_H
#define CLI_RESPONSE_H

#include "base/buf.h"
#include "base/err.h"

enum { RESPONSE_MAX_HEAD = 64 << 10 };

struct response {
	/* of the answer, valid once response_feed has said 1 */
	int status;
	struct buf head; /* status line and headers as they came */
	struct buf body;
	bool keep_alive;       /* the connection can take another request */
	int64_t retry_after_s; /* -1: not given */
	/* the parser's own */
	size_t max_body;
	bool head_only; /* the answer to HEAD */
	enum {
		RESPONSE_HEAD,
		RESPONSE_LENGTH,
		RESPONSE_CHUNK_SIZE,
		RESPONSE_CHUNK,
		RESPONSE_CHUNK_END,
		RESPONSE_TRAILER,
		RESPONSE_TO_EOF,
		RESPONSE_DONE
	} state;
	uint64_t left;	 /* bytes of the body or the chunk to come */
	struct buf line; /* of chunk framing, while incomplete */
};

void response_init(struct response *r, size_t max_body);
void response_fini(struct response *r);
void response_reset(struct response *r); /* for the next answer on the connection */
/* 1: complete; 0: more bytes are needed; -1: not HTTP, or too large (ERR_TOO_LARGE, else ERR_CORRUPT). Bytes
 * after the end of the answer are an error. */
int response_feed(struct response *r, struct slice bytes, struct err *err);
int response_eof(struct response *r, struct err *err); /* the connection ended: 1 or -1 */
struct slice response_header(const struct response *r,
			     const char *name); /* the first; absent if there is none */

#endif
