/* model/trace_link.h - settings that name places where a trace can be seen, NAME=URL, and the links made from them. Pure. */
#ifndef MODEL_TRACE_LINK_H
#define MODEL_TRACE_LINK_H

#include "base/err.h"
#include "model/traceid.h"

struct trace_link_values {
	struct trace_id id;
	bool has_times;
	int64_t first_ns, last_ns; /* of the trace's lines */
};

/* ERR_CONFIG unless it is NAME=URL, http or https, with {trace_id}. */
int trace_link_check(struct slice setting, struct err *err);
/* Appends the URL with {trace_id}, {start} and {end} (milliseconds) filled in; {span_id} is left to the reader. False: no
 * link, because it needs times and there are none. *name lies in setting. */
bool trace_link(struct buf *url, struct slice setting, const struct trace_link_values *v, struct slice *name);

#endif
