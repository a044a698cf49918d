#include "query/erase.h"
#include "base/mem.h"
#include "index/store.h"
#include "logql/parse.h"
#include "query/plan.h"

/* ---- the compiled form ---------------------------------------------------------------------------------------- */

struct compiled {
	struct erase_rule rule; /* first: what the store sees */
	struct arena arena;
	struct logql *q;
	struct plan *plan;
};

static int no_query(struct err *err)
{
	return err_set(err, ERR_BAD_REQUEST, "invalid query expression");
}

static void rule_free(struct erase_rule *rule)
{
	struct compiled *c = (struct compiled *)rule;

	plan_fini(c->plan);
	logql_free(c->q);
	arena_fini(&c->arena);
	free(c);
}

/* Planned as a log query without any index. */
static int rule_compile(struct slice text, struct erase_rule **out, struct err *err)
{
	const struct plan_options options = { .window = TIMERANGE_ALL, .no_index = true };
	struct compiled *c = xcalloc(1, sizeof(*c));
	struct err why;

	arena_init(&c->arena);
	if (logql_parse(text, &c->arena, &c->q, NULL, &why) == -1 || c->q->root->kind != LOGQL_LOG ||
	    plan_new(&c->q->root->log, &options, &c->arena, &c->plan, &why) == -1) {
		rule_free(&c->rule);
		return no_query(err);
	}
	const struct logql_log *log = &c->q->root->log;
	c->rule = (struct erase_rule){
		.m = log->matchers,
		.n_matchers = log->n_matchers,
		.whole = !pipeline_has_line_filters(c->plan->pipeline) &&
			 !pipeline_has_base_filters(c->plan->pipeline) &&
			 !pipeline_has_line_stages(c->plan->pipeline),
		.own = c,
	};
	*out = &c->rule;
	return 0;
}

/* ---- one thread at one stream --------------------------------------------------------------------------------- */

struct matching {
	const struct pipeline *pipeline;
	struct labels stream;
	struct pipe_state pipe;
	struct arena arena; /* of base */
	struct buf meta;    /* for which base was made */
	struct pipe_base base;
	bool has_base;
};

static void *state_new(const struct erase_rule *rule, struct labels stream)
{
	const struct compiled *c = rule->own;
	struct matching *m = xcalloc(1, sizeof(*m));

	m->pipeline = c->plan->pipeline;
	m->stream = stream;
	pipe_state_init(&m->pipe, m->pipeline);
	arena_init(&m->arena);
	buf_init(&m->meta);
	return m;
}

static void state_free(void *state)
{
	struct matching *m = state;

	pipe_state_fini(&m->pipe);
	arena_fini(&m->arena);
	buf_fini(&m->meta);
	free(m);
}

/* Neighbours mostly share their metadata. */
static void find_base(struct matching *m, struct slice meta)
{
	if (m->has_base && slice_eq(buf_slice(&m->meta), meta))
		return;
	buf_reset(&m->meta);
	buf_add(&m->meta, meta);
	arena_reset(&m->arena);
	pipeline_base(&m->pipe, m->stream, buf_slice(&m->meta), &m->arena, &m->base);
	m->has_base = true;
}

static bool matches(void *state, struct slice meta, int64_t ts, struct slice line)
{
	struct matching *m = state;

	find_base(m, meta);
	return m->base.keep && pipeline_line(m->pipeline, line) &&
	       (!pipeline_has_line_stages(m->pipeline) || pipeline_run(&m->pipe, &m->base, ts, line));
}

const struct erase_ops query_erase_ops = {
	.compile = rule_compile,
	.free = rule_free,
	.state_new = state_new,
	.state_free = state_free,
	.matches = matches,
};

/* ---- the door ------------------------------------------------------------------------------------------------- */

int delete_check_query(struct slice text, struct err *err)
{
	struct erase_rule *rule;

	if (rule_compile(text, &rule, err) == -1)
		return -1;
	rule_free(rule);
	return 0;
}

int delete_create(struct query_engine *e, struct slice tenant, const struct delete_request *r,
		  struct err *err)
{
	struct timerange range = { r->start, r->end < INT64_MAX ? r->end + 1 : r->end };
	char id[STORE_DELETE_ID];

	return store_delete_add(e->store, tenant, r->query, range, r->filter_only, id, err);
}

int delete_cancel(struct query_engine *e, struct slice tenant, struct slice id, bool force, struct err *err)
{
	return store_delete_cancel(e->store, tenant, id, force, err);
}

static struct slice status_of(const struct store_delete *d, struct arena *a)
{
	if (d->state == STORE_DELETE_PROCESSED)
		return SLICE("processed");
	if (d->state == STORE_DELETE_RECEIVED || d->days_done == 0 || d->days_total == 0)
		return SLICE("received");
	return slice_cstr(arena_printf(a, "%u%% Complete", d->days_done * 100 / d->days_total));
}

void delete_list(struct query_engine *e, struct slice tenant, struct arena *a, struct delete_info **out,
		 size_t *n)
{
	struct store_delete *v;

	store_delete_list(e->store, tenant, a, &v, n);
	*out = arena_array(a, struct delete_info, *n);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = (struct delete_info){
			.id = slice_cstr(v[i].id),
			.query = v[i].query,
			.status = status_of(&v[i], a),
			.start = v[i].range.start,
			.end = v[i].range.end - (v[i].range.end < INT64_MAX),
			.created_ns = v[i].created_ns,
			.purged_ns = v[i].purged_ns,
			.filter_only = v[i].filter_only,
			.n_entries = v[i].n_entries,
			.n_bytes = v[i].n_bytes,
			.n_chunks = v[i].n_chunks,
		};
}
