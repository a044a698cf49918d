/* query/tmpl_run.h - runs templates (logql/tmpl.h) on entries. A tmpl_run belongs to one thread and is used for
 * entry after entry: what it needs for a common template it has from the first one, so that nothing is
 * allocated for each line. Every execution is bounded in time and memory. */
#ifndef QUERY_TMPL_RUN_H
#define QUERY_TMPL_RUN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/re.h"
#include "base/vec.h"
#include "logql/tmpl.h"
#include "query/label_set.h"
#include "query/tmpl_print.h"

enum {
	TMPL_MAX_TEXT = 1 << 20,    /* bytes of the output, and of any text on the way */
	TMPL_MAX_WORK = 1 << 20,    /* steps; a step handles about 16 bytes of text */
	TMPL_MAX_EXEC_DEPTH = 1000, /* of nested nodes, through {{template}} calls */
	TMPL_N_REGEXES = 16,	    /* kept compiled */
};

/* What a template sees of an entry. */
struct tmpl_data {
	int64_t ts;
	struct slice line;
	const struct label_set *set;
};

struct tmpl_var {
	struct slice name;
	struct tmpl_value value;
};
struct tmpl_regex {
	struct slice pattern; /* malloc'ed */
	struct re *re;	      /* NULL: it is none */
	char *error;
};

struct tmpl_run {
	struct buf out; /* of the template */
	struct buf tmp; /* text that a function is making */
	VEC(struct tmpl_var) vars;
	size_t vars_base; /* those below belong to callers */
	struct label_vec labels;
	struct tmpl_regex regex[TMPL_N_REGEXES];
	unsigned next_regex;
	struct buf no_zone; /* the zone that was looked for last in vain */
	/* of one execution */
	const struct tmpl *tmpl;
	struct slice current; /* the name of the template being run */
	struct arena *arena;
	struct tmpl_data data;
	const struct tmpl_value *dot; /* instead of data: tmpl_run_start_rule */
	bool have_labels;	      /* in `labels` */
	const struct tmpl_node *at;
	unsigned depth, work;
	struct slice reason, error; /* of a failure */
};

void tmpl_run_init(struct tmpl_run *r);
void tmpl_run_fini(struct tmpl_run *r);

/* From now on templates see this entry. With snapshot they see the labels as they are now, whatever becomes of
 * the set. */
void tmpl_run_start(struct tmpl_run *r, const struct tmpl_data *data, bool snapshot, struct arena *a);
/* From now on templates (of tmpl_parse_rule) see this instead of an entry: a map, whose ExternalURL functions
 * also look at. */
void tmpl_run_start_rule(struct tmpl_run *r, const struct tmpl_value *dot, struct arena *a);
/* *out is in the arena. False: *error is what Loki puts into __error_details__, in the arena as well. */
bool tmpl_run(struct tmpl_run *r, const struct tmpl *t, struct slice *out, struct slice *error);

/* ---- for functions ---- */

typedef bool tmpl_function(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			   struct tmpl_value *out);

/* Returns false, so that a failure is `return tmpl_fail(r, ...);`. */
bool tmpl_fail(struct tmpl_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Accounts for n bytes of text to be made or looked through. */
bool tmpl_charge(struct tmpl_run *r, size_t n);
/* Room for n bytes in the arena; NULL is a failure. */
char *tmpl_room(struct tmpl_run *r, size_t n);
/* r->tmp, emptied, as a sink; and what was put into it as a value. */
struct tmpl_sink tmpl_sink(struct tmpl_run *r);
bool tmpl_sink_value(struct tmpl_run *r, const struct tmpl_sink *sink, struct tmpl_value *out);
/* NULL is a failure. Borrowed until the next call. */
const struct re *tmpl_regex(struct tmpl_run *r, struct slice pattern);
/* The labels as a value. */
struct tmpl_value tmpl_labels(struct tmpl_run *r);

#endif
