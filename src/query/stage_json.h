/* query/stage_json.h - the plain `json` stage: labels from all members of a line's object, nested names
 * joined by _. */
#ifndef QUERY_STAGE_JSON_H
#define QUERY_STAGE_JSON_H

#include "query/hints.h"
#include "query/label_set.h"

enum {
	STAGE_JSON_MAX_DEPTH = 128,
	STAGE_JSON_MAX_NAME_BYTES = 1 << 20, /* of one line, repeated prefixes: nesting multiplies them */
};

/* Names and unescaped values are made in scratch memory; the rest points into the line. */
void stage_json_run(struct slice line, struct label_set *s, struct parse_hints *h, struct arena *scratch);

#endif
