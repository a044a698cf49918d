#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fake_ns;

static int64_t read_clock(clockid_t id)
{
	int64_t fake = atomic_load_explicit(&fake_ns, memory_order_relaxed);
	struct timespec ts;

	if (fake != 0)
		return fake;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_fake(int64_t now_ns)
{
	atomic_store(&fake_ns, now_ns);
}

void clock_fake_advance(int64_t ns)
{
	atomic_fetch_add(&fake_ns, ns);
}

int64_t clock_day_of(int64_t ns)
{
	int64_t day = ns / NS_PER_DAY;

	return ns % NS_PER_DAY < 0 ? day - 1 : day;
}

/* Days to and from the civil calendar (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + (int64_t)doe - 719468;
}

void clock_format_rfc3339(struct buf *b, int64_t ns, bool with_fraction)
{
	int64_t day = clock_day_of(ns), rest = ns - day * NS_PER_DAY, y;
	int64_t sec = rest / NS_PER_S, frac = rest % NS_PER_S;
	unsigned m, d;

	civil_from_days(day, &y, &m, &d);
	buf_printf(b, "%04lld-%02u-%02uT%02d:%02d:%02d", (long long)y, m, d, (int)(sec / 3600),
		   (int)(sec / 60 % 60), (int)(sec % 60));
	if (with_fraction && frac != 0) {
		buf_printf(b, ".%09lld", (long long)frac);
		while (b->p[b->n - 1] == '0')
			b->n--;
	}
	buf_putc(b, 'Z');
}

void clock_format_day(char out[16], int64_t day)
{
	int64_t y;
	unsigned m, d;

	civil_from_days(day, &y, &m, &d);
	snprintf(out, 16, "%04d-%02u-%02u", (int)y, m % 100, d % 100);
}

static bool digits(struct slice s, size_t at, size_t n, unsigned *out)
{
	uint64_t v;

	if (s.n < at + n || !slice_to_u64(slice_sub(s, at, n), &v))
		return false;
	*out = (unsigned)v;
	return true;
}

static unsigned days_in_month(unsigned y, unsigned m)
{
	static const unsigned char n[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return n[m - 1] + (m == 2 && leap);
}

static bool parse_date(struct slice s, int64_t *day)
{
	unsigned y, m, d;

	if (!digits(s, 0, 4, &y) || !digits(s, 5, 2, &m) || !digits(s, 8, 2, &d) || s.p[4] != '-' ||
	    s.p[7] != '-')
		return false;
	if (m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
		return false;
	*day = days_from_civil(y, m, d);
	return true;
}

bool clock_parse_day(struct slice s, int64_t *day)
{
	return s.n == 10 && parse_date(s, day);
}

bool clock_parse_rfc3339(struct slice s, int64_t *ns)
{
	unsigned hh, mm, ss, zh = 0, zm = 0;
	int64_t day, frac = 0, total;

	if (s.n < 20 || !parse_date(s, &day) || (s.p[10] != 'T' && s.p[10] != 't') ||
	    !digits(s, 11, 2, &hh) || s.p[13] != ':' || !digits(s, 14, 2, &mm) || s.p[16] != ':' ||
	    !digits(s, 17, 2, &ss))
		return false;
	if (hh > 23 || mm > 59 || ss > 59)
		return false;
	struct slice rest = slice_from(s, 19);
	if (rest.n > 0 && (rest.p[0] == '.' || rest.p[0] == ',')) {
		size_t n = 0;
		int64_t unit = NS_PER_S / 10;

		rest = slice_from(rest, 1);
		for (; n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9'; n++, unit /= 10)
			frac += (rest.p[n] - '0') * unit;
		if (n == 0)
			return false;
		rest = slice_from(rest, n);
	}
	int sign = 0;
	if (rest.n == 1 && (rest.p[0] == 'Z' || rest.p[0] == 'z'))
		sign = 0;
	else if (rest.n == 6 && (rest.p[0] == '+' || rest.p[0] == '-') && digits(rest, 1, 2, &zh) &&
		 rest.p[3] == ':' && digits(rest, 4, 2, &zm) && zh < 24 && zm < 60)
		sign = rest.p[0] == '+' ? 1 : -1;
	else
		return false;
	int64_t sec = (int64_t)(hh * 3600 + mm * 60 + ss) - sign * (int64_t)(zh * 3600 + zm * 60);
	if (__builtin_mul_overflow(day, NS_PER_DAY, &total) ||
	    __builtin_add_overflow(total, sec * NS_PER_S, &total) ||
	    __builtin_add_overflow(total, frac, &total))
		return false;
	*ns = total;
	return true;
}

bool clock_parse_prom_duration(struct slice s, int64_t *ns, char *err_text, size_t err_size)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "y", 365 * NS_PER_DAY }, { "w", 7 * NS_PER_DAY }, { "d", NS_PER_DAY },
		      { "h", NS_PER_H },	 { "m", NS_PER_MIN },	  { "s", NS_PER_S },
		      { "ms", NS_PER_MS } };
	size_t i = 0, last_unit = 0;
	int64_t total = 0;
	bool first = true;

	if (s.n == 0) {
		snprintf(err_text, err_size, "empty duration string");
		return false;
	}
	if (slice_is(s, "0")) {
		*ns = 0;
		return true;
	}
	while (i < s.n) {
		size_t num = i, unit;
		uint64_t v;
		int64_t part;

		while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
			i++;
		if (i == num || i == s.n)
			goto invalid;
		size_t num_end = i;
		while (i < s.n && !(s.p[i] >= '0' && s.p[i] <= '9'))
			i++;
		struct slice name = slice_sub(s, num_end, i - num_end);
		for (unit = 0; unit < 7 && !slice_is(name, units[unit].name); unit++)
			;
		if (unit == 7) {
			snprintf(err_text, err_size, "unknown unit \"%.*s\" in duration \"%.*s\"",
				 SLICE_ARG(name), SLICE_ARG(s));
			return false;
		}
		if (!first && unit <= last_unit)
			goto invalid;
		first = false;
		last_unit = unit;
		if (!slice_to_u64(slice_sub(s, num, num_end - num), &v) || v > INT64_MAX ||
		    __builtin_mul_overflow((int64_t)v, units[unit].ns, &part) ||
		    __builtin_add_overflow(total, part, &total)) {
			snprintf(err_text, err_size, "duration out of range");
			return false;
		}
	}
	*ns = total;
	return true;
invalid:
	snprintf(err_text, err_size, "not a valid duration string: \"%.*s\"", SLICE_ARG(s));
	return false;
}

bool clock_parse_go_duration(struct slice s, int64_t *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 },   { "us", 1e3 }, { "\xc2\xb5s", 1e3 }, { "\xce\xbcs", 1e3 },
		      { "ms", 1e6 }, { "s", 1e9 },  { "m", 60e9 },	  { "h", 3600e9 } };
	bool negative = false;
	int64_t total = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		s = slice_from(s, 1);
	}
	if (slice_is(s, "0")) {
		*ns = 0;
		return true;
	}
	if (s.n == 0)
		return false;
	while (s.n > 0) {
		size_t i = 0, dots = 0, n_digits = 0, u;

		for (; i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.'); i++) {
			dots += s.p[i] == '.';
			n_digits += s.p[i] != '.';
		}
		if (n_digits == 0 || dots > 1)
			return false;
		struct slice num = slice_sub(s, 0, i);
		s = slice_from(s, i);
		for (i = 0; i < s.n && s.p[i] != '.' && !(s.p[i] >= '0' && s.p[i] <= '9'); i++)
			;
		struct slice name = slice_sub(s, 0, i);
		s = slice_from(s, i);
		for (u = 0; u < 8 && !slice_is(name, units[u].name); u++)
			;
		if (u == 8)
			return false;
		int64_t part;
		uint64_t whole = 0;
		size_t dot = slice_find_byte(num, '.');
		struct slice ip = dot == SLICE_NONE ? num : slice_sub(num, 0, dot);
		struct slice fp = dot == SLICE_NONE ? SLICE("") : slice_from(num, dot + 1);
		if (ip.n > 0 && !slice_to_u64(ip, &whole))
			return false;
		if (whole > INT64_MAX || __builtin_mul_overflow((int64_t)whole, (int64_t)units[u].ns, &part))
			return false;
		double scale = units[u].ns, frac = 0;
		for (size_t k = 0; k < fp.n; k++) {
			scale /= 10;
			frac += (fp.p[k] - '0') * scale;
		}
		if (__builtin_add_overflow(part, (int64_t)(frac + 0.0000001), &part) ||
		    __builtin_add_overflow(total, part, &total))
			return false;
	}
	*ns = negative ? -total : total;
	return true;
}

static void put_fraction(struct buf *b, uint64_t v, int n_digits)
{
	buf_printf(b, ".%0*llu", n_digits, (unsigned long long)v);
	while (b->p[b->n - 1] == '0')
		b->n--;
	if (b->p[b->n - 1] == '.')
		b->n--;
}

void clock_format_go_duration(struct buf *b, int64_t ns)
{
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	if (u == 0) {
		buf_puts(b, "0s");
		return;
	}
	if (ns < 0)
		buf_putc(b, '-');
	if (u < 1000) {
		buf_printf(b, "%lluns", (unsigned long long)u);
	} else if (u < 1000000) {
		buf_printf(b, "%llu", (unsigned long long)(u / 1000));
		put_fraction(b, u % 1000, 3);
		buf_puts(b, "\xc2\xb5s");
	} else if (u < 1000000000) {
		buf_printf(b, "%llu", (unsigned long long)(u / 1000000));
		put_fraction(b, u % 1000000, 6);
		buf_puts(b, "ms");
	} else {
		uint64_t s = u / 1000000000;

		if (s >= 3600)
			buf_printf(b, "%lluh", (unsigned long long)(s / 3600));
		if (s >= 60)
			buf_printf(b, "%llum", (unsigned long long)(s / 60 % 60));
		buf_printf(b, "%llu", (unsigned long long)(s % 60));
		put_fraction(b, u % 1000000000, 9);
		buf_putc(b, 's');
	}
}

void clock_format_prom_duration(struct buf *b, int64_t ns)
{
	static const struct {
		const char *name;
		int64_t ms;
		bool exact; /* used only when it divides what is left */
	} units[] = { { "y", 31536000000, true }, { "w", 604800000, true }, { "d", 86400000, false },
		      { "h", 3600000, false },	  { "m", 60000, false },    { "s", 1000, false },
		      { "ms", 1, false } };
	int64_t ms = ns / NS_PER_MS;

	if (ms == 0) {
		buf_puts(b, "0s");
		return;
	}
	if (ms < 0) {
		buf_putc(b, '-');
		ms = -ms;
	}
	for (size_t i = 0; i < 7; i++) {
		int64_t v = ms / units[i].ms;

		if (v == 0 || (units[i].exact && ms % units[i].ms != 0))
			continue;
		buf_printf(b, "%lld%s", (long long)v, units[i].name);
		ms -= v * units[i].ms;
	}
}

void clock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}
