/* ingest/otlp.h - OpenTelemetry logs (OTLP): the two decoders, and between them and the batch the mapping of
 * resources, scopes and log records to streams, metadata and lines. The mapping stands in otlp.c alone, so that a
 * push means the same in either encoding:
 *
 *	otlp_proto.c ─┐  attributes, scope, record
 *	              ├─────────────────────────────► otlp.c ─► batch
 *	otlp_json.c  ─┘
 *
 * Attributes of a resource or a scope are mapped once, however many records follow. Used by one thread at a time. */
#ifndef INGEST_OTLP_H
#define INGEST_OTLP_H

#include "base/map.h"
#include "ingest/decode.h"

/* ExportLogsServiceRequest, already uncompressed. */
int decode_otlp_proto(struct slice body, const struct decode_options *o, struct batch *out, struct err *err);
int decode_otlp_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err);

/* What spoor takes but does not keep. */
enum otlp_signal { OTLP_METRICS, OTLP_TRACES };
/* Data points of an ExportMetricsServiceRequest, spans of an ExportTraceServiceRequest. */
int otlp_count_proto(enum otlp_signal signal, struct slice body, uint64_t *n, struct err *err);
int otlp_count_json(enum otlp_signal signal, struct slice body, uint64_t *n, struct err *err);

/* ---------------------------------------------------------------- for the decoders */

enum {
	OTLP_MAX_DEPTH = 32,	   /* of values in values */
	OTLP_MAX_NODES = 1 << 19,  /* elements and members of one value, all levels */
	OTLP_MAX_NAME = 4096,	   /* bytes of a name that is made of the names of nested members */
	OTLP_MADE_BYTES = 64 << 20 /* texts that one push may have made beyond the length of its body */
};

enum otlp_type {
	OTLP_UNSET,
	OTLP_STRING,
	OTLP_BOOL,
	OTLP_INT,
	OTLP_DOUBLE,
	OTLP_BYTES,
	OTLP_ARRAY,
	OTLP_MAP
};

struct otlp_node;
/* AnyValue. Text points into the body or the batch's arena, nodes into the mapper's own. */
struct otlp_value {
	enum otlp_type type;
	union {
		struct slice text; /* OTLP_STRING, OTLP_BYTES */
		bool truth;
		int64_t number;
		double real;
		struct otlp_node *first; /* OTLP_ARRAY, OTLP_MAP */
	};
};

struct otlp_node {
	struct otlp_node *next;
	struct slice key; /* of a map's member */
	struct otlp_value value;
};

struct otlp_scope {
	struct slice name, version;
	uint32_t n_dropped;
};

struct otlp_record {
	uint64_t time_ns, observed_ns; /* 0: none */
	int32_t severity;
	uint32_t n_dropped, flags;
	struct slice severity_text, event_name, body;
	struct slice trace_id, span_id; /* 16 and 8 bytes, or empty */
};

struct otlp_pairs {
	struct label *v;
	size_t n, cap;
};

struct otlp_run { /* consecutive entries of one stream */
	size_t stream, first;
};

struct otlp {
	const struct decode_options *o;
	struct batch *b;
	struct err *err;
	struct otlp_pairs labels, resource, scope, own; /* own: of the record */
	struct otlp_pairs common; /* resource and scope together: sorted, unique, what wins is left */
	bool has_common;
	size_t stream;	    /* of the resource; SLICE_NONE: not known yet */
	struct map streams; /* encoded labels -> index + 1 */
	struct {
		struct otlp_run *v;
		size_t n, cap;
	} runs;
	bool scattered; /* a stream has more than one run */
	size_t n_pairs, n_nodes;
	uint64_t made, max_made; /* bytes of texts */
	struct arena nodes;
	struct buf text, path; /* scratch */
	struct {
		struct slice raw, clean;
	} names[64]; /* sanitised lately */
};

void otlp_init(struct otlp *m, struct slice body, const struct decode_options *o, struct batch *out,
	       struct err *err);
int otlp_fini(struct otlp *m, int rc); /* with 0 completes the batch; returns rc */

/* For each resource: its attributes; for each of its scopes: its attributes, its fields; for each of its records: its
 * attributes, its fields. */
void otlp_resource_begin(struct otlp *m);
int otlp_resource_attribute(struct otlp *m, struct slice key, const struct otlp_value *v);
void otlp_scope_begin(struct otlp *m);
int otlp_scope_attribute(struct otlp *m, struct slice key, const struct otlp_value *v);
int otlp_scope_done(struct otlp *m, const struct otlp_scope *s);
void otlp_record_begin(struct otlp *m);
int otlp_record_attribute(struct otlp *m, struct slice key, const struct otlp_value *v);
int otlp_record_done(struct otlp *m, const struct otlp_record *r);

/* A value as the text of a line. */
int otlp_body(struct otlp *m, const struct otlp_value *v, struct slice *out);

/* Nodes live until the next top-level value begins. NULL: too many of them. */
void otlp_value_begin(struct otlp *m);
struct otlp_node *otlp_node(struct otlp *m);
int otlp_check_id(struct otlp *m, struct slice id, size_t n, const char *name); /* n bytes or none */
int otlp_too_deep(struct otlp *m);

#endif
