/* query/tmpl_time.h - points in time as Go's time package has them, and its layouts: a time format is written
 * as the reference time Mon Jan 2 15:04:05 MST 2006 would look. Pure. */
#ifndef QUERY_TMPL_TIME_H
#define QUERY_TMPL_TIME_H

#include "base/buf.h"
#include "base/zone.h"

struct go_time {
	int64_t unix_s;
	int32_t ns;		 /* 0 to 999999999 */
	const struct zone *zone; /* where it is shown; never NULL */
};

#define GO_TIME_ZERO_S INT64_C(-62135596800) /* year 1: the time that is none */

struct go_clock {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second;
	int weekday;  /* 0: Sunday */
	int year_day; /* from 1 */
	struct zone_time zone;
};

struct go_time go_time_of_ns(int64_t unix_ns, const struct zone *zone);
struct go_clock go_time_clock(const struct go_time *t);
int64_t go_time_unix_ns(const struct go_time *t); /* wraps around outside of the years 1678 to 2262 */
/* A wall clock time in a zone. Months and days out of range carry over. */
struct go_time go_time_date(int64_t year, int64_t month, int64_t day, int64_t second_of_day, int32_t ns,
			    const struct zone *zone);
struct go_time go_time_add(struct go_time t, int64_t ns);
int64_t go_time_sub(const struct go_time *a, const struct go_time *b); /* ns, saturating */
int go_time_cmp(const struct go_time *a, const struct go_time *b);
struct go_time go_time_truncate(struct go_time t, int64_t ns); /* to a multiple since year 1 */

void go_time_format(struct buf *b, const struct go_time *t, struct slice layout);
/* A text without offset is in `zone`. False: the text does not fit the layout. Zones that only the text knows
 * are made in the arena. */
bool go_time_parse(struct slice layout, struct slice text, const struct zone *zone, struct arena *a,
		   struct go_time *out);

extern const char *const go_month_names[12], *const go_weekday_names[7];

#endif
