#include "query/matrix.h"

/* The sorted things point into one array, so their addresses are their places. */
static int by_labels(const void *a, const void *b)
{
	const struct series *x = *(const struct series *const *)a, *y = *(const struct series *const *)b;
	int c = labels_cmp(x->labels, y->labels);

	return c != 0 ? c : x < y ? -1 : x > y;
}

void matrix_sort(struct matrix *m)
{
	struct series *copy;
	struct series **v;

	if (m->n < 2)
		return;
	v = xcalloc(m->n, sizeof(*v));
	copy = xcalloc(m->n, sizeof(*copy));
	memcpy(copy, m->series, m->n * sizeof(*copy));
	for (size_t i = 0; i < m->n; i++)
		v[i] = &copy[i];
	qsort(v, m->n, sizeof(*v), by_labels);
	for (size_t i = 0; i < m->n; i++)
		m->series[i] = *v[i];
	free(copy);
	free(v);
}

/* Adds b's points behind a's at each step. */
static int join_points(struct exec *x, struct series *a, const struct series *b, struct err *err)
{
	struct point *p;
	size_t i = 0, k = 0, n = 0;

	if (matrix_points(x, a->n + b->n, &p, err) == -1)
		return -1;
	while (i < a->n || k < b->n)
		p[n++] = k == b->n || (i < a->n && a->point[i].step <= b->point[k].step) ? a->point[i++]
											 : b->point[k++];
	a->point = p;
	a->n = n;
	return 0;
}

int matrix_join_equal(struct exec *x, struct matrix *m, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (n == 0 || !labels_eq(m->series[n - 1].labels, m->series[i].labels))
			m->series[n++] = m->series[i];
		else if (join_points(x, &m->series[n - 1], &m->series[i], err) == -1)
			return -1;
	}
	m->n = n;
	return 0;
}

int matrix_points(struct exec *x, size_t n, struct point **out, struct err *err)
{
	if (exec_charge(x, n * sizeof(**out), err) == -1)
		return -1;
	*out = arena_array(x->arena, struct point, n);
	return 0;
}

int matrix_constant(struct exec *x, const struct grid *g, double v, struct matrix *out, struct err *err)
{
	struct series *s = arena_new(x->arena, struct series);

	if (matrix_points(x, g->n, &s->point, err) == -1)
		return -1;
	s->n = g->n;
	for (uint32_t i = 0; i < g->n; i++)
		s->point[i] = (struct point){ i, v };
	*out = (struct matrix){ 1, s };
	return 0;
}
