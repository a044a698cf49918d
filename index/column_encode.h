/* index/column_encode.h - one column's values become a descriptor and its sections (index/chunk_columns.h). Chooses the kind
 * by what the values are. Scratch memory is reused from column to column: no allocation for each value. One thread. */
#ifndef INDEX_COLUMN_ENCODE_H
#define INDEX_COLUMN_ENCODE_H

#include "index/chunk_columns.h"

/* What all columns of a chunk share. */
struct column_frame {
	const struct chunk_entry *entry;
	size_t n_entries;
	const uint32_t *block_first; /* entry with which each block begins; [n_blocks] = n_entries */
	size_t n_blocks;
	int effort; /* of LZ4: > 1 is HC */
};

/* Values in order of their entries. */
struct column_values {
	const struct slice *v;
	const uint32_t *entry; /* number of the entry of each value, ascending; NULL: v[i] is entry i's */
	size_t n;	       /* > 0 */
};

struct column_encoder; /* scratch */
struct column_encoder *column_encoder_new(void);
void column_encoder_free(struct column_encoder *e);

/* Decides what the column is. COLUMN_TEXT: nothing typed fits and it is no small dictionary: the caller may try templates. The choice is
 * kept in the encoder for the column_encode that follows. *cost: about how many bytes the column will take. */
enum column_kind column_choose(struct column_encoder *e, const struct column_frame *f,
			       const struct column_values *v, size_t *cost);
/* Appends the descriptor of the column chosen last, and its sections. */
void column_encode(struct column_encoder *e, const struct column_frame *f, const struct column_values *v,
		   struct buf *descriptor, struct buf *sections);
/* Descriptor's tail and sections of a TEMPLATES column, whose head (kind, flags, templates) the caller wrote. */
void column_encode_ids(struct column_encoder *e, const struct column_frame *f, const uint32_t *entry,
		       const uint32_t *id, size_t n, struct buf *descriptor, struct buf *sections);
/* Appends one section and its reference. */
void column_section(struct column_encoder *e, const struct column_frame *f, struct slice raw,
		    struct buf *reference, struct buf *sections);

#endif
