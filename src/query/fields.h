/* query/fields.h - the fields of a log query's lines, where each comes from, and which values are frequent: for the
 * panel beside the lines. Most of it is counted in a sample, the newest lines; stream labels of a bare selector are
 * counted over the whole range. On a worker (query/sched.h); results live in the caller's arena. */
#ifndef QUERY_FIELDS_H
#define QUERY_FIELDS_H

#include "query/detect.h"

enum {
	FIELDS_MAX = 1000,
	FIELDS_MAX_VALUES = 1000, /* told apart of one field */
	FIELDS_MAX_TOP = 10,
	FIELDS_MAX_COUNTED = 12, /* labels that are counted over the whole range */
	FIELDS_VALUE_BYTES = 512,
	FIELDS_MAX_BYTES = 16 << 20, /* of values that are told apart, of all fields together */
};

enum field_origin {
	FIELD_OF_STREAM,
	FIELD_OF_METADATA,
	FIELD_OF_PIPELINE, /* made by the query's own stages */
	FIELD_IN_LINE,	   /* a parser stage would make it */
	FIELD_N_ORIGINS
};

struct field_top {
	struct slice value; /* its first FIELDS_VALUE_BYTES */
	bool cut;
	uint64_t lines;
};

struct field_summary {
	struct slice name;
	enum field_origin origin;
	enum field_parser parser; /* with FIELD_IN_LINE */
	enum field_type type;	  /* that all values have; string if they differ */
	bool exact;		  /* of the whole range, not of a sample */
	uint64_t lines;		  /* that have it */
	uint64_t values;	  /* distinct ones */
	bool more;		  /* there are more of them, which top may lack */
	struct field_top *top;	  /* most frequent first */
	size_t n_top;
};

struct fields_result {
	struct field_summary *field; /* by origin, the most frequent first, then by name */
	size_t n;
	uint64_t sampled; /* lines */
	bool complete;	  /* those are all lines of the range */
	bool more;	  /* further fields were left out */
};

/* r->line_limit: size of the sample; r->limit is not used. ERR_BAD_REQUEST: not a log query. */
int fields_summarize(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		     struct arena *a, struct fields_result *out, struct err *err);

#endif
