/* ingest/loki_json.h - Loki's push body as JSON: the shape of /loki/api/v1/push and the old one of
 * /api/prom/push. */
#ifndef INGEST_LOKI_JSON_H
#define INGEST_LOKI_JSON_H

#include "ingest/decode.h"

int decode_loki_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err);
int decode_loki_json_legacy(struct slice body, const struct decode_options *o, struct batch *out,
			    struct err *err);

#endif
