#include "query/agg.h"
#include "base/map.h"
#include "query/range_func.h"

#include <math.h>

/* ---- groups ---- */

void agg_groups_init(struct agg_groups *groups, struct exec *x, const struct logql_grouping *by,
		     const struct matrix *in)
{
	struct label_group names = plan_group(by, x->arena);
	struct label_vec labels = { 0 };
	struct map index;
	struct buf key;

	*groups = (struct agg_groups){ .next = xcalloc(in->n + 1, sizeof(*groups->next)) };
	map_init(&index);
	buf_init(&key);
	for (size_t i = 0; i < in->n; i++) {
		labels_group(in->series[i].labels, &names, &labels);
		buf_reset(&key);
		labels_encode(&key, (struct labels){ labels.v, labels.n });
		void *found = map_get(&index, buf_slice(&key));
		if (found == NULL) {
			struct slice own = arena_dup(x->arena, buf_slice(&key));
			struct agg_group *g = vec_add(&groups->all);

			labels_decode(own, x->arena, &g->labels);
			g->first = g->last = i + 1;
			*map_put(&index, own, NULL) = (void *)(uintptr_t)groups->all.n;
			continue;
		}
		struct agg_group *g = &groups->all.v[(uintptr_t)found - 1];
		groups->next[g->last - 1] = i + 1;
		g->last = i + 1;
	}
	map_fini(&index);
	buf_fini(&key);
	vec_fini(&labels);
}

void agg_groups_fini(struct agg_groups *groups)
{
	vec_fini(&groups->all);
	free(groups->next);
}

/* ---- one value for each group ---- */

/* One step of one group. */
struct cell_acc {
	uint64_t n;
	double v, m2;
};

static void first(struct cell_acc *c, enum vector_op op, double v)
{
	c->n = 1;
	c->m2 = 0;
	c->v = op == VECTOR_COUNT ? 1 : v;
}

static void add_deviation(struct cell_acc *c, double v)
{
	double delta = v - c->v;

	c->v += delta / (double)++c->n;
	c->m2 += delta * (v - c->v);
}

static void add(struct cell_acc *c, enum vector_op op, double v)
{
	switch (op) {
	case VECTOR_AVG: mean_merge(&c->v, c->n, v, 1); break;
	case VECTOR_MIN: c->v = v < c->v || isnan(c->v) ? v : c->v; break;
	case VECTOR_MAX: c->v = v > c->v || isnan(c->v) ? v : c->v; break;
	case VECTOR_COUNT: c->v++; break;
	case VECTOR_STDDEV:
	case VECTOR_STDVAR: add_deviation(c, v); return;
	default: c->v += v; break;
	}
	c->n++;
}

static double value(const struct cell_acc *c, enum vector_op op)
{
	if (op != VECTOR_STDDEV && op != VECTOR_STDVAR)
		return c->v;
	double variance = c->m2 / (double)c->n;
	return op == VECTOR_STDDEV ? sqrt(variance) : variance;
}

/* A result without some labels keeps no empty ones either. */
static struct labels without_empty(struct arena *a, struct labels l)
{
	struct label *v = arena_array(a, struct label, l.n);
	size_t n = 0;

	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].value.n > 0)
			v[n++] = l.v[i];
	return (struct labels){ v, n };
}

struct reduction {
	struct exec *x;
	enum vector_op op;
	const struct matrix *in;
	const struct agg_groups *groups;
	struct cell_acc *cells; /* by step; n is 0 between groups */
};

static int reduce(struct reduction *r, const struct agg_group *group, struct series *out, struct err *err)
{
	uint32_t lo = UINT32_MAX, end = 0;
	size_t n = 0;

	for (size_t i = group->first; i != 0; i = r->groups->next[i - 1]) {
		const struct series *s = &r->in->series[i - 1];

		for (size_t k = 0; k < s->n; k++) {
			struct cell_acc *c = &r->cells[s->point[k].step];

			if (c->n == 0) {
				first(c, r->op, s->point[k].value);
				n++;
			} else {
				add(c, r->op, s->point[k].value);
			}
		}
		if (s->n > 0) {
			lo = MIN(lo, s->point[0].step);
			end = MAX(end, s->point[s->n - 1].step + 1);
		}
	}
	if (query_control_check(r->x->control, err) == -1 || matrix_points(r->x, n, &out->point, err) == -1)
		return -1;
	*out = (struct series){ group->labels, 0, out->point };
	for (uint32_t i = lo; i < end; i++) {
		if (r->cells[i].n > 0)
			out->point[out->n++] = (struct point){ i, value(&r->cells[i], r->op) };
		r->cells[i].n = 0;
	}
	return 0;
}

static int reduce_all(struct exec *x, const struct grid *g, const struct logql_expr *e,
		      const struct matrix *in, struct matrix *out, struct err *err)
{
	const struct logql_grouping *by = &e->vector_agg.grouping;
	struct agg_groups groups;
	struct reduction r = { x, e->vector_agg.op, in, &groups, xcalloc(g->n, sizeof(*r.cells)) };
	int rc = 0;

	agg_groups_init(&groups, x, by, in);
	*out = (struct matrix){ groups.all.n, arena_array(x->arena, struct series, groups.all.n) };
	for (size_t i = 0; i < groups.all.n && rc == 0; i++) {
		rc = reduce(&r, &groups.all.v[i], &out->series[i], err);
		if (rc == 0 && by->without)
			out->series[i].labels = without_empty(x->arena, out->series[i].labels);
	}
	if (rc == 0)
		matrix_sort(out);
	agg_groups_fini(&groups);
	free(r.cells);
	return rc;
}

int agg_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *in,
	    struct matrix *out, struct err *err)
{
	switch (e->vector_agg.op) {
	case VECTOR_TOPK:
	case VECTOR_BOTTOMK:
	case VECTOR_APPROX_TOPK: return topk_run(x, g, e, in, out, err);
	case VECTOR_SORT:
	case VECTOR_SORT_DESC: return sort_run(x, g, e->vector_agg.op, in, out, err);
	default: return reduce_all(x, g, e, in, out, err);
	}
}
