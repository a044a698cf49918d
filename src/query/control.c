/* query/control.c - when a query has to stop. */
#include "query/query.h"
#include "base/clock.h"
#include "base/re.h"

int query_control_check(const struct query_control *c, struct err *err)
{
	if (atomic_load_explicit(&c->cancelled, memory_order_relaxed))
		return err_set(err, ERR_CANCELLED, "query cancelled");
	if (c->deadline_mono_ns != 0 && clock_mono_ns() > c->deadline_mono_ns)
		return err_set(
			err, ERR_TIMEOUT,
			"request timed out, decrease the duration of the request or add more label matchers "
			"(prefer exact match over regex match) to reduce the amount of data processed");
	return 0;
}

static bool is_over(void *arg)
{
	const struct query_control *c = arg;

	return query_control_check(c, &(struct err){ 0 }) == -1;
}

void query_guard_begin(struct query_control *c)
{
	re_guard = (struct re_guard){ .stop = is_over, .arg = c };
}

bool query_guard_tripped(void)
{
	return re_guard.given_up;
}

int query_guard_end(const struct query_control *c, int rc, struct err *err)
{
	bool given_up = re_guard.given_up;

	re_guard = (struct re_guard){ 0 };
	if (rc == -1 || !given_up)
		return rc;
	if (query_control_check(c, err) == -1)
		return -1;
	return err_set(err, ERR_BAD_REQUEST,
		       "regex too expensive: a line or label value is so long that the regular expression "
		       "might take "
		       "seconds for it; use a smaller one, with lower counts in braces");
}
