#include "query/matrix.h"

enum { MAX_POINTS = 11000 };

static int64_t floor_to(int64_t v, int64_t step)
{
	int64_t rest = v % step;

	if (rest < 0)
		rest += step;
	return v >= INT64_MIN + rest ? v - rest : INT64_MIN;
}

static int64_t ceil_to(int64_t v, int64_t step)
{
	int64_t down = floor_to(v, step), up;

	if (down == v || __builtin_add_overflow(down, step, &up))
		return v;
	return up;
}

int grid_make(const struct query_request *r, struct grid *g, struct err *err)
{
	int64_t start = r->start, end = r->end;

	if (r->instant) {
		*g = (struct grid){ r->end, 1, 1 };
		return 0;
	}
	if (r->step <= 0)
		return err_set(err, ERR_BAD_REQUEST,
			       "zero or negative query resolution step widths are not accepted. Try a "
			       "positive integer");
	if (start > end)
		return err_set(err, ERR_BAD_REQUEST,
			       "end timestamp must not be before or equal to start time");
	if (r->limits != NULL && r->limits->align_queries_with_step) {
		start = floor_to(start, r->step);
		end = ceil_to(end, r->step);
	}
	uint64_t n = ((uint64_t)end - (uint64_t)start) / (uint64_t)r->step;
	/* Aligning may add a step at either end. */
	if (((uint64_t)r->end - (uint64_t)r->start) / (uint64_t)r->step > MAX_POINTS || n > MAX_POINTS + 2)
		return err_set(err, ERR_BAD_REQUEST,
			       "exceeded maximum resolution of 11,000 points per time series. Try increasing "
			       "the value "
			       "of the step parameter");
	*g = (struct grid){ start, r->step, (uint32_t)n + 1 };
	return 0;
}
