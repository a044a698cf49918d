#include "query/stage_names.h"

static bool matches(const struct named_matcher *m, struct slice value)
{
	return !m->has_matcher || matcher_matches(&m->matcher, value.p != NULL ? value : SLICE(""));
}

static void drop(const struct named_matcher *m, struct label_set *s)
{
	struct slice name = m->matcher.name, none = { NULL, 0 };

	if (slice_eq(name, LABEL_ERROR)) {
		if (matches(m, s->error))
			s->error = none;
	} else if (slice_eq(name, LABEL_ERROR_DETAILS)) {
		if (matches(m, s->details))
			s->details = none;
	} else {
		struct slice value = label_set_get(s, name);

		if (value.p != NULL && matches(m, value))
			label_set_remove(s, name);
	}
}

void stage_drop_run(const struct logql_stage *stage, struct label_set *s)
{
	for (size_t i = 0; i < stage->names.n; i++)
		drop(&stage->names.v[i], s);
}

static bool is_kept(const struct logql_stage *stage, const struct label *l)
{
	if (slice_eq(l->name, LABEL_ERROR) || slice_eq(l->name, LABEL_ERROR_DETAILS) ||
	    slice_eq(l->name, LABEL_PRESERVE_ERROR))
		return true;
	for (size_t i = 0; i < stage->names.n; i++)
		if (slice_eq(stage->names.v[i].matcher.name, l->name) &&
		    matches(&stage->names.v[i], l->value))
			return true;
	return false;
}

void stage_keep_run(const struct logql_stage *stage, struct label_set *s, struct label_vec *names)
{
	label_set_visible(s, names);
	for (size_t i = 0; i < names->n; i++)
		if (!is_kept(stage, &names->v[i]))
			label_set_remove(s, names->v[i].name);
}
