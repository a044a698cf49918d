/* base/re_expand.h - replacement texts of Go's regexp package: $1 ${1} $name ${name} $$ stand for what a match
 * found. Pure. */
#ifndef BASE_RE_EXPAND_H
#define BASE_RE_EXPAND_H

#include "base/buf.h"
#include "base/re.h"

/* Appends tmpl with its references replaced. group: as re_find filled it. $name takes as many letters, digits and
 * underscores as there are; what names no group, or one that took no part, is empty; a $ that begins nothing stands
 * for itself. */
void re_expand(struct buf *out, struct slice tmpl, const struct re *re, const struct slice *group,
	       size_t n_groups);

#endif
