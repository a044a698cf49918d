/* query/stage_names.h - the `drop` and `keep` stages. */
#ifndef QUERY_STAGE_NAMES_H
#define QUERY_STAGE_NAMES_H

#include "logql/ast.h"
#include "query/label_set.h"

void stage_drop_run(const struct logql_stage *stage, struct label_set *s);
/* Errors always stay. names: memory of the caller's for a list of labels. */
void stage_keep_run(const struct logql_stage *stage, struct label_set *s, struct label_vec *names);

#endif
