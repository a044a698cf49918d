/* ingest/pb.h - reads protobuf's wire format without copying: one field after the other from a cursor. A
 * malformed or truncated message sets the cursor's bad flag. Groups (wire types 3 and 4) are not used by
 * anyone and count as bad. */
#ifndef INGEST_PB_H
#define INGEST_PB_H

#include "base/bytes.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
	uint32_t number;
	enum pb_type type;
	uint64_t value;	    /* PB_VARINT, PB_FIXED64, PB_FIXED32 */
	struct slice bytes; /* PB_BYTES */
};

static inline bool pb_next_any(struct cursor *c, struct pb_field *f)
{
	f->value = 0;
	f->bytes = slice_of("", 0);
	uint64_t tag = cursor_varint(c);
	f->type = (enum pb_type)(tag & 7);
	f->number = (uint32_t)(tag >> 3);
	switch (f->type) {
	case PB_VARINT: f->value = cursor_varint(c); break;
	case PB_FIXED64: f->value = cursor_u64le(c); break;
	case PB_BYTES: f->bytes = cursor_lenslice(c); break;
	case PB_FIXED32: f->value = cursor_u32le(c); break;
	default: c->bad = true; break;
	}
	if (f->number == 0 || tag >> 32 != 0)
		c->bad = true;
	return !c->bad;
}

/* False at the end of the message and when it is malformed. */
static inline bool pb_next(struct cursor *c, struct pb_field *f)
{
	size_t left = cursor_left(c);

	if (c->bad || left == 0)
		return false;
	/* Most fields are short bytes under a low number: a byte each for tag and length. */
	unsigned tag = (unsigned char)c->p[0], n = left >= 2 ? (unsigned char)c->p[1] : 0x80;
	if ((tag & 0x87) == PB_BYTES && tag > 7 && n < 0x80 && n <= left - 2) {
		*f = (struct pb_field){ .number = tag >> 3,
					.type = PB_BYTES,
					.bytes = slice_of(c->p + 2, n) };
		c->p += 2 + n;
		return true;
	}
	return pb_next_any(c, f);
}

static inline bool pb_is(const struct pb_field *f, uint32_t number, enum pb_type type)
{
	return f->number == number && f->type == type;
}

#endif
