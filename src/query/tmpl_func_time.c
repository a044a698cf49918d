/* Functions and methods of times and durations. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "query/tmpl_func.h"

#define UNUSED(x) ((void)(x))

static bool format_to(struct tmpl_run *r, const struct go_time *t, struct slice layout,
		      struct tmpl_value *out)
{
	struct buf b;

	/* A chunk of two bytes becomes nine at most. */
	if (layout.n > TMPL_MAX_TEXT / 16)
		return tmpl_fail(r, "layout longer than %d bytes", TMPL_MAX_TEXT / 16);
	if (!tmpl_charge(r, layout.n * 8))
		return false;
	struct tmpl_sink sink = tmpl_sink(r);
	buf_init(&b);
	go_time_format(&b, t, layout);
	tmpl_sink_put(&sink, buf_slice(&b));
	buf_fini(&b);
	return tmpl_sink_value(r, &sink, out);
}

static bool number_text(struct tmpl_run *r, int64_t v, struct tmpl_value *out)
{
	*out = tmpl_text(slice_cstr(arena_printf(r->arena, "%lld", (long long)v)));
	return true;
}

static int64_t unix_ms(const struct go_time *t)
{
	return (int64_t)((uint64_t)t->unix_s * 1000 + (uint64_t)t->ns / 1000000);
}

static int64_t unix_us(const struct go_time *t)
{
	return (int64_t)((uint64_t)t->unix_s * 1000000 + (uint64_t)t->ns / 1000);
}

/* ---- functions ---- */

static bool timestamp(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(arg);
	UNUSED(n);
	*out = tmpl_time(go_time_of_ns(r->data.ts, zone_local()));
	return true;
}

static bool now(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(arg);
	UNUSED(n);
	*out = tmpl_time(go_time_of_ns(clock_now_ns(), zone_local()));
	return true;
}

/* What is no time and no number is now. */
static bool date(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct go_time t;

	UNUSED(n);
	if (arg[1].kind == TMPL_TIME)
		t = arg[1].time;
	else if (arg[1].kind == TMPL_INTEGER && arg[1].type <= TMPL_INT_64)
		t = (struct go_time){ arg[1].i, 0, NULL };
	else
		t = go_time_of_ns(clock_now_ns(), NULL);
	t.zone = zone_local();
	return format_to(r, &t, arg[0].s, out);
}

static bool parse_in(struct tmpl_run *r, struct slice layout, struct slice text, const struct zone *zone,
		     struct tmpl_value *out)
{
	struct go_time t;

	if (!go_time_parse(layout, text, zone, r->arena, &t))
		t = (struct go_time){ GO_TIME_ZERO_S, 0, zone_utc() };
	*out = tmpl_time(t);
	return tmpl_charge(r, layout.n * 8);
}

static bool to_date(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return parse_in(r, arg[0].s, arg[1].s, zone_local(), out);
}

/* A name that is none opens files in vain; the last one is remembered. */
static const struct zone *zone_or_utc(struct tmpl_run *r, struct slice name)
{
	const struct zone *zone = NULL;

	if (r->no_zone.n == 0 || !slice_eq(buf_slice(&r->no_zone), name))
		zone = zone_find(name);
	if (zone != NULL)
		return zone;
	buf_reset(&r->no_zone);
	buf_add(&r->no_zone, name);
	return zone_utc();
}

static bool to_date_in_zone(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			    struct tmpl_value *out)
{
	UNUSED(n);
	return tmpl_charge(r, 1000) && parse_in(r, arg[0].s, arg[2].s, zone_or_utc(r, arg[1].s), out);
}

static bool unix_epoch(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return number_text(r, arg->time.unix_s, out);
}

static bool unix_epoch_millis(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			      struct tmpl_value *out)
{
	UNUSED(n);
	return number_text(r, unix_ms(&arg->time), out);
}

static bool unix_epoch_nanos(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			     struct tmpl_value *out)
{
	UNUSED(n);
	return number_text(r, go_time_unix_ns(&arg->time), out);
}

static bool is_integer(struct slice s)
{
	for (size_t i = s.n > 1 && (s.p[0] == '-' || s.p[0] == '+'); i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool no_time(struct tmpl_run *r, struct slice s, const char *why)
{
	struct buf quoted;

	s = slice_sub(s, 0, 500);
	if (why == NULL)
		return tmpl_fail(r, "unable to parse time '%.*s': %%!w(<nil>)", SLICE_ARG(s));
	buf_init(&quoted);
	text_go_quote(&quoted, s);
	tmpl_fail(r, "unable to parse time '%.*s': strconv.ParseInt: parsing %.*s: %s", SLICE_ARG(s),
		  SLICE_ARG(buf_slice(&quoted)), why);
	buf_fini(&quoted);
	return false;
}

/* The number of characters tells the unit. */
static bool unix_to_time(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s = arg->s;
	int64_t v, scale;

	UNUSED(n);
	if (!is_integer(s))
		return no_time(r, s, "invalid syntax");
	if (!slice_to_i64(s, &v))
		return no_time(r, s, "value out of range");
	switch (s.n) {
	case 5: *out = tmpl_time((struct go_time){ v * 86400, 0, zone_local() }); return true;
	case 10: *out = tmpl_time((struct go_time){ v, 0, zone_local() }); return true;
	case 13: scale = 1000000; break;
	case 16: scale = 1000; break;
	case 19: scale = 1; break;
	default: return no_time(r, s, NULL);
	}
	*out = tmpl_time(go_time_of_ns((int64_t)((uint64_t)v * (uint64_t)scale), zone_local()));
	return true;
}

tmpl_function *const tmpl_time_functions[TMPL_N_FUNCS] = {
	[TMPL_FN_TIMESTAMP] = timestamp,
	[TMPL_FN_NOW] = now,
	[TMPL_FN_DATE] = date,
	[TMPL_FN_TO_DATE] = to_date,
	[TMPL_FN_TO_DATE_IN_ZONE] = to_date_in_zone,
	[TMPL_FN_UNIX_EPOCH] = unix_epoch,
	[TMPL_FN_UNIX_EPOCH_MILLIS] = unix_epoch_millis,
	[TMPL_FN_UNIX_EPOCH_NANOS] = unix_epoch_nanos,
	[TMPL_FN_UNIX_TO_TIME] = unix_to_time,
};

/* ---- methods of times ---- */

#define GETTER(name, expr)                                                                                   \
	static bool name(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out) \
	{                                                                                                    \
		UNUSED(r);                                                                                   \
		UNUSED(n);                                                                                   \
		*out = expr;                                                                                 \
		return true;                                                                                 \
	}

GETTER(time_unix, tmpl_int_of(TMPL_INT_64, arg->time.unix_s))
GETTER(time_unix_nano, tmpl_int_of(TMPL_INT_64, go_time_unix_ns(&arg->time)))
GETTER(time_unix_milli, tmpl_int_of(TMPL_INT_64, unix_ms(&arg->time)))
GETTER(time_unix_micro, tmpl_int_of(TMPL_INT_64, unix_us(&arg->time)))
GETTER(time_year, tmpl_int(go_time_clock(&arg->time).year))
GETTER(time_month, tmpl_int_of(TMPL_INT_MONTH, go_time_clock(&arg->time).month))
GETTER(time_day, tmpl_int(go_time_clock(&arg->time).day))
GETTER(time_hour, tmpl_int(go_time_clock(&arg->time).hour))
GETTER(time_minute, tmpl_int(go_time_clock(&arg->time).minute))
GETTER(time_second, tmpl_int(go_time_clock(&arg->time).second))
GETTER(time_nanosecond, tmpl_int(arg->time.ns))
GETTER(time_weekday, tmpl_int_of(TMPL_INT_WEEKDAY, go_time_clock(&arg->time).weekday))
GETTER(time_year_day, tmpl_int(go_time_clock(&arg->time).year_day))
GETTER(time_add, tmpl_time(go_time_add(arg->time, arg[1].i)))
GETTER(time_sub, tmpl_int_of(TMPL_INT_DURATION, go_time_sub(&arg->time, &arg[1].time)))
GETTER(time_truncate, tmpl_time(go_time_truncate(arg->time, arg[1].i)))
GETTER(time_before, tmpl_bool(go_time_cmp(&arg->time, &arg[1].time) < 0))
GETTER(time_after, tmpl_bool(go_time_cmp(&arg->time, &arg[1].time) > 0))
GETTER(time_equal, tmpl_bool(go_time_cmp(&arg->time, &arg[1].time) == 0))
GETTER(time_compare, tmpl_int(go_time_cmp(&arg->time, &arg[1].time)))
GETTER(time_is_zero, tmpl_bool(arg->time.unix_s == GO_TIME_ZERO_S && arg->time.ns == 0))

static bool time_in(struct tmpl_value *out, struct go_time t, const struct zone *zone)
{
	t.zone = zone;
	*out = tmpl_time(t);
	return true;
}

static bool time_utc(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return time_in(out, arg->time, zone_utc());
}

static bool time_local(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return time_in(out, arg->time, zone_local());
}

static bool time_format(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return format_to(r, &arg->time, arg[1].s, out);
}

static int64_t within(int64_t v)
{
	return v > 100000000 ? 100000000 : v < -100000000 ? -100000000 : v;
}

static bool time_add_date(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct go_clock c = go_time_clock(&arg->time);

	UNUSED(r);
	UNUSED(n);
	*out = tmpl_time(go_time_date(c.year + within(arg[1].i), c.month + within(arg[2].i),
				      c.day + within(arg[3].i), (c.hour * 60 + c.minute) * 60 + c.second,
				      arg->time.ns, arg->time.zone));
	return true;
}

/* ---- of durations and names ---- */

static double in_units(int64_t ns, int64_t unit)
{
	return (double)(ns / unit) + (double)(ns % unit) / (double)unit;
}

GETTER(duration_hours, tmpl_float(in_units(arg->i, NS_PER_H)))
GETTER(duration_minutes, tmpl_float(in_units(arg->i, NS_PER_MIN)))
GETTER(duration_seconds, tmpl_float(in_units(arg->i, NS_PER_S)))
GETTER(duration_milliseconds, tmpl_int_of(TMPL_INT_64, arg->i / NS_PER_MS))
GETTER(duration_microseconds, tmpl_int_of(TMPL_INT_64, arg->i / NS_PER_US))
GETTER(duration_nanoseconds, tmpl_int_of(TMPL_INT_64, arg->i))
GETTER(duration_truncate, tmpl_int_of(TMPL_INT_DURATION, arg[1].i <= 0 ? arg->i : arg->i - arg->i % arg[1].i))
GETTER(duration_abs, tmpl_int_of(TMPL_INT_DURATION, arg->i == INT64_MIN ? INT64_MAX
						    : arg->i < 0	? -arg->i
									: arg->i))

static bool string(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);

	UNUSED(n);
	tmpl_print(&sink, arg);
	return tmpl_sink_value(r, &sink, out);
}

static const struct tmpl_method time_methods[] = {
	{ "Unix", "", time_unix },
	{ "UnixNano", "", time_unix_nano },
	{ "UnixMilli", "", time_unix_milli },
	{ "UnixMicro", "", time_unix_micro },
	{ "Year", "", time_year },
	{ "Month", "", time_month },
	{ "Day", "", time_day },
	{ "Hour", "", time_hour },
	{ "Minute", "", time_minute },
	{ "Second", "", time_second },
	{ "Nanosecond", "", time_nanosecond },
	{ "Weekday", "", time_weekday },
	{ "YearDay", "", time_year_day },
	{ "Format", "s", time_format },
	{ "Add", "d", time_add },
	{ "AddDate", "iii", time_add_date },
	{ "Sub", "t", time_sub },
	{ "Truncate", "d", time_truncate },
	{ "UTC", "", time_utc },
	{ "Local", "", time_local },
	{ "IsZero", "", time_is_zero },
	{ "Before", "t", time_before },
	{ "After", "t", time_after },
	{ "Equal", "t", time_equal },
	{ "Compare", "t", time_compare },
	{ "String", "", string },
};
static const struct tmpl_method duration_methods[] = {
	{ "Hours", "", duration_hours },
	{ "Minutes", "", duration_minutes },
	{ "Seconds", "", duration_seconds },
	{ "Milliseconds", "", duration_milliseconds },
	{ "Microseconds", "", duration_microseconds },
	{ "Nanoseconds", "", duration_nanoseconds },
	{ "Truncate", "d", duration_truncate },
	{ "Abs", "", duration_abs },
	{ "String", "", string },
};
static const struct tmpl_method name_methods[] = { { "String", "", string } };

static const struct tmpl_method *find(const struct tmpl_method *rows, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(name, rows[i].name))
			return &rows[i];
	return NULL;
}

const struct tmpl_method *tmpl_method_find(const struct tmpl_value *v, struct slice name)
{
	if (v->kind == TMPL_TIME)
		return find(time_methods, ARRAY_LEN(time_methods), name);
	if (v->kind != TMPL_INTEGER)
		return NULL;
	switch (v->type) {
	case TMPL_INT_DURATION: return find(duration_methods, ARRAY_LEN(duration_methods), name);
	case TMPL_INT_MONTH:
	case TMPL_INT_WEEKDAY: return find(name_methods, ARRAY_LEN(name_methods), name);
	default: return NULL;
	}
}
