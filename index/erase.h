/* index/erase.h - which entries are hidden or to be removed: a tenant's tombstones as they concern one stream, asked by
 * readers and by the keeper when it rewrites segments. A set is read-only and shared; struct eraser belongs to one thread. */
#ifndef INDEX_ERASE_H
#define INDEX_ERASE_H

#include "index/tombstone.h"

struct erase_set {
	struct labels labels; /* of the stream */
	struct tombstone **v; /* those whose selector matches it, by start; borrowed */
	size_t n;
};

/* NULL: none concerns the stream. In the arena, as are the labels. */
const struct erase_set *erase_set_of(struct tombstone *const *v, size_t n, struct slice encoded,
				     struct arena *a);

enum erase_fate { ERASE_NONE, ERASE_SOME, ERASE_ALL };
/* What becomes of entries in [first, last], as far as it can be said without looking at them. */
enum erase_fate erase_fate(const struct erase_set *set, int64_t first, int64_t last);
/* Which part of [first, last], of even density, certainly goes: 0 to 1. */
double erase_share(const struct erase_set *set, int64_t first, int64_t last);
bool erase_wants_lines(const struct erase_set *set); /* times alone do not decide */

struct eraser {
	const struct erase_set *set;
	void **state; /* of set->v, made when first asked */
};
void eraser_start(struct eraser *e, const struct erase_set *set); /* NULL: hides nothing */
void eraser_fini(struct eraser *e);
/* The first of the set that takes the entry, or -1. */
ptrdiff_t eraser_asks(struct eraser *e, struct slice meta, int64_t ts, struct slice line);

#endif
