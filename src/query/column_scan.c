#include "query/column_scan.h"

enum { FEW_ROWS = 16 }; /* which are looked at sooner than classes are found */

int column_scan_failed(struct scan_worker *w, struct err *err)
{
	return reader_damaged(w->reader, err);
}

int column_scan_classes(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	struct column_classes *cc = w->classes;

	if (column_classes_sort(cc, b->columns, w->stream->labels, w->rows.v, err) == -1)
		return -1;
	uint64_t n = column_classes_bytes(cc), more = n > cc->charged ? n - cc->charged : 0;
	cc->charged += more;
	return more > 0 ? exec_charge(w->scan->exec, more, err) : 0;
}

/* Does the entry get through the probe? Whoever has an error does: which one is the pipeline's business. */
static int decide(void *arg, const struct class_sample *s, struct column_class *c, struct err *err)
{
	struct scan_worker *w = arg;

	(void)err;
	c->state = CLASS_DROP;
	if (s->base.keep && pipeline_run(&w->probe, &s->base, 0, s->line))
		c->state = CLASS_KEEP;
	return 0;
}

static int run_probe(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	const struct column_uses *uses = w->scan->plan->columns;
	size_t end = b->first_row + b->n;
	struct column_classes *cc = w->classes;

	if (cc == NULL) {
		cc = w->classes = xmalloc(sizeof(*cc));
		column_classes_init(cc, uses, &w->probe, decide, w);
	}
	if (column_scan_classes(w, b, err) == -1)
		return -1;
	for (size_t i = b->first_row; (i = rows_next(w->rows.v, i, end)) != SLICE_NONE; i++)
		if (cc->classes.v[cc->of_row.v[i]].state == CLASS_DROP)
			rows_remove(w->rows.v, i);
	return 0;
}

int column_scan_filter(struct scan_worker *w, const struct entry_block *b, struct err *err)
{
	const struct plan *p = w->scan->plan;
	size_t words = rows_words(columns_n_rows(b->columns)), end = b->first_row + b->n;

	vec_reserve(&w->rows, words);
	memset(w->rows.v, 0, words * sizeof(*w->rows.v));
	rows_add_range(w->rows.v, b->first_row, end);
	if (pipeline_has_line_filters(p->pipeline) &&
	    column_lines_filter(&w->column_lines, p->pipeline, b->columns, w->rows.v, err) == -1)
		return column_scan_failed(w, err);
	if (p->columns != NULL && p->columns->probe && rows_count(w->rows.v, b->first_row, end) > FEW_ROWS &&
	    run_probe(w, b, err) == -1)
		return column_scan_failed(w, err);
	return 1;
}
