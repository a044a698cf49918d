/* What the codecs have in common: the start of a header, the choice of the codec, buffers. */
#include "index/chunk_internal.h"
#include "base/hash.h"
#include "base/mem.h"
#include "index/chunk_columns.h"
#include "index/column_read.h"

const char CHUNK_MAGIC[4] = { 'S', 'P', 'C', 'K' };

static const struct chunk_codec *const codecs[] = { &chunk_codec_rows, &chunk_codec_columns };

uint64_t chunk_seed(uint64_t file_id, uint64_t off)
{
	return hash_mix(file_id + off * 0x9e3779b97f4a7c15ULL);
}

const struct chunk_codec *chunk_codec_find(uint8_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
		if (codecs[i]->number == number)
			return codecs[i];
	return NULL;
}

int chunk_corrupt(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "chunk: %s", what);
}

void chunk_header_fini(struct chunk_header *h)
{
	free(h->block);
	h->block = NULL;
	chunk_columns_free(TAKE(h->columns));
}

void chunk_block_parse(struct cursor *c, const struct chunk_header *h, struct chunk_block *b,
		       uint64_t *n_entries)
{
	uint64_t n = cursor_varint(c);

	b->first_entry = (uint32_t)*n_entries;
	b->n_entries = (uint32_t)n;
	b->first_ts = (int64_t)((uint64_t)h->info.first_ts + cursor_varint(c));
	b->last_ts = (int64_t)((uint64_t)b->first_ts + cursor_varint(c));
	*n_entries += b->n_entries;
	if (n == 0 || n > UINT32_MAX || b->last_ts < b->first_ts)
		c->bad = true;
}

int chunk_header_parse(struct slice bytes, uint64_t seed, struct chunk_header *out, struct err *err)
{
	struct chunk_header h = { .seed = seed };
	uint64_t sum;
	int rc;

	if (bytes.n < 16 || bytes.n > UINT32_MAX || memcmp(bytes.p, CHUNK_MAGIC, 4) != 0)
		return chunk_corrupt(err, "no chunk header here");
	memcpy(&sum, bytes.p + bytes.n - 8, 8);
	if (sum != hash64_seed(slice_sub(bytes, 0, bytes.n - 8), seed))
		return chunk_corrupt(err, "bad header checksum");
	struct cursor c = cursor_of(slice_sub(bytes, 4, bytes.n - 12));
	h.codec = cursor_u8(&c);
	h.info.n_entries = (uint32_t)cursor_varint(&c);
	h.info.first_ts = cursor_svarint(&c);
	h.info.last_ts = (int64_t)((uint64_t)h.info.first_ts + cursor_varint(&c));
	h.info.raw_bytes = cursor_varint(&c);
	h.info.header_bytes = (uint32_t)bytes.n;
	if (h.codec == chunk_codec_rows.number)
		rc = rows_header_parse(&c, &h, err);
	else if (h.codec == chunk_codec_columns.number)
		rc = columns_header_parse(&c, &h, err);
	else
		rc = err_set(err, ERR_CORRUPT, "chunk: codec %u is not known to this version", h.codec);
	if (rc == -1) {
		chunk_header_fini(&h);
		return -1;
	}
	*out = h;
	return 0;
}

void chunk_scratch_reserve(struct chunk_scratch *s, size_t n)
{
	if (s->cap >= n)
		return;
	s->cap = n;
	s->ts = xrealloc(s->ts, n * sizeof(*s->ts));
	s->line = xrealloc(s->line, n * sizeof(*s->line));
	s->meta = xrealloc(s->meta, n * sizeof(*s->meta));
}

void chunk_scratch_reserve_metas(struct chunk_scratch *s, size_t n)
{
	if (s->cap_metas >= n)
		return;
	s->cap_metas = n;
	s->metas = xrealloc(s->metas, n * sizeof(*s->metas));
}

void chunk_scratch_reset(struct chunk_scratch *s)
{
	s->text.n = s->table.n = 0;
	s->n = s->n_metas = 0;
	s->metas_key = 0;
	if (s->columns != NULL)
		columns_reset(s->columns);
}

void chunk_scratch_fini(struct chunk_scratch *s)
{
	buf_fini(&s->comp);
	buf_fini(&s->text);
	buf_fini(&s->table);
	free(s->ts);
	free(s->line);
	free(s->meta);
	free(s->metas);
	columns_free(s->columns);
	*s = (struct chunk_scratch){ 0 };
}
