/* rules/alert.h - the alerts of one alerting rule, and what becomes of them from one evaluation to the next:
 *
 *	          holds                for `for`
 *	inactive ───────► pending ───────────────► firing ──┐ no longer holds, for keep_firing_for
 *	    ▲                │ no longer holds              ▼
 *	    └── forgotten ◄──┴───── 15 minutes ◄──── inactive, resolved: told to Alertmanager
 *
 * Pure: the time is given. One owner at a time. */
#ifndef RULES_ALERT_H
#define RULES_ALERT_H

#include "base/clock.h"
#include "base/vec.h"
#include "model/labels.h"

#define ALERT_RESOLVED_RETENTION_NS (15 * NS_PER_MIN)
#define ALERT_RESEND_DELAY_NS	    NS_PER_MIN

enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };

struct alert {
	struct labels labels, annotations; /* in the arena of the set */
	enum alert_state state;
	double value;
	/* ns; 0: not yet */
	int64_t active_at, fired_at, resolved_at, keep_firing_since, last_sent, valid_until;
};
struct alerts {
	struct arena arena;
	VEC(struct alert) v; /* sorted by labels, unique */
};

/* One series of the rule's result, with the labels of the alert. */
struct alert_sample {
	struct labels labels, annotations;
	double value;
};
struct alert_rule {
	int64_t for_ns, keep_firing_for_ns;
	int64_t limit; /* pending and firing alerts; 0 = any number */
};

void alerts_init(struct alerts *a);
void alerts_fini(struct alerts *a);
/* What holds at `now`; sorts s. ERR_UNPROCESSABLE: two series with the same labels (nothing changes), or more alerts
 * than the limit (none stays). */
int alerts_update(struct alerts *a, const struct alert_rule *rule, struct alert_sample *s, size_t n,
		  int64_t now, struct err *err);
/* The state of the rule: that of the alert which is furthest. */
enum alert_state alerts_state(const struct alerts *a);
const char *alert_state_name(enum alert_state s);
bool alert_state_parse(struct slice name, enum alert_state *out);
/* Must Alertmanager be told of the alert now? If so it counts as told, and interval says when the next evaluation
 * comes. */
bool alert_send_due(struct alert *a, int64_t now, int64_t interval_ns);

/* For what was kept in a file: adds a copy. alerts_update sorts it in. */
void alerts_add(struct alerts *a, const struct alert *one);
/* The rule was not evaluated for so long: pending alerts do not come nearer to firing by that. */
void alerts_were_down(struct alerts *a, int64_t down_ns);

#endif
