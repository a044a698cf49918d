/* base/bytes.h - reading bytes that may be wrong. A cursor remembers failure: reads past the end yield 0 (or an
 * empty slice) and set `bad`, so one check a structure is enough. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/slice.h"

struct cursor {
	const char *p;
	const char *end;
	bool bad;
};

static inline struct cursor cursor_of(struct slice s)
{
	return (struct cursor){ s.p, s.p + s.n, false };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

static inline struct slice cursor_bytes(struct cursor *c, size_t n)
{
	if (n > cursor_left(c)) {
		c->bad = true;
		c->p = c->end;
		return slice_of("", 0);
	}
	struct slice s = slice_of(c->p, n);
	c->p += n;
	return s;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	struct slice s = cursor_bytes(c, 1);

	return s.n == 1 ? (uint8_t)s.p[0] : 0;
}

static inline uint32_t cursor_u32le(struct cursor *c)
{
	struct slice s = cursor_bytes(c, 4);
	uint32_t v = 0;

	if (s.n == 4)
		memcpy(&v, s.p, 4);
	return v;
}

static inline uint64_t cursor_u64le(struct cursor *c)
{
	struct slice s = cursor_bytes(c, 8);
	uint64_t v = 0;

	if (s.n == 8)
		memcpy(&v, s.p, 8);
	return v;
}

static inline int64_t cursor_i64le(struct cursor *c)
{
	return (int64_t)cursor_u64le(c);
}

/* LEB128 of at most 64 bits; a longer or overflowing one is bad. */
static inline uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;

	/* Most are short. */
	if (c->p < c->end && (unsigned char)*c->p < 0x80)
		return (unsigned char)*c->p++;
	for (unsigned shift = 0; shift < 70 && c->p < c->end; shift += 7) {
		unsigned char b = (unsigned char)*c->p++;

		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return v;
	}
	c->bad = true;
	c->p = c->end;
	return 0;
}

static inline int64_t cursor_svarint(struct cursor *c)
{
	uint64_t v = cursor_varint(c);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* varint length, then the bytes */
static inline struct slice cursor_lenslice(struct cursor *c)
{
	uint64_t n = cursor_varint(c);

	if (n > cursor_left(c)) {
		c->bad = true;
		c->p = c->end;
		return slice_of("", 0);
	}
	return cursor_bytes(c, (size_t)n);
}

#endif
