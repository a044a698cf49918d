/* rules/ruler_internal.h - what ruler.c (schedule, evaluation) and ruler_json.c (what people see of it) share.
 *
 * Locks, in this order: ruler.lock, then live_group.lock. */
#ifndef RULES_RULER_INTERNAL_H
#define RULES_RULER_INTERNAL_H

#include <pthread.h>
#include "query/sched.h"
#include "rules/eval.h"
#include "rules/ruler.h"
#include "rules/state_file.h"

struct notifier;
struct remote_write;

struct live_rule {
	struct rule_state st; /* under the group's lock */
	char *query;	      /* canonical */
	uint64_t logged;      /* hash of the failure in the log; 0: none */
};

/* A group in work. While it runs, it belongs to whoever evaluates it, but for what the locks protect. */
struct live_group {
	struct ruler *r;
	char *tenant, *ns;
	struct rule_group *def;
	struct live_rule *rule; /* def->n_rules */
	int64_t interval_ns, offset_ns;
	pthread_mutex_t lock; /* protects the states of rules, last_eval_ns, took_ns */
	int64_t last_eval_ns, took_ns;
	/* under the ruler's lock */
	int64_t next_due;
	bool running;
	bool gone; /* no longer in the list; freed when it does not run any more */
	/* of the evaluation that runs */
	struct sched_job job;
	struct query_control control;
	struct limits limits;
	int64_t t, started_mono_ns;
	size_t at; /* the rule whose turn it is */
};

struct ruler {
	struct ruler_options o; /* its strings are copies */
	struct notifier *notifier;
	struct remote_write *remote; /* NULL: none */
	pthread_t thread;
	pthread_mutex_t lock; /* protects the rest */
	pthread_cond_t changed;
	bool stopping;
	VEC(struct live_group *) groups; /* as rule_view_take orders them */
	uint64_t version;		 /* of the rules that groups show */
	bool behind;			 /* a group that ran could not be replaced yet */
	size_t n_running;
	struct saved_rules saved; /* from the state file, for groups that have not come up yet */
	_Atomic bool dirty;	  /* alerts changed since they were kept */
};

/* Brings the groups up to date with the store. Under the lock. */
void ruler_sync(struct ruler *r);

#endif
