#include "base/fold.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>
#include "base/mem.h"
#include "base/text.h"

/* Runes that share their other case with a more common rune: both map to the same upper or lower case, so one
 * of the two is not reached by going up and down again. Titlecase digraphs stand here, too. */
static const struct odd_rune {
	uint32_t rune, lower;
} odd_runes[] = {
	{ 0x00b5, 0x03bc }, { 0x017f, 's' },	{ 0x01c5, 0x01c6 }, { 0x01c8, 0x01c9 }, { 0x01cb, 0x01cc },
	{ 0x01f2, 0x01f3 }, { 0x0345, 0x03b9 }, { 0x03c2, 0x03c3 }, { 0x03d0, 0x03b2 }, { 0x03d1, 0x03b8 },
	{ 0x03d5, 0x03c6 }, { 0x03d6, 0x03c0 }, { 0x03f0, 0x03ba }, { 0x03f1, 0x03c1 }, { 0x03f4, 0x03b8 },
	{ 0x03f5, 0x03b5 }, { 0x1e9b, 0x1e61 }, { 0x1e9e, 0x00df }, { 0x1fbe, 0x03b9 }, { 0x2126, 0x03c9 },
	{ 0x212a, 'k' },    { 0x212b, 0x00e5 },
};

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void unicode_open(void)
{
	unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (unicode == (locale_t)0)
		unicode = newlocale(LC_CTYPE_MASK, "C", (locale_t)0); /* ASCII alone, then */
}

uint32_t rune_lower(uint32_t r)
{
	if (r < 0x80)
		return r >= 'A' && r <= 'Z' ? r + 32 : r;
	pthread_once(&unicode_once, unicode_open);
	return (uint32_t)towlower_l((wint_t)r, unicode);
}

uint32_t rune_upper(uint32_t r)
{
	if (r < 0x80)
		return r >= 'a' && r <= 'z' ? r - 32 : r;
	pthread_once(&unicode_once, unicode_open);
	return (uint32_t)towupper_l((wint_t)r, unicode);
}

bool rune_is_alnum(uint32_t r)
{
	if (r < 0x80)
		return (r >= '0' && r <= '9') || (rune_lower(r) >= 'a' && rune_lower(r) <= 'z');
	pthread_once(&unicode_once, unicode_open);
	return r != 0xfffd && iswalnum_l((wint_t)r, unicode) != 0;
}

uint32_t rune_fold(uint32_t r)
{
	if (r < 0x80)
		return rune_lower(r);
	if (r == 0x130 || r == 0x131) /* the Turkish I's have no simple counterpart */
		return r;
	for (size_t i = 0; i < ARRAY_LEN(odd_runes); i++)
		if (odd_runes[i].rune == r)
			return odd_runes[i].lower;
	return rune_lower(rune_upper(r));
}

size_t rune_orbit(uint32_t r, uint32_t out[RUNE_MAX_ORBIT])
{
	uint32_t low = rune_fold(r), up = low == 0x130 || low == 0x131 ? low : rune_upper(low);
	size_t n = 0;

	out[n++] = low;
	if (up != low)
		out[n++] = up;
	for (size_t i = 0; i < ARRAY_LEN(odd_runes) && n < RUNE_MAX_ORBIT; i++)
		if (odd_runes[i].lower == low && odd_runes[i].rune != up)
			out[n++] = odd_runes[i].rune;
	return n;
}

/* All of s is ASCII. Eight bytes at a time: adding to each byte what carries into its top bit from 'A' on,
 * and from behind 'Z' on, leaves the two sums differ in that bit for capitals alone. */
static void ascii_lower(char *out, struct slice s)
{
	const uint64_t ones = 0x0101010101010101ULL;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t v;

		memcpy(&v, s.p + i, 8);
		v |= ((v + ones * (0x80 - 'A')) ^ (v + ones * (0x7f - 'Z'))) >> 2 & ones * 0x20;
		memcpy(out + i, &v, 8);
	}
	for (; i < s.n; i++)
		out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
}

/* Appends one rune of s in lower case; returns its length in s. */
static size_t lower_one(struct buf *out, struct slice s)
{
	char utf8[4];
	size_t n;
	uint32_t r = utf8_decode(s, &n);

	if (r == 0xfffd)
		buf_append(out, s.p, n);
	else
		buf_append(out, utf8, utf8_encode(utf8, rune_lower(r)));
	return n;
}

void text_lower(struct buf *out, struct slice s)
{
	while (s.n > 0) {
		size_t n = ascii_prefix(s);

		ascii_lower(buf_reserve(out, n), slice_sub(s, 0, n));
		out->n += n;
		s = slice_from(s, n);
		if (s.n > 0)
			s = slice_from(s, lower_one(out, s));
	}
}

/* Whether the byte at `low_at` of the lower-cased text comes from an ASCII byte. The places are carried
 * along, so that asking for growing offsets walks the text once. */
static bool was_ascii(struct slice text, size_t *at, size_t *low_done, size_t low_at)
{
	char utf8[4];

	while (*low_done < low_at && *at < text.n) {
		size_t n;
		uint32_t r = utf8_decode(slice_from(text, *at), &n);

		*low_done += r == 0xfffd ? n : utf8_encode(utf8, rune_lower(r));
		*at += n;
	}
	return *at < text.n && (unsigned char)text.p[*at] < 0x80;
}

static bool has_fold_unicode(struct slice text, struct slice needle)
{
	struct buf low;
	bool found = false;
	size_t from = 0, at = 0, done = 0;

	buf_init(&low);
	text_lower(&low, text);
	while (!found) {
		size_t hit = slice_find(slice_from(buf_slice(&low), from), needle);

		if (hit == SLICE_NONE)
			break;
		found = (unsigned char)needle.p[0] >= 0x80 || was_ascii(text, &at, &done, from + hit);
		from += hit + 1;
	}
	buf_fini(&low);
	return found;
}

bool text_has_fold(struct slice text, struct slice needle)
{
	char small[2048];

	if (needle.n == 0)
		return true;
	if (ascii_prefix(text) < text.n)
		return has_fold_unicode(text, needle);
	if (needle.n > text.n || ascii_prefix(needle) < needle.n)
		return false;
	char *low = text.n <= sizeof(small) ? small : xmalloc(text.n);
	ascii_lower(low, text);
	bool found = slice_find(slice_of(low, text.n), needle) != SLICE_NONE;
	if (low != small)
		free(low);
	return found;
}

bool text_eq_fold(struct slice text, struct slice lower)
{
	struct buf low;

	if (text.n == lower.n && slice_eq(text, lower))
		return true;
	buf_init(&low);
	text_lower(&low, text);
	bool eq = slice_eq(buf_slice(&low), lower);
	buf_fini(&low);
	return eq;
}
