/* ingest/decode.h - what every decoder looks like: bytes in, one batch out. A decoder knows neither HTTP nor
 * files. Whatever it yields points into the body or into the batch's arena, so both must outlive the batch's
 * use. On failure -1, err->msg is what the sender is told, and the batch may hold a part that nobody may use.
 */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "base/err.h"
#include "model/batch.h"

struct decode_options {
	uint64_t max_streams, max_entries; /* of one push, 0 = no limit; beyond: ERR_TOO_LARGE */
	uint64_t max_labels_bytes;	   /* of a stream's labels as text, 0 = no limit */
	int64_t now_ns;			   /* arrival: the time of lines that name none */
	const struct slice *labels;	   /* plain_json: fields that become labels */
	size_t n_labels;
	const struct slice *otlp_labels; /* OTLP: attributes of a resource that become labels */
	size_t n_otlp_labels;
};

/* Pairs of labels and metadata that one object, and one push, may hold before the limits of validation apply:
 * 32 bytes of memory each, for as little as six bytes of body. */
enum { DECODE_MAX_PAIRS_OBJECT = 10000, DECODE_MAX_PAIRS_PUSH = 4000000 };

typedef int (*decode_fn)(struct slice body, const struct decode_options *o, struct batch *out,
			 struct err *err);

/* A time that int64 nanoseconds cannot hold; validation refuses it whatever the limits say. */
#define TS_TOO_OLD INT64_MIN
#define TS_TOO_NEW INT64_MAX

/* Opens a stream or an entry, within the limits of a push; NULL and err if there are too many. */
static inline struct batch_stream *decode_add_stream(struct batch *b, const struct decode_options *o,
						     struct err *err)
{
	if (o->max_streams > 0 && b->streams.n >= o->max_streams) {
		err_set(err, ERR_TOO_LARGE, "too many streams in one push, limit: %llu",
			(unsigned long long)o->max_streams);
		return NULL;
	}
	return batch_add_stream(b);
}

static inline struct batch_entry *decode_add_entry(struct batch *b, const struct decode_options *o,
						   struct err *err)
{
	if (o->max_entries > 0 && b->entries.n >= o->max_entries) {
		err_set(err, ERR_TOO_LARGE, "too many entries in one push, limit: %llu",
			(unsigned long long)o->max_entries);
		return NULL;
	}
	return batch_add_entry(b);
}

#endif
