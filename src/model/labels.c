#include "model/labels.h"
#include "base/hash.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>

enum { INSERTION_MAX = 32 };

static void insertion_sort(struct label *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct label l = v[i];
		size_t j = i;

		for (; j > 0 && slice_cmp(v[j - 1].name, l.name) > 0; j--)
			v[j] = v[j - 1];
		v[j] = l;
	}
}

/* For what a hostile sender makes of a set: merges ever longer sorted runs. */
static void merge_sort(struct label *v, size_t n)
{
	struct label *tmp = xmalloc(n * sizeof(*v));

	for (size_t i = 0; i < n; i += INSERTION_MAX)
		insertion_sort(v + i, MIN(n - i, (size_t)INSERTION_MAX));
	for (size_t run = INSERTION_MAX; run < n; run *= 2) {
		for (size_t at = 0; at + run < n; at += 2 * run) {
			size_t mid = at + run, end = MIN(n, mid + run), i = at, j = mid, k = at;

			while (i < mid && j < end)
				tmp[k++] = slice_cmp(v[i].name, v[j].name) <= 0 ? v[i++] : v[j++];
			while (i < mid)
				tmp[k++] = v[i++];
			memcpy(v + at, tmp + at, (k - at) * sizeof(*v));
		}
	}
	free(tmp);
}

struct slice labels_sort(struct label *v, size_t n)
{
	struct slice twice = { NULL, 0 };

	/* Sets are small and mostly sorted already. */
	if (n <= INSERTION_MAX)
		insertion_sort(v, n);
	else
		merge_sort(v, n);
	for (size_t i = 1; i < n && twice.p == NULL; i++)
		if (slice_eq(v[i - 1].name, v[i].name))
			twice = v[i].name;
	return twice;
}

struct slice labels_get(struct labels l, struct slice name)
{
	for (size_t i = 0; i < l.n; i++)
		if (slice_eq(l.v[i].name, name))
			return l.v[i].value;
	return (struct slice){ NULL, 0 };
}

bool labels_eq(struct labels a, struct labels b)
{
	return a.n == b.n && labels_cmp(a, b) == 0;
}

int labels_cmp(struct labels a, struct labels b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		int d = slice_cmp(a.v[i].name, b.v[i].name);

		if (d == 0)
			d = slice_cmp(a.v[i].value, b.v[i].value);
		if (d != 0)
			return d;
	}
	return a.n < b.n ? -1 : a.n > b.n;
}

void labels_json(struct json_out *j, struct labels l)
{
	json_open(j, '{');
	for (size_t i = 0; i < l.n; i++) {
		json_key_slice(j, l.v[i].name);
		json_str(j, l.v[i].value);
	}
	json_close(j, '}');
}

void labels_format(struct buf *b, struct labels l)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < l.n; i++) {
		if (i > 0)
			buf_puts(b, ", ");
		buf_add(b, l.v[i].name);
		buf_putc(b, '=');
		text_go_quote(b, l.v[i].value);
	}
	buf_putc(b, '}');
}

struct labels labels_dup(struct arena *a, struct labels l)
{
	struct label *v = arena_array(a, struct label, l.n);

	for (size_t i = 0; i < l.n; i++) {
		v[i].name = arena_dup(a, l.v[i].name);
		v[i].value = arena_dup(a, l.v[i].value);
	}
	return (struct labels){ v, l.n };
}

void labels_encode(struct buf *b, struct labels l)
{
	buf_varint(b, l.n);
	for (size_t i = 0; i < l.n; i++) {
		buf_lenslice(b, l.v[i].name);
		buf_lenslice(b, l.v[i].value);
	}
}

int labels_decode(struct slice encoded, struct arena *a, struct labels *out)
{
	struct cursor c = cursor_of(encoded);
	uint64_t n = cursor_varint(&c);

	/* Each pair takes two bytes at least, so a forged count cannot make us allocate more than the input is long. */
	if (c.bad || n > cursor_left(&c) / 2)
		return -1;
	struct label *v = arena_array(a, struct label, n);
	for (size_t i = 0; i < n; i++)
		v[i] = labels_next(&c);
	if (c.bad || cursor_left(&c) != 0)
		return -1;
	*out = (struct labels){ v, n };
	return 0;
}

uint64_t labels_hash(struct slice encoded)
{
	return hash64(encoded);
}

struct slice labels_get_encoded(struct slice encoded, struct slice name)
{
	struct cursor c = cursor_of(encoded);

	for (uint64_t n = cursor_varint(&c); n > 0 && !c.bad; n--) {
		struct label l = labels_next(&c);

		if (!c.bad && slice_eq(l.name, name))
			return l.value;
	}
	return (struct slice){ NULL, 0 };
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9');
}

bool label_name_valid(struct slice name)
{
	if (name.n == 0 || !is_name_start(name.p[0]))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!is_name_char(name.p[i]))
			return false;
	return true;
}

/* A small hand-written scanner; positions are columns from 1, in bytes, as the reference counts them. */
struct scan {
	struct slice text;
	size_t at;
	struct arena *a;
	struct err *err;
};

static void skip_space(struct scan *s)
{
	while (s->at < s->text.n && strchr(" \t\r\n", s->text.p[s->at]) != NULL && s->text.p[s->at] != '\0')
		s->at++;
}

static int fail(struct scan *s, size_t at, const char *what)
{
	size_t line = 1, col = at + 1;

	for (size_t i = 0; i < at && i < s->text.n; i++) {
		if (s->text.p[i] == '\n') {
			line++;
			col = at - i;
		}
	}
	return err_set(s->err, ERR_BAD_REQUEST, "%zu:%zu: parse error: %s", line, col, what);
}

/* What stands at the cursor, in the words the reference uses for it. */
static int unexpected(struct scan *s, const char *expecting)
{
	char what[128];
	struct slice rest = slice_from(s->text, s->at);
	size_t at = s->at;

	if (rest.n == 0) {
		snprintf(what, sizeof(what), "unexpected end of input inside braces");
	} else if (slice_starts(rest, SLICE("=~")) || slice_starts(rest, SLICE("!~")) ||
		   slice_starts(rest, SLICE("!="))) {
		snprintf(what, sizeof(what), "unexpected <op:%.2s> in label set, expected \"%s\"", rest.p,
			 expecting);
	} else if (strchr(",={}", rest.p[0]) != NULL && rest.p[0] != '\0') {
		snprintf(what, sizeof(what), "unexpected \"%c\" in label set, expected \"%s\"", rest.p[0],
			 expecting);
	} else if (is_name_start(rest.p[0])) {
		size_t n = 1;

		while (n < rest.n && is_name_char(rest.p[n]))
			n++;
		snprintf(what, sizeof(what), "unexpected identifier \"%.*s\" in label set, expected \"%s\"",
			 (int)MIN(n, (size_t)40), rest.p, expecting);
	} else if (rest.p[0] == '"' || rest.p[0] == '\'' || rest.p[0] == '`') {
		snprintf(what, sizeof(what), "unexpected string in label set, expected \"%s\"", expecting);
	} else {
		size_t n;

		utf8_decode(rest, &n);
		snprintf(what, sizeof(what), "unexpected character inside braces: '%.*s'", (int)n, rest.p);
	}
	return fail(s, at, what);
}

static int scan_string(struct scan *s, struct slice *out)
{
	size_t start = s->at;
	char quote = s->text.p[s->at];
	struct buf b;
	int rc = -1;

	buf_init(&b);
	if (quote == '\'') {
		/* Single quotes are double quotes whose " need no escape. */
		struct buf tmp;
		size_t i = s->at + 1;

		buf_init(&tmp);
		buf_putc(&tmp, '"');
		for (; i < s->text.n && s->text.p[i] != '\''; i++) {
			if (s->text.p[i] == '\\' && i + 1 < s->text.n) {
				if (s->text.p[i + 1] != '\'')
					buf_putc(&tmp, '\\');
				buf_putc(&tmp, s->text.p[++i]);
			} else {
				if (s->text.p[i] == '"')
					buf_putc(&tmp, '\\');
				buf_putc(&tmp, s->text.p[i]);
			}
		}
		buf_putc(&tmp, '"');
		if (i >= s->text.n)
			fail(s, start, "unterminated quoted string");
		else if (text_go_unquote(&b, buf_slice(&tmp)) != tmp.n)
			fail(s, start, "unknown escape sequence");
		else
			rc = 0;
		s->at = i + 1;
		buf_fini(&tmp);
	} else {
		size_t n = text_go_unquote(&b, slice_from(s->text, s->at));

		if (n == SLICE_NONE)
			fail(s, start, "unterminated quoted string");
		else
			rc = 0;
		s->at += n;
	}
	if (rc == 0 && !utf8_valid(buf_slice(&b)))
		rc = fail(s, start, "invalid UTF-8 rune");
	if (rc == 0)
		*out = arena_dup(s->a, buf_slice(&b));
	buf_fini(&b);
	return rc;
}

static int scan_pair(struct scan *s, struct label *out)
{
	struct slice rest = slice_from(s->text, s->at);

	if (rest.n > 0 && (rest.p[0] == '"' || rest.p[0] == '\'' || rest.p[0] == '`')) {
		size_t at = s->at;

		if (scan_string(s, &out->name) == -1)
			return -1;
		if (!label_name_valid(out->name))
			return fail(s, at, "label name is not an identifier");
	} else if (rest.n > 0 && is_name_start(rest.p[0])) {
		size_t n = 1;

		while (n < rest.n && is_name_char(rest.p[n]))
			n++;
		out->name = slice_sub(rest, 0, n);
		s->at += n;
	} else {
		return unexpected(s, "identifier");
	}
	skip_space(s);
	rest = slice_from(s->text, s->at);
	if (rest.n == 0 || rest.p[0] != '=' || (rest.n > 1 && rest.p[1] == '~'))
		return unexpected(s, "=");
	s->at++;
	skip_space(s);
	rest = slice_from(s->text, s->at);
	if (rest.n == 0 || (rest.p[0] != '"' && rest.p[0] != '\'' && rest.p[0] != '`'))
		return unexpected(s, "string");
	return scan_string(s, &out->value);
}

int labels_parse(struct slice text, struct arena *a, struct labels *out, struct err *err)
{
	struct scan s = { text, 0, a, err };
	struct label *v = NULL;
	size_t n = 0, cap = 0;

	skip_space(&s);
	if (s.at < text.n && is_name_start(text.p[s.at])) {
		size_t start = s.at;

		while (s.at < text.n && (is_name_char(text.p[s.at]) || text.p[s.at] == ':'))
			s.at++;
		cap = 8;
		v = arena_array(a, struct label, cap);
		v[n++] = (struct label){ SLICE("__name__"), slice_sub(text, start, s.at - start) };
		skip_space(&s);
	}
	if (s.at >= text.n) {
		*out = (struct labels){ v, n };
		return 0;
	}
	if (text.p[s.at] != '{') {
		char what[64];

		snprintf(what, sizeof(what), "unexpected \"%c\"", text.p[s.at]);
		return fail(&s, s.at, what);
	}
	s.at++;
	for (;;) {
		struct label l;

		skip_space(&s);
		if (s.at < text.n && text.p[s.at] == '}')
			break;
		if (scan_pair(&s, &l) == -1)
			return -1;
		if (n == cap) {
			struct label *bigger = arena_array(a, struct label, cap * 2 + 8);

			if (n > 0)
				memcpy(bigger, v, n * sizeof(*v));
			v = bigger;
			cap = cap * 2 + 8;
		}
		if (l.value.n > 0)
			v[n++] = l;
		skip_space(&s);
		if (s.at < text.n && text.p[s.at] == '}')
			break;
		if (s.at >= text.n || text.p[s.at] != ',')
			return unexpected(&s, ",\" or \"}");
		s.at++;
	}
	s.at++;
	skip_space(&s);
	if (s.at < text.n)
		return fail(&s, s.at, "unexpected text after the closing brace");
	labels_sort(v, n);
	*out = (struct labels){ v, n };
	return 0;
}
