#include "query/decolorize.h"

/* A sequence is, as a regular expression of leftmost-first kind:
 *
 *	[ESC CSI] [[\]()#;?]* ( ( [a-zA-Z0-9]* (;[a-zA-Z0-9]*)* )? BEL
 *			      | ( [0-9]{1,4} (;[0-9]{0,4})* )? [0-9A-PRZcf-ntqry=><~] )
 *
 * with ESC = U+001B, CSI = U+009B, BEL = U+0007. */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_final(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'P') || (c >= 'f' && c <= 'n') ||
	       (c != '\0' && strchr("RZctqry=><~", c) != NULL);
}

/* The length of the sequence's end that is closed by BEL; 0 if there is none. */
static size_t title_len(struct slice s)
{
	size_t i = 0;

	while (i < s.n && (is_alnum(s.p[i]) || s.p[i] == ';'))
		i++;
	return i < s.n && s.p[i] == '\a' ? i + 1 : 0;
}

/* Skips up to four digits. */
static size_t skip_number(struct slice s, size_t i)
{
	for (size_t n = 0; n < 4 && i < s.n && is_digit(s.p[i]); n++)
		i++;
	return i;
}

/* The length of an end by one final character. Where that is missing, the last digit serves as one. */
static size_t control_len(struct slice s)
{
	size_t i = skip_number(s, 0), last_digit = i;

	if (i > 0)
		while (i < s.n && s.p[i] == ';') {
			size_t end = skip_number(s, i + 1);

			if (end > i + 1)
				last_digit = end;
			i = end;
		}
	return i < s.n && is_final(s.p[i]) ? i + 1 : last_digit;
}

/* The length of the sequence at the start of s; 0 if there is none. */
static size_t sequence_len(struct slice s)
{
	size_t i, n;

	if (s.p[0] == '\x1b')
		i = 1;
	else if (slice_starts(s, SLICE("\xc2\x9b")))
		i = 2;
	else
		return 0;
	while (i < s.n && s.p[i] != '\0' && strchr("[]()#;?", s.p[i]) != NULL)
		i++;
	n = title_len(slice_from(s, i));
	if (n == 0)
		n = control_len(slice_from(s, i));
	return n > 0 ? i + n : 0;
}

/* The offset of the next byte that may begin a sequence; the length if there is none. */
static size_t find_start(struct slice s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != '\x1b' && s.p[i] != '\xc2')
		i++;
	return i;
}

struct slice decolorize(struct slice line, struct arena *scratch)
{
	size_t at = find_start(line), n = 0;

	if (at == line.n)
		return line;
	char *p = arena_alloc_bytes(scratch, line.n);
	for (;;) {
		memcpy(p + n, line.p, at);
		n += at;
		line = slice_from(line, at);
		if (line.n == 0)
			return slice_of(p, n);
		size_t len = sequence_len(line);
		if (len == 0)
			p[n++] = line.p[len++];
		line = slice_from(line, len);
		at = find_start(line);
	}
}
