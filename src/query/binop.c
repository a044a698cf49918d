#include "query/binop.h"
#include "query/match.h"

#include <math.h>

double binop_scalar(enum bin_op op, double a, double b)
{
	switch (op) {
	case BIN_ADD: return a + b;
	case BIN_SUB: return a - b;
	case BIN_MUL: return a * b;
	case BIN_DIV: return b == 0 ? (double)NAN : a / b;
	case BIN_MOD: return b == 0 ? (double)NAN : fmod(a, b);
	case BIN_POW: return pow(a, b);
	case BIN_EQ: return a == b;
	case BIN_NE: return a != b;
	case BIN_GT: return a > b;
	case BIN_GE: return a >= b;
	case BIN_LT: return a < b;
	case BIN_LE: return a <= b;
	default: return NAN;
	}
}

bool binop_pair(const struct logql_expr *e, double a, double b, double own, double *out)
{
	double v = binop_scalar(e->binop.op, a, b);

	if (bin_op_is_cmp(e->binop.op) && !e->binop.return_bool) {
		*out = own;
		return v != 0;
	}
	*out = v;
	return true;
}

static int vector_scalar(struct exec *x, const struct logql_expr *e, const struct matrix *in, double scalar,
			 bool scalar_left, struct matrix *out, struct err *err)
{
	*out = (struct matrix){ 0, arena_array(x->arena, struct series, in->n) };
	for (size_t i = 0; i < in->n; i++) {
		const struct series *s = &in->series[i];
		struct series *o = &out->series[out->n];

		*o = (struct series){ .labels = s->labels };
		if (matrix_points(x, s->n, &o->point, err) == -1)
			return -1;
		for (size_t k = 0; k < s->n; k++) {
			double v = s->point[k].value, r;

			if (binop_pair(e, scalar_left ? scalar : v, scalar_left ? v : scalar, v, &r))
				o->point[o->n++] = (struct point){ s->point[k].step, r };
		}
		out->n += o->n > 0;
	}
	return 0;
}

int binop_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct value *left,
	      const struct value *right, struct matrix *out, struct err *err)
{
	if (left->is_scalar)
		return vector_scalar(x, e, &right->matrix, left->scalar, true, out, err);
	if (right->is_scalar)
		return vector_scalar(x, e, &left->matrix, right->scalar, false, out, err);
	return match_run(x, g, e, &left->matrix, &right->matrix, out, err);
}
