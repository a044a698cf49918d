/* ingest/json_scan.h - a streaming JSON scanner for push bodies: one pass, nothing allocated for a value. A
 * string without escapes points into the text; one with escapes is resolved into a block of the arena (or of a
 * buffer that is kept from text to text) that is taken once and is as long as what is left of the text. Used by one thread at a time.
 *
 * Lenient where senders are careless: raw control characters and bytes that are not UTF-8 may stand in
 * strings. Functions return -1 with err naming the byte offset. */
#ifndef INGEST_JSON_SCAN_H
#define INGEST_JSON_SCAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { JSON_MAX_DEPTH = 32, JSON_DEEP = 128 };

struct json_scan {
	const char *begin, *p, *end;
	struct arena *arena;
	char *out, *out_end; /* the rest of the block for resolved strings */
	struct buf *room;    /* where that block is taken from; NULL: the arena */
	struct err *err;
};

void jscan_init(struct json_scan *s, struct slice text, struct arena *arena, struct err *err);
/* Resolved strings go to room, which must not be touched while they are used. Only before the first string. */
void jscan_use(struct json_scan *s, struct buf *room);
int jscan_fail(struct json_scan *s, const char *what);

static inline void jscan_ws(struct json_scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

/* The next byte that is not white space, 0 at the end; stays in front of it. */
static inline char jscan_peek(struct json_scan *s)
{
	jscan_ws(s);
	return s->p < s->end ? *s->p : '\0';
}

int jscan_expect(struct json_scan *s, char c);
int jscan_string(struct json_scan *s, struct slice *out);     /* at the opening quote; resolved */
int jscan_raw_string(struct json_scan *s, struct slice *out); /* between the quotes, escapes as they stand */
int jscan_skip(struct json_scan *s, unsigned depth);	      /* any value; depth = containers around it */
int jscan_skip_deep(struct json_scan *s); /* any value of at most JSON_DEEP levels of its own */
int jscan_scalar(struct json_scan *s, struct slice *out); /* number, true, false or null: its text */

/* Walks an object: call with *first = true; 1 = a key was read and its colon eaten, 0 = the object has ended.
 */
int jscan_next_key(struct json_scan *s, bool *first, struct slice *key);
/* Walks an array: 1 = in front of the next element, 0 = the array has ended. */
int jscan_next_element(struct json_scan *s, bool *first);

#endif
