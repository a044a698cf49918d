/* query/logfmt.h - walks the key=value pairs of a log line. Bytes up to 0x20 separate. Nothing is allocated;
 * slices point into the text. Pure.
 *
 *	struct logfmt f = logfmt_of(line);
 *	while ((rc = logfmt_next(&f, &pair)) != 0)
 *		if (rc == 1) ...                  -1: a bad pair, f.error says why; the walk may go on     */
#ifndef QUERY_LOGFMT_H
#define QUERY_LOGFMT_H

#include "base/arena.h"

enum logfmt_error {
	LOGFMT_OK,
	LOGFMT_UNEXPECTED_EQUALS,
	LOGFMT_UNEXPECTED_QUOTE,
	LOGFMT_INVALID_KEY, /* not UTF-8, or holds U+FFFD */
	LOGFMT_UNTERMINATED,
	LOGFMT_INVALID_QUOTED, /* a bad escape; found by logfmt_unescape */
};

struct logfmt {
	struct slice text;
	size_t off;
	enum logfmt_error error; /* of the last bad pair */
	size_t error_pos;	 /* from 1 */
};

struct logfmt_pair {
	struct slice key;
	struct slice value; /* n == 0 where there is none; of a quoted value what stands between the quotes */
	bool escaped;	    /* holds a backslash: ask logfmt_unescape */
};

static inline struct logfmt logfmt_of(struct slice text)
{
	return (struct logfmt){ .text = text };
}

/* 1: a pair; 0: the end; -1: a bad pair, over which the walk has stepped. */
int logfmt_next(struct logfmt *f, struct logfmt_pair *pair);
/* Replaces pair->value by its text, in the arena if it holds escapes. -1: a bad escape; as logfmt_next. */
int logfmt_unescape(struct logfmt *f, struct logfmt_pair *pair, struct arena *a);

/* unexpected '='   unterminated quoted value */
const char *logfmt_error_text(enum logfmt_error e);

#endif
