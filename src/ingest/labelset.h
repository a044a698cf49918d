/* ingest/labelset.h - from name=value pairs as a decoder met them to a stream's labels. */
#ifndef INGEST_LABELSET_H
#define INGEST_LABELSET_H

#include "model/labels.h"

/* v: n pairs in the order of the text, reordered in place. Sorted, the last of equal names kept, empty values
 * dropped, copied into the arena (the bytes are not). -1 if a name or value is none, with the text that the
 * label parser would give for the same set. */
int labelset_make(struct label *v, size_t n, struct arena *a, struct labels *out, struct err *err);
/* The text form, {a="b"}; the error is prefixed as clients know it. */
int labelset_parse(struct slice text, struct arena *a, struct labels *out, struct err *err);

#endif
