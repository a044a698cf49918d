#include "query/agg.h"
#include "base/map.h"
#include "logql/funcs.h"

#include <math.h>

int agg_check(const struct logql_expr *e, struct err *err)
{
	switch (e->vector_agg.op) {
	case VECTOR_SUM:
	case VECTOR_AVG:
	case VECTOR_MIN:
	case VECTOR_MAX:
	case VECTOR_COUNT: return 0;
	default:
		return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported yet",
			       vector_funcs[e->vector_agg.op].name);
	}
}

/* One step of one group. */
struct cell_acc {
	uint32_t n;
	double v;
};

/* Stays at an infinity, unless the other one or NaN arrives. */
static void add_to_mean(struct cell_acc *c, double v)
{
	if (isinf(c->v) && ((isinf(v) && (c->v > 0) == (v > 0)) || (!isinf(v) && !isnan(v))))
		return;
	c->v += (v - c->v) / c->n;
}

static void add(struct cell_acc *c, enum vector_op op, double v)
{
	if (c->n++ == 0) {
		c->v = op == VECTOR_COUNT ? 1 : v;
		return;
	}
	switch (op) {
	case VECTOR_AVG: add_to_mean(c, v); break;
	case VECTOR_MIN: c->v = v < c->v || isnan(c->v) ? v : c->v; break;
	case VECTOR_MAX: c->v = v > c->v || isnan(c->v) ? v : c->v; break;
	case VECTOR_COUNT: c->v++; break;
	default: c->v += v; break;
	}
}

/* The series of a group, linked through next; 0 ends the list, i + 1 is series i. */
struct group {
	struct labels labels;
	size_t first, last;
};

static int sum_up(struct exec *x, const struct grid *g, enum vector_op op, const struct matrix *in,
		  const struct group *group, const size_t *next, struct cell_acc *cells, struct series *out,
		  struct err *err)
{
	size_t n = 0;

	memset(cells, 0, g->n * sizeof(*cells));
	for (size_t i = group->first; i != 0; i = next[i - 1])
		for (size_t k = 0; k < in->series[i - 1].n; k++)
			add(&cells[in->series[i - 1].point[k].step], op, in->series[i - 1].point[k].value);
	for (uint32_t i = 0; i < g->n; i++)
		n += cells[i].n > 0;
	if (query_control_check(x->control, err) == -1 || matrix_points(x, n, &out->point, err) == -1)
		return -1;
	out->labels = group->labels;
	out->n = 0;
	for (uint32_t i = 0; i < g->n; i++)
		if (cells[i].n > 0)
			out->point[out->n++] = (struct point){ i, cells[i].v };
	return 0;
}

struct group_vec {
	struct group *v;
	size_t n, cap;
};

/* Groups in order of first appearance; next links the series of each, in order. */
static void make_groups(struct exec *x, const struct matrix *in, const struct label_group *by,
			struct group_vec *groups, size_t *next)
{
	struct label_vec labels = { 0 };
	struct map index;
	struct buf key;

	map_init(&index);
	buf_init(&key);
	for (size_t i = 0; i < in->n; i++) {
		bool is_new;

		labels_group(in->series[i].labels, by, &labels);
		buf_reset(&key);
		labels_encode(&key, (struct labels){ labels.v, labels.n });
		void *found = map_get(&index, buf_slice(&key));
		next[i] = 0;
		if (found == NULL) {
			struct slice own = arena_dup(x->arena, buf_slice(&key));
			struct group *g = vec_add(groups);

			labels_decode(own, x->arena, &g->labels);
			g->first = g->last = i + 1;
			*map_put(&index, own, &is_new) = (void *)(uintptr_t)groups->n;
			continue;
		}
		struct group *g = &groups->v[(uintptr_t)found - 1];
		next[g->last - 1] = i + 1;
		g->last = i + 1;
	}
	map_fini(&index);
	buf_fini(&key);
	vec_fini(&labels);
}

int agg_run(struct exec *x, const struct grid *g, enum vector_op op, const struct logql_grouping *grouping,
	    const struct matrix *in, struct matrix *out, struct err *err)
{
	struct label_group by = plan_group(grouping, x->arena);
	struct group_vec groups = { 0 };
	size_t *next = xcalloc(in->n + 1, sizeof(*next));
	struct cell_acc *cells = xcalloc(g->n, sizeof(*cells));
	int rc = 0;

	make_groups(x, in, &by, &groups, next);
	*out = (struct matrix){ groups.n, arena_array(x->arena, struct series, groups.n) };
	for (size_t i = 0; i < groups.n && rc == 0; i++)
		rc = sum_up(x, g, op, in, &groups.v[i], next, cells, &out->series[i], err);
	if (rc == 0)
		matrix_sort(out);
	vec_fini(&groups);
	free(next);
	free(cells);
	return rc;
}
