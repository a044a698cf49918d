/* query/plan.h - what one selector with its pipeline needs of the store: the time window, byte strings that
 * every line must hold, trace ids to look up, and which labels matter afterwards. A plan borrows from the AST
 * and lives in the query's arena; it is read-only while the query runs. The store asks in this order: days, trace index, times
 * of chunks, their trace filters, then what is known or counted already, and at last the needles: see "How a query touches
 * bytes" in docs/architecture.md. */
#ifndef QUERY_PLAN_H
#define QUERY_PLAN_H

#include "index/store.h"
#include "query/pipeline.h"

enum { PLAN_MAX_NEEDLES = 32, PLAN_MAX_GROUPS = 16, PLAN_MAX_GROUP_TOKENS = 1024 };

/* An entry of interest holds one of these tokens. */
struct plan_lookup {
	struct trace_group tokens;
	/* Names of labels whose values the index does not know where they are stream labels: the lookup
	 * counts only if no stream has one of them. */
	size_t n_names;
	struct slice *names;
};

struct plan {
	const struct logql_log *log;
	struct pipeline *pipeline;
	struct label_needs needs;
	struct label_group group; /* of the result; `all` for log queries */
	struct timerange window;
	bool backward;
	bool no_lines; /* nobody looks into lines; their lengths are enough */
	bool counts; /* and what labels matter is known: entries that are counted already need not be read */
	size_t n_needles;
	struct slice needles[PLAN_MAX_NEEDLES];
	bool use_columns;		   /* where a chunk has them; set by who scans, as the next two */
	const struct column_uses *columns; /* NULL: of use for line filters at most (query/column_uses.h) */
	struct pipeline *probe;		   /* columns->pipeline where that is not `pipeline` */
	size_t n_lookups;
	struct plan_lookup lookups[PLAN_MAX_GROUPS];
};

struct plan_options {
	const struct trace_keys *keys; /* NULL: no trace index */
	struct timerange window;
	bool backward;
	bool no_index;
	bool lengths_only;		       /* the result needs nothing of a line but its length */
	const struct logql_grouping *grouping; /* NULL: every label of an entry matters */
	const struct logql_unwrap *unwrap;     /* NULL: none */
};

int plan_new(const struct logql_log *log, const struct plan_options *o, struct arena *a, struct plan **out,
	     struct err *err);
void plan_fini(struct plan *p); /* NULL is fine */

/* The labels that the first n stages ask for, besides those of a result. False: it may be any. */
bool plan_stage_needs(const struct logql_log *log, size_t n, struct label_needs *out, struct arena *a);

/* Sorted and unique; `without ()` is no grouping. NULL: none. */
struct label_group plan_group(const struct logql_grouping *g, struct arena *a);

#endif
