/* A chunk of codec 2 from hostile bytes. Checksums would stop a fuzzer at the door, so they are made to fit: the header's is
 * computed, those of the sections are set in the parsed skeleton. Then everything is read, rebuilt and searched.
 * Input: u16 length of the header behind the codec's number, the header, the sections. */
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/chunk_columns.h"
#include "index/column_read.h"

enum { SEED = 7, MOST_BLOCKS = 4, MOST_VALUES = 16 };

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

static void fix(struct section *s, struct slice chunk)
{
	if (s->off <= chunk.n && s->stored <= chunk.n - s->off)
		s->sum = (uint32_t)hash64(slice_sub(chunk, s->off, s->stored));
}

static void fix_sums(struct chunk_header *h, struct slice chunk)
{
	struct chunk_columns *sk = h->columns;

	for (uint32_t b = 0; b < h->n_blocks; b++)
		fix((struct section *)(uintptr_t)&sk->times[b], chunk);
	for (uint32_t i = 0; i < sk->n_columns; i++) {
		fix(&sk->place[i].dict, chunk);
		for (uint32_t b = 0; b < h->n_blocks; b++)
			fix((struct section *)(uintptr_t)&sk->place[i].section[b], chunk);
	}
}

/* Not an error: what a column's descriptor says of its bytes may be a lie here. */
static size_t n_wrong;

static uint64_t touch(struct slice s)
{
	return s.p != NULL ? hash64(s) : s.n;
}

static uint64_t read_all(const struct chunk_header *h, size_t b, struct chunk_source src,
			 struct chunk_scratch *s)
{
	uint64_t sum = 0;
	struct err err;

	for (int with_lines = 0; with_lines < 2; with_lines++) {
		chunk_scratch_reset(s);
		if (chunk_codec_columns.block_read(h, b, src, with_lines != 0, s, &err) == -1)
			continue;
		for (size_t i = 0; i < s->n; i++)
			sum += touch(s->line[i]) + touch(s->metas[s->meta[i]]);
	}
	return sum;
}

/* Lines by spans, values one by one. */
static uint64_t read_pieces(struct columns *c)
{
	struct slot_span span[COLUMNS_MAX_SLOTS];
	const struct column_data *d;
	struct buf text;
	uint64_t sum = 0;
	struct err err;

	buf_init(&text);
	for (uint32_t i = 0; i < columns_n_rows(c) && i < MOST_VALUES; i++)
		if (columns_spans(c, i, &text, span, &err) == 0)
			sum += touch(buf_slice(&text));
	for (uint32_t column = 0; column < columns_n(c); column++) {
		buf_reset(&text);
		if (columns_data(c, column, &d, &err) == -1)
			continue;
		for (uint32_t i = 0; i < d->n && i < MOST_VALUES && text.n < 1 << 20; i++)
			if (columns_text(c, column, d->n - 1 - i, &text, &err) == -1)
				break;
		sum += touch(buf_slice(&text));
	}
	buf_fini(&text);
	return sum;
}

static void search(struct columns *c, struct slice needle)
{
	uint64_t rows[COLUMNS_BLOCK_ENTRIES / 64];
	uint32_t row[COLUMNS_BLOCK_ENTRIES], n = columns_n_rows(c);
	struct slice line[COLUMNS_BLOCK_ENTRIES];
	struct err err;
	bool exact;

	memset(rows, 0xff, sizeof(rows));
	for (uint32_t i = 0; i < n; i++)
		row[i] = i;
	if (columns_search(c, needle, rows, &exact, &err) == -1)
		return;
	if (columns_lines(c, row, n, line, &err) == -1)
		return;
	for (uint32_t i = 0; i < n; i++) {
		bool said = (rows[i / 64] >> (i % 64) & 1) != 0;

		if (slice_find(line[i], needle) == SLICE_NONE ? said && exact : !said)
			n_wrong++;
	}
}

static void read_block(const struct chunk_header *h, size_t b, struct chunk_source src,
		       struct chunk_scratch *s, const struct slice *needle, size_t n_needles)
{
	uint64_t sum = read_all(h, b, src, s);
	struct err err;

	chunk_scratch_reset(s);
	for (size_t k = 0; k < n_needles; k++) {
		if (columns_start(s->columns, h, b, src, &err) == -1)
			return;
		search(s->columns, needle[k]);
	}
	sum += read_pieces(s->columns);
	chunk_scratch_reset(s);
	if (chunk_codec_columns.block_may_match(h, b, src, needle, 1, s, &err) == 1)
		chunk_codec_columns.block_read(h, b, src, true, s, &err);
	if (sum == 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct chunk_scratch s = { 0 };
	struct chunk_header h;
	struct buf b;
	struct err err;

	if (size < 2)
		return 0;
	size_t n_header = (size_t)data[0] | (size_t)data[1] << 8;
	in = slice_from(in, 2);
	buf_init(&b);
	buf_puts(&b, "SPCK");
	buf_putc(&b, 2);
	buf_add(&b, slice_sub(in, 0, n_header));
	buf_u64le(&b, hash64_seed(buf_slice(&b), SEED));
	n_header = b.n;
	buf_add(&b, slice_from(in, n_header - 13));
	struct slice chunk = buf_slice(&b);
	if (chunk_header_parse(slice_sub(chunk, 0, n_header), SEED, &h, &err) == 0) {
		struct chunk_source src = { read_memory, &chunk };
		struct slice needle[] = { SLICE("er"), slice_sub(in, in.n / 2, 4),
					  slice_sub(in, in.n / 3, 20), SLICE("1") };

		fix_sums(&h, chunk);
		for (size_t k = 0; k < ARRAY_LEN(needle); k++)
			columns_chunk_may_hold(&h, needle[k]);
		for (size_t i = 0; i < h.n_blocks && i < MOST_BLOCKS; i++)
			read_block(&h, i, src, &s, needle, ARRAY_LEN(needle));
		chunk_scratch_fini(&s);
		chunk_header_fini(&h);
	}
	buf_fini(&b);
	return 0;
}
