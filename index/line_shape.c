#include "index/line_shape.h"
#include "base/hash.h"
#include "base/text.h"
#include "index/time_format.h"

#include <assert.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool add_slot(struct line_slots *out, size_t from, size_t to, int what, uint64_t key)
{
	if (out->n == LINE_MAX_SLOTS)
		return false;
	out->at[out->n] = (struct line_slot){ (uint32_t)from, (uint32_t)(to - from) };
	out->what[out->n] = (uint8_t)what;
	out->key[out->n++] = key;
	return true;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

/* The offset, from i on, of the first quote, backslash or control character; s.n if there is none. */
static inline size_t string_special(struct slice s, size_t i)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), low = _mm_set1_epi8(0x1f);

	for (; i + 16 <= s.n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		__m128i hit =
			_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)),
				     _mm_cmpeq_epi8(_mm_min_epu8(v, low), v));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);

		if (mask != 0)
			return i + (size_t)__builtin_ctz(mask);
	}
#endif
	while (i < s.n && s.p[i] != '"' && s.p[i] != '\\' && (unsigned char)s.p[i] >= 0x20)
		i++;
	return i;
}

/* The four hex digits behind \u at off, or -1. */
static int hex4(struct slice s, size_t off)
{
	int v = 0;

	if (off + 6 > s.n || s.p[off] != '\\' || s.p[off + 1] != 'u')
		return -1;
	for (size_t i = off + 2; i < off + 6; i++) {
		int d = text_hex_digit(s.p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* Length of the escape at off; 0 if invalid, and half a surrogate pair is. */
static size_t json_escape(struct slice s, size_t off)
{
	if (off + 1 >= s.n)
		return 0;
	switch (s.p[off + 1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't': return 2;
	case 'u': break;
	default: return 0;
	}
	int hi = hex4(s, off);
	if (hi < 0xd800 || hi > 0xdfff)
		return hi < 0 ? 0 : 6;
	int lo = hi <= 0xdbff ? hex4(s, off + 6) : -1;
	return lo >= 0xdc00 && lo <= 0xdfff ? 12 : 0;
}

/* i is behind the opening quote: the offset of the closing one. */
static inline size_t json_string_end(struct slice s, size_t i)
{
	for (;;) {
		i = string_special(s, i);
		if (i >= s.n || (unsigned char)s.p[i] < 0x20)
			return LINE_NO_SLOT;
		if (s.p[i] == '"')
			return i;
		size_t n = json_escape(s, i);
		if (n == 0)
			return LINE_NO_SLOT;
		i += n;
	}
}

static size_t digits_end(struct slice s, size_t i)
{
	while (i < s.n && is_digit(s.p[i]))
		i++;
	return i;
}

static size_t json_number_end(struct slice s, size_t i)
{
	size_t from;

	if (i < s.n && s.p[i] == '-')
		i++;
	from = i;
	i = digits_end(s, i);
	if (i == from || (s.p[from] == '0' && i > from + 1))
		return LINE_NO_SLOT;
	if (i < s.n && s.p[i] == '.') {
		from = i + 1;
		i = digits_end(s, from);
		if (i == from)
			return LINE_NO_SLOT;
	}
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
			i++;
		from = i;
		i = digits_end(s, from);
		if (i == from)
			return LINE_NO_SLOT;
	}
	return i;
}

static bool has_word(struct slice s, size_t i, const char *word, size_t n)
{
	return s.n - i >= n && memcmp(s.p + i, word, n) == 0;
}

static size_t json_bool_end(struct slice s, size_t i)
{
	if (has_word(s, i, "true", 4))
		return i + 4;
	return has_word(s, i, "false", 5) ? i + 5 : LINE_NO_SLOT;
}

static inline size_t skip_space(struct slice s, size_t i)
{
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r'))
		i++;
	return i;
}

/* A string, number, true, false or null. */
static size_t json_scalar_end(struct slice s, size_t i)
{
	if (i >= s.n)
		return LINE_NO_SLOT;
	if (s.p[i] == '"') {
		i = json_string_end(s, i + 1);
		return i == LINE_NO_SLOT ? i : i + 1;
	}
	if (s.p[i] == 't' || s.p[i] == 'f')
		return json_bool_end(s, i);
	if (s.p[i] == 'n')
		return has_word(s, i, "null", 4) ? i + 4 : LINE_NO_SLOT;
	return json_number_end(s, i);
}

/* A key, its colon and the spaces around: the offset of the value. */
static size_t json_key_end(struct slice s, size_t i, struct slice *key)
{
	if (i >= s.n || s.p[i] != '"')
		return LINE_NO_SLOT;
	size_t end = json_string_end(s, i + 1);
	if (end == LINE_NO_SLOT)
		return end;
	*key = slice_sub(s, i + 1, end - i - 1);
	i = skip_space(s, end + 1);
	return i < s.n && s.p[i] == ':' ? skip_space(s, i + 1) : LINE_NO_SLOT;
}

/* i is at a bracket. All within is validated; the stack of brackets is a bit each: 1 an object. */
static size_t json_block_end(struct slice s, size_t i)
{
	uint64_t objects = 0;
	unsigned depth = 0;
	struct slice key;

	for (;;) {
		/* a value begins at i */
		if (i < s.n && (s.p[i] == '[' || s.p[i] == '{')) {
			bool object = s.p[i] == '{';

			if (depth++ == LINE_MAX_DEPTH)
				return LINE_NO_SLOT;
			objects = objects << 1 | object;
			i = skip_space(s, i + 1);
			if (i >= s.n || s.p[i] != (object ? '}' : ']')) {
				if (object && (i = json_key_end(s, i, &key)) == LINE_NO_SLOT)
					return i;
				continue;
			}
		} else {
			i = json_scalar_end(s, i);
			if (i == LINE_NO_SLOT)
				return i;
			i = skip_space(s, i);
		}
		/* behind a value, or at the end of an empty block */
		while (i < s.n && s.p[i] == ((objects & 1) != 0 ? '}' : ']')) {
			i++;
			objects >>= 1;
			if (--depth == 0)
				return i;
			i = skip_space(s, i);
		}
		if (i >= s.n || s.p[i] != ',')
			return LINE_NO_SLOT;
		i = skip_space(s, i + 1);
		if ((objects & 1) != 0 && (i = json_key_end(s, i, &key)) == LINE_NO_SLOT)
			return i;
	}
}

/* The scalar or array at i, as a slot: the offset behind it. */
static size_t json_slot(struct slice s, size_t i, uint64_t path, struct line_slots *out)
{
	enum slot_class what = SLOT_JSON_NUMBER;
	size_t end;

	if (i >= s.n)
		return LINE_NO_SLOT;
	switch (s.p[i]) {
	case '"':
		end = json_string_end(s, i + 1);
		if (end == LINE_NO_SLOT || !add_slot(out, i + 1, end, SLOT_JSON_STRING, path))
			return LINE_NO_SLOT;
		return end + 1;
	case '[':
		what = SLOT_JSON_ARRAY;
		end = json_block_end(s, i);
		break;
	case 't':
	case 'f':
		what = SLOT_JSON_BOOL;
		end = json_bool_end(s, i);
		break;
	case 'n': return has_word(s, i, "null", 4) ? i + 4 : LINE_NO_SLOT;
	default: end = json_number_end(s, i);
	}
	return end != LINE_NO_SLOT && add_slot(out, i, end, what, path) ? end : LINE_NO_SLOT;
}

bool line_shape_json(struct slice s, struct line_slots *out)
{
	uint64_t path[LINE_MAX_DEPTH + 1] = { 0 };
	size_t name_bytes[LINE_MAX_DEPTH + 1] = { 0 }, depth = 1, names = 0, i = 0;
	struct slice key;

	out->n = 0;
	if (s.n < 2 || s.n > UINT32_MAX || s.p[0] != '{')
		return false;
	i = skip_space(s, 1);
	if (i < s.n && s.p[i] == '}')
		return skip_space(s, i + 1) == s.n;
	for (;;) {
		i = json_key_end(s, i, &key);
		if (i >= s.n)
			return false;
		uint64_t here = hash_mix(path[depth - 1] + hash64(key) + 1);
		names += name_bytes[depth - 1] + key.n + 1;
		if (names > LINE_MAX_PATHS)
			return false;
		if (s.p[i] == '{') {
			if (depth == LINE_MAX_DEPTH)
				return false;
			path[depth] = here;
			name_bytes[depth] = name_bytes[depth - 1] + key.n + 1;
			depth++;
			i = skip_space(s, i + 1);
			if (i >= s.n || s.p[i] != '}')
				continue;
		} else {
			i = json_slot(s, i, here, out);
			if (i == LINE_NO_SLOT)
				return false;
			i = skip_space(s, i);
		}
		while (i < s.n && s.p[i] == '}') {
			i = skip_space(s, i + 1);
			if (--depth == 0)
				return i == s.n;
		}
		if (i >= s.n || s.p[i] != ',')
			return false;
		i = skip_space(s, i + 1);
	}
}

/* ---- logfmt --------------------------------------------------------------------------------------------------- */

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= '9') || c == '_' ||
	       c == '@';
}

static inline size_t bare_end(struct slice s, size_t from)
{
	size_t i = from;
#if defined(__SSE2__)
	const __m128i space = _mm_set1_epi8(' '), equals = _mm_set1_epi8('='), quote = _mm_set1_epi8('"');

	for (; i + 16 <= s.n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, space), v),
					   _mm_or_si128(_mm_cmpeq_epi8(v, equals), _mm_cmpeq_epi8(v, quote)));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);

		if (mask != 0) {
			i += (size_t)__builtin_ctz(mask);
			return i > from ? i : LINE_NO_SLOT;
		}
	}
#endif
	while (i < s.n && (unsigned char)s.p[i] > ' ' && s.p[i] != '=' && s.p[i] != '"')
		i++;
	return i > from ? i : LINE_NO_SLOT;
}

/* i is behind the opening quote. Control characters do not stand in such values: strict, as with JSON. */
static inline size_t quoted_end(struct slice s, size_t i)
{
	for (;;) {
		i = string_special(s, i);
		if (i + 1 > s.n || (unsigned char)s.p[i] < 0x20)
			return LINE_NO_SLOT;
		if (s.p[i] == '"')
			return i;
		size_t n = i + 1 < s.n && s.p[i + 1] == '\'' ? 2 : json_escape(s, i);
		if (n == 0)
			return LINE_NO_SLOT;
		i += n;
	}
}

bool line_shape_logfmt(struct slice s, struct line_slots *out)
{
	size_t i = 0, end;

	out->n = 0;
	if (s.n > UINT32_MAX)
		return false;
	for (;; i++) {
		size_t from = i;

		while (i < s.n && is_key_char(s.p[i]))
			i++;
		if (i == from || i + 1 >= s.n || s.p[i] != '=')
			return false;
		uint64_t key = hash64(slice_sub(s, from, i - from));
		bool quoted = s.p[++i] == '"';
		i += quoted;
		end = quoted ? quoted_end(s, i) : bare_end(s, i);
		if (end == LINE_NO_SLOT || !add_slot(out, i, end, quoted ? SLOT_QUOTED : SLOT_BARE, key))
			return false;
		i = end + quoted;
		if (i == s.n)
			return out->n >= 2;
		if (s.p[i] != ' ')
			return false;
	}
}

size_t line_slot_end(enum slot_class what, struct slice line, size_t off)
{
	switch (what) {
	case SLOT_JSON_STRING: return json_string_end(line, off);
	case SLOT_JSON_NUMBER: return json_number_end(line, off);
	case SLOT_JSON_BOOL: return json_bool_end(line, off);
	case SLOT_JSON_ARRAY:
		return off < line.n && line.p[off] == '[' ? json_block_end(line, off) : LINE_NO_SLOT;
	case SLOT_BARE: return bare_end(line, off);
	case SLOT_QUOTED: return quoted_end(line, off);
	case SLOT_TEXT:
	case SLOT_N: break;
	}
	return LINE_NO_SLOT;
}

/* ---- classes of bytes ----------------------------------------------------------------------------------------- */

static inline void masks_end(struct line_masks *out, size_t words)
{
	out->digit[words] = out->word[words] = out->hex[words] = out->quote[words] = 0;
}

void line_masks_portable(struct slice text, struct line_masks *out)
{
	size_t words = (text.n + 63) / 64;

	for (size_t w = 0; w <= words; w++)
		masks_end(out, w);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i], low = c | 0x20;
		uint64_t bit = UINT64_C(1) << (i & 63);
		bool digit = c >= '0' && c <= '9';

		if (digit)
			out->digit[i >> 6] |= bit;
		if (digit || (low >= 'a' && low <= 'f'))
			out->hex[i >> 6] |= bit;
		if (digit || (low >= 'a' && low <= 'z') || c >= 0x80)
			out->word[i >> 6] |= bit;
		if (c == '"')
			out->quote[i >> 6] |= bit;
	}
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline __m256i in_range_avx2(__m256i c, char from, char n)
{
	__m256i x = _mm256_sub_epi8(c, _mm256_set1_epi8(from));

	return _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8((char)(n - 1))), x);
}

__attribute__((target("avx2"))) static inline uint64_t bits_avx2(__m256i lo, __m256i hi)
{
	return (uint64_t)(uint32_t)_mm256_movemask_epi8(lo) | (uint64_t)(uint32_t)_mm256_movemask_epi8(hi)
								      << 32;
}

__attribute__((target("avx2"))) static void masks_avx2(struct slice text, struct line_masks *out)
{
	const __m256i lower = _mm256_set1_epi8(0x20), quote = _mm256_set1_epi8('"');
	char last[64] __attribute__((aligned(32)));
	size_t w = 0;

	for (size_t i = 0; i < text.n; i += 64, w++) {
		const char *p = text.p + i;

		if (text.n - i < 64) {
			_mm256_store_si256((__m256i *)(void *)last, _mm256_setzero_si256());
			_mm256_store_si256((__m256i *)(void *)(last + 32), _mm256_setzero_si256());
			memcpy(last, p, text.n - i);
			p = last;
		}
		__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
		__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
		__m256i la = _mm256_or_si256(a, lower), lb = _mm256_or_si256(b, lower);
		uint64_t digit = bits_avx2(in_range_avx2(a, '0', 10), in_range_avx2(b, '0', 10));

		out->digit[w] = digit;
		out->hex[w] = digit | bits_avx2(in_range_avx2(la, 'a', 6), in_range_avx2(lb, 'a', 6));
		out->word[w] = digit | bits_avx2(_mm256_or_si256(in_range_avx2(la, 'a', 26), a),
						 _mm256_or_si256(in_range_avx2(lb, 'a', 26), b));
		out->quote[w] = bits_avx2(_mm256_cmpeq_epi8(a, quote), _mm256_cmpeq_epi8(b, quote));
	}
	masks_end(out, w);
}
#endif

void line_masks(struct slice text, struct line_masks *out)
{
	assert(text.n <= LINE_MAX_PLAIN);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		masks_avx2(text, out);
		return;
	}
#endif
	line_masks_portable(text, out);
}

/* ---- plain text ----------------------------------------------------------------------------------------------- */

/* 64 bits from bit i on. */
static inline uint64_t bits_at(const uint64_t *w, size_t i)
{
	size_t shift = i & 63;

	w += i >> 6;
	return shift == 0 ? w[0] : w[0] >> shift | w[1] << (64 - shift);
}

/* Number of ones from bit i on; at least one zero stands behind the text. */
static inline size_t ones_at(const uint64_t *w, size_t i)
{
	size_t n = 0;

	for (;;) {
		uint64_t zeros = ~bits_at(w, i + n);

		if (zeros != 0)
			return n + (size_t)__builtin_ctzll(zeros);
		n += 64;
	}
}

static inline uint64_t low_bits(size_t n)
{
	return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

struct plain {
	struct slice s;
	size_t done; /* all before it is decided */
	const struct line_masks *masks;
};

static inline bool is_word(const struct plain *t, size_t i)
{
	return (t->masks->word[i >> 6] >> (i & 63) & 1) != 0;
}

static bool is_name(const char *p, const char *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(p, names + 3 * i, 3) == 0)
			return true;
	return false;
}

/* Where a date-time with the digit at i would begin if it begins with the name of a month or weekday; else i. */
static size_t name_before(const struct plain *t, size_t i)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", days[] = "MonTueWedThuFriSatSun";
	const char *p = t->s.p;
	size_t at = i;

	if (at < t->done + 4 || p[at - 1] != ' ')
		return i;
	at -= p[at - 2] == ' ' ? 2 : 1;
	if (at < t->done + 3 || !is_name(p + at - 3, months, 12))
		return i;
	at -= 3;
	if (at >= t->done + 4 && p[at - 1] == ' ' && is_name(p + at - 4, days, 7))
		at -= 4;
	return at == 0 || !is_word(t, at - 1) ? at : i;
}

/* A cheap look at whether the digit at i may begin a date-time. */
static bool like_time(const struct plain *t, size_t i)
{
	const char *p = t->s.p + i;
	size_t n = t->s.n - i;

	if (n < 8 || !is_digit(p[1]))
		return false;
	if (p[2] == ':' || p[2] == '/' || p[2] == '-' || (p[2] == '.' && p[5] == '.'))
		return true;
	if (!is_digit(p[2]))
		return p[2] == ' ' && p[3] >= 'A' && p[3] <= 'Z';
	if (!is_digit(p[3]))
		return false;
	if (p[4] == '-' || p[4] == '/' || p[4] == '.' || p[6] == ' ')
		return true;
	return n > 8 && (p[8] == '-' || p[8] == 'T' || p[8] == ' ' || p[8] == '_');
}

static size_t take_time(struct plain *t, size_t i, struct line_slots *out)
{
	struct time_format format;
	size_t from = name_before(t, i);

	if (from == i && (!like_time(t, i) || (i > 0 && is_word(t, i - 1))))
		return 0;
	size_t n = time_format_detect(slice_from(t->s, from), &format);
	if (n == 0 || n > t->s.n - from || from + n <= i)
		return 0;
	add_slot(out, from, from + n, PLAIN_TIME, 0);
	return from + n;
}

/* q is at a quote: what stands up to the next one that no backslash escapes is a slot. */
static size_t take_quoted(struct plain *t, size_t q, struct line_slots *out)
{
	size_t words = (t->s.n + 63) / 64, w = (q + 1) >> 6;
	uint64_t m = t->masks->quote[w] & ~low_bits((q + 1) & 63);

	for (;;) {
		while (m == 0) {
			if (++w >= words)
				return 0;
			m = t->masks->quote[w];
		}
		size_t end = w * 64 + (size_t)__builtin_ctzll(m), slashes = 0;

		while (t->s.p[end - 1 - slashes] == '\\')
			slashes++; /* stops at the opening quote */
		if (slashes % 2 == 0) {
			add_slot(out, q + 1, end, PLAIN_QUOTED, 0);
			return end + 1;
		}
		m &= m - 1;
	}
}

static bool is_unit(const char *p, size_t n)
{
	static const char units[][3] = { "s",  "ms", "us", "ns", "m",  "h",  "d",  "b",	 "B",  "kb",
					 "kB", "Kb", "KB", "mb", "MB", "gb", "GB", "tb", "TB", "k",
					 "K",  "M",  "G",  "x",	 "st", "nd", "rd", "th" };

	if (n == 3)
		return p[1] == 'i' && p[2] == 'B' &&
		       (p[0] == 'K' || p[0] == 'M' || p[0] == 'G' || p[0] == 'T');
	for (size_t i = 0; n > 0 && n < 3 && i < sizeof(units) / sizeof(units[0]); i++)
		if (p[0] == units[i][0] && (n == 1 ? '\0' : p[1]) == units[i][1])
			return true;
	return false;
}

/* The number whose first digit is at i: further groups of digits behind points (a fraction, an address, a version)
 * belong to it. Where it ends; in the middle of a word that is neither number nor number and unit: behind that word. */
static size_t number_end(const struct plain *t, size_t i)
{
	for (;;) {
		size_t digits = i + ones_at(t->masks->digit, i), end = i + ones_at(t->masks->word, i);

		if (digits < end)
			return is_unit(t->s.p + digits, end - digits) ? digits : end;
		if (end + 1 >= t->s.n || t->s.p[end] != '.' || !is_digit(t->s.p[end + 1]))
			return end;
		i = end + 1;
	}
}

static bool is_uuid(const struct plain *t, size_t from)
{
	const uint64_t words = UINT64_C(0xff) | UINT64_C(0xf) << 9 | UINT64_C(0xf) << 14 |
			       UINT64_C(0xf) << 19 | UINT64_C(0xfff) << 24;
	const char *p = t->s.p + from;

	return t->s.n - from >= 36 && (bits_at(t->masks->hex, from) & low_bits(36)) == words &&
	       (bits_at(t->masks->word, from) & low_bits(37)) == words && p[8] == '-' && p[13] == '-' &&
	       p[18] == '-' && p[23] == '-';
}

static bool is_sign(const struct plain *t, size_t i)
{
	if (i < t->done || t->s.p[i] != '-')
		return false;
	return i == 0 || memchr(" =:([,_", t->s.p[i - 1], 7) != NULL;
}

/* The word around the digit at i, none of whose bytes before i is a digit. */
static size_t take_word(struct plain *t, size_t i, struct line_slots *out)
{
	size_t from = i, end;

	while (from > t->done && is_word(t, from - 1))
		from--;
	size_t n = ones_at(t->masks->word, from);
	uint64_t word_bits = low_bits(n), digits = bits_at(t->masks->digit, from) & word_bits,
		 hex = bits_at(t->masks->hex, from) & word_bits;

	end = from + n;
	if (n > 64) {
		add_slot(out, from, end, PLAIN_WORD, 0);
		return end;
	}
	if (n == 8 && is_uuid(t, from)) {
		add_slot(out, from, from + 36, PLAIN_UUID, 0);
		return from + 36;
	}
	if (hex == word_bits && n >= 8 && n % 2 == 0 && digits != word_bits) {
		add_slot(out, from, end, PLAIN_WORD, 0);
		return end;
	}
	size_t prefix = i - from;
	if (prefix == 0 && n > 2 && t->s.p[from] == '0' && t->s.p[from + 1] == 'x') {
		add_slot(out, from + 2, end, PLAIN_WORD, 0);
		return end;
	}
	if (digits >> prefix == word_bits >> prefix ||
	    prefix == 0) { /* letters and digits, or digits first */
		size_t first = prefix == 0 && from > 0 && is_sign(t, from - 1) ? i - 1 : i;

		end = number_end(t, i);
		/* digits first, but no number: a word */
		bool word = prefix == 0 && end == from + n && digits != word_bits;
		add_slot(out, first, end, word ? PLAIN_WORD : PLAIN_NUMBER, 0);
		return end;
	}
	add_slot(out, from, end, PLAIN_WORD, 0);
	return end;
}

void line_shape_plain(struct slice text, struct line_slots *out)
{
	struct plain t;
	size_t words = (text.n + 63) / 64;

	out->n = 0;
	if (text.n > LINE_MAX_PLAIN) {
		add_slot(out, 0, text.n, PLAIN_REST, 0);
		return;
	}
	t.s = text;
	t.done = 0;
	t.masks = &out->masks;
	line_masks(text, &out->masks);
	for (;;) {
		size_t w = t.done >> 6, at, end;

		if (w >= words)
			return;
		uint64_t m = (t.masks->digit[w] | t.masks->quote[w]) & ~low_bits(t.done & 63);
		while (m == 0) {
			if (++w >= words)
				return;
			m = t.masks->digit[w] | t.masks->quote[w];
		}
		at = w * 64 + (size_t)__builtin_ctzll(m);
		if (out->n == LINE_MAX_PLAIN_SLOTS - 1) {
			add_slot(out, at, text.n, PLAIN_REST, 0);
			return;
		}
		if (text.p[at] == '"') {
			end = take_quoted(&t, at, out);
		} else {
			end = take_time(&t, at, out);
			if (end == 0)
				end = take_word(&t, at, out);
		}
		t.done = end == 0 ? at + 1 : end;
	}
}

static inline bool is_word_char(char c)
{
	return is_digit(c) || ((unsigned char)(c | 0x20) >= 'a' && (unsigned char)(c | 0x20) <= 'z') ||
	       (unsigned char)c >= 0x80;
}

static size_t plain_number_end(struct slice s, size_t i)
{
	if (i < s.n && s.p[i] == '-')
		i++;
	size_t end = digits_end(s, i);
	if (end == i)
		return LINE_NO_SLOT;
	while (end + 1 < s.n && s.p[end] == '.' && is_digit(s.p[end + 1]))
		end = digits_end(s, end + 1);
	return end;
}

/* Digits for digits, letters for letters, else the same; a day of one digit may be padded by a space. */
static size_t plain_time_end(struct slice s, size_t off, struct slice like)
{
	if (s.n - off < like.n)
		return LINE_NO_SLOT;
	for (size_t i = 0; i < like.n; i++) {
		char a = like.p[i], b = s.p[off + i];

		if (a == b || (is_digit(a) && is_digit(b)))
			continue;
		if (!is_digit(a) && !is_digit(b) && is_word_char(a) && is_word_char(b))
			continue;
		if (i == 0 || like.p[i - 1] != ' ' || !(a == ' ' ? is_digit(b) : b == ' ' && is_digit(a)))
			return LINE_NO_SLOT;
	}
	return off + like.n;
}

size_t line_plain_end(enum plain_class what, struct slice s, size_t off, struct slice like)
{
	size_t i = off;

	switch (what) {
	case PLAIN_NUMBER: return plain_number_end(s, off);
	case PLAIN_WORD:
		while (i < s.n && is_word_char(s.p[i]))
			i++;
		return i > off ? i : LINE_NO_SLOT;
	case PLAIN_UUID:
		if (s.n - off < 36 || s.p[off + 8] != '-' || s.p[off + 13] != '-' || s.p[off + 18] != '-' ||
		    s.p[off + 23] != '-' || (s.n - off > 36 && is_word_char(s.p[off + 36])))
			return LINE_NO_SLOT;
		return off + 36;
	case PLAIN_QUOTED:
		for (;; i += 2) {
			i = string_special(s, i);
			while (i < s.n && (unsigned char)s.p[i] < 0x20)
				i = string_special(s, i + 1);
			if (i >= s.n || s.p[i] == '"')
				return i < s.n ? i : LINE_NO_SLOT;
		}
	case PLAIN_TIME: return plain_time_end(s, off, like);
	case PLAIN_REST: return s.n;
	}
	return LINE_NO_SLOT;
}
