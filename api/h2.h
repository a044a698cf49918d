/* api/h2.h - the server's side of HTTP/2 over nghttp2, for requests with small answers: bytes in, calls of the ops; bytes
 * out. No sockets. It keeps what a client can make it hold bounded: streams, heads, windows; and it ends connections
 * that do little but make work (floods of PING, SETTINGS, empty DATA, streams opened to be reset).
 *
 * Nothing is freed while an op runs, and no op runs inside h2_answer, h2_reset, h2_consume and h2_goaway. One thread. */
#ifndef API_H2_H
#define API_H2_H

#include <sys/queue.h>
#include "api/http1.h"
#include "base/arena.h"

struct h2;

struct h2_stream {
	TAILQ_ENTRY(h2_stream) link;
	int32_t id;
	/* While on_head runs, and no longer. */
	struct slice method, path, authority; /* absent if they were not given */
	struct http1_header *header;	      /* the others; names are lower case */
	size_t n_headers;
	size_t head_bytes; /* all of that */
	bool has_head;	   /* on_head was called */
	bool ended;	   /* the client has said all */
	bool answered;
	int64_t since_ns; /* monotonic: when it began, when its head was whole, when it was answered */
	void *user;	  /* the owner's */
	struct arena arena;
	/* h2.c's */
	size_t cap_headers;
	bool too_large;
	struct buf body;
	size_t body_sent;
	struct http1_header *trailer;
	size_t n_trailers;
};

struct h2_ops {
	void (*on_head)(void *arg, struct h2_stream *st);
	/* Borrowed. The owner gives the room back with h2_consume, else the client has to stop. */
	void (*on_data)(void *arg, struct h2_stream *st, struct slice data);
	void (*on_end)(void *arg, struct h2_stream *st);
	/* After it st is gone: answered, reset, or the connection ended. Only after on_head. */
	void (*on_close)(void *arg, struct h2_stream *st);
};

struct h2_limits {
	unsigned max_streams;	 /* at a time */
	size_t max_head_bytes;	 /* over it 431 */
	size_t max_headers;	 /* likewise */
	unsigned window;	 /* bytes one stream may send ahead */
	unsigned conn_window;	 /* bytes all of them may send ahead */
	unsigned max_glitches;	 /* frames that only make work, at once */
	unsigned glitches_per_s; /* and on average */
};

TAILQ_HEAD(h2_streams, h2_stream);

struct h2 *h2_new(const struct h2_limits *limits, const struct h2_ops *ops, void *arg); /* NULL: no memory */
void h2_free(struct h2 *h); /* calls on_close for what is open */
/* -1: what the client sends makes no sense (or is too much): send what h2_pull still gives, then close. *why says it. */
int h2_feed(struct h2 *h, struct slice in, const char **why);
/* Appends what is to be sent, as long as out has less than max bytes. */
void h2_pull(struct h2 *h, struct buf *out, size_t max);
bool h2_is_greeted(const struct h2 *h);			 /* the client's first SETTINGS have come */
bool h2_is_over(const struct h2 *h);			 /* no more is to be said on either side */
const struct h2_streams *h2_streams(const struct h2 *h); /* all that are open */
uint64_t h2_n_pings(const struct h2 *h);		 /* received so far */

/* Everything is copied but *body, which is taken. Without body and trailers the head ends the stream. */
void h2_answer(struct h2 *h, struct h2_stream *st, int status, const struct http1_header *head, size_t n_head,
	       struct buf *body, const struct http1_header *trailer, size_t n_trailers);
void h2_reset(struct h2 *h, struct h2_stream *st);	       /* CANCEL */
void h2_consume(struct h2 *h, struct h2_stream *st, size_t n); /* st NULL: of the connection alone */
void h2_goaway(struct h2 *h); /* what is open may finish, nothing new may come */

#endif
