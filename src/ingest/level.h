/* ingest/level.h - which level a line has: the detected_level that Loki adds to every entry. */
#ifndef INGEST_LEVEL_H
#define INGEST_LEVEL_H

#include "model/labels.h"

/* Names of labels, metadata and fields that hold a level, the first ones first. */
const struct slice *level_names(size_t *n);
/* The level that a stream's labels name; p == NULL if none. The same for all entries of the stream. */
struct slice level_of_labels(struct labels labels);
/* The level of an entry: metadata, else of_labels (if p != NULL), else the line. Never empty. An unknown
 * value of a label or of metadata is returned as it stands. */
struct slice level_detect(struct slice of_labels, const struct label *meta, size_t n_meta, struct slice line);
/* From the line alone: trace debug info warn error critical fatal unknown. */
struct slice level_of_line(struct slice line);
/* The level that a word names in any case, else the word itself. */
struct slice level_normalise(struct slice word);

#endif
