#include "query/json_object.h"
#include "base/text.h"

#include <assert.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

const char *json_scan_error_text(enum json_scan_error e)
{
	switch (e) {
	case JSON_SCAN_OK: return "";
	case JSON_SCAN_NO_OBJECT: return "Value looks like object, but can't find closing '}' symbol";
	case JSON_SCAN_NO_ARRAY_END: return "Value is array, but can't find closing ']' symbol";
	case JSON_SCAN_NO_STRING_END: return "Value is string, but can't find closing '\"' symbol";
	case JSON_SCAN_BAD_VALUE: return "Unknown value type";
	case JSON_SCAN_MALFORMED: return "Malformed JSON error";
	case JSON_SCAN_BAD_ESCAPE: return "Encountered an invalid escape sequence in a string";
	case JSON_SCAN_TOO_DEEP: return "Value is nested too deeply";
	}
	return "";
}

static int fail(struct json_object *o, enum json_scan_error e)
{
	o->error = e;
	return -1;
}

#if defined(__SSE2__)
/* Moves *off to the first quote or backslash, or to where less than 16 bytes are left. */
static bool find_special(struct slice s, size_t *off, bool *ascii)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');

	for (; *off + 16 <= s.n; *off += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + *off));
		unsigned hit = (unsigned)_mm_movemask_epi8(
			_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
		unsigned high = (unsigned)_mm_movemask_epi8(v);

		if (hit != 0) {
			*ascii = *ascii && (high & (hit - 1) & ~hit) == 0;
			*off += (size_t)__builtin_ctz(hit);
			return true;
		}
		*ascii = *ascii && high == 0;
	}
	return false;
}
#else
static bool find_special(struct slice s, size_t *off, bool *ascii)
{
	(void)s;
	(void)off;
	(void)ascii;
	return false;
}
#endif

/* The offset of the quote that ends the string whose first byte is at `off`; SLICE_NONE if there is none. */
static size_t string_end(struct slice s, size_t off, bool *escaped, bool *ascii)
{
	*escaped = false;
	*ascii = true;
	for (;;) {
		if (!find_special(s, &off, ascii))
			for (; off < s.n && s.p[off] != '"' && s.p[off] != '\\'; off++)
				*ascii = *ascii && (unsigned char)s.p[off] < 0x80;
		if (off >= s.n)
			return SLICE_NONE;
		if (s.p[off] == '"')
			return off;
		*escaped = true;
		*ascii = *ascii && (off + 1 == s.n || (unsigned char)s.p[off + 1] < 0x80);
		off += 2;
		if (off > s.n)
			return SLICE_NONE;
	}
}

/* The offset behind the bracket that closes the one at `off`. Only this kind of bracket counts. */
static size_t block_end(struct slice s, size_t off, char open, char close)
{
	size_t depth = 0;
	bool escaped, ascii;

	for (; off < s.n; off++) {
		char c = s.p[off];

		if (c == '"') {
			off = string_end(s, off + 1, &escaped, &ascii);
			if (off == SLICE_NONE)
				return SLICE_NONE;
		} else if (c == open) {
			depth++;
		} else if (c == close && --depth == 0) {
			return off + 1;
		}
	}
	return SLICE_NONE;
}

static size_t token_end(struct slice s, size_t off)
{
	while (off < s.n && !json_is_space(s.p[off]) && s.p[off] != ',' && s.p[off] != '}' && s.p[off] != ']')
		off++;
	return off;
}

static int read_block(struct json_object *o, struct json_member *m, bool is_object)
{
	size_t end = block_end(o->text, o->off, is_object ? '{' : '[', is_object ? '}' : ']');

	if (end == SLICE_NONE)
		return fail(o, is_object ? JSON_SCAN_NO_OBJECT : JSON_SCAN_NO_ARRAY_END);
	m->type = is_object ? JSON_OBJECT : JSON_ARRAY;
	m->value = slice_sub(o->text, o->off, end - o->off);
	o->off = end;
	return 1;
}

static int read_string(struct json_object *o, struct json_member *m)
{
	size_t end = string_end(o->text, o->off + 1, &m->escaped, &m->ascii);

	if (end == SLICE_NONE)
		return fail(o, JSON_SCAN_NO_STRING_END);
	m->type = JSON_STRING;
	m->value = slice_sub(o->text, o->off + 1, end - o->off - 1);
	o->off = end + 1;
	return 1;
}

static int read_value(struct json_object *o, struct json_member *m)
{
	char c = o->text.p[o->off];

	m->escaped = false;
	if (c == '"')
		return read_string(o, m);
	if (c == '{' || c == '[')
		return read_block(o, m, c == '{');
	size_t end = token_end(o->text, o->off);
	m->value = slice_sub(o->text, o->off, end - o->off);
	if ((c >= '0' && c <= '9') || c == '-')
		m->type = JSON_NUMBER;
	else if (slice_is(m->value, "true") || slice_is(m->value, "false"))
		m->type = JSON_BOOL;
	else if (slice_is(m->value, "null"))
		m->type = JSON_NULL;
	else
		return fail(o, JSON_SCAN_BAD_VALUE);
	o->off = end;
	return 1;
}

int json_object_value(struct json_object *o, struct json_member *m)
{
	return json_object_skip_space(o) ? read_value(o, m) : fail(o, JSON_SCAN_MALFORMED);
}

bool json_object_string(struct json_object *o, struct slice *out, bool *escaped)
{
	bool ascii;
	size_t end = string_end(o->text, o->off, escaped, &ascii);

	if (end == SLICE_NONE)
		return false;
	*out = slice_sub(o->text, o->off, end - o->off);
	o->off = end + 1;
	return true;
}

bool json_object_skip_block(struct json_object *o)
{
	char open = o->text.p[o->off];
	size_t end = block_end(o->text, o->off, open, open == '{' ? '}' : ']');

	if (end == SLICE_NONE)
		return false;
	o->off = end;
	return true;
}

/* Behind the opening brace, or behind a value and its comma. 1: a key may follow; 0: the object ends. */
static int before_key(struct json_object *o)
{
	if (!o->started) {
		o->started = true;
		if (!json_object_skip_space(o) || o->text.p[o->off] != '{')
			return fail(o, JSON_SCAN_NO_OBJECT);
		o->off++;
		return json_object_skip_space(o) ? 1 : fail(o, JSON_SCAN_MALFORMED);
	}
	if (!json_object_skip_space(o))
		return fail(o, JSON_SCAN_NO_ARRAY_END);
	if (o->text.p[o->off] == '}')
		return 1;
	if (o->text.p[o->off] != ',')
		return fail(o, JSON_SCAN_NO_OBJECT);
	o->off++;
	return json_object_skip_space(o) ? 1 : fail(o, JSON_SCAN_NO_ARRAY_END);
}

int json_object_next(struct json_object *o, struct json_member *m)
{
	assert(o->error == JSON_SCAN_OK);
	if (before_key(o) == -1)
		return -1;
	if (o->text.p[o->off] == '}')
		return 0;
	if (o->text.p[o->off] != '"')
		return fail(o, JSON_SCAN_NO_OBJECT);
	bool ascii;
	size_t end = string_end(o->text, o->off + 1, &m->key_escaped, &ascii);
	if (end == SLICE_NONE)
		return fail(o, JSON_SCAN_MALFORMED);
	m->key = slice_sub(o->text, o->off + 1, end - o->off - 1);
	o->off = end + 1;
	if (!json_object_skip_space(o) || o->text.p[o->off] != ':')
		return fail(o, JSON_SCAN_MALFORMED);
	o->off++;
	return json_object_value(o, m);
}

/* ---- escapes ---- */

static bool hex4(struct slice s, size_t off, uint32_t *out)
{
	uint32_t v = 0;

	if (off > s.n || s.n - off < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		int d = text_hex_digit(s.p[off + i]);

		if (d < 0)
			return false;
		v = v << 4 | (uint32_t)d;
	}
	*out = v;
	return true;
}

/* The \u escape at s.p[off], with the second half of a surrogate pair. Yields its length, 0 if invalid. */
static size_t unicode_escape(struct slice s, size_t off, uint32_t *rune)
{
	uint32_t hi, lo;

	if (!hex4(s, off + 2, &hi))
		return 0;
	if (hi < 0xd800 || hi > 0xdfff) {
		*rune = hi;
		return 6;
	}
	if (hi > 0xdbff || off + 8 > s.n || s.p[off + 6] != '\\' || s.p[off + 7] != 'u' ||
	    !hex4(s, off + 8, &lo) || lo < 0xdc00 || lo > 0xdfff)
		return 0;
	*rune = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
	return 12;
}

static bool simple_escape(char c, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = c == '\0' ? NULL : strchr(from, c);

	if (p == NULL)
		return false;
	*out = to[p - from];
	return true;
}

bool json_unescape(struct slice s, struct arena *a, struct slice *out)
{
	char *p = arena_alloc_bytes(a, s.n); /* no escape grows */
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		uint32_t rune;
		size_t len = 2;

		if (s.p[i] != '\\') {
			p[n++] = s.p[i++];
			continue;
		}
		if (i + 1 >= s.n)
			return false;
		if (s.p[i + 1] == 'u') {
			len = unicode_escape(s, i, &rune);
			if (len == 0)
				return false;
			n += utf8_encode(p + n, rune);
		} else if (!simple_escape(s.p[i + 1], &p[n])) {
			return false;
		} else {
			n++;
		}
		i += len;
	}
	*out = slice_of(p, n);
	return true;
}
