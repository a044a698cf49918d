/* query/range_table.h - what a range aggregation keeps of its samples, by series, until its windows are evaluated.
 * Each worker fills a table of its own; at the end they are joined. All memory is accounted for. Not thread-safe.
 *
 * Samples between two window edges are in the same windows. A function with a merge needs of them no more than their
 * part: a pane. Others keep them all. */
#ifndef QUERY_RANGE_TABLE_H
#define QUERY_RANGE_TABLE_H

#include "base/map.h"
#include "query/matrix.h"
#include "query/range_func.h"

/* The windows that a time falls into: steps lo to end - 1, none if lo == end. The same for all times up to
 * `last`. */
struct cell {
	uint32_t lo, end;
	int64_t last;
};

struct pane {
	uint32_t lo, end; /* the steps whose windows it is in: lo to end - 1 */
	struct part part;
};
struct sample {
	int64_t ts;
	double v;
};

/* One series. */
struct acc {
	struct slice key; /* encoded labels */
	union {
		struct pane *panes;
		struct sample *samples;
	};
	size_t n, cap;	 /* of either */
	size_t n_sorted; /* panes: so many are ascending and distinct */
	uint64_t unit;	 /* panes: that the last one is of */
	size_t guess;	 /* panes: the next one is probably there */
};

struct range_table {
	struct exec *exec;
	const struct grid *grid;
	const struct range_fn *fn;
	struct arena arena;
	struct map by_key;
	VEC(struct acc *) all;
	uint64_t lists; /* bytes of panes and samples */
	uint64_t charged;
};

void range_table_init(struct range_table *t, struct exec *x, const struct grid *g, const struct range_fn *fn);
void range_table_fini(struct range_table *t);

/* The series of these encoded labels, made if need be; NULL: err. */
struct acc *range_table_acc(struct range_table *t, struct slice key, struct err *err);
/* One sample (n is 1, ts its time), or lines counted together. What comes of one unit (a number from 1 on) must come in
 * order of time; c is its cell. */
int range_table_add(struct range_table *t, struct acc *a, const struct cell *c, uint64_t unit,
		    const struct part *p, struct err *err);
/* Adds another table's content; `from` is empty afterwards. */
int range_table_join(struct range_table *to, struct range_table *from, struct err *err);
/* Brings the lists of a series into the order of time; panes are then distinct. */
void range_table_sort(struct range_table *t, struct acc *a);

#endif
