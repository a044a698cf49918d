/* query/stage_unpack.h - the `unpack` stage: undoes what a packing agent did. The string members of the line's
 * object become labels, and _entry becomes the line. */
#ifndef QUERY_STAGE_UNPACK_H
#define QUERY_STAGE_UNPACK_H

#include "query/hints.h"
#include "query/label_set.h"

/* Returns the line from here on: the same, or in scratch memory. */
struct slice stage_unpack_run(struct slice line, struct label_set *s, struct parse_hints *h,
			      struct arena *scratch);

#endif
