/* index/bitpack.h - n unsigned values of `bits` bits each, one behind the other from the low bit of the first byte on; and
 * "numbers", the self-describing form of index/chunk_columns.h. Pure functions, any thread. */
#ifndef INDEX_BITPACK_H
#define INDEX_BITPACK_H

#include "base/buf.h"
#include "base/bytes.h"

enum { BITPACK_SLACK = 16 }; /* bytes behind the packed ones that unpacking may read (never use) */

static inline size_t bitpack_bytes(size_t n, unsigned bits)
{
	return (n * bits + 7) / 8;
}
/* 0..56 or 64 bits that hold v; widths 57..63 are not used. */
unsigned bitpack_width(uint64_t v);
void bitpack_write(const uint64_t *v, size_t n, unsigned bits, struct buf *out);
/* p has bitpack_bytes(n, bits) + BITPACK_SLACK readable bytes. */
void bitpack_read(const char *p, size_t n, unsigned bits, uint64_t *out);
void bitpack_read32(const char *p, size_t n, unsigned bits, uint32_t *out); /* bits <= 32 */

/* Appends n (> 0) numbers in the smaller of both modes. */
void numbers_write(const int64_t *v, size_t n, struct buf *out);
/* The same without differences, in whole bytes a value: for compressors that see bytes. False, and nothing written, where
 * numbers_write would take more than two bytes a value or does so anyway. */
bool numbers_write_bytes(const int64_t *v, size_t n, struct buf *out);
/* Reads what numbers_write wrote; the cursor's bytes have BITPACK_SLACK readable bytes behind their end. c->bad if they
 * are cut short or impossible. */
void numbers_read(struct cursor *c, size_t n, int64_t *out);
/* All of [0, limit), as ids; else c->bad. */
void numbers_read_ids(struct cursor *c, size_t n, uint32_t limit, uint32_t *out);

#endif
