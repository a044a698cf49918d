/* Parameters of read requests: what each form means, and Loki's words for the rest. */
#include "api/params.h"
#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define S  NS_PER_S
#define MS NS_PER_MS

static const int64_t now = 1795424580 * NS_PER_S; /* 2026-11-23T09:03:00Z */

/* Parameters from a query string; lives until the next call. */
static const struct url_params *query(const char *text)
{
	static struct url_params p;
	static struct arena a;
	struct err err;

	arena_fini(&a);
	arena_init(&a);
	p = (struct url_params){ 0 };
	if (url_params_add(&p, &a, slice_cstr(text), &err) == -1)
		fail_msg("%s: %s", text, err.msg);
	return &p;
}

static void check_error(const char *in, int rc, const struct err *err, const char *text)
{
	if (rc == 0)
		fail_msg("%s: accepted, should say: %s", in, text);
	assert_int_equal(err->code, ERR_BAD_REQUEST);
	if (strcmp(err->msg, text) != 0)
		fail_msg("%s\n  says:       %s\n  should say: %s", in, err->msg, text);
}

static void times(void **state)
{
	static const struct {
		const char *in;
		int64_t ns;
	} rows[] = {
		{ "0", 0 },
		{ "1700000000", 1700000000 * S },
		{ "-1", -1 * S },
		{ "+5", 5 * S },
		{ "4000000000", 4000000000 * S }, /* Grafana's health check means 4 s; everyone reads 2096 */
		{ "17000000001", 17000000001 },	  /* eleven characters are nanoseconds */
		{ "-1000000000", -1000000000 },	  /* the sign counts as a character */
		{ "-999999999", -999999999 * S },
		{ "1700000000000000000", 1700000000 * S },
		{ "9223372036854775807", INT64_MAX },
		{ "-9223372036854775808", INT64_MIN },
		{ "9999999999", INT64_MAX }, /* seconds beyond int64 ns */
		{ "1700000000.5", 1700000000 * S + 500 * MS },
		{ "1700000000.123456", 1700000000 * S + 123 * MS },
		{ "1700000000.9996", 1700000001 * S }, /* rounded to the millisecond */
		{ "-1.5", -1 * S - 500 * MS },
		{ "1.7e9", 1700000000 * S },
		{ ".5", 500 * MS },
		{ "1.5e300", INT64_MAX },
		{ "-1.5e300", INT64_MIN },
		{ "2026-11-23T09:03:00Z", 1795424580 * S },
		{ "2026-11-23T09:03:00.000000001Z", 1795424580 * S + 1 },
		{ "2026-11-23T10:03:00.5+01:00", 1795424580 * S + 500 * MS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		int64_t ns;

		if (params_parse_time(slice_cstr(rows[i].in), &ns, &err) == -1)
			fail_msg("%s: %s", rows[i].in, err.msg);
		if (ns != rows[i].ns)
			fail_msg("%s: %lld, should be %lld", rows[i].in, (long long)ns,
				 (long long)rows[i].ns);
	}
}

static void times_that_are_none(void **state)
{
	static const struct {
		const char *in, *text;
	} rows[] = {
		{ "abc", "strconv.ParseInt: parsing \"abc\": invalid syntax" },
		{ "17e8", "strconv.ParseInt: parsing \"17e8\": invalid syntax" },
		{ "2026-11-23", "strconv.ParseInt: parsing \"2026-11-23\": invalid syntax" },
		{ "2026-11-23T09:00:00",
		  "strconv.ParseInt: parsing \"2026-11-23T09:00:00\": invalid syntax" },
		{ "1.2.3", "strconv.ParseInt: parsing \"1.2.3\": invalid syntax" },
		{ "1.5e999", "strconv.ParseInt: parsing \"1.5e999\": invalid syntax" },
		{ "-", "strconv.ParseInt: parsing \"-\": invalid syntax" },
		{ " 1", "strconv.ParseInt: parsing \" 1\": invalid syntax" },
		{ "a\"b\n", "strconv.ParseInt: parsing \"a\\\"b\\n\": invalid syntax" },
		{ "9223372036854775808",
		  "strconv.ParseInt: parsing \"9223372036854775808\": value out of range" },
		{ "99999999999999999999999",
		  "strconv.ParseInt: parsing \"99999999999999999999999\": value out of range" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		int64_t ns = 7;

		check_error(rows[i].in, params_parse_time(slice_cstr(rows[i].in), &ns, &err), &err,
			    rows[i].text);
		assert_int_equal(ns, 7);
	}
}

static void bounds(void **state)
{
	static const struct {
		const char *in;
		int64_t start, end;
	} rows[] = {
		{ "", 1795424580 - 3600, 1795424580 },
		{ "start=&end=&since=", 1795424580 - 3600, 1795424580 },
		{ "since=2h", 1795424580 - 7200, 1795424580 },
		{ "since=0", 1795424580, 1795424580 },
		{ "start=1795424000", 1795424000, 1795424580 },
		{ "end=1795424000", 1795424000 - 3600, 1795424000 },
		{ "end=1795424000&since=1d", 1795424000 - 86400, 1795424000 },
		{ "end=1795430000", 1795424580 - 3600,
		  1795430000 }, /* since counts from now when end lies ahead */
		{ "start=1795424000&since=5h", 1795424000, 1795424580 }, /* start wins */
		{ "start=1795424000&end=1795424000", 1795424000, 1795424000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct timerange r;
		struct err err;

		if (params_bounds(query(rows[i].in), now, &r, &err) == -1)
			fail_msg("%s: %s", rows[i].in, err.msg);
		if (r.start != rows[i].start * S || r.end != rows[i].end * S)
			fail_msg("%s: %lld to %lld", rows[i].in, (long long)r.start, (long long)r.end);
	}
}

static void bounds_refused(void **state)
{
	static const struct {
		const char *in, *text;
	} rows[] = {
		{ "start=abc",
		  "could not parse 'start' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax" },
		{ "end=abc&start=x",
		  "could not parse 'end' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax" },
		{ "since=abc", "could not parse 'since' parameter: not a valid duration string: \"abc\"" },
		{ "since=90", "could not parse 'since' parameter: not a valid duration string: \"90\"" },
		{ "since=1.5h",
		  "could not parse 'since' parameter: unknown unit \".\" in duration \"1.5h\"" },
		{ "start=2&end=1", "end timestamp must not be before or equal to start time" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct timerange r;
		struct err err;

		check_error(rows[i].in, params_bounds(query(rows[i].in), now, &r, &err), &err, rows[i].text);
	}
}

static void limits(void **state)
{
	static const struct {
		const char *in;
		uint32_t limit; /* 0: error */
		const char *text;
	} rows[] = {
		{ "", 100, NULL },
		{ "limit=", 100, NULL },
		{ "limit=1", 1, NULL },
		{ "limit=4294967295", 4294967295U, NULL },
		{ "limit=0", 0, "limit must be a positive value" },
		{ "limit=-1", 0, "limit must be a positive value" },
		{ "limit=-9223372036854775808", 0, "limit must be a positive value" },
		{ "limit=abc", 0, "strconv.Atoi: parsing \"abc\": invalid syntax" },
		{ "limit=1.5", 0, "strconv.Atoi: parsing \"1.5\": invalid syntax" },
		{ "limit=9223372036854775808", 0,
		  "strconv.Atoi: parsing \"9223372036854775808\": value out of range" },
		{ "limit=99999999999", 0, "limit value 99999999999 is out of range [0, 4294967295]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { 0 };
		uint32_t limit = 0;
		int rc = params_limit(query(rows[i].in), "limit", PARAMS_DEFAULT_LIMIT, &limit, &err);

		if (rows[i].text != NULL)
			check_error(rows[i].in, rc, &err, rows[i].text);
		else if (rc == -1 || limit != rows[i].limit)
			fail_msg("%s: %u %s", rows[i].in, limit, err.msg);
	}
}

static void directions(void **state)
{
	struct err err;
	bool backward;

	(void)state;
	assert_int_equal(params_direction(query(""), &backward, &err), 0);
	assert_true(backward);
	assert_int_equal(params_direction(query("direction=FORWARD"), &backward, &err), 0);
	assert_false(backward);
	assert_int_equal(params_direction(query("direction=Backward"), &backward, &err), 0);
	assert_true(backward);
	check_error("sideways", params_direction(query("direction=sideways"), &backward, &err), &err,
		    "invalid direction 'sideways'");
}

static const char zero_step[] =
	"zero or negative query resolution step widths are not accepted. Try a positive integer";
static const char too_many[] =
	"exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the "
	"step parameter";

static void steps(void **state)
{
	static const struct {
		const char *in;
		int64_t length_s, step;
		const char *text;
	} rows[] = {
		{ "", 0, 1 * S, NULL },
		{ "", 249, 1 * S, NULL },
		{ "", 3600, 14 * S, NULL },
		{ "", 86400, 345 * S, NULL },
		{ "step=5", 60, 5 * S, NULL },
		{ "step=5s", 60, 5 * S, NULL },
		{ "step=5000ms", 60, 5 * S, NULL },
		{ "step=1m30s", 60, 90 * S, NULL },
		{ "step=1w", 60, 7 * 86400 * S, NULL },
		{ "step=1.5", 60, 1500 * MS, NULL },
		{ "step=1e2", 60, 100 * S, NULL },
		{ "step=0.0015", 1, 1 * MS, NULL }, /* whole milliseconds */
		{ "step=1", 11000, 1 * S, NULL },
		{ "step=1", 11001, 0, too_many },
		{ "step=0", 60, 0, zero_step },
		{ "step=-5", 60, 0, zero_step },
		{ "step=0.0001", 1, 0, zero_step },
		{ "step=1.5s", 60, 0, "cannot parse \"1.5s\" to a valid duration" },
		{ "step=xyz", 60, 0, "cannot parse \"xyz\" to a valid duration" },
		{ "step=NaN", 60, 0, "cannot parse \"NaN\" to a valid duration" },
		{ "step=1e300", 60, 0, "cannot parse \"1e300\" to a valid duration. It overflows int64" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct timerange r = { now, now + rows[i].length_s * S };
		struct err err = { 0 };
		int64_t step = 0;
		int rc = params_step(query(rows[i].in), r, &step, &err);

		if (rows[i].text != NULL)
			check_error(rows[i].in, rc, &err, rows[i].text);
		else if (rc == -1 || step != rows[i].step)
			fail_msg("%s over %lld s: %lld %s", rows[i].in, (long long)rows[i].length_s,
				 (long long)step, err.msg);
	}
}

static void the_longest_range_does_not_overflow(void **state)
{
	struct timerange r = { INT64_MIN, INT64_MAX };
	struct err err;
	int64_t step;

	(void)state;
	assert_int_equal(params_step(query(""), r, &step, &err), 0);
	assert_true(step > 0);
	check_error("step=1", params_step(query("step=1"), r, &step, &err), &err, too_many);
	assert_int_equal(
		params_bounds(query("start=-9223372036854775808&end=9223372036854775807"), now, &r, &err), 0);
	assert_int_equal(params_bounds(query("end=-9223372036854775808&since=1h"), now, &r, &err), 0);
	assert_true(r.start == INT64_MIN && r.end == INT64_MIN);
}

static void intervals(void **state)
{
	struct err err;
	int64_t v;

	(void)state;
	assert_int_equal(params_interval(query(""), &v, &err), 0);
	assert_int_equal(v, 0);
	assert_int_equal(params_interval(query("interval=1m"), &v, &err), 0);
	assert_int_equal(v, 60 * S);
	check_error("-1", params_interval(query("interval=-1"), &v, &err), &err, "interval must be >= 0");
	check_error("abc", params_interval(query("interval=abc"), &v, &err), &err,
		    "cannot parse \"abc\" to a valid duration");
}

static void a_range_query(void **state)
{
	struct params_query q;
	struct err err;

	(void)state;
	assert_int_equal(
		params_query_range(query("query=%7Ba=%22b%22%7D&start=1795424000&end=1795424060&limit=7&"
					 "direction=forward&step=5&interval=2s"),
				   now, &q, &err),
		0);
	assert_true(slice_is(q.text, "{a=\"b\"}"));
	assert_int_equal(q.range.start, 1795424000 * S);
	assert_int_equal(q.range.end, 1795424060 * S);
	assert_int_equal(q.limit, 7);
	assert_false(q.backward);
	assert_int_equal(q.step, 5 * S);
	assert_int_equal(q.interval, 2 * S);
}

static void an_instant_query(void **state)
{
	struct params_query q;
	struct err err;

	(void)state;
	assert_int_equal(params_query_instant(query("query=1"), now, &q, &err), 0);
	assert_true(q.range.start == now && q.range.end == now);
	assert_int_equal(params_query_instant(query("query=1&time=1700000000.5"), now, &q, &err), 0);
	assert_int_equal(q.range.end, 1700000000 * S + 500 * MS);
	check_error("time=foo", params_query_instant(query("time=foo"), now, &q, &err), &err,
		    "strconv.ParseInt: parsing \"foo\": invalid syntax");
	check_error("limit=0", params_query_instant(query("limit=0"), now, &q, &err), &err,
		    "limit must be a positive value");
}

static void a_tenants_limits(void **state)
{
	struct limits l = { .max_query_length = 721 * NS_PER_H };
	struct timerange r = { now - 721 * NS_PER_H, now };
	struct err err;

	(void)state;
	assert_int_equal(params_apply_limits(&l, now, &r, &err), 0);
	r.start -= 361 * MS + 5;
	check_error("long", params_apply_limits(&l, now, &r, &err), &err,
		    "the query time range exceeds the limit (query length: 721h0m0.361s, limit: 30d1h)");
	r = (struct timerange){ INT64_MIN, INT64_MAX };
	assert_int_equal(params_apply_limits(&l, now, &r, &err), -1);
	l = (struct limits){ .max_query_lookback = NS_PER_H };
	assert_int_equal(params_apply_limits(&l, now, &r, &err), 0);
	assert_int_equal(r.start, now - NS_PER_H);
	r = (struct timerange){ 1 * S, 2 * S };
	assert_int_equal(params_apply_limits(&l, now, &r, &err), 0);
	assert_true(r.start == r.end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(times_that_are_none),
		cmocka_unit_test(bounds),
		cmocka_unit_test(bounds_refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(directions),
		cmocka_unit_test(steps),
		cmocka_unit_test(the_longest_range_does_not_overflow),
		cmocka_unit_test(intervals),
		cmocka_unit_test(a_range_query),
		cmocka_unit_test(an_instant_query),
		cmocka_unit_test(a_tenants_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
