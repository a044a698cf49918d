#include "query/line_fields.h"
#include "base/mem.h"
#include "logql/units.h"
#include "query/extract.h"
#include "query/stage_json.h"
#include "query/stage_logfmt.h"

void line_fields_init(struct line_fields *f)
{
	*f = (struct line_fields){ .needs = { .all = true } };
	arena_init(&f->scratch);
	label_set_init(&f->set);
}

void line_fields_fini(struct line_fields *f)
{
	vec_fini(&f->names);
	label_set_fini(&f->set);
	arena_fini(&f->scratch);
}

/* ---- types ---- */

bool field_is_number(struct slice v)
{
	struct err err;
	double d;

	return units_parse_number(v, &d, &err) == 0;
}

static bool is_boolean(struct slice v)
{
	static const char *const words[] = { "1", "t", "T", "TRUE",  "true",  "True",
					     "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_is(v, words[i]))
			return true;
	return false;
}

enum field_type field_type_of(struct slice v)
{
	struct err err;
	uint64_t bytes;
	int64_t i;

	if (slice_to_i64(v, &i))
		return FIELD_INT;
	if (field_is_number(v))
		return FIELD_FLOAT;
	if (is_boolean(v))
		return FIELD_BOOLEAN;
	if (units_parse_go_duration(v, &i, &err) == 0)
		return FIELD_DURATION;
	return units_parse_bytes(v, &bytes, &err) == 0 ? FIELD_BYTES : FIELD_STRING;
}

/* ---- one line ---- */

bool field_is_error(struct slice name)
{
	return slice_eq(name, LABEL_ERROR) || slice_eq(name, LABEL_ERROR_DETAILS) ||
	       slice_eq(name, LABEL_PRESERVE_ERROR);
}

/* The labels of a line without those that the query's own parsers made. */
static struct labels without_parsed(struct labels all, struct labels parsed, struct arena *a)
{
	struct label *v = arena_array(a, struct label, all.n);
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++)
		if (labels_get(parsed, all.v[i].name).p == NULL && !field_is_error(all.v[i].name))
			v[n++] = all.v[i];
	return (struct labels){ v, n };
}

static void start(struct line_fields *f)
{
	label_set_start(&f->set, &f->base);
	f->hints = (struct parse_hints){ .needs = &f->needs };
	parse_hints_start(&f->hints);
}

static enum field_parser parse(struct line_fields *f, struct slice line)
{
	static const struct logql_stage logfmt = { .kind = STAGE_LOGFMT };

	start(f);
	stage_json_run(line, &f->set, &f->hints, &f->scratch);
	if (f->set.error.p == NULL)
		return FIELD_JSON;
	start(f);
	stage_logfmt_run(&logfmt, line, &f->set, &f->hints, &f->scratch);
	return FIELD_LOGFMT;
}

enum field_parser line_fields_parse(struct line_fields *f, struct labels all, struct labels parsed,
				    struct slice line, struct labels *out)
{
	arena_reset(&f->scratch);
	label_base_init(&f->base, without_parsed(all, parsed, &f->scratch), slice_of("", 1), &f->scratch);
	enum field_parser parser = parse(f, line);
	label_set_list(&f->set, LABEL_CAT_PARSED, &f->names);
	*out = (struct labels){ f->names.v, f->names.n };
	return parser;
}
