/* One thread keeps the schedule: it looks for groups that are due and hands them to the query scheduler, one rule after
 * the other, each as a job of its tenant. A group never runs twice at a time: what comes due meanwhile is missed, and
 * counted. */
#include "rules/ruler.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "logql/fmt.h"
#include "logql/parse.h"
#include "model/tenant.h"
#include "rules/notify.h"
#include "rules/remote_write.h"
#include "rules/ruler_internal.h"

#include <stdio.h>
#include <time.h>

#define MIN_INTERVAL_NS NS_PER_S	/* shorter ones are rounded up */
#define LOOK_NS		NS_PER_S	/* how often to look whether rules changed through the API */
#define REFRESH_NS	(10 * NS_PER_S) /* … and files */
#define SAVE_NS		(5 * NS_PER_S)
#define DOWNTIME_NS	NS_PER_MIN	  /* shorter pauses do not move what is pending */
#define FORGET_NS	(60 * NS_PER_MIN) /* alerts of a state older than that are not taken up */
enum { MAX_STATE_BYTES = 256 << 20 };

static struct {
	struct metric *evaluations, *failures, *missed, *duration, *groups;
} m;

static void init_metrics(void)
{
	m.evaluations = metric_counter("spoor_rule_evaluations_total", "Evaluations of rules.", NULL);
	m.failures = metric_counter("spoor_rule_evaluation_failures_total",
				    "Evaluations of rules that failed.", NULL);
	m.missed = metric_counter("spoor_rule_evaluations_missed_total",
				  "Evaluations of groups left out because the one before still ran or the "
				  "server was late.",
				  NULL);
	m.duration = metric_histogram("spoor_rule_evaluation_duration_seconds",
				      "Time of evaluations of single rules.", NULL);
	m.groups = metric_gauge("spoor_rule_groups", "Groups of rules on schedule.", NULL);
}

/* ------------------------------------------------------------------ time */

static int64_t slot_before(const struct live_group *g, int64_t t)
{
	int64_t k = (t - g->offset_ns) / g->interval_ns;

	return g->offset_ns + k * g->interval_ns;
}

/* Groups are spread over their interval, the same way after each start. */
static void set_interval(struct live_group *g, const struct rule_group *def)
{
	char *id = xasprintf("%s/%s/%.*s", g->tenant, g->ns, SLICE_ARG(def->name));

	g->interval_ns = MAX(def->interval_ns > 0 ? def->interval_ns : g->r->o.interval_ns, MIN_INTERVAL_NS);
	g->offset_ns = (int64_t)(hash64(slice_cstr(id)) % (uint64_t)g->interval_ns);
	g->next_due = slot_before(g, clock_now_ns()) + g->interval_ns;
	free(id);
}

/* ------------------------------------------------------------------ what an evaluation yields */

static void send_alerts(struct live_group *g, const struct rule *rule, struct rule_state *st)
{
	struct buf link;

	buf_init(&link);
	notify_link(&link, slice_cstr(g->r->o.external_url), rule->expr);
	for (size_t i = 0; i < st->alerts.v.n; i++)
		if (alert_send_due(&st->alerts.v.v[i], g->t, g->interval_ns))
			notifier_send(g->r->notifier, &st->alerts.v.v[i], buf_slice(&link));
	buf_fini(&link);
}

/* New values, and for each series that is gone the mark of its end. */
static void write_samples(struct live_group *g, int64_t t, const struct rule_samples *before,
			  const struct rule_samples *now)
{
	struct remote_write *w = g->r->remote;
	struct slice tenant = slice_cstr(g->tenant);

	if (w == NULL)
		return;
	for (size_t i = 0, k = 0; i < before->v.n || k < now->v.n;) {
		int c = i == before->v.n ? 1
			: k == now->v.n	 ? -1
					 : labels_cmp(before->v.v[i].labels, now->v.v[k].labels);

		if (c < 0) {
			remote_write_put(w, tenant, before->v.v[i++].labels, t, REMOTE_WRITE_STALE);
			continue;
		}
		i += c == 0;
		remote_write_put(w, tenant, now->v.v[k].labels, t, remote_write_bits(now->v.v[k].value));
		k++;
	}
}

/* Under the group's lock. */
static int take_over(struct live_group *g, const struct rule *rule, struct rule_outcome *o,
		     struct rule_state *st, struct err *err)
{
	size_t n_alerts = st->alerts.v.n;
	struct rule_samples before;

	if (rule_commit(rule, g->def->limit, o, g->t, st, &before, err) == -1)
		return -1;
	write_samples(g, g->t - g->def->query_offset_ns, &before, &st->samples);
	rule_samples_fini(&before);
	if (rule->alert.p != NULL)
		send_alerts(g, rule, st);
	if (n_alerts > 0 || st->alerts.v.n > 0)
		atomic_store(&g->r->dirty, true);
	return 0;
}

/* The log has a failure once, until something else happens. */
static void count_failure(struct live_group *g, size_t i, const struct err *why)
{
	const struct rule *rule = &g->def->rule[i];
	uint64_t hash = hash64(slice_cstr(why->msg));

	metric_add(m.failures, 1);
	if (hash == g->rule[i].logged)
		return;
	g->rule[i].logged = hash;
	log_warn("rule failed", KV("tenant", g->tenant), KV("namespace", g->ns), KVS("group", g->def->name),
		 KVS("rule", rule->alert.p != NULL ? rule->alert : rule->record), KV("error", why->msg));
}

static bool given_up(const struct live_group *g)
{
	return atomic_load(&g->control.cancelled);
}

static void fail_rule(struct live_group *g, size_t i, const struct err *why)
{
	if (given_up(g))
		return;
	pthread_mutex_lock(&g->lock);
	rule_failed(&g->rule[i].st, g->t, why);
	pthread_mutex_unlock(&g->lock);
	count_failure(g, i, why);
}

static void evaluate(struct live_group *g, size_t i)
{
	const struct rule_env env = {
		.engine = g->r->o.engine,
		.tenant = slice_cstr(g->tenant),
		.limits = &g->limits,
		.control = &g->control,
		.external_url = slice_cstr(g->r->o.external_url),
		.query_offset_ns = g->def->query_offset_ns,
	};
	const struct rule *rule = &g->def->rule[i];
	struct rule_state *st = &g->rule[i].st;
	int64_t started = clock_mono_ns();
	struct rule_outcome o;
	struct err err;

	metric_add(m.evaluations, 1);
	int rc = rule_run(&env, rule, g->t, &o, &err);
	if (rc == -1) {
		fail_rule(g, i, &err);
	} else {
		pthread_mutex_lock(&g->lock);
		rc = given_up(g) ? 0 : take_over(g, rule, &o, st, &err); /* its series may have ended */
		pthread_mutex_unlock(&g->lock);
		rule_outcome_fini(&o);
		if (rc == -1)
			count_failure(g, i, &err);
		else
			g->rule[i].logged = 0;
	}
	int64_t took = clock_mono_ns() - started;
	metric_observe(m.duration, (double)took / (double)NS_PER_S);
	pthread_mutex_lock(&g->lock);
	st->took_ns = took;
	pthread_mutex_unlock(&g->lock);
}

/* ------------------------------------------------------------------ a group's turn */

static void group_free(struct live_group *g)
{
	for (size_t i = 0; i < g->def->n_rules; i++) {
		rule_state_fini(&g->rule[i].st);
		free(g->rule[i].query);
	}
	free(g->rule);
	rule_group_unref(g->def);
	pthread_mutex_destroy(&g->lock);
	free(g->tenant);
	free(g->ns);
	free(g);
}

static void group_done(struct live_group *g)
{
	struct ruler *r = g->r;

	pthread_mutex_lock(&g->lock);
	g->last_eval_ns = g->t;
	g->took_ns = clock_mono_ns() - g->started_mono_ns;
	pthread_mutex_unlock(&g->lock);
	pthread_mutex_lock(&r->lock);
	g->running = false;
	r->n_running--;
	if (g->gone)
		group_free(g);
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void group_step(struct sched_job *job, const struct err *refused);

static int submit(struct live_group *g, struct err *err)
{
	int64_t timeout = g->limits.query_timeout;

	g->control.deadline_mono_ns = timeout > 0 ? clock_mono_ns() + timeout : 0;
	g->job = (struct sched_job){
		.run = group_step,
		.class = SCHED_QUERY,
		.deadline_mono_ns = g->control.deadline_mono_ns,
		.cancelled = &g->control.cancelled,
	};
	return sched_submit(g->r->o.sched, slice_cstr(g->tenant), 0, &g->job, err);
}

/* Evaluates one rule and gets in line again for the next. */
static void group_step(struct sched_job *job, const struct err *refused)
{
	struct live_group *g = (struct live_group *)((char *)job - offsetof(struct live_group, job));
	struct err err;

	if (refused == NULL) {
		evaluate(g, g->at++);
		if (g->at < g->def->n_rules && !given_up(g)) {
			if (submit(g, &err) == 0)
				return; /* g may be another thread's already */
			refused = &err;
		}
	}
	for (; refused != NULL && g->at < g->def->n_rules; g->at++)
		fail_rule(g, g->at, refused);
	group_done(g);
}

/* Under the ruler's lock. */
static void group_start(struct live_group *g, int64_t t)
{
	struct ruler *r = g->r;
	struct err err;

	if (g->def->n_rules == 0)
		return;
	r->o.limits(r->o.arg, slice_cstr(g->tenant), &g->limits);
	atomic_store(&g->control.cancelled, false);
	g->t = t;
	g->at = 0;
	g->started_mono_ns = clock_mono_ns();
	g->running = true;
	r->n_running++;
	if (submit(g, &err) == 0)
		return;
	g->running = false;
	r->n_running--;
	for (size_t i = 0; i < g->def->n_rules; i++)
		fail_rule(g, i, &err);
}

static void group_tick(struct live_group *g, int64_t now)
{
	int64_t slot, missed;

	if (now < g->next_due) {
		if (g->next_due - now > g->interval_ns) /* the clock was set back */
			g->next_due = slot_before(g, now) + g->interval_ns;
		return;
	}
	slot = slot_before(g, now);
	missed = (slot - g->next_due) / g->interval_ns + g->running;
	if (missed > 0)
		metric_add(m.missed, (uint64_t)missed);
	if (!g->running)
		group_start(g, slot);
	g->next_due = slot + g->interval_ns;
}

/* ------------------------------------------------------------------ which groups there are */

static char *slice_strdup(struct slice s)
{
	return xasprintf("%.*s", SLICE_ARG(s));
}

static char *canonical(struct slice expr)
{
	struct buf b = { 0 };
	struct logql *q = NULL;
	struct arena a;
	struct err err;

	arena_init(&a);
	if (logql_parse(expr, &a, &q, NULL, &err) == 0)
		logql_fmt(&b, q->root);
	else
		buf_add(&b, expr);
	logql_free(q);
	arena_fini(&a);
	buf_cstr_end(&b);
	return b.p;
}

static struct live_group *group_new(struct ruler *r, const struct rule_ref *ref)
{
	struct live_group *g = xcalloc(1, sizeof(*g));

	g->r = r;
	g->tenant = slice_strdup(ref->tenant);
	g->ns = slice_strdup(ref->ns);
	g->def = rule_group_ref(ref->group);
	g->rule = xcalloc(g->def->n_rules + 1, sizeof(*g->rule));
	for (size_t i = 0; i < g->def->n_rules; i++) {
		rule_state_init(&g->rule[i].st);
		g->rule[i].query = canonical(g->def->rule[i].expr);
	}
	pthread_mutex_init(&g->lock, NULL);
	set_interval(g, g->def);
	return g;
}

static struct saved_rule id_of(const struct live_group *g, const struct rule *rule)
{
	return (struct saved_rule){ .tenant = slice_cstr(g->tenant),
				    .ns = slice_cstr(g->ns),
				    .group = g->def->name,
				    .alert = rule->alert,
				    .labels = rule->labels };
}

/* What the state file has for the group. */
static void take_saved(struct ruler *r, struct live_group *g)
{
	int64_t now = clock_now_ns();

	for (size_t i = 0; i < g->def->n_rules && r->saved.v.n > 0; i++) {
		struct saved_rule id = id_of(g, &g->def->rule[i]), *s;

		if (id.alert.p == NULL || (s = saved_rules_find(&r->saved, &id)) == NULL)
			continue;
		int64_t down = now - s->last_eval_ns - g->interval_ns;
		s->taken = true;
		if (down > FORGET_NS)
			continue;
		if (down > DOWNTIME_NS)
			alerts_were_down(&s->alerts, down);
		for (size_t k = 0; k < s->alerts.v.n; k++)
			alerts_add(&g->rule[i].st.alerts, &s->alerts.v.v[k]);
	}
}

static bool same_rule(const struct rule *a, const struct rule *b)
{
	return slice_eq(a->alert, b->alert) && slice_eq(a->record, b->record) &&
	       (a->alert.p == NULL) == (b->alert.p == NULL) && labels_eq(a->labels, b->labels);
}

/* A changed group goes on with the states of rules that have kept name and labels. */
static void take_states(struct live_group *g, struct live_group *old)
{
	bool *taken = xcalloc(old->def->n_rules + 1, sizeof(*taken));

	for (size_t i = 0; i < g->def->n_rules; i++)
		for (size_t k = 0; k < old->def->n_rules; k++) {
			struct rule_state st = g->rule[i].st;

			if (taken[k] || !same_rule(&g->def->rule[i], &old->def->rule[k]))
				continue;
			g->rule[i].st = old->rule[k].st;
			old->rule[k].st = st;
			taken[k] = true;
			break;
		}
	free(taken);
	g->last_eval_ns = old->last_eval_ns;
	g->took_ns = old->took_ns;
	if (g->interval_ns == old->interval_ns)
		g->next_due = old->next_due;
}

/* Nobody evaluates it from now on: its series end. */
static void group_retire(struct live_group *g)
{
	const struct rule_samples none = { 0 };

	g->gone = true;
	atomic_store(&g->control.cancelled, true);
	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->def->n_rules; i++)
		write_samples(g, clock_now_ns() - g->def->query_offset_ns, &g->rule[i].st.samples, &none);
	pthread_mutex_unlock(&g->lock);
	atomic_store(&g->r->dirty, true);
	if (!g->running)
		group_free(g);
}

static struct live_group *find_group(const struct ruler *r, const struct rule_ref *ref)
{
	for (size_t i = 0; i < r->groups.n; i++) {
		struct live_group *g = r->groups.v[i];

		if (g != NULL && slice_eq(g->def->name, ref->group->name) && slice_is(ref->ns, g->ns) &&
		    slice_is(ref->tenant, g->tenant))
			return g;
	}
	return NULL;
}

static void forget_place(struct ruler *r, const struct live_group *g)
{
	for (size_t i = 0; i < r->groups.n; i++)
		if (r->groups.v[i] == g)
			r->groups.v[i] = NULL;
}

/* The live group for what the store has. */
static struct live_group *bring_up(struct ruler *r, const struct rule_ref *ref)
{
	struct live_group *old = find_group(r, ref), *g;

	if (old == NULL) {
		g = group_new(r, ref);
		take_saved(r, g);
		return g;
	}
	forget_place(r, old);
	if (old->def == ref->group)
		return old;
	if (old->running) { /* its states are in use: the next time */
		r->behind = true;
		return old;
	}
	g = group_new(r, ref);
	take_states(g, old);
	group_retire(old);
	return g;
}

void ruler_sync(struct ruler *r)
{
	uint64_t version = rule_store_version(r->o.rules);
	const struct slice any = { NULL, 0 };
	VEC(struct live_group *) next = { 0 };
	struct rule_view view;

	if (version == r->version && !r->behind)
		return;
	r->behind = false;
	rule_view_take(r->o.rules, any, any, any, &view);
	for (size_t i = 0; i < view.n; i++)
		vec_push(&next, bring_up(r, &view.ref[i]));
	rule_view_fini(&view);
	for (size_t i = 0; i < r->groups.n; i++)
		if (r->groups.v[i] != NULL)
			group_retire(r->groups.v[i]);
	vec_fini(&r->groups);
	r->groups.v = next.v;
	r->groups.n = next.n;
	r->groups.cap = next.cap;
	r->version = version;
	metric_set(m.groups, (int64_t)next.n);
}

/* ------------------------------------------------------------------ the state file */

static void load_state(struct ruler *r)
{
	struct buf text = { 0 };
	struct err err;

	if (!file_exists(r->o.state_file))
		return;
	if (file_read_all(r->o.state_file, MAX_STATE_BYTES, &text, &err) == -1 ||
	    state_file_parse(buf_slice(&text), &r->saved, &err) == -1)
		log_warn("alerts begin afresh", KV("file", r->o.state_file), KV("error", err.msg));
	buf_fini(&text);
}

static void add_states(struct live_group *g, struct buf *out)
{
	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->def->n_rules; i++) {
		struct saved_rule id = id_of(g, &g->def->rule[i]);

		if (g->rule[i].st.alerts.v.n == 0)
			continue;
		id.last_eval_ns =
			g->rule[i].st.last_eval_ns != 0 ? g->rule[i].st.last_eval_ns : clock_now_ns();
		id.alerts = g->rule[i].st.alerts;
		state_file_add(out, &id);
	}
	pthread_mutex_unlock(&g->lock);
}

static void save_state(struct ruler *r)
{
	struct buf text = { 0 };
	struct err err;

	if (!atomic_exchange(&r->dirty, false))
		return;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->groups.n; i++)
		add_states(r->groups.v[i], &text);
	pthread_mutex_unlock(&r->lock);
	state_file_end(&text);
	if (file_replace(r->o.state_file, buf_slice(&text), &err) == -1) {
		atomic_store(&r->dirty, true);
		log_warn("cannot keep the state of alerts", KV("error", err.msg));
	}
	buf_fini(&text);
}

/* ------------------------------------------------------------------ the schedule */

/* Starts what is due; returns how long nothing else will be. Under the lock. */
static int64_t tick(struct ruler *r)
{
	int64_t now = clock_now_ns(), wait = LOOK_NS;

	ruler_sync(r);
	for (size_t i = 0; i < r->groups.n; i++) {
		group_tick(r->groups.v[i], now);
		wait = MIN(wait, r->groups.v[i]->next_due - now);
	}
	return MAX(wait, NS_PER_MS);
}

static void wait_until(struct ruler *r, int64_t mono_ns)
{
	const struct timespec until = { mono_ns / NS_PER_S, mono_ns % NS_PER_S };

	pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

static void *thread_main(void *arg)
{
	struct ruler *r = arg;
	int64_t refreshed = clock_mono_ns(), saved = refreshed;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		int64_t until = clock_mono_ns() + tick(r);

		while (!r->stopping && clock_mono_ns() < until)
			wait_until(r, until);
		pthread_mutex_unlock(&r->lock);
		if (clock_mono_ns() - refreshed >= REFRESH_NS) {
			rule_store_refresh(r->o.rules);
			refreshed = clock_mono_ns();
		}
		if (clock_mono_ns() - saved >= SAVE_NS) {
			save_state(r);
			saved = clock_mono_ns();
		}
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ------------------------------------------------------------------ gauges */

static void put_gauge(const struct live_group *g, const struct rule_sample *s, struct buf *tmp,
		      metrics_put *put, void *to)
{
	struct slice name = { NULL, 0 };

	buf_reset(tmp);
	for (size_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.v[i];

		if (slice_is(l->name, "__name__")) {
			name = l->value;
			continue;
		}
		char *label = slice_strdup(l->name);
		metric_label(tmp, label, l->value);
		free(label);
	}
	/* Two tenants may have rules of one name. */
	if (strcmp(g->tenant, TENANT_DEFAULT) != 0 && labels_get(s->labels, SLICE("tenant")).p == NULL)
		metric_label(tmp, "tenant", slice_cstr(g->tenant));
	put(to, name, buf_slice(tmp), s->value);
}

static void list_gauges(void *arg, metrics_put *put, void *to)
{
	struct ruler *r = arg;
	struct buf tmp = { 0 };

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->groups.n; i++) {
		struct live_group *g = r->groups.v[i];

		pthread_mutex_lock(&g->lock);
		for (size_t k = 0; k < g->def->n_rules; k++) {
			const struct rule_samples *s = &g->rule[k].st.samples;

			if (g->def->rule[k].alert.p != NULL)
				continue;
			for (size_t n = 0; n < s->v.n; n++)
				put_gauge(g, &s->v.v[n], &tmp, put, to);
		}
		pthread_mutex_unlock(&g->lock);
	}
	pthread_mutex_unlock(&r->lock);
	buf_fini(&tmp);
}

/* ------------------------------------------------------------------ life */

static void free_rest(struct ruler *r)
{
	if (r->notifier != NULL)
		notifier_stop(r->notifier);
	if (r->remote != NULL)
		remote_write_stop(r->remote);
	notifier_free(r->notifier);
	remote_write_free(r->remote);
	saved_rules_fini(&r->saved);
	vec_fini(&r->groups);
	free((void *)(uintptr_t)r->o.state_file);
	free((void *)(uintptr_t)r->o.external_url);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int ruler_new(const struct ruler_options *o, struct ruler **out, struct err *err)
{
	struct ruler *r = xcalloc(1, sizeof(*r));

	init_metrics();
	r->o = *o;
	r->o.state_file = xstrdup(o->state_file);
	r->o.external_url = xstrdup(o->external_url != NULL ? o->external_url : "");
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->changed);
	if (notifier_new(o->alertmanager_url, o->n_alertmanager_urls, &r->notifier, err) == -1)
		goto fail;
	if (o->remote_write_url != NULL && o->remote_write_url[0] != '\0' &&
	    remote_write_new(o->remote_write_url, &r->remote, err) == -1)
		goto fail;
	r->o.alertmanager_url = NULL;
	r->o.remote_write_url = NULL;
	r->behind = true;
	load_state(r);
	if (pthread_create(&r->thread, NULL, thread_main, r) != 0)
		abort();
	pthread_setname_np(r->thread, "spoor-ruler");
	metrics_set_source(list_gauges, r);
	*out = r;
	return 0;
fail:
	free_rest(r);
	return -1;
}

/* Ends the schedule and what runs. */
static void stop(struct ruler *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->groups.n; i++)
		atomic_store(&r->groups.v[i]->control.cancelled, true);
	while (r->n_running > 0)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

void ruler_free(struct ruler *r)
{
	if (r == NULL)
		return;
	metrics_set_source(NULL, NULL);
	stop(r);
	save_state(r);
	for (size_t i = 0; i < r->groups.n; i++)
		group_free(r->groups.v[i]);
	free_rest(r);
}
