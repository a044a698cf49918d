/* A recursive-descent parser with one token of lookahead. Loki's grammar is LALR(1) and its messages name
 * what may follow in some states of that automaton: the `expecting` texts here are those states. */
#include "logql/parse.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "logql/check.h"
#include "logql/funcs.h"
#include "logql/lex.h"
#include "logql/units.h"

struct parser {
	struct lexer lex;
	struct token tok; /* the next one, not yet taken */
	struct arena *a;
	struct logql *q;
	unsigned depth;	 /* of the recursion */
	size_t n_stages; /* of the pipeline being read; line filters count one by one */
	struct logql_pos *where;
	struct err *err;
};

/* ---- errors ---- */

/* An error at a place that the message names. */
static int fail_at(struct parser *p, struct logql_pos pos, bool line0, const char *msg)
{
	uint32_t line = line0 ? 0 : pos.line;

	*p->where = pos;
	if (line == 0 && pos.col == 0)
		return err_set(p->err, ERR_BAD_REQUEST, "parse error : %s", msg);
	return err_set(p->err, ERR_BAD_REQUEST, "parse error at line %u, col %u: %s", line, pos.col, msg);
}

/* An error in what an expression means: only `where` knows the place. */
static int __attribute__((format(printf, 3, 4)))
fail(struct parser *p, struct logql_pos pos, const char *fmt, ...)
{
	va_list ap;
	char *msg;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&msg, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	*p->where = pos;
	err_set(p->err, ERR_BAD_REQUEST, "parse error : %s", msg);
	free(msg);
	return -1;
}

/* The same with a cause that is already in p->err. what may be NULL. */
static int fail_because(struct parser *p, struct logql_pos pos, const char *what)
{
	*p->where = pos;
	p->err->code = ERR_BAD_REQUEST;
	if (what != NULL)
		err_prefix(p->err, "%s", what);
	return err_prefix(p->err, "parse error ");
}

static int unexpected_as(struct parser *p, const char *spelling, const char *expecting)
{
	char msg[200];

	snprintf(msg, sizeof(msg), "syntax error: unexpected %s%s%s", spelling,
		 expecting != NULL ? ", expecting " : "", expecting != NULL ? expecting : "");
	return fail_at(p, p->tok.pos, p->tok.line0, msg);
}

/* The next token cannot stand here. expecting: NULL where Loki names nothing. */
static int unexpected(struct parser *p, const char *expecting)
{
	char spelling[40];

	lex_spelling(&p->tok, spelling);
	return unexpected_as(p, spelling, expecting);
}

static int too_many(struct parser *p, const char *what, int limit)
{
	char msg[100];

	snprintf(msg, sizeof(msg), "%s, the limit is %d", what, limit);
	return fail_at(p, p->tok.pos, false, msg);
}

/* ---- tokens ---- */

static int advance(struct parser *p)
{
	struct lex_error e;

	if (lex_next(&p->lex, &p->tok, &e) == -1)
		return fail_at(p, e.pos, e.line0, e.msg);
	return 0;
}

static bool at(const struct parser *p, enum tok kind)
{
	return p->tok.kind == kind;
}

static int expect(struct parser *p, enum tok kind, const char *expecting)
{
	if (!at(p, kind))
		return unexpected(p, expecting);
	return advance(p);
}

static int expect_text(struct parser *p, enum tok kind, const char *expecting, struct slice *out)
{
	*out = p->tok.text;
	return expect(p, kind, expecting);
}

/* Every function that may recurse enters and leaves. */
static int enter(struct parser *p)
{
	if (p->depth++ > LOGQL_MAX_NESTING)
		return too_many(p, "query nested too deep", LOGQL_MAX_NESTING);
	return 0;
}

static void leave(struct parser *p)
{
	p->depth--;
}

static int check_depth(struct parser *p, unsigned depth)
{
	if (depth > LOGQL_MAX_NESTING)
		return too_many(p, "too many operators in a row", LOGQL_MAX_NESTING);
	return 0;
}

/* Room for one more, zeroed, in an array of the arena that doubles. */
static void *grow(struct arena *a, void *v, size_t n, size_t size)
{
	if ((n & (n - 1)) == 0) {
		void *bigger = arena_alloc(a, size * (n == 0 ? 1 : n * 2));

		if (n > 0)
			memcpy(bigger, v, n * size);
		v = bigger;
	}
	memset((char *)v + n * size, 0, size);
	return v;
}

#define list_add(p, list)                                                                                    \
	((list)->v = grow((p)->a, (list)->v, (list)->n, sizeof(*(list)->v)), &(list)->v[(list)->n++])

static int check_list(struct parser *p, size_t n)
{
	return n < LOGQL_MAX_LIST ? 0 : too_many(p, "too many names in a list", LOGQL_MAX_LIST);
}

static struct logql_expr *new_expr(struct parser *p, enum logql_kind kind, struct logql_pos pos)
{
	struct logql_expr *e = arena_new(p->a, struct logql_expr);

	e->kind = kind;
	e->pos = pos;
	e->depth = 1;
	return e;
}

/* ---- small parts ---- */

/* (a, b): after on, ignoring, by, without. */
static int parse_names(struct parser *p, struct logql_names *out)
{
	*out = (struct logql_names){ 0 };
	if (expect(p, TOK_LPAREN, "(") == -1)
		return -1;
	if (at(p, TOK_RPAREN))
		return advance(p);
	for (const char *expecting = "IDENTIFIER or )";; expecting = "IDENTIFIER") {
		struct slice name;

		if (check_list(p, out->n) == -1 || expect_text(p, TOK_IDENT, expecting, &name) == -1)
			return -1;
		*list_add(p, out) = name;
		if (!at(p, TOK_COMMA))
			break;
		if (advance(p) == -1)
			return -1;
	}
	return expect(p, TOK_RPAREN, ", or )");
}

static bool at_grouping(const struct parser *p)
{
	return at(p, TOK_BY) || at(p, TOK_WITHOUT);
}

static int parse_grouping(struct parser *p, struct logql_grouping *out)
{
	out->present = true;
	out->without = at(p, TOK_WITHOUT);
	if (advance(p) == -1)
		return -1;
	return parse_names(p, &out->labels);
}

/* ip("..."), at ip. */
static int parse_ip(struct parser *p, struct slice *out)
{
	if (advance(p) == -1 || expect(p, TOK_LPAREN, "(") == -1 ||
	    expect_text(p, TOK_STRING, "STRING", out) == -1)
		return -1;
	return expect(p, TOK_RPAREN, ")");
}

static int number_of(struct parser *p, const struct token *t, const char *what, double *out)
{
	char prefix[64];

	if (units_parse_number(t->text, out, p->err) == 0)
		return 0;
	snprintf(prefix, sizeof(prefix), "unable to parse %s as a float", what);
	return fail_because(p, t->pos, prefix);
}

/* [+|-] NUMBER */
static int parse_signed_number(struct parser *p, double *out)
{
	bool negative = at(p, TOK_SUB), sign = negative || at(p, TOK_ADD);

	if (sign && advance(p) == -1)
		return -1;
	struct token t = p->tok;
	if (expect(p, TOK_NUMBER, sign ? "NUMBER" : NULL) == -1 || number_of(p, &t, "literal", out) == -1)
		return -1;
	if (negative)
		*out = -*out;
	return 0;
}

/* ---- matchers and selectors ---- */

static bool at_matcher_op(const struct parser *p)
{
	return at(p, TOK_EQ) || at(p, TOK_NE) || at(p, TOK_RE) || at(p, TOK_NRE);
}

static enum matcher_op matcher_op_of(enum tok kind)
{
	return kind == TOK_EQ ? MATCH_EQ : kind == TOK_NE ? MATCH_NE : kind == TOK_RE ? MATCH_RE : MATCH_NRE;
}

/* The value, after the operator. */
static int parse_matcher_value(struct parser *p, enum matcher_op op, unsigned re_flags, struct matcher *m)
{
	struct logql_pos pos = p->tok.pos;

	m->op = op;
	if (expect_text(p, TOK_STRING, "STRING", &m->value) == -1)
		return -1;
	if (op != MATCH_RE && op != MATCH_NRE)
		return 0;
	if (logql_add_regex(p->q, m->value, re_flags, &m->re, p->err) == -1)
		return fail_because(p, pos, NULL);
	return 0;
}

static int parse_matcher(struct parser *p, const char *expecting, struct matcher *m)
{
	if (at(p, TOK_IDENT) && p->tok.non_ascii)
		return unexpected_as(p, "STRING", expecting);
	if (expect_text(p, TOK_IDENT, expecting, &m->name) == -1)
		return -1;
	if (!at_matcher_op(p))
		return unexpected(p, "= or =~ or !~ or !=");
	enum matcher_op op = matcher_op_of(p->tok.kind);
	if (advance(p) == -1)
		return -1;
	return parse_matcher_value(p, op, RE_ANCHORED | RE_DOT_NL, m);
}

static int parse_selector(struct parser *p, struct logql_log *log)
{
	struct {
		size_t n;
		struct matcher *v;
	} list = { 0 };

	if (expect(p, TOK_LBRACE, NULL) == -1)
		return -1;
	if (at(p, TOK_RBRACE))
		return advance(p);
	for (const char *expecting = "IDENTIFIER or }";; expecting = "IDENTIFIER") {
		if (list.n == LOGQL_MAX_MATCHERS)
			return too_many(p, "too many matchers in a selector", LOGQL_MAX_MATCHERS);
		if (parse_matcher(p, expecting, list_add(p, &list)) == -1)
			return -1;
		if (!at(p, TOK_COMMA))
			break;
		if (advance(p) == -1)
			return -1;
	}
	log->n_matchers = list.n;
	log->matchers = list.v;
	return expect(p, TOK_RBRACE, "} or ,");
}

/* ---- label filters ---- */

static bool at_label_filter(const struct parser *p)
{
	return at(p, TOK_IDENT) || at(p, TOK_LPAREN);
}

static int parse_label_filter(struct parser *p, unsigned min_prec, struct label_filter **out);

static bool cmp_of(enum tok kind, enum logql_cmp *out)
{
	switch (kind) {
	case TOK_EQ:
	case TOK_CMP_EQ: *out = CMP_EQ; return true;
	case TOK_NE: *out = CMP_NE; return true;
	case TOK_GT: *out = CMP_GT; return true;
	case TOK_GE: *out = CMP_GE; return true;
	case TOK_LT: *out = CMP_LT; return true;
	case TOK_LE: *out = CMP_LE; return true;
	default: return false;
	}
}

/* The number, duration or size after a comparison. */
static int parse_typed_value(struct parser *p, struct label_filter *f)
{
	switch (p->tok.kind) {
	case TOK_DURATION:
		f->kind = LABEL_FILTER_DURATION;
		f->duration_ns = p->tok.duration_ns;
		return advance(p);
	case TOK_BYTES:
		f->kind = LABEL_FILTER_BYTES;
		f->bytes = p->tok.bytes;
		return advance(p);
	default: f->kind = LABEL_FILTER_NUMBER; return parse_signed_number(p, &f->number);
	}
}

/* What follows a label's name. */
static int parse_label_test(struct parser *p, struct label_filter *f)
{
	enum tok op = p->tok.kind;

	if (!at_matcher_op(p) && !cmp_of(op, &f->cmp))
		return unexpected(p, NULL);
	if (advance(p) == -1)
		return -1;
	if (op == TOK_RE || op == TOK_NRE || ((op == TOK_EQ || op == TOK_NE) && at(p, TOK_STRING))) {
		f->kind = LABEL_FILTER_STRING;
		f->matcher.name = f->name;
		return parse_matcher_value(p, matcher_op_of(op), RE_ANCHORED, &f->matcher);
	}
	cmp_of(op, &f->cmp);
	if ((op == TOK_EQ || op == TOK_NE) && at(p, TOK_IP)) {
		f->kind = LABEL_FILTER_IP;
		return parse_ip(p, &f->ip_text);
	}
	return parse_typed_value(p, f);
}

static int parse_label_atom(struct parser *p, struct label_filter **out)
{
	struct label_filter *f;

	if (at(p, TOK_LPAREN)) {
		if (advance(p) == -1 || parse_label_filter(p, 0, out) == -1)
			return -1;
		return expect(p, TOK_RPAREN, NULL);
	}
	f = arena_new(p->a, struct label_filter);
	f->depth = 1;
	f->pos = p->tok.pos;
	if (expect_text(p, TOK_IDENT, "IDENTIFIER or (", &f->name) == -1 || parse_label_test(p, f) == -1)
		return -1;
	*out = f;
	return 0;
}

static int join_label_filters(struct parser *p, enum label_filter_kind kind, struct label_filter *right,
			      struct label_filter **left)
{
	struct label_filter *f = arena_new(p->a, struct label_filter);

	f->kind = kind;
	f->pos = (*left)->pos;
	f->left = *left;
	f->right = right;
	f->depth = 1 + MAX((*left)->depth, right->depth);
	*left = f;
	return check_depth(p, f->depth);
}

/* `and` binds tighter than `or`; a comma or nothing at all means `and`, too, but takes all that follows on
 * its right. */
static int parse_label_filter(struct parser *p, unsigned min_prec, struct label_filter **out)
{
	enum { PREC_ANY, PREC_OR, PREC_AND, PREC_ATOM };
	struct label_filter *left, *right;

	if (enter(p) == -1 || parse_label_atom(p, &left) == -1)
		return -1;
	for (;;) {
		bool is_or = at(p, TOK_OR), is_and = at(p, TOK_AND);
		unsigned prec = is_or ? PREC_OR : is_and ? PREC_AND : PREC_ATOM;
		bool word = is_or || is_and || at(p, TOK_COMMA);

		if ((!word && !at_label_filter(p)) || prec < min_prec)
			break;
		if (word && advance(p) == -1)
			return -1;
		if (parse_label_filter(p, prec == PREC_ATOM ? PREC_ANY : prec + 1, &right) == -1 ||
		    join_label_filters(p, is_or ? LABEL_FILTER_OR : LABEL_FILTER_AND, right, &left) == -1)
			return -1;
	}
	leave(p);
	*out = left;
	return 0;
}

/* ---- pipelines ---- */

static int count_stage(struct parser *p)
{
	if (p->n_stages++ == LOGQL_MAX_STAGES)
		return too_many(p, "too many stages in a pipeline", LOGQL_MAX_STAGES);
	return 0;
}

static bool line_op_of(enum tok kind, enum line_filter_op *out)
{
	switch (kind) {
	case TOK_PIPE_EQ: *out = LINE_EQ; return true;
	case TOK_NE: *out = LINE_NE; return true;
	case TOK_PIPE_RE: *out = LINE_RE; return true;
	case TOK_NRE: *out = LINE_NRE; return true;
	case TOK_PIPE_PAT: *out = LINE_PAT; return true;
	case TOK_NPAT: *out = LINE_NPAT; return true;
	default: return false;
	}
}

static int parse_line_match(struct parser *p, struct line_match *m)
{
	m->pos = p->tok.pos;
	m->is_ip = at(p, TOK_IP);
	if (m->is_ip)
		return parse_ip(p, &m->text);
	return expect_text(p, TOK_STRING, "STRING or ip", &m->text);
}

static struct line_filter *add_line_filter(struct parser *p, struct logql_stage *s, enum line_filter_op op,
					   struct logql_pos pos)
{
	struct line_filter *f = list_add(p, &s->line);

	f->op = op;
	f->pos = pos;
	return f;
}

static struct line_match *add_line_match(struct parser *p, struct line_filter *f)
{
	f->alts = grow(p->a, f->alts, f->n, sizeof(*f->alts));
	return &f->alts[f->n++];
}

/* op a or b; at op. A negative chain becomes a filter for each alternative. */
static int parse_line_filter(struct parser *p, enum line_filter_op op, struct logql_stage *s)
{
	bool negative = op == LINE_NE || op == LINE_NRE || op == LINE_NPAT;
	struct line_filter *f = NULL;
	struct logql_pos pos = p->tok.pos;

	do {
		if (advance(p) == -1 || count_stage(p) == -1)
			return -1;
		if (f == NULL || negative)
			f = add_line_filter(p, s, op, pos);
		if (parse_line_match(p, add_line_match(p, f)) == -1)
			return -1;
		pos = p->tok.pos;
	} while (at(p, TOK_OR));
	return 0;
}

static int parse_extracts(struct parser *p, struct logql_stage *s)
{
	for (;;) {
		struct label_extract *x;

		if (check_list(p, s->extract.n) == -1)
			return -1;
		x = list_add(p, &s->extract);
		x->pos = p->tok.pos;
		if (expect_text(p, TOK_IDENT, "IDENTIFIER", &x->name) == -1)
			return -1;
		x->expr = x->name;
		if (at(p, TOK_EQ) &&
		    (advance(p) == -1 || expect_text(p, TOK_STRING, "STRING", &x->expr) == -1))
			return -1;
		if (!at(p, TOK_COMMA))
			return 0;
		if (advance(p) == -1)
			return -1;
	}
}

static int parse_logfmt(struct parser *p, struct logql_stage *s)
{
	while (at(p, TOK_FLAG)) {
		if (slice_is(p->tok.text, "--strict"))
			s->extract.strict = true;
		else
			s->extract.keep_empty = true;
		if (advance(p) == -1)
			return -1;
	}
	return at(p, TOK_IDENT) ? parse_extracts(p, s) : 0;
}

static int parse_regexp(struct parser *p, struct logql_stage *s)
{
	if (expect_text(p, TOK_STRING, "STRING", &s->regexp.text) == -1)
		return -1;
	if (logql_add_group_regex(p->q, s->regexp.text, &s->regexp.re, p->err) == -1)
		return fail_because(p, s->pos, "invalid regexp parser");
	return 0;
}

static int parse_pattern(struct parser *p, struct logql_stage *s)
{
	if (expect_text(p, TOK_STRING, "STRING", &s->pattern.text) == -1)
		return -1;
	if (pattern_parse(s->pattern.text, p->a, &s->pattern.pattern, p->err) == -1)
		return fail_because(p, s->pos, "invalid pattern parser");
	return 0;
}

static int parse_label_format(struct parser *p, struct logql_stage *s)
{
	for (;;) {
		struct label_format *f;

		if (check_list(p, s->label_format.n) == -1)
			return -1;
		f = list_add(p, &s->label_format);
		f->pos = p->tok.pos;
		if (expect_text(p, TOK_IDENT, "IDENTIFIER", &f->dst) == -1 || expect(p, TOK_EQ, "=") == -1)
			return -1;
		f->is_template = at(p, TOK_STRING);
		if (expect_text(p, f->is_template ? TOK_STRING : TOK_IDENT, "IDENTIFIER or STRING",
				&f->value) == -1)
			return -1;
		if (!at(p, TOK_COMMA))
			return 0;
		if (advance(p) == -1)
			return -1;
	}
}

/* drop and keep */
static int parse_named_matchers(struct parser *p, struct logql_stage *s)
{
	for (;;) {
		struct named_matcher *m;

		if (check_list(p, s->names.n) == -1)
			return -1;
		m = list_add(p, &s->names);
		m->pos = p->tok.pos;
		if (expect_text(p, TOK_IDENT, "IDENTIFIER", &m->matcher.name) == -1)
			return -1;
		if (at_matcher_op(p)) {
			enum matcher_op op = matcher_op_of(p->tok.kind);

			m->has_matcher = true;
			if (advance(p) == -1 ||
			    parse_matcher_value(p, op, RE_ANCHORED | RE_DOT_NL, &m->matcher) == -1)
				return -1;
		}
		if (!at(p, TOK_COMMA))
			return 0;
		if (advance(p) == -1)
			return -1;
	}
}

static bool stage_kind_of(enum tok kind, enum stage_kind *out)
{
	switch (kind) {
	case TOK_JSON: *out = STAGE_JSON; return true;
	case TOK_LOGFMT: *out = STAGE_LOGFMT; return true;
	case TOK_REGEXP: *out = STAGE_REGEXP; return true;
	case TOK_PATTERN: *out = STAGE_PATTERN; return true;
	case TOK_UNPACK: *out = STAGE_UNPACK; return true;
	case TOK_LINE_FORMAT: *out = STAGE_LINE_FORMAT; return true;
	case TOK_LABEL_FORMAT: *out = STAGE_LABEL_FORMAT; return true;
	case TOK_DECOLORIZE: *out = STAGE_DECOLORIZE; return true;
	case TOK_DROP: *out = STAGE_DROP; return true;
	case TOK_KEEP: *out = STAGE_KEEP; return true;
	default: return false;
	}
}

/* What follows the word of a stage. */
static int parse_stage_rest(struct parser *p, struct logql_stage *s)
{
	switch (s->kind) {
	case STAGE_JSON: return at(p, TOK_IDENT) ? parse_extracts(p, s) : 0;
	case STAGE_LOGFMT: return parse_logfmt(p, s);
	case STAGE_REGEXP: return parse_regexp(p, s);
	case STAGE_PATTERN: return parse_pattern(p, s);
	case STAGE_LINE_FORMAT: return expect_text(p, TOK_STRING, "STRING", &s->line_format.text);
	case STAGE_LABEL_FORMAT: return parse_label_format(p, s);
	case STAGE_DROP:
	case STAGE_KEEP: return parse_named_matchers(p, s);
	default: return 0;
	}
}

/* A stage other than line filters; the pipe has been taken. */
static int parse_stage(struct parser *p, struct logql_stage *s)
{
	s->pos = p->tok.pos;
	if (count_stage(p) == -1)
		return -1;
	if (at_label_filter(p)) {
		s->kind = STAGE_LABEL_FILTER;
		return parse_label_filter(p, 0, &s->filter);
	}
	if (!stage_kind_of(p->tok.kind, &s->kind))
		return unexpected(p, NULL);
	if (advance(p) == -1)
		return -1;
	return parse_stage_rest(p, s);
}

/* | unwrap x | filter; at unwrap. */
static int parse_unwrap(struct parser *p, struct logql_unwrap **out)
{
	struct logql_unwrap *u = arena_new(p->a, struct logql_unwrap);

	u->pos = p->tok.pos;
	if (advance(p) == -1)
		return -1;
	if (at(p, TOK_CONV)) {
		u->conv = (enum unwrap_conv)p->tok.op;
		if (advance(p) == -1 || expect(p, TOK_LPAREN, "(") == -1 ||
		    expect_text(p, TOK_IDENT, "IDENTIFIER", &u->label) == -1 ||
		    expect(p, TOK_RPAREN, ")") == -1)
			return -1;
	} else if (expect_text(p, TOK_IDENT,
			       "IDENTIFIER or BYTES_CONV or DURATION_CONV or DURATION_SECONDS_CONV",
			       &u->label) == -1) {
		return -1;
	}
	while (at(p, TOK_PIPE)) {
		if (advance(p) == -1 || count_stage(p) == -1)
			return -1;
		u->filters = grow(p->a, u->filters, u->n_filters, sizeof(struct label_filter *));
		if (parse_label_filter(p, 0, &u->filters[u->n_filters]) == -1)
			return -1;
		u->n_filters++;
	}
	*out = u;
	return 0;
}

static struct logql_stage *add_stage(struct parser *p, struct logql_log *log)
{
	log->stages = grow(p->a, log->stages, log->n_stages, sizeof(*log->stages));
	return &log->stages[log->n_stages++];
}

/* Stages up to a token that begins none. unwrap is NULL where the pipeline may not end in one. */
static int parse_pipeline(struct parser *p, struct logql_log *log, struct logql_unwrap **unwrap)
{
	enum line_filter_op op;

	p->n_stages = 0;
	for (;;) {
		if (line_op_of(p->tok.kind, &op)) {
			struct logql_stage *last = log->n_stages > 0 ? &log->stages[log->n_stages - 1] : NULL;

			if (last == NULL || last->kind != STAGE_LINE_FILTER) {
				last = add_stage(p, log);
				last->kind = STAGE_LINE_FILTER;
				last->pos = p->tok.pos;
			}
			if (parse_line_filter(p, op, last) == -1)
				return -1;
		} else if (at(p, TOK_PIPE)) {
			if (advance(p) == -1)
				return -1;
			if (unwrap != NULL && at(p, TOK_UNWRAP))
				return parse_unwrap(p, unwrap);
			if (parse_stage(p, add_stage(p, log)) == -1)
				return -1;
		} else {
			return 0;
		}
	}
}

/* ---- ranges ---- */

/* [5m] offset 1m; at the range token. */
static int parse_window(struct parser *p, struct logql_range *r)
{
	r->range_ns = p->tok.duration_ns;
	if (expect(p, TOK_RANGE, "RANGE") == -1)
		return -1;
	if (!at(p, TOK_OFFSET))
		return 0;
	if (advance(p) == -1)
		return -1;
	r->offset_ns = p->tok.duration_ns;
	return expect(p, TOK_DURATION, "DURATION");
}

/* A selector with what belongs to it. In parentheses the window may come after them: then *complete is false.
 */
static int parse_range_body(struct parser *p, bool in_paren, struct logql_range *r, bool *complete)
{
	*complete = true;
	r->pos = p->tok.pos;
	if (parse_selector(p, &r->log) == -1)
		return -1;
	if (at(p, TOK_RANGE)) {
		if (parse_window(p, r) == -1)
			return -1;
		return parse_pipeline(p, &r->log, &r->unwrap);
	}
	if (parse_pipeline(p, &r->log, &r->unwrap) == -1)
		return -1;
	if (at(p, TOK_RANGE))
		return parse_window(p, r);
	*complete = false;
	if (in_paren && at(p, TOK_RPAREN))
		return 0;
	return unexpected(p, r->unwrap == NULL ? NULL : in_paren ? "RANGE or ) or |" : "RANGE or |");
}

/* (S)[5m]: what follows the parenthesis. Only a bare selector may be unwrapped here. */
static int parse_range_tail(struct parser *p, struct logql_range *r)
{
	if (parse_window(p, r) == -1)
		return -1;
	if (r->log.n_stages > 0 || r->unwrap != NULL || !at(p, TOK_PIPE))
		return 0;
	if (advance(p) == -1)
		return -1;
	if (!at(p, TOK_UNWRAP))
		return unexpected(p, "unwrap");
	return parse_unwrap(p, &r->unwrap);
}

static int parse_range(struct parser *p, struct logql_range *r)
{
	bool complete = true;

	if (enter(p) == -1)
		return -1;
	if (!at(p, TOK_LPAREN)) {
		if (parse_range_body(p, false, r, &complete) == -1)
			return -1;
	} else {
		if (advance(p) == -1)
			return -1;
		if (!at(p, TOK_LBRACE) && !at(p, TOK_LPAREN))
			return unexpected(p, "{ or (");
		if ((at(p, TOK_LBRACE) ? parse_range_body(p, true, r, &complete) : parse_range(p, r)) == -1 ||
		    expect(p, TOK_RPAREN, ")") == -1)
			return -1;
		if (!complete && parse_range_tail(p, r) == -1)
			return -1;
	}
	leave(p);
	return 0;
}

/* ---- aggregations ---- */

static int check_range_agg(struct parser *p, struct logql_expr *e, const struct token *param)
{
	const struct range_func *f = &range_funcs[e->range_agg.op];
	bool unwrapped = e->range_agg.range.unwrap != NULL;

	if (param == NULL && e->range_agg.op == RANGE_QUANTILE)
		return fail(p, e->pos, "parameter required for operation %s", f->name);
	if (param != NULL && e->range_agg.op != RANGE_QUANTILE)
		return fail(p, param->pos, "parameter %.*s not supported for operation %s",
			    SLICE_ARG(param->text), f->name);
	if (param != NULL && units_parse_number(param->text, &e->range_agg.param, p->err) == -1) {
		err_prefix(p->err, "invalid parameter for operation %s", f->name);
		return fail_because(p, param->pos, NULL);
	}
	e->range_agg.has_param = param != NULL;
	if (e->range_agg.grouping.present && !f->grouping)
		return fail(p, e->pos, "grouping not allowed for %s aggregation", f->name);
	if (unwrapped && f->unwrap == UNWRAP_NEVER)
		return fail(p, e->pos, "invalid aggregation %s with unwrap", f->name);
	if (!unwrapped && f->unwrap == UNWRAP_NEEDS)
		return fail(p, e->pos, "invalid aggregation %s without unwrap", f->name);
	return 0;
}

/* op ( [param ,] range ) [grouping] */
static int parse_range_agg(struct parser *p, struct logql_expr **out)
{
	struct logql_expr *e = new_expr(p, LOGQL_RANGE_AGG, p->tok.pos);
	struct token param;
	bool has_param;

	e->range_agg.op = (enum range_op)p->tok.op;
	if (advance(p) == -1 || expect(p, TOK_LPAREN, "(") == -1)
		return -1;
	has_param = at(p, TOK_NUMBER);
	param = p->tok;
	if (has_param && (advance(p) == -1 || expect(p, TOK_COMMA, ",") == -1))
		return -1;
	if (!at(p, TOK_LBRACE) && !at(p, TOK_LPAREN))
		return unexpected(p, has_param ? "{ or (" : "NUMBER or { or (");
	if (parse_range(p, &e->range_agg.range) == -1 || expect(p, TOK_RPAREN, ")") == -1)
		return -1;
	if (at_grouping(p) && parse_grouping(p, &e->range_agg.grouping) == -1)
		return -1;
	*out = e;
	return check_range_agg(p, e, has_param ? &param : NULL);
}

static int parse_expr(struct parser *p, struct logql_expr *left, unsigned min_prec, struct logql_expr **out);

static int check_vector_param(struct parser *p, struct logql_expr *e, const struct token *param)
{
	const struct vector_func *f = &vector_funcs[e->vector_agg.op];
	int64_t k;

	if (!f->param) {
		if (param != NULL)
			return fail(p, param->pos, "unsupported parameter for operation %s(%.*s,", f->name,
				    SLICE_ARG(param->text));
		return 0;
	}
	if (param == NULL)
		return fail(p, e->pos, "parameter required for operation %s", f->name);
	if (!slice_to_i64(param->text, &k))
		return fail(p, param->pos, "invalid parameter %s(%.*s,", f->name, SLICE_ARG(param->text));
	if (k <= 0)
		return fail(p, param->pos, "invalid parameter (must be greater than 0) %s(%.*s", f->name,
			    SLICE_ARG(param->text));
	e->vector_agg.param = k;
	return 0;
}

static int check_vector_agg(struct parser *p, struct logql_expr *e, const struct token *param)
{
	const struct logql_grouping *g = &e->vector_agg.grouping;
	enum vector_op op = e->vector_agg.op;

	if (check_vector_param(p, e, param) == -1)
		return -1;
	if (op == VECTOR_APPROX_TOPK && g->present)
		return fail(p, e->pos, "grouping not allowed for %s aggregation", vector_funcs[op].name);
	if ((op == VECTOR_SORT || op == VECTOR_SORT_DESC) && g->labels.n > 0)
		return fail(p, e->pos, "sort and sort_desc doesn't allow grouping by ");
	return 0;
}

static int new_literal(struct parser *p, const struct token *t, struct logql_expr **out)
{
	*out = new_expr(p, LOGQL_LITERAL, t->pos);
	return number_of(p, t, "literal", &(*out)->literal);
}

/* An expression that must be a metric: sum({a="b"}) fails at what follows the log query. */
static int parse_metric(struct parser *p, struct logql_expr *left, struct logql_expr **out)
{
	if (parse_expr(p, left, 0, out) == -1)
		return -1;
	return (*out)->kind == LOGQL_LOG ? unexpected(p, NULL) : 0;
}

/* ( [param ,] expr ) */
static int parse_vector_args(struct parser *p, struct logql_expr *e, bool *has_param, struct token *param)
{
	struct logql_expr *left = NULL;

	if (expect(p, TOK_LPAREN, "(") == -1)
		return -1;
	*has_param = false;
	*param = p->tok;
	if (at(p, TOK_NUMBER)) {
		if (advance(p) == -1)
			return -1;
		*has_param = at(p, TOK_COMMA);
		if (*has_param ? advance(p) == -1 : new_literal(p, param, &left) == -1)
			return -1;
	}
	if (parse_metric(p, left, &e->vector_agg.expr) == -1)
		return -1;
	return expect(p, TOK_RPAREN, NULL);
}

static int parse_vector_agg(struct parser *p, struct logql_expr **out)
{
	struct logql_expr *e = new_expr(p, LOGQL_VECTOR_AGG, p->tok.pos);
	struct logql_grouping *g = &e->vector_agg.grouping;
	struct token param;
	bool has_param;

	e->vector_agg.op = (enum vector_op)p->tok.op;
	if (advance(p) == -1 || (at_grouping(p) && parse_grouping(p, g) == -1) ||
	    parse_vector_args(p, e, &has_param, &param) == -1)
		return -1;
	if (at_grouping(p) && !g->present && parse_grouping(p, g) == -1)
		return -1;
	e->depth = e->vector_agg.expr->depth + 1;
	*out = e;
	return check_vector_agg(p, e, has_param ? &param : NULL);
}

/* ---- functions and literals ---- */

static int parse_vector(struct parser *p, struct logql_expr **out)
{
	struct logql_expr *e = new_expr(p, LOGQL_VECTOR, p->tok.pos);

	if (advance(p) == -1 || expect(p, TOK_LPAREN, "(") == -1)
		return -1;
	struct token t = p->tok;
	if (expect(p, TOK_NUMBER, "NUMBER") == -1 || expect(p, TOK_RPAREN, ")") == -1)
		return -1;
	*out = e;
	return number_of(p, &t, "vectorExpr", &e->vector);
}

static int compile_replace(struct parser *p, struct logql_expr *e)
{
	struct slice regex = e->label_replace.regex;
	struct buf b;
	int rc;

	buf_init(&b);
	buf_puts(&b, "^(?:");
	buf_add(&b, regex);
	buf_puts(&b, ")$");
	rc = logql_add_regex(p->q, buf_slice(&b), 0, &e->label_replace.re, p->err);
	buf_fini(&b);
	return rc == 0 ? 0 : fail_because(p, e->pos, "invalid regex in label_replace");
}

/* label_replace(expr, "dst", "replacement", "src", "regex") */
static int parse_label_replace(struct parser *p, struct logql_expr **out)
{
	struct logql_expr *e = new_expr(p, LOGQL_LABEL_REPLACE, p->tok.pos);
	struct slice *args[] = { &e->label_replace.dst, &e->label_replace.replacement, &e->label_replace.src,
				 &e->label_replace.regex };

	if (advance(p) == -1 || expect(p, TOK_LPAREN, "(") == -1 ||
	    parse_metric(p, NULL, &e->label_replace.expr) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(args); i++)
		if (expect(p, TOK_COMMA, i == 0 ? NULL : ",") == -1 ||
		    expect_text(p, TOK_STRING, "STRING", args[i]) == -1)
			return -1;
	if (expect(p, TOK_RPAREN, ")") == -1)
		return -1;
	e->depth = e->label_replace.expr->depth + 1;
	*out = e;
	return compile_replace(p, e);
}

static int parse_literal(struct parser *p, struct logql_expr **out)
{
	*out = new_expr(p, LOGQL_LITERAL, p->tok.pos);
	return parse_signed_number(p, &(*out)->literal);
}

static int parse_log(struct parser *p, struct logql_expr **out)
{
	*out = new_expr(p, LOGQL_LOG, p->tok.pos);
	if (parse_selector(p, &(*out)->log) == -1)
		return -1;
	return parse_pipeline(p, &(*out)->log, NULL);
}

static int parse_operand(struct parser *p, struct logql_expr **out)
{
	switch (p->tok.kind) {
	case TOK_LBRACE: return parse_log(p, out);
	case TOK_RANGE_OP: return parse_range_agg(p, out);
	case TOK_VECTOR_OP: return parse_vector_agg(p, out);
	case TOK_VECTOR: return parse_vector(p, out);
	case TOK_LABEL_REPLACE: return parse_label_replace(p, out);
	case TOK_NUMBER:
	case TOK_ADD:
	case TOK_SUB: return parse_literal(p, out);
	case TOK_LPAREN:
		if (advance(p) == -1 || parse_expr(p, NULL, 0, out) == -1)
			return -1;
		return expect(p, TOK_RPAREN, NULL);
	default: return unexpected(p, NULL);
	}
}

/* ---- binary operations ---- */

struct bin_op_row {
	enum tok tok;
	enum bin_op op;
	unsigned prec;
};

static const struct bin_op_row *bin_op_find(enum tok kind)
{
	static const struct bin_op_row rows[] = {
		{ TOK_OR, BIN_OR, 1 },	   { TOK_AND, BIN_AND, 2 }, { TOK_UNLESS, BIN_UNLESS, 2 },
		{ TOK_CMP_EQ, BIN_EQ, 3 }, { TOK_NE, BIN_NE, 3 },   { TOK_GT, BIN_GT, 3 },
		{ TOK_GE, BIN_GE, 3 },	   { TOK_LT, BIN_LT, 3 },   { TOK_LE, BIN_LE, 3 },
		{ TOK_ADD, BIN_ADD, 4 },   { TOK_SUB, BIN_SUB, 4 }, { TOK_MUL, BIN_MUL, 5 },
		{ TOK_DIV, BIN_DIV, 5 },   { TOK_MOD, BIN_MOD, 5 }, { TOK_POW, BIN_POW, 6 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].tok == kind)
			return &rows[i];
	return NULL;
}

static double fold(enum bin_op op, double a, double b)
{
	switch (op) {
	case BIN_EQ: return a == b;
	case BIN_NE: return a != b;
	case BIN_GT: return a > b;
	case BIN_GE: return a >= b;
	case BIN_LT: return a < b;
	case BIN_LE: return a <= b;
	case BIN_ADD: return a + b;
	case BIN_SUB: return a - b;
	case BIN_MUL: return a * b;
	case BIN_DIV: return b == 0 ? NAN : a / b;
	case BIN_MOD: return b == 0 ? NAN : fmod(a, b);
	case BIN_POW: return pow(a, b);
	default: return NAN;
	}
}

static int check_leg(struct parser *p, enum bin_op op, const struct logql_expr *leg, const char *side)
{
	if (leg->kind == LOGQL_LOG)
		return fail(p, leg->pos, "unexpected type for %s leg of binary operation (%s): *syntax.%s",
			    side, bin_op_name(op), leg->log.n_stages > 0 ? "PipelineExpr" : "MatchersExpr");
	return 0;
}

static int check_set_leg(struct parser *p, enum bin_op op, const struct logql_expr *leg, const char *side)
{
	if (bin_op_is_set(op) && leg->kind == LOGQL_LITERAL)
		return fail(p, leg->pos,
			    "unexpected literal for %s leg of logical/set binary operation (%s): %f", side,
			    bin_op_name(op), leg->literal);
	return 0;
}

/* Checks e, whose legs are set, and folds two literals into one. */
static int finish_binop(struct parser *p, struct logql_expr *e)
{
	enum bin_op op = e->binop.op;
	const struct logql_expr *l = e->binop.left, *r = e->binop.right;

	if (check_leg(p, op, l, "left") == -1 || check_leg(p, op, r, "right") == -1 ||
	    check_set_leg(p, op, l, "left") == -1 || check_set_leg(p, op, r, "right") == -1)
		return -1;
	if (l->kind == LOGQL_LITERAL && r->kind == LOGQL_LITERAL) {
		double v = fold(op, l->literal, r->literal);

		e->kind = LOGQL_LITERAL;
		e->literal = v;
		return 0;
	}
	if (!bin_op_is_cmp(op))
		e->binop.return_bool = false;
	if (bin_op_is_set(op)) {
		e->binop.match.card = CARD_ONE_TO_ONE;
		e->binop.match.include = (struct logql_names){ 0 };
	}
	e->depth = 1 + MAX(l->depth, r->depth);
	return check_depth(p, e->depth);
}

/* on (a) group_left (b), at on or ignoring. */
static int parse_match(struct parser *p, struct vector_match *m)
{
	m->on = at(p, TOK_ON);
	m->ignoring = !m->on;
	if (advance(p) == -1 || parse_names(p, &m->labels) == -1)
		return -1;
	if (!at(p, TOK_GROUP_LEFT) && !at(p, TOK_GROUP_RIGHT))
		return 0;
	m->card = at(p, TOK_GROUP_LEFT) ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
	if (advance(p) == -1)
		return -1;
	return at(p, TOK_LPAREN) ? parse_names(p, &m->include) : 0;
}

static int parse_binop(struct parser *p, const struct bin_op_row *row, struct logql_expr **left)
{
	struct logql_expr *e = new_expr(p, LOGQL_BINOP, (*left)->pos);
	bool right_assoc = row->op == BIN_POW;

	e->binop.op = row->op;
	e->binop.left = *left;
	if (advance(p) == -1)
		return -1;
	e->binop.return_bool = at(p, TOK_BOOL);
	if (e->binop.return_bool && advance(p) == -1)
		return -1;
	if ((at(p, TOK_ON) || at(p, TOK_IGNORING)) && parse_match(p, &e->binop.match) == -1)
		return -1;
	if (parse_expr(p, NULL, row->prec + !right_assoc, &e->binop.right) == -1)
		return -1;
	*left = e;
	return finish_binop(p, e);
}

/* Operators that bind at least as tight as min_prec. left: an operand already read, or NULL. */
static int parse_expr(struct parser *p, struct logql_expr *left, unsigned min_prec, struct logql_expr **out)
{
	const struct bin_op_row *row;

	if (enter(p) == -1 || (left == NULL && parse_operand(p, &left) == -1))
		return -1;
	while ((row = bin_op_find(p->tok.kind)) != NULL && row->prec >= min_prec)
		if (parse_binop(p, row, &left) == -1)
			return -1;
	leave(p);
	*out = left;
	return 0;
}

/* ---- the doors ---- */

static int parse_text(struct parser *p)
{
	lex_init(&p->lex, p->q->text, p->a);
	if (advance(p) == -1 || parse_expr(p, NULL, 0, &p->q->root) == -1)
		return -1;
	return at(p, TOK_END) ? 0 : unexpected(p, NULL);
}

enum { ONLY_SELECTOR = 0x100 };

static int check_parsed(struct parser *p, unsigned flags)
{
	const struct logql_expr *root = p->q->root;

	if ((flags & ONLY_SELECTOR) != 0 && (root->kind != LOGQL_LOG || root->log.n_stages > 0)) {
		*p->where = root->pos;
		return err_set(p->err, ERR_BAD_REQUEST, "only label matchers are supported");
	}
	return logql_check(p->q, (flags & LOGQL_ALLOW_EMPTY) != 0, p->a, p->where, p->err);
}

static int parse(struct slice text, unsigned flags, struct arena *a, struct logql **out,
		 struct logql_pos *where, struct err *err)
{
	struct logql_pos ignored;
	struct parser p = { .a = a, .where = where != NULL ? where : &ignored, .err = err };

	*p.where = (struct logql_pos){ 0 };
	if (text.n > LOGQL_MAX_TEXT_BYTES)
		return err_set(err, ERR_BAD_REQUEST, "parse error : input size too long (%zu > %d)", text.n,
			       LOGQL_MAX_TEXT_BYTES + 1);
	p.q = arena_new(a, struct logql);
	p.q->text = arena_dup(a, text);
	if (parse_text(&p) == -1 || check_parsed(&p, flags) == -1) {
		logql_free(p.q);
		return -1;
	}
	*out = p.q;
	return 0;
}

int logql_parse(struct slice text, struct arena *a, struct logql **out, struct logql_pos *where,
		struct err *err)
{
	return parse(text, 0, a, out, where, err);
}

int logql_parse_selector(struct slice text, unsigned flags, struct arena *a, struct logql **out,
			 struct logql_pos *where, struct err *err)
{
	return parse(text, (flags & LOGQL_ALLOW_EMPTY) | ONLY_SELECTOR, a, out, where, err);
}

void logql_free(struct logql *q)
{
	if (q == NULL)
		return;
	for (size_t i = 0; i < q->n_re; i++)
		re_free(q->re[i]);
	free(q->re);
	q->re = NULL;
	q->n_re = q->cap_re = 0;
}
