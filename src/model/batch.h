/* model/batch.h - what every decoder yields: one push, decoded. Streams hold consecutive entries; everything points
 * into the batch's arena or into the request's body, and lives as long as both. One owner at a time. */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "model/labels.h"

struct batch_entry {
	int64_t ts; /* ns */
	struct slice line;
	struct label *meta; /* structured metadata; validation makes it sorted, sanitised, unique */
	uint32_t n_meta;
	uint32_t n_tokens;
	const uint64_t *tokens; /* for the trace index (model/traceid.h), set by correlation */
	bool rejected;		/* validation refused it: not stored */
};

struct batch_stream {
	struct labels labels;
	uint64_t hash;	 /* labels_hash of the encoded labels; set by validation */
	size_t first, n; /* its entries in batch.entries */
	bool rejected;	 /* all of it */
	bool refused;	 /* by store_admit: a new stream too many. Not stored, and store_append says so */
};

struct batch {
	struct arena arena;
	struct buf text;     /* of a decoder that must rewrite its strings; kept when the batch is emptied */
	struct slice tenant; /* validated id */
	bool admitted;	     /* store_admit has set `refused` */
	VEC(struct batch_stream) streams;
	VEC(struct batch_entry) entries;
};

void batch_init(struct batch *b);
void batch_fini(struct batch *b);
/* Opens a stream whose labels may be set later (values may precede the stream in JSON). Entries go to the newest. */
struct batch_stream *batch_add_stream(struct batch *b);
struct batch_entry *batch_add_entry(struct batch *b); /* zeroed; counted in the newest stream */

#endif
