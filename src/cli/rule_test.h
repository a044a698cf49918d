/* cli/rule_test.h - tests of rules: log lines in, and what must be firing or recorded at which time. Each test has a store
 * of its own in a temporary folder and a time of its own, which begins at 0 = 1970-01-01 and never waits.
 *
 *	rule_files: [alerts.yaml]                # beside this file; * and ? match as in a shell
 *	evaluation_interval: 1m                  # of groups that name none
 *	tests:
 *	- name: errors page someone
 *	  input_streams:
 *	  - labels: '{app="x"}'
 *	    entries:
 *	    - {at: 1m, line: one}
 *	    - {every: 10s, from: 2m, to: 5m, line: many, metadata: {level: error}}
 *	  alert_rule_test:
 *	  - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {sev: page}, exp_annotations: {}}]}
 *	  record_rule_test:
 *	  - {eval_time: 5m, record: "job:x", exp_samples: [{labels: '{app="x"}', value: 3}]}
 *	  logql_expr_test:
 *	  - {eval_time: 5m, expr: 'count_over_time({app="x"}[5m])', exp_samples: [{labels: '{app="x"}', value: 19}]}
 */
#ifndef CLI_RULE_TEST_H
#define CLI_RULE_TEST_H

#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

struct rule_test_counts {
	size_t n_tests, n_checks, n_failed;
};
/* Runs the tests of one file; what failed is told in lines of out. -1: they cannot be run. */
int rule_test_file(const char *path, struct buf *out, struct rule_test_counts *counts, struct err *err);

#endif
