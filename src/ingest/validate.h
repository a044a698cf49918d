/* ingest/validate.h - which entries of a push are kept. Adds service_name and detected_level, sanitises
 * metadata, checks each stream and entry against the tenant's limits and marks what is refused. Texts are
 * Loki's. */
#ifndef INGEST_VALIDATE_H
#define INGEST_VALIDATE_H

#include "base/buf.h"
#include "model/batch.h"
#include "model/limits.h"

enum discard_reason {
	DISCARD_MISSING_LABELS,
	DISCARD_MISSING_ENFORCED_LABELS,
	DISCARD_BLOCKED,
	DISCARD_TOO_MANY_LABELS,
	DISCARD_LABEL_NAME_TOO_LONG,
	DISCARD_LABEL_VALUE_TOO_LONG,
	DISCARD_DUPLICATE_LABELS,
	DISCARD_LABELS_TOO_LARGE,
	DISCARD_TOO_OLD,
	DISCARD_TOO_NEW,
	DISCARD_LINE_TOO_LONG,
	DISCARD_META_DISALLOWED,
	DISCARD_META_TOO_LARGE,
	DISCARD_META_TOO_MANY,
	DISCARD_META_NAME,
	DISCARD_RATE_LIMITED,
	DISCARD_STREAM_RATE,
	DISCARD_STREAM_LIMIT,
	DISCARD_N_REASONS
};
const char *discard_reason_name(enum discard_reason r); /* as Loki's metrics call it */

enum { TALLY_EXAMPLES = 10 };

struct tally_sample {
	const struct batch_stream *stream;
	const struct batch_entry *entry;
};

/* What became of a push. Zero it first; texts live in the batch's arena. */
struct tally {
	uint64_t n_entries, n_bytes; /* accepted: bytes = lines + metadata as they came */
	uint64_t discarded_entries[DISCARD_N_REASONS], discarded_bytes[DISCARD_N_REASONS];
	struct tally_sample
		sample[DISCARD_N_REASONS]; /* the first of those discarded; borrowed from the batch */
	struct slice text[TALLY_EXAMPLES]; /* distinct */
	size_t count[TALLY_EXAMPLES];
	size_t n_texts;
	size_t n_errors; /* all, those without an example included */
};

/* One entry that is not kept; bytes as the metrics count them. */
void tally_discard(struct tally *t, enum discard_reason why, const struct batch_stream *s,
		   const struct batch_entry *e, uint64_t bytes);
void validate_batch(struct batch *b, const struct limits *l, int64_t now_ns, struct tally *t);
/* One error: its text. Several: "2 errors like: …; 1 errors like: …", at most ten of them. Nothing if there
 * is none. */
void tally_text(const struct tally *t, struct buf *out);

/* The labels of which the first one there gives service_name its value. */
const char *const *validate_service_labels(size_t *n);

/* Bytes of an entry as the rate limits count them. */
uint64_t entry_bytes(const struct batch_entry *e);
/* A stream's labels for a message, cut to what a message should echo. */
void validate_stream_text(struct buf *out, struct labels labels);

#endif
