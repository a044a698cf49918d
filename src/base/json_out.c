#include "base/json_out.h"
#include "base/text.h"

/* Bytes that stand for themselves in a JSON string: not control, quote, backslash or >= 0x80; with html also not
 * < > &. */
static const unsigned char special[256] = {
	[0 ... 31] = 1, ['"'] = 1, ['\\'] = 1, ['<'] = 2, ['>'] = 2, ['&'] = 2, [128 ... 255] = 1,
};

static size_t plain_run(struct slice s, unsigned char mask)
{
	size_t i = 0;

	while (i < s.n && (special[(unsigned char)s.p[i]] & mask) == 0)
		i++;
	return i;
}

static void put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	buf_putc(b, '\\');
	switch (c) {
	case '"':
	case '\\': buf_putc(b, (char)c); return;
	case '\n': buf_putc(b, 'n'); return;
	case '\r': buf_putc(b, 'r'); return;
	case '\t': buf_putc(b, 't'); return;
	default: break;
	}
	buf_puts(b, "u00");
	buf_putc(b, hex[c >> 4]);
	buf_putc(b, hex[c & 15]);
}

void json_quote(struct buf *b, struct slice s, bool html)
{
	unsigned char mask = html ? 3 : 1;

	buf_reserve(b, s.n + 2);
	buf_putc(b, '"');
	while (s.n > 0) {
		size_t n = plain_run(s, mask);

		buf_append(b, s.p, n);
		s = slice_from(s, n);
		if (s.n == 0)
			break;
		if ((unsigned char)s.p[0] < 0x80) {
			put_escape(b, (unsigned char)s.p[0]);
			n = 1;
		} else {
			uint32_t r = utf8_decode(s, &n);

			if (r == 0xfffd && n == 1)
				buf_puts(b, "\\ufffd");
			else if (html && (r == 0x2028 || r == 0x2029))
				buf_printf(b, "\\u%04x", r);
			else
				buf_append(b, s.p, n);
		}
		s = slice_from(s, n);
	}
	buf_putc(b, '"');
}

void json_key(struct json_out *j, const char *key)
{
	json_sep(j);
	buf_putc(j->b, '"');
	buf_puts(j->b, key);
	buf_puts(j->b, "\":");
	j->comma = false;
}

void json_key_slice(struct json_out *j, struct slice key)
{
	json_sep(j);
	json_quote(j->b, key, false);
	buf_putc(j->b, ':');
	j->comma = false;
}

void json_str(struct json_out *j, struct slice s)
{
	json_sep(j);
	json_quote(j->b, s, false);
}

void json_cstr(struct json_out *j, const char *s)
{
	json_str(j, slice_cstr(s));
}

void json_int(struct json_out *j, int64_t v)
{
	json_sep(j);
	buf_printf(j->b, "%lld", (long long)v);
}

void json_int_text(struct json_out *j, int64_t v)
{
	json_sep(j);
	buf_printf(j->b, "\"%lld\"", (long long)v);
}

void json_bool(struct json_out *j, bool v)
{
	json_sep(j);
	buf_puts(j->b, v ? "true" : "false");
}

void json_put_null(struct json_out *j)
{
	json_sep(j);
	buf_puts(j->b, "null");
}

void json_float(struct json_out *j, double v)
{
	json_sep(j);
	text_json_float(j->b, v);
}

void json_key_int_text(struct json_out *j, const char *key, int64_t v)
{
	json_key(j, key);
	json_int_text(j, v);
}

void json_key_strs(struct json_out *j, const char *key, const struct slice *v, size_t n)
{
	json_key(j, key);
	json_open(j, '[');
	for (size_t i = 0; i < n; i++)
		json_str(j, v[i]);
	json_close(j, ']');
}
