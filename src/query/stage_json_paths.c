/* json x="a.b[0]", y="c": one pass over the line looks for all paths. It is lenient: brackets are only
 * counted, and what no path asks for is not examined. The first place where a path leads counts. */
#include "query/stage_json.h"
#include "query/extract.h"

struct path_scan {
	const struct logql_stage *stage;
	struct label_set *set;
	struct parse_hints *hints;
	struct arena *scratch;
	struct json_object at; /* the line, and how far it is read */
	int64_t level;	       /* brackets that are open */
	size_t max_steps;
	struct slice *keys; /* the last key on each level, from 1 */
	bool *done;	    /* of the paths */
	size_t n_done, n_set;
};

static const struct json_path *path_of(const struct path_scan *ps, size_t i)
{
	return &ps->stage->extract.v[i].path;
}

/* Do the keys above say that the scan is where the first n steps lead? */
static bool on_path(const struct path_scan *ps, const struct json_path *path, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (path->steps[i].is_index || !slice_eq(path->steps[i].key, ps->keys[i]))
			return false;
	return true;
}

/* The value at o->off is where path i leads. */
static void take_value(struct path_scan *ps, size_t i, struct json_object o)
{
	struct slice name = ps->stage->extract.v[i].name;
	struct json_member m;

	if (json_object_value(&o, &m) == -1) {
		stage_json_fail(ps->set, ps->hints, o.error);
		return;
	}
	ps->n_set++;
	extract_replace(ps->set, ps->hints, extract_name(ps->set, name, ps->scratch),
			m.type == JSON_NULL ? SLICE("") : stage_json_text(&m, ps->scratch));
}

static void path_done(struct path_scan *ps, size_t i)
{
	ps->done[i] = true;
	ps->n_done++;
}

/* ---- inside an array ---- */

/* The element that the step asks for; false if there is none. */
static bool find_element(struct slice text, uint64_t index, struct json_object *out)
{
	struct json_object o = { .text = text, .off = 1 };
	struct json_member m;

	for (uint64_t i = 0;; i++) {
		if (!json_object_skip_space(&o) || o.text.p[o.off] == ']')
			return false;
		*out = o;
		if (json_object_value(&o, &m) == -1)
			return false;
		if (i == index)
			return true;
		if (!json_object_skip_space(&o) || o.text.p[o.off] != ',')
			return false;
		o.off++;
	}
}

static bool find_member(struct slice text, struct slice key, struct arena *scratch, struct json_object *out)
{
	struct json_object o = json_object_of(text);
	struct json_member m;

	while (json_object_next(&o, &m) == 1) {
		if (m.key_escaped && !json_unescape(m.key, scratch, &m.key))
			return false;
		if (!slice_eq(m.key, key))
			continue;
		*out = (struct json_object){ .text = text,
					     .off = (size_t)(m.value.p - text.p) - (m.type == JSON_STRING) };
		return true;
	}
	return false;
}

/* Follows the steps from n on. */
static bool follow(struct path_scan *ps, const struct json_path *path, size_t n, struct json_object *at)
{
	for (; n < path->n; n++) {
		struct json_object o = *at;
		struct json_member m;

		if (json_object_value(&o, &m) == -1)
			return false;
		if (path->steps[n].is_index
			    ? m.type != JSON_ARRAY || !find_element(m.value, path->steps[n].index, at)
			    : m.type != JSON_OBJECT ||
				      !find_member(m.value, path->steps[n].key, ps->scratch, at))
			return false;
	}
	return true;
}

static bool wants_index(const struct path_scan *ps, size_t i, size_t level)
{
	const struct json_path *path = path_of(ps, i);

	return !ps->done[i] && path->n > level && path->steps[level].is_index && on_path(ps, path, level);
}

static void take_element(struct path_scan *ps, size_t level, uint64_t index)
{
	for (size_t i = 0; i < ps->stage->extract.n; i++) {
		struct json_object at = ps->at;

		if (!wants_index(ps, i, level) || path_of(ps, i)->steps[level].index != index)
			continue;
		path_done(ps, i);
		if (follow(ps, path_of(ps, i), level + 1, &at))
			take_value(ps, i, at);
	}
}

/* Reads the elements up to the closing bracket, or to what is wrong. */
static void read_elements(struct path_scan *ps, size_t level)
{
	struct json_member m;

	ps->at.off++;
	for (uint64_t index = 0; json_object_skip_space(&ps->at) && ps->at.text.p[ps->at.off] != ']';
	     index++) {
		struct json_object element = ps->at;

		if (json_object_value(&ps->at, &m) == -1) {
			ps->at = element;
			return;
		}
		struct json_object behind = ps->at;
		ps->at = element;
		take_element(ps, level, index);
		ps->at = behind;
		if (!json_object_skip_space(&ps->at) || ps->at.text.p[ps->at.off] != ',')
			return;
		ps->at.off++;
	}
}

/* False: the scan ends. */
static bool at_array(struct path_scan *ps)
{
	bool wanted = false;

	if (ps->level < 0) {
		stage_json_fail(ps->set, ps->hints, JSON_SCAN_MALFORMED);
		return false;
	}
	for (size_t i = 0; i < ps->stage->extract.n && !wanted; i++)
		wanted = wants_index(ps, i, (size_t)ps->level);
	if (!wanted)
		return json_object_skip_block(&ps->at);
	read_elements(ps, (size_t)ps->level);
	ps->level++;
	return true;
}

/* ---- the line ---- */

static bool at_key(struct path_scan *ps, struct slice key, bool escaped)
{
	size_t level = (size_t)ps->level;

	if (escaped && !json_unescape(key, ps->scratch, &key))
		return false;
	if (ps->level < 1) {
		stage_json_fail(ps->set, ps->hints, JSON_SCAN_MALFORMED);
		return false;
	}
	if (level > ps->max_steps)
		return true;
	ps->keys[level - 1] = key;
	for (size_t i = 0; i < ps->stage->extract.n; i++) {
		if (ps->done[i] || path_of(ps, i)->n != level || !on_path(ps, path_of(ps, i), level))
			continue;
		path_done(ps, i);
		take_value(ps, i, ps->at);
	}
	return true;
}

/* A string; a key if a colon follows. */
static bool at_string(struct path_scan *ps)
{
	struct slice text;
	bool escaped;

	ps->at.off++;
	if (!json_object_string(&ps->at, &text, &escaped) || !json_object_skip_space(&ps->at))
		return false;
	if (ps->at.text.p[ps->at.off] != ':')
		return true;
	ps->at.off++;
	return at_key(ps, text, escaped);
}

static void scan_line(struct path_scan *ps)
{
	while (ps->at.off < ps->at.text.n && ps->n_done < ps->stage->extract.n) {
		switch (ps->at.text.p[ps->at.off]) {
		case '"':
			if (!at_string(ps))
				return;
			continue;
		case '[':
			if (!at_array(ps))
				return;
			continue;
		case '{': ps->level++; break;
		case '}':
		case ']': ps->level--; break;
		default: break;
		}
		ps->at.off++;
	}
}

static void scan_paths(struct path_scan *ps)
{
	size_t n = ps->stage->extract.n;

	for (size_t i = 0; i < n; i++)
		ps->max_steps = ps->max_steps < path_of(ps, i)->n ? path_of(ps, i)->n : ps->max_steps;
	ps->keys = arena_zalloc(ps->scratch, ps->max_steps * sizeof(*ps->keys));
	ps->done = arena_zalloc(ps->scratch, n);
	scan_line(ps);
	/* Every expression leaves its label, be it empty. */
	for (size_t i = 0; i < n && ps->n_set < n; i++) {
		struct slice name = ps->stage->extract.v[i].name;

		if (label_set_get(ps->set, name).p == NULL)
			extract_replace(ps->set, ps->hints, name, SLICE(""));
	}
}

void stage_json_paths_run(const struct logql_stage *stage, struct slice line, struct label_set *s,
			  struct parse_hints *h, struct arena *scratch)
{
	if (line.n == 0 || parse_hints_done(h))
		return;
	if (line.p[0] != '{' && line.p[0] != '[' && line.p[0] != '"') {
		label_set_error(s, SLICE("JSONParserErr"), (struct slice){ NULL, 0 });
		s->preserve_error = s->preserve_error || h->needs->preserve_error;
		return;
	}
	struct path_scan ps = {
		.stage = stage, .set = s, .hints = h, .scratch = scratch, .at = json_object_of(line)
	};
	scan_paths(&ps);
}
