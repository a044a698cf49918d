/* ingest/unescape.h - copies the inside of a JSON string and resolves what a log line that is JSON itself is full of:
 * \" \\ and \/, which are their second byte. The processor's vectors are used where it has them. Pure. */
#ifndef INGEST_UNESCAPE_H
#define INGEST_UNESCAPE_H

#include "base/slice.h"

enum { UNESCAPE_SLACK = 64 }; /* out may be written to so far beyond what counts */

/* From p, which stands inside a string and not behind half an escape. Stops in front of the closing quote, of the
 * backslash of any other escape or of one that ends the text, or at end. Returns the bytes written to out, which has
 * room for end - p and the slack; *p is moved to where it stopped. */
size_t unescape(char *out, const char **p, const char *end);

/* The ways to do it that this processor has, the first without vectors; for tests. */
struct unescape_way {
	const char *name;
	size_t (*run)(char *out, const char **p, const char *end);
};
size_t unescape_ways(struct unescape_way out[3]);

#endif
