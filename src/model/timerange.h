/* model/timerange.h - a window of time: start inclusive, end exclusive, ns since the epoch. */
#ifndef MODEL_TIMERANGE_H
#define MODEL_TIMERANGE_H

#include <stdbool.h>
#include <stdint.h>

struct timerange {
	int64_t start, end;
};

#define TIMERANGE_ALL ((struct timerange){ INT64_MIN, INT64_MAX })

static inline bool timerange_has(struct timerange r, int64_t ts)
{
	return r.start <= ts && ts < r.end;
}

/* Does [first, last] (both inclusive) share an instant with r? */
static inline bool timerange_meets(struct timerange r, int64_t first, int64_t last)
{
	return first < r.end && last >= r.start;
}

#endif
