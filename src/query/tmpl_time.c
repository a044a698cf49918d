#include "query/tmpl_time.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"

const char *const go_month_names[12] = {
	"January", "February", "March",	    "April",   "May",	   "June",
	"July",	   "August",   "September", "October", "November", "December"
};
const char *const go_weekday_names[7] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
					  "Thursday", "Friday", "Saturday" };

enum { DAY_S = 86400 };

/* ---- calendar ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a date; years begin in March here, so that leap days come last. */
static int64_t days_of(int64_t year, int month, int64_t day)
{
	int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year + day - 1 - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

struct go_time go_time_of_ns(int64_t unix_ns, const struct zone *zone)
{
	int64_t s = floor_div(unix_ns, NS_PER_S);

	return (struct go_time){ s, (int32_t)(unix_ns - s * NS_PER_S), zone };
}

int64_t go_time_unix_ns(const struct go_time *t)
{
	return (int64_t)((uint64_t)t->unix_s * (uint64_t)NS_PER_S + (uint64_t)t->ns);
}

struct go_clock go_time_clock(const struct go_time *t)
{
	struct go_clock c = { .zone = zone_at(t->zone, t->unix_s) };
	int64_t wall, days;
	int s;

	if (__builtin_add_overflow(t->unix_s, (int64_t)c.zone.offset_s, &wall))
		wall = t->unix_s;
	days = floor_div(wall, DAY_S);
	s = (int)(wall - days * DAY_S);
	date_of(days, &c.year, &c.month, &c.day);
	c.hour = s / 3600;
	c.minute = s / 60 % 60;
	c.second = s % 60;
	c.weekday = (int)(((days + 4) % 7 + 7) % 7);
	c.year_day = (int)(days - days_of(c.year, 1, 1)) + 1;
	return c;
}

struct go_time go_time_date(int64_t year, int64_t month, int64_t day, int64_t second_of_day, int32_t ns,
			    const struct zone *zone)
{
	int64_t m = month - 1, wall;

	year += floor_div(m, 12);
	m -= floor_div(m, 12) * 12;
	wall = (days_of(year, (int)m + 1, 1) + day - 1) * DAY_S + second_of_day;
	struct zone_time at = zone_at(zone, wall);
	if (at.offset_s != 0) {
		int64_t utc = wall - at.offset_s;

		if (utc < at.start || utc >= at.end)
			at = zone_at(zone, utc);
		wall -= at.offset_s;
	}
	return (struct go_time){ wall, ns, zone };
}

struct go_time go_time_add(struct go_time t, int64_t ns)
{
	int64_t s = floor_div(ns, NS_PER_S);
	int64_t sum = t.ns + (ns - s * NS_PER_S);

	t.unix_s = (int64_t)((uint64_t)t.unix_s + (uint64_t)s + (sum >= NS_PER_S));
	t.ns = (int32_t)(sum >= NS_PER_S ? sum - NS_PER_S : sum);
	return t;
}

int64_t go_time_sub(const struct go_time *a, const struct go_time *b)
{
	int64_t s, ns;

	if (__builtin_sub_overflow(a->unix_s, b->unix_s, &s) || __builtin_mul_overflow(s, NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)a->ns - b->ns, &ns))
		return go_time_cmp(a, b) < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

int go_time_cmp(const struct go_time *a, const struct go_time *b)
{
	if (a->unix_s != b->unix_s)
		return a->unix_s < b->unix_s ? -1 : 1;
	return a->ns < b->ns ? -1 : a->ns > b->ns;
}

__extension__ typedef __int128 int128;

struct go_time go_time_truncate(struct go_time t, int64_t ns)
{
	if (ns <= 0)
		return t;
	int128 since = (int128)((int128)t.unix_s - GO_TIME_ZERO_S) * NS_PER_S + t.ns;
	int128 rest = since % ns;
	if (rest < 0)
		rest += ns;
	return go_time_add(t, -(int64_t)rest);
}

/* ---- layouts ---- */

enum chunk_kind {
	CHUNK_NONE,
	CHUNK_LONG_MONTH,
	CHUNK_MONTH,
	CHUNK_NUM_MONTH,
	CHUNK_ZERO_MONTH,
	CHUNK_LONG_WEEKDAY,
	CHUNK_WEEKDAY,
	CHUNK_DAY,
	CHUNK_UNDER_DAY,
	CHUNK_ZERO_DAY,
	CHUNK_UNDER_YEAR_DAY,
	CHUNK_ZERO_YEAR_DAY,
	CHUNK_HOUR,
	CHUNK_HOUR12,
	CHUNK_ZERO_HOUR12,
	CHUNK_MINUTE,
	CHUNK_ZERO_MINUTE,
	CHUNK_SECOND,
	CHUNK_ZERO_SECOND,
	CHUNK_LONG_YEAR,
	CHUNK_YEAR,
	CHUNK_PM,
	CHUNK_PM_SMALL,
	CHUNK_TZ,
	CHUNK_OFFSET, /* see struct chunk */
	CHUNK_FRACTION_0,
	CHUNK_FRACTION_9,
};

struct chunk {
	enum chunk_kind kind;
	size_t n;			/* its length in the layout */
	bool z, colon, seconds, short_; /* CHUNK_OFFSET: Z for UTC; -07:00; -070000; -07 */
	size_t digits;			/* CHUNK_FRACTION_* */
	char separator;
};

struct chunk_row {
	const char *text;
	enum chunk_kind kind;
	struct chunk offset;
};

/* Of two that begin alike the longer one stands first. */
static const struct chunk_row chunk_rows[] = {
	{ "January", CHUNK_LONG_MONTH, { 0 } },
	{ "Jan", CHUNK_MONTH, { 0 } }, /* but not Janet */
	{ "Monday", CHUNK_LONG_WEEKDAY, { 0 } },
	{ "Mon", CHUNK_WEEKDAY, { 0 } },
	{ "MST", CHUNK_TZ, { 0 } },
	{ "002", CHUNK_ZERO_YEAR_DAY, { 0 } },
	{ "01", CHUNK_ZERO_MONTH, { 0 } },
	{ "02", CHUNK_ZERO_DAY, { 0 } },
	{ "03", CHUNK_ZERO_HOUR12, { 0 } },
	{ "04", CHUNK_ZERO_MINUTE, { 0 } },
	{ "05", CHUNK_ZERO_SECOND, { 0 } },
	{ "06", CHUNK_YEAR, { 0 } },
	{ "15", CHUNK_HOUR, { 0 } },
	{ "1", CHUNK_NUM_MONTH, { 0 } },
	{ "2006", CHUNK_LONG_YEAR, { 0 } },
	{ "2", CHUNK_DAY, { 0 } },
	{ "__2", CHUNK_UNDER_YEAR_DAY, { 0 } },
	{ "_2", CHUNK_UNDER_DAY, { 0 } }, /* but in _2006 the _ is itself */
	{ "3", CHUNK_HOUR12, { 0 } },
	{ "4", CHUNK_MINUTE, { 0 } },
	{ "5", CHUNK_SECOND, { 0 } },
	{ "PM", CHUNK_PM, { 0 } },
	{ "pm", CHUNK_PM_SMALL, { 0 } },
	{ "-070000", CHUNK_OFFSET, { .seconds = true } },
	{ "-07:00:00", CHUNK_OFFSET, { .seconds = true, .colon = true } },
	{ "-0700", CHUNK_OFFSET, { 0 } },
	{ "-07:00", CHUNK_OFFSET, { .colon = true } },
	{ "-07", CHUNK_OFFSET, { .short_ = true } },
	{ "Z070000", CHUNK_OFFSET, { .z = true, .seconds = true } },
	{ "Z07:00:00", CHUNK_OFFSET, { .z = true, .seconds = true, .colon = true } },
	{ "Z0700", CHUNK_OFFSET, { .z = true } },
	{ "Z07:00", CHUNK_OFFSET, { .z = true, .colon = true } },
	{ "Z07", CHUNK_OFFSET, { .z = true, .short_ = true } },
};

static bool digit_at(struct slice s, size_t i)
{
	return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static bool small_at(struct slice s, size_t i)
{
	return i < s.n && s.p[i] >= 'a' && s.p[i] <= 'z';
}

/* .000 or .999 at the start of s; digits must not follow. */
static bool fraction_at(struct slice s, struct chunk *c)
{
	size_t n = 1;

	if (s.n < 2 || (s.p[0] != '.' && s.p[0] != ',') || (s.p[1] != '0' && s.p[1] != '9'))
		return false;
	while (n < s.n && s.p[n] == s.p[1])
		n++;
	if (digit_at(s, n))
		return false;
	*c = (struct chunk){ .kind = s.p[1] == '0' ? CHUNK_FRACTION_0 : CHUNK_FRACTION_9,
			     .n = n,
			     .digits = n - 1,
			     .separator = s.p[0] };
	return true;
}

static bool chunk_at(struct slice s, struct chunk *c)
{
	if (s.n == 0 || memchr("JM0123456_7Pp-Z.,", s.p[0], 17) == NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(chunk_rows); i++) {
		const struct chunk_row *r = &chunk_rows[i];
		size_t n = strlen(r->text);

		if (!slice_starts(s, slice_of(r->text, n)))
			continue;
		if ((r->kind == CHUNK_MONTH || r->kind == CHUNK_WEEKDAY) && small_at(s, n))
			continue;
		if (r->kind == CHUNK_UNDER_DAY && slice_starts(s, SLICE("_2006")))
			return false;
		*c = r->offset;
		c->kind = r->kind;
		c->n = n;
		return true;
	}
	return fraction_at(s, c);
}

/* The text before the next chunk is cut off the layout, and so is the chunk. */
static struct chunk next_chunk(struct slice *layout, struct slice *before)
{
	struct chunk c = { .kind = CHUNK_NONE };
	size_t i = 0;

	while (i < layout->n && !chunk_at(slice_from(*layout, i), &c))
		i++;
	*before = slice_sub(*layout, 0, i);
	*layout = slice_from(*layout, i + c.n);
	return c;
}

/* ---- formatting ---- */

static void put_offset(struct buf *b, const struct chunk *c, int32_t offset)
{
	int32_t abs = offset < 0 ? -offset : offset;
	/* Offsets between -1 and 0 minutes have no sign of their own. */
	char sign = offset / 60 < 0 ? '-' : '+';

	if (c->z && offset == 0) {
		buf_putc(b, 'Z');
		return;
	}
	buf_printf(b, "%c%02d", sign, abs / 3600);
	if (!c->short_)
		buf_printf(b, "%s%02d", c->colon ? ":" : "", abs / 60 % 60);
	if (c->seconds)
		buf_printf(b, "%s%02d", c->colon ? ":" : "", abs % 60);
}

static void put_fraction(struct buf *b, const struct chunk *c, int32_t ns)
{
	char digits[16];
	size_t n = c->digits;

	snprintf(digits, sizeof(digits), "%09d", ns);
	if (c->kind == CHUNK_FRACTION_9) {
		n = MIN(n, (size_t)9);
		while (n > 0 && digits[n - 1] == '0')
			n--;
		if (n == 0)
			return;
	}
	buf_putc(b, c->separator);
	buf_append(b, digits, MIN(n, (size_t)9));
	for (size_t i = 9; i < n; i++)
		buf_putc(b, '0');
}

static void put_year(struct buf *b, int64_t year)
{
	buf_printf(b, year < 0 ? "-%04lld" : "%04lld", (long long)(year < 0 ? -year : year));
}

static void put_chunk(struct buf *b, const struct chunk *c, const struct go_clock *t, int32_t ns)
{
	int hour12 = t->hour % 12 == 0 ? 12 : t->hour % 12;
	struct chunk plain = { 0 };

	switch (c->kind) {
	case CHUNK_NONE: break;
	case CHUNK_YEAR: buf_printf(b, "%02d", (int)((t->year < 0 ? 0 : t->year) % 100)); break;
	case CHUNK_LONG_YEAR: put_year(b, t->year); break;
	case CHUNK_MONTH: buf_append(b, go_month_names[t->month - 1], 3); break;
	case CHUNK_LONG_MONTH: buf_puts(b, go_month_names[t->month - 1]); break;
	case CHUNK_NUM_MONTH: buf_printf(b, "%d", t->month); break;
	case CHUNK_ZERO_MONTH: buf_printf(b, "%02d", t->month); break;
	case CHUNK_WEEKDAY: buf_append(b, go_weekday_names[t->weekday], 3); break;
	case CHUNK_LONG_WEEKDAY: buf_puts(b, go_weekday_names[t->weekday]); break;
	case CHUNK_DAY: buf_printf(b, "%d", t->day); break;
	case CHUNK_UNDER_DAY: buf_printf(b, "%2d", t->day); break;
	case CHUNK_ZERO_DAY: buf_printf(b, "%02d", t->day); break;
	case CHUNK_UNDER_YEAR_DAY: buf_printf(b, "%3d", t->year_day); break;
	case CHUNK_ZERO_YEAR_DAY: buf_printf(b, "%03d", t->year_day); break;
	case CHUNK_HOUR: buf_printf(b, "%02d", t->hour); break;
	case CHUNK_HOUR12: buf_printf(b, "%d", hour12); break;
	case CHUNK_ZERO_HOUR12: buf_printf(b, "%02d", hour12); break;
	case CHUNK_MINUTE: buf_printf(b, "%d", t->minute); break;
	case CHUNK_ZERO_MINUTE: buf_printf(b, "%02d", t->minute); break;
	case CHUNK_SECOND: buf_printf(b, "%d", t->second); break;
	case CHUNK_ZERO_SECOND: buf_printf(b, "%02d", t->second); break;
	case CHUNK_PM: buf_puts(b, t->hour >= 12 ? "PM" : "AM"); break;
	case CHUNK_PM_SMALL: buf_puts(b, t->hour >= 12 ? "pm" : "am"); break;
	case CHUNK_TZ:
		if (t->zone.abbrev.n > 0)
			buf_add(b, t->zone.abbrev);
		else
			put_offset(b, &plain, t->zone.offset_s);
		break;
	case CHUNK_OFFSET: put_offset(b, c, t->zone.offset_s); break;
	case CHUNK_FRACTION_0:
	case CHUNK_FRACTION_9: put_fraction(b, c, ns); break;
	}
}

void go_time_format(struct buf *b, const struct go_time *t, struct slice layout)
{
	struct go_clock clock = go_time_clock(t);
	struct slice before;

	while (layout.n > 0) {
		struct chunk c = next_chunk(&layout, &before);

		buf_add(b, before);
		put_chunk(b, &c, &clock, t->ns);
	}
}

/* ---- parsing ---- */

/* What has been read so far. -1: nothing yet. */
struct parts {
	int64_t year;
	int month, day, year_day, hour, minute, second;
	int32_t ns;
	bool am, pm, is_utc, has_offset;
	int32_t offset_s;
	struct slice abbrev;
};

static bool eat(struct slice *s, size_t n)
{
	if (s->n < n)
		return false;
	*s = slice_from(*s, n);
	return true;
}

static bool get_num(struct slice *s, bool two_digits, int *out)
{
	if (!digit_at(*s, 0) || (two_digits && !digit_at(*s, 1)))
		return false;
	*out = s->p[0] - '0';
	if (digit_at(*s, 1))
		*out = *out * 10 + (s->p[1] - '0');
	return eat(s, digit_at(*s, 1) ? 2 : 1);
}

static bool get_num3(struct slice *s, bool three_digits, int *out)
{
	size_t i = 0;

	for (*out = 0; i < 3 && digit_at(*s, i); i++)
		*out = *out * 10 + (s->p[i] - '0');
	if (i == 0 || (three_digits && i != 3))
		return false;
	return eat(s, i);
}

static bool get_digits(struct slice s, size_t from, size_t n, int *out)
{
	*out = 0;
	for (size_t i = from; i < from + n; i++) {
		if (!digit_at(s, i))
			return false;
		*out = *out * 10 + (s.p[i] - '0');
	}
	return true;
}

/* Any case will do. */
static bool get_name(struct slice *s, const char *const *names, size_t n, size_t length, int *out)
{
	for (size_t i = 0; i < n; i++) {
		struct slice name = slice_sub(slice_cstr(names[i]), 0, length);

		if (slice_eq_nocase(slice_sub(*s, 0, name.n), name)) {
			*out = (int)i;
			return eat(s, name.n);
		}
	}
	return false;
}

/* A separator and digits: the first nine count. */
static bool get_fraction(struct slice *s, size_t n, int32_t *ns)
{
	int32_t v = 0;

	if (s->n < n || (s->p[0] != '.' && s->p[0] != ','))
		return false;
	for (size_t i = 1; i < 10; i++) {
		if (i < n && !digit_at(*s, i))
			return false;
		v = v * 10 + (i < n ? s->p[i] - '0' : 0);
	}
	*ns = v;
	return eat(s, n);
}

static size_t fraction_length(struct slice s)
{
	size_t n = 1;

	if (s.n < 2 || (s.p[0] != '.' && s.p[0] != ',') || !digit_at(s, 1))
		return 0;
	while (digit_at(s, n))
		n++;
	return n;
}

/* Seconds may have a fraction that the layout does not name. */
static bool get_second(struct slice *s, bool two_digits, struct slice layout, struct parts *p)
{
	struct slice ignored;

	if (!get_num(s, two_digits, &p->second) || p->second >= 60)
		return false;
	size_t n = fraction_length(*s);
	if (n == 0)
		return true;
	enum chunk_kind next = next_chunk(&layout, &ignored).kind;
	if (next == CHUNK_FRACTION_0 || next == CHUNK_FRACTION_9)
		return true;
	return get_fraction(s, n, &p->ns);
}

static bool get_offset(struct slice *s, const struct chunk *c, struct parts *p)
{
	size_t colon = c->colon, n = 3;
	int h, m = 0, sec = 0;

	if (c->z && s->n > 0 && s->p[0] == 'Z') {
		p->is_utc = true;
		return eat(s, 1);
	}
	if (s->n < 3 || (s->p[0] != '+' && s->p[0] != '-') || !get_digits(*s, 1, 2, &h))
		return false;
	if (!c->short_) {
		if ((colon && (s->n <= n || s->p[n] != ':')) || !get_digits(*s, n + colon, 2, &m))
			return false;
		n += colon + 2;
	}
	if (c->seconds) {
		if ((colon && (s->n <= n || s->p[n] != ':')) || !get_digits(*s, n + colon, 2, &sec))
			return false;
		n += colon + 2;
	}
	if (h > 24 || m > 60 || sec > 60)
		return false;
	p->has_offset = true;
	p->offset_s = (h * 60 + m) * 60 + sec;
	if (s->p[0] == '-')
		p->offset_s = -p->offset_s;
	/* Go marks "none" by this value. */
	if (p->offset_s == -1)
		p->has_offset = false;
	return eat(s, n);
}

/* +3 or -11 at the start of s; 0: none */
static size_t signed_hours(struct slice s)
{
	size_t n = 1;
	int v = 0;

	if (s.n < 2 || (s.p[0] != '+' && s.p[0] != '-'))
		return 0;
	for (; digit_at(s, n) && v < 1000; n++)
		v = v * 10 + (s.p[n] - '0');
	return n == 1 || v > 23 ? 0 : n;
}

/* Abbreviations are three to five capitals, or what a few zones have instead. */
static size_t abbrev_length(struct slice s)
{
	size_t n = 0;

	if (s.n < 3)
		return 0;
	if (slice_starts(s, SLICE("ChST")) || slice_starts(s, SLICE("MeST")))
		return 4;
	if (slice_starts(s, SLICE("GMT")))
		return 3 + signed_hours(slice_from(s, 3));
	if (s.p[0] == '+' || s.p[0] == '-')
		return signed_hours(s);
	while (n < 6 && n < s.n && s.p[n] >= 'A' && s.p[n] <= 'Z')
		n++;
	switch (n) {
	case 5: return s.p[4] == 'T' ? 5 : 0;
	case 4: return s.p[3] == 'T' || slice_starts(s, SLICE("WITA")) ? 4 : 0;
	case 3: return 3;
	default: return 0;
	}
}

static bool get_abbrev(struct slice *s, struct parts *p)
{
	if (slice_starts(*s, SLICE("UTC"))) {
		p->is_utc = true;
		return eat(s, 3);
	}
	size_t n = abbrev_length(*s);
	p->abbrev = slice_sub(*s, 0, n);
	return n > 0 && eat(s, n);
}

static bool get_half(struct slice *s, const char *am, const char *pm, struct parts *p)
{
	struct slice word = slice_sub(*s, 0, 2);

	if (slice_is(word, pm))
		p->pm = true;
	else if (slice_is(word, am))
		p->am = true;
	else
		return false;
	return eat(s, 2);
}

static bool get_year(struct slice *s, bool long_, struct parts *p)
{
	int year;

	if (!get_digits(*s, 0, long_ ? 4 : 2, &year))
		return false;
	p->year = long_ ? year : year >= 69 ? year + 1900 : year + 2000;
	return eat(s, long_ ? 4 : 2);
}

static bool get_year_day(struct slice *s, bool under, struct parts *p)
{
	for (int i = 0; i < 2 && under && s->n > 0 && s->p[0] == ' '; i++)
		eat(s, 1);
	return get_num3(s, !under, &p->year_day);
}

static bool get_month_number(struct slice *s, bool two_digits, struct parts *p)
{
	return get_num(s, two_digits, &p->month) && p->month >= 1 && p->month <= 12;
}

static bool get_month_name(struct slice *s, size_t length, struct parts *p)
{
	if (!get_name(s, go_month_names, 12, length, &p->month))
		return false;
	p->month++;
	return true;
}

static bool get_chunk(struct slice *s, const struct chunk *c, struct slice layout, struct parts *p)
{
	int ignored;

	switch (c->kind) {
	case CHUNK_NONE: return s->n == 0;
	case CHUNK_YEAR: return get_year(s, false, p);
	case CHUNK_LONG_YEAR: return get_year(s, true, p);
	case CHUNK_MONTH: return get_month_name(s, 3, p);
	case CHUNK_LONG_MONTH: return get_month_name(s, 10, p);
	case CHUNK_NUM_MONTH: return get_month_number(s, false, p);
	case CHUNK_ZERO_MONTH: return get_month_number(s, true, p);
	case CHUNK_WEEKDAY: return get_name(s, go_weekday_names, 7, 3, &ignored);
	case CHUNK_LONG_WEEKDAY: return get_name(s, go_weekday_names, 7, 10, &ignored);
	case CHUNK_UNDER_DAY:
		if (s->n > 0 && s->p[0] == ' ')
			eat(s, 1);
		return get_num(s, false, &p->day);
	case CHUNK_DAY: return get_num(s, false, &p->day);
	case CHUNK_ZERO_DAY: return get_num(s, true, &p->day);
	case CHUNK_UNDER_YEAR_DAY: return get_year_day(s, true, p);
	case CHUNK_ZERO_YEAR_DAY: return get_year_day(s, false, p);
	case CHUNK_HOUR: return get_num(s, false, &p->hour) && p->hour < 24;
	case CHUNK_HOUR12: return get_num(s, false, &p->hour) && p->hour <= 12;
	case CHUNK_ZERO_HOUR12: return get_num(s, true, &p->hour) && p->hour <= 12;
	case CHUNK_MINUTE: return get_num(s, false, &p->minute) && p->minute < 60;
	case CHUNK_ZERO_MINUTE: return get_num(s, true, &p->minute) && p->minute < 60;
	case CHUNK_SECOND: return get_second(s, false, layout, p);
	case CHUNK_ZERO_SECOND: return get_second(s, true, layout, p);
	case CHUNK_PM: return get_half(s, "AM", "PM", p);
	case CHUNK_PM_SMALL: return get_half(s, "am", "pm", p);
	case CHUNK_TZ: return get_abbrev(s, p);
	case CHUNK_OFFSET: return get_offset(s, c, p);
	case CHUNK_FRACTION_0: return get_fraction(s, c->digits + 1, &p->ns);
	case CHUNK_FRACTION_9:
		return fraction_length(*s) == 0 || get_fraction(s, fraction_length(*s), &p->ns);
	}
	return false;
}

static void skip_spaces(struct slice *s)
{
	while (s->n > 0 && s->p[0] == ' ')
		eat(s, 1);
}

/* Literal text of the layout; a run of spaces there stands for any number of them. */
static bool get_literal(struct slice *s, struct slice literal)
{
	while (literal.n > 0) {
		if (literal.p[0] == ' ') {
			if (s->n > 0 && s->p[0] != ' ')
				return false;
			skip_spaces(&literal);
			skip_spaces(s);
			continue;
		}
		if (s->n == 0 || s->p[0] != literal.p[0])
			return false;
		eat(s, 1);
		eat(&literal, 1);
	}
	return true;
}

/* Month and day of a day of the year, which must agree with those already read. */
static bool set_year_day(struct parts *p)
{
	int64_t year;
	int month, day;

	if (p->year_day < 1 || p->year_day > 365 + is_leap(p->year))
		return false;
	date_of(days_of(p->year, 1, 1) + p->year_day - 1, &year, &month, &day);
	if ((p->month >= 0 && p->month != month) || (p->day >= 0 && p->day != day))
		return false;
	p->month = month;
	p->day = day;
	return true;
}

static bool settle(struct parts *p)
{
	if (p->pm && p->hour < 12)
		p->hour += 12;
	else if (p->am && p->hour == 12)
		p->hour = 0;
	if (p->year_day >= 0) {
		if (!set_year_day(p))
			return false;
	} else {
		p->month = p->month < 0 ? 1 : p->month;
		p->day = p->day < 0 ? 1 : p->day;
	}
	int days = (int)(days_of(p->year + (p->month == 12), p->month % 12 + 1, 1) -
			 days_of(p->year, p->month, 1));
	return p->day >= 1 && p->day <= days;
}

static struct go_time time_by_offset(struct go_time t, const struct parts *p, const struct zone *zone,
				     struct arena *a)
{
	t.unix_s -= p->offset_s;
	struct zone_time at = zone_at(zone, t.unix_s);
	if (at.offset_s == p->offset_s && (p->abbrev.n == 0 || slice_eq(at.abbrev, p->abbrev)))
		t.zone = zone;
	else
		t.zone = zone_fixed(arena_dup(a, p->abbrev), p->offset_s, a);
	return t;
}

/* An abbreviation that the zone does not know has an unknown offset; only GMT+3 says it. */
static struct go_time time_by_abbrev(struct go_time t, const struct parts *p, const struct zone *zone,
				     struct arena *a)
{
	int32_t offset;
	int64_t hours = 0;

	if (zone_abbrev_offset(zone, p->abbrev, t.unix_s, &offset)) {
		t.unix_s -= offset;
		t.zone = zone;
		return t;
	}
	if (p->abbrev.n > 3 && slice_starts(p->abbrev, SLICE("GMT")))
		slice_to_i64(slice_from(p->abbrev, 3), &hours);
	t.zone = zone_fixed(arena_dup(a, p->abbrev), (int32_t)hours * 3600, a);
	return t;
}

bool go_time_parse(struct slice layout, struct slice text, const struct zone *zone, struct arena *a,
		   struct go_time *out)
{
	struct parts p = { .month = -1, .day = -1, .year_day = -1 };
	struct slice before;
	struct chunk c;

	do {
		c = next_chunk(&layout, &before);
		if (!get_literal(&text, before) || !get_chunk(&text, &c, layout, &p))
			return false;
	} while (c.kind != CHUNK_NONE);
	if (!settle(&p))
		return false;
	bool in_utc = p.is_utc || p.has_offset || p.abbrev.n > 0;
	struct go_time t = go_time_date(p.year, p.month, p.day, (p.hour * 60 + p.minute) * 60 + p.second,
					p.ns, in_utc ? zone_utc() : zone);
	if (!p.is_utc && p.has_offset)
		t = time_by_offset(t, &p, zone, a);
	else if (!p.is_utc && p.abbrev.n > 0)
		t = time_by_abbrev(t, &p, zone, a);
	*out = t;
	return true;
}
