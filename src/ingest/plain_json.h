/* ingest/plain_json.h - JSON lines, as a log file holds them: one object a line. */
#ifndef INGEST_PLAIN_JSON_H
#define INGEST_PLAIN_JSON_H

#include "ingest/decode.h"

/* The whole object is the line. Its time is the first of the fields timestamp, time, ts, @timestamp that
 * holds one: RFC 3339, or a number of s, ms, us or ns told apart by magnitude; without one, the arrival time,
 * counted up by 1 ns a line, which keeps the order and keeps equal lines apart. o->labels names fields that
 * become labels, nested ones joined by a dot or an underscore. A line that is no object is kept as it is;
 * empty lines are skipped. */
int decode_plain_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err);

/* Any of the forms above. */
bool plain_json_time(struct slice text, bool is_string, int64_t *ts);

#endif
