/* logql/funcs.h - what funcs.def says, as tables. */
#ifndef LOGQL_FUNCS_H
#define LOGQL_FUNCS_H

#include "logql/ast.h"

enum unwrap_need { UNWRAP_NEVER, UNWRAP_MAYBE, UNWRAP_NEEDS };

struct stage_func {
	enum stage_kind kind;
	const char *name, *usage, *doc;
};
struct range_func {
	const char *name;
	enum unwrap_need unwrap;
	bool grouping;
	const char *doc;
};
struct vector_func {
	const char *name;
	bool param;
	const char *doc;
};

extern const struct stage_func stage_funcs[];
extern const size_t n_stage_funcs;
extern const struct range_func range_funcs[RANGE_N_OPS];
extern const struct vector_func vector_funcs[VECTOR_N_OPS];

const char *bin_op_name(enum bin_op op);	/* "or", "==", ... */
const char *logql_cmp_name(enum logql_cmp cmp); /* "==", ">=", ... */
const char *line_filter_op_name(enum line_filter_op op);
const char *unwrap_conv_name(enum unwrap_conv conv); /* "" for UNWRAP_NUMBER */
const char *stage_name(enum stage_kind kind);	     /* "line filter", "label filter" or the stage's word */

#endif
