/* What people see of rules and alerts: the shapes of Prometheus' API, in the order in which Loki has the members. */
#include "base/json_out.h"
#include "rules/ruler_internal.h"

#define NEVER SLICE("0001-01-01T00:00:00Z")

static bool listed(const struct slice *v, size_t n, struct slice s)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(v[i], s))
			return true;
	return n == 0;
}

static void put_text(struct json_out *j, const char *key, struct slice s)
{
	json_key(j, key);
	json_str(j, s);
}

static void put_labels(struct json_out *j, const char *key, struct labels l)
{
	json_key(j, key);
	labels_json(j, l);
}

static void put_time(struct json_out *j, const char *key, int64_t ns)
{
	struct buf b = { 0 };

	if (ns != 0)
		clock_format_rfc3339(&b, ns, true);
	put_text(j, key, ns != 0 ? buf_slice(&b) : NEVER);
	buf_fini(&b);
}

static void put_seconds(struct json_out *j, const char *key, int64_t ns)
{
	json_key(j, key);
	json_float(j, (double)ns / (double)NS_PER_S);
}

static void put_alert(struct json_out *j, const struct alert *a)
{
	struct buf value = { 0 };

	state_file_put_value(&value, a->value);
	json_open(j, '{');
	put_labels(j, "labels", a->labels);
	put_labels(j, "annotations", a->annotations);
	put_text(j, "state", slice_cstr(alert_state_name(a->state)));
	put_time(j, "activeAt", a->active_at);
	put_text(j, "value", buf_slice(&value));
	json_close(j, '}');
	buf_fini(&value);
}

/* Those that are resolved are no longer of interest. */
static void put_alerts(struct json_out *j, const struct alerts *alerts)
{
	for (size_t i = 0; i < alerts->v.n; i++)
		if (alerts->v.v[i].state != ALERT_INACTIVE)
			put_alert(j, &alerts->v.v[i]);
}

static void put_health(struct json_out *j, const struct rule_state *st, const char *type)
{
	static const char *const names[] = {
		[RULE_UNKNOWN] = "unknown",
		[RULE_OK] = "ok",
		[RULE_ERR] = "err",
	};

	put_text(j, "health", slice_cstr(names[st->health]));
	put_text(j, "lastError", slice_cstr(st->last_error != NULL ? st->last_error : ""));
	put_text(j, "type", slice_cstr(type));
	put_time(j, "lastEvaluation", st->last_eval_ns);
	put_seconds(j, "evaluationTime", st->took_ns);
}

static void put_rule(struct json_out *j, const struct rule *rule, const struct live_rule *live)
{
	const struct rule_state *st = &live->st;
	bool alerting = rule->alert.p != NULL;

	json_open(j, '{');
	if (alerting)
		put_text(j, "state", slice_cstr(alert_state_name(alerts_state(&st->alerts))));
	put_text(j, "name", alerting ? rule->alert : rule->record);
	put_text(j, "query", slice_cstr(live->query));
	if (alerting)
		put_seconds(j, "duration", rule->for_ns);
	put_labels(j, "labels", rule->labels);
	if (alerting) {
		put_labels(j, "annotations", rule->annotations);
		json_key(j, "alerts");
		json_open(j, '[');
		put_alerts(j, &st->alerts);
		json_close(j, ']');
	}
	put_health(j, st, alerting ? "alerting" : "recording");
	json_close(j, '}');
}

static bool rule_wanted(const struct rule *rule, const struct ruler_filter *f)
{
	bool alerting = rule->alert.p != NULL;

	return !(f->only_alerting && !alerting) && !(f->only_recording && alerting) &&
	       listed(f->rule, f->n_rules, alerting ? rule->alert : rule->record);
}

static bool group_wanted(const struct live_group *g, const struct ruler_filter *f)
{
	if (!listed(f->file, f->n_files, slice_cstr(g->ns)) || !listed(f->group, f->n_groups, g->def->name))
		return false;
	for (size_t i = 0; i < g->def->n_rules; i++)
		if (rule_wanted(&g->def->rule[i], f))
			return true;
	return false;
}

static void put_group(struct json_out *j, const struct live_group *g, const struct ruler_filter *f)
{
	json_open(j, '{');
	put_text(j, "name", g->def->name);
	put_text(j, "file", slice_cstr(g->ns));
	json_key(j, "rules");
	json_open(j, '[');
	for (size_t i = 0; i < g->def->n_rules; i++)
		if (rule_wanted(&g->def->rule[i], f))
			put_rule(j, &g->def->rule[i], &g->rule[i]);
	json_close(j, ']');
	put_seconds(j, "interval", g->interval_ns);
	json_key(j, "limit");
	json_int(j, g->def->limit);
	put_time(j, "lastEvaluation", g->last_eval_ns);
	put_seconds(j, "evaluationTime", g->took_ns);
	json_close(j, '}');
}

static void for_each_group(struct ruler *r, struct slice tenant, struct json_out *j,
			   void (*fn)(struct json_out *j, const struct live_group *g,
				      const struct ruler_filter *f),
			   const struct ruler_filter *f)
{
	json_open(j, '[');
	pthread_mutex_lock(&r->lock);
	ruler_sync(r);
	for (size_t i = 0; i < r->groups.n; i++) {
		struct live_group *g = r->groups.v[i];

		if (!slice_is(tenant, g->tenant) || !group_wanted(g, f))
			continue;
		pthread_mutex_lock(&g->lock);
		fn(j, g, f);
		pthread_mutex_unlock(&g->lock);
	}
	pthread_mutex_unlock(&r->lock);
	json_close(j, ']');
}

void ruler_groups_json(struct ruler *r, struct slice tenant, const struct ruler_filter *f, struct buf *out)
{
	struct json_out j = { .b = out };

	for_each_group(r, tenant, &j, put_group, f);
}

static void put_group_alerts(struct json_out *j, const struct live_group *g, const struct ruler_filter *f)
{
	(void)f;
	for (size_t i = 0; i < g->def->n_rules; i++)
		put_alerts(j, &g->rule[i].st.alerts);
}

void ruler_alerts_json(struct ruler *r, struct slice tenant, struct buf *out)
{
	const struct ruler_filter all = { 0 };
	struct json_out j = { .b = out };

	for_each_group(r, tenant, &j, put_group_alerts, &all);
}
