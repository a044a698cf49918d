/* logql/pattern.h - pattern expressions, "<ip> - <_> <path>": the argument of the pattern stage and of the
 * pattern line filters |> and !>. Lives in the arena, borrows from the text. */
#ifndef LOGQL_PATTERN_H
#define LOGQL_PATTERN_H

#include "base/arena.h"
#include "base/err.h"

enum { PATTERN_MAX_CAPTURES = 256 };

struct pattern_node {
	bool is_capture;
	struct slice text; /* the literal, or the capture's name; a capture <_> is unnamed and has n == 0 */
};
struct pattern {
	size_t n;
	struct pattern_node
		*nodes; /* literals and captures alternate, except that captures are never adjacent */
};

/* For the pattern stage: at least one named capture, names unique. */
int pattern_parse(struct slice text, struct arena *a, struct pattern *out, struct err *err);
/* For line filters: only unnamed captures; the empty pattern is valid. */
int pattern_parse_filter(struct slice text, struct arena *a, struct pattern *out, struct err *err);

#endif
