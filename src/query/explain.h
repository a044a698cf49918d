/* query/explain.h - what a query is made of and what running it would cost, without running it: for editors, and for
 * people who ask why a query is slow. On a worker; takes a snapshot for each selector, reads no entries. */
#ifndef QUERY_EXPLAIN_H
#define QUERY_EXPLAIN_H

#include "logql/ast.h"
#include "model/timerange.h"
#include "query/query.h"

/* A node of the tree, or a stage of a pipeline; before its children, which are one deeper. */
struct explain_node {
	unsigned depth;
	const char *
		kind; /* log query, stage, unwrap, range aggregation, vector aggregation, binary operation, ... */
	struct slice name; /* json, rate, sum, +; or empty */
	struct slice text; /* canonical */
	struct logql_pos pos;
};

/* One selector with its pipeline. */
struct explain_scan {
	struct slice selector;	 /* {app="a"} */
	struct timerange window; /* start inclusive, end exclusive */
	const char *index;	 /* trace, labels or none (nothing in the window matters) */
	size_t n_needles;
	struct slice *needle; /* byte strings that every line must hold */
	size_t n_lookups;
	size_t *lookup_tokens; /* trace lookups: how many index tokens each asks for (an id, and what stands for
				* entries that could not be indexed exactly) */
	bool all_labels;
	size_t n_labels;
	struct slice *label; /* the labels that parsers have to find, unless all */
	bool reads_lines;    /* else times, lengths and metadata are enough */
	uint64_t streams, chunks, chunks_skipped, units, entries, bytes; /* after the index; upper bounds */
	/* Of chunks_skipped; and days whose filter says that they hold no such trace id. */
	uint64_t chunks_skipped_by_trace, chunks_skipped_by_filter, days_skipped;
};

struct explain_result {
	struct arena arena; /* everything below lives here */
	const char *type;   /* log or metric */
	struct slice text;  /* canonical, on one line */
	size_t n_nodes;
	struct explain_node *node;
	size_t n_scans;
	struct explain_scan *scan;
};

/* limit, interval and the memory limits of r do not matter. On failure nothing needs freeing. */
int explain_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
		struct explain_result *out, struct err *err);
void explain_result_fini(struct explain_result *r);

#endif
