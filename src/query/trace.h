/* query/trace.h - trace to logs: all lines of one trace, over the whole retention and all streams of a
 * tenant. The trace index names candidates (short windows of time, then chunks), so that the cost grows with
 * what is found; every entry is then checked by the detector that filled the index. On a worker. */
#ifndef QUERY_TRACE_H
#define QUERY_TRACE_H

#include "query/query.h"

enum { TRACE_DEFAULT_LIMIT = 1000 };

struct trace_request {
	struct slice tenant;
	struct slice id; /* as a person pastes it: trace_id_parse */
	uint32_t limit;
	bool backward; /* newest first */
	bool no_index; /* scan everything, for tests that compare with the trace index */
	const struct limits *limits;
};

struct trace_entry {
	int64_t ts;
	struct slice line;
	struct labels labels, meta;
};

struct trace_result {
	struct arena arena; /* everything below lives here */
	struct trace_id id; /* the high half is the stored one if only the low one was asked for */
	size_t n;
	struct trace_entry *entry; /* in the order asked for; equal timestamps by stream, then as written */
	bool more;		   /* the limit cut the answer */
	int64_t first_ns, last_ns; /* of the whole trace, also when cut; 0 if n is 0 */
	bool has_error;
	size_t first_error; /* index of the earliest entry of the answer with level error, critical or fatal
			     */
	uint64_t bytes_read, lines_read;
	size_t n_corrupt_blocks; /* skipped; the answer may lack lines */
};

/* ERR_BAD_REQUEST: not a trace id, or the lines exceed max_query_memory. ERR_CANCELLED, ERR_TIMEOUT, the
 * store's. On failure nothing needs freeing. */
int trace_run(struct query_engine *e, const struct trace_request *r, struct query_control *c,
	      struct trace_result *out, struct err *err);
void trace_result_fini(struct trace_result *r);

/* The link to the trace: the template with {trace_id} replaced by the escaped id. Appends nothing if it is
 * empty. */
void trace_url(struct buf *b, struct slice template, struct trace_id id);

#endif
