/* query/tmpl_func.h - the functions and methods that templates call. Arguments have been checked against the
 * parameters of tmpl_funcs.def when they get here. */
#ifndef QUERY_TMPL_FUNC_H
#define QUERY_TMPL_FUNC_H

#include "query/tmpl_run.h"

/* NULL for those that the evaluator does itself: and, or, call. */
extern tmpl_function *const tmpl_text_functions[TMPL_N_FUNCS],
	*const tmpl_number_functions[TMPL_N_FUNCS], *const tmpl_go_functions[TMPL_N_FUNCS],
							    *const tmpl_time_functions[TMPL_N_FUNCS];
extern tmpl_function *const tmpl_rule_functions[TMPL_N_FUNCS];

/* Of times, durations, months and weekdays. params as in tmpl_funcs.def; also d: a duration. */
struct tmpl_method {
	const char *name, *params;
	tmpl_function *run; /* arg[0] is the receiver */
};
const struct tmpl_method *tmpl_method_find(const struct tmpl_value *receiver, struct slice name);

void tmpl_url_escape(struct tmpl_sink *out, struct slice s);

#endif
