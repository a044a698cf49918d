/* api/params.h - what the parameters of read requests mean: times, durations, limits. Loki's rules and Loki's
 * texts; every failure is ERR_BAD_REQUEST. Pure: `now` is given. All times and durations are in nanoseconds;
 * times that do not fit into int64 are pulled to its ends. */
#ifndef API_PARAMS_H
#define API_PARAMS_H

#include "api/url.h"
#include "base/err.h"
#include "model/limits.h"
#include "model/timerange.h"

enum {
	PARAMS_DEFAULT_LIMIT = 100,
	PARAMS_MAX_POINTS = 11000, /* of one series */
};

/* Unix seconds as an integer of up to 10 characters or with a dot, else Unix nanoseconds, else RFC 3339. The
 * error has no prefix: strconv.ParseInt: parsing "x": invalid syntax. */
int params_parse_time(struct slice text, int64_t *out, struct err *err);
/* A number of seconds, or a duration such as 1m30s. */
int params_parse_duration(struct slice text, int64_t *out, struct err *err);

/* start, end, since. out->end is the end as given; end == start is fine, end < start is not. */
int params_bounds(const struct url_params *p, int64_t now, struct timerange *out, struct err *err);
int params_limit(const struct url_params *p, const char *name, uint32_t default_limit, uint32_t *out,
		 struct err *err);
int params_direction(const struct url_params *p, bool *backward, struct err *err);
/* Whole milliseconds; default: a 250th of the range, at least 1 s. Checks the number of points, too. */
int params_step(const struct url_params *p, struct timerange range, int64_t *out, struct err *err);
int params_interval(const struct url_params *p, int64_t *out, struct err *err);

struct params_query {
	struct slice text;	/* LogQL; empty if not given */
	struct timerange range; /* an instant query has its time in both */
	int64_t step, interval;
	uint32_t limit;
	bool backward;
};
int params_query_range(const struct url_params *p, int64_t now, struct params_query *out, struct err *err);
int params_query_instant(const struct url_params *p, int64_t now, struct params_query *out, struct err *err);

/* max_query_lookback cuts the range, max_query_length refuses it. */
int params_apply_limits(const struct limits *limits, int64_t now, struct timerange *range, struct err *err);

#endif
