/* query/stage_capture.h - the `regexp` and `pattern` stages: named parts of a line become labels. They never
 * leave an error. */
#ifndef QUERY_STAGE_CAPTURE_H
#define QUERY_STAGE_CAPTURE_H

#include "logql/ast.h"
#include "query/hints.h"
#include "query/label_set.h"

/* Values point into the line; changed names are made in scratch memory. */
void stage_regexp_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		      struct parse_hints *h, struct arena *scratch);
void stage_pattern_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		       struct parse_hints *h, struct arena *scratch);

#endif
