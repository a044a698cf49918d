/* logql/check.h - what must hold of a tree that the grammar accepts: every selector picks something, and
 * every stage can be built. Compiles what the stages need. Used by parse.c only. */
#ifndef LOGQL_CHECK_H
#define LOGQL_CHECK_H

#include "base/err.h"
#include "logql/ast.h"

/* err->msg is the whole message: parse error : stage '|~ "("' : error parsing regexp: ... */
int logql_check(struct logql *q, bool allow_empty_selector, struct arena *a, struct logql_pos *where,
		struct err *err);
/* Compiles a regex that q owns from now on. err->msg is the regex library's. */
int logql_add_regex(struct logql *q, struct slice pattern, unsigned flags, struct re **out, struct err *err);
/* A regex of the regexp stage: named groups, unique. err->msg has no prefix. */
int logql_add_group_regex(struct logql *q, struct slice pattern, struct re **out, struct err *err);

#endif
