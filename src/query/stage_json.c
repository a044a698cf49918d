#include "query/stage_json.h"
#include "query/json_object.h"
#include "query/label_name.h"
#include "query/labelfilter.h"
#include "base/text.h"

/* One level of nesting: the object and the name that its members' names begin with. */
struct level {
	struct json_object object;
	struct slice prefix;
};

/* U+FFFD, written or made of invalid bytes, becomes a space. */
static struct slice without_replacement_runes(struct slice v, struct arena *scratch)
{
	char *p = arena_alloc_bytes(scratch, v.n);
	size_t n = 0, len;

	for (; v.n > 0; v = slice_from(v, len)) {
		if (utf8_decode(v, &len) == 0xfffd)
			p[n++] = ' ';
		else
			for (size_t i = 0; i < len; i++)
				p[n++] = v.p[i];
	}
	return slice_of(p, n);
}

static struct slice string_value(const struct json_member *m, struct arena *scratch)
{
	struct slice v = m->value;

	if (m->escaped && !json_unescape(m->value, scratch, &v))
		return SLICE("");
	if (ascii_prefix(v) == v.n || (utf8_valid(v) && slice_find(v, SLICE("\xef\xbf\xbd")) == SLICE_NONE))
		return v;
	return without_replacement_runes(v, scratch);
}

static void take_member(const struct json_member *m, struct slice name, struct label_set *s,
			struct parse_hints *h, struct arena *scratch)
{
	if (label_base_has(s->base, name))
		name = label_name_suffix(name, scratch);
	if (!parse_hints_want(h, name) || label_set_extracted(s, name))
		return;
	label_set_put(s, name, m->type == JSON_STRING ? string_value(m, scratch) : m->value);
	parse_hints_found(h, name);
	for (size_t i = 0; i < h->n_early && !h->rejected; i++)
		if (slice_eq(h->early[i].name, name))
			h->rejected = !label_test_run(h->early[i].test, s, scratch);
}

static enum json_scan_error scan(struct slice line, struct label_set *s, struct parse_hints *h,
				 struct arena *scratch)
{
	struct level stack[STAGE_JSON_MAX_DEPTH];
	size_t depth = 1, made = 0;
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
	label_set_error(s, SLICE("JSONParserErr"), slice_cstr(json_scan_error_text(e)));
	s->preserve_error = s->preserve_error || h->needs->preserve_error;
}
