/* query/column_uses.h - what a pipeline asks of a line, as far as that can be said before any line is seen: which stages
 * parse it, which labels' texts get into the answer, and which labels are only tested. A pipeline that asks for few labels
 * gives the same answer for all lines that agree in them, so it need not see each line (query/column_classes.h).
 *
 * Made once a query, in its arena; read-only afterwards, shared by its threads. */
#ifndef QUERY_COLUMN_USES_H
#define QUERY_COLUMN_USES_H

#include "query/pipeline.h"

struct plan;
struct unwrap;
struct label_test;

struct column_uses {
	/* The outcome of these decides. If `probe`, they are the first stages of the query alone: who does not get
	 * through them is out, others go through the whole pipeline. */
	const struct pipeline *pipeline;
	const struct label_needs *needs;
	bool probe;
	bool reads_lines; /* false: metadata alone decides */
	size_t n_parsers;
	const struct logql_stage **parser; /* json and logfmt */
	/* Labels whose text can get into the answer; the others are only tested. */
	size_t n_values;
	struct slice *values;
	size_t n_tests;
	const struct label_test **tests; /* of one label each */
	struct slice unwrap;		 /* the label whose number is the sample; p == NULL: none */
};

/* NULL: lines must be looked at. unwrap may be NULL. plan must outlive it. */
struct column_uses *column_uses_new(struct plan *plan, const struct unwrap *unwrap, struct arena *a);

#endif
