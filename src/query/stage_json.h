/* query/stage_json.h - the `json` stage. Plain: labels from all members of a line's object, nested names
 * joined by _. With expressions: the values at given paths. */
#ifndef QUERY_STAGE_JSON_H
#define QUERY_STAGE_JSON_H

#include "logql/ast.h"
#include "query/hints.h"
#include "query/json_object.h"
#include "query/label_set.h"

enum {
	STAGE_JSON_MAX_DEPTH = 128,
	STAGE_JSON_MAX_NAME_BYTES = 1 << 20, /* of one line, repeated prefixes: nesting multiplies them */
};

/* Names and unescaped values are made in scratch memory; the rest points into the line. */
void stage_json_run(struct slice line, struct label_set *s, struct parse_hints *h, struct arena *scratch);
/* json x="a.b[0]", y: all of them in one pass. */
void stage_json_paths_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
			  struct parse_hints *h, struct arena *scratch);

/* What a member becomes as a label: strings without escapes, all else as it stands. */
struct slice stage_json_text(const struct json_member *m, struct arena *scratch);
void stage_json_fail(struct label_set *s, const struct parse_hints *h, enum json_scan_error e);

#endif
