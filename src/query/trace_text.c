#include "query/trace_text.h"

struct ids {
	struct trace_id *v;
	size_t n;
};

static void add(struct ids *ids, struct trace_id id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i].hi == id.hi && ids->v[i].lo == id.lo)
			return;
	if (ids->n < TRACE_TEXT_MAX_IDS)
		ids->v[ids->n++] = id;
}

/* A header as curl and browsers show it, X-B3-TraceId: 80f198ee56343ba8. */
static void add_header(struct ids *ids, const struct trace_keys *k, struct slice line)
{
	size_t colon = slice_find_byte(line, ':');
	struct trace_id id;
	bool exact;

	if (colon != SLICE_NONE && trace_keys_has(k, slice_trim(slice_sub(line, 0, colon))) &&
	    trace_id_parse(slice_from(line, colon + 1), &id, &exact))
		add(ids, id);
}

static void add_line(struct ids *ids, const struct trace_keys *k, struct slice line,
		     struct trace_found *found)
{
	struct trace_id id;
	bool exact;

	if (trace_id_parse(line, &id, &exact)) {
		add(ids, id);
		return;
	}
	add_header(ids, k, line);
	trace_find(k, line, SLICE(""), SLICE(""), found);
	for (size_t i = 0; i < found->n_refs; i++)
		add(ids, found->ref[i].id);
}

size_t trace_text_ids(const struct trace_keys *k, struct slice text, struct trace_id out[TRACE_TEXT_MAX_IDS])
{
	struct trace_found found = { 0 };
	struct ids ids = { .v = out };

	while (text.n > 0 && ids.n < TRACE_TEXT_MAX_IDS) {
		size_t end = slice_find_byte(text, '\n');

		add_line(&ids, k, slice_trim(slice_sub(text, 0, end)), &found);
		text = end == SLICE_NONE ? SLICE("") : slice_from(text, end + 1);
	}
	trace_found_fini(&found);
	return ids.n;
}

void trace_text_format(struct buf *b, struct trace_id id)
{
	size_t at = b->n;

	trace_id_format(b, id);
	if (id.hi == 0) {
		memmove(b->p + at, b->p + at + 16, 16);
		b->n = at + 16;
	}
}
