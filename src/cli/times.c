#include "cli/times.h"
#include "base/clock.h"

bool duration_parse(struct slice s, int64_t *ns)
{
	char why[256];
	int64_t v;

	if (!clock_parse_prom_duration(s, &v, why, sizeof(why)) || v <= 0)
		return false;
	*ns = v;
	return true;
}

/* A date, with or without a time of day, as RFC 3339 lacks it: completed and read as such. */
static bool parse_date(struct slice s, int64_t *ns)
{
	struct buf full = { 0 };

	if (s.n != 10 && s.n != 16 && s.n != 19)
		return false;
	buf_add(&full, slice_sub(s, 0, 10));
	buf_putc(&full, 'T');
	buf_add(&full, slice_from(s, 11));
	buf_puts(&full, s.n == 10 ? "00:00:00Z" : s.n == 16 ? ":00Z" : "Z");
	bool ok =
		(s.n == 10 || s.p[10] == ' ' || s.p[10] == 'T') && clock_parse_rfc3339(buf_slice(&full), ns);
	buf_fini(&full);
	return ok;
}

bool time_parse(struct slice s, int64_t now, int64_t *ns)
{
	int64_t v;

	if (slice_is(s, "now"))
		return *ns = now, true;
	if (slice_to_i64(s, &v)) {
		if (s.n > 10)
			return *ns = v, true;
		return !__builtin_mul_overflow(v, NS_PER_S, ns);
	}
	if (duration_parse(slice_starts(s, SLICE("now-")) ? slice_from(s, 4) : s, &v))
		return !__builtin_sub_overflow(now, v, ns);
	return clock_parse_rfc3339(s, ns) || parse_date(s, ns);
}
