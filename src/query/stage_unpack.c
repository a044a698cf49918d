#include "query/stage_unpack.h"
#include "query/extract.h"
#include "query/stage_json.h"

/* What one object holds. */
struct packed {
	struct label *v;
	size_t n, cap;
	struct slice entry; /* p == NULL: none */
};

static void add(struct packed *p, struct slice name, struct slice value, struct arena *scratch)
{
	if (p->n == p->cap) {
		struct label *old = p->v;

		p->cap = p->cap == 0 ? 16 : p->cap * 2;
		p->v = arena_array(scratch, struct label, p->cap);
		if (p->n > 0)
			memcpy(p->v, old, p->n * sizeof(*old));
	}
	p->v[p->n++] = (struct label){ name, value };
}

static enum json_scan_error take_member(struct json_member *m, struct packed *p, const struct label_set *s,
					const struct parse_hints *h, struct arena *scratch)
{
	if (m->key_escaped && !json_unescape(m->key, scratch, &m->key))
		return JSON_SCAN_BAD_ESCAPE;
	if (m->type != JSON_STRING)
		return JSON_SCAN_OK;
	if (slice_is(m->key, "_entry")) {
		p->entry = m->value;
		return m->escaped && !json_unescape(m->value, scratch, &p->entry) ? JSON_SCAN_BAD_ESCAPE
										  : JSON_SCAN_OK;
	}
	/* The name is compared as it is written, and changed afterwards. */
	struct slice name = label_name_sanitise(extract_name(s, m->key, scratch), true, scratch);
	if (name.n > 0 && extract_wants(s, h, name))
		add(p, name, stage_json_text(m, scratch), scratch);
	return JSON_SCAN_OK;
}

static enum json_scan_error read_object(struct slice line, struct packed *p, const struct label_set *s,
					const struct parse_hints *h, struct arena *scratch)
{
	struct json_object o = json_object_of(line);
	enum json_scan_error e;
	struct json_member m;
	int rc;

	while ((rc = json_object_next(&o, &m)) == 1)
		if ((e = take_member(&m, p, s, h, scratch)) != JSON_SCAN_OK)
			return e;
	return rc == -1 ? o.error : JSON_SCAN_OK;
}

static void not_an_object(struct label_set *s, const struct parse_hints *h)
{
	label_set_error(s, SLICE("JSONParserErr"), SLICE("expecting json object(6), but it is not"));
	s->preserve_error = s->preserve_error || h->needs->preserve_error;
}

struct slice stage_unpack_run(struct slice line, struct label_set *s, struct parse_hints *h,
			      struct arena *scratch)
{
	struct packed p = { 0 };

	if (line.n == 0 || parse_hints_done(h))
		return line;
	if (line.p[0] != '{') {
		not_an_object(s, h);
		return line;
	}
	enum json_scan_error e = read_object(line, &p, s, h, scratch);
	if (e != JSON_SCAN_OK) {
		stage_json_fail(s, h, e);
		return line;
	}
	if (p.entry.p == NULL)
		return line;
	for (size_t i = 0; i < p.n && !h->rejected; i++) {
		extract_replace(s, h, p.v[i].name, p.v[i].value);
		extract_test(s, h, p.v[i].name, scratch);
	}
	return p.entry;
}
