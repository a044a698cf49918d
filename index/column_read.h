/* index/column_read.h - the inside of index/columns.h: a chunk's skeleton, and the columns of the block at hand. For
 * chunk*.c, column_*.c, reader.c and tests.
 *
 *	columns_start ──► columns_data: sections, decoded when asked for ──► column_text.c: lines
 *	                                                                └──► column_search.c: needles
 *
 * A struct columns is reused from block to block and from chunk to chunk. What it decoded lives in one arena until the
 * next columns_start. One thread. */
#ifndef INDEX_COLUMN_READ_H
#define INDEX_COLUMN_READ_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "index/chunk.h"
#include "index/chunk_columns.h"
#include "index/time_format.h"

enum {
	/* Bytes behind whatever is copied from or to, so that short copies can be of 16 bytes and a date-time needs no room of
	 * its own. */
	COLUMNS_SLACK = 128,
	COLUMNS_MAX_SECTION = 64 << 20,
	COLUMNS_MAX_LINES = 256 << 20,	/* bytes of a block's lines */
	COLUMNS_MAX_MEMORY = 512 << 20, /* that a block may take, decoded */
	COLUMNS_WINDOW = 1 << 20, /* a chunk up to this size is read at once if all of a block is wanted */
	COLUMNS_MAX_SETS = 256,	  /* of metadata that are made up in advance */
	COLUMNS_MAX_SET_BYTES = 8 << 10, /* all of them */
	COLUMNS_MEMO = 8,
	COLUMNS_MEMO_NEEDLE = 256,
};

struct section {
	uint64_t off; /* from the start of the chunk */
	uint32_t raw, stored, sum;
};

/* What only the decoder wants to know of a column. */
struct column_place {
	struct section dict;
	const struct section *section; /* by block */
	const uint32_t *n;	       /* values by block */
	uint32_t n_above;	       /* columns of kind TEMPLATES on the way down to it */
	const uint32_t *in;	       /* templates of the parent that have it */
	uint32_t n_in;
	uint32_t last_in;		      /* parsing: the template seen last + 1 */
	_Atomic(struct column_dict *) loaded; /* a dictionary with a section of its own, once asked for */
	_Atomic uint64_t longest;	      /* DICT, once asked for: length of the longest value */
};

struct column_dict {
	const struct slice *value;
	struct byte_set bytes; /* of all values */
};

/* All metadata sets that few small dictionaries can make up; by template and ids. */
struct column_sets {
	const struct slice *meta; /* NULL: too many */
	uint32_t n;
	const uint32_t *first; /* by template */
};

/* May be shared by threads (index/chunk_cache.h): once parsed it stays as it is, but for what is atomic: that is made when
 * it is first asked for, under the lock, and stays as it is from then on. */
struct chunk_columns {
	uint64_t id;
	pthread_mutex_t lock;
	struct arena arena; /* all below; under the lock once parsed */
	uint64_t divisor;
	uint32_t n_columns;
	struct column *column;
	struct column_place *place;
	const struct section *times;
	_Atomic(const struct column_sets *) sets; /* NULL: not tried */
};

/* A column in the block at hand. */
struct column_state {
	bool mapped, loaded;
	uint32_t n; /* values */
	const uint32_t
		*at; /* number of the value of each value of the parent that has one; NULL: the same number */
	struct column_data data;
	/* column_text.c */
	bool ready;		 /* all that its text is made of is at hand */
	uint64_t longest;	 /* at least the length of the longest value, once ready */
	const uint32_t *length;	 /* of each value; NULL: not known yet */
	uint32_t next_exception; /* where the last one was looked for */
	struct time_cache *time;
};

struct search_memo {
	char needle[COLUMNS_MEMO_NEEDLE];
	size_t n;
	bool exact;
	const uint64_t *rows;
};

struct columns {
	const struct chunk_header *h; /* NULL: no block */
	struct chunk_columns *sk;
	uint64_t chunk; /* sk->id */
	struct column
		*column; /* sk's, and the values of dictionaries asked for; those of chunk `column_of` */
	size_t cap_column;
	uint64_t column_of;
	struct chunk_source src;
	size_t block;
	uint32_t n_rows;
	struct arena arena;
	struct column_state *state;
	size_t cap_state;
	const int64_t *ts;
	struct slice *line;   /* by row; p NULL: not rebuilt. NULL: none is */
	uint64_t *candidates; /* rows that block_may_match left; NULL: all */
	struct search_memo memo[COLUMNS_MEMO];
	size_t n_memo;
	struct buf stored, window; /* window: all sections of the chunk `window_of` */
	uint64_t window_of;
	struct column_counts {
		uint64_t columns_decoded, lines_rebuilt, bytes_stored, bytes_raw;
	} count; /* the owner takes and clears them */
};

/* ---- skeleton: column_skeleton.c */
/* Codec 2's part of the header (index/chunk_internal.h). */
int columns_header_parse(struct cursor *c, struct chunk_header *h, struct err *err);
void chunk_columns_free(struct chunk_columns *sk); /* NULL is fine */
/* What it takes at most, with its dictionaries. */
size_t chunk_columns_bytes(const struct chunk_columns *sk);

/* ---- blocks */
struct columns *columns_new(void);
void columns_free(struct columns *c); /* NULL is fine */
void columns_reset(struct columns *c);
/* Goes to a block: its times are read, nothing else. The header must outlive the use of the block. Where it is at that
 * block already nothing happens. */
int columns_start(struct columns *c, const struct chunk_header *h, size_t block, struct chunk_source src,
		  struct err *err);
/* All of the block will be wanted: reads what neighbours at once. */
void columns_want_all(struct columns *c);
/* Row maps without the values; n of the state is right afterwards. */
int columns_map(struct columns *c, uint32_t column, struct err *err);
void *columns_alloc(struct columns *c, size_t n);
int columns_check_memory(const struct columns *c, struct err *err);

/* False: block_may_match said that the row's line cannot hold the needles. */
static inline bool columns_is_candidate(const struct columns *c, uint32_t row)
{
	return c->candidates == NULL || (c->candidates[row >> 6] >> (row & 63) & 1) != 0;
}

/* For struct chunk_codec. */
int columns_block_may_match(const struct chunk_header *h, size_t i, struct chunk_source src,
			    const struct slice *needles, size_t n_needles, struct chunk_scratch *s,
			    struct err *err);
int columns_block_read(const struct chunk_header *h, size_t i, struct chunk_source src, bool with_lines,
		       struct chunk_scratch *s, struct err *err);
/* Could a line of the chunk hold the needle, as far as templates, dictionaries at hand and sets of bytes can tell? */
bool columns_chunk_may_hold(const struct chunk_header *h, struct slice needle);

/* Makes sure that columns_text of any value of the column cannot fail. */
int columns_ready(struct columns *c, uint32_t column, struct err *err);
/* Writes value i, whose column is ready, where there is room for state.longest + COLUMNS_SLACK bytes. The end of it. */
char *columns_write(struct columns *c, uint32_t column, uint32_t i, char *to);
size_t column_int_text(int64_t v, uint32_t width, char *to); /* at most 20 bytes, or width + 1; its length */

/* Metadata sets of rows: number[k] is that of rows[k]; key as entry_block.metas_key. Valid as long as the block. */
struct columns_metas {
	const uint32_t *number;
	const struct slice *v;
	size_t n;
	uint64_t key;
};
int columns_metas(struct columns *c, const uint32_t *row, uint32_t n, struct columns_metas *out,
		  struct err *err);
/* line[k]: no bytes, and the length of rows[k]'s line. */
int columns_row_lengths(struct columns *c, const uint32_t *row, uint32_t n, struct slice *line,
			struct err *err);

/* The value's number for the parent's value i, which has one. */
static inline uint32_t column_at(const struct column_state *s, uint32_t i)
{
	return s->at != NULL ? s->at[i] : i;
}
/* Number of the first exception at value i or later. */
static inline uint32_t column_exception_from(const struct column_data *d, uint32_t i)
{
	uint32_t lo = 0, hi = d->n_exceptions;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (d->exception_at[mid] < i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
/* NULL: value i is no exception. */
static inline const struct slice *column_exception(const struct column_data *d, uint32_t i)
{
	uint32_t k = column_exception_from(d, i);

	return k < d->n_exceptions && d->exception_at[k] == i ? &d->exception[k] : NULL;
}

#endif
