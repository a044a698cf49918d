#include "model/matcher.h"
#include "base/re.h"

bool matcher_matches(const struct matcher *m, struct slice value)
{
	switch (m->op) {
	case MATCH_EQ: return slice_eq(m->value, value);
	case MATCH_NE: return !slice_eq(m->value, value);
	case MATCH_RE: return re_match(m->re, value);
	case MATCH_NRE: return !re_match(m->re, value);
	}
	return false;
}

bool matcher_matches_empty(const struct matcher *m)
{
	return matcher_matches(m, SLICE(""));
}
