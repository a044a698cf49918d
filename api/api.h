/* api/api.h - the endpoints: which paths there are, and what the daemon gives them to work with. Handlers run
 * on I/O threads; they parse parameters, hand the work to the scheduler or to ingest, and answer from there.
 */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include "api/route.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/limits.h"

struct ingest;
struct patterns;
struct query_engine;
struct rule_store;
struct ruler;
struct saved_queries;
struct sched;
struct tail_hub;

#define API_VERSION "3.5.0" /* what we report as Loki's version: clients switch features on by it */

/* Given to the server as its `app`; lives longer than the server. The functions are called on any thread. */
struct api_context {
	struct ingest *ingest;
	struct patterns *patterns;
	struct query_engine *engine;
	struct sched *sched;
	struct tail_hub *tails;
	int64_t tail_ping_ns;
	struct rule_store *rules;
	struct saved_queries *saved;
	struct ruler *ruler;		 /* NULL: rules are kept but not evaluated */
	const struct slice *otlp_labels; /* resource attributes that become labels */
	size_t n_otlp_labels;
	const struct slice *trace_id_keys; /* fields whose values are indexed as trace ids */
	size_t n_trace_id_keys;
	const struct slice *indexed_fields; /* further fields whose values are indexed */
	size_t n_indexed_fields;
	const char *version;	       /* spoor's own */
	_Atomic bool log_queries;      /* write query texts into the log */
	_Atomic int64_t slow_query_ns; /* queries that take longer are logged; 0 = none */

	void (*limits)(void *arg, struct slice tenant, struct limits *out);
	/* Is the server ready, for writers too or (for_readers) for readers alone? Otherwise one line says
	 * why. */
	bool (*ready)(void *arg, bool for_readers, struct buf *why);
	void (*status)(void *arg, struct buf *out);   /* lines for /ready?verbose */
	void (*services)(void *arg, struct buf *out); /* lines "name => Running" */
	void (*config)(void *arg, struct slice mode,
		       struct buf *out); /* YAML; mode: "", "diffs" or "defaults" */
	void (*tenant_limits)(void *arg, struct slice tenant, struct buf *out); /* YAML */
	void (*trace_url_template)(void *arg, struct buf *out);			/* nothing if not set */
	/* NAME=URL each; they stay valid as long as the server. NULL: there are none. */
	size_t (*trace_links)(void *arg, const struct slice **out);
	void (*before_metrics)(void *arg);	  /* brings gauges up to date; may be NULL */
	int (*flush)(void *arg, struct err *err); /* heads to segments; may take long */
	void *arg;
};

const struct route *api_routes(size_t *n);

#endif
