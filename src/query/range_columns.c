/* Range aggregations over blocks of columns. Where stream labels decide the series, rows are counted; else rows are counted
 * by class (query/column_classes.h), or with unwrap the numbers of each row are added to its class's series. Rows that are of
 * no class are rebuilt and go through the pipeline, in their turn: sums of numbers depend on the order. */
#include "query/column_scan.h"
#include "query/range_scan.h"
#include "query/unwrap.h"

enum { FEW_ROWS = 16 }; /* which are looked at sooner than classes are found */

/* A block, as far as it is understood. */
struct column_block {
	const struct entry_block *b;
	const struct column_classes *classes; /* NULL: all rows go by row */
	bool full;			      /* no row is filtered out */
	const uint32_t *length;		      /* of each row's line; NULL: not needed */
	struct entry_block lines;	      /* of the rows that go by row */
	size_t next_line;
};

/* ---- classes ---- */

static int decide(void *arg, const struct class_sample *s, struct column_class *c, struct err *err)
{
	struct scan_worker *w = arg;
	const struct range_scan *rs = w->scan->own;

	c->state = CLASS_DROP;
	arena_reset(&w->pipe.scratch);
	if (!s->base.keep || !pipeline_run(&w->pipe, &s->base, 0, s->line))
		return 0;
	if (rs->unwrap != NULL && !unwrap_run(rs->unwrap, &w->pipe, &c->value))
		return 0;
	if (w->pipe.set.error.p != NULL) { /* the error names all labels of the entry */
		c->state = CLASS_BY_ROW;
		return 0;
	}
	if (rs->unwrap != NULL) {
		struct slice text = label_set_get(&w->pipe.set, unwrap_spec(rs->unwrap)->label);

		c->values = s->value.p != NULL && text.p == s->value.p && text.n == s->value.n;
	}
	c->own = range_series(w, err);
	if (c->own == NULL)
		return -1;
	c->state = CLASS_KEEP;
	return 0;
}

static struct column_classes *classes_of(struct scan_worker *w)
{
	if (w->classes == NULL) {
		w->classes = xmalloc(sizeof(*w->classes));
		column_classes_init(w->classes, w->scan->plan->columns, &w->pipe, decide, w);
	}
	return w->classes;
}

/* ---- one run ---- */

/* The next of the rebuilt rows, up to n. */
static int run_lines(struct scan_worker *w, struct column_block *cb, size_t n, struct err *err)
{
	struct run r = { &cb->lines, cb->next_line, MIN(cb->next_line + n, cb->lines.n) };

	cb->next_line = r.j;
	return r.i < r.j ? range_run_by_entry(w, &r, err) : 0;
}

static int flush_classes(struct scan_worker *w, struct err *err)
{
	struct range_worker *rw = w->own;
	int rc = 0;

	for (size_t i = 0; i < rw->dirty_classes.n; i++) {
		struct column_class *c = &w->classes->classes.v[rw->dirty_classes.v[i]];

		if (rc == 0 && c->state == CLASS_KEEP)
			rc = range_add_lines(w, c->own, c->n, c->bytes, err);
		c->n = c->bytes = 0;
	}
	rw->dirty_classes.n = 0;
	return rc;
}

static void count_row(struct scan_worker *w, const struct column_block *cb, size_t row)
{
	struct range_worker *rw = w->own;
	uint32_t number = cb->classes->of_row.v[row];
	struct column_class *c = &cb->classes->classes.v[number];

	if (c->n++ == 0)
		vec_push(&rw->dirty_classes, number);
	if (cb->length != NULL)
		c->bytes += cb->length[row];
}

static int count_by_class(struct scan_worker *w, struct column_block *cb, size_t i, size_t j, struct err *err)
{
	struct range_worker *rw = w->own;
	size_t from = cb->b->first_row + i, to = cb->b->first_row + j, n = rows_count(rw->by_row.v, from, to);

	if (cb->full)
		for (size_t row = from; row < to; row++)
			count_row(w, cb, row);
	else
		for (size_t row = from; (row = rows_next(w->rows.v, row, to)) != SLICE_NONE; row++)
			count_row(w, cb, row);
	if (flush_classes(w, err) == -1)
		return -1;
	return n > 0 ? run_lines(w, cb, n, err) : 0;
}

static int sample_by_class(struct scan_worker *w, struct column_block *cb, size_t i, size_t j,
			   struct err *err)
{
	struct range_worker *rw = w->own;
	const struct column_classes *cc = cb->classes;
	size_t first = cb->b->first_row;
	int rc = 0;

	for (size_t row = first + i; rc == 0 && (row = rows_next(w->rows.v, row, first + j)) != SLICE_NONE;
	     row++) {
		const struct column_class *c = &cc->classes.v[cc->of_row.v[row]];
		struct part p = { .ts = cb->b->ts[row - first], .n = 1 };

		if (c->state == CLASS_BY_ROW) {
			rc = run_lines(w, cb, 1, err);
		} else if (c->state == CLASS_KEEP) {
			p.v = c->values ? cc->value.v[row] : c->value;
			rc = range_table_add(&rw->table, c->own, &rw->cell, rw->unit, &p, err);
		}
	}
	return rc;
}

static int count_by_stream(struct scan_worker *w, const struct column_block *cb, size_t i, size_t j,
			   struct err *err)
{
	struct range_worker *rw = w->own;
	size_t from = cb->b->first_row + i, to = cb->b->first_row + j;
	uint64_t n = cb->full ? j - i : rows_count(w->rows.v, from, to), bytes = 0;

	for (size_t row = from; cb->length != NULL && (row = rows_next(w->rows.v, row, to)) != SLICE_NONE;
	     row++)
		bytes += cb->length[row];
	return range_add_lines(w, rw->stream_acc, n, bytes, err);
}

static int visit_run(struct scan_worker *w, struct column_block *cb, size_t i, size_t j, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;

	if (rw->stream_acc != NULL)
		return count_by_stream(w, cb, i, j, err);
	if (cb->classes == NULL)
		return run_lines(w, cb, rows_count(w->rows.v, cb->b->first_row + i, cb->b->first_row + j),
				 err);
	return rs->unwrap != NULL ? sample_by_class(w, cb, i, j, err) : count_by_class(w, cb, i, j, err);
}

/* ---- one block ---- */

static int visit_runs(struct scan_worker *w, struct column_block *cb, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	struct range_worker *rw = w->own;
	const struct entry_block *b = cb->b;

	for (size_t i = 0, j; i < b->n; i = j) {
		rw->cell = range_cell_of(rs, b->ts[i]);
		j = range_first_after(b, i, rw->cell.last);
		if (rw->cell.lo == rw->cell.end) { /* in no window */
			if (rw->stream_acc == NULL)
				cb->next_line += rows_count(rw->by_row.v, b->first_row + i, b->first_row + j);
		} else if (visit_run(w, cb, i, j, err) == -1) {
			return -1;
		}
	}
	return 0;
}

static int find_lengths(struct scan_worker *w, struct column_block *cb, struct err *err)
{
	struct range_worker *rw = w->own;
	const struct entry_block *b = cb->b;
	uint32_t from = b->first_row, to = from + (uint32_t)b->n;

	vec_reserve(&rw->length, to);
	if (columns_lengths(b->columns, from, to, rw->length.v + from, err) == -1)
		return -1;
	cb->length = rw->length.v;
	return 0;
}

/* Of the rows that are left, those that are of no class. */
static int find_classes(struct scan_worker *w, struct column_block *cb, struct err *err)
{
	const struct column_uses *uses = w->scan->plan->columns;
	const struct entry_block *b = cb->b;
	struct range_worker *rw = w->own;
	size_t words = rows_words(columns_n_rows(b->columns)), end = b->first_row + b->n;

	vec_reserve(&rw->by_row, words);
	memcpy(rw->by_row.v, w->rows.v, words * sizeof(*w->rows.v));
	if (uses == NULL || uses->probe || rows_count(w->rows.v, b->first_row, end) <= FEW_ROWS)
		return 0;
	struct column_classes *cc = classes_of(w);
	if (column_scan_classes(w, b, err) == -1)
		return -1;
	for (size_t i = b->first_row; (i = rows_next(w->rows.v, i, end)) != SLICE_NONE; i++)
		if (cc->classes.v[cc->of_row.v[i]].state != CLASS_BY_ROW)
			rows_remove(rw->by_row.v, i);
	cb->classes = cc;
	return 0;
}

/* All that may fail because the block is damaged comes first. */
static int prepare(struct scan_worker *w, struct column_block *cb, struct err *err)
{
	const struct range_scan *rs = w->scan->own;
	const struct entry_block *b = cb->b;
	struct range_worker *rw = w->own;
	size_t end = b->first_row + b->n;
	int rc = column_scan_filter(w, b, err);

	if (rc != 1)
		return rc;
	cb->full = rows_count(w->rows.v, b->first_row, end) == b->n;
	if (rw->stream_acc == NULL && find_classes(w, cb, err) == -1)
		return column_scan_failed(w, err);
	if (rs->spec.fn->bytes && (rw->stream_acc != NULL || cb->classes != NULL) &&
	    find_lengths(w, cb, err) == -1)
		return column_scan_failed(w, err);
	if (rw->stream_acc != NULL || rows_next(rw->by_row.v, b->first_row, end) == SLICE_NONE)
		return 1;
	return scan_rows(w, b, rw->by_row.v, &cb->lines, err) == -1 ? -1 : 1;
}

int range_columns_visit(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	struct column_block cb = { .b = b };
	int rc;

	if (scan_tick(w, b->n * 8, err) == -1)
		return -1;
	rc = prepare(w, &cb, err);
	return rc == 1 ? visit_runs(w, &cb, err) : rc;
}
