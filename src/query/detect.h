/* query/detect.h - what can be asked for: stream labels worth showing, and the fields that metadata and log lines
 * hold, found in a sample of lines. On a worker (query/sched.h); results live in the caller's arena. */
#ifndef QUERY_DETECT_H
#define QUERY_DETECT_H

#include "query/line_fields.h"
#include "query/meta.h"

struct detected_label {
	struct slice name;
	uint64_t cardinality;
	uint64_t streams; /* that have it */
};
/* By name. Labels with nothing but ids as values (numbers, UUIDs) are left out, but for a few well-known ones. */
int detect_labels(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		  struct arena *a, struct detected_label **out, size_t *n_out, struct err *err);

/* The same with none left out; *n_streams: how many the selector matches. */
int detect_all_labels(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		      struct arena *a, struct detected_label **out, size_t *n_out, uint64_t *n_streams,
		      struct err *err);

struct detect_request {
	struct slice tenant;
	struct slice text;	/* a log query */
	struct timerange range; /* start <= ts < end */
	uint32_t line_limit;	/* the newest so many lines are looked at */
	uint32_t limit;		/* of fields, respectively values */
	const struct limits *limits;
};

struct detected_field {
	struct slice name;
	enum field_type type;
	uint64_t cardinality;
	enum field_parser parser[FIELD_N_PARSERS]; /* of the lines it was parsed from, as they came up */
	size_t n_parsers;			   /* 0: only metadata had it */
	struct slice *path;			   /* the keys that lead to it in JSON lines */
	size_t n_path;				   /* 0: unknown */
};

/* In the order they came up. ERR_BAD_REQUEST: not a log query. */
int detect_fields(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		  struct arena *a, struct detected_field **out, size_t *n_out, struct err *err);
int detect_values(struct query_engine *e, const struct detect_request *r, struct slice name,
		  struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		  struct err *err);

#endif
