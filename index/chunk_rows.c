/* Codec 1, "rows": blocks of about 128 KiB of text. A block has two sections, each LZ4 alone: the lines, one after the
 * other without separators, so that a literal is searched for in all of them at once; and the table:
 *	per entry: svarint ts - previous ts (the first: - block.first_ts), varint line length, varint metadata set
 *	then varint number of sets, each varint length and encoded labels. */
#include "index/chunk_internal.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <lz4.h>
#include <lz4hc.h>

enum {
	BLOCK_TEXT_BYTES = 128 << 10,
	BLOCK_ENTRIES = 4096,
	MAX_SECTION = 64 << 20, /* a line is far smaller; a bigger size is damage */
	BLOCK_META_BYTES =
		8
		<< 20, /* so that metadata, different in each entry, does not make a table larger than that */
};

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* Metadata sets of a block by content. Small and rebuilt for each block. */
struct sets {
	struct map by_bytes; /* value: number + 1 */
	struct slice *v;
	size_t n;
};

static uint32_t set_number(struct sets *s, struct slice meta)
{
	bool is_new;
	void **slot = map_put(&s->by_bytes, meta, &is_new);

	if (is_new) {
		s->v[s->n++] = meta;
		*slot = (void *)(uintptr_t)s->n;
	}
	return (uint32_t)((uintptr_t)*slot - 1);
}

static size_t block_end(const struct chunk_entry *e, size_t n, size_t from)
{
	size_t text = 0, meta = 0, i = from;

	while (i < n && i - from < BLOCK_ENTRIES &&
	       (i == from ||
		(text + e[i].line.n <= BLOCK_TEXT_BYTES && meta + e[i].meta.n <= BLOCK_META_BYTES))) {
		text += e[i].line.n;
		meta += e[i++].meta.n;
	}
	return i;
}

static uint32_t compress(struct slice raw, int effort, struct buf *out)
{
	int bound = LZ4_compressBound((int)raw.n);
	char *to = buf_reserve(out, (size_t)bound);
	int n = effort > 1 ? LZ4_compress_HC(raw.p, to, (int)raw.n, bound, effort)
			   : LZ4_compress_default(raw.p, to, (int)raw.n, bound);

	assert(n > 0 || raw.n == 0);
	out->n += (size_t)n;
	return (uint32_t)n;
}

static void encode_block(const struct chunk_entry *e, size_t n, uint64_t seed, int effort, struct buf *text,
			 struct buf *table, struct buf *out, struct chunk_block *b)
{
	struct sets sets = { .v = xmalloc(n * sizeof(struct slice)) };
	int64_t prev = e[0].ts;

	map_init(&sets.by_bytes);
	buf_reset(text);
	buf_reset(table);
	for (size_t i = 0; i < n; i++) {
		buf_add(text, e[i].line);
		buf_svarint(table, (int64_t)((uint64_t)e[i].ts - (uint64_t)prev));
		prev = e[i].ts;
		buf_varint(table, e[i].line.n);
		buf_varint(table, set_number(&sets, e[i].meta));
	}
	buf_varint(table, sets.n);
	for (size_t i = 0; i < sets.n; i++)
		buf_lenslice(table, sets.v[i]);
	map_fini(&sets.by_bytes);
	free(sets.v);

	b->n_entries = (uint32_t)n;
	b->first_ts = e[0].ts;
	b->last_ts = e[n - 1].ts;
	b->text_raw = (uint32_t)text->n;
	b->table_raw = (uint32_t)table->n;
	size_t at = out->n;
	b->text_comp = compress(buf_slice(text), effort, out);
	b->text_sum = hash64_seed(slice_of(out->p + at, b->text_comp), seed);
	at = out->n;
	b->table_comp = compress(buf_slice(table), effort, out);
	b->table_sum = hash64_seed(slice_of(out->p + at, b->table_comp), seed);
}

static void write_header(const struct chunk_info *info, const struct chunk_block *b, size_t n_blocks,
			 uint64_t seed, uint8_t codec, struct buf *out)
{
	size_t start = out->n;

	buf_append(out, CHUNK_MAGIC, 4);
	buf_putc(out, (char)codec);
	buf_varint(out, info->n_entries);
	buf_svarint(out, info->first_ts);
	buf_varint(out, (uint64_t)info->last_ts - (uint64_t)info->first_ts);
	buf_varint(out, info->raw_bytes);
	buf_varint(out, n_blocks);
	for (size_t i = 0; i < n_blocks; i++) {
		buf_varint(out, b[i].n_entries);
		buf_varint(out, (uint64_t)b[i].first_ts - (uint64_t)info->first_ts);
		buf_varint(out, (uint64_t)b[i].last_ts - (uint64_t)b[i].first_ts);
		buf_varint(out, b[i].text_raw);
		buf_varint(out, b[i].text_comp);
		buf_varint(out, b[i].table_raw);
		buf_varint(out, b[i].table_comp);
		buf_u64le(out, b[i].text_sum);
		buf_u64le(out, b[i].table_sum);
	}
	buf_u64le(out, hash64_seed(slice_of(out->p + start, out->n - start), seed));
}

static void rows_encode(const struct chunk_entry *e, size_t n, uint64_t seed, int effort, struct buf *out,
			struct chunk_info *info)
{
	struct buf text, table, blocks;
	struct chunk_block *b = xcalloc(n, sizeof(*b));
	size_t n_blocks = 0;

	assert(n > 0 && n <= UINT32_MAX);
	buf_init(&text);
	buf_init(&table);
	buf_init(&blocks);
	*info = (struct chunk_info){ .first_ts = e[0].ts, .last_ts = e[n - 1].ts, .n_entries = (uint32_t)n };
	for (size_t i = 0; i < n; i++) {
		assert(i == 0 || e[i].ts >= e[i - 1].ts);
		info->raw_bytes += e[i].line.n + e[i].meta.n;
	}
	for (size_t from = 0, to; from < n; from = to) {
		to = block_end(e, n, from);
		encode_block(e + from, to - from, seed, effort, &text, &table, &blocks, &b[n_blocks++]);
	}
	size_t start = out->n;
	write_header(info, b, n_blocks, seed, chunk_codec_rows.number, out);
	info->header_bytes = (uint32_t)(out->n - start);
	buf_add(out, buf_slice(&blocks));
	info->total_bytes = out->n - start;
	free(b);
	buf_fini(&text);
	buf_fini(&table);
	buf_fini(&blocks);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

int rows_header_parse(struct cursor *c, struct chunk_header *h, struct err *err)
{
	uint64_t n_blocks = cursor_varint(c), off = h->info.header_bytes, n_entries = 0;

	if (c->bad || n_blocks == 0 || n_blocks > cursor_left(c) / 23)
		return chunk_corrupt(err, "impossible header");
	h->n_blocks = (uint32_t)n_blocks;
	h->block = xcalloc(n_blocks, sizeof(*h->block));
	for (size_t i = 0; i < n_blocks; i++) {
		struct chunk_block *b = &h->block[i];
		uint64_t size[4];

		chunk_block_parse(c, h, b, &n_entries);
		for (int k = 0; k < 4; k++) {
			size[k] = cursor_varint(c);
			if (size[k] > MAX_SECTION)
				c->bad = true;
		}
		b->text_raw = (uint32_t)size[0];
		b->text_comp = (uint32_t)size[1];
		b->table_raw = (uint32_t)size[2];
		b->table_comp = (uint32_t)size[3];
		b->text_sum = cursor_u64le(c);
		b->table_sum = cursor_u64le(c);
		b->off = off;
		off += (uint64_t)b->text_comp + b->table_comp;
		if (b->n_entries > b->table_raw)
			c->bad = true;
	}
	h->info.total_bytes = off;
	if (c->bad || cursor_left(c) != 0 || n_entries != h->info.n_entries)
		return chunk_corrupt(err, "impossible block table");
	return 0;
}

/* Damaged sections stay damaged: their sums are left as they are. */
static void rows_place(char *chunk, const struct chunk_info *info, uint64_t from, uint64_t to)
{
	struct chunk_header h;
	struct err err;
	struct buf out;

	if (chunk_header_parse(slice_of(chunk, info->header_bytes), from, &h, &err) == -1)
		return;
	for (size_t i = 0; i < h.n_blocks; i++) {
		struct chunk_block *b = &h.block[i];
		struct slice text = slice_of(chunk + b->off, b->text_comp);
		struct slice table = slice_of(chunk + b->off + b->text_comp, b->table_comp);

		if (b->text_sum == hash64_seed(text, from))
			b->text_sum = hash64_seed(text, to);
		if (b->table_sum == hash64_seed(table, from))
			b->table_sum = hash64_seed(table, to);
	}
	buf_init(&out);
	write_header(&h.info, h.block, h.n_blocks, to, h.codec, &out);
	assert(out.n == info->header_bytes);
	memcpy(chunk, out.p, out.n);
	buf_fini(&out);
	chunk_header_fini(&h);
}

/* Reads, verifies and decompresses one section into `to`. */
static int read_section(struct chunk_source src, uint64_t off, uint32_t comp, uint32_t raw, uint64_t sum,
			uint64_t seed, struct chunk_scratch *s, struct buf *to, struct err *err)
{
	buf_reset(&s->comp);
	buf_reserve(&s->comp, (size_t)comp + 1);
	if (src.read(src.arg, off, comp, s->comp.p, err) == -1)
		return -1;
	if (hash64_seed(slice_of(s->comp.p, comp), seed) != sum)
		return chunk_corrupt(err, "bad section checksum");
	buf_reset(to);
	buf_reserve(to, (size_t)raw + 1);
	if (raw == 0 && comp <= 1)
		return 0;
	if (LZ4_decompress_safe(s->comp.p, to->p, (int)comp, (int)raw) != (int)raw)
		return chunk_corrupt(err, "section does not decompress to its size");
	to->n = raw;
	return 0;
}

static int load_text(const struct chunk_header *h, size_t i, struct chunk_source src, struct chunk_scratch *s,
		     struct err *err)
{
	const struct chunk_block *b = &h->block[i];

	if (s->text.n > 0)
		return 0;
	return read_section(src, b->off, b->text_comp, b->text_raw, b->text_sum, h->seed, s, &s->text, err);
}

static int rows_may_match(const struct chunk_header *h, size_t i, struct chunk_source src,
			  const struct slice *needles, size_t n_needles, struct chunk_scratch *s,
			  struct err *err)
{
	if (n_needles == 0)
		return 1;
	if (load_text(h, i, src, s, err) == -1)
		return -1;
	for (size_t k = 0; k < n_needles; k++)
		if (slice_find(buf_slice(&s->text), needles[k]) == SLICE_NONE)
			return 0;
	return 1;
}

static int parse_table(const struct chunk_header *h, const struct chunk_block *b, bool with_lines,
		       struct chunk_scratch *s, struct err *err)
{
	struct cursor c = cursor_of(buf_slice(&s->table));
	int64_t ts = b->first_ts;
	uint64_t at = 0;

	chunk_scratch_reserve(s, b->n_entries);
	for (size_t i = 0; i < b->n_entries; i++) {
		ts = (int64_t)((uint64_t)ts + (uint64_t)cursor_svarint(&c));
		uint64_t len = cursor_varint(&c), set = cursor_varint(&c);

		if (len > b->text_raw - at || set >= b->n_entries || ts < b->first_ts || ts > b->last_ts)
			return chunk_corrupt(err, "entry outside its block");
		s->ts[i] = ts;
		s->meta[i] = (uint32_t)set;
		s->line[i] = slice_of(with_lines ? s->text.p + at : NULL, len);
		at += len;
	}
	uint64_t n_sets = cursor_varint(&c);
	if (c.bad || at != b->text_raw || n_sets > b->n_entries)
		return chunk_corrupt(err, "table does not add up");
	chunk_scratch_reserve_metas(s, n_sets);
	for (size_t i = 0; i < n_sets; i++)
		s->metas[i] = cursor_lenslice(&c);
	for (size_t i = 0; i < b->n_entries; i++)
		if (s->meta[i] >= n_sets)
			return chunk_corrupt(err, "metadata set out of range");
	if (c.bad || cursor_left(&c) != 0)
		return chunk_corrupt(err, "table does not add up");
	s->n = b->n_entries;
	s->n_metas = n_sets;
	(void)h;
	return 0;
}

static int rows_read(const struct chunk_header *h, size_t i, struct chunk_source src, bool with_lines,
		     struct chunk_scratch *s, struct err *err)
{
	const struct chunk_block *b = &h->block[i];

	if (with_lines && load_text(h, i, src, s, err) == -1)
		return -1;
	if (read_section(src, b->off + b->text_comp, b->table_comp, b->table_raw, b->table_sum, h->seed, s,
			 &s->table, err) == -1)
		return -1;
	return parse_table(h, b, with_lines, s, err);
}

const struct chunk_codec chunk_codec_rows = {
	.number = 1,
	.name = "rows",
	.encode = rows_encode,
	.place = rows_place,
	.block_may_match = rows_may_match,
	.block_read = rows_read,
};
