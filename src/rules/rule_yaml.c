#include "rules/rule_yaml.h"
#include "base/mem.h"
#include "base/text.h"
#include "logql/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

/* ------------------------------------------------------------------ reading */

/* A LIST or MAP that is open, and where its next item goes. */
struct level {
	struct rule_yaml *node;
	struct rule_yaml **end;
	struct slice key; /* of a MAP: read, its value not yet; absent: a key is next */
	size_t key_line;
};

struct reader {
	struct arena *a;
	struct rule_yaml *root;
	struct level level[RULE_YAML_MAX_DEPTH];
	size_t depth, n_nodes, n_documents;
	bool ended;
};

__attribute__((format(printf, 3, 0))) static int fail_at(size_t line, struct err *err, const char *fmt,
							 va_list ap)
{
	char text[800];

	vsnprintf(text, sizeof(text), fmt, ap);
	return err_set(err, ERR_BAD_REQUEST, "line %zu: %s", line, text);
}

__attribute__((format(printf, 3, 4))) static int bad_at(size_t line, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(line, err, fmt, ap);
	va_end(ap);
	return -1;
}

int rule_yaml_fail(const struct rule_yaml *node, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(node != NULL ? node->line : 1, err, fmt, ap);
	va_end(ap);
	return -1;
}

static int add_node(struct reader *r, enum rule_yaml_kind kind, size_t line, struct rule_yaml **out,
		    struct err *err)
{
	struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;

	if (r->n_nodes++ == RULE_YAML_MAX_NODES)
		return bad_at(line, err, "more than %d items", RULE_YAML_MAX_NODES);
	if (l != NULL && l->node->kind == RULE_YAML_MAP && l->key.p == NULL)
		return bad_at(line, err, "a mapping or list cannot be a key");
	struct rule_yaml *node = arena_new(r->a, struct rule_yaml);
	node->kind = kind;
	node->line = line;
	node->text = SLICE("");
	if (l == NULL) {
		r->root = node;
	} else {
		node->key = l->key;
		l->key = (struct slice){ NULL, 0 };
		*l->end = node;
		l->end = &node->next;
		l->node->n++;
	}
	*out = node;
	return 0;
}

static int open_node(struct reader *r, enum rule_yaml_kind kind, size_t line, struct err *err)
{
	struct rule_yaml *node;

	if (r->depth == RULE_YAML_MAX_DEPTH)
		return bad_at(line, err, "nested deeper than %d", RULE_YAML_MAX_DEPTH);
	if (add_node(r, kind, line, &node, err) == -1)
		return -1;
	r->level[r->depth++] = (struct level){ .node = node, .end = &node->in };
	return 0;
}

/* For a message: cut, harmless on a terminal. */
static const char *shown(struct slice text, struct buf *b)
{
	text_terminal(b, slice_sub(text, 0, 128));
	buf_cstr_end(b);
	return b->p;
}

static int read_key(struct level *l, struct slice key, size_t line, struct arena *a, struct err *err)
{
	for (const struct rule_yaml *it = l->node->in; it != NULL; it = it->next) {
		if (slice_eq(it->key, key)) {
			struct buf b = { 0 };

			bad_at(line, err, "\"%s\" stands twice, first in line %zu", shown(key, &b), it->line);
			buf_fini(&b);
			return -1;
		}
	}
	if (l->node->n == RULE_YAML_MAX_KEYS)
		return bad_at(line, err, "a mapping has more than %d keys", RULE_YAML_MAX_KEYS);
	l->key = arena_dup(a, key);
	l->key_line = line;
	return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, size_t line, struct err *err)
{
	struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;
	struct slice text = slice_of(ev->data.scalar.value, ev->data.scalar.length);
	struct rule_yaml *node;

	if (slice_find_byte(text, '\0') != SLICE_NONE)
		return bad_at(line, err, "a text holds a NUL byte");
	if (l != NULL && l->node->kind == RULE_YAML_MAP && l->key.p == NULL)
		return read_key(l, text, line, r->a, err);
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bool null = plain && (text.n == 0 || slice_is(text, "~") || slice_is(text, "null") ||
			      slice_is(text, "Null") || slice_is(text, "NULL"));
	if (add_node(r, null ? RULE_YAML_NULL : RULE_YAML_TEXT, line, &node, err) == -1)
		return -1;
	if (!null)
		node->text = arena_dup(r->a, text);
	return 0;
}

static int check_marks(const yaml_char_t *anchor, const yaml_char_t *tag, size_t line, struct err *err)
{
	if (anchor != NULL)
		return bad_at(line, err, "anchors (&name) are not supported");
	if (tag != NULL)
		return bad_at(line, err, "tags (!name) are not supported");
	return 0;
}

static int read_event(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	size_t line = ev->start_mark.line + 1;

	switch (ev->type) {
	case YAML_STREAM_END_EVENT: r->ended = true; return 0;
	case YAML_DOCUMENT_START_EVENT:
		return r->n_documents++ == 0 ? 0 : bad_at(line, err, "more than one document");
	case YAML_ALIAS_EVENT: return bad_at(line, err, "aliases (*name) are not supported");
	case YAML_SCALAR_EVENT:
		if (check_marks(ev->data.scalar.anchor, ev->data.scalar.tag, line, err) == -1)
			return -1;
		return read_scalar(r, ev, line, err);
	case YAML_SEQUENCE_START_EVENT:
		if (check_marks(ev->data.sequence_start.anchor, ev->data.sequence_start.tag, line, err) == -1)
			return -1;
		return open_node(r, RULE_YAML_LIST, line, err);
	case YAML_MAPPING_START_EVENT:
		if (check_marks(ev->data.mapping_start.anchor, ev->data.mapping_start.tag, line, err) == -1)
			return -1;
		return open_node(r, RULE_YAML_MAP, line, err);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: r->depth--; return 0;
	default: return 0;
	}
}

static int parser_failed(const yaml_parser_t *p, struct err *err)
{
	size_t line = p->error == YAML_READER_ERROR ? 1 : p->problem_mark.line + 1;

	return bad_at(line, err, "%s", p->problem != NULL ? p->problem : "not valid YAML");
}

int rule_yaml_parse(struct slice text, struct arena *a, const struct rule_yaml **out, struct err *err)
{
	struct reader r = { .a = a };
	yaml_parser_t parser;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_INTERNAL, "the YAML parser cannot start");
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p != NULL ? text.p : ""), text.n);
	while (rc == 0 && !r.ended) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			rc = parser_failed(&parser, err);
			break;
		}
		rc = read_event(&r, &ev, err);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	if (rc == -1)
		return -1;
	if (r.root == NULL) { /* no document at all */
		r.root = arena_new(a, struct rule_yaml);
		r.root->line = 1;
		r.root->text = SLICE("");
	}
	*out = r.root;
	return 0;
}

/* ------------------------------------------------------------------ looking at it */

const struct rule_yaml *rule_yaml_get(const struct rule_yaml *node, const char *key)
{
	if (node == NULL || node->kind != RULE_YAML_MAP)
		return NULL;
	for (const struct rule_yaml *it = node->in; it != NULL; it = it->next)
		if (slice_is(it->key, key))
			return it;
	return NULL;
}

static bool is_listed(struct slice name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (slice_is(name, *names))
			return true;
	return false;
}

int rule_yaml_check_map(const struct rule_yaml *node, const char *what, const char *const *names,
			struct err *err)
{
	if (node == NULL || node->kind == RULE_YAML_NULL)
		return 0;
	if (node->kind != RULE_YAML_MAP)
		return rule_yaml_fail(node, err, "a %s is a mapping of names to values", what);
	for (const struct rule_yaml *it = node->in; it != NULL; it = it->next) {
		struct buf b = { 0 };

		if (is_listed(it->key, names))
			continue;
		rule_yaml_fail(it, err, "a %s has no field \"%s\"", what, shown(it->key, &b));
		buf_fini(&b);
		return -1;
	}
	return 0;
}

int rule_yaml_text(const struct rule_yaml *map, const char *key, struct slice *out, struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(map, key);

	if (node != NULL && node->kind != RULE_YAML_TEXT && node->kind != RULE_YAML_NULL)
		return rule_yaml_fail(node, err, "%s is a text", key);
	*out = node != NULL ? node->text : SLICE("");
	return 0;
}

int rule_yaml_duration(const struct rule_yaml *map, const char *key, int64_t *out_ns, struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(map, key);
	struct err why;

	if (node == NULL || node->kind == RULE_YAML_NULL) {
		*out_ns = 0;
		return 0;
	}
	if (node->kind != RULE_YAML_TEXT)
		return rule_yaml_fail(node, err, "%s is a duration, such as 5m", key);
	if (units_parse_prom_duration(node->text, out_ns, &why) == -1)
		return rule_yaml_fail(node, err, "%s: %s", key, why.msg);
	return 0;
}

int rule_yaml_int(const struct rule_yaml *map, const char *key, int64_t *out, struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(map, key);

	if (node == NULL || node->kind == RULE_YAML_NULL) {
		*out = 0;
		return 0;
	}
	if (node->kind != RULE_YAML_TEXT || !slice_to_i64(node->text, out))
		return rule_yaml_fail(node, err, "%s is a whole number", key);
	return 0;
}

int rule_yaml_list(const struct rule_yaml *map, const char *key, const struct rule_yaml **out,
		   struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(map, key);

	if (node != NULL && node->kind != RULE_YAML_LIST && node->kind != RULE_YAML_NULL)
		return rule_yaml_fail(node, err, "%s is a list", key);
	*out = node != NULL ? node->in : NULL;
	return 0;
}

/* ------------------------------------------------------------------ writing */

/* What a text may be written as. */
struct traits {
	bool plain, printable /* but for line breaks and tabs */, lines, tabs;
};

/* Would YAML 1.1 or 1.2 see something else than a text in it? Says yes a bit too often. */
static bool looks_special(struct slice s)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no", "on",
					     "off",  "y",    "n",     "~",   "=",  "<<" };
	bool number = strchr("0123456789+-.", s.p[0]) != NULL;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_eq_nocase(s, slice_cstr(words[i])))
			return true;
	for (size_t i = 0; i < s.n && number; i++)
		number = strchr("0123456789abcdefinotxABCDEFINOTX+-.:_", s.p[i]) !=
			 NULL; /* 1e3 0x1f .inf -1:30 */
	return number;
}

static bool is_printable(uint32_t r)
{
	return r >= 0x20 && (r < 0x7f || r > 0x9f) && r != 0x2028 && r != 0x2029 && r != 0xfeff &&
	       r != 0xfffe && r != 0xffff;
}

static struct traits look_at(struct slice s)
{
	struct traits t = { .printable = true };

	for (struct slice rest = s; rest.n > 0;) {
		size_t n;
		uint32_t r = utf8_decode(rest, &n);

		t.lines |= r == '\n';
		t.tabs |= r == '\t';
		if ((r == 0xfffd && n == 1) || (!is_printable(r) && r != '\n' && r != '\t'))
			t.printable = false;
		rest = slice_from(rest, n);
	}
	t.plain = t.printable && !t.lines && !t.tabs && s.n > 0 &&
		  strchr(" -?:,[]{}#&*!|>'\"%@`", s.p[0]) == NULL && s.p[s.n - 1] != ' ' &&
		  s.p[s.n - 1] != ':' && slice_find(s, SLICE(": ")) == SLICE_NONE &&
		  slice_find(s, SLICE(" #")) == SLICE_NONE && !looks_special(s) &&
		  !slice_starts(s, SLICE("..."));
	return t;
}

/* A literal block keeps the text as it is if no line has white space where that would count as indentation. */
static bool fits_literal(struct slice s, struct traits t)
{
	if (!t.printable || !t.lines || s.p[0] == '\n' || slice_ends(s, SLICE("\n\n")))
		return false;
	for (struct slice rest = s; rest.n > 0;) {
		size_t n = slice_find_byte(rest, '\n');
		struct slice line = slice_sub(rest, 0, n);

		if (line.n > 0 && (line.p[0] == '\t' || slice_trim(line).n == 0))
			return false;
		rest = slice_from(rest, n == SLICE_NONE ? rest.n : n + 1);
	}
	return s.p[0] != ' ';
}

static void put_literal(struct buf *b, struct slice s, unsigned indent)
{
	bool ends = s.p[s.n - 1] == '\n';

	buf_puts(b, ends ? "|" : "|-");
	for (struct slice rest = ends ? slice_sub(s, 0, s.n - 1) : s;;) {
		size_t n = slice_find_byte(rest, '\n');
		struct slice line = slice_sub(rest, 0, n);

		buf_putc(b, '\n');
		if (line.n > 0)
			buf_printf(b, "%*s", (int)indent, "");
		buf_add(b, line);
		if (n == SLICE_NONE)
			return;
		rest = slice_from(rest, n + 1);
	}
}

static void put_escaped(struct buf *b, struct slice s)
{
	buf_putc(b, '"');
	while (s.n > 0) {
		size_t n;
		uint32_t r = utf8_decode(s, &n);

		if (r == '"' || r == '\\')
			buf_printf(b, "\\%c", (char)r);
		else if (r == '\n')
			buf_puts(b, "\\n");
		else if (r == '\t')
			buf_puts(b, "\\t");
		else if (r == '\r')
			buf_puts(b, "\\r");
		else if (r == 0xfffd && n == 1)
			buf_puts(b, "\xef\xbf\xbd");
		else if (is_printable(r))
			buf_add(b, slice_sub(s, 0, n));
		else
			buf_printf(b, r < 0x100 ? "\\x%02X" : "\\u%04X", r);
		s = slice_from(s, n);
	}
	buf_putc(b, '"');
}

static void put_single(struct buf *b, struct slice s)
{
	buf_putc(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			buf_putc(b, '\'');
		buf_putc(b, s.p[i]);
	}
	buf_putc(b, '\'');
}

void rule_yaml_quote(struct buf *b, struct slice text, unsigned indent)
{
	struct traits t = look_at(text);

	if (t.plain)
		buf_add(b, text);
	else if (indent > 0 && text.n > 0 && fits_literal(text, t))
		put_literal(b, text, indent);
	else if (!t.printable || t.lines || t.tabs || text.n == 0 || looks_special(text))
		put_escaped(b, text);
	else
		put_single(b, text);
}
