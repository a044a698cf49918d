#include "query/tmpl_json.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/text.h"

struct reader {
	const char *p, *end;
	unsigned depth;
	struct arena *a;
};

/* Members while their number is not known. */
struct chain {
	struct chain *prev;
	struct slice key;
	struct tmpl_value value;
};

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool eat(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool word(struct reader *r, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0)
		return false;
	r->p += n;
	return true;
}

/* ---- strings ---- */

static bool hex4(struct reader *r, uint32_t *out)
{
	*out = 0;
	if (r->end - r->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int d = text_hex_digit(*r->p++);

		if (d < 0)
			return false;
		*out = *out << 4 | (uint32_t)d;
	}
	return true;
}

/* \uD83D\uDE00 is one rune; halves that stand alone are none. */
static bool unicode_escape(struct reader *r, uint32_t *rune)
{
	uint32_t low;

	if (!hex4(r, rune))
		return false;
	if (*rune < 0xd800 || *rune > 0xdfff)
		return true;
	const char *before = r->p;
	if (*rune < 0xdc00 && r->end - r->p >= 6 && word(r, "\\u") && hex4(r, &low) && low >= 0xdc00 &&
	    low <= 0xdfff) {
		*rune = 0x10000 + ((*rune - 0xd800) << 10) + (low - 0xdc00);
		return true;
	}
	r->p = before;
	*rune = 0xfffd;
	return true;
}

/* Behind the backslash; *n bytes into out. */
static bool escape(struct reader *r, char out[4], size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t rune;

	if (r->p == r->end)
		return false;
	char c = *r->p++;
	if (c == 'u') {
		if (!unicode_escape(r, &rune))
			return false;
		*n = utf8_encode(out, rune);
		return true;
	}
	const char *at = c != '\0' ? strchr(from, c) : NULL;
	if (at == NULL)
		return false;
	out[0] = to[at - from];
	*n = 1;
	return true;
}

/* Most strings are plain and stay where they are. */
static bool plain_string(struct reader *r, struct slice *out)
{
	const char *p = r->p;

	while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80)
		p++;
	if (p == r->end || *p != '"')
		return false;
	*out = slice_of(r->p, (size_t)(p - r->p));
	r->p = p + 1;
	return true;
}

/* Behind the quote. A byte becomes three at most. */
static bool string(struct reader *r, struct slice *out)
{
	const char *end = r->p;
	size_t n = 0, len;

	if (plain_string(r, out))
		return true;
	while (end < r->end && *end != '"')
		end += *end == '\\' && end + 1 < r->end ? 2 : 1;
	char *text = arena_alloc_bytes(r->a, 3 * (size_t)(end - r->p) + 4);
	while (r->p < r->end && *r->p != '"') {
		if ((unsigned char)*r->p < ' ')
			return false;
		if (*r->p == '\\') {
			r->p++;
			if (!escape(r, text + n, &len))
				return false;
			n += len;
			continue;
		}
		uint32_t rune = utf8_decode(slice_of(r->p, (size_t)(r->end - r->p)), &len);
		r->p += len;
		n += utf8_encode(text + n, rune);
	}
	if (r->p == r->end)
		return false;
	r->p++;
	*out = slice_of(text, n);
	return true;
}

/* ---- numbers ---- */

static size_t digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

static bool number(struct reader *r, struct tmpl_value *out)
{
	const char *from = r->p;

	if (*r->p == '-')
		r->p++;
	bool zero = r->p < r->end && *r->p == '0';
	size_t n = digits(r);
	if (n == 0 || (zero && n > 1))
		return false;
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (digits(r) == 0)
			return false;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (digits(r) == 0)
			return false;
	}
	struct slice text = slice_of(from, (size_t)(r->p - from));
	double v = strtod(arena_cstr(r->a, text), NULL);
	*out = isinf(v) ? (struct tmpl_value){ .kind = TMPL_NULL } : tmpl_float(v);
	return true;
}

/* ---- lists and maps ---- */

static bool value(struct reader *r, struct tmpl_value *out);

static bool chain_value(struct reader *r, struct chain **last, struct slice key)
{
	struct chain *c = arena_new(r->a, struct chain);

	c->prev = *last;
	c->key = key;
	*last = c;
	return value(r, &c->value);
}

static bool list(struct reader *r, struct tmpl_value *out)
{
	struct chain *last = NULL;
	size_t n = 0;

	if (!eat(r, ']')) {
		do {
			if (!chain_value(r, &last, SLICE("")))
				return false;
			n++;
		} while (eat(r, ','));
		if (!eat(r, ']'))
			return false;
	}
	*out = (struct tmpl_value){ .kind = TMPL_LIST };
	out->list.n = n;
	out->list.v = arena_array(r->a, struct tmpl_value, n);
	for (; last != NULL; last = last->prev)
		out->list.v[--n] = last->value;
	return true;
}

struct ordered {
	const struct chain *c;
	size_t i;
};

static int by_key(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int c = slice_cmp(x->c->key, y->c->key);

	return c != 0 ? c : x->i < y->i ? -1 : 1;
}

static void make_map(struct reader *r, struct chain *last, size_t n, struct tmpl_value *out)
{
	struct ordered *order = arena_array(r->a, struct ordered, n);

	*out = (struct tmpl_value){ .kind = TMPL_MAP };
	out->map.v = arena_array(r->a, struct tmpl_member, n);
	for (size_t i = n; i-- > 0; last = last->prev)
		order[i] = (struct ordered){ last, i };
	if (n > 1)
		qsort(order, n, sizeof(*order), by_key);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && slice_eq(order[i].c->key, order[i + 1].c->key))
			continue;
		struct tmpl_value *v = arena_new(r->a, struct tmpl_value);
		*v = order[i].c->value;
		out->map.v[out->map.n++] = (struct tmpl_member){ order[i].c->key, v };
	}
}

static bool object(struct reader *r, struct tmpl_value *out)
{
	struct chain *last = NULL;
	struct slice key;
	size_t n = 0;

	if (!eat(r, '}')) {
		do {
			if (!eat(r, '"') || !string(r, &key) || !eat(r, ':') || !chain_value(r, &last, key))
				return false;
			n++;
		} while (eat(r, ','));
		if (!eat(r, '}'))
			return false;
	}
	make_map(r, last, n, out);
	return true;
}

static bool nested(struct reader *r, bool (*read)(struct reader *, struct tmpl_value *),
		   struct tmpl_value *out)
{
	if (r->depth++ == TMPL_JSON_MAX_DEPTH)
		return false;
	bool ok = read(r, out);
	r->depth--;
	return ok;
}

static bool value(struct reader *r, struct tmpl_value *out)
{
	struct slice s;

	skip_space(r);
	if (r->p == r->end)
		return false;
	switch (*r->p) {
	case '{': r->p++; return nested(r, object, out);
	case '[': r->p++; return nested(r, list, out);
	case '"':
		r->p++;
		if (!string(r, &s))
			return false;
		*out = tmpl_text(s);
		return true;
	case 't': *out = tmpl_bool(true); return word(r, "true");
	case 'f': *out = tmpl_bool(false); return word(r, "false");
	case 'n': *out = (struct tmpl_value){ .kind = TMPL_NULL }; return word(r, "null");
	default: return number(r, out);
	}
}

struct tmpl_value tmpl_json(struct slice text, struct arena *a)
{
	struct reader r = { text.p, text.p + text.n, 0, a };
	struct tmpl_value v = { .kind = TMPL_NULL };

	bool ok = value(&r, &v);
	skip_space(&r);
	return ok && r.p == r.end ? v : (struct tmpl_value){ .kind = TMPL_NULL };
}
