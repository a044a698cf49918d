/* ingest/loki_proto.h - Loki's push body as protobuf (logproto.PushRequest), already uncompressed. */
#ifndef INGEST_LOKI_PROTO_H
#define INGEST_LOKI_PROTO_H

#include "ingest/decode.h"

int decode_loki_proto(struct slice body, const struct decode_options *o, struct batch *out, struct err *err);

#endif
