/* query/decolorize.h - removes ANSI escape sequences (colours, cursor movements, titles) from a line. Pure. */
#ifndef QUERY_DECOLORIZE_H
#define QUERY_DECOLORIZE_H

#include "base/arena.h"

/* The line itself if it holds none, else a copy in scratch memory. */
struct slice decolorize(struct slice line, struct arena *scratch);

#endif
