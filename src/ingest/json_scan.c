#include "ingest/json_scan.h"
#include "ingest/unescape.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void jscan_init(struct json_scan *s, struct slice text, struct arena *arena, struct err *err)
{
	*s = (struct json_scan){
		.begin = text.p, .p = text.p, .end = text.p + text.n, .arena = arena, .err = err
	};
}

void jscan_use(struct json_scan *s, struct buf *room)
{
	s->room = room;
}

int jscan_fail(struct json_scan *s, const char *what)
{
	char here[16];

	if (s->p >= s->end)
		return err_set(s->err, ERR_BAD_REQUEST,
			       "invalid JSON: %s, found the end of the body at byte %zu", what,
			       (size_t)(s->end - s->begin));
	unsigned char c = (unsigned char)*s->p;
	snprintf(here, sizeof(here), c >= ' ' && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
	return err_set(s->err, ERR_BAD_REQUEST, "invalid JSON: %s, found %s at byte %zu", what, here,
		       (size_t)(s->p - s->begin));
}

int jscan_expect(struct json_scan *s, char c)
{
	char what[] = "expected ' '";

	if (jscan_peek(s) == c && s->p < s->end) {
		s->p++;
		return 0;
	}
	what[sizeof(what) - 3] = c;
	return jscan_fail(s, what);
}

/* The first quote or backslash at or after p, or end. */
static const char *find_special(const char *p, const char *end)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned mask = (unsigned)_mm_movemask_epi8(
			_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));

		if (mask != 0)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

static bool hex4(const char *p, const char *end, uint32_t *out)
{
	uint32_t v = 0;

	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int d = text_hex_digit(p[i]);

		if (d < 0)
			return false;
		v = v << 4 | (uint32_t)d;
	}
	*out = v;
	return true;
}

/* s->p stands at the u of \u; a lone half of a surrogate pair becomes U+FFFD. Bytes written, 0 if malformed.
 */
static size_t unicode_escape(struct json_scan *s, char *out)
{
	uint32_t r, low;

	if (!hex4(s->p + 1, s->end, &r))
		return 0;
	s->p += 5;
	if (r >= 0xd800 && r <= 0xdbff && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' &&
	    hex4(s->p + 2, s->end, &low) && low >= 0xdc00 && low <= 0xdfff) {
		s->p += 6;
		r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
	}
	return utf8_encode(out, r);
}

static const char escapes[256] = {
	['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
	['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

/* What is resolved is never longer than what was written, so one block serves the whole text. */
static void make_room(struct json_scan *s, size_t left)
{
	if (s->out != NULL && (size_t)(s->out_end - s->out) >= left + UNESCAPE_SLACK)
		return;
	if (s->room != NULL) {
		assert(s->out == NULL);
		buf_reset(s->room);
		s->out = buf_reserve(s->room, left + UNESCAPE_SLACK);
	} else {
		s->out = arena_alloc_bytes(s->arena, left + UNESCAPE_SLACK);
	}
	s->out_end = s->out + left + UNESCAPE_SLACK;
}

/* The string that starts at `start` holds escapes; what precedes s->p does not. */
static int resolve(struct json_scan *s, const char *start, struct slice *out)
{
	make_room(s, (size_t)(s->end - start));
	char *o = s->out;
	memcpy(o, start, (size_t)(s->p - start));
	o += s->p - start;
	for (;;) {
		o += unescape(o, &s->p, s->end);
		if (s->p < s->end && *s->p == '"') {
			*out = slice_of(s->out, (size_t)(o - s->out));
			s->out = o;
			s->p++;
			return 0;
		}
		if (s->end - s->p < 2) {
			s->p = s->end;
			return jscan_fail(s, "unterminated string");
		}
		char c = escapes[(unsigned char)*++s->p];
		if (c != '\0') {
			*o++ = c;
			s->p++;
		} else {
			size_t n = *s->p == 'u' ? unicode_escape(s, o) : 0;

			if (n == 0)
				return jscan_fail(s, "bad escape in a string");
			o += n;
		}
	}
}

int jscan_string(struct json_scan *s, struct slice *out)
{
	if (jscan_peek(s) != '"')
		return jscan_fail(s, "expected a string");
	const char *start = ++s->p;
	s->p = find_special(start, s->end);
	if (s->p < s->end && *s->p == '\\')
		return resolve(s, start, out);
	if (s->p >= s->end)
		return jscan_fail(s, "unterminated string");
	*out = slice_of(start, (size_t)(s->p - start));
	s->p++;
	return 0;
}

int jscan_raw_string(struct json_scan *s, struct slice *out)
{
	if (jscan_peek(s) != '"')
		return jscan_fail(s, "expected a string");
	const char *start = ++s->p;
	for (;;) {
		s->p = find_special(s->p, s->end);
		if (s->p >= s->end)
			return jscan_fail(s, "unterminated string");
		if (*s->p == '"')
			break;
		s->p += s->end - s->p >= 2 ? 2 : 1;
	}
	*out = slice_of(start, (size_t)(s->p - start));
	s->p++;
	return 0;
}

static bool is_number(struct slice t)
{
	size_t i = t.n > 0 && t.p[0] == '-';

	if (i >= t.n || t.p[i] < '0' || t.p[i] > '9')
		return false;
	for (; i < t.n; i++)
		if (strchr("0123456789.eE+-", t.p[i]) == NULL || t.p[i] == '\0')
			return false;
	return true;
}

int jscan_scalar(struct json_scan *s, struct slice *out)
{
	jscan_ws(s);
	const char *start = s->p;
	while (s->p < s->end && strchr(" \t\r\n,]}\"[{:", *s->p) == NULL)
		s->p++;
	struct slice t = slice_of(start, (size_t)(s->p - start));
	if (!slice_is(t, "true") && !slice_is(t, "false") && !slice_is(t, "null") && !is_number(t)) {
		s->p = start;
		return jscan_fail(s, "expected a value");
	}
	*out = t;
	return 0;
}

static int skip(struct json_scan *s, unsigned depth, unsigned max_depth)
{
	char stack[JSON_DEEP];
	unsigned bottom = depth;
	struct slice ignored;

	for (;;) {
		char c = jscan_peek(s);

		if (c == '{' || c == '[') {
			if (depth >= max_depth)
				return jscan_fail(s, max_depth == JSON_MAX_DEPTH
							     ? "nested deeper than 32 levels"
							     : "nested deeper than 128 levels");
			stack[depth++] = c;
			s->p++;
			if (jscan_peek(s) != (c == '{' ? '}' : ']')) {
				if (c == '{' &&
				    (jscan_raw_string(s, &ignored) == -1 || jscan_expect(s, ':') == -1))
					return -1;
				continue;
			}
		} else if (c == '"') {
			if (jscan_raw_string(s, &ignored) == -1)
				return -1;
		} else if (jscan_scalar(s, &ignored) == -1) {
			return -1;
		}
		/* A value has ended: close what ends with it, or go on to the next one. */
		for (;;) {
			if (depth == bottom)
				return 0;
			char open = stack[depth - 1];
			c = jscan_peek(s);
			if (c != (open == '{' ? '}' : ']'))
				break;
			s->p++;
			depth--;
		}
		if (jscan_expect(s, ',') == -1)
			return -1;
		if (stack[depth - 1] == '{' &&
		    (jscan_raw_string(s, &ignored) == -1 || jscan_expect(s, ':') == -1))
			return -1;
	}
}

int jscan_skip(struct json_scan *s, unsigned depth)
{
	return skip(s, depth, JSON_MAX_DEPTH);
}

int jscan_skip_deep(struct json_scan *s)
{
	return skip(s, 0, JSON_DEEP);
}

int jscan_next_key(struct json_scan *s, bool *first, struct slice *key)
{
	if (*first && jscan_expect(s, '{') == -1)
		return -1;
	if (jscan_peek(s) == '}') {
		s->p++;
		return 0;
	}
	if (!*first && jscan_expect(s, ',') == -1)
		return -1;
	*first = false;
	if (jscan_string(s, key) == -1 || jscan_expect(s, ':') == -1)
		return -1;
	return 1;
}

int jscan_next_element(struct json_scan *s, bool *first)
{
	if (*first && jscan_expect(s, '[') == -1)
		return -1;
	if (jscan_peek(s) == ']') {
		s->p++;
		return 0;
	}
	if (!*first && jscan_expect(s, ',') == -1)
		return -1;
	*first = false;
	return 1;
}
