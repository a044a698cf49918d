/* cli/times.h - points in time as a person writes them. Pure. */
#ifndef CLI_TIMES_H
#define CLI_TIMES_H

#include "base/slice.h"

/* now, 15m or now-15m (so long ago), RFC 3339, 2026-01-15 [10:00[:00]] in UTC, Unix seconds (up to 10
 * digits), Unix nanoseconds. */
bool time_parse(struct slice s, int64_t now, int64_t *ns);
bool duration_parse(struct slice s, int64_t *ns); /* 30s, 1h30m, 7d; > 0 */

#endif
