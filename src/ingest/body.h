/* ingest/body.h - from a request's headers and bytes to a batch: which coding, which decoder. */
#ifndef INGEST_BODY_H
#define INGEST_BODY_H

#include "base/buf.h"
#include "ingest/decode.h"
#include "ingest/room.h"

enum push_kind {
	PUSH_LOKI,   /* /loki/api/v1/push */
	PUSH_LEGACY, /* /api/prom/push */
	PUSH_PLAIN,  /* /api/v1/ingest: JSON lines, any content type */
	PUSH_OTLP    /* OTLP, over HTTP or gRPC */
};

struct body_headers {
	enum push_kind kind;
	struct slice content_type;     /* p == NULL: absent */
	struct slice content_encoding; /* p == NULL: absent */
	struct room room;	       /* of each layer of compression; limit: of a plain body, too */
};

/* Decoded bytes live in *scratch (replaced), which must live as long as the batch. *format names the decoder
 * for metrics and logs: "json", "protobuf", "lines", "otlp_json", "otlp_protobuf". */
int body_decode(const struct body_headers *h, struct slice body, const struct decode_options *o,
		struct buf scratch[2], struct batch *out, const char **format, struct err *err);

/* A body of OTLP, whichever signal it carries: *body becomes what it was before its compression, *json says which
 * encoding that is in. */
int body_open_otlp(const struct body_headers *h, struct slice *body, struct buf *scratch, bool *json,
		   struct err *err);

/* The media type in lower case, without parameters; -1 with Go's texts (mime: no media type). buf of 128. */
int body_media_type(struct slice content_type, char out[128], struct err *err);

#endif
