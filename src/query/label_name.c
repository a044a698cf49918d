#include "query/label_name.h"
#include "query/label_set.h"
#include "base/text.h"

#define TEN(c)                                                                                               \
	[c] = 1, [c + 1] = 1, [c + 2] = 1, [c + 3] = 1, [c + 4] = 1, [c + 5] = 1, [c + 6] = 1, [c + 7] = 1,  \
	[c + 8] = 1, [c + 9] = 1
#define LETTERS(c)                                                                                           \
	TEN(c), TEN(c + 10), [c + 20] = 1, [c + 21] = 1, [c + 22] = 1, [c + 23] = 1, [c + 24] = 1,           \
				  [c + 25] = 1

/* [a-zA-Z0-9_] */
static bool is_word(char c)
{
	static const uint8_t word[256] = { TEN('0'), LETTERS('a'), LETTERS('A'), ['_'] = 1 };

	return word[(unsigned char)c];
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Unicode's White_Space, as Go's strings.TrimSpace sees it. */
static bool is_space_rune(uint32_t r)
{
	return (r >= '\t' && r <= '\r') || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
	       (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f ||
	       r == 0x3000;
}

static struct slice trim_runes(struct slice s)
{
	size_t len;

	while (s.n > 0 && is_space_rune(utf8_decode(s, &len)))
		s = slice_from(s, len);
	while (s.n > 0) {
		size_t back = 1;

		while (back < s.n && back < 4 && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80)
			back++;
		struct slice last = slice_from(s, s.n - back);
		if (!is_space_rune(utf8_decode(last, &len)) || len != back)
			break;
		s.n -= back;
	}
	return s;
}

static bool is_clean(struct slice s, bool start)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_word(s.p[i]))
			return false;
	return !start || s.n == 0 || !is_digit(s.p[0]);
}

struct slice label_name_sanitise(struct slice text, bool start, struct arena *a)
{
	if (is_clean(text, start))
		return text;
	text = trim_runes(text);
	if (is_clean(text, start))
		return text;
	char *p = arena_alloc_bytes(a, text.n + 1);
	size_t n = 0, len;
	if (start && is_digit(text.p[0]))
		p[n++] = '_';
	for (; text.n > 0; text = slice_from(text, len)) {
		utf8_decode(text, &len);
		p[n++] = is_word(text.p[0]) ? text.p[0] : '_';
	}
	return slice_of(p, n);
}

struct slice label_name_join(struct slice prefix, struct slice key, struct arena *a)
{
	struct slice part = label_name_sanitise(key, prefix.n == 0, a);

	if (prefix.n == 0 || part.n == 0)
		return prefix.n == 0 ? part : prefix;
	char *p = arena_alloc_bytes(a, prefix.n + 1 + part.n);
	memcpy(p, prefix.p, prefix.n);
	p[prefix.n] = '_';
	memcpy(p + prefix.n + 1, part.p, part.n);
	return slice_of(p, prefix.n + 1 + part.n);
}

struct slice label_name_suffix(struct slice name, struct arena *a)
{
	return slice_cstr(arena_printf(a, "%.*s" LABEL_SUFFIX, SLICE_ARG(name)));
}
