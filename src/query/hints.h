/* query/hints.h - which labels the result needs, so that parsers extract no more and stop once they have
 * them. The list is shared and read-only; what was found belongs to one entry. */
#ifndef QUERY_HINTS_H
#define QUERY_HINTS_H

#include "base/slice.h"

struct label_needs {
	bool all;	     /* every label matters: n is 0 */
	size_t n;	     /* 0 without `all`: none matters, parsers need not run */
	struct slice *names; /* sorted, unique */
	bool grouped;	     /* by named labels; see find_early in pipeline.c */
	bool preserve_error; /* the result is about parser errors: they do not fail the query */
};

/* A label filter on one name, asked as soon as a parser extracts the name. */
struct label_test;
struct early_test {
	struct slice name;
	const struct label_test *test;
};

struct parse_hints {
	const struct label_needs *needs;
	const struct early_test *early;
	size_t n_early;
	bool rejected;	/* an early test failed: the line goes */
	uint8_t *found; /* of needs->names; n bytes */
	size_t n_found;
};

static inline void parse_hints_start(struct parse_hints *h)
{
	if (h->n_found > 0)
		memset(h->found, 0, h->needs->n);
	h->n_found = 0;
	h->rejected = false;
}

/* Nothing is missing any more, or nothing is wanted at all. */
static inline bool parse_hints_done(const struct parse_hints *h)
{
	return !h->needs->all && h->n_found == h->needs->n;
}

/* Is this name wanted and not yet there? */
static inline bool parse_hints_want(const struct parse_hints *h, struct slice name)
{
	if (h->needs->all)
		return true;
	for (size_t i = 0; i < h->needs->n; i++)
		if (slice_eq(h->needs->names[i], name))
			return !h->found[i];
	return false;
}

static inline bool parse_hints_want_prefix(const struct parse_hints *h, struct slice prefix)
{
	if (h->needs->all)
		return true;
	for (size_t i = 0; i < h->needs->n; i++)
		if (slice_starts(h->needs->names[i], prefix))
			return true;
	return false;
}

static inline void parse_hints_found(struct parse_hints *h, struct slice name)
{
	for (size_t i = 0; i < h->needs->n; i++)
		if (slice_eq(h->needs->names[i], name) && !h->found[i]) {
			h->found[i] = 1;
			h->n_found++;
		}
}

#endif
