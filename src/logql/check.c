#include "logql/check.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "logql/fmt.h"
#include "logql/parse.h"

/* ---- regular expressions ---- */

int logql_add_regex(struct logql *q, struct slice pattern, unsigned flags, struct re **out, struct err *err)
{
	if (q->n_re == LOGQL_MAX_REGEXES)
		return err_set(err, ERR_BAD_REQUEST,
			       "too many regular expressions in a query, the limit is %d", LOGQL_MAX_REGEXES);
	if (q->n_re == q->cap_re) {
		q->cap_re = q->cap_re == 0 ? 8 : q->cap_re * 2;
		q->re = xrealloc(q->re, q->cap_re * sizeof(*q->re));
	}
	if (re_compile(pattern, flags, &q->re[q->n_re], err) == -1)
		return -1;
	*out = q->re[q->n_re++];
	return 0;
}

static bool is_label_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
		      (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0;
}

static int check_groups(const struct re *re, struct err *err)
{
	bool named = false;

	for (size_t i = 1; i <= re_n_groups(re); i++) {
		struct slice name = re_group_name(re, i);

		if (name.n == 0)
			continue;
		if (!is_label_name(name))
			return err_set(err, ERR_BAD_REQUEST, "invalid extracted label name '%.*s'",
				       SLICE_ARG(name));
		for (size_t j = 1; j < i; j++)
			if (slice_eq(name, re_group_name(re, j)))
				return err_set(err, ERR_BAD_REQUEST, "duplicate extracted label name '%.*s'",
					       SLICE_ARG(name));
		named = true;
	}
	if (!named)
		return err_set(err, ERR_BAD_REQUEST, "at least one named capture must be supplied");
	return 0;
}

int logql_add_group_regex(struct logql *q, struct slice pattern, struct re **out, struct err *err)
{
	struct re *re;

	if (logql_add_regex(q, pattern, 0, &re, err) == -1 || check_groups(re, err) == -1)
		return -1;
	*out = re;
	return 0;
}

/* ---- stages ---- */

struct checker {
	struct logql *q;
	bool allow_empty;
	struct arena *a;
	struct logql_pos *where;
	struct err *err;
};

static int bad_ip(struct slice text, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, text);
	err_set(err, ERR_BAD_REQUEST, "ip: invalid pattern: %.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

static int check_line_match(struct checker *c, enum line_filter_op op, struct line_match *m)
{
	if (m->is_ip) {
		if (op != LINE_EQ && op != LINE_NE)
			return err_set(c->err, ERR_BAD_REQUEST, "ip: invalid operation");
		return ip_set_parse(m->text, &m->ip) ? 0 : bad_ip(m->text, c->err);
	}
	switch (op) {
	case LINE_RE:
	case LINE_NRE: return logql_add_regex(c->q, m->text, 0, &m->re, c->err);
	case LINE_PAT:
	case LINE_NPAT: return pattern_parse_filter(m->text, c->a, &m->pattern, c->err);
	default: return 0;
	}
}

static int check_line_filters(struct checker *c, struct logql_stage *s)
{
	for (size_t i = 0; i < s->line.n; i++) {
		struct line_filter *f = &s->line.v[i];

		for (size_t j = 0; j < f->n; j++)
			if (check_line_match(c, f->op, &f->alts[j]) == -1)
				return -1;
	}
	return 0;
}

static int check_extracts(struct checker *c, struct logql_stage *s)
{
	for (size_t i = 0; i < s->extract.n; i++) {
		struct label_extract *x = &s->extract.v[i];
		int rc = s->kind == STAGE_JSON ? json_path_parse(x->expr, c->a, &x->path, c->err)
					       : logfmt_key_parse(x->expr, &x->key, c->err);

		if (rc == -1)
			return -1;
	}
	return 0;
}

/* An ip() below and/or may be wrong: it then matches nothing. */
static int check_label_filter(struct checker *c, struct label_filter *f, bool nested)
{
	switch (f->kind) {
	case LABEL_FILTER_AND:
	case LABEL_FILTER_OR:
		if (check_label_filter(c, f->left, true) == -1)
			return -1;
		return check_label_filter(c, f->right, true);
	case LABEL_FILTER_IP:
		f->ip_ok = ip_set_parse(f->ip_text, &f->ip);
		return f->ip_ok || nested ? 0 : bad_ip(f->ip_text, c->err);
	default: return 0;
	}
}

/* err->msg is the template's: template: line:1: unclosed action */
static int check_template(struct checker *c, const char *name, struct slice text, const char *what,
			  struct tmpl **out)
{
	if (tmpl_parse(name, text, c->a, out, c->err) == 0)
		return 0;
	return err_prefix(c->err, "%s", what);
}

static int check_label_templates(struct checker *c, const struct logql_stage *s)
{
	char what[300];

	for (size_t i = 0; i < s->label_format.n; i++) {
		struct label_format *f = &s->label_format.v[i];

		if (!f->is_template)
			continue;
		snprintf(what, sizeof(what), "invalid template for label '%.*s'",
			 SLICE_ARG(slice_sub(f->dst, 0, 200)));
		if (check_template(c, "label", f->value, what, &f->tmpl) == -1)
			return -1;
	}
	return 0;
}

static int check_label_format(struct checker *c, const struct logql_stage *s)
{
	for (size_t i = 0; i < s->label_format.n; i++) {
		struct slice dst = s->label_format.v[i].dst;

		if (slice_is(dst, "__error__"))
			return err_set(c->err, ERR_BAD_REQUEST, "__error__ cannot be formatted");
		for (size_t j = 0; j < i; j++)
			if (slice_eq(dst, s->label_format.v[j].dst))
				return err_set(
					c->err, ERR_BAD_REQUEST,
					"multiple label name '%.*s' not allowed in a single format operation",
					SLICE_ARG(dst));
	}
	return 0;
}

static int check_stage_parts(struct checker *c, struct logql_stage *s)
{
	switch (s->kind) {
	case STAGE_LINE_FILTER: return check_line_filters(c, s);
	case STAGE_JSON:
	case STAGE_LOGFMT: return check_extracts(c, s);
	case STAGE_LABEL_FILTER: return check_label_filter(c, s->filter, false);
	case STAGE_LINE_FORMAT:
		return check_template(c, "line", s->line_format.text, "invalid line template",
				      &s->line_format.tmpl);
	case STAGE_LABEL_FORMAT: return check_label_format(c, s) == -1 ? -1 : check_label_templates(c, s);
	default: return 0;
	}
}

enum { MAX_STAGE_IN_MESSAGE = 500 }; /* the reason that follows must still fit into err->msg */

static int check_stage(struct checker *c, struct logql_stage *s)
{
	struct buf b;
	bool cut;

	if (check_stage_parts(c, s) == 0)
		return 0;
	buf_init(&b);
	logql_fmt_stage(&b, s);
	cut = b.n > MAX_STAGE_IN_MESSAGE;
	err_prefix(c->err, "parse error : stage '%.*s%s' ",
		   SLICE_ARG(slice_sub(buf_slice(&b), 0, MAX_STAGE_IN_MESSAGE)), cut ? "..." : "");
	buf_fini(&b);
	c->err->code = ERR_BAD_REQUEST;
	*c->where = s->pos;
	return -1;
}

/* Does a later stage look into the line? */
static bool line_matters_after(const struct logql_log *log, size_t i)
{
	for (i++; i < log->n_stages; i++)
		switch (log->stages[i].kind) {
		case STAGE_LINE_FILTER:
		case STAGE_JSON:
		case STAGE_LOGFMT:
		case STAGE_REGEXP:
		case STAGE_PATTERN:
		case STAGE_UNPACK: return true;
		default: break;
		}
	return false;
}

/* keeps_line: the result depends on the lines themselves. Otherwise a line_format that no later stage sees
 * is dropped, and Loki does not even look whether its template is valid. */
static int check_stages(struct checker *c, struct logql_log *log, bool keeps_line,
			struct logql_unwrap *unwrap)
{
	for (size_t i = 0; i < log->n_stages; i++) {
		struct logql_stage *s = &log->stages[i];
		bool dropped = !keeps_line && s->kind == STAGE_LINE_FORMAT && !line_matters_after(log, i);

		if (!dropped && check_stage(c, s) == -1)
			return -1;
	}
	for (size_t i = 0; unwrap != NULL && i < unwrap->n_filters; i++) {
		struct label_filter *f = unwrap->filters[i];
		struct logql_stage as_stage = { .kind = STAGE_LABEL_FILTER, .pos = f->pos, .filter = f };

		if (check_stage(c, &as_stage) == -1)
			return -1;
	}
	return 0;
}

/* ---- selectors ---- */

static int check_selector(struct checker *c, const struct logql_log *log, struct logql_pos pos)
{
	if (c->allow_empty)
		return 0;
	for (size_t i = 0; i < log->n_matchers; i++)
		if (!matcher_matches_empty(&log->matchers[i]))
			return 0;
	*c->where = pos;
	return err_set(
		c->err, ERR_BAD_REQUEST,
		"parse error : queries require at least one regexp or equality matcher that does not have an "
		"empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but "
		"app=~\".+\" will");
}

/* Selectors are checked before stages, in the whole query. */
static int check_expr(struct checker *c, struct logql_expr *e, bool stages)
{
	switch (e->kind) {
	case LOGQL_LOG:
		return stages ? check_stages(c, &e->log, true, NULL) : check_selector(c, &e->log, e->pos);
	case LOGQL_RANGE_AGG: {
		struct logql_range *r = &e->range_agg.range;
		bool bytes = e->range_agg.op == RANGE_BYTES || e->range_agg.op == RANGE_BYTES_RATE;

		return stages ? check_stages(c, &r->log, bytes, r->unwrap)
			      : check_selector(c, &r->log, r->pos);
	}
	case LOGQL_VECTOR_AGG: return check_expr(c, e->vector_agg.expr, stages);
	case LOGQL_LABEL_REPLACE: return check_expr(c, e->label_replace.expr, stages);
	case LOGQL_BINOP:
		if (check_expr(c, e->binop.left, stages) == -1)
			return -1;
		return check_expr(c, e->binop.right, stages);
	case LOGQL_LITERAL:
	case LOGQL_VECTOR: return 0;
	}
	return 0;
}

int logql_check(struct logql *q, bool allow_empty_selector, struct arena *a, struct logql_pos *where,
		struct err *err)
{
	struct checker c = { q, allow_empty_selector, a, where, err };

	if (check_expr(&c, q->root, false) == -1)
		return -1;
	return check_expr(&c, q->root, true);
}
