/* rules/template.h - labels and annotations of alerting rules are Go templates which see the series that made the
 * alert: $labels, $value, $externalURL, $externalLabels, and the same as fields .Labels and so on. Pure. */
#ifndef RULES_TEMPLATE_H
#define RULES_TEMPLATE_H

#include "model/labels.h"

struct tmpl_run;

struct rule_template_data {
	struct labels labels;
	double value;
	struct slice external_url;
};

/* Does it parse? ERR_BAD_REQUEST with Prometheus' text. */
int rule_template_check(struct slice alert, struct slice text, struct err *err);
/* The text in the arena. A template that fails gives <error expanding template: …>, as in Prometheus, and false.
 * run: to be used for one template after the other. */
bool rule_template_expand(struct slice alert, struct slice text, const struct rule_template_data *d,
			  struct tmpl_run *run, struct arena *a, struct slice *out);

#endif
