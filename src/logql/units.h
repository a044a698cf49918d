/* logql/units.h - numbers, durations and byte sizes as LogQL writes them, in queries and in label values;
 * with the error texts that end up in messages and in __error_details__. Pure functions. */
#ifndef LOGQL_UNITS_H
#define LOGQL_UNITS_H

#include "base/buf.h"
#include "base/err.h"

/* Go's ParseFloat: decimal, hex with exponent, underscores between digits, inf, nan.
 * err->msg: strconv.ParseFloat: parsing "abc": invalid syntax | value out of range */
int units_parse_number(struct slice text, double *out, struct err *err);
/* Go's integer literals: 42 0x2a 0b101010 0o52 052 4_2, whole text. The first takes no sign. */
bool units_parse_go_uint(struct slice text, uint64_t *out);
bool units_parse_go_int(struct slice text, int64_t *out);
/* Go's ParseDuration: optional sign, fractions, ns us ms s m h in any order; "0". Result in ns.
 * err->msg: time: invalid duration "abc" */
int units_parse_go_duration(struct slice text, int64_t *out_ns, struct err *err);
/* Prometheus durations: whole numbers of y w d h m s ms in this order; "0". Result in ns.
 * err->msg: not a valid duration string: "5" */
int units_parse_prom_duration(struct slice text, int64_t *out_ns, struct err *err);
/* 10KB, 1.5 MiB, 1,000: powers of 1000 or 1024, any case.
 * err->msg: unhandled size name: ms */
int units_parse_bytes(struct slice text, uint64_t *out, struct err *err);

void units_fmt_go_duration(struct buf *b, int64_t ns);	 /* 1h30m0s, 1.5ms */
void units_fmt_prom_duration(struct buf *b, int64_t ns); /* 1h30m; milliseconds at the finest */
void units_fmt_bytes(struct buf *b, uint64_t n);	 /* 10kB, 1.5MB: powers of 1000, rounded */
void units_fmt_number(struct buf *b, double v); /* shortest; an exponent below 1e-4 and from 1e21 on */

#endif
