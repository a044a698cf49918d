#include "rules/eval.h"
#include "base/text.h"
#include "query/tmpl_run.h"
#include "rules/template.h"

#define LABEL_NAME	 SLICE("__name__")
#define LABEL_ALERTNAME	 SLICE("alertname")
#define LABEL_ALERTSTATE SLICE("alertstate")

/* ---- what is remembered ---- */

void rule_samples_init(struct rule_samples *s)
{
	*s = (struct rule_samples){ 0 };
	arena_init(&s->arena);
}

void rule_samples_fini(struct rule_samples *s)
{
	vec_fini(&s->v);
	arena_fini(&s->arena);
}

void rule_state_init(struct rule_state *st)
{
	*st = (struct rule_state){ 0 };
	alerts_init(&st->alerts);
	rule_samples_init(&st->samples);
}

void rule_state_fini(struct rule_state *st)
{
	free(st->last_error);
	alerts_fini(&st->alerts);
	rule_samples_fini(&st->samples);
}

void rule_outcome_fini(struct rule_outcome *o)
{
	vec_fini(&o->alerts);
	vec_fini(&o->samples);
	arena_fini(&o->arena);
}

/* ---- labels ---- */

/* Receivers refuse what is not UTF-8: each bad byte becomes U+FFFD. */
static struct slice clean(struct arena *a, struct slice s)
{
	struct buf b;

	if (utf8_valid(s))
		return arena_dup(a, s);
	buf_init(&b);
	for (size_t n; s.n > 0; s = slice_from(s, n)) {
		char utf8[4];
		uint32_t rune = utf8_decode(s, &n);

		buf_append(&b, utf8, utf8_encode(utf8, rune));
	}
	struct slice out = arena_dup(a, buf_slice(&b));
	buf_fini(&b);
	return out;
}

struct label_maker {
	struct arena *a;
	struct label *v;
	size_t n;
	bool keep_empty;
};

/* Room for n pairs. */
static struct label_maker label_maker(struct arena *a, size_t n)
{
	return (struct label_maker){ a, arena_array(a, struct label, n), 0, false };
}

/* Replaces a pair of this name; an empty value takes a label away. */
static void label_put(struct label_maker *m, struct slice name, struct slice value)
{
	size_t i = 0;

	while (i < m->n && !slice_eq(m->v[i].name, name))
		i++;
	if (value.n == 0 && !m->keep_empty) {
		if (i < m->n)
			m->v[i] = m->v[--m->n];
		return;
	}
	if (i == m->n)
		m->n++;
	m->v[i] = (struct label){ arena_dup(m->a, name), clean(m->a, value) };
}

static struct labels label_done(struct label_maker *m)
{
	labels_sort(m->v, m->n);
	return (struct labels){ m->v, m->n };
}

/* ---- the query ---- */

static int run_query(const struct rule_env *env, const struct rule *rule, int64_t t, struct query_result *out,
		     struct err *err)
{
	const struct query_request r = {
		.tenant = env->tenant,
		.text = rule->expr,
		.instant = true,
		.start = t,
		.end = t,
		.step = NS_PER_S,
		.limits = env->limits,
	};

	if (query_run(env->engine, &r, env->control, out, err) == -1)
		return -1;
	if (out->type == RESULT_VECTOR || out->type == RESULT_SCALAR)
		return 0;
	query_result_fini(out);
	return err_set(err, ERR_BAD_REQUEST, "rule result is not a vector or scalar");
}

/* ---- alerts ---- */

static struct labels expand_all(const struct rule *rule, struct labels templates,
				const struct rule_template_data *d, struct tmpl_run *run, struct arena *a,
				struct label_maker *m)
{
	for (size_t i = 0; i < templates.n; i++) {
		struct slice value;

		rule_template_expand(rule->alert, templates.v[i].value, d, run, a, &value);
		label_put(m, templates.v[i].name, value);
	}
	return label_done(m);
}

static void add_alert(const struct rule_env *env, const struct rule *rule, const struct result_series *s,
		      struct tmpl_run *run, struct rule_outcome *out)
{
	struct arena *a = &out->arena;
	struct alert_sample x = { .value = s->point[0].value };
	const struct rule_template_data d = { s->labels, x.value, env->external_url };
	struct label_maker m = label_maker(a, s->labels.n + rule->labels.n + 1);

	for (size_t i = 0; i < s->labels.n; i++)
		if (!slice_eq(s->labels.v[i].name, LABEL_NAME))
			label_put(&m, s->labels.v[i].name, s->labels.v[i].value);
	expand_all(rule, rule->labels, &d, run, a, &m);
	label_put(&m, LABEL_ALERTNAME, rule->alert);
	x.labels = label_done(&m);
	m = label_maker(a, rule->annotations.n);
	m.keep_empty = true;
	x.annotations = expand_all(rule, rule->annotations, &d, run, a, &m);
	vec_push(&out->alerts, x);
}

/* ---- recording rules ---- */

static void add_sample(const struct rule *rule, const struct result_series *s, struct rule_outcome *out)
{
	struct label_maker m = label_maker(&out->arena, s->labels.n + rule->labels.n + 1);

	for (size_t i = 0; i < s->labels.n; i++)
		label_put(&m, s->labels.v[i].name, s->labels.v[i].value);
	label_put(&m, LABEL_NAME, rule->record);
	for (size_t i = 0; i < rule->labels.n; i++)
		label_put(&m, rule->labels.v[i].name, rule->labels.v[i].value);
	vec_push(&out->samples, ((struct rule_sample){ label_done(&m), s->point[0].value }));
}

/* ---- both ---- */

static void add_series(const struct rule_env *env, const struct rule *rule, const struct query_result *r,
		       struct rule_outcome *out)
{
	struct tmpl_run run;

	tmpl_run_init(&run);
	for (size_t i = 0; i < r->n_series; i++) {
		if (r->series[i].n == 0)
			continue;
		if (rule->alert.p != NULL)
			add_alert(env, rule, &r->series[i], &run, out);
		else
			add_sample(rule, &r->series[i], out);
	}
	tmpl_run_fini(&run);
}

int rule_run(const struct rule_env *env, const struct rule *rule, int64_t t, struct rule_outcome *out,
	     struct err *err)
{
	struct query_result r;
	struct rule_outcome o = { 0 };

	if (run_query(env, rule, t - env->query_offset_ns, &r, err) == -1)
		return -1;
	arena_init(&o.arena);
	query_guard_begin(env->control);
	add_series(env, rule, &r, &o);
	int rc = query_guard_end(env->control, 0, err);
	query_result_fini(&r);
	if (rc == -1)
		rule_outcome_fini(&o);
	else
		*out = o;
	return rc;
}

static int sample_by_labels(const void *a, const void *b)
{
	return labels_cmp(((const struct rule_sample *)a)->labels, ((const struct rule_sample *)b)->labels);
}

static void keep_sample(struct rule_samples *to, struct labels labels, double value)
{
	vec_push(&to->v, ((struct rule_sample){ labels_dup(&to->arena, labels), value }));
}

static void sort_samples(struct rule_samples *s)
{
	if (s->v.n > 1)
		qsort(s->v.v, s->v.n, sizeof(*s->v.v), sample_by_labels);
}

/* ALERTS{alertstate="…"} 1 and ALERTS_FOR_STATE, whose value is when the alert became active. */
static void alert_samples(const struct alerts *alerts, struct rule_samples *out)
{
	for (size_t i = 0; i < alerts->v.n; i++) {
		const struct alert *x = &alerts->v.v[i];
		struct label_maker m;

		if (x->state == ALERT_INACTIVE)
			continue;
		m = label_maker(&out->arena, x->labels.n + 2);
		for (size_t k = 0; k < x->labels.n; k++)
			label_put(&m, x->labels.v[k].name, x->labels.v[k].value);
		label_put(&m, LABEL_NAME, SLICE("ALERTS_FOR_STATE"));
		keep_sample(out, label_done(&m), (double)(x->active_at / NS_PER_S));
		label_put(&m, LABEL_NAME, SLICE("ALERTS"));
		label_put(&m, LABEL_ALERTSTATE, slice_cstr(alert_state_name(x->state)));
		keep_sample(out, label_done(&m), 1);
	}
}

static int record(struct rule_outcome *o, int64_t limit, struct rule_samples *out, struct err *err)
{
	for (size_t i = 0; i < o->samples.n; i++)
		keep_sample(out, o->samples.v[i].labels, o->samples.v[i].value);
	sort_samples(out);
	for (size_t i = 1; i < out->v.n; i++)
		if (labels_eq(out->v.v[i - 1].labels, out->v.v[i].labels))
			return err_set(err, ERR_UNPROCESSABLE,
				       "vector contains metrics with the same labelset after applying rule "
				       "labels");
	if (limit > 0 && out->v.n > (size_t)limit)
		return err_set(err, ERR_UNPROCESSABLE, "exceeded limit of %lld with %zu series",
			       (long long)limit, out->v.n);
	return 0;
}

static int commit(const struct rule *rule, int64_t limit, struct rule_outcome *o, int64_t t,
		  struct rule_state *st, struct rule_samples *out, struct err *err)
{
	const struct alert_rule how = { rule->for_ns, rule->keep_firing_for_ns, limit };

	if (rule->alert.p == NULL)
		return record(o, limit, out, err);
	if (alerts_update(&st->alerts, &how, o->alerts.v, o->alerts.n, t, err) == -1)
		return -1;
	alert_samples(&st->alerts, out);
	sort_samples(out);
	return 0;
}

int rule_commit(const struct rule *rule, int64_t limit, struct rule_outcome *o, int64_t t,
		struct rule_state *st, struct rule_samples *before, struct err *err)
{
	struct rule_samples now;

	rule_samples_init(before);
	rule_samples_init(&now);
	if (commit(rule, limit, o, t, st, &now, err) == -1) {
		rule_samples_fini(&now);
		rule_failed(st, t, err);
		return -1;
	}
	*before = st->samples;
	st->samples = now;
	st->health = RULE_OK;
	free(st->last_error);
	st->last_error = NULL;
	st->last_eval_ns = t;
	return 0;
}

void rule_failed(struct rule_state *st, int64_t t, const struct err *why)
{
	st->health = RULE_ERR;
	free(st->last_error);
	st->last_error = xstrdup(why->msg);
	st->last_eval_ns = t;
}

int rule_eval(const struct rule_env *env, const struct rule *rule, int64_t limit, int64_t t,
	      struct rule_state *st, struct err *err)
{
	struct rule_samples before;
	struct rule_outcome o;

	if (rule_run(env, rule, t, &o, err) == -1) {
		rule_failed(st, t, err);
		return -1;
	}
	int rc = rule_commit(rule, limit, &o, t, st, &before, err);
	rule_samples_fini(&before);
	rule_outcome_fini(&o);
	return rc;
}
