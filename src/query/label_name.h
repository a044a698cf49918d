/* query/label_name.h - names of parsed labels: made of whatever stands in a line, so that only [a-zA-Z0-9_]
 * remains. */
#ifndef QUERY_LABEL_NAME_H
#define QUERY_LABEL_NAME_H

#include "base/arena.h"

/* Trimmed, every other rune replaced by _. With `start`, a digit in front gets a _ before it. Returns the
 * text itself if there is nothing to do; empty if nothing is left. */
struct slice label_name_sanitise(struct slice text, bool start, struct arena *a);
/* prefix_key, with the key sanitised; an empty part adds nothing. */
struct slice label_name_join(struct slice prefix, struct slice key, struct arena *a);
/* name_extracted */
struct slice label_name_suffix(struct slice name, struct arena *a);

#endif
