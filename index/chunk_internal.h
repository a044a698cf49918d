/* index/chunk_internal.h - what the codecs share, for chunk*.c and column_*.c only. */
#ifndef INDEX_CHUNK_INTERNAL_H
#define INDEX_CHUNK_INTERNAL_H

#include "base/bytes.h"
#include "index/chunk.h"

extern const char CHUNK_MAGIC[4];

int chunk_corrupt(struct err *err, const char *what); /* -1 */
/* A codec's part of the header, up to the checksum, which is right; the common part is in *h. What is in *h after a
 * failure the caller frees. */
int rows_header_parse(struct cursor *c, struct chunk_header *h, struct err *err);
/* Entries and times of one block of the block table; *n_entries counts on. c->bad if impossible. */
void chunk_block_parse(struct cursor *c, const struct chunk_header *h, struct chunk_block *b,
		       uint64_t *n_entries);
void chunk_scratch_reserve(struct chunk_scratch *s, size_t n);
void chunk_scratch_reserve_metas(struct chunk_scratch *s, size_t n);

#endif
