/* index/line_shape.h - where the variable parts of a line stand. A tokenizer yields the line's slots in order; the bytes between
 * them are its literal text. JSON and logfmt are strict, since queries trust a template's shape (index/columns.h);
 * plain text takes numbers, date-times, addresses, hex runs, mixed words and what stands between double quotes for slots.
 *
 * The tokenizers are deterministic from left to right: a line that has a template's literal bytes, and at each slot text
 * of that slot's class (line_slot_end), has that template's slots and no others. Pure functions, any thread. */
#ifndef INDEX_LINE_SHAPE_H
#define INDEX_LINE_SHAPE_H

#include "index/chunk_columns.h"

enum {
	LINE_MAX_SLOTS = COLUMNS_MAX_SLOTS,
	LINE_MAX_PLAIN_SLOTS = 128, /* the last one is the rest of the line */
	LINE_MAX_PLAIN = 32 << 10,  /* longer plain text is one slot */
	LINE_MAX_DEPTH = 32,	    /* of JSON; less than what queries bear */
	LINE_MAX_PATHS = 64 << 10,  /* bytes of all members' full names */
	LINE_MASK_WORDS = LINE_MAX_PLAIN / 64 + 2,
};
#define LINE_NO_SLOT ((size_t)-1)

/* One bit for each byte, and a word of zeros behind them. text.n <= LINE_MAX_PLAIN. */
struct line_masks {
	uint64_t digit[LINE_MASK_WORDS],
		word[LINE_MASK_WORDS]; /* word: letters, digits, bytes from 0x80 on */
	uint64_t hex[LINE_MASK_WORDS], quote[LINE_MASK_WORDS];
};

struct line_slot {
	uint32_t off, n;
};

struct line_slots {
	size_t n;
	struct line_slot at[LINE_MAX_SLOTS];
	uint8_t what[LINE_MAX_SLOTS]; /* enum slot_class; of plain text: enum plain_class */
	uint64_t key[LINE_MAX_SLOTS]; /* hash of the key's path; 0 in plain text */
	struct line_masks masks;      /* scratch of line_shape_plain */
};

/* What a slot of plain text looks like; on disk all of them are SLOT_TEXT. */
enum plain_class {
	PLAIN_NUMBER = SLOT_N + 1, /* digits, in groups behind points, perhaps a minus */
	PLAIN_WORD,		   /* letters and digits */
	PLAIN_UUID,
	PLAIN_QUOTED,
	PLAIN_TIME,
	PLAIN_REST /* of the line */
};

/* False: not strictly of that shape, or beyond a bound above. */
bool line_shape_json(struct slice line, struct line_slots *out);
bool line_shape_logfmt(struct slice line, struct line_slots *out);
/* Any text up to 4 GB; may yield no slot. */
void line_shape_plain(struct slice text, struct line_slots *out);
/* The end of the slot of this class (not SLOT_TEXT) that begins at off <= line.n, or LINE_NO_SLOT. */
size_t line_slot_end(enum slot_class what, struct slice line, size_t off);

/* The end of a slot of plain text at off <= line.n, or LINE_NO_SLOT; `like` is a PLAIN_TIME met before. Quicker than tokenising,
 * and may see a slot where line_shape_plain would not. */
size_t line_plain_end(enum plain_class what, struct slice line, size_t off, struct slice like);

void line_masks(struct slice text, struct line_masks *out);
void line_masks_portable(struct slice text, struct line_masks *out);

#endif
