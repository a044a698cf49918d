/* base/re_class.h - the set of runes of a [class] while a regular expression is parsed; for base/re only.
 * Lives in the arena. The members of Unicode groups (\p{Greek}) are left to libre2: a set that holds one is
 * "opaque". */
#ifndef BASE_RE_CLASS_H
#define BASE_RE_CLASS_H

#include "base/arena.h"

enum { RUNE_MAX = 0x10ffff };

struct rune_range {
	uint32_t lo, hi;
};
struct re_class {
	struct rune_range *range;
	size_t n, cap;
	bool opaque;
	struct slice text; /* of an opaque set: its source, or absent once it was merged with another */
};

void re_class_add(struct re_class *c, struct arena *a, uint32_t lo, uint32_t hi);
void re_class_add_fold(struct re_class *c, struct arena *a, uint32_t lo, uint32_t hi); /* in either case */
void re_class_join(struct re_class *c, struct arena *a, const struct re_class *other);
void re_class_clean(struct re_class *c); /* sorted, without overlap; the rest expects it */
void re_class_negate(struct re_class *c, struct arena *a);
bool re_class_eq(const struct re_class *x, const struct re_class *y);
bool re_class_has(const struct re_class *c, uint32_t rune);
/* \d \D \s \S \w \W by their letter; false for another letter */
bool re_class_add_perl(struct re_class *c, struct arena *a, char letter);
/* alpha, ^alpha and so on; false for an unknown name */
bool re_class_add_posix(struct re_class *c, struct arena *a, struct slice name);

#endif
