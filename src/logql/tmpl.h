/* logql/tmpl.h - templates of line_format and label_format: the subset of Go's text/template that Loki runs,
 * parsed. Nodes live in the arena and borrow from the text, which must live as long. Read-only after parsing.
 *
 *   list ─ node: TEXT
 *              ├─ ACTION pipe                       {{ .a | upper }}
 *              ├─ IF, WITH, RANGE pipe list else    {{ if p }} … {{ else }} … {{ end }}
 *              ├─ BREAK, CONTINUE
 *              └─ TEMPLATE name pipe                {{ template "n" p }}, {{ block }}
 *   PIPE ─ CMD ─ operand: FUNC, DOT, FIELD, VAR, CHAIN, BOOL, NIL, NUMBER, STRING, PIPE (in parentheses)    */
#ifndef LOGQL_TMPL_H
#define LOGQL_TMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	TMPL_MAX_DEPTH = 100,	 /* parentheses and blocks inside each other, else-ifs of a chain */
	TMPL_MAX_DEFINES = 1000, /* of one template */
};

enum tmpl_func {
#define TMPL_FUNC(sym, name, params, rest, doc) sym,
#include "logql/tmpl_funcs.def"
	TMPL_FN_LAST_OF_LINES,
#include "logql/tmpl_rule_funcs.def"
#undef TMPL_FUNC
	TMPL_N_FUNCS
};
struct tmpl_func_row {
	const char *name, *params;
	size_t n_params;
	const char *rest; /* "": no more than these */
	const char *doc;
	bool clock; /* what it yields depends on the clock */
};
extern const struct tmpl_func_row tmpl_funcs[TMPL_N_FUNCS];

enum tmpl_node_kind {
	TMPL_NODE_TEXT,
	TMPL_NODE_ACTION,
	TMPL_NODE_IF,
	TMPL_NODE_WITH,
	TMPL_NODE_RANGE,
	TMPL_NODE_BREAK,
	TMPL_NODE_CONTINUE,
	TMPL_NODE_TEMPLATE,
	TMPL_NODE_PIPE,
	TMPL_NODE_CMD,
	TMPL_NODE_FUNC,
	TMPL_NODE_DOT,
	TMPL_NODE_FIELD,
	TMPL_NODE_VAR,
	TMPL_NODE_CHAIN,
	TMPL_NODE_BOOL,
	TMPL_NODE_NIL,
	TMPL_NODE_NUMBER,
	TMPL_NODE_STRING,
	TMPL_NODE_END, /* of a list; never in a tree */
	TMPL_NODE_ELSE,
};

struct tmpl_node;
struct tmpl_list {
	size_t n, cap;
	struct tmpl_node **v;
};
struct tmpl_names {
	size_t n, cap;
	struct slice *v;
};

/* A literal may be several of these at once: the place where it stands decides. */
struct tmpl_number {
	bool is_int, is_uint, is_float, is_complex;
	bool float_syntax; /* as a value of its own it is a float */
	int64_t i;
	uint64_t u;
	double f;
	double re, im;
	struct slice text;
};

struct tmpl_node {
	enum tmpl_node_kind kind;
	uint32_t pos; /* byte offset in the template; where errors at this node point */
	union {
		struct slice text;    /* TEXT */
		struct tmpl_node *in; /* ACTION: a PIPE */
		struct {
			struct tmpl_node *pipe;
			struct tmpl_list list;
			bool has_else;
			struct tmpl_list els;
		} branch; /* IF, WITH, RANGE */
		struct {
			struct slice name;
			struct tmpl_node *pipe; /* NULL: none */
		} call;				/* TEMPLATE */
		struct {
			bool assign; /* = instead of := */
			struct tmpl_names vars;
			struct tmpl_list cmds;
		} pipe;
		struct tmpl_list args;	 /* CMD: the first is what is run */
		enum tmpl_func func;	 /* FUNC */
		struct tmpl_names names; /* FIELD: a b of .a.b; VAR: $x a */
		struct {
			struct tmpl_node *of;
			struct tmpl_names names;
		} chain;    /* (pipe).a.b */
		bool truth; /* BOOL */
		struct tmpl_number number;
		struct {
			struct slice quoted, value;
		} string;
	};
};

struct tmpl_define {
	struct slice name;
	struct tmpl_list root;
};
struct tmpl {
	const char *name; /* "line" or "label": in messages */
	struct slice text;
	struct tmpl_list root;
	size_t n_defines, cap_defines;
	struct tmpl_define *defines;
	struct slice only_field; /* the template is {{.field}} and nothing else; p == NULL: it is not */
};

/* err->msg: template: line:1: unclosed action. name must live as long as the result. */
int tmpl_parse(const char *name, struct slice text, struct arena *a, struct tmpl **out, struct err *err);
/* A label or annotation of a rule: other functions (tmpl_rule_funcs.def). */
int tmpl_parse_rule(const char *name, struct slice text, struct arena *a, struct tmpl **out, struct err *err);
/* The canonical source of an expression (PIPE and what stands below it) or a statement. */
void tmpl_node_text(struct buf *b, const struct tmpl_node *n);
/* The root of a defined template; NULL: there is none. "line" and "label" themselves can be called, too. */
const struct tmpl_list *tmpl_find(const struct tmpl *t, struct slice name);

struct tmpl_reads {
	bool all;   /* the set of labels as a whole is used */
	bool clock; /* what comes out depends on the clock */
	void (*field)(void *arg, struct slice name);
	void *arg;
};
/* Which labels the template reads: calls field for each, perhaps several times. */
void tmpl_reads(const struct tmpl *t, struct tmpl_reads *r);

#endif
