#include "query/matrix.h"

static int by_labels(const void *a, const void *b)
{
	return labels_cmp(((const struct series *)a)->labels, ((const struct series *)b)->labels);
}

void matrix_sort(struct matrix *m)
{
	if (m->n > 1)
		qsort(m->series, m->n, sizeof(*m->series), by_labels);
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
