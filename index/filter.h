/* index/filter.h - two sets of 64-bit tokens that answer "certainly not" or "perhaps".
 *
 * A fuse filter belongs to one chunk: a 3-wise binary fuse filter with 16-bit fingerprints, about 18 bits a token, false
 * hits 1 in 65,536 (Graf, Lemire: Binary Fuse Filters, JEA 2022). Built once from all tokens, then read only.
 *
 *	0      8      12          16      20
 *	+------+------+-----------+-------+------------------------- - -
 *	| seed | size | seg. len  | count | count x u16 fingerprints          all little-endian
 *	+------+------+-----------+-------+------------------------- - -      size: tokens in it
 *
 * A blocked Bloom filter belongs to a closed day: 64-byte blocks, each 60 bytes of bits and its own 4-byte checksum, so
 * that one small read answers and damage is noticed instead of hiding entries (Putze, Sanders, Singler, 2007). */
#ifndef INDEX_FILTER_H
#define INDEX_FILTER_H

#include "base/buf.h"

enum { FUSE_HEADER_BYTES = 20 };

struct fuse_header {
	uint64_t seed;
	uint32_t n_tokens, segment_length, n_slots;
};
/* tokens: any order, repeats allowed (they are sorted and made unique in place). Appends to out. */
void fuse_build(uint64_t *tokens, size_t n, struct buf *out);
bool fuse_header_read(struct slice header,
		      struct fuse_header *out); /* FUSE_HEADER_BYTES; false if impossible */
/* Where the three fingerprints of a token stand (slot numbers), and what their XOR must be. */
void fuse_slots(const struct fuse_header *h, uint64_t token, uint32_t slot[3], uint16_t *fingerprint);
bool fuse_has(struct slice filter, uint64_t token); /* the whole filter in memory; true if it is damaged */

enum { BLOOM_BLOCK_BYTES = 64 };
size_t bloom_n_blocks(size_t n_tokens); /* about 12 bits a token */
void bloom_add(char *blocks, size_t n_blocks, uint64_t token);
void bloom_seal(char *blocks, size_t n_blocks); /* writes the checksums; nothing may be added afterwards */
size_t bloom_block_of(uint64_t token, size_t n_blocks);
/* One block as read from disk. damaged: its checksum does not fit, and the answer is true. */
bool bloom_block_has(const char block[BLOOM_BLOCK_BYTES], size_t block_index, uint64_t token, bool *damaged);

#endif
