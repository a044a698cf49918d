/* The skeleton of a chunk of codec 2: what its columns and templates are and where their sections stand. Its checksum is
 * right, but nothing in it is believed for that: every count is bounded by the bytes that follow or by a limit. */
#include "index/chunk_internal.h"
#include "index/column_read.h"
#include "base/mem.h"

#include <lz4.h>
#include <stdatomic.h>

enum { MAX_SECTIONS = 1 << 20 }; /* columns x blocks */

static _Atomic uint64_t n_chunks;

void chunk_columns_free(struct chunk_columns *sk)
{
	if (sk == NULL)
		return;
	pthread_mutex_destroy(&sk->lock);
	arena_fini(&sk->arena);
	free(sk);
}

size_t chunk_columns_bytes(const struct chunk_columns *sk)
{
	size_t n = sizeof(*sk) + sk->arena.total;

	if (sk->column[COLUMN_META].kind == COLUMN_TEMPLATES)
		n += COLUMNS_MAX_SET_BYTES;
	for (uint32_t i = 0; i < sk->n_columns; i++)
		if (sk->column[i].kind == COLUMN_DICT && sk->column[i].value == NULL)
			n += sk->place[i].dict.raw + COLUMNS_SLACK + sizeof(struct column_dict) +
			     sk->column[i].n_values * sizeof(struct slice);
	return n;
}

struct parse {
	struct cursor c;
	struct chunk_columns *sk;
	uint32_t n_blocks;
	const struct chunk_header *h;
	uint64_t off; /* of the next section */
	uint64_t
		dict_bytes; /* of dictionaries with sections of their own; they stay as long as the chunk is open */
};

static struct section parse_section(struct parse *p)
{
	uint64_t raw = cursor_varint(&p->c), stored = cursor_varint(&p->c);
	struct section s = { .off = p->off, .sum = cursor_u32le(&p->c) };

	/* LZ4 makes at most 255 bytes of one. */
	if (raw > COLUMNS_MAX_SECTION || stored > raw || raw > stored * 255) {
		p->c.bad = true;
		return s;
	}
	s.raw = (uint32_t)raw;
	s.stored = (uint32_t)stored;
	p->off += stored;
	return s;
}

static uint32_t parse_count(struct parse *p, uint32_t min, uint32_t max)
{
	uint64_t n = cursor_varint(&p->c);

	if (n >= min && n <= max)
		return (uint32_t)n;
	p->c.bad = true;
	return min;
}

static void parse_byte_set(struct parse *p, struct byte_set *set)
{
	struct slice s = cursor_bytes(&p->c, 32);
	struct byte_set more;

	if (s.n == 32) {
		memcpy(&more, s.p, 32);
		byte_set_join(set, &more);
	}
}

static void add_bytes(struct byte_set *set, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		byte_set_add(set, (unsigned char)s.p[i]);
}

static void add_all(struct byte_set *set)
{
	memset(set, 0xff, sizeof(*set));
}

static void parse_values(struct parse *p, struct column *col, uint32_t n)
{
	struct slice *v = arena_array(&p->sk->arena, struct slice, n);

	for (uint32_t i = 0; i < n; i++) {
		v[i] = cursor_lenslice(&p->c);
		add_bytes(&col->bytes, v[i]);
	}
	col->value = v;
	col->n_values = n;
}

static void parse_dict(struct parse *p, struct column *col, bool apart)
{
	col->n_values = parse_count(p, 1, COLUMNS_MAX_VALUES);
	if (apart) {
		add_all(&col->bytes); /* until the values are known */
		return;
	}
	if (col->n_values > cursor_left(&p->c))
		p->c.bad = true;
	else
		parse_values(p, col, col->n_values);
}

static void parse_range(struct parse *p, struct column *col)
{
	col->min = cursor_svarint(&p->c);
	col->max = cursor_svarint(&p->c);
	if (col->min > col->max)
		p->c.bad = true;
	add_bytes(&col->bytes, SLICE("0123456789"));
	if (col->min < 0)
		byte_set_add(&col->bytes, '-');
}

static void parse_time(struct parse *p, struct column *col)
{
	struct time_format *f = arena_new(&p->sk->arena, struct time_format);

	if (!time_format_parse(cursor_lenslice(&p->c), f))
		p->c.bad = true;
	else
		time_format_bytes(f, col->bytes.w);
	col->time = f;
}

/* A slot takes a column for itself. `t`: the template's number. */
static void take_column(struct parse *p, uint32_t parent, uint32_t t, uint64_t column)
{
	if (column <= parent || column <= COLUMN_META || column >= p->sk->n_columns) {
		p->c.bad = true;
		return;
	}
	struct column *col = &p->sk->column[column];
	struct column_place *place = &p->sk->place[column];
	if ((col->parent != COLUMN_NONE && col->parent != (int)parent) || place->last_in == t + 1) {
		p->c.bad = true;
		return;
	}
	col->parent = (int)parent;
	place->n_above = p->sk->place[parent].n_above + 1;
	place->last_in = t + 1;
	place->n_in++;
}

static void parse_template(struct parse *p, uint32_t column, uint32_t t, struct line_template *out)
{
	struct column *col = &p->sk->column[column];
	uint8_t shape = cursor_u8(&p->c);
	uint32_t n_slots = parse_count(p, 0, COLUMNS_MAX_SLOTS);

	if (shape >= SHAPE_N || (shape == SHAPE_META && column != COLUMN_META) ||
	    n_slots > cursor_left(&p->c) / 3)
		p->c.bad = true;
	if (p->c.bad)
		return;
	struct template_slot *slot = arena_array(&p->sk->arena, struct template_slot, n_slots);
	for (uint32_t k = 0; k < n_slots && !p->c.bad; k++) {
		uint8_t what = cursor_u8(&p->c);
		struct slice before = cursor_lenslice(&p->c);
		uint64_t child = cursor_varint(&p->c);

		if (what >= SLOT_N)
			p->c.bad = true;
		take_column(p, column, t, child);
		add_bytes(&col->bytes, before);
		slot[k] = (struct template_slot){ before, (uint32_t)child, (enum slot_class)what };
	}
	*out = (struct line_template){ (enum line_shape)shape, cursor_lenslice(&p->c), slot, n_slots };
	add_bytes(&col->bytes, out->tail);
	if (shape == SHAPE_META) {
		add_all(&col->bytes); /* lengths */
		if (out->tail.n > 0)
			p->c.bad = true;
	}
}

/* Which templates have which column, now that all are known. */
static void note_templates(struct parse *p, const struct column *col)
{
	struct column_place *place = p->sk->place;

	for (uint32_t t = 0; t < col->n_templates; t++) {
		for (uint32_t k = 0; k < col->templ[t].n_slots; k++) {
			struct column_place *child = &place[col->templ[t].slot[k].column];

			if (child->in == NULL) {
				child->in = arena_array(&p->sk->arena, uint32_t, child->n_in);
				child->n_in = 0;
			}
			((uint32_t *)(uintptr_t)child->in)[child->n_in++] = t;
		}
	}
}

static void parse_templates(struct parse *p, uint32_t column)
{
	struct column *col = &p->sk->column[column];

	if (p->sk->place[column].n_above >= COLUMNS_MAX_DEPTH)
		p->c.bad = true;
	uint32_t n = parse_count(p, 1, COLUMNS_MAX_TEMPLATES);
	if (p->c.bad || n > cursor_left(&p->c) / 3) {
		p->c.bad = true;
		return;
	}
	struct line_template *templ = arena_zalloc(&p->sk->arena, n * sizeof(*templ));
	for (uint32_t t = 0; t < n && !p->c.bad; t++)
		parse_template(p, column, t, &templ[t]);
	col->templ = templ;
	col->n_templates = n;
	if (!p->c.bad)
		note_templates(p, col);
}

static void parse_kind(struct parse *p, uint32_t column, uint8_t flags)
{
	struct column *col = &p->sk->column[column];

	switch (col->kind) {
	case COLUMN_CONST: parse_values(p, col, 1); break;
	case COLUMN_DICT: parse_dict(p, col, (flags & COLUMNS_FLAG_DICT_SECTION) != 0); break;
	case COLUMN_INT:
		col->width = parse_count(p, 0, 18);
		if (col->width == 1)
			p->c.bad = true;
		parse_range(p, col);
		break;
	case COLUMN_DECIMAL:
		col->scale = parse_count(p, 1, 18);
		parse_range(p, col);
		byte_set_add(&col->bytes, '.');
		break;
	case COLUMN_HEX:
		col->fixed_bytes = parse_count(p, 1, 512);
		col->upper = cursor_u8(&p->c) != 0;
		add_bytes(&col->bytes, col->upper ? SLICE("0123456789ABCDEF") : SLICE("0123456789abcdef"));
		break;
	case COLUMN_UUID:
		col->fixed_bytes = 16;
		add_bytes(&col->bytes, SLICE("0123456789abcdef-"));
		break;
	case COLUMN_IPV4:
		parse_range(p, col);
		byte_set_add(&col->bytes, '.');
		break;
	case COLUMN_TIME: parse_time(p, col); break;
	case COLUMN_TEXT: parse_byte_set(p, &col->bytes); break;
	case COLUMN_TEMPLATES: parse_templates(p, column); break;
	case COLUMN_N_KINDS: p->c.bad = true;
	}
}

static void parse_blocks(struct parse *p, uint32_t column)
{
	struct column_place *place = &p->sk->place[column];
	uint32_t *n = arena_zalloc(&p->sk->arena, p->n_blocks * sizeof(*n));
	struct section *s = arena_zalloc(&p->sk->arena, p->n_blocks * sizeof(*s));

	for (uint32_t b = 0; b < p->n_blocks && !p->c.bad; b++) {
		n[b] = parse_count(p, 0, p->h->block[b].n_entries);
		if (n[b] > 0 && p->sk->column[column].kind != COLUMN_CONST)
			s[b] = parse_section(p);
	}
	place->n = n;
	place->section = s;
}

static void parse_column(struct parse *p, uint32_t column)
{
	struct column *col = &p->sk->column[column];
	uint8_t kind = cursor_u8(&p->c), flags = cursor_u8(&p->c);
	bool exceptions = (flags & COLUMNS_FLAG_EXCEPTIONS) != 0,
	     apart = (flags & COLUMNS_FLAG_DICT_SECTION) != 0;

	if (kind >= COLUMN_N_KINDS || (flags & ~(COLUMNS_FLAG_EXCEPTIONS | COLUMNS_FLAG_DICT_SECTION)) != 0 ||
	    (exceptions && (kind == COLUMN_CONST || kind == COLUMN_TEMPLATES)) ||
	    (apart && kind != COLUMN_DICT) || (column > COLUMN_META && col->parent == COLUMN_NONE)) {
		p->c.bad = true;
		return;
	}
	col->kind = (enum column_kind)kind;
	col->has_exceptions = exceptions;
	parse_kind(p, column, flags);
	if (exceptions)
		parse_byte_set(p, &col->bytes);
	if (apart) {
		p->sk->place[column].dict = parse_section(p);
		p->dict_bytes += p->sk->place[column].dict.raw;
		if (p->dict_bytes > COLUMNS_MAX_DICTS)
			p->c.bad = true;
	}
	parse_blocks(p, column);
}

static bool parse_skeleton(struct parse *p)
{
	struct chunk_columns *sk = p->sk;

	sk->divisor = cursor_varint(&p->c);
	struct section *times = arena_array(&sk->arena, struct section, p->n_blocks);
	for (uint32_t b = 0; b < p->n_blocks; b++)
		times[b] = parse_section(p);
	sk->times = times;
	uint32_t n = parse_count(p, 2, COLUMNS_MAX);
	if (p->c.bad || sk->divisor == 0 || n > cursor_left(&p->c) / (2 + p->n_blocks) ||
	    (uint64_t)n * p->n_blocks > MAX_SECTIONS)
		return false;
	sk->n_columns = n;
	sk->column = arena_zalloc(&sk->arena, n * sizeof(*sk->column));
	sk->place = arena_zalloc(&sk->arena, n * sizeof(*sk->place));
	for (uint32_t i = 0; i < n; i++)
		sk->column[i].parent = COLUMN_NONE;
	for (uint32_t i = 0; i < n && !p->c.bad; i++)
		parse_column(p, i);
	/* Children come behind their parents, so one pass from the end passes their bytes up. */
	for (uint32_t i = n; i-- > 0 && !p->c.bad;)
		if (sk->column[i].parent != COLUMN_NONE)
			byte_set_join(&sk->column[sk->column[i].parent].bytes, &sk->column[i].bytes);
	return !p->c.bad && cursor_left(&p->c) == 0;
}

static int unpack_skeleton(struct cursor *c, struct chunk_columns *sk, struct slice *out, struct err *err)
{
	uint64_t raw = cursor_varint(c), stored = cursor_varint(c);

	if (c->bad || raw > COLUMNS_MAX_SKELETON || stored > raw || raw > stored * 255 ||
	    stored != cursor_left(c))
		return chunk_corrupt(err, "impossible size of the skeleton");
	/* Literals are copied 16 bytes at a time. */
	char *p = arena_alloc(&sk->arena, raw + COLUMNS_SLACK);
	if (stored == raw)
		memcpy(p, c->p, raw);
	else if (LZ4_decompress_safe(c->p, p, (int)stored, (int)raw) != (int)raw)
		return chunk_corrupt(err, "skeleton does not decompress to its size");
	memset(p + raw, 0, COLUMNS_SLACK);
	*out = slice_of(p, raw);
	return 0;
}

int columns_header_parse(struct cursor *c, struct chunk_header *h, struct err *err)
{
	uint64_t n_blocks = cursor_varint(c), n_entries = 0;
	struct slice skeleton = { NULL, 0 };

	if (c->bad || n_blocks == 0 || n_blocks > CHUNK_MAX_BLOCKS || n_blocks > cursor_left(c) / 3)
		return chunk_corrupt(err, "impossible header");
	h->n_blocks = (uint32_t)n_blocks;
	h->block = xcalloc(n_blocks, sizeof(*h->block));
	for (size_t i = 0; i < n_blocks; i++) {
		chunk_block_parse(c, h, &h->block[i], &n_entries);
		if (h->block[i].n_entries > COLUMNS_BLOCK_ENTRIES)
			c->bad = true;
	}
	if (c->bad || n_entries != h->info.n_entries)
		return chunk_corrupt(err, "impossible block table");
	h->columns = xcalloc(1, sizeof(*h->columns));
	pthread_mutex_init(&h->columns->lock, NULL);
	arena_init_blocks(&h->columns->arena, 16 << 10, 0);
	h->columns->id = atomic_fetch_add(&n_chunks, 1) + 1;
	if (unpack_skeleton(c, h->columns, &skeleton, err) == -1)
		return -1;
	struct parse p = { .c = cursor_of(skeleton),
			   .sk = h->columns,
			   .n_blocks = h->n_blocks,
			   .h = h,
			   .off = h->info.header_bytes };
	if (!parse_skeleton(&p))
		return chunk_corrupt(err, "impossible skeleton");
	h->info.total_bytes = p.off;
	return 0;
}
