/* query/range_scan.h - a range aggregation under way: what range.c, which reads lines, and range_columns.c, which reads
 * columns, have in common. */
#ifndef QUERY_RANGE_SCAN_H
#define QUERY_RANGE_SCAN_H

#include "query/column_classes.h"
#include "query/range_cache.h"
#include "query/range_table.h"
#include "query/scan.h"
#include "query/window.h"

struct unwrap;

struct range_scan {
	struct exec *exec;
	struct window_spec spec;
	const struct plan *plan;
	struct unwrap *unwrap;	  /* NULL: lines are counted */
	struct range_table table; /* of all workers, at the end */
	bool errors;		  /* some series kept all their labels */
	struct err merge_err;
	bool failed;
	struct range_cache cache;
};

struct range_worker {
	struct range_table table;
	struct acc *stream_acc; /* of the unit at hand, where stream labels decide the series */
	struct cell cell;
	uint64_t unit;
	bool errors;
	struct range_cache_worker cache;
	VEC(struct meta_ctx *) dirty; /* contexts with counts not yet added */
	struct arena scratch;
	/* of blocks of columns */
	VEC(uint32_t) dirty_classes; /* likewise */
	VEC(uint32_t) length;	     /* of each row's line */
	VEC(uint64_t) by_row;	     /* rows that are of no class */
};

/* Entries i to j - 1 of a block fall into the same windows. */
struct run {
	const struct entry_block *b;
	size_t i, j;
};

struct cell range_cell_of(const struct range_scan *rs, int64_t ts);
/* The first entry from `from` on that is later than `last`. */
size_t range_first_after(const struct entry_block *b, size_t from, int64_t last);
/* The series of the entry whose labels the pipeline's state holds. */
struct acc *range_series(struct scan_worker *w, struct err *err);
/* To the cell at hand. */
int range_add_lines(struct scan_worker *w, struct acc *a, uint64_t lines, uint64_t bytes, struct err *err);
/* The whole pipeline for each line of the run. */
int range_run_by_entry(struct scan_worker *w, const struct run *r, struct err *err);

/* A block of columns. */
int range_columns_visit(struct scan_worker *w, const struct entry_block *b, struct err *err);

#endif
