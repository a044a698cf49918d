#include "api/params.h"
#include "base/clock.h"
#include "base/text.h"

#include <math.h>

enum { SECONDS_MAX_CHARS = 10, ECHO_BYTES = 256 };

static const double int64_limit = 9223372036854775808.0; /* 2^63 */

/* ---- numbers as Go reads them ---- */

static int64_t saturating_mul(int64_t a, int64_t b)
{
	int64_t r;

	if (!__builtin_mul_overflow(a, b, &r))
		return r;
	return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

static int64_t saturating_sub(int64_t a, int64_t b)
{
	int64_t r;

	if (!__builtin_sub_overflow(a, b, &r))
		return r;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

static bool all_digits(struct slice s)
{
	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = slice_from(s, 1);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* Sets `prefix parsing "text": why`, as Go's strconv does. */
static int number_error(const char *func, struct slice text, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, slice_sub(text, 0, ECHO_BYTES));
	err_set(err, ERR_BAD_REQUEST, "strconv.%s: parsing %.*s: %s", func, SLICE_ARG(buf_slice(&b)),
		all_digits(text) ? "value out of range" : "invalid syntax");
	buf_fini(&b);
	return -1;
}

static bool to_finite(struct slice s, double *out)
{
	double v;

	if (!slice_to_double(s, &v) || !isfinite(v))
		return false;
	*out = v;
	return true;
}

/* ---- times and durations ---- */

/* Seconds with a fraction that counts to the millisecond. */
static int64_t from_seconds(double v)
{
	double whole, fraction = modf(v, &whole);
	double ms = round(fraction * 1000);

	if (whole >= int64_limit / 1e9)
		return INT64_MAX;
	if (whole <= -int64_limit / 1e9)
		return INT64_MIN;
	int64_t ns, base = saturating_mul((int64_t)whole, NS_PER_S);
	if (__builtin_add_overflow(base, (int64_t)ms * NS_PER_MS, &ns))
		return base < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

int params_parse_time(struct slice text, int64_t *out, struct err *err)
{
	double seconds;
	int64_t v;

	if (slice_find_byte(text, '.') != SLICE_NONE && to_finite(text, &seconds)) {
		*out = from_seconds(seconds);
		return 0;
	}
	if (slice_to_i64(text, &v)) {
		*out = text.n <= SECONDS_MAX_CHARS ? saturating_mul(v, NS_PER_S) : v;
		return 0;
	}
	if (clock_parse_rfc3339(text, out))
		return 0;
	return number_error("ParseInt", text, err);
}

static int duration_error(struct slice text, const char *more, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, slice_sub(text, 0, ECHO_BYTES));
	err_set(err, ERR_BAD_REQUEST, "cannot parse %.*s to a valid duration%s", SLICE_ARG(buf_slice(&b)),
		more);
	buf_fini(&b);
	return -1;
}

int params_parse_duration(struct slice text, int64_t *out, struct err *err)
{
	char why[256];
	double seconds;

	if (to_finite(text, &seconds)) {
		double ns = seconds * 1e9;

		if (ns >= int64_limit || ns < -int64_limit)
			return duration_error(text, ". It overflows int64", err);
		*out = (int64_t)ns;
		return 0;
	}
	if (clock_parse_prom_duration(text, out, why, sizeof(why)))
		return 0;
	return duration_error(text, "", err);
}

/* ---- single parameters ---- */

static struct slice param(const struct url_params *p, const char *name)
{
	return url_params_first(p, slice_cstr(name));
}

static int bound(const struct url_params *p, const char *name, int64_t default_ns, int64_t *out,
		 struct err *err)
{
	struct slice text = param(p, name);

	if (text.n == 0) {
		*out = default_ns;
		return 0;
	}
	if (params_parse_time(text, out, err) == -1)
		return err_prefix(err, "could not parse '%s' parameter", name);
	return 0;
}

static int since(const struct url_params *p, int64_t *out, struct err *err)
{
	struct slice text = param(p, "since");
	char why[256];

	*out = NS_PER_H;
	if (text.n == 0 || clock_parse_prom_duration(slice_sub(text, 0, ECHO_BYTES), out, why, sizeof(why)))
		return 0;
	return err_set(err, ERR_BAD_REQUEST, "could not parse 'since' parameter: %s", why);
}

int params_bounds(const struct url_params *p, int64_t now, struct timerange *out, struct err *err)
{
	int64_t ago, start, end;

	if (since(p, &ago, err) == -1 || bound(p, "end", now, &end, err) == -1)
		return -1;
	if (bound(p, "start", saturating_sub(end < now ? end : now, ago), &start, err) == -1)
		return -1;
	if (end < start)
		return err_set(err, ERR_BAD_REQUEST,
			       "end timestamp must not be before or equal to start time");
	*out = (struct timerange){ start, end };
	return 0;
}

int params_limit(const struct url_params *p, const char *name, uint32_t default_limit, uint32_t *out,
		 struct err *err)
{
	struct slice text = param(p, name);
	int64_t v = default_limit;

	if (text.n > 0 && !slice_to_i64(text, &v))
		return number_error("Atoi", text, err);
	if (v <= 0)
		return err_set(err, ERR_BAD_REQUEST, "limit must be a positive value");
	if (v > UINT32_MAX)
		return err_set(err, ERR_BAD_REQUEST, "limit value %lld is out of range [0, 4294967295]",
			       (long long)v);
	*out = (uint32_t)v;
	return 0;
}

int params_direction(const struct url_params *p, bool *backward, struct err *err)
{
	struct slice text = param(p, "direction");

	if (text.n == 0 || slice_eq_nocase(text, SLICE("backward")))
		*backward = true;
	else if (slice_eq_nocase(text, SLICE("forward")))
		*backward = false;
	else
		return err_set(err, ERR_BAD_REQUEST, "invalid direction '%.*s'",
			       SLICE_ARG(slice_sub(text, 0, ECHO_BYTES)));
	return 0;
}

/* end - start, which may be more than an int64 holds. */
static uint64_t length_of(struct timerange r)
{
	return (uint64_t)r.end - (uint64_t)r.start;
}

int params_step(const struct url_params *p, struct timerange range, int64_t *out, struct err *err)
{
	struct slice text = param(p, "step");
	uint64_t length = length_of(range), seconds = length / (uint64_t)NS_PER_S / 250;
	int64_t step = (int64_t)(seconds > 0 ? seconds : 1) * NS_PER_S;

	if (text.n > 0 && params_parse_duration(text, &step, err) == -1)
		return -1;
	step -= step % NS_PER_MS;
	if (step <= 0)
		return err_set(err, ERR_BAD_REQUEST,
			       "zero or negative query resolution step widths are not accepted. Try a "
			       "positive integer");
	if (length / (uint64_t)step > PARAMS_MAX_POINTS)
		return err_set(err, ERR_BAD_REQUEST,
			       "exceeded maximum resolution of 11,000 points per time series. Try increasing "
			       "the value of "
			       "the step parameter");
	*out = step;
	return 0;
}

int params_interval(const struct url_params *p, int64_t *out, struct err *err)
{
	struct slice text = param(p, "interval");
	int64_t v = 0;

	if (text.n > 0 && params_parse_duration(text, &v, err) == -1)
		return -1;
	if (v < 0)
		return err_set(err, ERR_BAD_REQUEST, "interval must be >= 0");
	*out = v;
	return 0;
}

/* ---- whole queries ---- */

int params_query_range(const struct url_params *p, int64_t now, struct params_query *out, struct err *err)
{
	struct params_query q = { .text = param(p, "query") };

	if (params_bounds(p, now, &q.range, err) == -1 ||
	    params_limit(p, "limit", PARAMS_DEFAULT_LIMIT, &q.limit, err) == -1 ||
	    params_direction(p, &q.backward, err) == -1 || params_step(p, q.range, &q.step, err) == -1 ||
	    params_interval(p, &q.interval, err) == -1)
		return -1;
	*out = q;
	return 0;
}

int params_query_instant(const struct url_params *p, int64_t now, struct params_query *out, struct err *err)
{
	struct params_query q = { .text = param(p, "query"), .step = NS_PER_S };
	struct slice text = param(p, "time");
	int64_t at = now;

	if (params_limit(p, "limit", PARAMS_DEFAULT_LIMIT, &q.limit, err) == -1 ||
	    (text.n > 0 && params_parse_time(text, &at, err) == -1) ||
	    params_direction(p, &q.backward, err) == -1)
		return -1;
	q.range = (struct timerange){ at, at };
	*out = q;
	return 0;
}

/* ---- a tenant's limits ---- */

static int too_long(uint64_t length, int64_t limit, struct err *err)
{
	struct buf b;
	int64_t shown = length > INT64_MAX ? INT64_MAX : (int64_t)length;

	buf_init(&b);
	buf_puts(&b, "the query time range exceeds the limit (query length: ");
	clock_format_go_duration(&b, shown - shown % NS_PER_MS);
	buf_puts(&b, ", limit: ");
	clock_format_prom_duration(&b, limit);
	buf_putc(&b, ')');
	err_set(err, ERR_BAD_REQUEST, "%.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

int params_apply_limits(const struct limits *limits, int64_t now, struct timerange *range, struct err *err)
{
	struct timerange r = *range;

	if (limits->max_query_lookback > 0) {
		int64_t oldest = saturating_sub(now, limits->max_query_lookback);

		if (r.start < oldest)
			r.start = oldest;
		if (r.end < r.start)
			r.end = r.start;
	}
	if (limits->max_query_length > 0 && length_of(r) > (uint64_t)limits->max_query_length)
		return too_long(length_of(r), limits->max_query_length, err);
	*range = r;
	return 0;
}
