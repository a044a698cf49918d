/* data/golden.h - chunks as each codec wrote them once, and what is in them. NAME.entries holds the entries in a form one
 * can read; NAME.codecN.chunk a chunk of codec N made of them by make_golden, never to be made anew: it stands for the
 * files that users have.
 *
 * An entry is a line of fields separated by tabs: time in ns, line, then name and value of each pair of metadata, sorted by
 * name. Backslash escapes: \\ \t \n \xHH. */
#ifndef DATA_GOLDEN_H
#define DATA_GOLDEN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "index/chunk.h"

enum { GOLDEN_SEED = 20261123 };

struct golden {
	struct arena text;
	VEC(struct chunk_entry) entries;
};

int golden_read(const char *path, struct golden *g, struct err *err); /* golden_fini in any case */
void golden_fini(struct golden *g);

#endif
