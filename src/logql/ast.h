/* logql/ast.h - the tree of a LogQL query after parsing and checking. Nodes live in the arena given to
 * logql_parse and borrow from its copy of the query text; compiled regular expressions belong to struct logql
 * (logql_free). Read-only after parsing, so any number of threads may walk it. Times are in nanoseconds.
 *
 *   expr ── LOG           selector { matcher } stage { line filter run | parser | label filter | formatter }
 *        ├─ RANGE_AGG     op ( [param] range ) [grouping]      range = log [unwrap] window [offset]
 *        ├─ VECTOR_AGG    op [grouping] ( [param] expr )
 *        ├─ BINOP         expr op [bool] [on|ignoring] [group_left|group_right] expr
 *        ├─ LITERAL, VECTOR
 *        └─ LABEL_REPLACE expr, dst, replacement, src, regex                                         */
#ifndef LOGQL_AST_H
#define LOGQL_AST_H

#include "base/arena.h"
#include "base/re.h"
#include "logql/ip.h"
#include "logql/path.h"
#include "logql/pattern.h"
#include "logql/tmpl.h"
#include "model/matcher.h"

/* Where a node begins in the query text. */
struct logql_pos {
	uint32_t off;  /* bytes from the start */
	uint32_t line; /* from 1 */
	uint32_t col;  /* from 1, in runes */
};

struct logql_names {
	size_t n;
	struct slice *v;
};

/* ---- log queries ---- */

enum line_filter_op {
	LINE_EQ,   /* |= contains */
	LINE_NE,   /* != */
	LINE_RE,   /* |~ matches somewhere */
	LINE_NRE,  /* !~ */
	LINE_PAT,  /* |> */
	LINE_NPAT, /* !> */
};

/* One alternative of a line filter. */
struct line_match {
	struct logql_pos pos;
	bool is_ip; /* written ip("text"); op is LINE_EQ or LINE_NE */
	struct slice text;
	struct re *re;		/* LINE_RE, LINE_NRE: unanchored, . is not \n */
	struct ip_set ip;	/* is_ip */
	struct pattern pattern; /* LINE_PAT, LINE_NPAT */
};

/* op a or b or c. An `or` chain under a negative operator is split into one filter for each alternative, so a
 * negative filter has exactly one. */
struct line_filter {
	enum line_filter_op op;
	struct logql_pos pos;
	size_t n;
	struct line_match *alts;
};

enum label_filter_kind {
	LABEL_FILTER_AND, /* and, comma, juxtaposition */
	LABEL_FILTER_OR,
	LABEL_FILTER_STRING,
	LABEL_FILTER_NUMBER,
	LABEL_FILTER_DURATION,
	LABEL_FILTER_BYTES,
	LABEL_FILTER_IP,
};

enum logql_cmp { CMP_EQ, CMP_NE, CMP_GT, CMP_GE, CMP_LT, CMP_LE };

struct label_filter {
	enum label_filter_kind kind;
	unsigned depth; /* levels of the tree below and including this node; bounded, so walks may recurse */
	struct logql_pos pos;
	struct label_filter *left, *right; /* AND, OR */
	struct matcher matcher;		   /* STRING: regexes anchored, . is not \n */
	struct slice name;		   /* all but AND, OR */
	enum logql_cmp cmp;		   /* NUMBER, DURATION, BYTES; IP: EQ or NE */
	double number;
	int64_t duration_ns;
	uint64_t bytes;
	struct slice ip_text;
	bool ip_ok; /* false: an ip() inside and/or whose pattern is invalid; it never matches */
	struct ip_set ip;
};

/* json x="a.b", y and logfmt x="key", y: a bare name stands for name="name". */
struct label_extract {
	struct logql_pos pos;
	struct slice name;
	struct slice expr;
	struct json_path path; /* json */
	struct slice key;      /* logfmt */
};

struct label_format {
	struct logql_pos pos;
	struct slice dst;
	bool is_template;
	struct slice value; /* the template's text, or the label to rename */
	struct tmpl *tmpl;  /* is_template */
};

/* drop and keep: a name, or a matcher on that name (anchored, . matches \n). */
struct named_matcher {
	struct logql_pos pos;
	bool has_matcher;
	struct matcher matcher; /* .name is always set */
};

enum stage_kind {
	STAGE_LINE_FILTER, /* a run of adjacent line filters, ANDed */
	STAGE_JSON,
	STAGE_LOGFMT,
	STAGE_REGEXP,
	STAGE_PATTERN,
	STAGE_UNPACK,
	STAGE_LABEL_FILTER,
	STAGE_LINE_FORMAT,
	STAGE_LABEL_FORMAT,
	STAGE_DECOLORIZE,
	STAGE_DROP,
	STAGE_KEEP,
	STAGE_N_KINDS
};

struct logql_stage {
	enum stage_kind kind;
	struct logql_pos pos;
	union {
		struct {
			size_t n;
			struct line_filter *v;
		} line; /* LINE_FILTER */
		struct {
			bool strict, keep_empty; /* LOGFMT only */
			size_t n;		 /* 0: extract everything */
			struct label_extract *v;
		} extract; /* JSON, LOGFMT */
		struct {
			struct slice text;
			struct re *re;
		} regexp; /* at least one named group, names unique */
		struct {
			struct slice text;
			struct pattern pattern;
		} pattern;
		struct label_filter *filter; /* LABEL_FILTER */
		struct {
			struct slice text;
			struct tmpl *tmpl; /* NULL: what it makes of the line cannot matter */
		} line_format;
		struct {
			size_t n;
			struct label_format *v;
		} label_format;
		struct {
			size_t n;
			struct named_matcher *v;
		} names; /* DROP, KEEP */
	};
};

struct logql_log {
	size_t n_matchers;
	struct matcher *matchers; /* regexes anchored, . matches \n */
	size_t n_stages;
	struct logql_stage *stages;
};

/* ---- metric queries ---- */

enum unwrap_conv { UNWRAP_NUMBER, UNWRAP_BYTES, UNWRAP_DURATION, UNWRAP_DURATION_SECONDS };

struct logql_unwrap {
	struct logql_pos pos;
	enum unwrap_conv conv;
	struct slice label;
	size_t n_filters;
	struct label_filter **filters; /* run after the conversion, in order */
};

struct logql_range {
	struct logql_pos pos;
	struct logql_log log;
	struct logql_unwrap *unwrap; /* NULL: none */
	int64_t range_ns;
	int64_t offset_ns; /* 0: none; may be negative */
};

struct logql_grouping {
	bool present;
	bool without;
	struct logql_names labels;
};

/* Rows of funcs.def. */
enum range_op {
#define RANGE_FUNC(sym, name, unwrap, grouping, doc) sym,
#include "logql/funcs.def"
	RANGE_N_OPS
};
enum vector_op {
#define VECTOR_FUNC(sym, name, param, doc) sym,
#include "logql/funcs.def"
	VECTOR_N_OPS
};

enum bin_op {
	BIN_OR,
	BIN_AND,
	BIN_UNLESS,
	BIN_EQ,
	BIN_NE,
	BIN_GT,
	BIN_GE,
	BIN_LT,
	BIN_LE,
	BIN_ADD,
	BIN_SUB,
	BIN_MUL,
	BIN_DIV,
	BIN_MOD,
	BIN_POW,
	BIN_N_OPS
};

enum match_card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE /* group_left */, CARD_ONE_TO_MANY /* group_right */ };

struct vector_match {
	bool on;       /* match by `labels` only */
	bool ignoring; /* match by all but `labels`; neither: by all labels */
	struct logql_names labels;
	enum match_card card;
	struct logql_names include; /* of group_left / group_right */
};

enum logql_kind {
	LOGQL_LOG,
	LOGQL_RANGE_AGG,
	LOGQL_VECTOR_AGG,
	LOGQL_BINOP,
	LOGQL_LITERAL,
	LOGQL_VECTOR,
	LOGQL_LABEL_REPLACE,
};

struct logql_expr {
	enum logql_kind kind;
	unsigned
		depth; /* levels of expressions below and including this one; bounded, so walks may recurse */
	struct logql_pos pos;
	union {
		struct logql_log log;
		struct {
			enum range_op op;
			bool has_param;
			double param; /* quantile */
			struct logql_range range;
			struct logql_grouping grouping;
		} range_agg;
		struct {
			enum vector_op op;
			int64_t param; /* k of topk, bottomk, approx_topk: 1 or more */
			struct logql_grouping grouping;
			struct logql_expr *expr;
		} vector_agg;
		struct {
			enum bin_op op;
			bool return_bool;
			struct vector_match match;
			struct logql_expr *left, *right; /* at most one is a literal: two are folded */
		} binop;
		double literal;
		double vector;
		struct {
			struct logql_expr *expr;
			struct slice dst, replacement, src, regex;
			struct re *re; /* of ^(?:regex)$, . is not \n */
		} label_replace;
	};
};

static inline bool bin_op_is_set(enum bin_op op)
{
	return op <= BIN_UNLESS;
}

static inline bool bin_op_is_cmp(enum bin_op op)
{
	return op >= BIN_EQ && op <= BIN_LE;
}

/* A parsed query. The struct itself lives in the arena too. */
struct logql {
	struct slice text; /* the arena's copy */
	struct logql_expr *root;
	size_t n_re;
	struct re **re; /* malloc'ed array of all compiled regexes; freed by logql_free */
	size_t cap_re;
};

#endif
