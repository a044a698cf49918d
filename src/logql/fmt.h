/* logql/fmt.h - AST back to canonical text. */
#ifndef LOGQL_FMT_H
#define LOGQL_FMT_H

#include "base/buf.h"
#include "logql/ast.h"

void logql_fmt(struct buf *b, const struct logql_expr *e); /* on one line */
void logql_fmt_pretty(struct buf *b,
		      const struct logql_expr *e); /* parts over 100 bytes are broken into lines */
void logql_fmt_stage(struct buf *b, const struct logql_stage *s); /* | json a="b" */
void logql_fmt_matcher(struct buf *b, const struct matcher *m);	  /* a="b" */

#endif
