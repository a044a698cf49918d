#include "query/column_uses.h"
#include "query/labelfilter.h"
#include "query/plan.h"
#include "query/unwrap.h"

enum { MAX_TESTS = 64, MAX_VALUES = 64 };

struct names {
	size_t n;
	bool full;
	struct slice v[MAX_VALUES];
};

static void add_name(struct names *names, struct slice name)
{
	if (names->n == MAX_VALUES)
		names->full = true;
	else
		names->v[names->n++] = name;
}

/* Does what the stage does to a line follow from its labels? If so, notes the labels whose text it passes on or
 * compares itself. */
static bool stage_fits(const struct logql_log *log, size_t i, struct names *values)
{
	const struct logql_stage *s = &log->stages[i];

	switch (s->kind) {
	case STAGE_LINE_FILTER: return pipeline_sees_stored_line(log, i);
	case STAGE_JSON:
	case STAGE_LOGFMT:
	case STAGE_LABEL_FILTER: return true;
	case STAGE_DROP:
	case STAGE_KEEP:
		for (size_t k = 0; k < s->names.n; k++)
			if (s->names.v[k].has_matcher)
				add_name(values, s->names.v[k].matcher.name);
		return true;
	case STAGE_LABEL_FORMAT:
		for (size_t k = 0; k < s->label_format.n; k++) {
			if (s->label_format.v[k].is_template)
				return false;
			add_name(values, s->label_format.v[k].value);
		}
		return true;
	default: return false;
	}
}

/* The labels drop and keep compare are asked for, too, where other stages ask for them. */
static size_t stages_that_fit(const struct logql_log *log, struct names *values)
{
	size_t n = 0;

	while (n < log->n_stages && stage_fits(log, n, values))
		n++;
	return n;
}

/* Up to the last label filter. */
static size_t probe_stages(const struct logql_log *log, size_t n)
{
	while (n > 0 && log->stages[n - 1].kind != STAGE_LABEL_FILTER)
		n--;
	return n;
}

static bool add_tests(struct column_uses *u, const struct unwrap *unwrap, struct arena *a)
{
	const struct label_test *tree[MAX_TESTS];
	size_t n = pipeline_label_tests(u->pipeline, tree, MAX_TESTS);

	u->tests = arena_array(a, const struct label_test *, MAX_TESTS);
	if (n <= MAX_TESTS && unwrap != NULL)
		n += unwrap_tests(unwrap, tree + n, MAX_TESTS - n);
	if (n > MAX_TESTS)
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t room = MAX_TESTS - u->n_tests,
		       more = label_test_leaves(tree[i], u->tests + u->n_tests, room);

		if (more > room)
			return false;
		u->n_tests += more;
	}
	return true;
}

static void add_parsers(struct column_uses *u, const struct logql_log *log, size_t n, struct arena *a)
{
	u->parser = arena_array(a, const struct logql_stage *, n);
	if (u->needs->n == 0)
		return; /* the pipeline leaves them out */
	for (size_t i = 0; i < n; i++)
		if (log->stages[i].kind == STAGE_JSON || log->stages[i].kind == STAGE_LOGFMT)
			u->parser[u->n_parsers++] = &log->stages[i];
}

static void add_values(struct column_uses *u, struct names *values, struct arena *a)
{
	u->n_values = values->n;
	u->values = arena_array(a, struct slice, values->n);
	if (values->n > 0)
		memcpy(u->values, values->v, values->n * sizeof(*values->v));
}

/* The whole pipeline. */
static bool use_all(struct column_uses *u, const struct plan *plan, const struct unwrap *unwrap,
		    struct names *values, struct arena *a)
{
	u->pipeline = plan->pipeline;
	u->needs = &plan->needs;
	for (size_t i = 0; i < plan->group.n; i++)
		add_name(values, plan->group.names[i]);
	if (unwrap != NULL) {
		const struct logql_unwrap *spec = unwrap_spec(unwrap);

		if (spec->conv == UNWRAP_NUMBER)
			u->unwrap = spec->label;
		else
			add_name(values, spec->label);
	}
	if (values->full || !add_tests(u, unwrap, a))
		return false;
	add_parsers(u, plan->log, plan->log->n_stages, a);
	add_values(u, values, a);
	return true;
}

/* A filter behind the first n stages may be asked as soon as a parser finds its label, and leave an error that one of these
 * stages tests. */
static bool misses_errors(const struct column_uses *u, const struct logql_log *log, size_t n)
{
	bool sees = false;

	for (size_t i = 0; i < u->n_tests; i++)
		sees = sees || label_test_name(u->tests[i]).p == NULL || label_test_sees_errors(u->tests[i]);
	for (; sees && n < log->n_stages; n++)
		if (log->stages[n].kind == STAGE_LABEL_FILTER)
			return true;
	return false;
}

/* The first n stages, to find entries that are out. */
static bool use_probe(struct column_uses *u, struct plan *plan, struct names *values, size_t n,
		      struct arena *a)
{
	struct label_needs *needs = arena_new(a, struct label_needs);
	struct logql_log *log = arena_new(a, struct logql_log);
	struct err ignored;

	n = probe_stages(plan->log, n);
	if (n == 0 || values->full || !plan_stage_needs(plan->log, n, needs, a))
		return false;
	*log = *plan->log;
	log->n_stages = n;
	needs->grouped = plan->needs.grouped;
	if (pipeline_new(log, needs, &plan->probe, &ignored) == -1)
		return false;
	u->pipeline = plan->probe;
	u->needs = needs;
	u->probe = true;
	if (!add_tests(u, NULL, a) || misses_errors(u, plan->log, n))
		return false;
	add_parsers(u, log, n, a);
	add_values(u, values, a);
	return true;
}

struct column_uses *column_uses_new(struct plan *plan, const struct unwrap *unwrap, struct arena *a)
{
	struct column_uses *u = arena_new(a, struct column_uses);
	struct names values = { 0 };
	size_t n = stages_that_fit(plan->log, &values);
	bool all = n == plan->log->n_stages && !plan->needs.all;

	if (all ? !use_all(u, plan, unwrap, &values, a) : !use_probe(u, plan, &values, n, a))
		return NULL;
	u->reads_lines = u->n_parsers > 0;
	return u;
}
