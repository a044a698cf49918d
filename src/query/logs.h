/* query/logs.h - log queries: the newest (or oldest) entries that get through the pipeline, over all streams.
 */
#ifndef QUERY_LOGS_H
#define QUERY_LOGS_H

#include "query/scan.h"

/* Fills out->stream from x->req and the log selector; out->arena holds the result. */
int logs_run(struct exec *x, const struct logql_log *log, struct query_result *out, struct err *err);

#endif
