#include "query/stage.h"
#include "query/decolorize.h"
#include "query/labelfilter.h"
#include "query/linefilter.h"
#include "query/stage_capture.h"
#include "query/stage_format.h"
#include "query/stage_json.h"
#include "query/stage_logfmt.h"
#include "query/stage_names.h"
#include "query/stage_unpack.h"

enum { MAX_IMPLIED = 32 };

/* The filter | name="value" on a label that a line holds as it stands, if it holds no backslash. */
struct implied {
	struct slice name, value;
};

struct pipeline {
	const struct label_needs *needs;
	const struct logql_log *log;
	VEC(struct line_test *) lines; /* of the stored line, cheap ones first */
	VEC(struct label_test *) base; /* decided by stream labels and metadata */
	VEC(struct stage) stages;      /* from the first parser on */
	size_t n_implied;
	struct implied implied[MAX_IMPLIED];
};

/* ---- stages ---- */

static bool run_line_test(const struct stage *stage, struct pipe_state *st)
{
	return line_test_match(stage->own, st->line);
}

static bool run_label_test(const struct stage *stage, struct pipe_state *st)
{
	return label_test_run(stage->own, &st->set, &st->scratch);
}

static bool run_json(const struct stage *stage, struct pipe_state *st)
{
	(void)stage;
	stage_json_run(st->line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_json_paths(const struct stage *stage, struct pipe_state *st)
{
	stage_json_paths_run(stage->ast, st->line, &st->set, &st->hints, &st->scratch);
	return true;
}

static bool run_logfmt(const struct stage *stage, struct pipe_state *st)
{
	stage_logfmt_run(stage->ast, st->line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_regexp(const struct stage *stage, struct pipe_state *st)
{
	stage_regexp_run(stage->ast, st->line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_pattern(const struct stage *stage, struct pipe_state *st)
{
	stage_pattern_run(stage->ast, st->line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_unpack(const struct stage *stage, struct pipe_state *st)
{
	(void)stage;
	st->line = stage_unpack_run(st->line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_decolorize(const struct stage *stage, struct pipe_state *st)
{
	(void)stage;
	st->line = decolorize(st->line, &st->scratch);
	return true;
}

static bool run_line_format(const struct stage *stage, struct pipe_state *st)
{
	struct tmpl_data data = { st->ts, st->line, &st->set };

	st->line = stage_line_format_run(stage->own, &data, &st->set, &st->tmpl, &st->scratch);
	return true;
}

static bool run_label_format(const struct stage *stage, struct pipe_state *st)
{
	struct tmpl_data data = { st->ts, st->line, &st->set };

	stage_label_format_run(stage->ast, &data, &st->set, &st->tmpl, &st->scratch);
	return true;
}

static bool run_drop(const struct stage *stage, struct pipe_state *st)
{
	stage_drop_run(stage->ast, &st->set);
	return true;
}

static bool run_keep(const struct stage *stage, struct pipe_state *st)
{
	stage_keep_run(stage->ast, &st->set, &st->names);
	return true;
}

static void free_line_test(void *t)
{
	line_test_free(t);
}

static void free_label_test(void *t)
{
	label_test_free(t);
}

/* ---- compilation ---- */

void pipeline_free(struct pipeline *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->lines.n; i++)
		line_test_free(p->lines.v[i]);
	for (size_t i = 0; i < p->base.n; i++)
		label_test_free(p->base.v[i]);
	for (size_t i = 0; i < p->stages.n; i++) {
		if (p->stages.v[i].own_free != NULL)
			p->stages.v[i].own_free(p->stages.v[i].own);
		free(p->stages.v[i].early);
	}
	vec_fini(&p->lines);
	vec_fini(&p->base);
	vec_fini(&p->stages);
	free(p);
}

static int compile_line_filter(const struct line_filter *f, struct line_test **out, struct err *err)
{
	static const enum line_op ops[] = {
		[LINE_EQ] = LINE_CONTAINS,   [LINE_NE] = LINE_NOT_CONTAINS, [LINE_RE] = LINE_MATCH,
		[LINE_NRE] = LINE_NOT_MATCH, [LINE_PAT] = LINE_PATTERN,	    [LINE_NPAT] = LINE_NOT_PATTERN,
	};
	struct line_test_arg *arg = xcalloc(f->n, sizeof(*arg));

	for (size_t i = 0; i < f->n; i++)
		arg[i] = (struct line_test_arg){ f->alts[i].text, f->alts[i].is_ip };
	int rc = line_test_new(ops[f->op], arg, f->n, out, err);
	free(arg);
	return rc;
}

struct line_test_vec {
	struct line_test **v;
	size_t n, cap;
};

static int compile_line_filters(const struct logql_stage *s, struct line_test_vec *out, struct err *err)
{
	for (size_t i = 0; i < s->line.n; i++) {
		struct line_test *t;

		if (compile_line_filter(&s->line.v[i], &t, err) == -1)
			return -1;
		if (line_test_keeps_all(t))
			line_test_free(t);
		else
			vec_push(out, t);
	}
	return 0;
}

static void sort_by_cost(struct line_test **v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct line_test *t = v[i];
		size_t j = i;

		for (; j > 0 && line_test_cost(v[j - 1]) > line_test_cost(t); j--)
			v[j] = v[j - 1];
		v[j] = t;
	}
}

static struct stage *add(struct pipeline *p, const struct logql_stage *s,
			 bool (*run)(const struct stage *, struct pipe_state *))
{
	vec_push(&p->stages, ((struct stage){ .run = run, .ast = s }));
	return &p->stages.v[p->stages.n - 1];
}

static int add_label_filter(struct pipeline *p, const struct logql_stage *s, struct err *err)
{
	struct label_test *t;

	if (label_test_new(s->filter, &t, err) == -1)
		return -1;
	if (p->stages.n == 0) {
		vec_push(&p->base, t);
		return 0;
	}
	struct stage *stage = add(p, s, run_label_test);
	stage->own = t;
	stage->own_free = free_label_test;
	return 0;
}

static void add_parser(struct pipeline *p, const struct logql_stage *s)
{
	if (!p->needs->all && p->needs->n == 0)
		return; /* no label matters */
	switch (s->kind) {
	case STAGE_JSON: add(p, s, s->extract.n > 0 ? run_json_paths : run_json); break;
	case STAGE_LOGFMT: add(p, s, run_logfmt); break;
	case STAGE_REGEXP: add(p, s, run_regexp); break;
	case STAGE_PATTERN: add(p, s, run_pattern); break;
	default: add(p, s, run_unpack); break;
	}
}

static int add_stage(struct pipeline *p, const struct logql_stage *s, struct err *err)
{
	switch (s->kind) {
	case STAGE_LINE_FILTER: return 0; /* add_group has done it */
	case STAGE_LABEL_FILTER: return add_label_filter(p, s, err);
	case STAGE_JSON:
	case STAGE_LOGFMT:
	case STAGE_REGEXP:
	case STAGE_PATTERN:
	case STAGE_UNPACK: add_parser(p, s); return 0;
	case STAGE_LINE_FORMAT:
		if (s->line_format.tmpl != NULL)
			add(p, s, run_line_format)->own = s->line_format.tmpl;
		return 0;
	case STAGE_LABEL_FORMAT: add(p, s, run_label_format); return 0;
	case STAGE_DECOLORIZE: add(p, s, run_decolorize); return 0;
	case STAGE_DROP: add(p, s, run_drop); return 0;
	case STAGE_KEEP: add(p, s, run_keep); return 0;
	default: return err_set(err, ERR_INTERNAL, "no such stage");
	}
}

/* ---- groups: line filters move to the front of their group ---- */

static bool ends_group(const struct logql_stage *s)
{
	return s->kind == STAGE_LABEL_FILTER || s->kind == STAGE_LINE_FORMAT || s->kind == STAGE_UNPACK;
}

static bool rewrites_line(const struct logql_stage *s)
{
	return s->kind == STAGE_DECOLORIZE || s->kind == STAGE_LINE_FORMAT || s->kind == STAGE_UNPACK;
}

bool pipeline_sees_stored_line(const struct logql_log *log, size_t i)
{
	while (i > 0 && !ends_group(&log->stages[i - 1]))
		i--;
	while (i > 0 && !rewrites_line(&log->stages[i - 1]))
		i--;
	return i == 0;
}

/* The line filters of stages [from, to). */
static int add_line_filters(struct pipeline *p, size_t from, size_t to, struct err *err)
{
	struct line_test_vec tests = { 0 };
	bool stored = pipeline_sees_stored_line(p->log, from);
	int rc = 0;

	for (size_t i = from; i < to && rc == 0; i++)
		if (p->log->stages[i].kind == STAGE_LINE_FILTER)
			rc = compile_line_filters(&p->log->stages[i], &tests, err);
	sort_by_cost(tests.v, tests.n);
	for (size_t i = 0; i < tests.n; i++) {
		if (stored) {
			vec_push(&p->lines, tests.v[i]);
			continue;
		}
		struct stage *stage = add(p, NULL, run_line_test);
		stage->own = tests.v[i];
		stage->own_free = free_line_test;
	}
	vec_fini(&tests);
	return rc;
}

static int add_group(struct pipeline *p, size_t from, size_t to, struct err *err)
{
	if (add_line_filters(p, from, to, err) == -1)
		return -1;
	for (size_t i = from; i < to; i++)
		if (add_stage(p, &p->log->stages[i], err) == -1)
			return -1;
	return 0;
}

static int add_groups(struct pipeline *p, struct err *err)
{
	const struct logql_log *log = p->log;

	for (size_t i = 0, to; i < log->n_stages; i = to) {
		for (to = i + 1; to < log->n_stages && !ends_group(&log->stages[to - 1]);)
			to++;
		if (add_group(p, i, to, err) == -1)
			return -1;
	}
	sort_by_cost(p->lines.v, p->lines.n);
	return 0;
}

/* ---- filters that can be asked before their turn ---- */

static bool is_named(struct slice name, struct slice base)
{
	return slice_eq(name, base) ||
	       (slice_starts(name, base) && slice_is(slice_from(name, base.n), LABEL_SUFFIX));
}

/* May the stage change the value of a parsed label that is there? */
static bool changes_label(const struct logql_stage *s, struct slice name)
{
	switch (s->kind) {
	case STAGE_LABEL_FORMAT:
		for (size_t i = 0; i < s->label_format.n; i++)
			if (slice_eq(s->label_format.v[i].dst, name) ||
			    (!s->label_format.v[i].is_template && slice_eq(s->label_format.v[i].value, name)))
				return true;
		return false;
	case STAGE_JSON:
	case STAGE_LOGFMT:
		for (size_t i = 0; i < s->extract.n; i++)
			if (is_named(name, s->extract.v[i].name))
				return true;
		return false;
	case STAGE_DROP:
		for (size_t i = 0; i < s->names.n; i++)
			if (slice_eq(s->names.v[i].matcher.name, name))
				return true;
		return false;
	case STAGE_KEEP: return true;
	default: return false;
	}
}

/* A parser that never replaces what an earlier stage extracted. */
static bool extracts_first(const struct logql_stage *s)
{
	return ((s->kind == STAGE_JSON || s->kind == STAGE_LOGFMT) && s->extract.n == 0) ||
	       s->kind == STAGE_REGEXP || s->kind == STAGE_PATTERN || s->kind == STAGE_UNPACK;
}

static void add_early(struct stage *parser, const struct label_test *t)
{
	parser->early = xrealloc(parser->early, (parser->n_early + 1) * sizeof(*parser->early));
	parser->early[parser->n_early++] = (struct early_test){ label_test_name(t), t };
}

static bool has_early(const struct stage *parser, struct slice name)
{
	for (size_t i = 0; i < parser->n_early; i++)
		if (slice_eq(parser->early[i].name, name))
			return true;
	return false;
}

/* Where labels are grouped by name, a filter is given to the parsers before it, as far back as nothing changes
 * its label: the answer stays the same. Otherwise Loki gives the first filter of each name in the
 * query to all parsers, wherever it stands (| json | drop a | a="" keeps no line that has an a), and so do
 * we. */
static void find_early(struct pipeline *p, const struct label_test *t, size_t before)
{
	struct slice name = label_test_name(t);
	bool grouped = p->needs->grouped;

	if (name.p == NULL || (grouped && label_test_sees_errors(t)))
		return;
	for (size_t i = grouped ? before : p->stages.n; i-- > 0;) {
		struct stage *s = &p->stages.v[i];

		if (s->ast == NULL)
			continue;
		if (grouped && changes_label(s->ast, name))
			return;
		if (extracts_first(s->ast) && (grouped || !has_early(s, name)))
			add_early(s, t);
	}
}

/* Stages whose labels hold parts of the stored line as they stand, but for escapes and bad UTF-8. */
static bool cuts_labels(const struct logql_stage *s)
{
	return s->kind == STAGE_LINE_FILTER || s->kind == STAGE_LABEL_FILTER || s->kind == STAGE_JSON ||
	       s->kind == STAGE_LOGFMT || s->kind == STAGE_REGEXP || s->kind == STAGE_PATTERN ||
	       s->kind == STAGE_DROP || s->kind == STAGE_KEEP;
}

static void add_implied(struct pipeline *p, const struct label_test *t)
{
	struct slice value = label_test_required(t);

	if (value.n > 0 && p->n_implied < MAX_IMPLIED && slice_find_byte(value, ' ') == SLICE_NONE)
		p->implied[p->n_implied++] = (struct implied){ label_test_name(t), value };
}

static void find_shortcuts(struct pipeline *p)
{
	bool cut = true;

	for (size_t i = 0; i < p->base.n; i++)
		find_early(p, p->base.v[i], 0);
	for (size_t i = 0; i < p->stages.n; i++) {
		const struct stage *s = &p->stages.v[i];

		cut = cut && (s->ast == NULL || cuts_labels(s->ast));
		if (s->run != run_label_test)
			continue;
		find_early(p, s->own, i);
		if (cut)
			add_implied(p, s->own);
	}
}

/* ---- */

int pipeline_new(const struct logql_log *log, const struct label_needs *needs, struct pipeline **out,
		 struct err *err)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));
	int rc = -1;

	p->needs = needs;
	p->log = log;
	if (add_groups(p, err) == -1)
		goto out;
	find_shortcuts(p);
	*out = TAKE(p);
	rc = 0;
out:
	pipeline_free(p);
	return rc;
}

bool pipeline_has_line_filters(const struct pipeline *p)
{
	return p->lines.n > 0;
}

bool pipeline_has_base_filters(const struct pipeline *p)
{
	return p->base.n > 0;
}

bool pipeline_has_line_stages(const struct pipeline *p)
{
	return p->stages.n > 0;
}

static bool reads_lines(const struct stage *s)
{
	if (s->run == run_label_test || s->run == run_drop || s->run == run_keep)
		return false;
	if (s->run != run_label_format)
		return true;
	for (size_t i = 0; i < s->ast->label_format.n; i++)
		if (s->ast->label_format.v[i].is_template)
			return true;
	return false;
}

bool pipeline_reads_lines(const struct pipeline *p)
{
	for (size_t i = 0; i < p->stages.n; i++)
		if (reads_lines(&p->stages.v[i]))
			return true;
	return false;
}

size_t pipeline_needles(const struct pipeline *p, struct slice *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < p->lines.n && n < max; i++)
		n += line_test_required(p->lines.v[i], out + n, max - n);
	return n;
}

size_t pipeline_line_tests(const struct pipeline *p, const struct line_test **out, size_t max)
{
	for (size_t i = 0; i < p->lines.n && i < max; i++)
		out[i] = p->lines.v[i];
	return p->lines.n;
}

size_t pipeline_label_tests(const struct pipeline *p, const struct label_test **out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < p->base.n; i++, n++)
		if (n < max)
			out[n] = p->base.v[i];
	for (size_t i = 0; i < p->stages.n; i++)
		if (p->stages.v[i].run == run_label_test) {
			if (n < max)
				out[n] = p->stages.v[i].own;
			n++;
		}
	return n;
}

/* ---- running ---- */

void pipe_state_init(struct pipe_state *st, const struct pipeline *p)
{
	*st = (struct pipe_state){ .pipeline = p };
	st->hints = (struct parse_hints){ .needs = p->needs };
	label_set_init(&st->set);
	arena_init(&st->scratch);
	tmpl_run_init(&st->tmpl);
	st->hints.found = xcalloc(p->needs->n + 1, 1);
}

void pipe_state_fini(struct pipe_state *st)
{
	label_set_fini(&st->set);
	arena_fini(&st->scratch);
	tmpl_run_fini(&st->tmpl);
	vec_fini(&st->names);
	free(st->hints.found);
	*st = (struct pipe_state){ 0 };
}

void pipeline_base(struct pipe_state *st, struct labels stream, struct slice meta, struct arena *a,
		   struct pipe_base *out)
{
	const struct pipeline *p = st->pipeline;

	label_base_init(&out->labels, stream, meta, a);
	out->keep = true;
	out->implied = 0;
	for (size_t i = 0; i < p->n_implied; i++)
		if (!label_base_has(&out->labels, p->implied[i].name))
			out->implied |= UINT32_C(1) << i;
	if (p->base.n == 0)
		return;
	label_set_start(&st->set, &out->labels);
	for (size_t i = 0; i < p->base.n && out->keep; i++)
		out->keep = label_test_run(p->base.v[i], &st->set, a);
	out->labels.error = st->set.error;
	out->labels.details = st->set.details;
}

bool pipeline_line(const struct pipeline *p, struct slice line)
{
	for (size_t i = 0; i < p->lines.n; i++)
		if (!line_test_match(p->lines.v[i], line))
			return false;
	return true;
}

/* Does the line lack a value without which a filter drops it? Most lines are gone here, unparsed. */
static bool lacks_implied(const struct pipeline *p, uint32_t which, struct slice line)
{
	for (; which != 0; which &= which - 1)
		if (slice_find(line, p->implied[__builtin_ctz(which)].value) == SLICE_NONE)
			return slice_find_byte(line, '\\') == SLICE_NONE;
	return false;
}

bool pipeline_run(struct pipe_state *st, const struct pipe_base *base, int64_t ts, struct slice line)
{
	const struct pipeline *p = st->pipeline;

	label_set_start(&st->set, &base->labels);
	st->line = line;
	st->ts = ts;
	if (p->stages.n == 0)
		return true;
	if (lacks_implied(p, base->implied, line))
		return false;
	arena_reset(&st->scratch);
	parse_hints_start(&st->hints);
	for (size_t i = 0; i < p->stages.n; i++) {
		const struct stage *s = &p->stages.v[i];

		st->hints.early = s->early;
		st->hints.n_early = s->n_early;
		if (!s->run(s, st))
			return false;
	}
	return true;
}
