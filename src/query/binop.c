#include "query/binop.h"
#include "base/map.h"
#include "logql/funcs.h"

#include <math.h>

int binop_check(const struct logql_expr *e, struct err *err)
{
	if (e->binop.match.card == CARD_ONE_TO_ONE)
		return 0;
	return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported yet",
		       e->binop.match.card == CARD_MANY_TO_ONE ? "group_left" : "group_right");
}

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

/* The value of a pair; false if a comparison filters it out. `own` is what a filter passes on. */
static bool combine(const struct logql_expr *e, double a, double b, double own, double *out)
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

			if (combine(e, scalar_left ? scalar : v, scalar_left ? v : scalar, v, &r))
				o->point[o->n++] = (struct point){ s->point[k].step, r };
		}
		out->n += o->n > 0;
	}
	return 0;
}

/* ---- vector and vector ---- */

/* One signature: the series of either side that have it, linked through next as i + 1. */
struct match {
	size_t left, last_left, right, last_right;
};

struct matching {
	struct exec *x;
	const struct grid *grid;
	const struct logql_expr *e;
	struct label_group by; /* the labels that make up a signature */
	const struct matrix *left, *right;
	size_t *next_left, *next_right;
	VEC(struct match) matches;     /* in order of the left side, then of the right */
	const struct point **at_right; /* by step, for the signature at hand */
	uint8_t *at_left;
	VEC(struct series) out;
};

static void link_series(size_t *first, size_t *last, size_t *next, size_t i)
{
	next[i] = 0;
	if (*first == 0)
		*first = i + 1;
	else
		next[*last - 1] = i + 1;
	*last = i + 1;
}

static void add_side(struct matching *m, struct map *index, const struct matrix *side, bool is_left)
{
	struct label_vec labels = { 0 };
	struct buf key;

	buf_init(&key);
	for (size_t i = 0; i < side->n; i++) {
		labels_group(side->series[i].labels, &m->by, &labels);
		buf_reset(&key);
		labels_encode(&key, (struct labels){ labels.v, labels.n });
		void *found = map_get(index, buf_slice(&key));
		if (found == NULL) {
			vec_add(&m->matches);
			found = (void *)(uintptr_t)m->matches.n;
			*map_put(index, arena_dup(m->x->arena, buf_slice(&key)), NULL) = found;
		}
		struct match *s = &m->matches.v[(uintptr_t)found - 1];
		if (is_left)
			link_series(&s->left, &s->last_left, m->next_left, i);
		else
			link_series(&s->right, &s->last_right, m->next_right, i);
	}
	buf_fini(&key);
	vec_fini(&labels);
}

static int spread_right(struct matching *m, const struct match *s, struct err *err)
{
	memset(m->at_right, 0, m->grid->n * sizeof(const struct point *));
	for (size_t i = s->right; i != 0; i = m->next_right[i - 1]) {
		const struct series *r = &m->right->series[i - 1];

		for (size_t k = 0; k < r->n; k++) {
			if (m->at_right[r->point[k].step] != NULL && !bin_op_is_set(m->e->binop.op))
				return err_set(
					err, ERR_BAD_REQUEST,
					"found duplicate series on the right hand-side;many-to-many matching "
					"not allowed: matching labels must be unique on one side");
			m->at_right[r->point[k].step] = &r->point[k];
		}
	}
	return 0;
}

static struct labels result_labels(struct matching *m, struct labels l)
{
	struct label_vec kept = { 0 };

	if (bin_op_is_set(m->e->binop.op) || m->by.all)
		return l;
	labels_group(l, &m->by, &kept);
	struct label *v = arena_array(m->x->arena, struct label, kept.n);
	if (kept.n > 0)
		memcpy(v, kept.v, kept.n * sizeof(*v));
	struct labels out = { v, kept.n };
	vec_fini(&kept);
	return out;
}

/* What remains of a left series at the steps of this signature. */
static int left_series(struct matching *m, const struct series *l, struct err *err)
{
	enum bin_op op = m->e->binop.op;
	struct series o = { .labels = result_labels(m, l->labels) };

	if (matrix_points(m->x, l->n, &o.point, err) == -1)
		return -1;
	for (size_t k = 0; k < l->n; k++) {
		const struct point *p = &l->point[k], *r = m->at_right[p->step];
		double v = p->value;

		if (bin_op_is_set(op)) {
			if (op != BIN_OR && (r != NULL) != (op == BIN_AND))
				continue;
		} else {
			if (r == NULL || !combine(m->e, v, r->value, v, &v))
				continue;
			if (m->at_left[p->step])
				return err_set(
					err, ERR_BAD_REQUEST,
					"multiple matches for labels: many-to-one matching must be explicit "
					"(group_left/group_right)");
		}
		m->at_left[p->step] = 1;
		o.point[o.n++] = (struct point){ p->step, v };
	}
	if (o.n > 0)
		vec_push(&m->out, o);
	return 0;
}

/* `or`: right elements where the left has none of the signature. */
static int right_series(struct matching *m, const struct series *r, struct err *err)
{
	struct series o = { .labels = r->labels };

	if (matrix_points(m->x, r->n, &o.point, err) == -1)
		return -1;
	for (size_t k = 0; k < r->n; k++)
		if (!m->at_left[r->point[k].step])
			o.point[o.n++] = r->point[k];
	if (o.n > 0)
		vec_push(&m->out, o);
	return 0;
}

static int match_one(struct matching *m, const struct match *s, struct err *err)
{
	if (spread_right(m, s, err) == -1 || query_control_check(m->x->control, err) == -1)
		return -1;
	memset(m->at_left, 0, m->grid->n);
	for (size_t i = s->left; i != 0; i = m->next_left[i - 1])
		if (left_series(m, &m->left->series[i - 1], err) == -1)
			return -1;
	for (size_t i = s->right; i != 0 && m->e->binop.op == BIN_OR; i = m->next_right[i - 1])
		if (right_series(m, &m->right->series[i - 1], err) == -1)
			return -1;
	return 0;
}

static int by_labels(const void *a, const void *b)
{
	return labels_cmp(((const struct series *)a)->labels, ((const struct series *)b)->labels);
}

static int by_step(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	return x->step < y->step ? -1 : x->step > y->step;
}

/* Series that got equal labels (`or` with on(), a reduced label set) become one. At one step the first stays.
 */
static int join_equal(struct exec *x, struct series *v, size_t n, struct matrix *out, struct err *err)
{
	out->series = arena_array(x->arena, struct series, n);
	out->n = 0;
	for (size_t i = 0, j; i < n; i = j) {
		struct series *o = &out->series[out->n++];
		size_t total = 0;

		for (j = i; j < n && labels_eq(v[i].labels, v[j].labels); j++)
			total += v[j].n;
		*o = v[i];
		if (j == i + 1)
			continue;
		if (matrix_points(x, total, &o->point, err) == -1)
			return -1;
		o->n = 0;
		for (size_t k = i; k < j; k++) {
			memcpy(o->point + o->n, v[k].point, v[k].n * sizeof(*o->point));
			o->n += v[k].n;
		}
		qsort(o->point, o->n, sizeof(*o->point), by_step);
	}
	return 0;
}

static int vector_vector(struct exec *x, const struct grid *g, const struct logql_expr *e,
			 const struct matrix *left, const struct matrix *right, struct matrix *out,
			 struct err *err)
{
	const struct vector_match *vm = &e->binop.match;
	struct logql_grouping by = { .present = true, .without = !vm->on, .labels = vm->labels };
	struct matching m = { .x = x, .grid = g, .e = e, .left = left, .right = right };
	struct map index;
	int rc = 0;

	m.by = plan_group(vm->on || vm->ignoring ? &by : NULL, x->arena);
	m.next_left = xcalloc(left->n + 1, sizeof(*m.next_left));
	m.next_right = xcalloc(right->n + 1, sizeof(*m.next_right));
	m.at_right = xcalloc(g->n, sizeof(*m.at_right));
	m.at_left = xcalloc(g->n, 1);
	map_init(&index);
	add_side(&m, &index, left, true);
	add_side(&m, &index, right, false);
	for (size_t i = 0; i < m.matches.n && rc == 0; i++)
		rc = match_one(&m, &m.matches.v[i], err);
	if (m.out.n > 1)
		qsort(m.out.v, m.out.n, sizeof(*m.out.v), by_labels);
	if (rc == 0)
		rc = join_equal(x, m.out.v, m.out.n, out, err);
	map_fini(&index);
	vec_fini(&m.out);
	vec_fini(&m.matches);
	free(m.at_left);
	free(m.at_right);
	free(m.next_right);
	free(m.next_left);
	return rc;
}

int binop_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct value *left,
	      const struct value *right, struct matrix *out, struct err *err)
{
	if (left->is_scalar)
		return vector_scalar(x, e, &right->matrix, left->scalar, true, out, err);
	if (right->is_scalar)
		return vector_scalar(x, e, &left->matrix, right->scalar, false, out, err);
	return vector_vector(x, g, e, &left->matrix, &right->matrix, out, err);
}
