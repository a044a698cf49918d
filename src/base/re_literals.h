/* base/re_literals.h - bytes that every text matching a regular expression must hold, for prefilters.
 * Conservative: may find fewer than there are, never one that a match could lack. Case-insensitive parts
 * yield nothing. */
#ifndef BASE_RE_LITERALS_H
#define BASE_RE_LITERALS_H

#include "base/re.h"

/* Fills at most `max` literals, longest first; they live in the arena. All of them must occur. Returns their
 * number. */
size_t re_literals(const struct re_node *node, struct arena *a, struct slice *out, size_t max);

#endif
