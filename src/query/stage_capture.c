#include "query/stage_capture.h"
#include "query/extract.h"

static void take(struct slice name, struct slice value, struct label_set *s, struct parse_hints *h,
		 struct arena *scratch)
{
	name = extract_name(s, name, scratch);
	if (extract_wants(s, h, name))
		extract_put(s, h, name, value.p != NULL ? value : SLICE(""), scratch);
}

void stage_regexp_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		      struct parse_hints *h, struct arena *scratch)
{
	const struct re *re = stage->regexp.re;
	size_t n = re_n_groups(re) + 1;

	if (n > RE_MAX_GROUPS)
		n = RE_MAX_GROUPS;
	struct slice *group = arena_array(scratch, struct slice, n);
	if (parse_hints_done(h) || !re_find(re, line, group, n))
		return;
	for (size_t i = 1; i < n && !h->rejected; i++) {
		struct slice name = re_group_name(re, i);

		if (name.n > 0)
			take(name, group[i], s, h, scratch);
	}
}

/* From left to right without a second try. A capture whose literal is not found takes the rest. */
void stage_pattern_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
		       struct parse_hints *h, struct arena *scratch)
{
	const struct pattern *p = &stage->pattern.pattern;
	size_t i = 0;

	if (line.n == 0 || parse_hints_done(h))
		return;
	if (!p->nodes[0].is_capture) {
		if (!slice_starts(line, p->nodes[0].text))
			return;
		line = slice_from(line, p->nodes[i++].text.n);
	}
	/* A capture stands at i, and behind it a literal or nothing. */
	for (; i < p->n && !h->rejected && !parse_hints_done(h); i += 2) {
		size_t at = i + 1 < p->n ? slice_find(line, p->nodes[i + 1].text) : SLICE_NONE;

		if (p->nodes[i].text.n > 0)
			take(p->nodes[i].text, slice_sub(line, 0, at), s, h, scratch);
		if (at == SLICE_NONE)
			return;
		line = slice_from(line, at + p->nodes[i + 1].text.n);
	}
}
