/* query/stage_logfmt.h - the `logfmt` stage: labels from all pairs of a line, or with expressions from those
 * asked for. */
#ifndef QUERY_STAGE_LOGFMT_H
#define QUERY_STAGE_LOGFMT_H

#include "logql/ast.h"
#include "query/hints.h"
#include "query/label_set.h"

/* Unescaped values and changed names are made in scratch memory; the rest points into the line. */
void stage_logfmt_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		      struct parse_hints *h, struct arena *scratch);

#endif
