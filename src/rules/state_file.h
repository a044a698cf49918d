/* rules/state_file.h - the alerts of all rules as a JSON text, so that `for` goes on over a restart. Pure.
 *
 *	{"version":1,"rules":[{"tenant","namespace","group","alert","labels":{…},"lastEvaluation":ns,
 *	  "alerts":[{"labels":{…},"annotations":{…},"state":"firing","value":"1e+00","activeAt":ns,"firedAt":ns,
 *	             "resolvedAt":ns,"keepFiringSince":ns}]}]}                                                    */
#ifndef RULES_STATE_FILE_H
#define RULES_STATE_FILE_H

#include "rules/alert.h"

struct saved_rule {
	struct slice tenant, ns, group, alert;
	struct labels labels; /* of the rule: templates as written */
	int64_t last_eval_ns;
	struct alerts alerts;
	bool taken;
};
struct saved_rules {
	struct arena arena;
	VEC(struct saved_rule) v;
};

/* Begin with an empty buf, add rule after rule, end. */
void state_file_add(struct buf *out, const struct saved_rule *rule);
void state_file_end(struct buf *out);
/* ERR_CORRUPT: not such a text; *out is then not filled. */
int state_file_parse(struct slice text, struct saved_rules *out, struct err *err);
void saved_rules_fini(struct saved_rules *s);
/* The alerts of the rule, if they were kept and nobody has them yet. */
struct saved_rule *saved_rules_find(struct saved_rules *s, const struct saved_rule *like);

/* Shortest text that reads back as v, with an exponent: 1e+00, 1.5e-07, NaN, +Inf. */
void state_file_put_value(struct buf *out, double v);

#endif
