/* rules/ruler.h - evaluates the groups of the rule store on schedule: keeps the state of alerts, tells Alertmanager,
 * exposes recording rules on /metrics and by Prometheus remote write. The state of alerts survives a restart.
 *
 *	rule_store ─► scheduler ─► query_run at the evaluation's time ─► alerts ─► Alertmanager (POST /api/v2/alerts)
 *	                                                      └─► samples ─► /metrics, remote write
 *
 * Thread-safe. Evaluation runs on threads of its own, through the query scheduler, so that rules and people take turns. */
#ifndef RULES_RULER_H
#define RULES_RULER_H

#include "model/limits.h"
#include "query/query.h"
#include "rules/rule_store.h"

struct ruler;
struct sched;

struct ruler_options {
	struct rule_store *rules;    /* borrowed */
	struct query_engine *engine; /* borrowed */
	struct sched *sched;	     /* borrowed */
	void (*limits)(void *arg, struct slice tenant, struct limits *out);
	void *arg;
	const char *state_file;		     /* where the state of alerts is kept */
	int64_t interval_ns;		     /* of groups that name none */
	const char *const *alertmanager_url; /* base URLs; each gets every alert */
	size_t n_alertmanager_urls;
	const char *remote_write_url; /* "": none */
	const char *external_url;     /* of Grafana, for links in alerts: BASE/explore?left=…; "": none */
};
/* ERR_CONFIG: a URL is none. A damaged state file is logged and forgotten. */
int ruler_new(const struct ruler_options *o, struct ruler **out, struct err *err);
void ruler_free(struct ruler *r); /* stops, keeps the state; NULL is fine */

struct ruler_filter { /* absent or empty: any */
	bool only_alerting, only_recording;
	const struct slice *file, *group, *rule;
	size_t n_files, n_groups, n_rules;
};
/* Append the array [ … ] of "groups" of GET /prometheus/api/v1/rules, and that of "alerts" of /prometheus/api/v1/alerts.
 * Groups that were just written are there, not yet evaluated. */
void ruler_groups_json(struct ruler *r, struct slice tenant, const struct ruler_filter *f, struct buf *out);
void ruler_alerts_json(struct ruler *r, struct slice tenant, struct buf *out);

#endif
