#include "query/pipeline.h"
#include "logql/funcs.h"
#include "query/labelfilter.h"
#include "query/linefilter.h"
#include "query/stage_json.h"

struct stage {
	bool (*run)(const struct stage *stage, struct pipe_state *st, struct slice line);
	struct label_test *test; /* label filter */
};

struct pipeline {
	const struct label_needs *needs;
	VEC(struct line_test *) lines; /* cheap ones first */
	VEC(struct label_test *) base; /* decided by stream labels and metadata */
	VEC(struct stage) stages;      /* from the first parser on */
	VEC(struct early_test) early;  /* simple ones among them */
};

static bool run_json(const struct stage *stage, struct pipe_state *st, struct slice line)
{
	(void)stage;
	stage_json_run(line, &st->set, &st->hints, &st->scratch);
	return !st->hints.rejected;
}

static bool run_label_test(const struct stage *stage, struct pipe_state *st, struct slice line)
{
	(void)line;
	return label_test_run(stage->test, &st->set, &st->scratch);
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
	for (size_t i = 0; i < p->stages.n; i++)
		label_test_free(p->stages.v[i].test);
	vec_fini(&p->lines);
	vec_fini(&p->base);
	vec_fini(&p->stages);
	vec_fini(&p->early);
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

static int add_line_filters(struct pipeline *p, const struct logql_stage *s, struct err *err)
{
	for (size_t i = 0; i < s->line.n; i++) {
		struct line_test *t;

		if (compile_line_filter(&s->line.v[i], &t, err) == -1)
			return -1;
		if (line_test_keeps_all(t))
			line_test_free(t);
		else
			vec_push(&p->lines, t);
	}
	return 0;
}

/* No stage changes a label once it is there, so a string filter can decide while the line is still being
 * parsed. Filters that may leave an error have to wait for their turn. */
static void add_line_label_filter(struct pipeline *p, const struct label_filter *f, struct label_test *t)
{
	vec_push(&p->stages, ((struct stage){ .run = run_label_test, .test = t }));
	if (f->kind == LABEL_FILTER_STRING && !slice_eq(f->matcher.name, LABEL_ERROR))
		vec_push(&p->early, ((struct early_test){ f->matcher.name, t }));
}

static int add_label_filter(struct pipeline *p, const struct logql_stage *s, struct err *err)
{
	struct label_test *t;

	if (label_test_new(s->filter, &t, err) == -1)
		return -1;
	if (p->stages.n == 0)
		vec_push(&p->base, t);
	else
		add_line_label_filter(p, s->filter, t);
	return 0;
}

static bool parsers_matter(const struct pipeline *p)
{
	return p->needs->all || p->needs->n > 0;
}

static int add_stage(struct pipeline *p, const struct logql_stage *s, struct err *err)
{
	switch (s->kind) {
	/* No stage here rewrites lines, so a line filter means the same wherever it stands: it goes to the
	 * front. */
	case STAGE_LINE_FILTER: return add_line_filters(p, s, err);
	case STAGE_LABEL_FILTER: return add_label_filter(p, s, err);
	case STAGE_JSON:
		if (parsers_matter(p))
			vec_push(&p->stages, ((struct stage){ .run = run_json }));
		return 0;
	default: return err_set(err, ERR_INTERNAL, "no such stage");
	}
}

int pipeline_check(const struct logql_log *log, struct err *err)
{
	for (size_t i = 0; i < log->n_stages; i++) {
		const struct logql_stage *s = &log->stages[i];

		if (s->kind == STAGE_JSON && s->extract.n > 0)
			return err_set(err, ERR_NOT_SUPPORTED, "json with expressions is not supported yet");
		if (s->kind != STAGE_LINE_FILTER && s->kind != STAGE_LABEL_FILTER && s->kind != STAGE_JSON)
			return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported yet",
				       stage_name(s->kind));
	}
	return 0;
}

static void sort_by_cost(struct pipeline *p)
{
	for (size_t i = 1; i < p->lines.n; i++) {
		struct line_test *t = p->lines.v[i];
		size_t j = i;

		for (; j > 0 && line_test_cost(p->lines.v[j - 1]) > line_test_cost(t); j--)
			p->lines.v[j] = p->lines.v[j - 1];
		p->lines.v[j] = t;
	}
}

int pipeline_new(const struct logql_log *log, const struct label_needs *needs, struct pipeline **out,
		 struct err *err)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));
	int rc = -1;

	p->needs = needs;
	if (pipeline_check(log, err) == -1)
		goto out;
	for (size_t i = 0; i < log->n_stages; i++)
		if (add_stage(p, &log->stages[i], err) == -1)
			goto out;
	sort_by_cost(p);
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

size_t pipeline_needles(const struct pipeline *p, struct slice *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < p->lines.n && n < max; i++)
		n += line_test_required(p->lines.v[i], out + n, max - n);
	return n;
}

/* ---- running ---- */

void pipe_state_init(struct pipe_state *st, const struct pipeline *p)
{
	*st = (struct pipe_state){ .pipeline = p };
	st->hints = (struct parse_hints){ .needs = p->needs, .early = p->early.v, .n_early = p->early.n };
	label_set_init(&st->set);
	arena_init(&st->scratch);
	st->hints.found = xcalloc(p->needs->n + 1, 1);
}

void pipe_state_fini(struct pipe_state *st)
{
	label_set_fini(&st->set);
	arena_fini(&st->scratch);
	free(st->hints.found);
	*st = (struct pipe_state){ 0 };
}

void pipeline_base(struct pipe_state *st, struct labels stream, struct slice meta, struct arena *a,
		   struct pipe_base *out)
{
	const struct pipeline *p = st->pipeline;

	label_base_init(&out->labels, stream, meta, a);
	out->keep = true;
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

bool pipeline_run(struct pipe_state *st, const struct pipe_base *base, struct slice line)
{
	const struct pipeline *p = st->pipeline;

	label_set_start(&st->set, &base->labels);
	if (p->stages.n == 0)
		return true;
	arena_reset(&st->scratch);
	parse_hints_start(&st->hints);
	for (size_t i = 0; i < p->stages.n; i++)
		if (!p->stages.v[i].run(&p->stages.v[i], st, line))
			return false;
	return true;
}
