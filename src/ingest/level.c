/* Order of the search: metadata detected_level, a stream label, metadata (names in the order of the table),
 * metadata severity_number, a field of the JSON or logfmt line, a bounded keyword anywhere in the line,
 * "unknown". */
#include "ingest/level.h"
#include "base/mem.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { N_NAMES = 14, NO_RANK = N_NAMES };

static const struct slice names[N_NAMES] = {
	{ "level", 5 },
	{ "LEVEL", 5 },
	{ "Level", 5 },
	{ "log.level", 9 },
	{ "severity", 8 },
	{ "SEVERITY", 8 },
	{ "Severity", 8 },
	{ "SeverityText", 12 },
	{ "lvl", 3 },
	{ "LVL", 3 },
	{ "Lvl", 3 },
	{ "severity_text", 13 },
	{ "Severity_Text", 13 },
	{ "SEVERITY_TEXT", 13 },
};

const struct slice *level_names(size_t *n)
{
	*n = N_NAMES;
	return names;
}

static const struct {
	struct slice word, level;
} words[] = {
	{ { "info", 4 }, { "info", 4 } },	  { { "error", 5 }, { "error", 5 } },
	{ { "warn", 4 }, { "warn", 4 } },	  { { "debug", 5 }, { "debug", 5 } },
	{ { "warning", 7 }, { "warn", 4 } },	  { { "trace", 5 }, { "trace", 5 } },
	{ { "fatal", 5 }, { "fatal", 5 } },	  { { "critical", 8 }, { "critical", 8 } },
	{ { "err", 3 }, { "error", 5 } },	  { { "inf", 3 }, { "info", 4 } },
	{ { "information", 11 }, { "info", 4 } }, { { "dbg", 3 }, { "debug", 5 } },
	{ { "wrn", 3 }, { "warn", 4 } },	  { { "trc", 3 }, { "trace", 5 } },
};

/* Words that count anywhere in a line, the longer of two with the same beginning first. */
static const struct {
	struct slice word, level;
} keywords[] = {
	{ { "trace", 5 }, { "trace", 5 } },  { { "debug", 5 }, { "debug", 5 } },
	{ { "fatal", 5 }, { "fatal", 5 } },  { { "critical", 8 }, { "critical", 8 } },
	{ { "error", 5 }, { "error", 5 } },  { { "err", 3 }, { "error", 5 } },
	{ { "warning", 7 }, { "warn", 4 } }, { { "warn", 4 }, { "warn", 4 } },
	{ { "info", 4 }, { "info", 4 } },
};

static const struct slice unknown = { "unknown", 7 };
static const struct slice none = { NULL, 0 };

static struct slice known_level(struct slice word)
{
	if (word.n < 3 || word.n > 11)
		return none;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].word.n == word.n && slice_eq_nocase(words[i].word, word))
			return words[i].level;
	return none;
}

struct slice level_normalise(struct slice word)
{
	struct slice level = known_level(word);

	return level.p != NULL ? level : word;
}

/* ---------------------------------------------------------------- labels and metadata */

/* Most names are none of them, and that shows in their length and first letter. */
static bool may_be_name(struct slice name)
{
	return name.n >= 3 && name.n <= 13 && ((name.p[0] | 0x20) == 'l' || (name.p[0] | 0x20) == 's');
}

static size_t name_rank(struct slice name)
{
	if (!may_be_name(name))
		return NO_RANK;
	for (size_t i = 0; i < N_NAMES; i++)
		if (slice_eq(names[i], name))
			return i;
	return NO_RANK;
}

struct slice level_of_labels(struct labels l)
{
	size_t best = NO_RANK;
	struct slice level = none;

	for (size_t i = 0; i < l.n; i++) {
		size_t rank = name_rank(l.v[i].name);

		if (rank < best && l.v[i].value.n > 0) {
			best = rank;
			level = level_normalise(l.v[i].value);
		}
	}
	return level;
}

static struct slice level_of_number(struct slice text)
{
	static const struct slice by_four[] = { { "trace", 5 }, { "debug", 5 }, { "info", 4 },
						{ "warn", 4 },	{ "error", 5 }, { "fatal", 5 } };
	int64_t n;

	if (!slice_to_i64(text, &n))
		return SLICE("info");
	return n >= 1 && n <= 24 ? by_four[(n - 1) / 4] : unknown;
}

struct slice level_detect(struct slice of_labels, const struct label *meta, size_t n_meta, struct slice line)
{
	struct slice number = none;
	struct slice level = level_of_labels((struct labels){ meta, n_meta });

	for (size_t i = 0; i < n_meta; i++) {
		if (slice_is(meta[i].name, "detected_level") && meta[i].value.n > 0)
			return level_normalise(meta[i].value);
		if (slice_is(meta[i].name, "severity_number"))
			number = meta[i].value;
	}
	if (of_labels.p != NULL)
		return of_labels;
	if (level.p != NULL)
		return level;
	return number.p != NULL ? level_of_number(number) : level_of_line(line);
}

/* ---------------------------------------------------------------- JSON lines */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct slice s, size_t i)
{
	while (i < s.n && is_space(s.p[i]))
		i++;
	return i;
}

/* s.p[i - 1] is an opening quote: offset of the closing one, s.n if there is none. */
static size_t string_end(struct slice s, size_t i)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
#endif
	for (;;) {
#if defined(__SSE2__)
		for (; s.n - i >= 16; i += 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
			unsigned mask = (unsigned)_mm_movemask_epi8(
				_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));

			if (mask != 0) {
				i += (size_t)__builtin_ctz(mask);
				break;
			}
		}
#endif
		while (i < s.n && s.p[i] != '"' && s.p[i] != '\\')
			i++;
		if (i >= s.n || s.p[i] == '"')
			return i;
		i += 2;
		if (i >= s.n)
			return s.n;
	}
}

/* Behind an object or array that begins at i; s.n if it does not end. */
static size_t skip_container(struct slice s, size_t i)
{
	size_t depth = 0;

	for (; i < s.n; i++) {
		char c = s.p[i];

		if (c == '"') {
			i = string_end(s, i + 1);
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return i + 1;
		}
	}
	return s.n;
}

static size_t skip_scalar(struct slice s, size_t i)
{
	while (i < s.n && s.p[i] != ',' && s.p[i] != '}' && s.p[i] != ']' && !is_space(s.p[i]))
		i++;
	return i;
}

/* The first string member with a level's name, in the order of the text, of the object or of an object
 * directly in it. s.p[i] stands behind the brace; *end is set behind the closing one. */
static struct slice level_member(struct slice s, size_t i, size_t *end, bool nested)
{
	while ((i = skip_space(s, i)) < s.n && s.p[i] == '"') {
		size_t close = string_end(s, i + 1);
		struct slice key = slice_sub(s, i + 1, close - i - 1);

		i = skip_space(s, close + 1);
		if (close >= s.n || i >= s.n || s.p[i] != ':')
			break;
		i = skip_space(s, i + 1);
		if (i >= s.n)
			break;
		if (s.p[i] == '"') {
			close = string_end(s, i + 1);
			if (close >= s.n)
				break;
			if (name_rank(key) < NO_RANK)
				return slice_sub(s, i + 1, close - i - 1);
			i = close + 1;
		} else if (s.p[i] == '{' && !nested) {
			struct slice inner = level_member(s, i + 1, &i, true);

			if (inner.p != NULL)
				return inner;
		} else if (s.p[i] == '{' || s.p[i] == '[') {
			i = skip_container(s, i);
		} else {
			i = skip_scalar(s, i);
		}
		i = skip_space(s, i);
		if (i >= s.n || s.p[i] != ',')
			break;
		i++;
	}
	*end = i < s.n && s.p[i] == '}' ? i + 1 : s.n;
	return none;
}

/* ---------------------------------------------------------------- logfmt lines */

/* Names without case; keys are compared in the order of the table. */
static size_t name_rank_nocase(struct slice name)
{
	if (!may_be_name(name))
		return NO_RANK;
	for (size_t i = 0; i < N_NAMES; i++)
		if (names[i].n == name.n && slice_eq_nocase(names[i], name))
			return i;
	return NO_RANK;
}

static bool is_sep(char c)
{
	return (unsigned char)c <= ' ';
}

static struct slice level_pair(struct slice s)
{
	struct slice found = none;
	size_t best = NO_RANK;

	for (size_t i = 0; i < s.n && best > 0;) {
		size_t start = i, eq, end;
		struct slice value;

		if (is_sep(s.p[i])) {
			i++;
			continue;
		}
		while (i < s.n && !is_sep(s.p[i]) && s.p[i] != '=' && s.p[i] != '"')
			i++;
		eq = i;
		if (i >= s.n || s.p[i] != '=' || eq == start) {
			/* A bare word, or no pair at all: on to the next separator. */
			while (i < s.n && !is_sep(s.p[i]))
				i++;
			continue;
		}
		i++;
		if (i < s.n && s.p[i] == '"') {
			end = string_end(s, i + 1);
			if (end >= s.n)
				break;
			value = slice_sub(s, i + 1, end - i - 1);
			i = end + 1;
		} else {
			bool ok = true;

			for (end = i; i < s.n && !is_sep(s.p[i]); i++)
				ok &= s.p[i] != '=' && s.p[i] != '"';
			if (!ok)
				continue;
			value = slice_sub(s, end, i - end);
		}
		size_t rank = name_rank_nocase(slice_sub(s, start, eq - start));
		if (rank < best) {
			best = rank;
			found = value;
		}
	}
	return found;
}

/* ---------------------------------------------------------------- any line */

static bool in_set(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static struct slice keyword_at(struct slice s, size_t i)
{
	struct slice rest = slice_from(s, i);

	if (i > 0 && !in_set(s.p[i - 1], " \t\n[({\"'=|"))
		return none;
	for (size_t k = 0; k < ARRAY_LEN(keywords); k++) {
		size_t n = keywords[k].word.n;

		if (rest.n >= n && slice_eq_nocase(slice_sub(rest, 0, n), keywords[k].word) &&
		    (rest.n == n || in_set(rest.p[n], " \t\n[](){}:,!\"'=|")))
			return keywords[k].level;
	}
	return none;
}

/* Every keyword holds one of these pairs of letters at its start. */
static bool may_start(char a, char b)
{
	switch (a | 0x20) {
	case 't':
	case 'c': return (b | 0x20) == 'r';
	case 'd': return (b | 0x20) == 'e';
	case 'f':
	case 'w': return (b | 0x20) == 'a';
	case 'e': return (b | 0x20) == 'r';
	case 'i': return (b | 0x20) == 'n';
	default: return false;
	}
}

#if defined(__SSE2__)
static __m128i eq(__m128i v, char c)
{
	return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* Offsets in [i, i + 16) whose two letters could start a keyword: tr cr er, fa wa, de, in. Needs 17 bytes. */
static unsigned starts(const char *p)
{
	const __m128i fold = _mm_set1_epi8(0x20);
	__m128i a = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)p), fold);
	__m128i b = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)(p + 1)), fold);
	__m128i r = _mm_and_si128(_mm_or_si128(_mm_or_si128(eq(a, 't'), eq(a, 'c')), eq(a, 'e')), eq(b, 'r'));

	r = _mm_or_si128(r, _mm_and_si128(_mm_or_si128(eq(a, 'f'), eq(a, 'w')), eq(b, 'a')));
	r = _mm_or_si128(r, _mm_and_si128(eq(a, 'd'), eq(b, 'e')));
	r = _mm_or_si128(r, _mm_and_si128(eq(a, 'i'), eq(b, 'n')));
	return (unsigned)_mm_movemask_epi8(r);
}
#endif

static struct slice first_keyword(struct slice s)
{
	size_t i = 0;

#if defined(__SSE2__)
	for (; i + 17 <= s.n; i += 16) {
		for (unsigned mask = starts(s.p + i); mask != 0; mask &= mask - 1) {
			struct slice level = keyword_at(s, i + (size_t)__builtin_ctz(mask));

			if (level.p != NULL)
				return level;
		}
	}
#endif
	for (; i + 3 <= s.n; i++) {
		if (may_start(s.p[i], s.p[i + 1])) {
			struct slice level = keyword_at(s, i);

			if (level.p != NULL)
				return level;
		}
	}
	return none;
}

struct slice level_of_line(struct slice line)
{
	size_t first = skip_space(line, 0), last = line.n, end;
	struct slice value = none, level;

	while (last > first && is_space(line.p[last - 1]))
		last--;
	if (last > first && line.p[first] == '{' && line.p[last - 1] == '}')
		value = level_member(line, first + 1, &end, false);
	else if (slice_find_byte(line, '=') != SLICE_NONE)
		value = level_pair(line);
	level = known_level(value);
	if (level.p == NULL)
		level = first_keyword(line);
	return level.p != NULL ? level : unknown;
}
