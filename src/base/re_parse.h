/* base/re_parse.h - the parser behind re_parse() and re_compile(); for base/re only. See base/re.h for the
 * nodes. */
#ifndef BASE_RE_PARSE_H
#define BASE_RE_PARSE_H

#include "base/re.h"

struct re_parsed {
	struct re_node *root;
	struct slice bare;	  /* the pattern with group names taken out: what libre2 is given */
	struct slice *group_name; /* of group i+1; empty if unnamed */
	size_t n_groups;
};

/* Everything lives in the arena. Fails with Go's message; *out is then untouched. */
int re_parse_full(struct slice pattern, unsigned flags, struct arena *a, struct re_parsed *out,
		  struct err *err);

/* Whether libre2 has a Unicode class of that name, as in \p{name}. Defined in re.cc. */
bool re_engine_has_class(struct slice name);

#endif
