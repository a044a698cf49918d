/* model/labels.h - a set of name=value pairs: a stream's labels, or an entry's structured metadata. Sorted by name
 * (bytewise), names unique. Plain data: the slices point into memory somebody else owns. */
#ifndef MODEL_LABELS_H
#define MODEL_LABELS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct json_out;

struct label {
	struct slice name, value;
};
struct labels {
	const struct label *v;
	size_t n;
};

/* Sorts in place by name, stably. Returns the first name that stands twice (p == NULL: none). */
struct slice labels_sort(struct label *v, size_t n);
struct slice labels_get(struct labels l, struct slice name); /* p == NULL if absent */
bool labels_eq(struct labels a, struct labels b);
int labels_cmp(struct labels a, struct labels b);      /* pairwise name, then value; a prefix sorts first */
void labels_format(struct buf *b, struct labels l);    /* {a="x", b="y"}: canonical text, values Go-quoted */
void labels_json(struct json_out *j, struct labels l); /* {"a":"x","b":"y"} */
struct labels labels_dup(struct arena *a, struct labels l);

/* On disk and in memory: varint n, then n times (varint length, name, varint length, value). The hash of these
 * bytes identifies a stream. */
void labels_encode(struct buf *b, struct labels l);
int labels_decode(struct slice encoded, struct arena *a,
		  struct labels *out); /* -1 if malformed; borrows encoded */
uint64_t labels_hash(struct slice encoded);
/* Walks encoded pairs without allocating: cursor_of(encoded), n = cursor_varint(&c), then n times this. */
static inline struct label labels_next(struct cursor *c)
{
	struct label l;

	l.name = cursor_lenslice(c);
	l.value = cursor_lenslice(c);
	return l;
}
struct slice labels_get_encoded(struct slice encoded, struct slice name); /* p == NULL if absent */

bool label_name_valid(struct slice name); /* [a-zA-Z_][a-zA-Z0-9_]* */

/* The text form that clients push, {a="b", c='d'}: sorted, empty values dropped, duplicates kept (validation finds
 * them). Errors carry Loki's text and position: 1:3: parse error: unexpected … */
int labels_parse(struct slice text, struct arena *a, struct labels *out, struct err *err);

#endif
