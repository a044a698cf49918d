/* Functions on text. Arguments stand in the order of the template. */
#include "base/base64.h"
#include "base/fold.h"
#include "base/mem.h"
#include "base/re_expand.h"
#include "base/text.h"
#include "logql/units.h"
#include "query/tmpl_func.h"

#define UNUSED(x) ((void)(x))

static bool text(struct tmpl_value *out, struct slice s)
{
	*out = tmpl_text(s);
	return true;
}

static const struct slice replacement_rune = { "\xef\xbf\xbd", 3 };

/* ---- case ---- */

static bool map_ascii(struct tmpl_run *r, struct slice s, bool upper, struct tmpl_value *out)
{
	char *p = tmpl_room(r, s.n), first = upper ? 'a' : 'A';

	if (p == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		p[i] = (char)(s.p[i] ^ ((unsigned char)(s.p[i] - first) < 26 ? 32 : 0));
	return text(out, slice_of(p, s.n));
}

/* Bytes that are not UTF-8 become U+FFFD. */
static bool map_runes(struct tmpl_run *r, struct slice s, uint32_t (*map)(uint32_t), struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	char utf8[4];

	for (size_t n; s.n > 0 && !sink.full; s = slice_from(s, n)) {
		uint32_t rune = map(utf8_decode(s, &n));

		tmpl_sink_put(&sink, slice_of(utf8, utf8_encode(utf8, rune)));
	}
	return tmpl_sink_value(r, &sink, out);
}

static bool lower(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	if (ascii_prefix(arg->s) == arg->s.n)
		return map_ascii(r, arg->s, false, out);
	return map_runes(r, arg->s, rune_lower, out);
}

static bool upper(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	if (ascii_prefix(arg->s) == arg->s.n)
		return map_ascii(r, arg->s, true, out);
	return map_runes(r, arg->s, rune_upper, out);
}

/* Digraphs have a third case, and Georgian letters have no upper case at the start of a word. */
static uint32_t title_rune(uint32_t r)
{
	if (r >= 0x1c4 && r <= 0x1cc)
		return r <= 0x1c6 ? 0x1c5 : r <= 0x1c9 ? 0x1c8 : 0x1cb;
	if (r >= 0x1f1 && r <= 0x1f3)
		return 0x1f2;
	if ((r >= 0x10d0 && r <= 0x10fa) || (r >= 0x10fd && r <= 0x10ff))
		return r;
	return rune_upper(r);
}

static bool is_space(uint32_t r)
{
	return (r >= 9 && r <= 13) || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
	       (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f ||
	       r == 0x3000;
}

static bool separates_words(uint32_t r)
{
	if (r < 0x80)
		return r != '_' && !rune_is_alnum(r);
	return is_space(r);
}

static bool title(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	bool start = true;
	char utf8[4];

	UNUSED(n);
	for (struct slice s = arg->s; s.n > 0 && !sink.full; s = slice_from(s, n)) {
		uint32_t rune = utf8_decode(s, &n);

		tmpl_sink_put(&sink, slice_of(utf8, utf8_encode(utf8, start ? title_rune(rune) : rune)));
		start = separates_words(rune);
	}
	return tmpl_sink_value(r, &sink, out);
}

/* ---- parts ---- */

static bool trunc_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s = arg[1].s;
	int64_t count = arg[0].i;

	UNUSED(r);
	UNUSED(n);
	if (count < 0 && count > -(int64_t)s.n)
		return text(out, slice_from(s, s.n - (size_t)-count));
	if (count >= 0)
		s = slice_sub(s, 0, (size_t)count);
	return text(out, s);
}

static bool substr(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	long long from = arg[0].i, to = arg[1].i;
	struct slice s = arg[2].s;
	long long len = (long long)s.n;

	UNUSED(n);
	if (from < 0) {
		if (to < 0)
			return tmpl_fail(r, "runtime error: slice bounds out of range [:%lld]", to);
		if (to > len)
			return tmpl_fail(r,
					 "runtime error: slice bounds out of range [:%lld] with length %lld",
					 to, len);
		return text(out, slice_sub(s, 0, (size_t)to));
	}
	if (to < 0 || to > len) {
		if (from > len)
			return tmpl_fail(r, "runtime error: slice bounds out of range [%lld:%lld]", from,
					 len);
		return text(out, slice_from(s, (size_t)from));
	}
	if (from > to)
		return tmpl_fail(r, "runtime error: slice bounds out of range [%lld:%lld]", from, to);
	return text(out, slice_sub(s, (size_t)from, (size_t)(to - from)));
}

static bool contains(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	*out = tmpl_bool(slice_find(arg[1].s, arg[0].s) != SLICE_NONE);
	return tmpl_charge(r, arg[1].s.n);
}

static bool has_prefix(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_bool(slice_starts(arg[1].s, arg[0].s));
	return true;
}

static bool has_suffix(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_bool(slice_ends(arg[1].s, arg[0].s));
	return true;
}

/* ---- trimming ---- */

static struct slice trim_with(struct slice s, bool (*strip)(uint32_t, struct slice), struct slice set,
			      bool left, bool right)
{
	size_t n;

	while (left && s.n > 0 && strip(utf8_decode(s, &n), set))
		s = slice_from(s, n);
	while (right && s.n > 0) {
		size_t from = s.n - 1;
		while (from > 0 && s.n - from < 4 && ((unsigned char)s.p[from] & 0xc0) == 0x80)
			from--;
		uint32_t rune = utf8_decode(slice_from(s, from), &n);
		if (n != s.n - from) { /* the last byte alone is no rune */
			from = s.n - 1;
			rune = 0xfffd;
		}
		if (!strip(rune, set))
			break;
		s.n = from;
	}
	return s;
}

static bool strip_space(uint32_t rune, struct slice set)
{
	UNUSED(set);
	return is_space(rune);
}

static bool strip_set(uint32_t rune, struct slice set)
{
	if (rune < 0x80)
		return slice_find_byte(set, (char)rune) != SLICE_NONE;
	for (size_t n; set.n > 0; set = slice_from(set, n))
		if (utf8_decode(set, &n) == rune)
			return true;
	return false;
}

static bool trim_space(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return tmpl_charge(r, arg->s.n) && text(out, trim_with(arg->s, strip_space, SLICE(""), true, true));
}

enum { MAX_CUT = 1024 };

/* Every rune at the ends is looked for in the set. */
static bool trim_cut(struct tmpl_run *r, struct slice s, struct slice cut, bool left, bool right,
		     struct tmpl_value *out)
{
	if (cut.n > MAX_CUT)
		return tmpl_fail(r, "more than %d bytes to trim", MAX_CUT);
	return tmpl_charge(r, s.n) && text(out, trim_with(s, strip_set, cut, left, right));
}

static bool trim_all(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return trim_cut(r, arg[1].s, arg[0].s, true, true, out);
}

static bool trim_both(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return trim_cut(r, arg[0].s, arg[1].s, true, true, out);
}

static bool trim_left(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return trim_cut(r, arg[0].s, arg[1].s, true, false, out);
}

static bool trim_right(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return trim_cut(r, arg[0].s, arg[1].s, false, true, out);
}

static struct slice without_prefix(struct slice s, struct slice prefix)
{
	return slice_starts(s, prefix) ? slice_from(s, prefix.n) : s;
}

static struct slice without_suffix(struct slice s, struct slice suffix)
{
	return slice_ends(s, suffix) ? slice_sub(s, 0, s.n - suffix.n) : s;
}

static bool trim_prefix(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return text(out, without_prefix(arg[1].s, arg[0].s));
}

static bool trim_suffix(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return text(out, without_suffix(arg[1].s, arg[0].s));
}

static bool trim_prefix_of(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return text(out, without_prefix(arg[0].s, arg[1].s));
}

static bool trim_suffix_of(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return text(out, without_suffix(arg[0].s, arg[1].s));
}

/* ---- longer texts ---- */

static bool bad_count(struct tmpl_run *r)
{
	return tmpl_fail(r, "strings: negative Repeat count");
}

static bool repeat(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s = arg[1].s;
	int64_t count = arg[0].i;
	size_t total;

	UNUSED(n);
	if (count < 0)
		return bad_count(r);
	if (__builtin_mul_overflow((size_t)count, s.n, &total))
		total = SIZE_MAX;
	char *p = tmpl_room(r, total);
	if (p == NULL)
		return false;
	for (size_t at = 0; s.n > 0 && at < total; at += s.n)
		memcpy(p + at, s.p, s.n);
	return text(out, slice_of(p, total));
}

/* old in s by new, at most `max` times. An empty old stands before each rune and at the end. */
static bool replace_in(struct tmpl_run *r, struct slice s, struct slice old, struct slice new, int64_t max,
		       struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	size_t n;

	if (max < 0)
		max = INT64_MAX;
	if (old.n == 0) {
		for (; max > 0 && !sink.full; max--) {
			tmpl_sink_put(&sink, new);
			if (s.n == 0)
				break;
			utf8_decode(s, &n);
			tmpl_sink_put(&sink, slice_sub(s, 0, n));
			s = slice_from(s, n);
		}
	} else {
		for (; max > 0 && !sink.full && (n = slice_find(s, old)) != SLICE_NONE; max--) {
			tmpl_sink_put(&sink, slice_sub(s, 0, n));
			tmpl_sink_put(&sink, new);
			s = slice_from(s, n + old.n);
		}
	}
	tmpl_sink_put(&sink, s);
	return tmpl_sink_value(r, &sink, out);
}

static bool replace(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return tmpl_charge(r, arg[2].s.n) && replace_in(r, arg[2].s, arg[0].s, arg[1].s, -1, out);
}

static bool replace_n(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return tmpl_charge(r, arg[0].s.n) && replace_in(r, arg[0].s, arg[1].s, arg[2].s, arg[3].i, out);
}

static bool indent_lines(struct tmpl_run *r, const struct tmpl_value *arg, bool newline,
			 struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	struct slice s = arg[1].s;

	if (arg[0].i < 0)
		return bad_count(r);
	if (newline)
		tmpl_sink_fill(&sink, '\n', 1);
	for (size_t end = 0; end != SLICE_NONE && !sink.full; s = slice_from(s, end + 1)) {
		end = slice_find_byte(s, '\n');
		tmpl_sink_fill(&sink, ' ', (size_t)arg[0].i);
		tmpl_sink_put(&sink, end == SLICE_NONE ? s : slice_sub(s, 0, end + 1));
		if (end == SLICE_NONE)
			break;
	}
	return tmpl_sink_value(r, &sink, out);
}

static bool indent(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return indent_lines(r, arg, false, out);
}

static bool nindent(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return indent_lines(r, arg, true, out);
}

/* Runes from, to; what is no UTF-8 becomes U+FFFD. */
static bool rune_part(struct tmpl_run *r, struct slice s, size_t from, size_t to, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	size_t n;

	for (size_t i = 0; s.n > 0 && i < to; i++, s = slice_from(s, n))
		if (utf8_decode(s, &n) == 0xfffd && n == 1 && i >= from)
			tmpl_sink_put(&sink, replacement_rune);
		else if (i >= from)
			tmpl_sink_put(&sink, slice_sub(s, 0, n));
	return tmpl_sink_value(r, &sink, out);
}

static bool align(struct tmpl_run *r, const struct tmpl_value *arg, bool left, struct tmpl_value *out)
{
	struct slice s = arg[1].s;
	size_t len = utf8_count(s), want = (size_t)arg[0].i;

	if (arg[0].i < 0 || want == len)
		return text(out, s);
	if (want < len)
		return rune_part(r, s, left ? 0 : len - want, left ? want : len, out);
	struct tmpl_sink sink = tmpl_sink(r);
	if (!left)
		tmpl_sink_fill(&sink, ' ', want - len);
	tmpl_sink_put(&sink, s);
	if (left)
		tmpl_sink_fill(&sink, ' ', want - len);
	return tmpl_sink_value(r, &sink, out);
}

static bool align_left(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return align(r, arg, true, out);
}

static bool align_right(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return align(r, arg, false, out);
}

/* ---- regular expressions ---- */

struct matches {
	struct tmpl_run *r;
	const struct re *re;
	struct slice s, repl;
	size_t n_groups, n_dollars;
	bool literal, ok;
	struct tmpl_sink sink;
	size_t end; /* of the last match */
	int64_t n;
	struct buf expanded;
};

/* A search may have to look at the rest of the text. */
static bool charge_match(struct matches *m, const struct slice *group)
{
	size_t at = (size_t)(group->p - m->s.p);

	m->ok = tmpl_charge(m->r, 16 + (m->s.n - at) / 256);
	m->n++;
	return m->ok;
}

static bool count_match(void *arg, const struct slice *group)
{
	return charge_match(arg, group);
}

static bool replace_match(void *arg, const struct slice *group)
{
	struct matches *m = arg;
	size_t from = (size_t)(group->p - m->s.p);

	if (!charge_match(m, group))
		return false;
	tmpl_sink_put(&m->sink, slice_sub(m->s, m->end, from - m->end));
	m->end = from + group->n;
	if (m->literal) {
		tmpl_sink_put(&m->sink, m->repl);
	} else {
		/* Bounded before it is made. */
		if (m->n_dollars > 0 && group->n > TMPL_MAX_TEXT / m->n_dollars) {
			m->sink.full = true;
			return false;
		}
		buf_reset(&m->expanded);
		re_expand(&m->expanded, m->repl, m->re, group, m->n_groups);
		tmpl_sink_put(&m->sink, buf_slice(&m->expanded));
		m->ok = tmpl_charge(m->r, m->expanded.n);
	}
	return m->ok && !m->sink.full;
}

static bool re_replace_in(struct tmpl_run *r, const struct tmpl_value *arg, bool literal,
			  struct tmpl_value *out)
{
	const struct re *re = tmpl_regex(r, arg[0].s);
	struct matches m = {
		.r = r, .re = re, .s = arg[1].s, .repl = arg[2].s, .literal = literal, .ok = true
	};

	if (re == NULL || !tmpl_charge(r, arg[1].s.n))
		return false;
	for (size_t i = 0; i < m.repl.n; i++)
		m.n_dollars += m.repl.p[i] == '$';
	m.n_groups = literal ? 1 : MIN(re_n_groups(re), (size_t)RE_MAX_GROUPS) + 1;
	m.sink = tmpl_sink(r);
	buf_init(&m.expanded);
	re_each(re, m.s, m.n_groups, replace_match, &m);
	buf_fini(&m.expanded);
	tmpl_sink_put(&m.sink, slice_from(m.s, m.end));
	return m.ok && tmpl_sink_value(r, &m.sink, out);
}

static bool re_replace(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return re_replace_in(r, arg, false, out);
}

static bool re_replace_literal(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			       struct tmpl_value *out)
{
	UNUSED(n);
	return re_replace_in(r, arg, true, out);
}

/* Rules: the text comes last. */
static bool re_replace_rule(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
			    struct tmpl_value *out)
{
	const struct tmpl_value turned[] = { arg[0], arg[2], arg[1] };

	UNUSED(n);
	return re_replace_in(r, turned, false, out);
}

static bool matches(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	const struct re *re = tmpl_regex(r, arg[0].s);

	UNUSED(n);
	if (re == NULL || !tmpl_charge(r, arg[1].s.n))
		return false;
	*out = tmpl_bool(re_match(re, arg[1].s));
	return true;
}

static bool count(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	const struct re *re = tmpl_regex(r, arg[0].s);
	struct matches m = { .r = r, .re = re, .s = arg[1].s, .ok = true };

	UNUSED(n);
	if (re == NULL || !tmpl_charge(r, arg[1].s.n))
		return false;
	re_each(re, m.s, 1, count_match, &m);
	*out = tmpl_int(m.n);
	return m.ok;
}

/* ---- encodings ---- */

void tmpl_url_escape(struct tmpl_sink *out, struct slice s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n && !out->full; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char escaped[3] = { '%', hex[c >> 4], hex[c & 15] };

		if (c == ' ')
			tmpl_sink_fill(out, '+', 1);
		else if (c < 0x80 && (rune_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~'))
			tmpl_sink_put(out, slice_sub(s, i, 1));
		else
			tmpl_sink_put(out, slice_of(escaped, 3));
	}
}

static bool urlencode(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);

	UNUSED(n);
	tmpl_url_escape(&sink, arg->s);
	return tmpl_sink_value(r, &sink, out);
}

static bool urldecode(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s = arg->s;
	char *p = tmpl_room(r, s.n);
	size_t at = 0;

	if (p == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			p[at++] = s.p[i] == '+' ? ' ' : s.p[i];
			continue;
		}
		int high = i + 2 < s.n ? text_hex_digit(s.p[i + 1]) : -1,
		    low = high >= 0 ? text_hex_digit(s.p[i + 2]) : -1;
		if (low < 0) {
			struct buf quoted;

			buf_init(&quoted);
			text_go_quote(&quoted, slice_sub(s, i, 3));
			tmpl_fail(r, "invalid URL escape %.*s", SLICE_ARG(buf_slice(&quoted)));
			buf_fini(&quoted);
			return false;
		}
		p[at++] = (char)(high << 4 | low);
		i += 2;
	}
	UNUSED(n);
	return text(out, slice_of(p, at));
}

static bool b64enc(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	char *p = tmpl_room(r, BASE64_SIZE(arg->s.n));

	UNUSED(n);
	if (p == NULL)
		return false;
	base64_encode(p, arg->s);
	return text(out, slice_of(p, BASE64_SIZE(arg->s.n)));
}

static void skip_newlines(struct slice s, size_t *i)
{
	while (*i < s.n && (s.p[*i] == '\n' || s.p[*i] == '\r'))
		++*i;
}

/* Returns the offset of the byte that is wrong, or SLICE_NONE. Newlines may stand anywhere. */
static size_t base64_decode(struct slice s, char *p, size_t *n)
{
	uint32_t v = 0;
	unsigned digits = 0;

	*n = 0;
	for (size_t i = 0;;) {
		skip_newlines(s, &i);
		if (i == s.n)
			return digits == 0 ? SLICE_NONE : i - digits;
		int d = base64_digit(s.p[i]);
		if (d >= 0) {
			i++;
			v = v << 6 | (uint32_t)d;
			if (++digits < 4)
				continue;
			p[(*n)++] = (char)(v >> 16);
			p[(*n)++] = (char)(v >> 8);
			p[(*n)++] = (char)v;
			digits = 0;
			v = 0;
			continue;
		}
		if (s.p[i] != '=' || digits < 2)
			return i;
		i++;
		if (digits == 2) {
			skip_newlines(s, &i);
			if (i == s.n)
				return s.n;
			if (s.p[i] != '=')
				return i - 1;
			i++;
		}
		skip_newlines(s, &i);
		if (i < s.n)
			return i;
		p[(*n)++] = (char)(digits == 2 ? v >> 4 : v >> 10);
		if (digits == 3)
			p[(*n)++] = (char)(v >> 2);
		return SLICE_NONE;
	}
}

/* Padding may be missing. What cannot be decoded is told in the result. */
static bool b64dec(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s = arg->s;
	size_t missing = s.n % 4 >= 2 && !slice_ends(s, SLICE("=")) ? 4 - s.n % 4 : 0, made;
	char *padded = tmpl_room(r, s.n + missing), *p = tmpl_room(r, s.n + 3);

	UNUSED(n);
	if (padded == NULL || p == NULL)
		return false;
	if (s.n > 0)
		memcpy(padded, s.p, s.n);
	memset(padded + s.n, '=', missing);
	size_t bad = base64_decode(slice_of(padded, s.n + missing), p, &made);
	if (bad != SLICE_NONE)
		return text(out,
			    slice_cstr(arena_printf(r->arena, "illegal base64 data at input byte %zu", bad)));
	return text(out, slice_of(p, made));
}

/* ---- units ---- */

static bool bytes(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct err err;
	uint64_t v;

	UNUSED(n);
	if (units_parse_bytes(arg->s, &v, &err) == -1)
		return tmpl_fail(r, "%s", err.msg);
	*out = tmpl_float((double)v);
	return true;
}

static bool duration(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct err err;
	int64_t ns;

	UNUSED(n);
	if (units_parse_go_duration(arg->s, &ns, &err) == -1)
		return tmpl_fail(r, "%s", err.msg);
	*out = tmpl_float((double)(ns / 1000000000) + (double)(ns % 1000000000) / 1e9);
	return true;
}

static bool line(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(arg);
	UNUSED(n);
	return text(out, r->data.line);
}

tmpl_function *const tmpl_text_functions[TMPL_N_FUNCS] = {
	[TMPL_FN_LINE] = line,
	[TMPL_FN_LOWER] = lower,
	[TMPL_FN_TO_LOWER] = lower,
	[TMPL_FN_UPPER] = upper,
	[TMPL_FN_TO_UPPER] = upper,
	[TMPL_FN_TITLE] = title,
	[TMPL_FN_TRUNC] = trunc_,
	[TMPL_FN_SUBSTR] = substr,
	[TMPL_FN_CONTAINS] = contains,
	[TMPL_FN_HAS_PREFIX] = has_prefix,
	[TMPL_FN_HAS_SUFFIX] = has_suffix,
	[TMPL_FN_INDENT] = indent,
	[TMPL_FN_NINDENT] = nindent,
	[TMPL_FN_REPLACE] = replace,
	[TMPL_FN_REPLACE_N] = replace_n,
	[TMPL_FN_REPEAT] = repeat,
	[TMPL_FN_TRIM] = trim_space,
	[TMPL_FN_TRIM_SPACE] = trim_space,
	[TMPL_FN_TRIM_ALL] = trim_all,
	[TMPL_FN_TRIM_PREFIX] = trim_prefix,
	[TMPL_FN_TRIM_SUFFIX] = trim_suffix,
	[TMPL_FN_TRIM_CUT] = trim_both,
	[TMPL_FN_TRIM_LEFT] = trim_left,
	[TMPL_FN_TRIM_RIGHT] = trim_right,
	[TMPL_FN_TRIM_PREFIX_OF] = trim_prefix_of,
	[TMPL_FN_TRIM_SUFFIX_OF] = trim_suffix_of,
	[TMPL_FN_ALIGN_LEFT] = align_left,
	[TMPL_FN_ALIGN_RIGHT] = align_right,
	[TMPL_FN_RE_REPLACE] = re_replace,
	[TMPL_FN_RE_REPLACE_LITERAL] = re_replace_literal,
	[TMPL_FN_COUNT] = count,
	[TMPL_FN_URLENCODE] = urlencode,
	[TMPL_FN_URLDECODE] = urldecode,
	[TMPL_FN_B64ENC] = b64enc,
	[TMPL_FN_B64DEC] = b64dec,
	[TMPL_FN_BYTES] = bytes,
	[TMPL_FN_DURATION] = duration,
	[TMPL_FN_DURATION_SECONDS] = duration,
	[TMPL_FN_RULE_TO_UPPER] = upper,
	[TMPL_FN_RULE_TO_LOWER] = lower,
	[TMPL_FN_RULE_MATCH] = matches,
	[TMPL_FN_RULE_RE_REPLACE] = re_replace_rule,
};
