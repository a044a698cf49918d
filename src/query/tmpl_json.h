/* query/tmpl_json.h - a JSON text as template values, strictly: what is no valid JSON is no value. Numbers are
 * floats; of members with one name the last counts; bytes that are not UTF-8 become U+FFFD. */
#ifndef QUERY_TMPL_JSON_H
#define QUERY_TMPL_JSON_H

#include "query/tmpl_value.h"

enum { TMPL_JSON_MAX_DEPTH = 100 };

/* Kind NULL for invalid texts, as for null itself. Everything lives in the arena. */
struct tmpl_value tmpl_json(struct slice text, struct arena *a);

#endif
