/* The functions that only templates of rules have: numbers for people, hosts, links. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include "base/clock.h"
#include "logql/units.h"
#include "query/tmpl_func.h"

#define UNUSED(x) ((void)(x))

static bool put_text(struct tmpl_run *r, struct slice s, struct tmpl_value *out)
{
	*out = tmpl_text(arena_dup(r->arena, s));
	return true;
}

/* ---- numbers ---- */

static bool number_of(struct tmpl_run *r, const struct tmpl_value *v, double *out)
{
	struct err err;

	switch (v->kind) {
	case TMPL_FLOAT: *out = v->f; return true;
	case TMPL_INTEGER:
		*out = v->type == TMPL_INT_DURATION ? (double)v->i / (double)NS_PER_S : (double)v->i;
		return v->type <= TMPL_INT_DURATION ||
		       tmpl_fail(r, "can't convert %s to float", tmpl_type_name(v));
	case TMPL_TEXT:
		if (units_parse_number(v->s, out, &err) == -1)
			return tmpl_fail(r, "%s", err.msg);
		return true;
	default: return tmpl_fail(r, "can't convert %s to float", tmpl_type_name(v));
	}
}

/* Four digits that count, then the unit; before it a sign. */
static bool put_number(struct tmpl_run *r, const char *sign, double v, const char *prefix, const char *unit,
		       struct tmpl_value *out)
{
	char text[64];

	if (isnan(v))
		snprintf(text, sizeof(text), "NaN");
	else if (isinf(v))
		snprintf(text, sizeof(text), "%cInf", v < 0 ? '-' : '+');
	else
		snprintf(text, sizeof(text), "%s%.4g%s%s", sign, v, prefix, unit);
	return put_text(r, slice_cstr(text), out);
}

/* 0.0012 is 1.2 m */
static const char *small_prefix(double *v)
{
	static const char *const prefixes[] = { "m", "u", "n", "p", "f", "a", "z", "y" };
	const char *prefix = "";

	for (size_t i = 0; i < ARRAY_LEN(prefixes) && fabs(*v) < 1; i++) {
		prefix = prefixes[i];
		*v *= 1000;
	}
	return prefix;
}

static const char *large_prefix(double *v, const char *const prefixes[8], double base)
{
	const char *prefix = "";

	for (size_t i = 0; i < 8 && fabs(*v) >= base; i++) {
		prefix = prefixes[i];
		*v /= base;
	}
	return prefix;
}

static bool plain(double v)
{
	return v == 0 || isnan(v) || isinf(v);
}

static bool humanize(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	static const char *const prefixes[8] = { "k", "M", "G", "T", "P", "E", "Z", "Y" };
	const char *prefix = "";
	double v;

	UNUSED(n);
	if (!number_of(r, arg, &v))
		return false;
	if (!plain(v))
		prefix = fabs(v) >= 1 ? large_prefix(&v, prefixes, 1000) : small_prefix(&v);
	return put_number(r, "", v, prefix, "", out);
}

static bool humanize_1024(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	static const char *const prefixes[8] = { "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi" };
	const char *prefix = "";
	double v;

	UNUSED(n);
	if (!number_of(r, arg, &v))
		return false;
	if (!plain(v))
		prefix = large_prefix(&v, prefixes, 1024);
	return put_number(r, "", v, prefix, "", out);
}

static bool put_days(struct tmpl_run *r, const char *sign, double v, struct tmpl_value *out)
{
	long long all = v < 9e18 ? (long long)v : 9000000000000000000LL, days = all / 86400,
		  hours = all / 3600 % 24, minutes = all / 60 % 60, seconds = all % 60;
	char text[96];

	if (days != 0)
		snprintf(text, sizeof(text), "%s%lldd %lldh %lldm %llds", sign, days, hours, minutes,
			 seconds);
	else if (hours != 0)
		snprintf(text, sizeof(text), "%s%lldh %lldm %llds", sign, hours, minutes, seconds);
	else if (minutes != 0)
		snprintf(text, sizeof(text), "%s%lldm %llds", sign, minutes, seconds);
	else
		return put_number(r, sign, v, "", "s", out);
	return put_text(r, slice_cstr(text), out);
}

static bool humanize_duration(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			      struct tmpl_value *out)
{
	double v;

	UNUSED(n);
	if (!number_of(r, arg, &v))
		return false;
	if (plain(v))
		return put_number(r, "", v, "", "s", out);
	if (fabs(v) >= 1)
		return put_days(r, v < 0 ? "-" : "", fabs(v), out);
	const char *prefix = small_prefix(&v);
	return put_number(r, "", v, prefix, "s", out);
}

static bool humanize_percentage(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
				struct tmpl_value *out)
{
	double v;

	UNUSED(n);
	return number_of(r, arg, &v) && put_number(r, "", v * 100, "", "%", out);
}

/* ---- times ---- */

/* To the millisecond. */
static bool time_of(struct tmpl_run *r, double v, struct tmpl_value *out)
{
	if (!(fabs(v) < 9.2e9))
		return tmpl_fail(
			r, "%g cannot be represented as a nanoseconds timestamp since it overflows int64", v);
	int64_t ms = (int64_t)floor(v * 1000 + 1e-6);
	*out = tmpl_time(go_time_of_ns(ms * NS_PER_MS, zone_utc()));
	return true;
}

static bool to_time(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	double v;

	UNUSED(n);
	return number_of(r, arg, &v) && time_of(r, v, out);
}

static bool humanize_timestamp(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			       struct tmpl_value *out)
{
	struct tmpl_value t;
	double v;

	UNUSED(n);
	if (!number_of(r, arg, &v))
		return false;
	if (isnan(v) || isinf(v))
		return put_number(r, "", v, "", "", out);
	if (!time_of(r, v, &t))
		return false;
	struct tmpl_sink sink = tmpl_sink(r);
	tmpl_print(&sink, &t);
	return tmpl_sink_value(r, &sink, out);
}

static bool parse_duration(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct err err;
	int64_t ns;

	UNUSED(n);
	if (units_parse_prom_duration(arg->s, &ns, &err) == -1)
		return tmpl_fail(r, "%s", err.msg);
	*out = tmpl_float((double)ns / (double)NS_PER_S);
	return true;
}

/* ---- hosts and links ---- */

/* host:port, [v6]:port */
static bool split_port(struct slice s, struct slice *host, struct slice *port)
{
	size_t colon = s.n;

	while (colon > 0 && s.p[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return false;
	*port = slice_from(s, colon);
	*host = slice_sub(s, 0, colon - 1);
	if (host->n >= 2 && host->p[0] == '[' && host->p[host->n - 1] == ']') {
		*host = slice_sub(*host, 1, host->n - 2);
		return true;
	}
	return slice_find_byte(*host, ':') == SLICE_NONE && slice_find_byte(*host, '[') == SLICE_NONE;
}

static bool strip_port(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice host, port;

	UNUSED(r);
	UNUSED(n);
	*out = tmpl_text(split_port(arg->s, &host, &port) ? host : arg->s);
	return true;
}

static bool is_address(struct slice host, struct arena *a)
{
	struct in6_addr addr;
	const char *text = arena_cstr(a, host);

	return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

static bool strip_domain(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice host = arg->s, port = SLICE("");

	UNUSED(n);
	*out = *arg;
	if (!split_port(arg->s, &host, &port)) {
		host = arg->s;
		port = SLICE("");
	}
	if (is_address(host, r->arena))
		return true;
	size_t dot = slice_find_byte(host, '.');
	host = slice_sub(host, 0, dot == SLICE_NONE ? host.n : dot);
	*out = tmpl_text(host);
	if (port.n == 0)
		return true;
	struct tmpl_sink sink = tmpl_sink(r);
	tmpl_sink_put(&sink, host);
	tmpl_sink_put(&sink, SLICE(":"));
	tmpl_sink_put(&sink, port);
	return tmpl_sink_value(r, &sink, out);
}

static bool safe_html(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = *arg;
	return true;
}

static struct slice external_url_of(const struct tmpl_run *r)
{
	struct tmpl_value v = TMPL_ABSENT;

	if (r->dot != NULL)
		v = tmpl_map_get(r->dot, SLICE("ExternalURL"));
	return v.kind == TMPL_TEXT ? v.s : SLICE("");
}

static bool external_url(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(arg);
	UNUSED(n);
	*out = tmpl_text(external_url_of(r));
	return true;
}

static bool path_prefix(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice url = external_url_of(r);
	size_t scheme = slice_find(url, SLICE("://"));

	UNUSED(arg);
	UNUSED(n);
	if (scheme != SLICE_NONE) {
		url = slice_from(url, scheme + 3);
		size_t slash = slice_find_byte(url, '/');
		url = slice_from(url, slash == SLICE_NONE ? url.n : slash);
	}
	*out = tmpl_text(url);
	return true;
}

tmpl_function *const tmpl_rule_functions[TMPL_N_FUNCS] = {
	[TMPL_FN_RULE_SAFE_HTML] = safe_html,
	[TMPL_FN_RULE_STRIP_PORT] = strip_port,
	[TMPL_FN_RULE_STRIP_DOMAIN] = strip_domain,
	[TMPL_FN_RULE_HUMANIZE] = humanize,
	[TMPL_FN_RULE_HUMANIZE_1024] = humanize_1024,
	[TMPL_FN_RULE_HUMANIZE_DURATION] = humanize_duration,
	[TMPL_FN_RULE_HUMANIZE_PERCENTAGE] = humanize_percentage,
	[TMPL_FN_RULE_HUMANIZE_TIMESTAMP] = humanize_timestamp,
	[TMPL_FN_RULE_TO_TIME] = to_time,
	[TMPL_FN_RULE_PARSE_DURATION] = parse_duration,
	[TMPL_FN_RULE_EXTERNAL_URL] = external_url,
	[TMPL_FN_RULE_PATH_PREFIX] = path_prefix,
};
