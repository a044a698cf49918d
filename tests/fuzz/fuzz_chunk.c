/* A chunk from hostile bytes. Checksums would stop a fuzzer at the door, so they are made to fit: the input becomes the header of
 * a chunk (checksum appended), and, a second time, the two sections of a one-block chunk with a header that describes them. */
#include <lz4.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/chunk.h"
#include "index/filter.h"

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

static void read_blocks(struct slice bytes, size_t header_bytes, uint64_t seed)
{
	static const struct slice needle[] = { { "ab", 2 } };
	struct chunk_source src = { read_memory, &bytes };
	struct chunk_scratch s = { 0 };
	struct chunk_header h;
	struct err err;
	uint64_t sum = 0;

	if (chunk_header_parse(slice_sub(bytes, 0, header_bytes), seed, &h, &err) == -1)
		return;
	for (size_t i = 0; i < h.n_blocks && i < 16; i++) {
		chunk_scratch_reset(&s);
		chunk_codec_rows.block_may_match(&h, i, src, needle, 1, &s, &err);
		if (chunk_codec_rows.block_read(&h, i, src, i % 2 == 0, &s, &err) == 0)
			for (size_t k = 0; k < s.n; k++) /* touch what it says is there */
				sum += hash64(s.metas[s.meta[k]]) +
				       (s.line[k].p != NULL ? hash64(s.line[k]) : 0);
	}
	if (sum == 1)
		abort();
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
}

static void as_header(struct slice in)
{
	struct buf b;

	buf_init(&b);
	buf_puts(&b, "SPCK");
	buf_add(&b, in);
	buf_u64le(&b, hash64_seed(buf_slice(&b), 7));
	size_t n = b.n;
	buf_add(&b, in);
	read_blocks(buf_slice(&b), n, 7);
	buf_fini(&b);
}

static size_t compress(struct buf *out, struct slice raw)
{
	char *to = buf_reserve(out, (size_t)LZ4_compressBound((int)raw.n));
	int n = LZ4_compress_default(raw.p, to, (int)raw.n, LZ4_compressBound((int)raw.n));

	out->n += (size_t)n;
	return (size_t)n;
}

static void as_sections(struct slice in)
{
	struct buf b, sections;
	uint8_t n_entries = (uint8_t)in.p[0];
	size_t n_text = (uint8_t)in.p[1];

	in = slice_from(in, 2);
	struct slice text = slice_sub(in, 0, n_text), table = slice_from(in, n_text);
	buf_init(&b);
	buf_init(&sections);
	size_t text_comp = compress(&sections, text), table_comp = compress(&sections, table);
	buf_puts(&b, "SPCK");
	buf_putc(&b, 1);
	buf_varint(&b, n_entries);
	buf_svarint(&b, 1000);
	buf_varint(&b, 1000);
	buf_varint(&b, in.n);
	buf_varint(&b, 1);
	buf_varint(&b, n_entries);
	buf_varint(&b, 0);
	buf_varint(&b, 1000);
	buf_varint(&b, text.n);
	buf_varint(&b, text_comp);
	buf_varint(&b, table.n);
	buf_varint(&b, table_comp);
	buf_u64le(&b, hash64_seed(slice_sub(buf_slice(&sections), 0, text_comp), 7));
	buf_u64le(&b, hash64_seed(slice_from(buf_slice(&sections), text_comp), 7));
	buf_u64le(&b, hash64_seed(buf_slice(&b), 7));
	size_t n = b.n;
	buf_add(&b, buf_slice(&sections));
	read_blocks(buf_slice(&b), n, 7);
	buf_fini(&b);
	buf_fini(&sections);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);

	fuse_has(in, 42);
	as_header(in);
	if (size >= 2)
		as_sections(in);
	return 0;
}
