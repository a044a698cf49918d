/* query/tail_feed.h - a copy of those streams of a push that some tail may want, on its way from the thread that pushes
 * to the tail thread. One owner at a time. */
#ifndef QUERY_TAIL_FEED_H
#define QUERY_TAIL_FEED_H

#include "base/buf.h"
#include "base/vec.h"
#include "model/batch.h"

struct feed_entry {
	int64_t ts;
	size_t line_off, line_n; /* in `lines` */
	size_t meta_off, meta_n; /* in `lines`: encoded pairs */
};

struct feed_stream {
	size_t labels_off, labels_n; /* in `labels`: encoded */
	size_t first, n;
};

struct tail_feed {
	struct tail_feed *next;
	unsigned epoch;
	int64_t pushed_ns; /* monotonic */
	int64_t pushed_wall_ns;
	bool lost; /* there was no room: lines and metadata are gone */
	struct buf tenant, labels, lines;
	VEC(struct feed_stream) streams;
	VEC(struct feed_entry) entries;
};

struct tail_feed *tail_feed_new(struct slice tenant);
void tail_feed_free(struct tail_feed *f); /* NULL is fine */
void tail_feed_add(struct tail_feed *f, const struct batch *b, const struct batch_stream *st);
void tail_feed_lose(struct tail_feed *f);
size_t tail_feed_bytes(const struct tail_feed *f);

#endif
