/* model/matcher.h - one test of a label: name = "value", !=, =~, !~. A missing label is the empty string. */
#ifndef MODEL_MATCHER_H
#define MODEL_MATCHER_H

#include "base/slice.h"

struct re;

enum matcher_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct matcher {
	enum matcher_op op;
	struct slice name, value;
	struct re *re; /* MATCH_RE, MATCH_NRE: anchored, dot matches newline; owned by whoever compiled it */
};

bool matcher_matches(const struct matcher *m, struct slice value);
bool matcher_matches_empty(const struct matcher *m);

#endif
