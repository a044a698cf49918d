/* base/buf.h - a growing byte buffer, and the little-endian and varint writers for everything that goes to disk. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include "base/slice.h"

struct buf {
	char *p;
	size_t n;
	size_t cap;
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b);
void buf_grow(struct buf *b, size_t more); /* makes room; use buf_reserve */
char *buf_take(struct buf *b, size_t *n);  /* the bytes are the caller's to free(); b is empty */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_cstr_end(struct buf *b); /* makes sure b->p[b->n] is NUL, uncounted */

static inline void buf_reset(struct buf *b)
{
	b->n = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->p, b->n);
}

static inline char *buf_reserve(struct buf *b, size_t more)
{
	if (b->cap - b->n < more)
		buf_grow(b, more);
	return b->p + b->n;
}

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
	if (n > 0)
		memcpy(buf_reserve(b, n), p, n);
	b->n += n;
}

static inline void buf_add(struct buf *b, struct slice s)
{
	buf_append(b, s.p, s.n);
}

static inline void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

static inline void buf_putc(struct buf *b, char c)
{
	*buf_reserve(b, 1) = c;
	b->n++;
}

static inline void buf_u32le(struct buf *b, uint32_t v)
{
	buf_append(b, &v, 4);
}

static inline void buf_u64le(struct buf *b, uint64_t v)
{
	buf_append(b, &v, 8);
}

static inline void buf_i64le(struct buf *b, int64_t v)
{
	buf_u64le(b, (uint64_t)v);
}

/* LEB128, at most 10 bytes. */
static inline void buf_varint(struct buf *b, uint64_t v)
{
	unsigned char *p = (unsigned char *)buf_reserve(b, 10);
	size_t i = 0;

	while (v >= 0x80) {
		p[i++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	p[i++] = (unsigned char)v;
	b->n += i;
}

/* Zigzag: small magnitudes of either sign stay small. */
static inline void buf_svarint(struct buf *b, int64_t v)
{
	buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* varint length, then the bytes */
static inline void buf_lenslice(struct buf *b, struct slice s)
{
	buf_varint(b, s.n);
	buf_add(b, s);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "spoor's file formats are written in host order, which must be little-endian"
#endif

#endif
