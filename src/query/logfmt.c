#include "query/logfmt.h"
#include "base/text.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

const char *logfmt_error_text(enum logfmt_error e)
{
	switch (e) {
	case LOGFMT_OK: return "";
	case LOGFMT_UNEXPECTED_EQUALS: return "unexpected '='";
	case LOGFMT_UNEXPECTED_QUOTE: return "unexpected '\"'";
	case LOGFMT_INVALID_KEY: return "invalid key";
	case LOGFMT_UNTERMINATED: return "unterminated quoted value";
	case LOGFMT_INVALID_QUOTED: return "invalid quoted value";
	}
	return "";
}

static bool is_separator(char c)
{
	return (unsigned char)c <= ' ';
}

/* The offset, from `off` on, of the first separator, = or ". */
static size_t token_end(struct slice s, size_t off)
{
#if defined(__SSE2__)
	const __m128i space = _mm_set1_epi8(' '), equals = _mm_set1_epi8('='), quote = _mm_set1_epi8('"');

	for (; off + 16 <= s.n; off += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + off));
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, space), v),
					   _mm_or_si128(_mm_cmpeq_epi8(v, equals), _mm_cmpeq_epi8(v, quote)));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);

		if (mask != 0)
			return off + (size_t)__builtin_ctz(mask);
	}
#endif
	while (off < s.n && !is_separator(s.p[off]) && s.p[off] != '=' && s.p[off] != '"')
		off++;
	return off;
}

/* Steps over the rest of a bad pair. */
static int bad_pair(struct logfmt *f, enum logfmt_error e)
{
	f->error = e;
	f->error_pos = f->off + 1;
	while (f->off < f->text.n && !is_separator(f->text.p[f->off]))
		f->off++;
	return -1;
}

static bool is_valid_key(struct slice key)
{
	return ascii_prefix(key) == key.n ||
	       (utf8_valid(key) && slice_find(key, SLICE("\xef\xbf\xbd")) == SLICE_NONE);
}

/* f->off is at the opening quote. */
static int quoted_value(struct logfmt *f, struct logfmt_pair *pair)
{
	size_t start = f->off + 1, from = start;

	for (;;) {
		size_t quote = slice_find_byte(slice_from(f->text, from), '"'), n = 0;

		if (quote == SLICE_NONE) {
			f->off = f->text.n;
			return bad_pair(f, LOGFMT_UNTERMINATED);
		}
		size_t end = from + quote;
		while (end - n > start && f->text.p[end - n - 1] == '\\')
			n++;
		if (n % 2 == 0) {
			pair->value = slice_sub(f->text, start, end - start);
			pair->escaped = slice_find_byte(pair->value, '\\') != SLICE_NONE;
			f->off = end + 1;
			return 1;
		}
		from = end + 1;
	}
}

static int bare_value(struct logfmt *f, struct logfmt_pair *pair)
{
	size_t start = f->off;

	f->off = token_end(f->text, start);
	if (f->off < f->text.n && !is_separator(f->text.p[f->off]))
		return bad_pair(f, f->text.p[f->off] == '=' ? LOGFMT_UNEXPECTED_EQUALS
							    : LOGFMT_UNEXPECTED_QUOTE);
	pair->value = slice_sub(f->text, start, f->off - start);
	return 1;
}

int logfmt_next(struct logfmt *f, struct logfmt_pair *pair)
{
	struct slice s = f->text;

	while (f->off < s.n && is_separator(s.p[f->off]))
		f->off++;
	if (f->off == s.n)
		return 0;
	size_t start = f->off;
	f->off = token_end(s, start);
	*pair = (struct logfmt_pair){ .key = slice_sub(s, start, f->off - start),
				      .value = slice_sub(s, f->off, 0) };
	if (f->off < s.n && s.p[f->off] == '"')
		return bad_pair(f, LOGFMT_UNEXPECTED_QUOTE);
	if (pair->key.n == 0)
		return bad_pair(f, LOGFMT_UNEXPECTED_EQUALS);
	if (!is_valid_key(pair->key))
		return bad_pair(f, LOGFMT_INVALID_KEY);
	if (f->off == s.n || s.p[f->off] != '=')
		return 1;
	f->off++;
	if (f->off == s.n || is_separator(s.p[f->off]))
		return 1;
	return s.p[f->off] == '"' ? quoted_value(f, pair) : bare_value(f, pair);
}

/* ---- escapes ---- */

static bool hex4(struct slice s, uint32_t *out)
{
	uint32_t v = 0;

	if (s.n < 6 || s.p[0] != '\\' || s.p[1] != 'u')
		return false;
	for (size_t i = 2; i < 6; i++) {
		int d = text_hex_digit(s.p[i]);

		if (d < 0)
			return false;
		v = v << 4 | (uint32_t)d;
	}
	*out = v;
	return true;
}

/* The \u escape at the start of s, with the second half of a surrogate pair; half a pair is U+FFFD. Its
 * length, 0 if it is none. */
static size_t unicode_escape(struct slice s, uint32_t *rune)
{
	uint32_t hi, lo;

	if (!hex4(s, &hi))
		return 0;
	*rune = hi;
	if (hi < 0xd800 || hi > 0xdfff)
		return 6;
	*rune = 0xfffd;
	if (hi > 0xdbff || !hex4(slice_from(s, 6), &lo) || lo < 0xdc00 || lo > 0xdfff)
		return 6;
	*rune = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
	return 12;
}

/* The escape or the rune at the start of s. Its length, 0 if it is not allowed. */
static size_t quoted_rune(struct slice s, uint32_t *rune)
{
	static const char from[] = "\"\\/'bfnrt", to[] = "\"\\/'\b\f\n\r\t";
	size_t len;

	if (s.p[0] != '\\') {
		*rune = utf8_decode(s, &len);
		return *rune >= ' ' ? len : 0;
	}
	if (s.n < 2 || s.p[1] == '\0')
		return 0;
	if (s.p[1] == 'u')
		return unicode_escape(s, rune);
	const char *p = strchr(from, s.p[1]);
	if (p == NULL)
		return 0;
	*rune = (unsigned char)to[p - from];
	return 2;
}

int logfmt_unescape(struct logfmt *f, struct logfmt_pair *pair, struct arena *a)
{
	struct slice s = pair->value;
	size_t n = 0;

	if (!pair->escaped)
		return 1;
	char *p = arena_alloc_bytes(a, s.n * 3); /* an invalid byte becomes U+FFFD, three bytes */
	for (size_t i = 0; i < s.n;) {
		uint32_t rune;
		size_t len = quoted_rune(slice_from(s, i), &rune);

		if (len == 0)
			return bad_pair(f, LOGFMT_INVALID_QUOTED);
		n += utf8_encode(p + n, rune);
		i += len;
	}
	arena_give_back(a, s.n * 3 - n);
	pair->value = slice_of(p, n);
	return 1;
}
