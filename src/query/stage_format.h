/* query/stage_format.h - line_format and label_format: new lines and labels from templates. */
#ifndef QUERY_STAGE_FORMAT_H
#define QUERY_STAGE_FORMAT_H

#include "logql/ast.h"
#include "query/tmpl_run.h"

/* The new line, in the arena or borrowed; the old one with an error in the set where the template fails. */
struct slice stage_line_format_run(const struct tmpl *t, const struct tmpl_data *data, struct label_set *s,
				   struct tmpl_run *r, struct arena *scratch);
/* The operations in order. A template that fails leaves its label as it was. */
void stage_label_format_run(const struct logql_stage *stage, const struct tmpl_data *data,
			    struct label_set *s, struct tmpl_run *r, struct arena *scratch);

#endif
