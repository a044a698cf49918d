/* query/pipeline.h - the stages of a log selector, compiled. Work is done as rarely as its outcome allows:
 *
 *	once a (stream, metadata set)   pipeline_base   label filters in front of the first parser
 *	once a line                     pipeline_line   line filters that test the stored line
 *	once a line that is left        pipeline_run    parsers, and all that stands behind them
 *
 * The pipeline is immutable and shared by all threads; struct pipe_state belongs to one. */
#ifndef QUERY_PIPELINE_H
#define QUERY_PIPELINE_H

#include "logql/ast.h"
#include "query/hints.h"
#include "query/label_set.h"
#include "query/tmpl_run.h"

struct pipeline;
/* Borrows log and needs. */
int pipeline_new(const struct logql_log *log, const struct label_needs *needs, struct pipeline **out,
		 struct err *err);
void pipeline_free(struct pipeline *p); /* NULL is fine */

/* Does the line filter at this stage test the line as it is stored? Line filters move before all that stands
 * between them and the last label filter, line_format or unpack, even before decolorize, as in Loki. */
bool pipeline_sees_stored_line(const struct logql_log *log, size_t stage);

bool pipeline_has_line_filters(const struct pipeline *p);
bool pipeline_has_base_filters(const struct pipeline *p);
bool pipeline_has_line_stages(const struct pipeline *p); /* pipeline_run has something to do */
/* Does one of these look at the line or its time, or change the line? Otherwise pipeline_run does the same for all
 * entries of one metadata set. */
bool pipeline_reads_lines(const struct pipeline *p);

/* Byte strings that every line must hold to get through; borrowed from the pipeline. */
size_t pipeline_needles(const struct pipeline *p, struct slice *out, size_t max);

/* For those who decide without lines (query/column_classes.h): the tests of the stored line, and the label filters.
 * Borrowed; the number of all of them, of which at most max are stored. */
struct line_test;
size_t pipeline_line_tests(const struct pipeline *p, const struct line_test **out, size_t max);
struct label_test;
size_t pipeline_label_tests(const struct pipeline *p, const struct label_test **out, size_t max);

struct pipe_state {
	const struct pipeline *pipeline;
	struct label_set set; /* the labels of the entry that pipeline_run saw last */
	struct slice line;    /* of that entry, as the stages left it: stored, or in scratch */
	int64_t ts;
	struct parse_hints hints;
	struct label_vec names; /* of one stage */
	struct tmpl_run tmpl;
	struct arena scratch; /* what set points to; emptied by the next pipeline_run */
};
void pipe_state_init(struct pipe_state *st, const struct pipeline *p);
void pipe_state_fini(struct pipe_state *st);

struct pipe_base {
	struct label_base labels;
	bool keep;	  /* false: no entry with this metadata gets through */
	uint32_t implied; /* values that a line must hold, because these labels do not */
};
/* Lives in the arena; borrows stream and meta (encoded pairs). */
void pipeline_base(struct pipe_state *st, struct labels stream, struct slice meta, struct arena *a,
		   struct pipe_base *out);
bool pipeline_line(const struct pipeline *p, struct slice line);
/* Fills st->set and st->line. */
bool pipeline_run(struct pipe_state *st, const struct pipe_base *base, int64_t ts, struct slice line);

#endif
