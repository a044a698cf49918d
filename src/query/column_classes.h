/* query/column_classes.h - entries of a chunk that a pipeline cannot tell apart. Which labels it asks for is known
 * (query/column_uses.h), and which slots of a template these are is found by running the parsers themselves over a line made
 * of the template, once a chunk. Two entries that agree in template and in these slots - or, where a label is only tested,
 * in how the tests end - fare alike: they are of one class. The pipeline runs once for each class, over a line that has the
 * slots' values of one of its entries and something short in all other slots.
 *
 * What cannot be judged so (text that is no template, keys that stand twice, a parser of another shape, errors, more than
 * CLASSES_MAX classes) goes by row. One thread. */
#ifndef QUERY_COLUMN_CLASSES_H
#define QUERY_COLUMN_CLASSES_H

#include "base/map.h"
#include "index/columns.h"
#include "query/column_map.h"

enum { CLASSES_MAX = 4096, CLASS_OF_ROWS = 0 /* the class of rows that are of none */ };

enum class_state { CLASS_BY_ROW, CLASS_DROP, CLASS_KEEP };

struct column_class {
	uint64_t key;
	enum class_state state;
	bool values; /* the entries' values stand in value[]; else they have all the one here */
	double value;
	void *own; /* the caller's, as the rest */
	uint64_t n, bytes;
};

/* An entry that stands for its class. */
struct class_sample {
	struct pipe_base base;
	struct slice line;
	struct slice value; /* the part of the line that is in value[]; p == NULL: none */
};
/* Decides about a class: fills all of it but key. */
typedef int (*class_decide_fn)(void *arg, const struct class_sample *s, struct column_class *c,
			       struct err *err);

struct class_column;
struct class_template;
struct column_classes {
	const struct column_uses *uses;
	struct pipe_state *pipe; /* of uses->pipeline; borrowed */
	class_decide_fn decide;
	void *arg;
	/* Of the block that column_classes_sort saw last. */
	VEC(uint32_t) of_row;		  /* class of each row that was asked for */
	VEC(double) value;		  /* of each row */
	VEC(struct column_class) classes; /* of the chunk */
	uint64_t charged;		  /* the caller's: bytes that the query's budget knows of */
	/* private */
	struct labels stream;
	uint64_t chunk, block;
	struct arena arena; /* of the chunk */
	struct arena scratch;
	struct column_mapper mapper;
	unsigned bits; /* of a key */
	unsigned line_bits;
	VEC(struct class_column) columns;
	struct class_template *line, *meta; /* NULL: the column is no tree */
	int whole_line, whole_meta;	    /* number in columns then; COLUMN_NONE: does not matter */
	bool line_is_text;		    /* nothing is known about lines */
	uint64_t n_rows;		    /* of the chunk so far */
	VEC(uint64_t) key, odd;
	VEC(uint8_t) seen;
	VEC(uint32_t) code;
	VEC(struct label) labels;
	uint16_t *direct; /* class by key, while keys are short */
	uint32_t *table;  /* open addressing, class by hash of key */
	size_t cap_table;
	struct buf text, line_text, meta_text;
};

void column_classes_init(struct column_classes *cc, const struct column_uses *uses, struct pipe_state *pipe,
			 class_decide_fn decide, void *arg);
void column_classes_fini(struct column_classes *cc);
uint64_t column_classes_bytes(const struct column_classes *cc); /* that it holds, about */
/* Finds the class of each of these rows of a block, which belongs to the stream. Classes stay from block to block of a
 * chunk. -1: as index/columns.h, or decide's. */
int column_classes_sort(struct column_classes *cc, struct columns *c, struct labels stream,
			const uint64_t *rows, struct err *err);

#endif
