/* base/zone.h - time zones by name, from the system's zoneinfo files. The C library knows one zone a process;
 * queries name their own. Zones are read once, kept for good and never change, so any thread may use them. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include "base/arena.h"

struct zone;

/* "Europe/Berlin"; "" and "UTC" are UTC, "Local" is zone_local. NULL: there is none of that name. Opens a file
 * for names not met before. */
const struct zone *zone_find(struct slice name);
const struct zone *zone_utc(void);
const struct zone *zone_local(void); /* by TZ or /etc/localtime, as at the first call */
/* A zone that is always offset_s east of UTC, in the arena. The name is borrowed, may be empty. */
const struct zone *zone_fixed(struct slice name, int32_t offset_s, struct arena *a);

struct slice zone_name(const struct zone *z); /* as given to zone_find or zone_fixed */

struct zone_time {
	struct slice abbrev; /* CET; may be empty */
	int32_t offset_s;    /* east of UTC */
	bool dst;
	int64_t start, end; /* unix seconds: start <= t < end is all the same */
};
struct zone_time zone_at(const struct zone *z, int64_t unix_s);
/* What offset the abbreviation stands for, at a wall clock time given as if it were UTC. */
bool zone_abbrev_offset(const struct zone *z, struct slice abbrev, int64_t wall_s, int32_t *offset_s);

#endif
