#include "query/stage_format.h"

static void set_error(struct label_set *s, struct slice details)
{
	label_set_error(s, SLICE("TemplateFormatErr"), details);
}

struct slice stage_line_format_run(const struct tmpl *t, const struct tmpl_data *data, struct label_set *s,
				   struct tmpl_run *r, struct arena *scratch)
{
	struct slice out, error;

	if (t->only_field.p != NULL) { /* this does not see errors */
		struct slice v = label_set_get(s, t->only_field);

		return v.p != NULL ? v : SLICE("");
	}
	tmpl_run_start(r, data, false, scratch);
	if (tmpl_run(r, t, &out, &error))
		return out;
	set_error(s, error);
	return data->line;
}

static void rename_label(const struct label_format *f, struct label_set *s)
{
	struct slice v = label_set_get(s, f->value);

	if (v.p == NULL)
		return;
	label_set_put(s, f->dst, v);
	label_set_remove(s, f->value);
}

/* The labels that templates see are those that the first one of the stage finds. */
void stage_label_format_run(const struct logql_stage *stage, const struct tmpl_data *data,
			    struct label_set *s, struct tmpl_run *r, struct arena *scratch)
{
	bool started = false;
	struct slice out, error;

	for (size_t i = 0; i < stage->label_format.n; i++) {
		const struct label_format *f = &stage->label_format.v[i];

		if (!f->is_template) {
			rename_label(f, s);
			continue;
		}
		if (!started)
			tmpl_run_start(r, data, i + 1 < stage->label_format.n, scratch);
		started = true;
		if (tmpl_run(r, f->tmpl, &out, &error))
			label_set_put(s, f->dst, out);
		else
			set_error(s, error);
	}
}
