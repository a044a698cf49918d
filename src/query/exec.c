/* query_run: parse, check that every construct can be run, evaluate, and turn what came out into a result. */
#include "query/agg.h"
#include "query/binop.h"
#include "query/label_replace.h"
#include "query/logs.h"
#include "query/range.h"
#include "base/clock.h"
#include "logql/parse.h"
#include "logql/units.h"

/* ---- checks ---- */

static int check_expr(const struct exec *x, const struct logql_expr *e, struct err *err);

static int check_range(const struct exec *x, const struct logql_expr *e, struct err *err)
{
	int64_t max = x->req->limits != NULL ? x->req->limits->max_query_range : 0;
	int64_t range = e->range_agg.range.range_ns;
	struct buf a, b;

	if (max == 0 || range <= max)
		return 0;
	buf_init(&a);
	buf_init(&b);
	units_fmt_prom_duration(&a, range);
	units_fmt_prom_duration(&b, max);
	err_set(err, ERR_BAD_REQUEST, "[interval] value exceeds limit: [%.*s] > [%.*s]",
		SLICE_ARG(buf_slice(&a)), SLICE_ARG(buf_slice(&b)));
	buf_fini(&a);
	buf_fini(&b);
	return -1;
}

static int check_expr(const struct exec *x, const struct logql_expr *e, struct err *err)
{
	switch (e->kind) {
	case LOGQL_LOG: return 0;
	case LOGQL_RANGE_AGG: return check_range(x, e, err);
	case LOGQL_VECTOR_AGG: return check_expr(x, e->vector_agg.expr, err);
	case LOGQL_LABEL_REPLACE: return check_expr(x, e->label_replace.expr, err);
	case LOGQL_BINOP:
		if (check_expr(x, e->binop.left, err) == -1)
			return -1;
		return check_expr(x, e->binop.right, err);
	case LOGQL_LITERAL:
	case LOGQL_VECTOR: return 0;
	}
	return err_set(err, ERR_INTERNAL, "no such expression");
}

/* ---- metric expressions ---- */

static int eval(struct exec *x, const struct grid *g, const struct logql_expr *e, struct value *out,
		struct err *err);

/* The matrix of an operand; a number is the same at every step. */
static int eval_matrix(struct exec *x, const struct grid *g, const struct logql_expr *e, struct matrix *out,
		       struct err *err)
{
	struct value v;

	if (eval(x, g, e, &v, err) == -1)
		return -1;
	if (v.is_scalar)
		return matrix_constant(x, g, v.scalar, out, err);
	*out = v.matrix;
	return 0;
}

/* A sum of sums groups them as they are read. */
static int eval_vector_agg(struct exec *x, const struct grid *g, const struct logql_expr *e,
			   struct matrix *out, struct err *err)
{
	const struct logql_expr *inner = e->vector_agg.expr;
	const struct logql_grouping *grouping = range_pushed_grouping(e);
	struct matrix in = { 0 };
	bool regroup = true;

	if (grouping != NULL) {
		if (range_run(x, g, inner, grouping, &in, &regroup, err) == -1)
			return -1;
		regroup = regroup || grouping->without;
	} else if (eval_matrix(x, g, inner, &in, err) == -1) {
		return -1;
	}
	if (regroup)
		return agg_run(x, g, e, &in, out, err);
	*out = in;
	return 0;
}

static int eval_label_replace(struct exec *x, const struct grid *g, const struct logql_expr *e,
			      struct matrix *out, struct err *err)
{
	struct matrix in = { 0 };

	if (eval_matrix(x, g, e->label_replace.expr, &in, err) == -1)
		return -1;
	return label_replace_run(x, e, &in, out, err);
}

static int eval_binop(struct exec *x, const struct grid *g, const struct logql_expr *e, struct value *out,
		      struct err *err)
{
	struct value left = { 0 }, right = { 0 };

	if (eval(x, g, e->binop.left, &left, err) == -1 || eval(x, g, e->binop.right, &right, err) == -1)
		return -1;
	if (left.is_scalar && right.is_scalar) {
		*out = (struct value){ .is_scalar = true,
				       .scalar = binop_scalar(e->binop.op, left.scalar, right.scalar) };
		return 0;
	}
	return binop_run(x, g, e, &left, &right, &out->matrix, err);
}

static int eval(struct exec *x, const struct grid *g, const struct logql_expr *e, struct value *out,
		struct err *err)
{
	bool regroup;

	*out = (struct value){ 0 };
	switch (e->kind) {
	case LOGQL_LITERAL: *out = (struct value){ .is_scalar = true, .scalar = e->literal }; return 0;
	case LOGQL_VECTOR: return matrix_constant(x, g, e->vector, &out->matrix, err);
	case LOGQL_RANGE_AGG: return range_run(x, g, e, NULL, &out->matrix, &regroup, err);
	case LOGQL_VECTOR_AGG: return eval_vector_agg(x, g, e, &out->matrix, err);
	case LOGQL_BINOP: return eval_binop(x, g, e, out, err);
	case LOGQL_LABEL_REPLACE: return eval_label_replace(x, g, e, &out->matrix, err);
	case LOGQL_LOG: break;
	}
	return err_set(err, ERR_INTERNAL, "not a metric expression");
}

/* ---- results ---- */

static int check_series(const struct exec *x, size_t n, struct err *err)
{
	uint64_t max = x->req->limits != NULL ? x->req->limits->max_query_series : 0;

	if (max == 0 || n <= max)
		return 0;
	return err_set(err, ERR_BAD_REQUEST,
		       "maximum number of series (%llu) reached for a single query; consider reducing query "
		       "cardinality by adding more specific stream selectors, reducing the time range, or "
		       "aggregating "
		       "results with functions like sum(), count() or topk()",
		       (unsigned long long)max);
}

/* Does any part of it want an order of its own? */
static bool has_sort(const struct logql_expr *e)
{
	switch (e->kind) {
	case LOGQL_VECTOR_AGG:
		return e->vector_agg.op == VECTOR_SORT || e->vector_agg.op == VECTOR_SORT_DESC ||
		       has_sort(e->vector_agg.expr);
	case LOGQL_BINOP: return has_sort(e->binop.left) || has_sort(e->binop.right);
	case LOGQL_LABEL_REPLACE: return has_sort(e->label_replace.expr);
	default: return false;
	}
}

static void result_of_matrix(const struct grid *g, const struct matrix *m, struct query_result *out)
{
	struct arena *a = &out->arena;

	out->series = arena_array(a, struct result_series, m->n);
	out->n_series = m->n;
	for (size_t i = 0; i < m->n; i++) {
		const struct series *s = &m->series[i];
		struct result_point *p = arena_array(a, struct result_point, s->n);

		for (size_t k = 0; k < s->n; k++)
			p[k] = (struct result_point){ grid_time(g, s->point[k].step), s->point[k].value };
		out->series[i] = (struct result_series){ labels_dup(a, s->labels), s->n, p };
	}
}

static int metric_run(struct exec *x, const struct logql_expr *e, struct query_result *out, struct err *err)
{
	struct value v;
	struct grid g;

	if (grid_make(x->req, &g, err) == -1 || eval(x, &g, e, &v, err) == -1)
		return -1;
	if (v.is_scalar && matrix_constant(x, &g, v.scalar, &v.matrix, err) == -1)
		return -1;
	if (!x->req->instant || !has_sort(e))
		matrix_sort(&v.matrix);
	if (!x->req->instant && matrix_join_equal(x, &v.matrix, err) == -1)
		return -1;
	if (check_series(x, v.matrix.n, err) == -1)
		return -1;
	out->type = !x->req->instant ? RESULT_MATRIX : v.is_scalar ? RESULT_SCALAR : RESULT_VECTOR;
	result_of_matrix(&g, &v.matrix, out);
	return 0;
}

static void add_warning(struct query_result *out, const char *text)
{
	out->warning[out->n_warnings++] = slice_cstr(text);
}

static void add_warnings(const struct exec *x, struct query_result *out)
{
	struct arena *a = &out->arena;

	out->warning = arena_array(a, struct slice, 2);
	if (x->corrupt_blocks > 0)
		add_warning(out,
			    arena_printf(a, "%llu damaged blocks were left out; the answer may be incomplete",
					 (unsigned long long)x->corrupt_blocks));
	if (x->chunks_missing > 0)
		add_warning(out,
			    arena_printf(a, "%llu chunks are damaged or lost; the answer may be incomplete",
					 (unsigned long long)x->chunks_missing));
}

static int run(struct exec *x, const struct logql_expr *e, struct query_result *out, struct err *err)
{
	if (check_expr(x, e, err) == -1)
		return -1;
	if (e->kind != LOGQL_LOG)
		return metric_run(x, e, out, err);
	if (x->req->instant)
		return err_set(err, ERR_BAD_REQUEST,
			       "log queries are not supported as an instant query type, please change your "
			       "query to a "
			       "range query type");
	return logs_run(x, &e->log, out, err);
}

int query_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
	      struct query_result *out, struct err *err)
{
	int64_t t0 = clock_mono_ns();
	struct query_result result = { 0 };
	struct arena arena;
	struct exec x = { .engine = e, .req = r, .control = c, .arena = &arena };
	struct logql *q = NULL;
	int rc = -1;

	arena_init(&arena);
	arena_init(&result.arena);
	if (query_control_check(c, err) == 0 && logql_parse(r->text, &arena, &q, NULL, err) == 0)
		rc = run(&x, q->root, &result, err);
	if (rc == 0) {
		add_warnings(&x, &result);
		result.stats = x.stats;
		result.stats.exec_seconds = (double)(clock_mono_ns() - t0) / 1e9;
		*out = result;
	} else {
		query_result_fini(&result);
	}
	exec_refund(&x, x.memory);
	logql_free(q);
	arena_fini(&arena);
	return rc;
}

void query_result_fini(struct query_result *r)
{
	arena_fini(&r->arena);
	*r = (struct query_result){ 0 };
}
