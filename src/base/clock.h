/* base/clock.h - time in nanoseconds. Wall time is signed ns since the Unix epoch; monotonic time only measures.
 * Tests replace both. Thread-safe. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include "base/buf.h"

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_H   (3600 * NS_PER_S)
#define NS_PER_DAY (86400 * NS_PER_S)

int64_t clock_now_ns(void);	 /* CLOCK_REALTIME */
int64_t clock_mono_ns(void);	 /* CLOCK_MONOTONIC: deadlines, rates, ages */
void clock_fake(int64_t now_ns); /* both stand at now_ns until moved; 0 = real again */
void clock_fake_advance(int64_t ns);

/* A condition whose timed waits count on the monotonic clock: a wall clock that is set must not make anybody wait. */
void clock_cond_init(pthread_cond_t *c);

/* RFC 3339 in UTC: seconds only, or with up to 9 digits of fraction, trailing zeros removed. */
void clock_format_rfc3339(struct buf *b, int64_t ns, bool with_fraction);
/* RFC 3339 with mandatory zone; fraction up to 9 digits. False if it is none or out of int64 ns. */
bool clock_parse_rfc3339(struct slice s, int64_t *ns);
/* YYYY-MM-DD of a UTC day number (days since 1970-01-01). buf of 16. */
void clock_format_day(char out[16], int64_t day);
bool clock_parse_day(struct slice s, int64_t *day);
int64_t clock_day_of(int64_t ns); /* floor division: right for times before 1970, too */

/* Prometheus duration: integers with y w d h m s ms, descending, each once; "0" is valid.
 * On failure err_text (size >= 128) holds Loki's wording. */
bool clock_parse_prom_duration(struct slice s, int64_t *ns, char *err_text, size_t err_size);
/* Go's time.Duration form: sign, decimals, ns us ms s m h in any order. */
bool clock_parse_go_duration(struct slice s, int64_t *ns);
void clock_format_go_duration(struct buf *b, int64_t ns);   /* 1h30m0s, 1.5s, 0s */
void clock_format_prom_duration(struct buf *b, int64_t ns); /* 30d1h, 1m, 0s; whole milliseconds */

#endif
