#include "query/column_map.h"
#include "query/stage_json.h"
#include "query/stage_logfmt.h"

static const struct label_needs all_labels = { .all = true };
static const struct label_base no_labels;
static const struct logql_stage plain_logfmt = { .kind = STAGE_LOGFMT };

void column_mapper_init(struct column_mapper *m, const struct column_uses *uses)
{
	*m = (struct column_mapper){ .uses = uses };
	label_set_init(&m->set);
	buf_init(&m->line);
	arena_init(&m->scratch);
}

void column_mapper_fini(struct column_mapper *m)
{
	label_set_fini(&m->set);
	buf_fini(&m->line);
	arena_fini(&m->scratch);
}

bool column_label_may_be(struct slice label, struct slice name)
{
	return slice_eq(name, label) ||
	       (slice_starts(name, label) && slice_is(slice_from(name, label.n), LABEL_SUFFIX));
}

bool column_label_may_be_any(struct slice label, const struct slice *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (column_label_may_be(label, names[i]))
			return true;
	return false;
}

struct slice column_placeholder(enum slot_class what)
{
	switch (what) {
	case SLOT_JSON_NUMBER: return SLICE("1");
	case SLOT_JSON_BOOL: return SLICE("true");
	case SLOT_JSON_ARRAY: return SLICE("[]");
	default: return SLICE("x");
	}
}

static bool matters(const struct column_mapper *m, struct slice label)
{
	return column_label_may_be_any(label, m->uses->needs->names, m->uses->needs->n);
}

/* Does the parser step over each value of the slot as over any other? */
static bool slot_is_safe(const struct logql_stage *parser, enum slot_class what)
{
	bool json = parser->kind == STAGE_JSON;

	switch (what) {
	case SLOT_JSON_STRING:
	case SLOT_JSON_NUMBER:
	case SLOT_JSON_BOOL: return json;
	case SLOT_JSON_ARRAY: return json && parser->extract.n == 0;
	case SLOT_BARE:
	case SLOT_QUOTED: return !json;
	default: return false;
	}
}

static bool shape_fits(const struct logql_stage *parser, const struct line_template *t)
{
	if (t->shape != (parser->kind == STAGE_JSON ? SHAPE_JSON : SHAPE_LOGFMT))
		return false;
	for (uint32_t k = 0; k < t->n_slots; k++)
		if (!slot_is_safe(parser, t->slot[k].what))
			return false;
	return true;
}

/* The template with placeholders; span[k]: where that of slot k stands. */
static struct slice sample_line(struct column_mapper *m, const struct line_template *t,
				struct slot_span *span)
{
	buf_reset(&m->line);
	for (uint32_t k = 0; k < t->n_slots; k++) {
		struct slice text = column_placeholder(t->slot[k].what);

		buf_add(&m->line, t->slot[k].before);
		span[k] = (struct slot_span){ (uint32_t)m->line.n, (uint32_t)text.n };
		buf_add(&m->line, text);
	}
	buf_add(&m->line, t->tail);
	return buf_slice(&m->line);
}

/* All labels of the sample line, into m->set. */
static bool parse_sample(struct column_mapper *m, const struct logql_stage *parser, struct slice line)
{
	uint8_t found = 0;
	struct parse_hints h = { .needs = &all_labels, .found = &found };

	label_set_start(&m->set, &no_labels);
	if (parser->kind == STAGE_LOGFMT)
		stage_logfmt_run(parser, line, &m->set, &h, &m->scratch);
	else if (parser->extract.n > 0)
		stage_json_paths_run(parser, line, &m->set, &h, &m->scratch);
	else
		stage_json_run(line, &m->set, &h, &m->scratch);
	return m->set.error.p == NULL;
}

/* The slots in which the label's value stands: several where it is an object. None: from == to. */
struct slot_range {
	uint32_t from, to;
};

static struct slot_range slots_of(const struct line_template *t, const struct slot_span *span,
				  struct slice line, struct slice value)
{
	struct slot_range r = { 0, t->n_slots };
	size_t off;

	if (value.n == 0 || (uintptr_t)value.p < (uintptr_t)line.p ||
	    (uintptr_t)value.p >= (uintptr_t)line.p + line.n)
		return (struct slot_range){ 0, 0 };
	off = (size_t)(value.p - line.p);
	while (r.from < r.to) { /* the first that ends behind the value's start */
		uint32_t mid = r.from + (r.to - r.from) / 2;

		if (span[mid].off + span[mid].n <= off)
			r.from = mid + 1;
		else
			r.to = mid;
	}
	while (r.to < t->n_slots && span[r.to].off < off + value.n)
		r.to++;
	return r;
}

/* Without expressions, each slot must have made a label of its own: one that is missing has a key that stands twice, or an odd
 * one. */
static bool each_slot_is_label(struct column_mapper *m, const struct line_template *t, struct slice line,
			       const struct slot_span *span)
{
	size_t found = 0;

	for (uint32_t k = 0; k < t->n_slots; k++)
		found += t->slot[k].what == SLOT_JSON_ARRAY;
	for (size_t i = 0; i < m->set.parsed.n; i++) {
		struct slot_range r = slots_of(t, span, line, m->set.parsed.v[i].label.value);

		found += r.to - r.from; /* labels do not overlap */
	}
	return found == t->n_slots;
}

static void take_labels(struct column_mapper *m, const struct line_template *t, struct slice line,
			const struct slot_span *span, struct arena *a, struct column_labels *out)
{
	VEC(struct column_label) taken = { 0 };

	for (size_t i = 0; i < m->set.parsed.n; i++) {
		struct label l = m->set.parsed.v[i].label;
		struct slot_range r = slots_of(t, span, line, l.value);

		for (uint32_t k = r.from; k < r.to && matters(m, l.name); k++)
			vec_push(&taken, ((struct column_label){ k, arena_dup(a, l.name) }));
	}
	struct column_label *v = arena_array(a, struct column_label, out->n + taken.n);
	if (out->n > 0)
		memcpy(v, out->v, out->n * sizeof(*v));
	if (taken.n > 0)
		memcpy(v + out->n, taken.v, taken.n * sizeof(*v));
	*out = (struct column_labels){ out->n + taken.n, v };
	vec_fini(&taken);
}

static bool map_parser(struct column_mapper *m, const struct logql_stage *parser,
		       const struct line_template *t, struct slice line, const struct slot_span *span,
		       struct arena *a, struct column_labels *out)
{
	/* With expressions the last of equal keys counts: they are found without. */
	if (parser->kind == STAGE_LOGFMT && parser->extract.n > 0 &&
	    (!parse_sample(m, &plain_logfmt, line) || !each_slot_is_label(m, t, line, span)))
		return false;
	if (!parse_sample(m, parser, line) ||
	    (parser->extract.n == 0 && !each_slot_is_label(m, t, line, span)))
		return false;
	take_labels(m, t, line, span, a, out);
	return true;
}

bool column_map_line(struct column_mapper *m, const struct line_template *t, struct arena *a,
		     struct column_labels *out)
{
	*out = (struct column_labels){ 0 };
	for (size_t i = 0; i < m->uses->n_parsers; i++)
		if (!shape_fits(m->uses->parser[i], t))
			return false;
	arena_reset(&m->scratch);
	struct slot_span *span = arena_array(&m->scratch, struct slot_span, t->n_slots);
	struct slice line = sample_line(m, t, span);
	for (size_t i = 0; i < m->uses->n_parsers; i++)
		if (!map_parser(m, m->uses->parser[i], t, line, span, a, out))
			return false;
	return true;
}

bool column_map_meta(struct column_mapper *m, const struct line_template *t, struct arena *a,
		     struct column_labels *out)
{
	*out = (struct column_labels){ 0, arena_array(a, struct column_label, t->n_slots) };
	if (t->shape != SHAPE_META)
		return false;
	for (uint32_t k = 0; k < t->n_slots; k++) {
		struct slice name = t->slot[k].before;

		if (slice_eq(name, LABEL_ERROR) || slice_eq(name, LABEL_ERROR_DETAILS))
			return false;
		if (matters(m, name))
			out->v[out->n++] = (struct column_label){ k, arena_dup(a, name) };
	}
	return true;
}
