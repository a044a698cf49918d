/* query/extract.h - how every parser hands over what it finds. A name that a stream or metadata label holds
 * gets a suffix; a name that was extracted before stays as it was; a name nobody needs is left out. */
#ifndef QUERY_EXTRACT_H
#define QUERY_EXTRACT_H

#include "query/hints.h"
#include "query/label_name.h"
#include "query/label_set.h"
#include "query/labelfilter.h"

/* The name under which a parsed label becomes visible. */
static inline struct slice extract_name(const struct label_set *s, struct slice name, struct arena *scratch)
{
	return label_set_taken(s, name) ? label_name_suffix(name, scratch) : name;
}

static inline bool extract_wants(const struct label_set *s, const struct parse_hints *h, struct slice name)
{
	return parse_hints_want(h, name) && !label_set_extracted(s, name);
}

/* Asks the filters on that name. */
static inline void extract_test(struct label_set *s, struct parse_hints *h, struct slice name,
				struct arena *scratch)
{
	for (size_t i = 0; i < h->n_early && !h->rejected; i++)
		if (slice_eq(h->early[i].name, name))
			h->rejected = !label_test_run(h->early[i].test, s, scratch);
}

/* After extract_wants. Sets h->rejected if a filter drops the entry. */
static inline void extract_put(struct label_set *s, struct parse_hints *h, struct slice name,
			       struct slice value, struct arena *scratch)
{
	label_set_add(s, name, value);
	parse_hints_found(h, name);
	extract_test(s, h, name, scratch);
}

/* A label of an expression, json x="a.b": replaces what an earlier stage made. */
static inline void extract_replace(struct label_set *s, struct parse_hints *h, struct slice name,
				   struct slice value)
{
	label_set_put(s, name, value);
	parse_hints_found(h, name);
}

/* U+FFFD, written or made of invalid bytes, becomes a space. */
struct slice extract_clean(struct slice value, struct arena *scratch);
bool extract_is_clean(struct slice value);

#endif
