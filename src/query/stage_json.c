#include "query/stage_json.h"
#include "query/extract.h"

enum { FIRST_LEVELS = 8 };

/* One level of nesting: the object and the name that its members' names begin with. */
struct level {
	struct json_object object;
	struct slice prefix;
};

struct slice stage_json_text(const struct json_member *m, struct arena *scratch)
{
	struct slice v = m->value;

	if (m->type != JSON_STRING)
		return v;
	if (m->ascii && !m->escaped)
		return v;
	if (m->escaped && !json_unescape(m->value, scratch, &v))
		return SLICE("");
	return extract_clean(v, scratch);
}

void stage_json_fail(struct label_set *s, const struct parse_hints *h, enum json_scan_error e)
{
	label_set_error(s, SLICE("JSONParserErr"), slice_cstr(json_scan_error_text(e)));
	s->preserve_error = s->preserve_error || h->needs->preserve_error;
}

static void take_member(const struct json_member *m, struct slice name, struct label_set *s,
			struct parse_hints *h, struct arena *scratch)
{
	name = extract_name(s, name, scratch);
	if (extract_wants(s, h, name))
		extract_put(s, h, name, stage_json_text(m, scratch), scratch);
}

static struct level *grow_stack(const struct level *old, size_t *cap, struct arena *scratch)
{
	struct level *stack = arena_array(scratch, struct level, *cap * 2);

	memcpy(stack, old, *cap * sizeof(*stack));
	*cap *= 2;
	return stack;
}

static enum json_scan_error scan(struct slice line, struct label_set *s, struct parse_hints *h,
				 struct arena *scratch)
{
	size_t cap = FIRST_LEVELS, depth = 1, made = 0;
	struct level *stack = arena_array(scratch, struct level, cap);
	struct json_member m;

	stack[0] = (struct level){ json_object_of(line), SLICE("") };
	while (depth > 0) {
		struct level *top = &stack[depth - 1];
		int rc = json_object_next(&top->object, &m);

		if (rc == -1)
			return top->object.error;
		if (rc == 0) {
			depth--;
			continue;
		}
		if (m.key_escaped && !json_unescape(m.key, scratch, &m.key))
			return JSON_SCAN_BAD_ESCAPE;
		if (m.type == JSON_ARRAY || m.type == JSON_NULL)
			continue;
		struct slice name = label_name_join(top->prefix, m.key, scratch);
		made += top->prefix.n;
		if (made > STAGE_JSON_MAX_NAME_BYTES)
			return JSON_SCAN_TOO_DEEP;
		if (m.type != JSON_OBJECT) {
			if (name.n > 0)
				take_member(&m, name, s, h, scratch);
			if (h->rejected || parse_hints_done(h))
				return JSON_SCAN_OK;
		} else if (parse_hints_want_prefix(h, name)) {
			if (depth == STAGE_JSON_MAX_DEPTH)
				return JSON_SCAN_TOO_DEEP;
			if (depth == cap)
				stack = grow_stack(stack, &cap, scratch);
			stack[depth++] = (struct level){ json_object_of(m.value), name };
		}
	}
	return JSON_SCAN_OK;
}

void stage_json_run(struct slice line, struct label_set *s, struct parse_hints *h, struct arena *scratch)
{
	if (parse_hints_done(h))
		return;
	enum json_scan_error e = scan(line, s, h, scratch);
	if (e == JSON_SCAN_OK)
		return;
	stage_json_fail(s, h, e);
}
