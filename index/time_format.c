/* A format's fields stand at fixed places (but for %s, whose length is what the others leave), so reading is a look at each
 * place, without going through the format's text. Exactness: all bytes are literals, digits that are all read, or names
 * and paddings of which there is one form for a value; and a field that others imply (%a) is compared. */
#include "index/time_format.h"

#include <assert.h>

enum field {
	YEAR4,
	YEAR2,
	MONTH,
	MONTH_NAME,
	DAY,
	DAY_PADDED,
	WEEKDAY,
	HOUR,
	MINUTE,
	SECOND,
	FRACTION,
	EPOCH
};
static_assert(EPOCH + 1 == TIME_FIELDS, "");

enum {
	DAY_S = 86400,
	DAYS_BEFORE_1970 = 719528, /* from 0000-01-01 */
	ZONE_BYTES = 5,		   /* +hhmm */
};
#define SECOND_NS INT64_C(1000000000)
/* The calendar repeats after 10,000 years: what a hostile difference yields is taken modulo that. */
#define PERIOD_S (INT64_C(3652425) * DAY_S)

static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char WEEKDAYS[] = "SunMonTueWedThuFriSat";
static const int64_t TENS[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };

/* ---- civil time ------------------------------------------------------------------------------------------------ */

static inline int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline int64_t floor_mod(int64_t a, int64_t b)
{
	int64_t r = a % b;

	return r < 0 ? r + b : r;
}

struct date {
	unsigned year, month, day; /* 0..9999, 1.., 1.. */
};

static bool is_leap(unsigned y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static unsigned days_of_month(unsigned y, unsigned m)
{
	return m == 2 ? 28u + is_leap(y) : 30 + ((m + (m >> 3)) & 1);
}

static bool date_valid(struct date d)
{
	return d.month - 1 < 12 && d.day - 1 < 28 + (d.day > 28) * 3u &&
	       (d.day <= 28 || d.day <= days_of_month(d.year, d.month));
}

/* Days since 0000-01-01. Years are counted from March, so that the leap day is the last. */
static unsigned days_of_date(struct date d)
{
	unsigned y = d.year + 400 - (d.month <= 2); /* not below 0 */
	unsigned era = y / 400, of_era = y % 400;
	unsigned of_year = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;
	unsigned day = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;

	return day + 60 - 146097; /* 0000-03-01 is day 60, and an era was added */
}

static struct date date_of_days(unsigned days)
{
	unsigned z = days + 146097 - 60;
	unsigned era = z / 146097, of_era = z % 146097;
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned m = (5 * of_year + 2) / 153;
	struct date d = { .day = of_year - (153 * m + 2) / 5 + 1, .month = m < 10 ? m + 3 : m - 9 };

	d.year = year + era * 400 + (d.month <= 2) - 400;
	return d;
}

/* Seconds since 0000-01-01 of the zone's clock, in [0, PERIOD_S). */
static int64_t local_second(int64_t second, int32_t zone_s)
{
	return floor_mod(floor_mod(second, PERIOD_S) + (int64_t)DAYS_BEFORE_1970 * DAY_S + zone_s, PERIOD_S);
}

/* ---- the text form --------------------------------------------------------------------------------------------- */

static inline bool is_digit(char c)
{
	return (unsigned char)(c - '0') <= 9;
}

static inline unsigned two_digits(const char *p, unsigned *bad)
{
	unsigned a = (unsigned char)p[0] - (unsigned)'0', b = (unsigned char)p[1] - (unsigned)'0';

	*bad |= (unsigned)(a > 9) | (unsigned)(b > 9);
	return a * 10 + b;
}

static const struct field_row {
	char letter;
	uint8_t field, length;
} FIELD_ROWS[] = {
	{ 'Y', YEAR4, 4 },  { 'y', YEAR2, 2 },	    { 'm', MONTH, 2 },	 { 'b', MONTH_NAME, 3 },
	{ 'd', DAY, 2 },    { 'e', DAY_PADDED, 2 }, { 'a', WEEKDAY, 3 }, { 'H', HOUR, 2 },
	{ 'M', MINUTE, 2 }, { 'S', SECOND, 2 },	    { 's', EPOCH, 0 },
};

static bool has(const struct time_format *f, enum field field)
{
	return f->at[field] != TIME_ABSENT;
}

static bool add_field(struct time_format *f, char letter)
{
	enum field field = FRACTION;
	unsigned length = (unsigned)(letter - '0');

	if (letter < '1' || letter > '9') {
		size_t i = 0;

		while (i < sizeof(FIELD_ROWS) / sizeof(FIELD_ROWS[0]) && FIELD_ROWS[i].letter != letter)
			i++;
		if (i == sizeof(FIELD_ROWS) / sizeof(FIELD_ROWS[0]))
			return false;
		field = (enum field)FIELD_ROWS[i].field;
		length = FIELD_ROWS[i].length;
	} else {
		f->fraction_digits = (uint8_t)length;
	}
	if (has(f, field))
		return false;
	f->at[field] = f->fixed;
	f->fixed = (uint8_t)(f->fixed + length);
	return true;
}

static void add_literal(struct time_format *f, char c)
{
	f->literal_at[f->n_literals] = f->fixed++;
	f->literal[f->n_literals++] = c;
}

/* +hhmm or +hh:mm behind %z, %Z: literals that say the offset. */
static bool read_zone(struct time_format *f, struct slice form, bool colon)
{
	unsigned bad = 0, h, m;

	if (form.n < ZONE_BYTES + (size_t)colon || (form.p[0] != '+' && form.p[0] != '-') ||
	    (colon && form.p[3] != ':'))
		return false;
	h = two_digits(form.p + 1, &bad);
	m = two_digits(form.p + 3 + colon, &bad);
	if (bad || h > 23 || m > 59)
		return false;
	f->zone_s = (int32_t)(h * 3600 + m * 60);
	if (form.p[0] == '-')
		f->zone_s = -f->zone_s;
	return true;
}

/* Each thing said once, and all that is needed said. */
static bool form_complete(struct time_format *f)
{
	int years = has(f, YEAR4) + has(f, YEAR2), months = has(f, MONTH) + has(f, MONTH_NAME);
	int days = has(f, DAY) + has(f, DAY_PADDED);

	f->has_date = months + days > 0;
	f->has_year = years > 0;
	if (has(f, EPOCH))
		return years + months + days == 0 && !has(f, WEEKDAY) && !has(f, HOUR) && !has(f, MINUTE) &&
		       !has(f, SECOND);
	if (!has(f, HOUR) || !has(f, MINUTE) || (has(f, FRACTION) && !has(f, SECOND)))
		return false;
	if (years + months + days + has(f, WEEKDAY) == 0)
		return true;
	return years <= 1 && months == 1 && days == 1;
}

static int64_t finest_unit(const struct time_format *f)
{
	if (has(f, FRACTION))
		return SECOND_NS / TENS[f->fraction_digits];
	return has(f, SECOND) || has(f, EPOCH) ? SECOND_NS : 60 * SECOND_NS;
}

bool time_format_parse(struct slice form, struct time_format *out)
{
	struct time_format f = { .n = (uint8_t)form.n };
	bool zone = false;

	if (form.n == 0 || form.n > TIME_FORMAT_MAX)
		return false;
	memcpy(f.text, form.p, form.n);
	memset(f.at, TIME_ABSENT, sizeof(f.at));
	for (size_t i = 0; i < form.n; i++) {
		if (form.p[i] != '%') {
			add_literal(&f, form.p[i]);
			continue;
		}
		if (++i == form.n)
			return false;
		char c = form.p[i];
		if (c == '%') {
			add_literal(&f, '%');
		} else if (c == 'z' || c == 'Z') {
			if (zone || !read_zone(&f, slice_from(form, i + 1), c == 'Z'))
				return false;
			zone = true;
		} else if (!add_field(&f, c)) {
			return false;
		}
	}
	/* %s is at most 20 bytes; a format of all fields has at most 64 + 7 others. */
	if (!form_complete(&f) || f.fixed > TIME_TEXT_MAX - 20)
		return false;
	f.unit_ns = finest_unit(&f);
	f.length = has(&f, EPOCH) ? 0 : f.fixed;
	*out = f;
	return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static unsigned name_number(const char *names, const char *p, unsigned *bad)
{
	for (unsigned i = 0; names[i] != '\0'; i += 3)
		if (names[i] == p[0] && names[i + 1] == p[1] && names[i + 2] == p[2])
			return i / 3;
	*bad = 1;
	return 0;
}

static unsigned padded_day(const char *p, unsigned *bad)
{
	if (p[0] == '0')
		*bad = 1;
	if (p[0] != ' ')
		return two_digits(p, bad);
	*bad |= !is_digit(p[1]);
	return (unsigned)(unsigned char)p[1] - (unsigned)'0';
}

/* Days of the text's date. Of a date without year or century, or a time without date, the one nearest to the entry. */
static bool read_date(const struct time_format *f, const char *p, int64_t entry_local_s, int64_t *days)
{
	unsigned bad = 0, entry_day = (unsigned)(entry_local_s / DAY_S);
	struct date d = { 0, 0, 0 };

	d.month = has(f, MONTH) ? two_digits(p + f->at[MONTH], &bad)
				: name_number(MONTHS, p + f->at[MONTH_NAME], &bad) + 1;
	d.day = has(f, DAY) ? two_digits(p + f->at[DAY], &bad) : padded_day(p + f->at[DAY_PADDED], &bad);
	if (has(f, YEAR4)) {
		d.year = two_digits(p + f->at[YEAR4], &bad) * 100;
		d.year += two_digits(p + f->at[YEAR4] + 2, &bad);
	} else {
		unsigned year = date_of_days(entry_day).year;

		if (has(f, YEAR2)) {
			d.year = year - year % 100 + two_digits(p + f->at[YEAR2], &bad);
			d.year += d.year + 50 < year ? 100 : 0;
			d.year -= d.year > year + 50 ? 100 : 0;
		} else {
			d.year = year;
			if (bad || d.month - 1 >= 12)
				return false;
			int far = (int)days_of_date(d) - (int)entry_day;
			d.year += far < -183 ? 1 : 0;
			d.year -= far > 183 ? 1 : 0;
		}
	}
	if (bad || !date_valid(d))
		return false;
	*days = days_of_date(d);
	/* 0000-01-01 was a Saturday. */
	return !has(f, WEEKDAY) || memcmp(p + f->at[WEEKDAY], WEEKDAYS + 3 * ((*days + 6) % 7), 3) == 0;
}

static bool read_civil(const struct time_format *f, const char *p, int64_t ts, int64_t *second)
{
	unsigned bad = 0, h = two_digits(p + f->at[HOUR], &bad), m = two_digits(p + f->at[MINUTE], &bad),
		 s = 0;
	int64_t days, of_day, entry = 0;

	if (has(f, SECOND))
		s = two_digits(p + f->at[SECOND], &bad);
	if (bad || h > 23 || m > 59 || s > 59)
		return false;
	of_day = h * 3600 + m * 60 + s;
	if (!has(f, YEAR4))
		entry = local_second(floor_div(ts, SECOND_NS), f->zone_s);
	if (f->has_date) {
		if (!read_date(f, p, entry, &days))
			return false;
	} else {
		days = entry / DAY_S;
		days += of_day - entry % DAY_S < -DAY_S / 2 ? 1 : 0;
		days -= of_day - entry % DAY_S > DAY_S / 2 ? 1 : 0;
	}
	*second = (days - DAYS_BEFORE_1970) * DAY_S + of_day - f->zone_s;
	return true;
}

/* Decimal without leading zeros; "-" only in front of whole seconds, since fractions count upwards. */
static bool read_epoch(const char *p, size_t n, bool fraction, int64_t *second)
{
	struct slice digits = slice_of(p, n);

	if (n > 0 && p[0] == '-') {
		if (fraction)
			return false;
		digits = slice_from(digits, 1);
	}
	if (digits.n == 0 || !is_digit(digits.p[0]) || (digits.p[0] == '0' && n > 1))
		return false;
	return slice_to_i64(slice_of(p, n), second);
}

static bool literals_fit(const struct time_format *f, const char *p, size_t shift)
{
	for (size_t i = 0; i < f->n_literals; i++) {
		size_t at = f->literal_at[i];

		if (p[at + (at >= f->at[EPOCH] ? shift : 0)] != f->literal[i])
			return false;
	}
	return true;
}

/* The text's instant in units since 1970. */
static bool read_units(const struct time_format *f, struct slice text, int64_t ts, int64_t *units)
{
	size_t shift = text.n - f->fixed;
	int64_t second, fraction = 0;

	if (text.n < f->fixed || (shift != 0) != has(f, EPOCH) || !literals_fit(f, text.p, shift))
		return false;
	if (has(f, EPOCH) ? !read_epoch(text.p + f->at[EPOCH], shift, has(f, FRACTION), &second)
			  : !read_civil(f, text.p, ts, &second))
		return false;
	if (!has(f, FRACTION)) {
		*units = f->unit_ns > SECOND_NS ? floor_div(second, 60) : second;
		return true;
	}
	const char *p = text.p + f->at[FRACTION] + (f->at[FRACTION] >= f->at[EPOCH] ? shift : 0);
	for (size_t i = 0; i < f->fraction_digits; i++) {
		if (!is_digit(p[i]))
			return false;
		fraction = fraction * 10 + (p[i] - '0');
	}
	return !__builtin_mul_overflow(second, TENS[f->fraction_digits], units) &&
	       !__builtin_add_overflow(*units, fraction, units);
}

/* ts in units, rounded down. The common units are constants: no division. */
static inline int64_t entry_units(int64_t ts, int64_t unit_ns)
{
	switch (unit_ns) {
	case 1000: return floor_div(ts, 1000);
	case 1000000: return floor_div(ts, 1000000);
	case SECOND_NS: return floor_div(ts, SECOND_NS);
	default: return floor_div(ts, unit_ns);
	}
}

bool time_format_diff(const struct time_format *f, struct slice text, int64_t ts, int64_t *diff)
{
	int64_t units;

	return read_units(f, text, ts, &units) &&
	       !__builtin_sub_overflow(units, entry_units(ts, f->unit_ns), diff);
}

static inline uint64_t load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Is the text, of the format's length, as the last one in all but its seconds and their fraction? */
static inline bool same_minute(const struct time_format *f, const struct time_seen *seen, const char *p)
{
	for (size_t i = 0;; i = i + 16 > f->length ? f->length - 8u : i + 8) {
		if (((load8(p + i) ^ load8(seen->text + i)) & load8(seen->mask + i)) != 0)
			return false;
		if (i + 8 == f->length)
			return true;
	}
}

/* What does not depend on the hour of the entry, and has room for eight bytes, can be remembered. */
static void seen_init(const struct time_format *f, struct time_seen *seen)
{
	seen->asked = true;
	seen->usable = f->length >= 8 && f->has_date && has(f, SECOND);
	if (!seen->usable)
		return;
	memset(seen->mask, 0xff, sizeof(seen->mask));
	memset(seen->mask + f->at[SECOND], 0, 2);
	if (has(f, FRACTION))
		memset(seen->mask + f->at[FRACTION], 0, f->fraction_digits);
}

/* Second of the minute and its fraction, in units. */
static inline bool read_second(const struct time_format *f, const char *p, int64_t minute_s, int64_t *units)
{
	unsigned bad = 0, s = two_digits(p + f->at[SECOND], &bad);
	int64_t fraction = 0;

	if (bad || s > 59)
		return false;
	for (size_t i = 0; i < f->fraction_digits; i++) {
		unsigned d = (unsigned char)p[f->at[FRACTION] + i] - (unsigned)'0';

		bad |= d > 9;
		fraction = fraction * 10 + d;
	}
	if (bad || __builtin_mul_overflow(minute_s + s, TENS[f->fraction_digits], units))
		return false;
	return !__builtin_add_overflow(*units, fraction, units);
}

/* All of it, and remembers the minute. */
static bool read_anew(const struct time_format *f, struct time_seen *seen, struct slice text, int64_t ts,
		      int64_t entry_day, int64_t *units)
{
	unsigned bad = 0;

	if (!read_units(f, text, ts, units))
		return false;
	seen->minute_s =
		floor_div(*units, TENS[f->fraction_digits]) - two_digits(text.p + f->at[SECOND], &bad);
	seen->entry_day = entry_day;
	memcpy(seen->text, text.p, f->length);
	seen->valid = true;
	return true;
}

bool time_format_diff_next(const struct time_format *f, struct time_seen *seen, struct slice text, int64_t ts,
			   int64_t *diff)
{
	int64_t units, day = 0;

	if (!seen->asked)
		seen_init(f, seen);
	if (!seen->usable || text.n != f->length)
		return time_format_diff(f, text, ts, diff);
	if (!has(f, YEAR4))
		day = local_second(floor_div(ts, SECOND_NS), f->zone_s) / DAY_S;
	if (seen->valid && seen->entry_day == day && same_minute(f, seen, text.p)) {
		if (!read_second(f, text.p, seen->minute_s, &units))
			return false;
	} else if (!read_anew(f, seen, text, ts, day, &units)) {
		return false;
	}
	return !__builtin_sub_overflow(units, entry_units(ts, f->unit_ns), diff);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static void put_digits(char *p, unsigned n, uint64_t v)
{
	while (n > 0) {
		p[--n] = (char)('0' + v % 10);
		v /= 10;
	}
}

static void put_clock(const struct time_format *f, unsigned of_day, char *out)
{
	put_digits(out + f->at[HOUR], 2, of_day / 3600);
	put_digits(out + f->at[MINUTE], 2, of_day / 60 % 60);
	if (has(f, SECOND))
		put_digits(out + f->at[SECOND], 2, of_day % 60);
}

static void put_date(const struct time_format *f, unsigned days, char *out)
{
	struct date d = date_of_days(days);

	if (has(f, YEAR4))
		put_digits(out + f->at[YEAR4], 4, d.year);
	if (has(f, YEAR2))
		put_digits(out + f->at[YEAR2], 2, d.year % 100);
	if (has(f, MONTH))
		put_digits(out + f->at[MONTH], 2, d.month);
	if (has(f, MONTH_NAME))
		memcpy(out + f->at[MONTH_NAME], MONTHS + 3 * (size_t)(d.month - 1), 3);
	if (has(f, DAY))
		put_digits(out + f->at[DAY], 2, d.day);
	if (has(f, DAY_PADDED)) {
		put_digits(out + f->at[DAY_PADDED], 2, d.day);
		if (d.day < 10)
			out[f->at[DAY_PADDED]] = ' ';
	}
	if (has(f, WEEKDAY))
		memcpy(out + f->at[WEEKDAY], WEEKDAYS + 3 * (size_t)((days + 6) % 7), 3);
}

static size_t put_epoch(const struct time_format *f, int64_t second, char *out)
{
	char digits[20];
	size_t n = sizeof(digits);
	uint64_t v = second < 0 ? -(uint64_t)second : (uint64_t)second;

	do
		digits[--n] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	if (second < 0)
		digits[--n] = '-';
	memcpy(out + f->at[EPOCH], digits + n, sizeof(digits) - n);
	return sizeof(digits) - n;
}

/* All but the fraction's digits, which are left as they are. Returns the length. */
static size_t put_second(const struct time_format *f, int64_t second, struct time_cache *cache)
{
	size_t shift = has(f, EPOCH) ? put_epoch(f, second, cache->text) : 0;

	for (size_t i = 0; i < f->n_literals; i++)
		cache->text[f->literal_at[i] + (f->literal_at[i] >= f->at[EPOCH] ? shift : 0)] =
			f->literal[i];
	if (!has(f, EPOCH)) {
		int64_t local = local_second(second, f->zone_s);

		put_clock(f, (unsigned)(local % DAY_S), cache->text);
		if (f->has_date)
			put_date(f, (unsigned)(local / DAY_S), cache->text);
	}
	return f->fixed + shift;
}

static void cache_fill(const struct time_format *f, int64_t second, struct time_cache *cache)
{
	if (cache->valid && !has(f, EPOCH) && second > cache->second &&
	    (uint64_t)second - (uint64_t)cache->second < DAY_S) {
		int64_t local = local_second(second, f->zone_s) % DAY_S;

		if (local >= second - cache->second) { /* still the same day */
			put_clock(f, (unsigned)local, cache->text);
			cache->second = second;
			return;
		}
	}
	cache->n = (uint8_t)put_second(f, second, cache);
	cache->second = second;
	cache->valid = true;
}

size_t time_format_write(const struct time_format *f, int64_t ts, int64_t diff, struct time_cache *cache,
			 char *out)
{
	int64_t units = (int64_t)((uint64_t)floor_div(ts, f->unit_ns) + (uint64_t)diff), second = units,
		fraction = 0;

	if (f->unit_ns > SECOND_NS) {
		second = (int64_t)((uint64_t)units * 60);
	} else if (has(f, FRACTION)) {
		second = floor_div(units, TENS[f->fraction_digits]);
		fraction = (int64_t)((uint64_t)units - (uint64_t)second * (uint64_t)TENS[f->fraction_digits]);
	}
	if (!cache->valid || cache->second != second)
		cache_fill(f, second, cache);
	memcpy(out, cache->text, cache->n);
	if (has(f, FRACTION)) {
		size_t shift = f->at[FRACTION] >= f->at[EPOCH] ? (size_t)cache->n - f->fixed : 0;

		put_digits(out + f->at[FRACTION] + shift, f->fraction_digits, (uint64_t)fraction);
	}
	return cache->n;
}

static void add_bytes(uint64_t set[4], const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		set[(unsigned char)p[i] >> 6] |= UINT64_C(1) << (p[i] & 63);
}

void time_format_bytes(const struct time_format *f, uint64_t byte_set[4])
{
	add_bytes(byte_set, "0123456789", 10);
	add_bytes(byte_set, f->literal, f->n_literals);
	if (has(f, MONTH_NAME))
		add_bytes(byte_set, MONTHS, sizeof(MONTHS) - 1);
	if (has(f, WEEKDAY))
		add_bytes(byte_set, WEEKDAYS, sizeof(WEEKDAYS) - 1);
	if (has(f, DAY_PADDED))
		add_bytes(byte_set, " ", 1);
	if (has(f, EPOCH))
		add_bytes(byte_set, "-", 1);
}

/* ---- detection ------------------------------------------------------------------------------------------------- */

/* Dates as they are seen, and what may stand between date and clock. 0 is a digit, A a letter, _ a digit or a space, a byte
 * else itself. The first that fits counts. */
static const struct date_row {
	const char *shape, *form, *between;
} DATE_ROWS[] = {
	{ "0000-00-00", "%Y-%m-%d", "T t_-" },
	{ "0000/00/00", "%Y/%m/%d", " T:-" },
	{ "0000.00.00", "%Y.%m.%d", " -T" },
	{ "00/AAA/0000", "%d/%b/%Y", ": " },
	{ "00-AAA-0000", "%d-%b-%Y", " :" },
	{ "00 AAA 0000", "%d %b %Y", " " },
	{ "00/00/0000", "%m/%d/%Y", " -" },
	{ "00/00/0000", "%d/%m/%Y", " -" },
	{ "00.00.0000", "%d.%m.%Y", " -" },
	{ "00/00/00", "%y/%m/%d", " -" },
	{ "00/00/00", "%m/%d/%y", " -" },
	{ "00-00-00", "%y-%m-%d", " " },
	{ "00000000", "%Y%m%d", " -T" },
	{ "000000", "%y%m%d", " " },
	{ "00-00", "%m-%d", " " },
	{ "AAA _0 0000", "%b %e %Y", " " },
	{ "AAA 00 0000", "%b %d %Y", " " },
	{ "AAA _0", "%b %e", " " },
	{ "AAA 00", "%b %d", " " },
	{ "AAA AAA 00", "%a %b %d", " " },
	{ "AAA AAA _0", "%a %b %e", " " },
	{ "AAA, 00 AAA 0000", "%a, %d %b %Y", " " },
};

static bool is_letter(char c)
{
	return (unsigned char)((c | 32) - 'a') < 26;
}

static size_t shape_fits(const char *shape, struct slice text)
{
	size_t n = 0;

	for (; shape[n] != '\0'; n++) {
		if (n >= text.n)
			return 0;
		char c = text.p[n];
		bool fits = shape[n] == '0'   ? is_digit(c)
			    : shape[n] == 'A' ? is_letter(c)
			    : shape[n] == '_' ? c == ' ' || (c >= '1' && c <= '3')
					      : c == shape[n];
		if (!fits)
			return 0;
	}
	return n;
}

/* A form under construction, and how far in the text it reaches. */
struct sketch {
	struct slice text;
	size_t at;
	char form[TIME_FORMAT_MAX + 64];
	size_t n;
};

static void sketch_add(struct sketch *s, const char *form)
{
	size_t n = strlen(form);

	memcpy(s->form + s->n, form, n);
	s->n += n;
}

static void sketch_take(struct sketch *s, size_t n)
{
	memcpy(s->form + s->n, s->text.p + s->at, n);
	s->n += n;
	s->at += n;
}

static struct slice sketch_rest(const struct sketch *s)
{
	return slice_from(s->text, s->at);
}

static bool sketch_clock(struct sketch *s, bool compact)
{
	static const struct {
		const char *shape, *form;
	} clocks[] = {
		{ "00:00:00", "%H:%M:%S" },
		{ "00.00.00", "%H.%M.%S" },
		{ "00:00", "%H:%M" },
		{ "000000", "%H%M%S" },
	};

	for (size_t i = 0; i < (compact ? 4u : 1u); i++) {
		size_t n = shape_fits(clocks[i].shape, sketch_rest(s));

		if (n > 0) {
			s->at += n;
			sketch_add(s, clocks[i].form);
			return true;
		}
	}
	return false;
}

static void sketch_fraction(struct sketch *s, bool dated)
{
	struct slice rest = sketch_rest(s);
	size_t n = 1;
	char form[] = { '%', '0', '\0' };

	if (rest.n < 2 || s->form[s->n - 1] != 'S' ||
	    (rest.p[0] != '.' && rest.p[0] != ',' && rest.p[0] != ':'))
		return;
	while (n < rest.n && is_digit(rest.p[n]))
		n++;
	/* "10:00:02:123" has a fraction, "10:00:02:12" is something else. */
	if (n == 1 || n > 10 || (rest.p[0] == ':' && (!dated || n != 4)))
		return;
	sketch_take(s, 1);
	s->at += n - 1;
	form[1] = (char)('0' + n - 1);
	sketch_add(s, form);
}

static void sketch_zone(struct sketch *s)
{
	struct slice rest = sketch_rest(s);
	size_t space = rest.n > 0 && rest.p[0] == ' ' ? 1 : 0;

	if (rest.n > 0 && rest.p[0] == 'Z') {
		sketch_take(s, 1);
		return;
	}
	rest = slice_from(rest, space);
	if (rest.n == 0 || (rest.p[0] != '+' && rest.p[0] != '-'))
		return;
	rest = slice_from(rest, 1);
	size_t n = shape_fits("00:00", rest);
	bool colon = n > 0;
	if (!colon)
		n = shape_fits("0000", rest);
	if (n == 0 || (rest.n > n && (is_digit(rest.p[n]) || is_letter(rest.p[n]))))
		return;
	sketch_take(s, space);
	sketch_add(s, colon ? "%Z" : "%z");
	sketch_take(s, n + 1);
}

/* Mon Jan _2 15:04:05 2006 */
static void sketch_late_year(struct sketch *s)
{
	struct slice rest = sketch_rest(s);

	if (shape_fits(" 0000", rest) == 0 || (rest.n > 5 && (is_digit(rest.p[5]) || is_letter(rest.p[5]))))
		return;
	sketch_take(s, 1);
	sketch_add(s, "%Y");
	s->at += 4;
}

static size_t sketch_end(struct sketch *s, struct time_format *out)
{
	struct slice rest = sketch_rest(s);
	struct time_format f;
	int64_t units;

	if (rest.n > 0 && (is_digit(rest.p[0]) || is_letter(rest.p[0]) || rest.p[0] == '_'))
		return 0;
	if (rest.n > 1 && (rest.p[0] == '.' || rest.p[0] == ',' || rest.p[0] == ':') && is_digit(rest.p[1]))
		return 0;
	if (!time_format_parse(slice_of(s->form, s->n), &f) ||
	    !read_units(&f, slice_sub(s->text, 0, s->at), 0, &units))
		return 0;
	*out = f;
	return s->at;
}

static size_t detect_dated(struct slice text, const struct date_row *row, struct time_format *out)
{
	struct sketch s = { .text = text, .at = shape_fits(row->shape, text) };
	bool weekday = row->form[1] == 'a';

	if (s.at == 0 || s.at == text.n || strchr(row->between, text.p[s.at]) == NULL || text.p[s.at] == '\0')
		return 0;
	sketch_add(&s, row->form);
	sketch_take(&s, 1);
	if (!sketch_clock(&s, true))
		return 0;
	sketch_fraction(&s, true);
	if (weekday && strchr(row->form, 'Y') == NULL)
		sketch_late_year(&s);
	else
		sketch_zone(&s);
	return sketch_end(&s, out);
}

/* 20260115100002 */
static size_t detect_run(struct slice text, struct time_format *out)
{
	struct sketch s = { .text = text, .at = shape_fits("00000000000000", text) };

	if (s.at == 0 || (memcmp(text.p, "19", 2) != 0 && memcmp(text.p, "20", 2) != 0))
		return 0;
	sketch_add(&s, "%Y%m%d%H%M%S");
	sketch_fraction(&s, true);
	sketch_zone(&s);
	return sketch_end(&s, out);
}

static size_t detect_clock(struct slice text, struct time_format *out)
{
	struct sketch s = { .text = text };

	if (!sketch_clock(&s, false))
		return 0;
	sketch_fraction(&s, false);
	return sketch_end(&s, out);
}

size_t time_format_detect(struct slice text, struct time_format *out)
{
	size_t n = 0;

	/* The shortest: 10:00:02, Jan _2 15:04. */
	if (text.n < 8 || !(is_digit(text.p[0]) || is_letter(text.p[0])))
		return 0;
	bool digits = is_digit(text.p[0]);
	if (digits ? !is_digit(text.p[1]) : !is_letter(text.p[1]) || !is_letter(text.p[2]))
		return 0;
	for (size_t i = 0; n == 0 && i < sizeof(DATE_ROWS) / sizeof(DATE_ROWS[0]); i++)
		if ((DATE_ROWS[i].shape[0] == '0') == digits)
			n = detect_dated(text, &DATE_ROWS[i], out);
	if (n == 0 && digits)
		n = detect_clock(text, out);
	if (n == 0 && digits)
		n = detect_run(text, out);
	return n;
}
