/* query/simple_re.h - a regular expression that is first reduced to byte tests, in the cases and with the
 * visible effects that Loki has: /foo|bar/ is "contains foo or bar", and branches that are always true are
 * dropped from an alternation. What does not reduce is run by the engine, behind a search for its longest
 * necessary literal. Immutable once made: any number of threads may match at once. */
#ifndef QUERY_SIMPLE_RE_H
#define QUERY_SIMPLE_RE_H

#include "base/err.h"

struct simple_re;

/* What the text is matched with: a line is searched; a label's value is matched as a whole, except that
 * "contains" stays "contains" (v=~"5.*" keeps 1.5h). The pattern is copied. */
enum simple_re_use { SIMPLE_RE_LINE, SIMPLE_RE_LABEL };

int simple_re_new(struct slice pattern, enum simple_re_use use, struct simple_re **out, struct err *err);
void simple_re_free(struct simple_re *s); /* NULL is fine */
bool simple_re_match(const struct simple_re *s, struct slice text);
bool simple_re_always(const struct simple_re *s);      /* every text matches */
bool simple_re_uses_engine(const struct simple_re *s); /* costly: run it after the byte tests */
/* A text matches if and only if it holds one of these literals, byte for byte; borrowed. Their number; 0: it is not as
 * simple as that, or they are more than max. */
size_t simple_re_any_of(const struct simple_re *s, struct slice *out, size_t max);
/* Literals that every matching text holds, byte for byte; borrowed. Returns their number, at most max. */
size_t simple_re_required(const struct simple_re *s, struct slice *out, size_t max);

#endif
