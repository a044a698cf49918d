/* model/traceid.h - what is a trace id: finds the ids that an entry holds, and turns what a person or a query says
 * into the tokens of the index. Pure; a struct trace_keys is immutable once made, so threads share it.
 *
 * An id is 16 bytes (W3C Trace Context); 64-bit ids are left-padded with zeros. The index knows an id by its low
 * half only, because 64-bit tracers leave the high half zero; whoever reads the entry decides the rest.
 *
 * Found in an entry: the values of the keys in trace_id_keys (structured metadata, stream labels, JSON keys to any
 * depth <= 3 with nested names joined by _ or ., logfmt keys; names compared without case), in any of the forms 32 hex,
 * 16 hex, dashed UUID, decimal (dd.trace_id), W3C traceparent, B3, uber-trace-id, X-Ray 1-8-24; every run of exactly
 * 32 hex digits of the line or of a metadata value wherever it stands; every dashed UUID by its last 8 digits before
 * the first dash, its three inner groups and its first 12 digits after the last dash. All zeros is not an id.
 *
 * Two reserved tokens mark what cannot be indexed exactly: a line with a run of more than 32 hex digits holds
 * TRACE_TOKEN_LONG_RUN; a line that spells a letter, a digit or a dash by a JSON \u escape, or whose JSON is malformed
 * where a key might matter, TRACE_TOKEN_ESCAPED. A lookup for a needle that such text might hide asks for these, too; so
 * the index may name too much, never too little. */
#ifndef MODEL_TRACEID_H
#define MODEL_TRACEID_H

#include "model/labels.h"

struct trace_id {
	uint64_t hi, lo;
};

enum { TRACE_TOKEN_LONG_RUN = 1, TRACE_TOKEN_ESCAPED = 2 };

struct trace_keys;
/* keys: names of trace_id_keys; fields: names of indexed_fields, whose values are indexed by hash under their name. */
struct trace_keys *trace_keys_new(const struct slice *keys, size_t n_keys, const struct slice *fields,
				  size_t n_fields);
void trace_keys_free(struct trace_keys *k);
/* For tests: off, or on if the processor has them, as they are at first. What is found is the same. */
bool trace_keys_use_vectors(struct trace_keys *k, bool use);
bool trace_keys_has(const struct trace_keys *k,
		    struct slice name); /* a trace id key, after flattening/renaming */
bool trace_keys_has_field(const struct trace_keys *k, struct slice name);
/* Equal for equal sets of names, never 0: says whether an index was made with these keys. */
uint64_t trace_keys_fingerprint(const struct trace_keys *k);

enum trace_source { /* in the order that decides which id counts as the entry's own */
		    TRACE_FROM_META,
		    TRACE_FROM_LABEL,
		    TRACE_FROM_JSON,
		    TRACE_FROM_LOGFMT,
		    TRACE_FROM_TEXT
};
struct trace_ref {
	struct trace_id id;
	enum trace_source source;
};

struct trace_found {	       /* reused from entry to entry; zero it first, trace_found_fini at the end */
	struct trace_ref *ref; /* ids, the entry's own first */
	size_t n_refs, cap_refs;
	uint64_t *token; /* distinct: low halves, reserved tokens, hashes of indexed fields */
	size_t n_tokens, cap_tokens;
	struct trace_scratch *scratch;
};
void trace_found_fini(struct trace_found *f);

/* meta: encoded pairs (labels.h); stream_meta: the stream's labels, encoded. Clears *f first. */
void trace_find(const struct trace_keys *k, struct slice line, struct slice meta, struct slice stream_labels,
		struct trace_found *f);

/* What a person pastes: 32 or 16 hex, dashed UUID, traceparent, decimal, X-Ray, B3. exact_hi: the high half was given. */
bool trace_id_parse(struct slice text, struct trace_id *id, bool *exact_hi);
void trace_id_format(struct buf *b, struct trace_id id); /* 32 lower-case hex digits */
static inline bool trace_id_matches(struct trace_id stored, struct trace_id asked, bool exact_hi)
{
	return stored.lo == asked.lo && (!exact_hi || stored.hi == asked.hi || stored.hi == 0);
}

/* Tokens of which every line that contains `needle` (bytes as stored) must hold at least one; 0 if the needle does not
 * name an id, so that only a scan can answer. out holds 4. */
size_t trace_tokens_for_needle(struct slice needle, uint64_t out[4]);
/* The same for a label filter name="value" on structured metadata or on a label made by json or logfmt. */
size_t trace_tokens_for_label(const struct trace_keys *k, struct slice name, struct slice value,
			      uint64_t out[4]);

#endif
