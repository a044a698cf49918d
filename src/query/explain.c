#include "query/explain.h"
#include "base/buf.h"
#include "logql/fmt.h"
#include "logql/funcs.h"
#include "logql/parse.h"
#include "query/range.h"

struct explain {
	struct exec exec;
	struct grid grid;
	struct arena *arena; /* of the result */
	VEC(struct explain_node) nodes;
	VEC(struct explain_scan) scans;
	struct err *err;
};

/* ---- the tree ---- */

static struct slice text_of(struct explain *x, struct buf *b)
{
	struct slice s = arena_dup(x->arena, buf_slice(b));

	buf_fini(b);
	return s;
}

static void add_node(struct explain *x, unsigned depth, const char *kind, const char *name, struct slice text,
		     struct logql_pos pos)
{
	vec_push(&x->nodes,
		 ((struct explain_node){ depth, kind, slice_cstr(name != NULL ? name : ""), text, pos }));
}

static void add_expr(struct explain *x, unsigned depth, const char *kind, const char *name,
		     const struct logql_expr *e)
{
	struct buf b;

	buf_init(&b);
	logql_fmt(&b, e);
	add_node(x, depth, kind, name, text_of(x, &b), e->pos);
}

static struct slice selector_text(struct explain *x, const struct logql_log *log)
{
	struct buf b;

	buf_init(&b);
	buf_putc(&b, '{');
	for (size_t i = 0; i < log->n_matchers; i++) {
		buf_puts(&b, i > 0 ? ", " : "");
		logql_fmt_matcher(&b, &log->matchers[i]);
	}
	buf_putc(&b, '}');
	return text_of(x, &b);
}

static void add_log(struct explain *x, unsigned depth, const struct logql_log *log, struct logql_pos pos)
{
	add_node(x, depth, "selector", NULL, selector_text(x, log), pos);
	for (size_t i = 0; i < log->n_stages; i++) {
		struct buf b;

		buf_init(&b);
		logql_fmt_stage(&b, &log->stages[i]);
		add_node(x, depth, "stage", stage_name(log->stages[i].kind), text_of(x, &b),
			 log->stages[i].pos);
	}
}

static void add_unwrap(struct explain *x, unsigned depth, const struct logql_unwrap *u)
{
	if (u != NULL)
		add_node(x, depth, "unwrap", unwrap_conv_name(u->conv), arena_dup(x->arena, u->label),
			 u->pos);
}

/* The parser bounds the depth. */
static void add_tree(struct explain *x, unsigned depth, const struct logql_expr *e)
{
	switch (e->kind) {
	case LOGQL_LOG:
		add_expr(x, depth, "log query", NULL, e);
		add_log(x, depth + 1, &e->log, e->pos);
		break;
	case LOGQL_RANGE_AGG:
		add_expr(x, depth, "range aggregation", range_funcs[e->range_agg.op].name, e);
		add_log(x, depth + 1, &e->range_agg.range.log, e->range_agg.range.pos);
		add_unwrap(x, depth + 1, e->range_agg.range.unwrap);
		break;
	case LOGQL_VECTOR_AGG:
		add_expr(x, depth, "vector aggregation", vector_funcs[e->vector_agg.op].name, e);
		add_tree(x, depth + 1, e->vector_agg.expr);
		break;
	case LOGQL_BINOP:
		add_expr(x, depth, "binary operation", bin_op_name(e->binop.op), e);
		add_tree(x, depth + 1, e->binop.left);
		add_tree(x, depth + 1, e->binop.right);
		break;
	case LOGQL_LABEL_REPLACE:
		add_expr(x, depth, "function", "label_replace", e);
		add_tree(x, depth + 1, e->label_replace.expr);
		break;
	case LOGQL_LITERAL: add_expr(x, depth, "literal", NULL, e); break;
	case LOGQL_VECTOR: add_expr(x, depth, "function", "vector", e); break;
	}
}

/* ---- scans ---- */

static struct slice *copy_names(struct arena *a, const struct slice *v, size_t n)
{
	struct slice *out = arena_array(a, struct slice, n);

	for (size_t i = 0; i < n; i++)
		out[i] = arena_dup(a, v[i]);
	return out;
}

static void describe_plan(struct explain *x, const struct plan *p, struct explain_scan *s)
{
	s->selector = selector_text(x, p->log);
	s->window = p->window;
	s->n_needles = p->n_needles;
	s->needle = copy_names(x->arena, p->needles, p->n_needles);
	s->n_lookups = p->n_lookups;
	s->lookup_tokens = arena_array(x->arena, size_t, p->n_lookups);
	for (size_t i = 0; i < p->n_lookups; i++)
		s->lookup_tokens[i] = p->lookups[i].tokens.n;
	s->all_labels = p->needs.all;
	s->n_labels = p->needs.n;
	s->label = copy_names(x->arena, p->needs.names, p->needs.n);
	s->reads_lines = !p->no_lines;
}

static int describe_cost(struct explain *x, const struct plan *p, struct explain_scan *s)
{
	struct scan scan;

	s->index = "none";
	if (p->window.start >= p->window.end)
		return 0;
	if (scan_init(&scan, &x->exec, p, x->err) == -1)
		return -1;
	const struct snap_stats *st = snapshot_stats(scan.snap);
	s->index = st->used_trace_index ? "trace" : "labels";
	s->streams = snapshot_n_streams(scan.snap);
	s->chunks = st->chunks_considered;
	s->chunks_skipped_by_trace = st->chunks_skipped_by_trace;
	s->chunks_skipped_by_filter = st->chunks_skipped_by_filter;
	s->chunks_skipped = s->chunks_skipped_by_trace + s->chunks_skipped_by_filter;
	s->days_skipped = st->days_skipped_by_trace;
	s->units = snapshot_n_units(scan.snap);
	for (size_t i = 0; i < s->units; i++) {
		s->entries += snapshot_unit(scan.snap, i)->n_entries;
		s->bytes += snapshot_unit(scan.snap, i)->raw_bytes;
	}
	scan_fini(&scan);
	return 0;
}

static int add_scan(struct explain *x, const struct logql_log *log, const struct plan_options *o)
{
	struct explain_scan s = { 0 };
	struct plan *p;

	if (plan_new(log, o, x->exec.arena, &p, x->err) == -1)
		return -1;
	describe_plan(x, p, &s);
	int rc = describe_cost(x, p, &s);
	if (rc == 0)
		vec_push(&x->scans, s);
	plan_fini(p);
	return rc;
}

static int add_range(struct explain *x, const struct logql_expr *e, const struct logql_grouping *outer)
{
	struct plan_options o;

	range_plan_options(&x->exec, &x->grid, e, outer, &o);
	return add_scan(x, &e->range_agg.range.log, &o);
}

static int add_scans(struct explain *x, const struct logql_expr *e)
{
	const struct query_request *r = x->exec.req;

	switch (e->kind) {
	case LOGQL_LOG: {
		struct plan_options o = { .keys = x->exec.engine->keys,
					  .window = { r->start, r->end },
					  .backward = r->backward,
					  .no_index = r->no_index };

		return add_scan(x, &e->log, &o);
	}
	case LOGQL_RANGE_AGG: return add_range(x, e, NULL);
	case LOGQL_VECTOR_AGG:
		if (range_pushed_grouping(e) != NULL)
			return add_range(x, e->vector_agg.expr, range_pushed_grouping(e));
		return add_scans(x, e->vector_agg.expr);
	case LOGQL_LABEL_REPLACE: return add_scans(x, e->label_replace.expr);
	case LOGQL_BINOP: return add_scans(x, e->binop.left) == -1 ? -1 : add_scans(x, e->binop.right);
	case LOGQL_LITERAL:
	case LOGQL_VECTOR: return 0;
	}
	return 0;
}

/* ---- together ---- */

static void take_lists(struct explain *x, struct explain_result *out)
{
	out->n_nodes = x->nodes.n;
	out->node = arena_array(x->arena, struct explain_node, x->nodes.n);
	memcpy(out->node, x->nodes.v, x->nodes.n * sizeof(*out->node));
	out->n_scans = x->scans.n;
	out->scan = arena_array(x->arena, struct explain_scan, x->scans.n);
	if (x->scans.n > 0)
		memcpy(out->scan, x->scans.v, x->scans.n * sizeof(*out->scan));
}

static int explain(struct explain *x, const struct logql *q, struct explain_result *out)
{
	struct buf b;

	if (q->root->kind != LOGQL_LOG && grid_make(x->exec.req, &x->grid, x->err) == -1)
		return -1;
	add_tree(x, 0, q->root);
	if (add_scans(x, q->root) == -1)
		return -1;
	buf_init(&b);
	logql_fmt(&b, q->root);
	out->text = text_of(x, &b);
	out->type = q->root->kind == LOGQL_LOG ? "log" : "metric";
	take_lists(x, out);
	return 0;
}

int explain_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
		struct explain_result *out, struct err *err)
{
	struct explain_result result = { 0 };
	struct query_request request = *r;
	struct explain x = { .arena = &result.arena, .err = err };
	struct arena arena;
	struct logql *q = NULL;
	int rc = -1;

	request.limits = NULL; /* what would be refused can be explained, too */
	arena_init(&arena);
	arena_init(&result.arena);
	x.exec = (struct exec){ .engine = e, .req = &request, .control = c, .arena = &arena };
	if (query_control_check(c, err) == 0 && logql_parse(r->text, &arena, &q, NULL, err) == 0)
		rc = explain(&x, q, &result);
	if (rc == 0)
		*out = result;
	else
		explain_result_fini(&result);
	exec_refund(&x.exec, x.exec.memory);
	vec_fini(&x.nodes);
	vec_fini(&x.scans);
	logql_free(q);
	arena_fini(&arena);
	return rc;
}

void explain_result_fini(struct explain_result *r)
{
	arena_fini(&r->arena);
	*r = (struct explain_result){ 0 };
}
