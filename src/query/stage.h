/* query/stage.h - one compiled stage of a pipeline: what pipeline.c asks of each. A stage is immutable and
 * shared by threads; what it does to an entry it does to the thread's struct pipe_state: labels in st->set,
 * the line in st->line, anything new in st->scratch. */
#ifndef QUERY_STAGE_H
#define QUERY_STAGE_H

#include "query/pipeline.h"

struct stage {
	bool (*run)(const struct stage *stage, struct pipe_state *st); /* false: the entry goes */
	void *own;						       /* the compiled form, may be NULL */
	void (*own_free)(void *own);				       /* NULL: own is borrowed */
	const struct logql_stage *ast;
	/* Of parsers: the filters behind them that can be asked as soon as a name is extracted. */
	struct early_test *early;
	size_t n_early;
};

#endif
