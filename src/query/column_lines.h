/* query/column_lines.h - line filters on columns: literals are searched in templates and in the columns that can hold them;
 * lines are rebuilt only where that leaves something open. */
#ifndef QUERY_COLUMN_LINES_H
#define QUERY_COLUMN_LINES_H

#include "index/columns.h"
#include "query/pipeline.h"

/* A set of rows: (n + 63) / 64 words. */
static inline size_t rows_words(size_t n)
{
	return (n + 63) / 64;
}
static inline bool rows_has(const uint64_t *rows, size_t i)
{
	return (rows[i / 64] >> (i % 64) & 1) != 0;
}
static inline void rows_add(uint64_t *rows, size_t i)
{
	rows[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void rows_remove(uint64_t *rows, size_t i)
{
	rows[i / 64] &= ~(UINT64_C(1) << (i % 64));
}
void rows_add_range(uint64_t *rows, size_t from, size_t to); /* [from, to) */
size_t rows_count(const uint64_t *rows, size_t from, size_t to);
/* The first of them at or after `from`; SLICE_NONE if there is none before `to`. */
size_t rows_next(const uint64_t *rows, size_t from, size_t to);

/* Memory of one thread, reused; zero it first. */
struct column_lines {
	VEC(uint64_t) any, one; /* sets */
	VEC(uint32_t) row;
	VEC(struct slice) line;
};
void column_lines_fini(struct column_lines *l);

/* Takes away the rows whose stored line the pipeline's line filters drop. -1: as index/columns.h. */
int column_lines_filter(struct column_lines *l, const struct pipeline *p, struct columns *c, uint64_t *rows,
			struct err *err);

#endif
