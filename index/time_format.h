/* index/time_format.h - date-times in log lines, as the difference to the time of the entry they stand in. A format has a
 * text form in which % stands for a field, any other byte for itself: %Y 4-digit year, %y 2-digit, %m %d %H %M %S two digits,
 * %e day padded by a space, %b Jan..Dec, %a Mon..Sun (must fit the date), %1..%9 so many digits of a second's fraction,
 * %z+hhmm or %Z+hh:mm: literal zone text whose offset applies, %s seconds since 1970, %% itself.
 * Civil time: proleptic Gregorian, UTC plus the zone; algorithm: Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 * Without a year the entry's own counts. Pure but for the cache. */
#ifndef INDEX_TIME_FORMAT_H
#define INDEX_TIME_FORMAT_H

#include "base/slice.h"
#include "base/buf.h"

enum { TIME_FORMAT_MAX = 64, TIME_TEXT_MAX = 96, TIME_FIELDS = 12, TIME_ABSENT = 255 };

struct time_format {
	char text[TIME_FORMAT_MAX]; /* the text form, n bytes */
	uint8_t n;
	uint8_t length;	 /* of a date-time in this format; 0: varies (%s) */
	int64_t unit_ns; /* the finest field's: differences are counted in it */
	int32_t zone_s;	 /* offset of the zone */
	bool has_date, has_year;
	/* Where things stand in a text of this format; for time_format.c alone. */
	uint8_t fixed; /* bytes of all but %s */
	uint8_t n_literals, fraction_digits;
	uint8_t at[TIME_FIELDS]; /* TIME_ABSENT: the format has no such field */
	uint8_t literal_at[TIME_FORMAT_MAX];
	char literal[TIME_FORMAT_MAX];
};

/* Does text begin with a date-time (which a separator or the end follows)? Its length, or 0. RFC 3339 and ISO 8601 with T
 * or a space, '.' or ',' and 1-9 digits, zone or none; 15/Jan/2026:10:00:02 +0000; Jan _2 15:04:05; Mon Jan _2 15:04:05 2006;
 * 2005-06-03-15.42.50.363779; 17/06/09 20:10:40; and what else is common in logs. */
size_t time_format_detect(struct slice text, struct time_format *out);
/* From the text form; false if impossible (hostile input). */
bool time_format_parse(struct slice form, struct time_format *out);

/* The difference of a date-time, all of `text`, to an entry's time (rounded down to a unit), in units. False: not of this
 * format, or time_format_write would not give exactly these bytes. */
bool time_format_diff(const struct time_format *f, struct slice text, int64_t ts, int64_t *diff);

/* Remembers the minute read last, for time_format_diff_next; zero it first. One for a format. */
struct time_seen {
	int64_t minute_s, entry_day; /* the minute's first second; of the entry */
	bool valid, usable, asked;
	char text[TIME_TEXT_MAX], mask[TIME_TEXT_MAX]; /* mask: 0xff where bytes must be the same */
};
/* As time_format_diff; quicker where date-times follow each other. */
bool time_format_diff_next(const struct time_format *f, struct time_seen *seen, struct slice text, int64_t ts,
			   int64_t *diff);

/* Remembers the second written last; zero it first. One for a format. */
struct time_cache {
	int64_t second;
	bool valid;
	uint8_t n;
	char text[TIME_TEXT_MAX];
};
/* Writes at most TIME_TEXT_MAX bytes; returns their number. Any diff is safe (hostile ones give some text). */
size_t time_format_write(const struct time_format *f, int64_t ts, int64_t diff, struct time_cache *cache,
			 char *out);
void time_format_bytes(const struct time_format *f,
		       uint64_t byte_set[4]); /* adds those that its texts may hold */

#endif
