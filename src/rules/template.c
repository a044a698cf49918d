#include "rules/template.h"
#include "query/tmpl_run.h"

/* Names that are easier to remember than fields. Errors count columns from here, as Prometheus' do. */
#define DEFINITIONS                                                                                          \
	"{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"                                       \
	"{{$externalURL := .ExternalURL}}{{$value := .Value}}"

static bool has_actions(struct slice text)
{
	return slice_find(text, SLICE("{{")) != SLICE_NONE;
}

static int parse(struct slice alert, struct slice text, struct arena *a, struct tmpl **out, struct err *err)
{
	const char *name = arena_printf(a, "__alert_%.*s", SLICE_ARG(alert));
	size_t n = sizeof(DEFINITIONS) - 1;
	char *whole = arena_alloc_bytes(a, n + text.n);

	memcpy(whole, DEFINITIONS, n);
	memcpy(whole + n, text.p, text.n);
	if (tmpl_parse_rule(name, slice_of(whole, n + text.n), a, out, err) == 0)
		return 0;
	return err_prefix(err, "error parsing template %s", name);
}

int rule_template_check(struct slice alert, struct slice text, struct err *err)
{
	struct arena a;
	struct tmpl *t;

	if (!has_actions(text))
		return 0;
	arena_init(&a);
	int rc = parse(alert, text, &a, &t, err);
	arena_fini(&a);
	return rc;
}

static bool failed(struct slice reason, struct arena *a, struct slice *out)
{
	*out = slice_cstr(arena_printf(a, "<error expanding template: %.*s>", SLICE_ARG(reason)));
	return false;
}

/* Sorted by key. */
static void data_members(const struct rule_template_data *d, struct tmpl_value v[4], struct tmpl_member m[4])
{
	static const struct label none;

	v[0] = (struct tmpl_value){ .kind = TMPL_LABELS, .labels = { &none, 0 } };
	v[1] = tmpl_text(d->external_url.p != NULL ? d->external_url : SLICE(""));
	v[2] = (struct tmpl_value){ .kind = TMPL_LABELS, .labels = d->labels };
	if (d->labels.n == 0)
		v[2].labels.v = &none;
	v[3] = tmpl_float(d->value);
	m[0] = (struct tmpl_member){ SLICE("ExternalLabels"), &v[0] };
	m[1] = (struct tmpl_member){ SLICE("ExternalURL"), &v[1] };
	m[2] = (struct tmpl_member){ SLICE("Labels"), &v[2] };
	m[3] = (struct tmpl_member){ SLICE("Value"), &v[3] };
}

bool rule_template_expand(struct slice alert, struct slice text, const struct rule_template_data *d,
			  struct tmpl_run *run, struct arena *a, struct slice *out)
{
	struct tmpl_value v[4];
	struct tmpl_member m[4];
	struct tmpl_value dot = { .kind = TMPL_MAP, .fixed = true, .map = { m, 4 } };
	struct slice reason;
	struct tmpl *t;
	struct err err;

	if (!has_actions(text)) {
		*out = arena_dup(a, text);
		return true;
	}
	if (parse(alert, text, a, &t, &err) == -1)
		return failed(slice_cstr(err.msg), a, out);
	data_members(d, v, m);
	tmpl_run_start_rule(run, &dot, a);
	if (tmpl_run(run, t, out, &reason))
		return true;
	struct slice whole =
		slice_cstr(arena_printf(a, "error executing template %s: %.*s", t->name, SLICE_ARG(reason)));
	return failed(whole, a, out);
}
