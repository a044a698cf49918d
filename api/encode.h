/* api/encode.h - answers as Loki's JSON. The order of keys is part of the interface: Grafana reads the answer
 * as a stream and must know resultType and encodingFlags before result. Appends to a buffer; pure but for the
 * deadline, which is checked while the answer grows. */
#ifndef API_ENCODE_H
#define API_ENCODE_H

#include "base/buf.h"
#include "query/meta.h"
#include "query/query.h"
#include "query/tail.h"
#include "query/trace.h"

struct json_out;

/* flags: the text of X-Loki-Response-Encoding-Flags, absent if not sent. -1: cancelled or out of time; b is
 * then cut anywhere. */
int encode_result(struct buf *b, const struct query_result *r, struct slice flags, struct query_control *c,
		  struct err *err);
/* "stats":{…}, a member of the object that is open. */
void encode_stats(struct json_out *j, const struct query_stats *s);
/* Streams as /api/prom/query gives them. */
int encode_legacy(struct buf *b, const struct query_result *r, struct query_control *c, struct err *err);
/* Does the header's text ask for structured metadata and parsed labels apart from the stream's labels? */
bool encode_wants_categories(struct slice flags);

/* ,"encodingFlags":[…]; nothing if there are none. */
void encode_flags(struct buf *b, struct slice flags);
/* One entry of a tail, as a stream object of its own; a tail_encode_fn. */
void encode_tail(struct buf *b, enum tail_format format, const struct tail_entry *e, size_t *labels_off,
		 size_t *labels_n);

void encode_strings(struct buf *b, const struct slice *v,
		    size_t n); /* {"status":"success","data":[…]}; no data if n is 0 */
void encode_series(struct buf *b, const struct labels *v, size_t n);
void encode_index_stats(struct buf *b, const struct meta_stats *s);
struct encoded_links {
	struct slice url; /* the first one; null in the answer when it is empty */
	struct encoded_link {
		struct slice name, url;
	} * v;
	size_t n;
};
int encode_trace(struct buf *b, const struct trace_result *r, const struct encoded_links *links,
		 struct query_control *c, struct err *err);

#endif
