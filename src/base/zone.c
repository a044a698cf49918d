#include "base/zone.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

/* A zoneinfo file (RFC 9636): a header and a block with 32-bit times, then the same with 64-bit times, then a
 * POSIX TZ string for the time behind the last transition. */
enum {
	HEADER_BYTES = 44,
	MAX_FILE_BYTES = 1 << 20,
	MAX_NAME_BYTES = 100,
	MAX_ZONES = 2000, /* kept; there are about 600 */
	DAY_S = 86400,
};

struct zone_type {
	int32_t offset_s;
	bool dst;
	struct slice abbrev;
};
struct zone {
	struct slice name;
	size_t n_types, n_times;
	struct zone_type *type;
	int64_t *time; /* of each transition */
	uint8_t *to;   /* the type from then on */
	struct slice rule;
	size_t first; /* the type before all transitions */
};

static struct zone_type utc_type = { 0, false, { "UTC", 3 } };
static const struct zone utc = { .name = { "UTC", 3 }, .n_types = 1, .type = &utc_type };

/* ---- files ---- */

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t be64(const char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* Of the block at the start of *s; false if that is none. */
static bool read_header(struct slice *s, struct counts *c, char *version)
{
	if (s->n < HEADER_BYTES || !slice_starts(*s, SLICE("TZif")))
		return false;
	*version = s->p[4];
	*c = (struct counts){ be32(s->p + 20), be32(s->p + 24), be32(s->p + 28),
			      be32(s->p + 32), be32(s->p + 36), be32(s->p + 40) };
	*s = slice_from(*s, HEADER_BYTES);
	return c->isut <= 1000 && c->isstd <= 1000 && c->leap <= 1000 && c->time <= 100000 && c->type >= 1 &&
	       c->type <= 256 && c->chars <= 10000;
}

static size_t block_bytes(const struct counts *c, size_t time_bytes)
{
	return c->time * (time_bytes + 1) + c->type * 6 + c->chars + c->leap * (time_bytes + 4) + c->isstd +
	       c->isut;
}

static bool read_types(struct zone *z, const char *types, struct slice chars)
{
	for (size_t i = 0; i < z->n_types; i++) {
		const char *p = types + i * 6;
		struct slice abbrev = slice_from(chars, (unsigned char)p[5]);
		size_t end = slice_find_byte(abbrev, '\0');

		if (end == SLICE_NONE)
			return false;
		z->type[i] = (struct zone_type){ (int32_t)be32(p), p[4] != 0, slice_sub(abbrev, 0, end) };
	}
	return true;
}

static bool read_block(struct zone *z, const struct counts *c, struct slice s, size_t time_bytes)
{
	const char *times = s.p, *to = times + c->time * time_bytes, *types = to + c->time,
		   *chars = types + c->type * 6;

	z->n_times = c->time;
	z->n_types = c->type;
	z->time = xcalloc(c->time + 1, sizeof(*z->time));
	z->to = xcalloc(c->time + 1, 1);
	z->type = xcalloc(c->type, sizeof(*z->type));
	for (size_t i = 0; i < c->time; i++) {
		const char *p = times + i * time_bytes;

		z->time[i] = time_bytes == 8 ? be64(p) : (int32_t)be32(p);
		z->to[i] = (uint8_t)to[i];
		if (z->to[i] >= c->type || (i > 0 && z->time[i] <= z->time[i - 1]))
			return false;
	}
	return read_types(z, types, slice_of(chars, c->chars));
}

/* The type in force before the first transition: the first that no transition leads to, else the last
 * standard time before the first one's, else the first standard time. */
static size_t first_type(const struct zone *z)
{
	bool used = false;

	for (size_t i = 0; i < z->n_times; i++)
		used = used || z->to[i] == 0;
	if (!used)
		return 0;
	if (z->n_times > 0 && z->type[z->to[0]].dst)
		for (size_t i = z->to[0]; i-- > 0;)
			if (!z->type[i].dst)
				return i;
	for (size_t i = 0; i < z->n_types; i++)
		if (!z->type[i].dst)
			return i;
	return 0;
}

static bool parse_file(struct zone *z, struct slice s)
{
	size_t time_bytes = 4;
	struct counts c;
	char version;

	if (!read_header(&s, &c, &version) || s.n < block_bytes(&c, 4))
		return false;
	if (version >= '2') {
		time_bytes = 8;
		s = slice_from(s, block_bytes(&c, 4));
		if (!read_header(&s, &c, &version) || s.n < block_bytes(&c, 8))
			return false;
	}
	if (!read_block(z, &c, s, time_bytes))
		return false;
	s = slice_from(s, block_bytes(&c, time_bytes));
	if (s.n > 2 && s.p[0] == '\n' && slice_find_byte(slice_from(s, 1), '\n') != SLICE_NONE)
		z->rule = slice_sub(s, 1, slice_find_byte(slice_from(s, 1), '\n'));
	z->first = first_type(z);
	return true;
}

/* The bytes stay: abbreviations and the rule point into them. */
static const struct zone *load(const char *path, struct slice name)
{
	struct zone *z = xcalloc(1, sizeof(*z));
	struct buf content;
	struct err err;

	buf_init(&content);
	if (file_read_all(path, MAX_FILE_BYTES, &content, &err) == 0 && parse_file(z, buf_slice(&content))) {
		z->name = name;
		return z;
	}
	buf_fini(&content);
	free(z->time);
	free(z->to);
	free(z->type);
	free(z);
	return NULL;
}

static bool name_is_safe(struct slice name)
{
	if (name.n > MAX_NAME_BYTES || name.p[0] == '/' || slice_find(name, SLICE("..")) != SLICE_NONE)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == '\\')
			return false;
	return true;
}

static const struct zone *load_named(struct slice name)
{
	static const char *const dirs[] = { "/usr/share/zoneinfo/", "/usr/share/lib/zoneinfo/",
					    "/etc/zoneinfo/" };
	const struct zone *z = NULL;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && z == NULL; i++) {
		struct buf path;

		buf_init(&path);
		buf_puts(&path, dirs[i]);
		buf_add(&path, name);
		buf_cstr_end(&path);
		z = load(path.p, name);
		buf_fini(&path);
	}
	return z;
}

/* ---- the zones in use ---- */

static pthread_mutex_t zones_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map zones; /* name to struct zone, under zones_lock */
static pthread_once_t local_once = PTHREAD_ONCE_INIT;
static const struct zone *local;

static const struct zone *find_locked(struct slice name)
{
	const struct zone *z = map_get(&zones, name);
	bool is_new;

	if (z != NULL || zones.n >= MAX_ZONES)
		return z;
	char *copy = xmalloc(name.n);
	memcpy(copy, name.p, name.n);
	z = load_named(slice_of(copy, name.n));
	if (z == NULL)
		free(copy);
	else
		*map_put(&zones, slice_of(copy, name.n), &is_new) = (void *)(uintptr_t)z;
	return z;
}

const struct zone *zone_find(struct slice name)
{
	if (name.n == 0 || slice_is(name, "UTC"))
		return &utc;
	if (slice_is(name, "Local"))
		return zone_local();
	if (!name_is_safe(name))
		return NULL;
	pthread_mutex_lock(&zones_lock);
	const struct zone *z = find_locked(name);
	pthread_mutex_unlock(&zones_lock);
	return z;
}

const struct zone *zone_utc(void)
{
	return &utc;
}

static void local_open(void)
{
	const char *tz = getenv("TZ");

	if (tz == NULL) {
		local = load("/etc/localtime", SLICE("Local"));
	} else {
		tz += *tz == ':';
		if (*tz == '/')
			local = load(tz, SLICE("Local"));
		else if (strcmp(tz, "Local") != 0)
			local = zone_find(slice_cstr(tz));
	}
	if (local == NULL)
		local = &utc;
}

const struct zone *zone_local(void)
{
	pthread_once(&local_once, local_open);
	return local;
}

const struct zone *zone_fixed(struct slice name, int32_t offset_s, struct arena *a)
{
	struct zone *z = arena_new(a, struct zone);

	z->name = name;
	z->n_types = 1;
	z->type = arena_new(a, struct zone_type);
	*z->type = (struct zone_type){ offset_s, false, name };
	return z;
}

struct slice zone_name(const struct zone *z)
{
	return z->name;
}

/* ---- rules: CET-1CEST,M3.5.0,M10.5.0/3 ---- */

enum rule_kind { RULE_JULIAN, RULE_DAY, RULE_MONTH };
struct rule_date {
	enum rule_kind kind;
	int day, week, month;
	int32_t time_s;
};
struct rule {
	struct zone_type std, dst;
	bool has_dst;
	struct rule_date start, end;
};

static bool rule_number(struct slice *s, int min, int max, int *out)
{
	int v = 0;
	size_t n = 0;

	for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && v <= max; n++)
		v = v * 10 + (s->p[n] - '0');
	if (n == 0 || v < min || v > max)
		return false;
	*s = slice_from(*s, n);
	*out = v;
	return true;
}

static bool rule_byte(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static bool rule_name(struct slice *s, struct slice *out)
{
	size_t n = 0;

	if (rule_byte(s, '<')) {
		n = slice_find_byte(*s, '>');
		if (n == SLICE_NONE)
			return false;
		*out = slice_sub(*s, 0, n);
		*s = slice_from(*s, n + 1);
		return true;
	}
	while (n < s->n && ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z')))
		n++;
	*out = slice_sub(*s, 0, n);
	*s = slice_from(*s, n);
	return n >= 3;
}

static bool rule_seconds(struct slice *s, int32_t *out)
{
	bool negative = rule_byte(s, '-');
	int h, m = 0, sec = 0;

	if (!negative)
		rule_byte(s, '+');
	if (!rule_number(s, 0, 24 * 7, &h) || (rule_byte(s, ':') && !rule_number(s, 0, 59, &m)) ||
	    (rule_byte(s, ':') && !rule_number(s, 0, 59, &sec)))
		return false;
	*out = (h * 60 + m) * 60 + sec;
	if (negative)
		*out = -*out;
	return true;
}

static bool rule_date(struct slice *s, struct rule_date *d)
{
	*d = (struct rule_date){ .time_s = 2 * 3600 };
	if (!rule_byte(s, ','))
		return false;
	if (rule_byte(s, 'M')) {
		d->kind = RULE_MONTH;
		if (!rule_number(s, 1, 12, &d->month) || !rule_byte(s, '.') ||
		    !rule_number(s, 1, 5, &d->week) || !rule_byte(s, '.') || !rule_number(s, 0, 6, &d->day))
			return false;
	} else {
		d->kind = rule_byte(s, 'J') ? RULE_JULIAN : RULE_DAY;
		if (!rule_number(s, d->kind == RULE_JULIAN, 365, &d->day))
			return false;
	}
	return !rule_byte(s, '/') || rule_seconds(s, &d->time_s);
}

static bool rule_parse(struct slice s, struct rule *r)
{
	int32_t west;

	*r = (struct rule){ .dst = { .dst = true } };
	if (!rule_name(&s, &r->std.abbrev) || !rule_seconds(&s, &west))
		return false;
	r->std.offset_s = -west;
	if (s.n == 0)
		return true;
	r->has_dst = true;
	if (!rule_name(&s, &r->dst.abbrev))
		return false;
	r->dst.offset_s = r->std.offset_s + 3600;
	if (s.n > 0 && s.p[0] != ',') {
		if (!rule_seconds(&s, &west))
			return false;
		r->dst.offset_s = -west;
	}
	if (s.n == 0)
		s = SLICE(",M3.2.0,M11.1.0");
	return rule_date(&s, &r->start) && rule_date(&s, &r->end) && s.n == 0;
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to the first of January. */
static int64_t year_start_day(int64_t year)
{
	int64_t y = year - 1;
	int64_t q = y >= 0 ? y / 4 - y / 100 + y / 400 : (y - 3) / 4 - (y - 99) / 100 + (y - 399) / 400;

	return y * 365 + q - 719162;
}

static int64_t year_of(int64_t unix_s)
{
	int64_t day = unix_s / DAY_S - (unix_s % DAY_S < 0);
	int64_t year = 1970 + day / 366 - 1;

	while (year_start_day(year + 1) <= day)
		year += MAX((day - year_start_day(year + 1)) / 366, (int64_t)1);
	return year;
}

static int month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Seconds from the start of the year, on the wall clock. */
static int64_t rule_seconds_of(const struct rule_date *d, int64_t year)
{
	int64_t day = 0;

	if (d->kind == RULE_MONTH) {
		for (int m = 1; m < d->month; m++)
			day += month_days(year, m);
		int weekday = (int)(((year_start_day(year) + day + 4) % 7 + 7) % 7);
		int date = (d->day - weekday + 7) % 7 + 7 * (d->week - 1);
		while (date >= month_days(year, d->month))
			date -= 7;
		day += date;
	} else {
		day = d->kind == RULE_DAY ? d->day : d->day - 1 + (is_leap(year) && d->day >= 60);
	}
	return day * DAY_S + d->time_s;
}

static struct zone_time time_of(const struct zone_type *t, int64_t start, int64_t end)
{
	return (struct zone_time){ t->abbrev, t->offset_s, t->dst, start, end };
}

static bool rule_at(struct slice text, int64_t last, int64_t t, struct zone_time *out)
{
	struct rule r;

	if (!rule_parse(text, &r))
		return false;
	if (!r.has_dst) {
		*out = time_of(&r.std, last, INT64_MAX);
		return true;
	}
	int64_t year = year_of(t + r.std.offset_s);
	int64_t jan1 = year_start_day(year) * DAY_S, next = year_start_day(year + 1) * DAY_S;
	int64_t on = jan1 + rule_seconds_of(&r.start, year) - r.std.offset_s;
	int64_t off = jan1 + rule_seconds_of(&r.end, year) - r.dst.offset_s;
	const struct zone_type *inner = &r.dst, *outer = &r.std;
	if (off < on) {
		int64_t swap = on;

		on = off;
		off = swap;
		inner = &r.std;
		outer = &r.dst;
	}
	if (t < on)
		*out = time_of(outer, jan1, on);
	else if (t >= off)
		*out = time_of(outer, off, next);
	else
		*out = time_of(inner, on, off);
	return true;
}

/* ---- looking up ---- */

struct zone_time zone_at(const struct zone *z, int64_t t)
{
	size_t lo = 0, hi = z->n_times;
	struct zone_time out;

	if (hi == 0 || t < z->time[0]) {
		if (hi == 0 && z->rule.n > 0 && rule_at(z->rule, INT64_MIN, t, &out))
			return out;
		return time_of(&z->type[z->first], INT64_MIN, hi == 0 ? INT64_MAX : z->time[0]);
	}
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (z->time[mid] <= t)
			lo = mid;
		else
			hi = mid;
	}
	bool last = lo + 1 == z->n_times;
	if (last && z->rule.n > 0 && rule_at(z->rule, z->time[lo], t, &out))
		return out;
	return time_of(&z->type[z->to[lo]], z->time[lo], last ? INT64_MAX : z->time[lo + 1]);
}

bool zone_abbrev_offset(const struct zone *z, struct slice abbrev, int64_t wall_s, int32_t *offset_s)
{
	const struct zone_type *found = NULL;

	for (size_t i = 0; i < z->n_types; i++) {
		const struct zone_type *t = &z->type[i];

		if (!slice_eq(t->abbrev, abbrev))
			continue;
		struct zone_time at = zone_at(z, wall_s - t->offset_s);
		if (slice_eq(at.abbrev, abbrev)) {
			*offset_s = at.offset_s;
			return true;
		}
		if (found == NULL)
			found = t;
	}
	if (found != NULL)
		*offset_s = found->offset_s;
	return found != NULL;
}
