/* ingest/pattern_miner.h - the patterns of one service's lines, learned as lines come, and how often each was seen
 * in each stream. Lines of one level whose separators are the same stand together in a leaf; in a leaf, patterns
 * differ in their words. Where too many patterns differ in one word alone, that word becomes <_> and they become
 * one:
 *
 *	line ─► shape ─► cache ─────────────────────────────────► row (stream, pattern) ─► count at a time
 *	                   └─ new ─► leaf ─► pattern ─► row ─┘
 *
 * Every pattern, as text, is a filter for |> that keeps each line counted for it. One owner at a time. */
#ifndef INGEST_PATTERN_MINER_H
#define INGEST_PATTERN_MINER_H

#include "ingest/pattern_series.h"
#include "model/labels.h"

struct miner;
struct miner_pattern;
struct miner_stream;

struct miner *miner_new(void);
void miner_free(struct miner *m); /* NULL is fine */
size_t miner_bytes(const struct miner *m);
bool miner_is_empty(const struct miner *m);

/* may_grow false, here and below: memory is short, so work with what is known already. NULL: then there is no such
 * stream. hash is labels_hash of the encoded labels. The stream stays until miner_age. */
struct miner_stream *miner_stream(struct miner *m, uint64_t hash, struct labels labels, bool may_grow);

struct miner_line {
	uint64_t shape; /* shape_hash of the text */
	struct slice level;
	struct slice text; /* not empty */
	uint32_t at;	   /* time / SERIES_GRAIN_S */
};
/* Counts the line n times. False: it could not be counted. */
bool miner_count(struct miner *m, struct miner_stream *s, const struct miner_line *l, uint32_t n,
		 bool may_grow);

/* Old counts become coarser and go (see series_age), and with them rows, patterns and streams that are of no use. */
void miner_age(struct miner *m, int64_t oldest, int64_t minute_before, int64_t five_before);

/* Calls row for each pattern of each stream whose encoded labels are wanted; p may come again. */
struct miner_reader {
	bool (*wanted)(void *arg, struct slice labels);
	void (*row)(void *arg, const struct miner_pattern *p, const struct pattern_series *s);
	void *arg;
};
void miner_read(const struct miner *m, const struct miner_reader *r);
void miner_pattern_text(const struct miner_pattern *p, struct buf *out);
struct slice miner_pattern_level(const struct miner_pattern *p); /* lives as long as m */

void miner_encode(struct buf *b, struct miner *m);
struct miner *miner_decode(struct cursor *c); /* NULL: malformed */

#endif
