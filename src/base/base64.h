/* base/base64.h - RFC 4648, the alphabet with + and /. Pure. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4) /* of n bytes, with padding */

/* Writes BASE64_SIZE(s.n) bytes. */
void base64_encode(char *to, struct slice s);
void buf_base64(struct buf *b, struct slice s);
int base64_digit(char c); /* 0 to 63, or -1: decoders differ in what else they let pass */

#endif
