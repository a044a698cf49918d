/* index/columns.h - the entries of a block as columns, for those who can do without the lines themselves. Part of the
 * store's door: index/store.h includes it.
 *
 * A chunk's lines are split into templates and columns (index/chunk_columns.h). Column 0 is the line, column 1 the
 * metadata set (encoded labels). A column of kind COLUMN_TEMPLATES says for each of its values which template it follows;
 * the template's slots name further columns, so columns form a tree. A column holds one value for each value of its
 * parent whose template has it; a column that the parent's templates all have is *dense*.
 *
 * Descriptors (struct column, struct line_template) belong to the chunk and are the same for all its blocks; data (struct
 * column_data) belongs to one block. Both are valid until the reader's next call. One thread. Functions that return int
 * give -1 with ERR_CORRUPT or ERR_IO; hand that to reader_damaged. */
#ifndef INDEX_COLUMNS_H
#define INDEX_COLUMNS_H

#include "base/buf.h"
#include "base/err.h"

enum { COLUMN_LINE = 0, COLUMN_META = 1, COLUMN_NONE = -1 };

/* On disk: do not renumber. */
enum column_kind {
	COLUMN_CONST,	/* all values are value[0] */
	COLUMN_DICT,	/* id: number of the value in value[] */
	COLUMN_INT,	/* num: the integer; text has at least `width` digits (0: as few as needed) */
	COLUMN_DECIMAL, /* num: the number times 10^scale; text has exactly `scale` digits behind the point */
	COLUMN_HEX,	/* fixed: fixed_bytes bytes, two digits each */
	COLUMN_UUID,	/* fixed: 16 bytes; text 8-4-4-4-12, lower case */
	COLUMN_IPV4,	/* num: the address, first number highest */
	COLUMN_TIME,	/* num: difference to the entry's own time, in units of the format */
	COLUMN_TEXT,	/* text */
	COLUMN_TEMPLATES, /* id: number of the template */
	COLUMN_N_KINDS
};

/* On disk: do not renumber. What a template's literal bytes are, as its encoder vouches for:
 *	JSON: all lines of the template are strictly valid JSON objects (RFC 8259, without a look at UTF-8) whatever the
 *	slots' values are; each scalar but null is a slot, strings without their quotes; keys, null, spaces and punctuation
 *	are literal; an array is one slot, brackets and all.
 *	LOGFMT: key=value pairs separated by single spaces; keys are literal, values slots; a quoted value's slot is what
 *	stands between the quotes. META: no literal text; `before` is the label's name and the slot its value. */
enum line_shape { SHAPE_RAW, SHAPE_PLAIN, SHAPE_JSON, SHAPE_LOGFMT, SHAPE_META, SHAPE_N };

/* On disk: do not renumber. */
enum slot_class {
	SLOT_TEXT,	  /* any bytes */
	SLOT_JSON_STRING, /* between quotes in JSON; escapes, if any, are valid */
	SLOT_JSON_NUMBER,
	SLOT_JSON_BOOL,
	SLOT_JSON_ARRAY,
	SLOT_BARE,   /* a logfmt value without quotes: no byte up to 0x20, no '"' or '=' in it; not empty */
	SLOT_QUOTED, /* a logfmt value between quotes; escapes are as logfmt has them */
	SLOT_N
};

struct byte_set {
	uint64_t w[4];
};
static inline bool byte_set_has(const struct byte_set *s, unsigned char c)
{
	return (s->w[c >> 6] >> (c & 63) & 1) != 0;
}
static inline void byte_set_add(struct byte_set *s, unsigned char c)
{
	s->w[c >> 6] |= UINT64_C(1) << (c & 63);
}
static inline void byte_set_join(struct byte_set *s, const struct byte_set *t)
{
	for (int i = 0; i < 4; i++)
		s->w[i] |= t->w[i];
}

struct template_slot {
	struct slice before; /* literal bytes between the slot before (or the start) and this one */
	uint32_t column;
	enum slot_class what;
};
struct line_template {
	enum line_shape shape;
	struct slice tail; /* literal bytes behind the last slot */
	const struct template_slot *slot;
	uint32_t n_slots;
};

struct time_format;

struct column {
	enum column_kind kind;
	int parent;	       /* COLUMN_NONE: line and metadata */
	bool has_exceptions;   /* some values do not fit the kind and are kept as text beside it */
	struct byte_set bytes; /* no value holds a byte that is not in it; exceptions included */
	const struct slice
		*value; /* CONST: one; DICT: distinct; NULL until columns_values where they stand apart */
	uint32_t n_values;
	const struct line_template *templ;
	uint32_t n_templates;
	int64_t min, max; /* of num over the chunk, without exceptions: INT, DECIMAL, IPV4 */
	uint32_t width, scale, fixed_bytes;
	bool upper; /* HEX: in capitals */
	const struct time_format *time;
};

struct column_data {
	uint32_t n;		    /* values in this block */
	const uint32_t *row;	    /* row in the block of each value, ascending; NULL: value i is row i's */
	const uint32_t *id;	    /* DICT, TEMPLATES */
	const int64_t *num;	    /* INT, DECIMAL, IPV4, TIME */
	const unsigned char *fixed; /* HEX, UUID */
	const struct slice *text;   /* TEXT */
	/* Values that do not fit: what stands for them above is to be ignored. */
	uint32_t n_exceptions;
	const uint32_t *exception_at; /* value numbers, ascending */
	const struct slice *exception;
};

struct columns;

uint64_t columns_chunk(const struct columns *c); /* no two chunks of a process have the same: cache by it */
uint32_t columns_n(const struct columns *c);
uint32_t columns_n_rows(const struct columns *c);
const struct column *columns_get(const struct columns *c, uint32_t column);
/* Makes value[] of a dictionary readable. */
int columns_values(struct columns *c, uint32_t column, struct err *err);
/* The block's values of a column; decoded once a block. */
int columns_data(struct columns *c, uint32_t column, const struct column_data **out, struct err *err);
/* Appends the text of value i. The column's data is loaded; for TEMPLATES its children are loaded as needed. */
int columns_text(struct columns *c, uint32_t column, uint32_t i, struct buf *out, struct err *err);

/* Lines of these rows (ascending), rebuilt; out[k] belongs to rows[k]. The bytes live as long as the block. */
int columns_lines(struct columns *c, const uint32_t *rows, size_t n, struct slice *out, struct err *err);
/* Lengths of lines of rows [from, to), without rebuilding them. */
int columns_lengths(struct columns *c, uint32_t from, uint32_t to, uint32_t *out, struct err *err);
/* Where the values of a row's template slots stand in its rebuilt line; spans[k] belongs to slot k of the line's template. */
struct slot_span {
	uint32_t off, n;
};
int columns_spans(struct columns *c, uint32_t row, struct buf *line, struct slot_span *spans,
		  struct err *err);

/* Bitmaps of rows, (n_rows + 63) / 64 words. Takes away rows whose line does not hold the needle, asking templates first,
 * then those columns that can hold it. A bit that stays says "holds it" if *exact, else "perhaps". */
int columns_search(struct columns *c, struct slice needle, uint64_t *rows, bool *exact, struct err *err);

#endif
