/* query/line_fields.h - what a parser stage would find in a line: json, or where that fails logfmt, run over the labels
 * that the line had before the query's own parsers. So fields have the very names that a query with such a stage gives
 * them. Not thread-safe. */
#ifndef QUERY_LINE_FIELDS_H
#define QUERY_LINE_FIELDS_H

#include "query/label_set.h"
#include "query/hints.h"

enum field_type { FIELD_INT, FIELD_FLOAT, FIELD_BOOLEAN, FIELD_DURATION, FIELD_BYTES, FIELD_STRING };
enum field_parser { FIELD_JSON, FIELD_LOGFMT, FIELD_N_PARSERS };

struct line_fields {
	struct arena scratch; /* emptied by each call */
	struct label_set set;
	struct label_base base;
	struct label_needs needs;
	struct parse_hints hints;
	struct label_vec names;
};

void line_fields_init(struct line_fields *f);
void line_fields_fini(struct line_fields *f);
/* all: stream, metadata and parsed labels of the entry together; parsed: those that the query's parsers made. *out lasts
 * until the next call. */
enum field_parser line_fields_parse(struct line_fields *f, struct labels all, struct labels parsed,
				    struct slice line, struct labels *out);

enum field_type field_type_of(struct slice value);
bool field_is_error(struct slice name); /* __error__ and its like: no field */
bool field_is_number(struct slice value);

#endif
