#include "base/base64.h"

void base64_encode(char *to, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < s.n; i += 3) {
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = i + 1 < s.n ? digits[v >> 6 & 63] : '=';
		*to++ = i + 2 < s.n ? digits[v & 63] : '=';
	}
}

void buf_base64(struct buf *b, struct slice s)
{
	base64_encode(buf_reserve(b, BASE64_SIZE(s.n)), s);
	b->n += BASE64_SIZE(s.n);
}

int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}
