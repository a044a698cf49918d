/* logql/path.h - the path expressions of `json x="a.b[0]"` and the key expressions of `logfmt x="key"`.
 * Results live in the arena and borrow from the text. */
#ifndef LOGQL_PATH_H
#define LOGQL_PATH_H

#include "base/arena.h"
#include "base/err.h"

struct json_path_step {
	bool is_index;
	struct slice key; /* of an object member, without quotes */
	uint64_t index;	  /* of an array element */
};
struct json_path {
	size_t n;
	struct json_path_step *steps;
};

/* err->msg: cannot parse expression [a..b]: syntax error: unexpected DOT, expecting FIELD */
int json_path_parse(struct slice text, struct arena *a, struct json_path *out, struct err *err);
int logfmt_key_parse(struct slice text, struct slice *out, struct err *err);

#endif
