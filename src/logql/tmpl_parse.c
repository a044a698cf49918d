/* A recursive-descent parser that follows the one of Go's text/template in what it accepts and in what order
 * it notices what is wrong, because its messages go to users word for word. */
#include "logql/tmpl.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/text.h"
#include "base/vec.h"
#include "logql/tmpl_lex.h"
#include "logql/units.h"

const struct tmpl_func_row tmpl_funcs[TMPL_N_FUNCS] = {
#define TMPL_FUNC(sym, name, params, rest, doc)                                                              \
	[sym] = { name, params, sizeof(params) - 1, rest, doc, false },
#define TMPL_CLOCK_FUNC(sym, name, params, rest, doc)                                                        \
	[sym] = { name, params, sizeof(params) - 1, rest, doc, true },
#include "logql/tmpl_funcs.def"
#include "logql/tmpl_rule_funcs.def"
#undef TMPL_FUNC
};

struct tmpl_parser {
	const char *name;
	struct tmpl_tokens toks;
	size_t at;   /* the next token */
	size_t seen; /* the furthest token looked at: errors are reported on its line */
	struct arena *a;
	struct tmpl *t;
	struct tmpl_names vars;
	bool rule; /* a template of a rule: it has other functions */
	unsigned depth, range_depth;
	uint32_t action_line; /* 0: outside of actions */
	struct err *err;
};

/* ---- errors ---- */

static int fail(struct tmpl_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct tmpl_parser *p, const char *fmt, ...)
{
	char msg[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return err_set(p->err, ERR_BAD_REQUEST, "template: %s:%u: %s", p->name, p->toks.v[p->seen].line, msg);
}

/* fmt holds one %s: for the text, quoted. */
static int fail_quoted(struct tmpl_parser *p, const char *before, struct slice text)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, text);
	fail(p, "%s%.*s", before, SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

static void put_token(struct buf *b, const struct tmpl_token *t)
{
	size_t n = 0, len;

	if (t->kind == TMPL_TOK_EOF) {
		buf_add(b, t->val);
		return;
	}
	if (t->kind > TMPL_TOK_KEYWORD) {
		buf_printf(b, "<%.*s>", SLICE_ARG(t->val));
		return;
	}
	for (size_t runes = 0; runes < 10 && n < t->val.n; runes++, n += len)
		utf8_decode(slice_from(t->val, n), &len);
	text_go_quote(b, slice_sub(t->val, 0, t->val.n > 10 ? n : t->val.n));
	if (t->val.n > 10)
		buf_puts(b, "...");
}

static int unexpected(struct tmpl_parser *p, const struct tmpl_token *t, const char *context)
{
	struct buf b;

	buf_init(&b);
	if (t->kind == TMPL_TOK_ERROR) {
		bool said = slice_ends(t->val, SLICE(" action"));

		buf_add(&b, t->val);
		if (p->action_line != 0 && p->action_line != t->line)
			buf_printf(&b, "%s started at %s:%u", said ? "" : " in action", p->name,
				   p->action_line);
	} else {
		buf_puts(&b, "unexpected ");
		put_token(&b, t);
		buf_printf(&b, " in %s", context);
	}
	fail(p, "%.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

/* ---- tokens ---- */

static const struct tmpl_token *peek(struct tmpl_parser *p)
{
	p->seen = MAX(p->seen, p->at);
	return &p->toks.v[p->at];
}

static const struct tmpl_token *next(struct tmpl_parser *p)
{
	const struct tmpl_token *t = peek(p);

	if (p->at + 1 < p->toks.n)
		p->at++;
	return t;
}

static const struct tmpl_token *peek_non_space(struct tmpl_parser *p)
{
	while (peek(p)->kind == TMPL_TOK_SPACE)
		next(p);
	return peek(p);
}

static const struct tmpl_token *next_non_space(struct tmpl_parser *p)
{
	peek_non_space(p);
	return next(p);
}

static int expect(struct tmpl_parser *p, enum tmpl_tok kind, const char *context,
		  const struct tmpl_token **out)
{
	const struct tmpl_token *t = next_non_space(p);

	if (t->kind != kind)
		return unexpected(p, t, context);
	if (out != NULL)
		*out = t;
	return 0;
}

/* ---- nodes ---- */

static struct tmpl_node *node_new(struct tmpl_parser *p, enum tmpl_node_kind kind, uint32_t pos)
{
	struct tmpl_node *n = arena_new(p->a, struct tmpl_node);

	n->kind = kind;
	n->pos = pos;
	return n;
}

/* In the arena: room for one more. */
static void *grown(struct arena *a, void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 2 : *cap * 2;
	void *more = arena_alloc(a, *cap * size);
	if (n > 0)
		memcpy(more, v, n * size);
	return more;
}

static void list_push(struct tmpl_parser *p, struct tmpl_list *l, struct tmpl_node *n)
{
	l->v = grown(p->a, l->v, l->n, &l->cap, sizeof(*l->v));
	l->v[l->n++] = n;
}

static void names_push(struct tmpl_parser *p, struct tmpl_names *l, struct slice name)
{
	l->v = grown(p->a, l->v, l->n, &l->cap, sizeof(*l->v));
	l->v[l->n++] = name;
}

static int enter(struct tmpl_parser *p)
{
	if (p->depth++ == TMPL_MAX_DEPTH)
		return fail(p, "max expression depth exceeded");
	return 0;
}

static void leave(struct tmpl_parser *p)
{
	p->depth--;
}

/* ---- literals ---- */

static int unquote(struct tmpl_parser *p, struct slice quoted, struct slice *out)
{
	struct buf b;

	buf_init(&b);
	size_t n = text_go_unquote(&b, quoted);
	if (n == quoted.n)
		*out = arena_dup(p->a, buf_slice(&b));
	buf_fini(&b);
	return n == quoted.n ? 0 : fail(p, "invalid syntax");
}

/* The value of \x41 and \101 is the number, that of other escapes the character. */
static bool rune_escape(struct slice s, uint32_t *rune, size_t *n)
{
	struct buf b;
	size_t len;

	if (s.n >= 2 && s.p[1] == '\'') {
		*rune = '\'';
		*n = 2;
		return true;
	}
	if (s.n < 2 || s.p[1] == '"')
		return false;
	*n = s.p[1] == 'x' || (s.p[1] >= '0' && s.p[1] <= '7') ? 4
	     : s.p[1] == 'u'				       ? 6
	     : s.p[1] == 'U'				       ? 10
							       : 2;
	buf_init(&b);
	buf_putc(&b, '"');
	buf_add(&b, slice_sub(s, 0, *n));
	buf_putc(&b, '"');
	struct buf value;
	buf_init(&value);
	bool ok = s.n >= *n && text_go_unquote(&value, buf_slice(&b)) == b.n && value.n > 0;
	if (ok)
		*rune = *n == 4 ? (unsigned char)value.p[0] : utf8_decode(buf_slice(&value), &len);
	buf_fini(&value);
	buf_fini(&b);
	return ok;
}

static int parse_rune(struct tmpl_parser *p, struct slice text, struct tmpl_number *out)
{
	struct slice s = slice_sub(text, 1, text.n - 2);
	uint32_t rune;
	size_t n;

	if (s.n == 0 || (s.p[0] == '\\' && !rune_escape(s, &rune, &n)))
		return fail(p, "invalid syntax");
	if (s.p[0] != '\\')
		rune = utf8_decode(s, &n);
	if (n != s.n)
		return fail(p, "malformed character constant: %.*s", SLICE_ARG(text));
	out->is_int = out->is_uint = out->is_float = true;
	out->i = rune;
	out->u = rune;
	out->f = rune;
	return 0;
}

static void simplify_complex(struct tmpl_number *n)
{
	n->is_complex = true;
	n->is_float = n->im == 0;
	if (!n->is_float)
		return;
	n->f = n->re;
	n->is_int = fabs(n->f) < 0x1p63 && floor(n->f) == n->f;
	n->i = n->is_int ? (int64_t)n->f : 0;
	n->is_uint = n->f >= 0 && n->f < 0x1p64 && floor(n->f) == n->f;
	n->u = n->is_uint ? (uint64_t)n->f : 0;
}

static bool parse_float(struct slice text, double *out)
{
	struct err ignored;

	return units_parse_number(text, out, &ignored) == 0;
}

/* 1+2i */
static int parse_complex(struct tmpl_parser *p, struct slice text, struct tmpl_number *out)
{
	size_t i = text.n - 1;

	while (i > 1 && !((text.p[i] == '+' || text.p[i] == '-') && text.p[i - 1] != 'e' &&
			  text.p[i - 1] != 'E' && text.p[i - 1] != 'p' && text.p[i - 1] != 'P'))
		i--;
	if (!parse_float(slice_sub(text, 0, i), &out->re) ||
	    !parse_float(slice_sub(text, i, text.n - 1 - i), &out->im))
		return fail(p, "syntax error scanning complex number");
	simplify_complex(out);
	return 0;
}

static bool has_any(struct slice s, const char *set)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\0' && strchr(set, s.p[i]) != NULL)
			return true;
	return false;
}

static int parse_number_text(struct tmpl_parser *p, struct slice text, struct tmpl_number *n)
{
	if (text.p[text.n - 1] == 'i' && parse_float(slice_sub(text, 0, text.n - 1), &n->im)) {
		simplify_complex(n);
		return 0;
	}
	n->is_uint = units_parse_go_uint(text, &n->u);
	n->is_int = units_parse_go_int(text, &n->i);
	if (n->is_int && n->i == 0)
		n->is_uint = true;
	if (n->is_int || n->is_uint) {
		n->is_float = true;
		n->f = n->is_int ? (double)n->i : (double)n->u;
		return 0;
	}
	if (!parse_float(text, &n->f))
		return fail_quoted(p, "illegal number syntax: ", text);
	if (!has_any(text, ".eEpP"))
		return fail_quoted(p, "integer overflow: ", text);
	n->is_float = true;
	n->is_int = n->f >= -0x1p63 && n->f < 0x1p63 && floor(n->f) == n->f;
	n->i = n->is_int ? (int64_t)n->f : 0;
	n->is_uint = n->f >= 0 && n->f < 0x1p64 && floor(n->f) == n->f;
	n->u = n->is_uint ? (uint64_t)n->f : 0;
	return 0;
}

static bool is_hex_int(struct slice s)
{
	return s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X') && !has_any(s, "pP");
}

static int parse_number(struct tmpl_parser *p, const struct tmpl_token *t, struct tmpl_node **out)
{
	struct tmpl_node *node = node_new(p, TMPL_NODE_NUMBER, t->pos);
	struct tmpl_number *n = &node->number;
	int rc;

	n->text = t->val;
	if (t->kind == TMPL_TOK_RUNE)
		rc = parse_rune(p, t->val, n);
	else if (t->kind == TMPL_TOK_COMPLEX)
		rc = parse_complex(p, t->val, n);
	else
		rc = parse_number_text(p, t->val, n);
	n->float_syntax =
		n->is_float && t->kind != TMPL_TOK_RUNE && !is_hex_int(t->val) && has_any(t->val, ".eEpP");
	*out = node;
	return rc;
}

static int parse_string(struct tmpl_parser *p, const struct tmpl_token *t, struct tmpl_node **out)
{
	struct tmpl_node *n = node_new(p, TMPL_NODE_STRING, t->pos);

	n->string.quoted = t->val;
	*out = n;
	return unquote(p, t->val, &n->string.value);
}

/* ---- expressions ---- */

static int parse_pipe(struct tmpl_parser *p, const char *context, enum tmpl_tok end, struct tmpl_node **out);

static bool has_func(const struct tmpl_parser *p, enum tmpl_func f)
{
	if (!p->rule)
		return f < TMPL_FN_LAST_OF_LINES;
	return f <= TMPL_FN_PRINTLN || f == TMPL_FN_TITLE || f > TMPL_FN_LAST_OF_LINES;
}

/* Prometheus has these for rules; they ask further queries or lead to its own pages. */
static bool only_in_prometheus(struct slice name)
{
	static const char *const names[] = { "query",	    "first", "value",	  "label",    "strvalue",
					     "sortByLabel", "args",  "graphLink", "tableLink" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_is(name, names[i]))
			return true;
	return false;
}

static int parse_func(struct tmpl_parser *p, const struct tmpl_token *t, struct tmpl_node **out)
{
	for (size_t i = 0; i < TMPL_N_FUNCS; i++)
		if (has_func(p, (enum tmpl_func)i) && slice_is(t->val, tmpl_funcs[i].name)) {
			*out = node_new(p, TMPL_NODE_FUNC, t->pos);
			(*out)->func = (enum tmpl_func)i;
			return 0;
		}
	struct buf b;
	buf_init(&b);
	text_go_quote(&b, t->val);
	fail(p, "function %.*s not %s", SLICE_ARG(buf_slice(&b)),
	     p->rule && only_in_prometheus(t->val) ? "supported" : "defined");
	buf_fini(&b);
	return -1;
}

static int parse_var(struct tmpl_parser *p, const struct tmpl_token *t, struct tmpl_node **out)
{
	for (size_t i = 0; i < p->vars.n; i++)
		if (slice_eq(p->vars.v[i], t->val)) {
			*out = node_new(p, TMPL_NODE_VAR, t->pos);
			names_push(p, &(*out)->names, t->val);
			return 0;
		}
	return fail_quoted(p, "undefined variable ", t->val);
}

static int parse_paren(struct tmpl_parser *p, struct tmpl_node **out)
{
	int rc = enter(p);

	if (rc == 0)
		rc = parse_pipe(p, "parenthesized pipeline", TMPL_TOK_RPAREN, out);
	leave(p);
	return rc;
}

/* *out is NULL where no term stands. */
static int parse_term(struct tmpl_parser *p, struct tmpl_node **out)
{
	const struct tmpl_token *t = peek_non_space(p);

	*out = NULL;
	switch (t->kind) {
	case TMPL_TOK_IDENT: next(p); return parse_func(p, t, out);
	case TMPL_TOK_VAR: next(p); return parse_var(p, t, out);
	case TMPL_TOK_RUNE:
	case TMPL_TOK_COMPLEX:
	case TMPL_TOK_NUMBER: next(p); return parse_number(p, t, out);
	case TMPL_TOK_STRING:
	case TMPL_TOK_RAW: next(p); return parse_string(p, t, out);
	case TMPL_TOK_LPAREN: next(p); return parse_paren(p, out);
	case TMPL_TOK_DOT: *out = node_new(p, TMPL_NODE_DOT, t->pos); break;
	case TMPL_TOK_NIL: *out = node_new(p, TMPL_NODE_NIL, t->pos); break;
	case TMPL_TOK_FIELD:
		*out = node_new(p, TMPL_NODE_FIELD, t->pos);
		names_push(p, &(*out)->names, slice_from(t->val, 1));
		break;
	case TMPL_TOK_BOOL:
		*out = node_new(p, TMPL_NODE_BOOL, t->pos);
		(*out)->truth = slice_is(t->val, "true");
		break;
	default: return 0;
	}
	next(p);
	return 0;
}

static int fail_field_of(struct tmpl_parser *p, const struct tmpl_node *n)
{
	struct buf b;

	buf_init(&b);
	tmpl_node_text(&b, n);
	fail_quoted(p, "unexpected . after term ", buf_slice(&b));
	buf_fini(&b);
	return -1;
}

/* A term and the fields behind it. Errors then point to the first of those. */
static int parse_operand(struct tmpl_parser *p, struct tmpl_node **out)
{
	if (parse_term(p, out) == -1)
		return -1;
	if (*out == NULL || peek(p)->kind != TMPL_TOK_FIELD)
		return 0;
	struct tmpl_node *n = *out;
	uint32_t pos = peek(p)->pos;
	struct tmpl_names *names;
	if (n->kind == TMPL_NODE_FIELD || n->kind == TMPL_NODE_VAR) {
		n->pos = pos;
		names = &n->names;
	} else if (n->kind == TMPL_NODE_FUNC || n->kind == TMPL_NODE_PIPE) {
		*out = node_new(p, TMPL_NODE_CHAIN, pos);
		(*out)->chain.of = n;
		names = &(*out)->chain.names;
	} else {
		while (peek(p)->kind == TMPL_TOK_FIELD)
			next(p);
		return fail_field_of(p, n);
	}
	while (peek(p)->kind == TMPL_TOK_FIELD)
		names_push(p, names, slice_from(next(p)->val, 1));
	return 0;
}

/* Takes the | behind the command, but not what ends the pipeline. */
static int parse_cmd(struct tmpl_parser *p, struct tmpl_node **out)
{
	struct tmpl_node *cmd = node_new(p, TMPL_NODE_CMD, peek_non_space(p)->pos), *operand;
	const struct tmpl_token *t;

	for (;;) {
		peek_non_space(p);
		if (parse_operand(p, &operand) == -1)
			return -1;
		if (operand != NULL)
			list_push(p, &cmd->args, operand);
		t = peek(p);
		if (t->kind == TMPL_TOK_RIGHT || t->kind == TMPL_TOK_RPAREN)
			break;
		next(p);
		if (t->kind == TMPL_TOK_PIPE)
			break;
		if (t->kind != TMPL_TOK_SPACE)
			return unexpected(p, t, "operand");
	}
	if (cmd->args.n == 0)
		return fail(p, "empty command");
	*out = cmd;
	return 0;
}

static void declare(struct tmpl_parser *p, struct tmpl_node *pipe, struct slice name)
{
	names_push(p, &pipe->pipe.vars, name);
	names_push(p, &p->vars, name);
}

/* $x := or $x = or, in a range, $i, $x := ; anything else stays where it is. */
static int parse_decls(struct tmpl_parser *p, struct tmpl_node *pipe, const char *context)
{
	while (peek_non_space(p)->kind == TMPL_TOK_VAR) {
		size_t before = p->at;
		struct slice name = next(p)->val;
		const struct tmpl_token *t = peek_non_space(p);

		if (t->kind == TMPL_TOK_ASSIGN || t->kind == TMPL_TOK_DECLARE) {
			pipe->pipe.assign = t->kind == TMPL_TOK_ASSIGN;
			next(p);
			declare(p, pipe, name);
			return 0;
		}
		if (t->kind != TMPL_TOK_CHAR || !slice_is(t->val, ",")) {
			p->at = before;
			return 0;
		}
		next(p);
		declare(p, pipe, name);
		if (strcmp(context, "range") != 0 || pipe->pipe.vars.n >= 2)
			return fail(p, "too many declarations in %s", context);
		enum tmpl_tok kind = peek_non_space(p)->kind;
		if (kind != TMPL_TOK_VAR && kind != TMPL_TOK_RIGHT && kind != TMPL_TOK_RPAREN)
			return fail(p, "range can only initialize variables");
	}
	return 0;
}

static bool begins_cmd(enum tmpl_tok kind)
{
	switch (kind) {
	case TMPL_TOK_BOOL:
	case TMPL_TOK_RUNE:
	case TMPL_TOK_COMPLEX:
	case TMPL_TOK_DOT:
	case TMPL_TOK_FIELD:
	case TMPL_TOK_IDENT:
	case TMPL_TOK_NUMBER:
	case TMPL_TOK_NIL:
	case TMPL_TOK_RAW:
	case TMPL_TOK_STRING:
	case TMPL_TOK_VAR:
	case TMPL_TOK_LPAREN: return true;
	default: return false;
	}
}

static bool is_value(enum tmpl_node_kind kind)
{
	return kind == TMPL_NODE_BOOL || kind == TMPL_NODE_DOT || kind == TMPL_NODE_NIL ||
	       kind == TMPL_NODE_NUMBER || kind == TMPL_NODE_STRING;
}

static int check_pipe(struct tmpl_parser *p, const struct tmpl_node *pipe, const char *context)
{
	const struct tmpl_list *cmds = &pipe->pipe.cmds;

	if (cmds->n == 0)
		return fail(p, "missing value for %s", context);
	for (size_t i = 1; i < cmds->n; i++)
		if (is_value(cmds->v[i]->args.v[0]->kind))
			return fail(p, "non executable command in pipeline stage %zu", i + 1);
	return 0;
}

/* Takes the end, too. */
static int parse_pipe(struct tmpl_parser *p, const char *context, enum tmpl_tok end, struct tmpl_node **out)
{
	struct tmpl_node *pipe = node_new(p, TMPL_NODE_PIPE, peek_non_space(p)->pos), *cmd = NULL;

	if (parse_decls(p, pipe, context) == -1)
		return -1;
	for (;;) {
		const struct tmpl_token *t = peek_non_space(p);

		if (t->kind == end) {
			next(p);
			*out = pipe;
			return check_pipe(p, pipe, context);
		}
		if (!begins_cmd(t->kind)) {
			next(p);
			return unexpected(p, t, context);
		}
		if (parse_cmd(p, &cmd) == -1)
			return -1;
		list_push(p, &pipe->pipe.cmds, cmd);
	}
}

/* ---- statements ---- */

static int parse_node(struct tmpl_parser *p, struct tmpl_node **out);

/* Up to the {{end}} or {{else}} that is returned in *last. */
static int parse_list(struct tmpl_parser *p, struct tmpl_list *out, struct tmpl_node **last)
{
	struct tmpl_node *n;

	while (peek_non_space(p)->kind != TMPL_TOK_EOF) {
		if (parse_node(p, &n) == -1)
			return -1;
		if (n->kind == TMPL_NODE_END || n->kind == TMPL_NODE_ELSE) {
			*last = n;
			return 0;
		}
		list_push(p, out, n);
	}
	return fail(p, "unexpected EOF");
}

static int parse_branch(struct tmpl_parser *p, enum tmpl_node_kind kind, struct tmpl_node **out);

static int parse_else(struct tmpl_parser *p, struct tmpl_node *n)
{
	enum tmpl_tok kind = peek(p)->kind;
	struct tmpl_node *last;

	n->branch.has_else = true;
	if ((n->kind == TMPL_NODE_IF && kind == TMPL_TOK_IF) ||
	    (n->kind == TMPL_NODE_WITH && kind == TMPL_TOK_WITH)) {
		next(p);
		if (parse_branch(p, n->kind, &last) == -1)
			return -1;
		list_push(p, &n->branch.els, last);
		return 0;
	}
	if (parse_list(p, &n->branch.els, &last) == -1)
		return -1;
	return last->kind == TMPL_NODE_END ? 0 : fail(p, "expected end; found {{else}}");
}

static int parse_branch_inner(struct tmpl_parser *p, struct tmpl_node *n)
{
	const char *context = n->kind == TMPL_NODE_IF ? "if" : n->kind == TMPL_NODE_WITH ? "with" : "range";
	bool is_range = n->kind == TMPL_NODE_RANGE;
	struct tmpl_node *last;

	if (parse_pipe(p, context, TMPL_TOK_RIGHT, &n->branch.pipe) == -1)
		return -1;
	n->pos = n->branch.pipe->pos;
	p->range_depth += is_range;
	if (parse_list(p, &n->branch.list, &last) == -1)
		return -1;
	p->range_depth -= is_range;
	return last->kind == TMPL_NODE_ELSE ? parse_else(p, n) : 0;
}

static int parse_branch(struct tmpl_parser *p, enum tmpl_node_kind kind, struct tmpl_node **out)
{
	size_t n_vars = p->vars.n;
	int rc = enter(p);

	*out = node_new(p, kind, 0);
	if (rc == 0)
		rc = parse_branch_inner(p, *out);
	leave(p);
	p->vars.n = n_vars;
	return rc;
}

static int parse_jump(struct tmpl_parser *p, const struct tmpl_token *word, struct tmpl_node **out)
{
	bool is_break = word->kind == TMPL_TOK_BREAK;
	const char *context = is_break ? "{{break}}" : "{{continue}}";

	if (expect(p, TMPL_TOK_RIGHT, context, NULL) == -1)
		return -1;
	if (p->range_depth == 0)
		return fail(p, "%s outside {{range}}", context);
	*out = node_new(p, is_break ? TMPL_NODE_BREAK : TMPL_NODE_CONTINUE, word->pos);
	return 0;
}

static int parse_name(struct tmpl_parser *p, const char *context, uint32_t *pos, struct slice *out)
{
	const struct tmpl_token *t = next_non_space(p);

	*pos = t->pos;
	if (t->kind != TMPL_TOK_STRING && t->kind != TMPL_TOK_RAW)
		return unexpected(p, t, context);
	return unquote(p, t->val, out);
}

static bool list_is_blank(const struct tmpl_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i]->kind != TMPL_NODE_TEXT)
			return false;
		for (struct slice s = l->v[i]->text; s.n > 0;) {
			size_t n;
			uint32_t r = utf8_decode(s, &n);

			if (!((r >= 9 && r <= 13) || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
			      (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
			      r == 0x205f || r == 0x3000))
				return false;
			s = slice_from(s, n);
		}
	}
	return true;
}

static struct tmpl_define *find_define(const struct tmpl *t, struct slice name)
{
	for (size_t i = 0; i < t->n_defines; i++)
		if (slice_eq(t->defines[i].name, name))
			return &t->defines[i];
	return NULL;
}

/* Of two definitions of a name one must be blank. */
static int add_define(struct tmpl_parser *p, struct slice name, struct tmpl_list root)
{
	struct tmpl *t = p->t;
	struct tmpl_define *d = find_define(t, name);

	if (d == NULL) {
		if (t->n_defines == TMPL_MAX_DEFINES)
			return fail(p, "too many templates, the limit is %d", TMPL_MAX_DEFINES);
		t->defines = grown(p->a, t->defines, t->n_defines, &t->cap_defines, sizeof(*t->defines));
		t->defines[t->n_defines++] = (struct tmpl_define){ name, root };
		return 0;
	}
	if (list_is_blank(&d->root))
		d->root = root;
	else if (!list_is_blank(&root))
		return fail_quoted(p, "template: multiple definition of template ", name);
	return 0;
}

/* The body of {{define}} or {{block}}: variables and loops around it do not reach into it. */
static int parse_body(struct tmpl_parser *p, struct slice name, const char *context)
{
	struct tmpl_names outer = p->vars;
	unsigned range_depth = p->range_depth;
	uint32_t action_line = p->action_line;
	struct tmpl_list root = { 0 };
	struct tmpl_node *last;
	int rc = enter(p);

	p->vars = (struct tmpl_names){ 0 };
	names_push(p, &p->vars, SLICE("$"));
	p->range_depth = 0;
	p->action_line = 0;
	if (rc == 0)
		rc = parse_list(p, &root, &last);
	if (rc == 0 && last->kind != TMPL_NODE_END)
		rc = fail(p, "unexpected {{else}} in %s", context);
	if (rc == 0)
		rc = add_define(p, name, root);
	leave(p);
	p->vars = outer;
	p->range_depth = range_depth;
	p->action_line = action_line;
	return rc;
}

static int parse_define(struct tmpl_parser *p)
{
	struct slice name;
	uint32_t pos;

	if (parse_name(p, "define clause", &pos, &name) == -1 ||
	    expect(p, TMPL_TOK_RIGHT, "define clause", NULL) == -1)
		return -1;
	return parse_body(p, name, "define clause");
}

static int parse_call(struct tmpl_parser *p, bool block, struct tmpl_node **out)
{
	const char *context = block ? "block clause" : "template clause";
	struct tmpl_node *n = node_new(p, TMPL_NODE_TEMPLATE, 0);

	if (parse_name(p, context, &n->pos, &n->call.name) == -1)
		return -1;
	*out = n;
	if (!block && peek_non_space(p)->kind == TMPL_TOK_RIGHT) {
		next(p);
		return 0;
	}
	if (parse_pipe(p, context, TMPL_TOK_RIGHT, &n->call.pipe) == -1)
		return -1;
	return block ? parse_body(p, n->call.name, context) : 0;
}

/* {{else if and {{else with leave the second word for the next step. */
static int parse_else_word(struct tmpl_parser *p, struct tmpl_node **out)
{
	const struct tmpl_token *t = peek_non_space(p);

	if (t->kind != TMPL_TOK_IF && t->kind != TMPL_TOK_WITH &&
	    expect(p, TMPL_TOK_RIGHT, "else", NULL) == -1)
		return -1;
	*out = node_new(p, TMPL_NODE_ELSE, t->pos);
	return 0;
}

/* {{ has been taken. */
static int parse_action(struct tmpl_parser *p, struct tmpl_node **out)
{
	const struct tmpl_token *t = next_non_space(p);

	switch (t->kind) {
	case TMPL_TOK_IF: return parse_branch(p, TMPL_NODE_IF, out);
	case TMPL_TOK_WITH: return parse_branch(p, TMPL_NODE_WITH, out);
	case TMPL_TOK_RANGE: return parse_branch(p, TMPL_NODE_RANGE, out);
	case TMPL_TOK_BREAK:
	case TMPL_TOK_CONTINUE: return parse_jump(p, t, out);
	case TMPL_TOK_TEMPLATE: return parse_call(p, false, out);
	case TMPL_TOK_BLOCK: return parse_call(p, true, out);
	case TMPL_TOK_ELSE: return parse_else_word(p, out);
	case TMPL_TOK_END:
		*out = node_new(p, TMPL_NODE_END, t->pos);
		return expect(p, TMPL_TOK_RIGHT, "end", NULL);
	default: break;
	}
	p->at = (size_t)(t - p->toks.v);
	*out = node_new(p, TMPL_NODE_ACTION, t->pos);
	return parse_pipe(p, "command", TMPL_TOK_RIGHT, &(*out)->in);
}

static int parse_node(struct tmpl_parser *p, struct tmpl_node **out)
{
	const struct tmpl_token *t = next_non_space(p);

	if (t->kind == TMPL_TOK_TEXT) {
		*out = node_new(p, TMPL_NODE_TEXT, t->pos);
		(*out)->text = t->val;
		return 0;
	}
	if (t->kind != TMPL_TOK_LEFT)
		return unexpected(p, t, "input");
	p->action_line = t->line;
	if (parse_action(p, out) == -1)
		return -1;
	p->action_line = 0;
	return 0;
}

/* Is {{define next, whose braces and word are then taken? Only at the top are there definitions. */
static bool at_define(struct tmpl_parser *p)
{
	size_t before = p->at;

	if (peek(p)->kind == TMPL_TOK_LEFT) {
		next(p);
		if (next_non_space(p)->kind == TMPL_TOK_DEFINE)
			return true;
	}
	p->at = before;
	return false;
}

static int parse_top(struct tmpl_parser *p)
{
	struct tmpl_node *n;

	names_push(p, &p->vars, SLICE("$"));
	while (peek(p)->kind != TMPL_TOK_EOF) {
		if (at_define(p)) {
			if (parse_define(p) == -1)
				return -1;
			continue;
		}
		if (parse_node(p, &n) == -1)
			return -1;
		if (n->kind == TMPL_NODE_END || n->kind == TMPL_NODE_ELSE)
			return fail(p, "unexpected %s", n->kind == TMPL_NODE_END ? "{{end}}" : "{{else}}");
		list_push(p, &p->t->root, n);
	}
	/* The template has a name, too, under which it can be found and defined. */
	struct slice name = slice_cstr(p->name);
	if (add_define(p, name, p->t->root) == -1)
		return -1;
	p->t->root = find_define(p->t, name)->root;
	return 0;
}

static struct slice only_field(const struct tmpl *t)
{
	const struct slice none = { NULL, 0 };

	if (t->root.n != 1 || t->root.v[0]->kind != TMPL_NODE_ACTION)
		return none;
	const struct tmpl_node *pipe = t->root.v[0]->in;
	if (pipe->pipe.vars.n > 0 || pipe->pipe.cmds.n != 1 || pipe->pipe.cmds.v[0]->args.n != 1)
		return none;
	const struct tmpl_node *n = pipe->pipe.cmds.v[0]->args.v[0];
	return n->kind == TMPL_NODE_FIELD && n->names.n == 1 ? n->names.v[0] : none;
}

static int parse(const char *name, bool rule, struct slice text, struct arena *a, struct tmpl **out,
		 struct err *err)
{
	struct tmpl *t = arena_new(a, struct tmpl);
	struct tmpl_parser p = { .name = name, .rule = rule, .a = a, .t = t, .err = err };

	t->name = name;
	t->text = text;
	tmpl_lex(text, a, &p.toks);
	int rc = parse_top(&p);
	free(p.toks.v);
	if (rc == -1)
		return -1;
	t->only_field = only_field(t);
	*out = t;
	return 0;
}

int tmpl_parse(const char *name, struct slice text, struct arena *a, struct tmpl **out, struct err *err)
{
	return parse(name, false, text, a, out, err);
}

int tmpl_parse_rule(const char *name, struct slice text, struct arena *a, struct tmpl **out, struct err *err)
{
	return parse(name, true, text, a, out, err);
}

const struct tmpl_list *tmpl_find(const struct tmpl *t, struct slice name)
{
	const struct tmpl_define *d = find_define(t, name);

	return d != NULL ? &d->root : NULL;
}
