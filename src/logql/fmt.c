/* The canonical text is Loki's, except where Loki's own text would mean something else or nothing when parsed
 * again: sizes that humanising would round, vector(0.0000001), a minus sign in front of zero, NaN,
 * parentheses of broken binary operations. */
#include "logql/fmt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "logql/funcs.h"
#include "logql/units.h"

enum { MAX_LINE_BYTES = 100 };

/* ---- parts ---- */

/* The grammar lets the lone rune "!" be a name; glued to an operator it would be another token. */
static void put_name(struct buf *b, struct slice name)
{
	buf_add(b, name);
	if (slice_is(name, "!"))
		buf_putc(b, ' ');
}

static void put_names(struct buf *b, const struct logql_names *names, const char *comma)
{
	buf_putc(b, '(');
	for (size_t i = 0; i < names->n; i++) {
		buf_puts(b, i > 0 ? comma : "");
		put_name(b, names->v[i]);
	}
	buf_putc(b, ')');
}

void logql_fmt_matcher(struct buf *b, const struct matcher *m)
{
	static const char *const ops[] = {
		[MATCH_EQ] = "=", [MATCH_NE] = "!=", [MATCH_RE] = "=~", [MATCH_NRE] = "!~"
	};

	put_name(b, m->name);
	buf_puts(b, ops[m->op]);
	text_go_quote(b, m->value);
}

static void put_ip(struct buf *b, struct slice text)
{
	buf_puts(b, "ip(");
	text_go_quote(b, text);
	buf_putc(b, ')');
}

/* Humanised if that reads back as the same size. */
static void put_size(struct buf *b, uint64_t bytes)
{
	size_t before = b->n;
	uint64_t back;
	struct err ignored;

	if (bytes == 0) {
		buf_puts(b, "0kB"); /* 0B would begin a binary number */
		return;
	}
	units_fmt_bytes(b, bytes);
	if (bytes < 1000000000000000000ULL &&
	    units_parse_bytes(slice_from(buf_slice(b), before), &back, &ignored) == 0 && back == bytes)
		return;
	b->n = before;
	buf_printf(b, "%lluB", (unsigned long long)bytes);
}

static void put_literal(struct buf *b, double v)
{
	if (isnan(v))
		buf_puts(b, "(0 / 0)");
	else if (isinf(v))
		buf_puts(b, v > 0 ? "(1e+308 * 10)" : "(-1e+308 * 10)");
	else if (v == 0 && signbit(v))
		buf_puts(b, "- 0"); /* -0 would be a duration */
	else
		units_fmt_number(b, v);
}

/* ---- stages ---- */

static void put_line_filter(struct buf *b, const struct line_filter *f)
{
	buf_puts(b, line_filter_op_name(f->op));
	for (size_t i = 0; i < f->n; i++) {
		buf_puts(b, i == 0 ? " " : " or ");
		if (f->alts[i].is_ip)
			put_ip(b, f->alts[i].text);
		else
			text_go_quote(b, f->alts[i].text);
	}
}

static void put_label_filter(struct buf *b, const struct label_filter *f)
{
	if (f->kind == LABEL_FILTER_AND || f->kind == LABEL_FILTER_OR) {
		buf_puts(b, "( ");
		put_label_filter(b, f->left);
		buf_puts(b, f->kind == LABEL_FILTER_AND ? " , " : " or ");
		put_label_filter(b, f->right);
		buf_puts(b, " )");
		return;
	}
	if (f->kind == LABEL_FILTER_STRING) {
		logql_fmt_matcher(b, &f->matcher);
		return;
	}
	put_name(b, f->name);
	if (f->kind == LABEL_FILTER_IP) {
		buf_puts(b, f->cmp == CMP_EQ ? "=" : "!=");
		put_ip(b, f->ip_text);
		return;
	}
	buf_puts(b, logql_cmp_name(f->cmp));
	if (f->kind == LABEL_FILTER_DURATION)
		units_fmt_go_duration(b, f->duration_ns);
	else if (f->kind == LABEL_FILTER_BYTES)
		put_size(b, f->bytes);
	else
		text_float(b, f->number == 0 ? 0 : f->number);
}

static void put_extracts(struct buf *b, const struct logql_stage *s)
{
	buf_puts(b, s->extract.strict ? " --strict" : "");
	buf_puts(b, s->extract.keep_empty ? " --keep-empty" : "");
	for (size_t i = 0; i < s->extract.n; i++) {
		buf_putc(b, i == 0 ? ' ' : ',');
		put_name(b, s->extract.v[i].name);
		buf_putc(b, '=');
		text_go_quote(b, s->extract.v[i].expr);
	}
}

static void put_label_format(struct buf *b, const struct logql_stage *s)
{
	for (size_t i = 0; i < s->label_format.n; i++) {
		const struct label_format *f = &s->label_format.v[i];

		buf_putc(b, i == 0 ? ' ' : ',');
		put_name(b, f->dst);
		buf_putc(b, '=');
		if (f->is_template)
			text_go_quote(b, f->value);
		else
			put_name(b, f->value);
	}
}

static void put_named_matchers(struct buf *b, const struct logql_stage *s)
{
	for (size_t i = 0; i < s->names.n; i++) {
		buf_putc(b, i == 0 ? ' ' : ',');
		if (s->names.v[i].has_matcher)
			logql_fmt_matcher(b, &s->names.v[i].matcher);
		else
			put_name(b, s->names.v[i].matcher.name);
	}
}

static void put_string_arg(struct buf *b, struct slice text)
{
	buf_putc(b, ' ');
	text_go_quote(b, text);
}

void logql_fmt_stage(struct buf *b, const struct logql_stage *s)
{
	if (s->kind == STAGE_LINE_FILTER) {
		for (size_t i = 0; i < s->line.n; i++) {
			buf_puts(b, i > 0 ? " " : "");
			put_line_filter(b, &s->line.v[i]);
		}
		return;
	}
	buf_puts(b, "| ");
	if (s->kind == STAGE_LABEL_FILTER) {
		put_label_filter(b, s->filter);
		return;
	}
	buf_puts(b, stage_name(s->kind));
	switch (s->kind) {
	case STAGE_JSON:
	case STAGE_LOGFMT: put_extracts(b, s); break;
	case STAGE_REGEXP: put_string_arg(b, s->regexp.text); break;
	case STAGE_PATTERN: put_string_arg(b, s->pattern.text); break;
	case STAGE_LINE_FORMAT: put_string_arg(b, s->line_format.text); break;
	case STAGE_LABEL_FORMAT: put_label_format(b, s); break;
	case STAGE_DROP:
	case STAGE_KEEP: put_named_matchers(b, s); break;
	default: break;
	}
}

static void put_selector(struct buf *b, const struct logql_log *log)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < log->n_matchers; i++) {
		buf_puts(b, i > 0 ? ", " : "");
		logql_fmt_matcher(b, &log->matchers[i]);
	}
	buf_putc(b, '}');
}

static void put_log(struct buf *b, const struct logql_log *log)
{
	put_selector(b, log);
	for (size_t i = 0; i < log->n_stages; i++) {
		buf_putc(b, ' ');
		logql_fmt_stage(b, &log->stages[i]);
	}
}

/* ---- metrics ---- */

static void put_unwrap_head(struct buf *b, const struct logql_unwrap *u)
{
	buf_puts(b, "| unwrap ");
	if (u->conv == UNWRAP_NUMBER) {
		put_name(b, u->label);
		return;
	}
	buf_printf(b, "%s(", unwrap_conv_name(u->conv));
	put_name(b, u->label);
	buf_putc(b, ')');
}

static void put_unwrap_filter(struct buf *b, const struct label_filter *f)
{
	buf_puts(b, "| ");
	put_label_filter(b, f);
}

static void put_window(struct buf *b, const struct logql_range *r)
{
	buf_putc(b, '[');
	units_fmt_prom_duration(b, r->range_ns);
	buf_putc(b, ']');
	if (r->offset_ns != 0) {
		buf_puts(b, " offset ");
		units_fmt_go_duration(b, r->offset_ns);
	}
}

static void put_range(struct buf *b, const struct logql_range *r)
{
	put_log(b, &r->log);
	if (r->unwrap != NULL) {
		buf_putc(b, ' ');
		put_unwrap_head(b, r->unwrap);
		for (size_t i = 0; i < r->unwrap->n_filters; i++) {
			buf_putc(b, ' ');
			put_unwrap_filter(b, r->unwrap->filters[i]);
		}
	}
	put_window(b, r);
}

static void put_grouping(struct buf *b, const struct logql_grouping *g, const char *comma)
{
	if (!g->present)
		return;
	buf_puts(b, g->without ? " without " : " by ");
	put_names(b, &g->labels, comma);
}

static void put_bin_op(struct buf *b, const struct logql_expr *e)
{
	const struct vector_match *m = &e->binop.match;

	buf_puts(b, bin_op_name(e->binop.op));
	buf_puts(b, e->binop.return_bool ? " bool" : "");
	if (m->on || m->ignoring) {
		buf_puts(b, m->on ? " on " : " ignoring ");
		put_names(b, &m->labels, ",");
	}
	if (m->card == CARD_ONE_TO_ONE)
		return;
	/* always with its list: a parenthesis that follows would be taken for one */
	buf_puts(b, m->card == CARD_MANY_TO_ONE ? " group_left " : " group_right ");
	put_names(b, &m->include, ",");
}

static void put_vector(struct buf *b, double v)
{
	char tmp[400];

	snprintf(tmp, sizeof(tmp), "%f", v);
	buf_puts(b, "vector(");
	if (strtod(tmp, NULL) == v)
		buf_puts(b, tmp);
	else
		units_fmt_number(b, v);
	buf_putc(b, ')');
}

static void put_range_agg(struct buf *b, const struct logql_expr *e)
{
	buf_printf(b, "%s(", range_funcs[e->range_agg.op].name);
	if (e->range_agg.has_param) {
		units_fmt_number(b, e->range_agg.param);
		buf_putc(b, ',');
	}
	put_range(b, &e->range_agg.range);
	buf_putc(b, ')');
	put_grouping(b, &e->range_agg.grouping, ",");
}

static void put_vector_agg(struct buf *b, const struct logql_expr *e)
{
	buf_puts(b, vector_funcs[e->vector_agg.op].name);
	put_grouping(b, &e->vector_agg.grouping, ",");
	buf_putc(b, '(');
	if (vector_funcs[e->vector_agg.op].param)
		buf_printf(b, "%lld,", (long long)e->vector_agg.param);
	logql_fmt(b, e->vector_agg.expr);
	buf_putc(b, ')');
}

static void put_replace_args(struct buf *b, const struct logql_expr *e, const char *before)
{
	struct slice args[] = { e->label_replace.dst, e->label_replace.replacement, e->label_replace.src,
				e->label_replace.regex };

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		buf_puts(b, before);
		text_go_quote(b, args[i]);
	}
}

void logql_fmt(struct buf *b, const struct logql_expr *e)
{
	switch (e->kind) {
	case LOGQL_LOG: put_log(b, &e->log); break;
	case LOGQL_RANGE_AGG: put_range_agg(b, e); break;
	case LOGQL_VECTOR_AGG: put_vector_agg(b, e); break;
	case LOGQL_LITERAL: put_literal(b, e->literal); break;
	case LOGQL_VECTOR: put_vector(b, e->vector); break;
	case LOGQL_BINOP:
		buf_putc(b, '(');
		logql_fmt(b, e->binop.left);
		buf_putc(b, ' ');
		put_bin_op(b, e);
		buf_putc(b, ' ');
		logql_fmt(b, e->binop.right);
		buf_putc(b, ')');
		break;
	case LOGQL_LABEL_REPLACE:
		buf_puts(b, "label_replace(");
		logql_fmt(b, e->label_replace.expr);
		put_replace_args(b, e, ",");
		buf_putc(b, ')');
		break;
	}
}

/* ---- in lines ---- */

static void indent(struct buf *b, unsigned level)
{
	for (unsigned i = 0; i < level; i++)
		buf_puts(b, "  ");
}

static void pretty(struct buf *b, const struct logql_expr *e, unsigned level);

static void pretty_log(struct buf *b, const struct logql_log *log, unsigned level)
{
	size_t before;

	indent(b, level);
	before = b->n;
	put_log(b, log);
	if (b->n - before <= MAX_LINE_BYTES)
		return;
	b->n = before;
	put_selector(b, log);
	for (size_t i = 0; i < log->n_stages; i++) {
		buf_putc(b, '\n');
		indent(b, level + 1);
		logql_fmt_stage(b, &log->stages[i]);
	}
}

static void pretty_range(struct buf *b, const struct logql_range *r, unsigned level)
{
	const struct logql_unwrap *u = r->unwrap;

	pretty_log(b, &r->log, level);
	if (u != NULL) {
		buf_putc(b, '\n');
		indent(b, level + 1);
		put_unwrap_head(b, u);
		for (size_t i = 0; i < u->n_filters; i++) {
			buf_putc(b, '\n');
			indent(b, level + 1);
			put_unwrap_filter(b, u->filters[i]);
		}
	}
	buf_putc(b, ' ');
	put_window(b, r);
}

static void pretty_range_agg(struct buf *b, const struct logql_expr *e, unsigned level)
{
	buf_printf(b, "%s(\n", range_funcs[e->range_agg.op].name);
	if (e->range_agg.has_param) {
		indent(b, level + 1);
		units_fmt_number(b, e->range_agg.param);
		buf_puts(b, ",\n");
	}
	pretty_range(b, &e->range_agg.range, level + 1);
	buf_putc(b, '\n');
	indent(b, level);
	buf_putc(b, ')');
	put_grouping(b, &e->range_agg.grouping, ", ");
}

static void pretty_vector_agg(struct buf *b, const struct logql_expr *e, unsigned level)
{
	buf_puts(b, vector_funcs[e->vector_agg.op].name);
	put_grouping(b, &e->vector_agg.grouping, ", ");
	buf_puts(b, "(\n");
	if (vector_funcs[e->vector_agg.op].param) {
		indent(b, level + 1);
		buf_printf(b, "%lld,\n", (long long)e->vector_agg.param);
	}
	pretty(b, e->vector_agg.expr, level + 1);
	buf_putc(b, '\n');
	indent(b, level);
	buf_putc(b, ')');
}

/* A leg that is itself a broken operation gets parentheses on lines of their own. */
static void pretty_leg(struct buf *b, const struct logql_expr *leg, unsigned level)
{
	size_t before = b->n;

	if (leg->kind != LOGQL_BINOP) {
		pretty(b, leg, level);
		return;
	}
	indent(b, level);
	size_t start = b->n;
	logql_fmt(b, leg);
	if (b->n - start <= MAX_LINE_BYTES)
		return;
	b->n = before;
	indent(b, level);
	buf_puts(b, "(\n");
	pretty(b, leg, level); /* its own legs go one level deeper */
	buf_putc(b, '\n');
	indent(b, level);
	buf_putc(b, ')');
}

static void pretty_binop(struct buf *b, const struct logql_expr *e, unsigned level)
{
	pretty_leg(b, e->binop.left, level + 1);
	buf_putc(b, '\n');
	indent(b, level);
	put_bin_op(b, e);
	buf_putc(b, '\n');
	pretty_leg(b, e->binop.right, level + 1);
}

static void pretty_label_replace(struct buf *b, const struct logql_expr *e, unsigned level)
{
	struct buf before;

	buf_init(&before);
	buf_puts(&before, ",\n");
	indent(&before, level + 1);
	buf_cstr_end(&before);
	buf_puts(b, "label_replace(\n");
	pretty(b, e->label_replace.expr, level + 1);
	put_replace_args(b, e, before.p);
	buf_putc(b, '\n');
	indent(b, level);
	buf_putc(b, ')');
	buf_fini(&before);
}

static void pretty(struct buf *b, const struct logql_expr *e, unsigned level)
{
	size_t start = b->n, text;

	if (e->kind == LOGQL_LOG) {
		pretty_log(b, &e->log, level);
		return;
	}
	indent(b, level);
	text = b->n;
	logql_fmt(b, e);
	if (b->n - text <= MAX_LINE_BYTES || e->kind == LOGQL_LITERAL || e->kind == LOGQL_VECTOR)
		return;
	b->n = text;
	switch (e->kind) {
	case LOGQL_RANGE_AGG: pretty_range_agg(b, e, level); break;
	case LOGQL_VECTOR_AGG: pretty_vector_agg(b, e, level); break;
	case LOGQL_LABEL_REPLACE: pretty_label_replace(b, e, level); break;
	default:
		b->n = start; /* the legs indent themselves */
		pretty_binop(b, e, level);
	}
}

void logql_fmt_pretty(struct buf *b, const struct logql_expr *e)
{
	pretty(b, e, 0);
}
