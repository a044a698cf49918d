#include "logql/funcs.h"

#include "base/mem.h"

#define NEVER UNWRAP_NEVER
#define MAYBE UNWRAP_MAYBE
#define NEEDS UNWRAP_NEEDS

const struct stage_func stage_funcs[] = {
#define STAGE_FUNC(sym, name, usage, doc) { sym, name, usage, doc },
#include "logql/funcs.def"
};
const size_t n_stage_funcs = ARRAY_LEN(stage_funcs);

const struct range_func range_funcs[RANGE_N_OPS] = {
#define RANGE_FUNC(sym, name, unwrap, grouping, doc) [sym] = { name, unwrap, grouping, doc },
#include "logql/funcs.def"
};

const struct vector_func vector_funcs[VECTOR_N_OPS] = {
#define VECTOR_FUNC(sym, name, param, doc) [sym] = { name, param, doc },
#include "logql/funcs.def"
};

const char *bin_op_name(enum bin_op op)
{
	static const char *const names[BIN_N_OPS] = {
		[BIN_OR] = "or", [BIN_AND] = "and", [BIN_UNLESS] = "unless", [BIN_EQ] = "==", [BIN_NE] = "!=",
		[BIN_GT] = ">",	 [BIN_GE] = ">=",   [BIN_LT] = "<",	     [BIN_LE] = "<=", [BIN_ADD] = "+",
		[BIN_SUB] = "-", [BIN_MUL] = "*",   [BIN_DIV] = "/",	     [BIN_MOD] = "%", [BIN_POW] = "^",
	};

	return names[op];
}

const char *logql_cmp_name(enum logql_cmp cmp)
{
	static const char *const names[] = {
		[CMP_EQ] = "==", [CMP_NE] = "!=", [CMP_GT] = ">",
		[CMP_GE] = ">=", [CMP_LT] = "<",  [CMP_LE] = "<=",
	};

	return names[cmp];
}

const char *line_filter_op_name(enum line_filter_op op)
{
	static const char *const names[] = {
		[LINE_EQ] = "|=",  [LINE_NE] = "!=",  [LINE_RE] = "|~",
		[LINE_NRE] = "!~", [LINE_PAT] = "|>", [LINE_NPAT] = "!>",
	};

	return names[op];
}

const char *unwrap_conv_name(enum unwrap_conv conv)
{
	static const char *const names[] = {
		[UNWRAP_NUMBER] = "",
#define CONV_FUNC(sym, name, doc) [sym] = name,
#include "logql/funcs.def"
	};

	return names[conv];
}

const char *stage_name(enum stage_kind kind)
{
	for (size_t i = 0; i < n_stage_funcs; i++)
		if (stage_funcs[i].kind == kind)
			return stage_funcs[i].name;
	return kind == STAGE_LINE_FILTER ? "line filter" : "label filter";
}
