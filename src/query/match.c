#include "query/match.h"
#include "base/map.h"
#include "query/binop.h"

/* One signature: the series of either side that have it, linked through next as i + 1. */
struct match {
	size_t many, last_many, one, last_one;
};

/* A series of the result; origin tells its place. */
struct result {
	size_t origin;
	struct series series;
};

/* A series of the many side and one it may meet; `one` is NULL if it does not matter which. */
struct pair {
	const struct series *many, *one;
	size_t origin;
	struct labels labels;
};

struct matching {
	struct exec *x;
	const struct grid *grid;
	const struct logql_expr *e;
	struct label_group by;		 /* the labels that make up a signature */
	const struct matrix *many, *one; /* the right side is the many one for group_right */
	size_t *next_many, *next_one;
	VEC(struct match) matches; /* in order of the many side, then of the other */
	struct {
		const struct series *series;
		double value;
	} * at_one;	  /* by step, for the signature at hand; series NULL: none */
	uint8_t *at_many; /* by step: something of the many side is there */
	VEC(struct pair) pairs;
	VEC(struct result) out;
};

static enum bin_op op_of(const struct matching *m)
{
	return m->e->binop.op;
}

static bool one_to_one(const struct matching *m)
{
	return m->e->binop.match.card == CARD_ONE_TO_ONE;
}

static bool many_is_right(const struct matching *m)
{
	return !bin_op_is_set(op_of(m)) && m->e->binop.match.card == CARD_ONE_TO_MANY;
}

/* ---- signatures ---- */

static void link_series(size_t *first, size_t *last, size_t *next, size_t i)
{
	next[i] = 0;
	if (*first == 0)
		*first = i + 1;
	else
		next[*last - 1] = i + 1;
	*last = i + 1;
}

static void add_side(struct matching *m, struct map *index, const struct matrix *side, bool is_many)
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
		if (is_many)
			link_series(&s->many, &s->last_many, m->next_many, i);
		else
			link_series(&s->one, &s->last_one, m->next_one, i);
	}
	buf_fini(&key);
	vec_fini(&labels);
}

static int too_many_ones(const struct matching *m, struct err *err)
{
	return err_set(
		err, ERR_BAD_REQUEST,
		"found duplicate series on the %s hand-side;many-to-many matching not allowed: matching "
		"labels must be unique on one side",
		many_is_right(m) ? "left" : "right");
}

static int spread_one(struct matching *m, const struct match *s, struct err *err)
{
	memset(m->at_one, 0, m->grid->n * sizeof(*m->at_one));
	for (size_t i = s->one; i != 0; i = m->next_one[i - 1]) {
		const struct series *r = &m->one->series[i - 1];

		for (size_t k = 0; k < r->n; k++) {
			uint32_t step = r->point[k].step;

			if (m->at_one[step].series != NULL && !bin_op_is_set(op_of(m)))
				return too_many_ones(m, err);
			m->at_one[step].series = r;
			m->at_one[step].value = r->point[k].value;
		}
	}
	return 0;
}

static void keep_series(struct matching *m, size_t origin, struct series s)
{
	if (s.n > 0)
		vec_push(&m->out, ((struct result){ origin, s }));
}

/* ---- arithmetic and comparison ---- */

static void remove_label(struct label *v, size_t *n, struct slice name)
{
	for (size_t i = 0; i < *n; i++)
		if (slice_eq(v[i].name, name)) {
			memmove(v + i, v + i + 1, (*n - i - 1) * sizeof(*v));
			--*n;
			return;
		}
}

/* Result labels: for one to one what the signature is made of; else all, and some of the one side. None is empty. */
static struct labels result_labels(struct matching *m, const struct series *many, const struct series *one)
{
	const struct logql_names *include = &m->e->binop.match.include;
	struct label_group all = { .all = true };
	struct label_vec l = { 0 };
	size_t n = 0;

	labels_group(many->labels, one_to_one(m) ? &m->by : &all, &l);
	struct label *v = arena_array(m->x->arena, struct label, l.n + include->n);
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].value.n > 0)
			v[n++] = l.v[i];
	vec_fini(&l);
	if (one_to_one(m))
		return (struct labels){ v, n };
	for (size_t i = 0; i < include->n; i++) {
		struct slice value = one != NULL ? labels_get(one->labels, include->v[i]) : SLICE("");

		remove_label(v, &n, include->v[i]);
		if (value.n > 0)
			v[n++] = (struct label){ include->v[i], value };
	}
	labels_sort(v, n);
	return (struct labels){ v, n };
}

static int by_labels(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = labels_cmp(x->labels, y->labels);

	return c != 0 ? c : x->origin < y->origin ? -1 : x->origin > y->origin;
}

static void add_pair(struct matching *m, size_t many, const struct series *one)
{
	const struct series *s = &m->many->series[many];

	vec_push(&m->pairs, ((struct pair){ s, one, many, result_labels(m, s, one) }));
}

/* Which series of the one side a point meets matters only for the labels taken from there. */
static void make_pairs(struct matching *m, const struct match *s)
{
	bool any = one_to_one(m) || m->e->binop.match.include.n == 0;

	m->pairs.n = 0;
	for (size_t i = s->many; i != 0; i = m->next_many[i - 1]) {
		if (any)
			add_pair(m, i - 1, NULL);
		for (size_t k = s->one; k != 0 && !any; k = m->next_one[k - 1])
			add_pair(m, i - 1, &m->one->series[k - 1]);
	}
	if (m->pairs.n > 1 && !one_to_one(m))
		qsort(m->pairs.v, m->pairs.n, sizeof(*m->pairs.v), by_labels);
}

static int duplicate(const struct matching *m, struct err *err)
{
	return err_set(err, ERR_BAD_REQUEST, "multiple matches for labels: %s",
		       one_to_one(m) ? "many-to-one matching must be explicit (group_left/group_right)"
				     : "grouping labels must ensure unique matches");
}

static int run_pair(struct matching *m, const struct pair *p, bool check, struct err *err)
{
	bool swap = many_is_right(m);
	struct series o = { .labels = p->labels };

	if (query_control_check(m->x->control, err) == -1 ||
	    matrix_points(m->x, p->many->n, &o.point, err) == -1)
		return -1;
	for (size_t k = 0; k < p->many->n; k++) {
		uint32_t step = p->many->point[k].step;
		double v = p->many->point[k].value, one = m->at_one[step].value, result;

		if (m->at_one[step].series == NULL || (p->one != NULL && m->at_one[step].series != p->one))
			continue;
		if (check && m->at_many[step])
			return duplicate(m, err);
		if (check)
			m->at_many[step] = 1;
		if (binop_pair(m->e, swap ? one : v, swap ? v : one, swap ? one : v, &result))
			o.point[o.n++] = (struct point){ step, result };
	}
	keep_series(m, p->origin, o);
	return 0;
}

/* At one step, no two results of a signature may have equal labels; one to one, there may not be two at all. */
static int run_pairs(struct matching *m, struct err *err)
{
	const struct pair *v = m->pairs.v;

	for (size_t i = 0, j; i < m->pairs.n; i = j) {
		for (j = i + 1; j < m->pairs.n && (one_to_one(m) || labels_eq(v[i].labels, v[j].labels));)
			j++;
		if (j > i + 1)
			memset(m->at_many, 0, m->grid->n);
		for (size_t k = i; k < j; k++)
			if (run_pair(m, &v[k], j > i + 1, err) == -1)
				return -1;
	}
	return 0;
}

/* ---- set operators ---- */

/* The points of s at steps where the other side has (or has not) one. */
static int keep_where(struct matching *m, size_t origin, const struct series *s,
		      bool (*keep)(struct matching *, uint32_t), struct err *err)
{
	struct series o = { .labels = s->labels };

	if (matrix_points(m->x, s->n, &o.point, err) == -1)
		return -1;
	for (size_t k = 0; k < s->n; k++)
		if (keep(m, s->point[k].step))
			o.point[o.n++] = s->point[k];
	keep_series(m, origin, o);
	return 0;
}

static bool also_one(struct matching *m, uint32_t step)
{
	return m->at_one[step].series != NULL;
}

static bool not_one(struct matching *m, uint32_t step)
{
	return m->at_one[step].series == NULL;
}

static bool not_many(struct matching *m, uint32_t step)
{
	return !m->at_many[step];
}

static int left_of_set(struct matching *m, size_t i, struct err *err)
{
	const struct series *s = &m->many->series[i];

	if (op_of(m) != BIN_OR)
		return keep_where(m, i, s, op_of(m) == BIN_AND ? also_one : not_one, err);
	for (size_t k = 0; k < s->n; k++)
		m->at_many[s->point[k].step] = 1;
	keep_series(m, i, *s);
	return 0;
}

static int run_set(struct matching *m, const struct match *s, struct err *err)
{
	memset(m->at_many, 0, m->grid->n);
	for (size_t i = s->many; i != 0; i = m->next_many[i - 1])
		if (left_of_set(m, i - 1, err) == -1)
			return -1;
	for (size_t i = s->one; i != 0 && op_of(m) == BIN_OR; i = m->next_one[i - 1])
		if (keep_where(m, m->many->n + i - 1, &m->one->series[i - 1], not_many, err) == -1)
			return -1;
	return 0;
}

/* ---- */

static int run_match(struct matching *m, const struct match *s, struct err *err)
{
	if (query_control_check(m->x->control, err) == -1 || spread_one(m, s, err) == -1)
		return -1;
	if (bin_op_is_set(op_of(m)))
		return run_set(m, s, err);
	make_pairs(m, s);
	return run_pairs(m, err);
}

static int by_origin(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	return labels_cmp(x->series.labels, y->series.labels);
}

static void take_results(struct matching *m, struct matrix *out)
{
	if (m->out.n > 1)
		qsort(m->out.v, m->out.n, sizeof(*m->out.v), by_origin);
	*out = (struct matrix){ m->out.n, arena_array(m->x->arena, struct series, m->out.n) };
	for (size_t i = 0; i < m->out.n; i++)
		out->series[i] = m->out.v[i].series;
}

static void matching_fini(struct matching *m)
{
	vec_fini(&m->out);
	vec_fini(&m->pairs);
	vec_fini(&m->matches);
	free(m->at_one);
	free(m->at_many);
	free(m->next_many);
	free(m->next_one);
}

int match_run(struct exec *x, const struct grid *g, const struct logql_expr *e, const struct matrix *left,
	      const struct matrix *right, struct matrix *out, struct err *err)
{
	const struct vector_match *vm = &e->binop.match;
	struct logql_grouping by = { .present = true, .without = !vm->on, .labels = vm->labels };
	struct matching m = { .x = x, .grid = g, .e = e, .many = left, .one = right };
	struct map index;
	int rc = 0;

	if (many_is_right(&m)) {
		m.many = right;
		m.one = left;
	}
	m.by = plan_group(vm->on || vm->ignoring ? &by : NULL, x->arena);
	m.next_many = xcalloc(m.many->n + 1, sizeof(*m.next_many));
	m.next_one = xcalloc(m.one->n + 1, sizeof(*m.next_one));
	m.at_one = xcalloc(g->n, sizeof(*m.at_one));
	m.at_many = xcalloc(g->n, 1);
	map_init(&index);
	add_side(&m, &index, m.many, true);
	add_side(&m, &index, m.one, false);
	for (size_t i = 0; i < m.matches.n && rc == 0; i++)
		rc = run_match(&m, &m.matches.v[i], err);
	if (rc == 0)
		take_results(&m, out);
	map_fini(&index);
	matching_fini(&m);
	return rc;
}
