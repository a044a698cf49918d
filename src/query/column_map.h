/* query/column_map.h - which slots of a template are which labels. The parsers themselves say so: they are run over a line
 * made of the template, with a placeholder in each slot, and where the labels' values stand tells the slots. That holds for
 * all lines of the template as long as no value can lead a parser astray, which the slots' classes tell. */
#ifndef QUERY_COLUMN_MAP_H
#define QUERY_COLUMN_MAP_H

#include "index/columns.h"
#include "query/column_uses.h"

struct column_label {
	uint32_t slot;
	struct slice name; /* as the parser makes it, without the suffix it may get; in the arena */
};
/* The slots whose labels matter. */
struct column_labels {
	size_t n;
	struct column_label *v;
};

/* Memory of one thread. */
struct column_mapper {
	const struct column_uses *uses;
	struct label_set set;
	struct buf line;
	struct arena scratch;
};
void column_mapper_init(struct column_mapper *m, const struct column_uses *uses);
void column_mapper_fini(struct column_mapper *m);

/* A template of lines. False: it cannot be said, lines must be looked at. */
bool column_map_line(struct column_mapper *m, const struct line_template *t, struct arena *a,
		     struct column_labels *out);
/* A template of metadata sets. */
bool column_map_meta(struct column_mapper *m, const struct line_template *t, struct arena *a,
		     struct column_labels *out);

/* Is `name` a label of this name, or what becomes of it where a stream or metadata label has it already? */
bool column_label_may_be(struct slice label, struct slice name);
bool column_label_may_be_any(struct slice label, const struct slice *names, size_t n);

/* What stands for a value that does not matter. */
struct slice column_placeholder(enum slot_class what);

#endif
