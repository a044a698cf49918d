#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct slice utf8_cut(struct slice s, size_t max)
{
	size_t n = max;

	if (s.n <= max)
		return s;
	while (n > 0 && max - n < 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return slice_of(s.p, ((unsigned char)s.p[n] & 0xc0) == 0x80 ? max : n);
}

size_t ascii_prefix(struct slice s)
{
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t v;

		memcpy(&v, s.p + i, 8);
		if ((v & 0x8080808080808080ULL) != 0)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

uint32_t utf8_decode(struct slice s, size_t *n)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned c = p[0];
	uint32_t r;

	*n = 1;
	if (c < 0x80)
		return c;
	if (c >= 0xc2 && c <= 0xdf && s.n >= 2 && (p[1] & 0xc0) == 0x80) {
		*n = 2;
		return (c & 0x1f) << 6 | (p[1] & 0x3fu);
	}
	if (c >= 0xe0 && c <= 0xef && s.n >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
		r = (c & 0xf) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		if (r >= 0x800 && (r < 0xd800 || r > 0xdfff)) {
			*n = 3;
			return r;
		}
	}
	if (c >= 0xf0 && c <= 0xf4 && s.n >= 4 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 &&
	    (p[3] & 0xc0) == 0x80) {
		r = (c & 7) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
		if (r >= 0x10000 && r <= 0x10ffff) {
			*n = 4;
			return r;
		}
	}
	return 0xfffd;
}

size_t utf8_encode(char out[4], uint32_t r)
{
	if (r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff))
		r = 0xfffd;
	if (r < 0x80) {
		out[0] = (char)r;
		return 1;
	}
	if (r < 0x800) {
		out[0] = (char)(0xc0 | r >> 6);
		out[1] = (char)(0x80 | (r & 0x3f));
		return 2;
	}
	if (r < 0x10000) {
		out[0] = (char)(0xe0 | r >> 12);
		out[1] = (char)(0x80 | (r >> 6 & 0x3f));
		out[2] = (char)(0x80 | (r & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | r >> 18);
	out[1] = (char)(0x80 | (r >> 12 & 0x3f));
	out[2] = (char)(0x80 | (r >> 6 & 0x3f));
	out[3] = (char)(0x80 | (r & 0x3f));
	return 4;
}

bool utf8_valid(struct slice s)
{
	while (s.n > 0) {
		size_t n = ascii_prefix(s);

		s = slice_from(s, n);
		if (s.n == 0)
			break;
		if (utf8_decode(s, &n) == 0xfffd && n == 1)
			return false;
		s = slice_from(s, n);
	}
	return true;
}

size_t utf8_count(struct slice s)
{
	size_t count = 0, n;

	for (; s.n > 0; s = slice_from(s, n), count++)
		utf8_decode(s, &n);
	return count;
}

/* Go's unicode.IsPrint, near enough for messages: everything but controls, separators other than space, format
 * characters, surrogates and private use. */
static bool is_print(uint32_t r)
{
	if (r < 0x20 || (r >= 0x7f && r < 0xa1) || r == 0xad)
		return false;
	if ((r >= 0x2000 && r <= 0x200f) || (r >= 0x2028 && r <= 0x202f) || (r >= 0x205f && r <= 0x206f) ||
	    r == 0x3000 || r == 0xfeff || r == 0x1680 || r == 0x61c || r == 0x180e)
		return false;
	if ((r >= 0xe000 && r <= 0xf8ff) || r >= 0xe0000 || (r & 0xfffe) == 0xfffe ||
	    (r >= 0xfff0 && r <= 0xfffb))
		return false;
	return true;
}

void text_go_quote(struct buf *b, struct slice s)
{
	static const char hex[] = "0123456789abcdef";

	buf_putc(b, '"');
	for (size_t n; s.n > 0; s = slice_from(s, n)) {
		uint32_t r = utf8_decode(s, &n);
		unsigned char c = (unsigned char)s.p[0];

		if (r == 0xfffd && n == 1) {
			buf_printf(b, "\\x%c%c", hex[c >> 4], hex[c & 15]);
		} else if (r == '"' || r == '\\') {
			buf_putc(b, '\\');
			buf_putc(b, (char)r);
		} else if (is_print(r)) {
			buf_append(b, s.p, n);
		} else if (r >= 7 && r <= 13) {
			buf_putc(b, '\\');
			buf_putc(b, "abtnvfr"[r - 7]);
		} else if (r < 0x20 || r == 0x7f) {
			buf_printf(b, "\\x%c%c", hex[r >> 4], hex[r & 15]);
		} else {
			buf_printf(b, r < 0x10000 ? "\\u%04x" : "\\U%08x", r);
		}
	}
	buf_putc(b, '"');
}

static size_t unquote_hex(struct slice s, size_t n, uint32_t *out)
{
	uint32_t v = 0;

	if (s.n < n)
		return SLICE_NONE;
	for (size_t i = 0; i < n; i++) {
		int d = text_hex_digit(s.p[i]);

		if (d < 0)
			return SLICE_NONE;
		v = v << 4 | (uint32_t)d;
	}
	*out = v;
	return n;
}

/* s starts after the backslash; bytes eaten, or SLICE_NONE */
static size_t unquote_escape(struct buf *b, struct slice s)
{
	static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
	const char *at;
	uint32_t v;
	char utf8[4];

	if (s.n == 0)
		return SLICE_NONE;
	if (s.p[0] != '\0' && (at = strchr(from, s.p[0])) != NULL) {
		buf_putc(b, to[at - from]);
		return 1;
	}
	if (s.p[0] >= '0' && s.p[0] <= '7') {
		if (s.n < 3 || s.p[1] < '0' || s.p[1] > '7' || s.p[2] < '0' || s.p[2] > '7')
			return SLICE_NONE;
		v = (uint32_t)((s.p[0] - '0') * 64 + (s.p[1] - '0') * 8 + (s.p[2] - '0'));
		if (v > 255)
			return SLICE_NONE;
		buf_putc(b, (char)v);
		return 3;
	}
	size_t n = s.p[0] == 'x' ? 2 : s.p[0] == 'u' ? 4 : s.p[0] == 'U' ? 8 : 0;
	if (n == 0 || unquote_hex(slice_from(s, 1), n, &v) == SLICE_NONE || v > 0x10ffff)
		return SLICE_NONE;
	if (n == 2)
		buf_putc(b, (char)v);
	else
		buf_append(b, utf8, utf8_encode(utf8, v));
	return n + 1;
}

size_t text_go_unquote(struct buf *b, struct slice s)
{
	if (s.n < 2 || (s.p[0] != '"' && s.p[0] != '`'))
		return SLICE_NONE;
	char quote = s.p[0];
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == quote)
			return i + 1;
		if (quote == '`') {
			buf_putc(b, s.p[i]);
		} else if (s.p[i] == '\n') {
			return SLICE_NONE;
		} else if (s.p[i] == '\\') {
			size_t n = unquote_escape(b, slice_from(s, i + 1));

			if (n == SLICE_NONE)
				return SLICE_NONE;
			i += n;
		} else {
			buf_putc(b, s.p[i]);
		}
	}
	return SLICE_NONE;
}

static bool is_bidi(uint32_t r)
{
	return (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0x200e || r == 0x200f ||
	       r == 0x61c;
}

void text_terminal(struct buf *b, struct slice s)
{
	for (size_t n; s.n > 0; s = slice_from(s, n)) {
		uint32_t r = utf8_decode(s, &n);

		if (r == 0xfffd && n == 1)
			buf_printf(b, "\\x%02x", (unsigned char)s.p[0]);
		else if ((r < 0x20 && r != '\t') || r == 0x7f)
			buf_printf(b, "\\x%02x", r);
		else if ((r >= 0x80 && r < 0xa0) || is_bidi(r))
			buf_printf(b, "\\u%04x", r);
		else
			buf_append(b, s.p, n);
	}
}

void text_logfmt_value(struct buf *b, struct slice s)
{
	bool plain = s.n > 0;

	for (size_t i = 0; i < s.n && plain; i++)
		plain = s.p[i] > ' ' && s.p[i] != '"' && s.p[i] != '=' && s.p[i] != '\\' &&
			(unsigned char)s.p[i] < 0x7f;
	if (plain)
		buf_add(b, s);
	else
		text_go_quote(b, s);
}

int text_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The shortest of %.15g to %.17g that reads back, as digits and a decimal exponent. */
static int shortest(double v, char digits[32], int *exp10)
{
	char tmp[40];

	for (int prec = 14; prec <= 16; prec++) {
		snprintf(tmp, sizeof(tmp), "%.*e", prec, v);
		if (strtod(tmp, NULL) == v)
			break;
	}
	char *e = strchr(tmp, 'e');
	*exp10 = (int)strtol(e + 1, NULL, 10);
	int n = 0;
	for (char *p = tmp; p < e; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	return n;
}

static bool put_special(struct buf *b, double *v)
{
	if (isnan(*v)) {
		buf_puts(b, "NaN");
		return true;
	}
	if (isinf(*v)) {
		buf_puts(b, *v > 0 ? "+Inf" : "-Inf");
		return true;
	}
	if (signbit(*v)) {
		buf_putc(b, '-');
		*v = -*v;
	}
	if (*v == 0) {
		buf_putc(b, '0');
		return true;
	}
	return false;
}

static void put_plain(struct buf *b, const char *digits, int n, int exp10)
{
	if (exp10 < 0) {
		buf_puts(b, "0.");
		for (int i = -1; i > exp10; i--)
			buf_putc(b, '0');
		buf_append(b, digits, (size_t)n);
		return;
	}
	for (int i = 0; i <= exp10 || i < n; i++) {
		if (i == exp10 + 1)
			buf_putc(b, '.');
		buf_putc(b, i < n ? digits[i] : '0');
	}
}

void text_float(struct buf *b, double v)
{
	char digits[32];
	int exp10;

	if (v >= 0 && v < 1e15 && v == floor(v) && !signbit(v)) {
		buf_printf(b, "%lld", (long long)v);
		return;
	}
	if (put_special(b, &v))
		return;
	int n = shortest(v, digits, &exp10);
	put_plain(b, digits, n, exp10);
}

void text_json_float(struct buf *b, double v)
{
	char digits[32];
	int exp10;

	if (isnan(v) || isinf(v)) {
		buf_puts(b, "null");
		return;
	}
	if (put_special(b, &v))
		return;
	int n = shortest(v, digits, &exp10);
	if (exp10 >= -6 && exp10 < 21) {
		put_plain(b, digits, n, exp10);
		return;
	}
	buf_putc(b, digits[0]);
	if (n > 1) {
		buf_putc(b, '.');
		buf_append(b, digits + 1, (size_t)n - 1);
	}
	buf_printf(b, "e%+03d", exp10);
}

void text_bytes_human(struct buf *b, uint64_t n)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n;
	size_t u = 0;

	for (; v >= 1024 && u < 6; u++)
		v /= 1024;
	buf_printf(b, v == floor(v) || u == 0 ? "%.0f %s" : "%.1f %s", v, unit[u]);
}

void text_url_escape(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     c == '-' || c == '_' || c == '.' || c == '~';

		if (plain)
			buf_putc(b, c);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)c);
	}
}
