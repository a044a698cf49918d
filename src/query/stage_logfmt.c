#include "query/stage_logfmt.h"
#include "query/extract.h"
#include "query/logfmt.h"

static void fail(const struct logfmt *f, struct label_set *s, const struct parse_hints *h,
		 struct arena *scratch)
{
	const char *details = arena_printf(scratch, "logfmt syntax error at pos %zu : %s", f->error_pos,
					   logfmt_error_text(f->error));

	label_set_error(s, SLICE("LogfmtParserErr"), slice_cstr(details));
	s->preserve_error = s->preserve_error || h->needs->preserve_error;
}

/* A bad escape makes a bad pair. */
static int next_pair(struct logfmt *f, struct logfmt_pair *pair, struct arena *scratch)
{
	int rc = logfmt_next(f, pair);

	return rc == 1 && pair->escaped ? logfmt_unescape(f, pair, scratch) : rc;
}

/* ---- all pairs ---- */

static void take_pair(const struct logql_stage *stage, const struct logfmt_pair *pair, struct label_set *s,
		      struct parse_hints *h, struct arena *scratch)
{
	if (pair->value.n == 0 && !stage->extract.keep_empty)
		return;
	struct slice name = label_name_sanitise(pair->key, true, scratch);
	if (name.n == 0)
		return;
	name = extract_name(s, name, scratch);
	if (extract_wants(s, h, name))
		extract_put(s, h, name, extract_clean(pair->value, scratch), scratch);
}

static void run_all(const struct logql_stage *stage, struct slice line, struct label_set *s,
		    struct parse_hints *h, struct arena *scratch)
{
	struct logfmt f = logfmt_of(line);
	struct logfmt_pair pair;
	int rc;

	while (!h->rejected && !parse_hints_done(h) && (rc = next_pair(&f, &pair, scratch)) != 0) {
		if (rc == 1) {
			take_pair(stage, &pair, s, h, scratch);
		} else if (stage->extract.strict) {
			fail(&f, s, h, scratch);
			return;
		}
	}
}

/* ---- expressions ---- */

static void take_for(struct slice name, struct slice value, struct label_set *s, struct parse_hints *h,
		     struct arena *scratch)
{
	extract_replace(s, h, extract_name(s, name, scratch), extract_is_clean(value) ? value : SLICE(""));
}

/* A key that no expression asks for fills the label of its own name. */
static void take_expressions(const struct logql_stage *stage, const struct logfmt_pair *pair,
			     struct label_set *s, struct parse_hints *h, struct arena *scratch)
{
	struct slice key = label_name_sanitise(pair->key, true, scratch);
	const struct label_extract *x = stage->extract.v;
	bool is_source = false;

	for (size_t i = 0; i < stage->extract.n; i++)
		if (slice_eq(x[i].key, key)) {
			take_for(x[i].name, pair->value, s, h, scratch);
			is_source = true;
		}
	for (size_t i = 0; i < stage->extract.n && !is_source; i++)
		if (slice_eq(x[i].name, key)) {
			take_for(x[i].name, pair->value, s, h, scratch);
			break;
		}
}

static void start_empty(const struct logql_stage *stage, struct label_set *s, struct parse_hints *h)
{
	for (size_t i = 0; i < stage->extract.n; i++)
		if (!label_set_taken(s, stage->extract.v[i].name))
			extract_replace(s, h, stage->extract.v[i].name, SLICE(""));
}

static void run_expressions(const struct logql_stage *stage, struct slice line, struct label_set *s,
			    struct parse_hints *h, struct arena *scratch)
{
	struct logfmt f = logfmt_of(line);
	struct logfmt_pair pair;
	int rc;

	start_empty(stage, s, h);
	while ((rc = next_pair(&f, &pair, scratch)) != 0) {
		if (rc == 1) {
			take_expressions(stage, &pair, s, h, scratch);
		} else if (stage->extract.strict) {
			fail(&f, s, h, scratch);
			return;
		}
	}
}

void stage_logfmt_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		      struct parse_hints *h, struct arena *scratch)
{
	if (parse_hints_done(h))
		return;
	if (stage->extract.n > 0)
		run_expressions(stage, line, s, h, scratch);
	else
		run_all(stage, line, s, h, scratch);
}
