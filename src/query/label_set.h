/* query/label_set.h - the labels of one entry on its way through a pipeline, in three categories: stream
 * labels, structured metadata, parsed. A name is visible once: parsed before metadata before stream.
 *
 * struct label_base holds what all entries with one stream and one metadata set have in common and is made
 * once for them; struct label_set lies over a base and is reused from line to line. Slices are borrowed. One
 * thread. */
#ifndef QUERY_LABEL_SET_H
#define QUERY_LABEL_SET_H

#include "base/vec.h"
#include "model/labels.h"

#define LABEL_ERROR	     SLICE("__error__")
#define LABEL_ERROR_DETAILS  SLICE("__error_details__")
#define LABEL_PRESERVE_ERROR SLICE("__preserve_error__")
#define LABEL_SUFFIX	     "_extracted"

struct label_vec {
	struct label *v;
	size_t n, cap;
};

struct label_base {
	struct labels stream;
	struct labels meta;	     /* sorted; renamed where a stream label has the name */
	struct slice error, details; /* p == NULL: none */
	uint64_t mask;		     /* a bit for each name: a quick no */
};
/* meta: encoded pairs (labels.h). Malformed metadata counts as none. */
void label_base_init(struct label_base *b, struct labels stream, struct slice meta, struct arena *a);
bool label_base_has(const struct label_base *b, struct slice name);

struct parsed_label {
	struct label label;
	bool removed; /* not visible any more, but its name stays recorded as extracted */
};

struct label_set {
	const struct label_base *base;
	struct {
		struct parsed_label *v;
		size_t n, cap;
	} parsed;
	uint64_t mask;	 /* of the parsed names */
	uint8_t *hidden; /* of base labels: stream first, then metadata */
	size_t n_hidden, cap_hidden;
	struct slice error, details; /* p == NULL: none */
	bool preserve_error;
	bool deleted;		   /* some label was removed */
	struct label_index *index; /* of parsed names, where they are many */
	size_t cap_index;
	uint32_t generation;
};

void label_set_init(struct label_set *s);
void label_set_fini(struct label_set *s);
void label_set_start(struct label_set *s, const struct label_base *base);

/* The visible value; p == NULL: missing. Errors are no labels here. */
struct slice label_set_get(const struct label_set *s, struct slice name);
/* Has a parser produced this name before, whatever became of it? */
bool label_set_extracted(const struct label_set *s, struct slice name);
/* Does a stream label or visible metadata hold the name, so that a parsed one gets a suffix? A stream label
 * holds it even when it was removed. */
bool label_set_taken(const struct label_set *s, struct slice name);
/* A parsed label; replaces one of that name and hides it in the other categories. */
void label_set_put(struct label_set *s, struct slice name, struct slice value);
/* The same for a name of which label_set_extracted says no. */
void label_set_add(struct label_set *s, struct slice name, struct slice value);
/* Hides the label in all categories. Errors are no labels here. */
void label_set_remove(struct label_set *s, struct slice name);
void label_set_error(struct label_set *s, struct slice error, struct slice details);

enum { LABEL_CAT_STREAM = 1, LABEL_CAT_META = 2, LABEL_CAT_PARSED = 4, LABEL_CAT_ALL = 7 };
/* What is visible of these categories, sorted by name; errors count as parsed. Clears *out first. */
void label_set_list(const struct label_set *s, unsigned categories, struct label_vec *out);

/* All that is visible, in no particular order, without errors. Clears *out first. */
void label_set_visible(const struct label_set *s, struct label_vec *out);

/* A grouping as it is applied: names sorted and unique. */
struct label_group {
	bool all; /* no grouping */
	bool without;
	size_t n;
	struct slice *names;
};
/* The labels of the series an entry belongs to. An entry with an error keeps all its labels. Clears *out
 * first. */
void label_set_group(const struct label_set *s, const struct label_group *g, struct label_vec *out);
/* The same for a finished set of labels. */
void labels_group(struct labels l, const struct label_group *g, struct label_vec *out);

#endif
