/* base/text.h - small things about text that several layers need: UTF-8, quoting as Go and logfmt do, hex, numbers. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"

/* One rune at s.p[0]; its length in bytes. Invalid: U+FFFD and length 1. s may not be empty. */
uint32_t utf8_decode(struct slice s, size_t *n);
size_t utf8_encode(char out[4], uint32_t rune); /* surrogates and > U+10FFFF become U+FFFD */
bool utf8_valid(struct slice s);
size_t utf8_count(struct slice s); /* runes; each invalid byte counts as one */
/* The first max bytes at most, cut between characters where it is UTF-8. */
struct slice utf8_cut(struct slice s, size_t max);
size_t ascii_prefix(struct slice s); /* bytes before the first one >= 0x80, fast */

void text_go_quote(struct buf *b, struct slice s); /* strconv.Quote */
/* A Go-quoted string at the start of s ("…" or `…`): appends the value, returns bytes eaten or SLICE_NONE. */
size_t text_go_unquote(struct buf *b, struct slice s);
void text_logfmt_value(struct buf *b,
		       struct slice s); /* quoted if needed; control and bidi characters escaped */
/* For terminals: C0 (but tab), DEL, C1, bidi controls and invalid UTF-8 appear as \x1b or \u202e. */
void text_terminal(struct buf *b, struct slice s);
void text_url_escape(struct buf *b, struct slice s); /* all but RFC 3986's unreserved characters as %XX */
int text_hex_digit(char c);			     /* 0..15, or -1 */
/* Shortest decimal that reads back as v, never an exponent; NaN, +Inf, -Inf. */
void text_float(struct buf *b, double v);
void text_json_float(struct buf *b, double v);	  /* shortest round trip, a JSON number */
void text_bytes_human(struct buf *b, uint64_t n); /* 256 KiB, 1.5 MiB */

#endif
