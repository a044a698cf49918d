/* ingest/shape.h - a line cut into words and what stands between them, and a hash of all that does not change from
 * one line of a kind to the next. Words that hold a digit (ids, numbers, times, addresses) are wild: two lines
 * that differ only in these have equal hashes. Pure; one pass, nothing allocated.
 *
 *	level=info msg="took 12ms"     words: level info msg took 12ms     between: = SP =" SP "
 *
 * A word is made of letters, digits, _ - . and bytes >= 0x80; , : / belong to it between two digits. */
#ifndef INGEST_SHAPE_H
#define INGEST_SHAPE_H

#include "base/slice.h"

enum { SHAPE_MAX_BYTES = 2048, SHAPE_MAX_WORDS = 96 }; /* the rest of a longer line is left out */

struct shape_word {
	uint16_t off, len; /* of the word; up to the next one stands what is between them */
	bool wild;
};
struct shape {
	size_t n;
	uint16_t n_bytes; /* what the words and their separators cover */
	bool cut;	  /* the line is longer */
	struct shape_word word[SHAPE_MAX_WORDS];
};

uint64_t shape_hash(struct slice line); /* seeded once a process: never goes to disk */
void shape_split(struct slice line, struct shape *s);

#endif
