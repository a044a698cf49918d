/* rules/eval.h - one evaluation of one rule: the query at an instant, then what its result means for the rule's alerts or
 * series. No threads, no clock: the daemon's ruler calls it on schedule, `spoor rules test` in a made-up time.
 *
 *	rule_run ─► outcome (labels and templates worked out) ─► rule_commit ─► rule_state
 *
 * The first half takes long and touches no state; the second is short, for whoever holds a lock on the state. */
#ifndef RULES_EVAL_H
#define RULES_EVAL_H

#include "query/query.h"
#include "rules/alert.h"
#include "rules/rule.h"

struct rule_sample {
	struct labels labels; /* with __name__ */
	double value;
};
/* Sorted by labels, unique. */
struct rule_samples {
	struct arena arena;
	VEC(struct rule_sample) v;
};
void rule_samples_init(struct rule_samples *s);
void rule_samples_fini(struct rule_samples *s);

/* Where rules are evaluated. All borrowed. */
struct rule_env {
	struct query_engine *engine;
	struct slice tenant;
	const struct limits *limits;
	struct query_control *control;
	struct slice external_url; /* for templates */
	int64_t query_offset_ns;   /* the query is for the time so long before the evaluation's */
};

/* What is remembered of a rule. */
struct rule_state {
	enum { RULE_UNKNOWN, RULE_OK, RULE_ERR } health;
	char *last_error;     /* NULL: none */
	int64_t last_eval_ns; /* 0: never */
	int64_t took_ns;      /* of the last evaluation; the caller's to set */
	struct alerts alerts; /* of an alerting rule */
	struct rule_samples
		samples; /* of the last evaluation that worked: the series of a recording rule; of an
				      * alerting rule ALERTS and ALERTS_FOR_STATE, as Prometheus makes them */
};
void rule_state_init(struct rule_state *st);
void rule_state_fini(struct rule_state *st);

struct rule_outcome {
	struct arena arena;
	VEC(struct alert_sample) alerts;
	VEC(struct rule_sample) samples; /* of a recording rule */
};
/* On failure nothing needs freeing. Templates that fail are no failure. */
int rule_run(const struct rule_env *env, const struct rule *rule, int64_t t, struct rule_outcome *out,
	     struct err *err);
void rule_outcome_fini(struct rule_outcome *o);
/* Takes the outcome over into the state; limit is that of the group. *before gets the samples of the evaluation before, for
 * who wants to know which series are gone (the caller's to free; empty on failure). */
int rule_commit(const struct rule *rule, int64_t limit, struct rule_outcome *o, int64_t t,
		struct rule_state *st, struct rule_samples *before, struct err *err);
/* The rule's evaluation at t failed. */
void rule_failed(struct rule_state *st, int64_t t, const struct err *why);
/* All in one. -1: the state says so, too. */
int rule_eval(const struct rule_env *env, const struct rule *rule, int64_t limit, int64_t t,
	      struct rule_state *st, struct err *err);

#endif
