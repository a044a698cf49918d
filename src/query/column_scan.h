/* query/column_scan.h - which rows of a block of columns a plan still asks for, before any line is rebuilt: line filters,
 * and the first stages of a pipeline that as a whole needs the lines (column_uses.probe). */
#ifndef QUERY_COLUMN_SCAN_H
#define QUERY_COLUMN_SCAN_H

#include "query/column_classes.h"
#include "query/scan.h"

/* Leaves the block's rows in w->rows. 1; 0: the block is damaged, leave it; -1. */
int column_scan_filter(struct scan_worker *w, const struct entry_block *b, struct err *err);
/* column_classes_sort of w->rows, with the classes' memory on the query's budget. */
int column_scan_classes(struct scan_worker *w, const struct entry_block *b, struct err *err);
/* What a function of index/columns.h left: 0 or -1 as above. */
int column_scan_failed(struct scan_worker *w, struct err *err);

#endif
