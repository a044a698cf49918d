/* Chunks: what is encoded comes back byte for byte; damage anywhere is noticed before it is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "index/chunk.h"
#include "model/labels.h"

struct memory {
	struct slice bytes;
	size_t n_reads;
};

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	struct memory *m = arg;

	m->n_reads++;
	if (off > m->bytes.n || n > m->bytes.n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, m->bytes.p + off, n);
	return 0;
}

static const uint64_t SEED = 12345;

/* Decodes everything and compares with the entries. */
static void expect_entries(struct slice chunk, const struct chunk_info *info, const struct chunk_entry *e,
			   size_t n)
{
	struct memory m = { chunk, 0 };
	struct chunk_source src = { read_memory, &m };
	struct chunk_scratch s = { 0 };
	struct chunk_header h;
	struct err err = { 0 };
	size_t at = 0;

	assert_int_equal(chunk_header_parse(slice_sub(chunk, 0, info->header_bytes), SEED, &h, &err), 0);
	assert_int_equal(h.info.total_bytes, chunk.n);
	assert_int_equal(h.info.n_entries, n);
	for (size_t b = 0; b < h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		assert_int_equal(h.block[b].first_entry, at);
		assert_int_equal(chunk_codec_rows.block_read(&h, b, src, true, &s, &err), 0);
		for (size_t i = 0; i < s.n; i++, at++) {
			assert_true(s.ts[i] == e[at].ts);
			assert_true(slice_eq(s.line[i], e[at].line));
			assert_true(slice_eq(s.metas[s.meta[i]], e[at].meta));
		}
		chunk_scratch_reset(&s);
		assert_int_equal(chunk_codec_rows.block_read(&h, b, src, false, &s, &err), 0);
		for (size_t i = 0; i < s.n; i++)
			assert_int_equal(s.line[i].n, e[at - s.n + i].line.n);
	}
	assert_int_equal(at, n);
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
}

static struct slice no_meta(void)
{
	return slice_of("", 1); /* varint 0 */
}

static void round_trip(const struct chunk_entry *e, size_t n)
{
	struct chunk_info info;
	struct buf out;

	buf_init(&out);
	chunk_codec_rows.encode(e, n, SEED, 1, &out, &info);
	assert_int_equal(info.total_bytes, out.n);
	expect_entries(buf_slice(&out), &info, e, n);
	buf_fini(&out);
}

static void edges_round_trip(void **state)
{
	(void)state;
	const struct chunk_entry one[] = { { 5, SLICE("line"), no_meta() } };
	const struct chunk_entry empty[] = { { 5, SLICE(""), no_meta() }, { 5, SLICE(""), no_meta() } };
	const struct chunk_entry times[] = { { INT64_MIN, SLICE("first"), no_meta() },
					     { 0, SLICE("\0nul\xff"), no_meta() },
					     { INT64_MAX, SLICE("last"), no_meta() } };

	round_trip(one, 1);
	round_trip(empty, 2);
	round_trip(times, 3);
}

static void random_entries_round_trip(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct chunk_entry *e = xcalloc(N, sizeof(*e));
	struct buf text, meta;
	uint32_t seed = 7;

	buf_init(&text);
	buf_init(&meta);
	buf_reserve(&text, N * 400);
	for (int i = 0; i < 50; i++)
		buf_putc(&meta, (char)i); /* any bytes will do: the chunk does not look inside */
	for (size_t i = 0; i < N; i++) {
		seed = seed * 1664525 + 1013904223;
		size_t n = seed >> 24, from = text.n;

		for (size_t k = 0; k < n; k++)
			buf_putc(&text, (char)(seed >> (k % 24)));
		e[i] = (struct chunk_entry){ (int64_t)(i / 3) * 1000, slice_of(text.p + from, n),
					     slice_sub(buf_slice(&meta), 0, (seed >> 8) % 50) };
	}
	round_trip(e, N);
	buf_fini(&text);
	buf_fini(&meta);
	free(e);
}

static void needles_rule_blocks_out(void **state)
{
	(void)state;
	const struct chunk_entry e[] = { { 1, SLICE("alpha beta"), no_meta() },
					 { 2, SLICE("gamma"), no_meta() } };
	const struct slice present[] = { SLICE("beta"), SLICE("gam") },
			   absent[] = { SLICE("beta"), SLICE("delta") };
	struct chunk_scratch s = { 0 };
	struct chunk_info info;
	struct chunk_header h;
	struct err err;
	struct buf out;

	buf_init(&out);
	chunk_codec_rows.encode(e, 2, SEED, 1, &out, &info);
	struct memory m = { buf_slice(&out), 0 };
	struct chunk_source src = { read_memory, &m };
	assert_int_equal(chunk_header_parse(slice_sub(buf_slice(&out), 0, info.header_bytes), SEED, &h, &err),
			 0);
	assert_int_equal(chunk_codec_rows.block_may_match(&h, 0, src, absent, 2, &s, &err), 0);
	assert_int_equal(m.n_reads, 1);
	assert_int_equal(chunk_codec_rows.block_may_match(&h, 0, src, present, 2, &s, &err), 1);
	assert_int_equal(chunk_codec_rows.block_read(&h, 0, src, true, &s, &err), 0);
	assert_int_equal(m.n_reads, 2); /* the text was read once */
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
	buf_fini(&out);
}

static void every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	const struct chunk_entry e[] = { { 1, SLICE("alpha beta alpha beta"), no_meta() },
					 { 2, SLICE("gamma"), no_meta() } };
	struct chunk_scratch s = { 0 };
	struct chunk_info info;
	struct err err;
	struct buf out;

	buf_init(&out);
	chunk_codec_rows.encode(e, 2, SEED, 1, &out, &info);
	for (size_t bit = 0; bit < out.n * 8; bit++) {
		struct memory m = { buf_slice(&out), 0 };
		struct chunk_source src = { read_memory, &m };
		struct chunk_header h;

		out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
		chunk_scratch_reset(&s);
		if (chunk_header_parse(slice_sub(buf_slice(&out), 0, info.header_bytes), SEED, &h, &err) ==
		    0) {
			assert_int_equal(chunk_codec_rows.block_read(&h, 0, src, true, &s, &err), -1);
			assert_int_equal(err.code, ERR_CORRUPT);
			chunk_header_fini(&h);
		}
		out.p[bit / 8] = (char)(out.p[bit / 8] ^ 1 << bit % 8);
	}
	struct chunk_header h;
	assert_int_equal(
		chunk_header_parse(slice_sub(buf_slice(&out), 0, info.header_bytes), SEED + 1, &h, &err), -1);
	chunk_scratch_fini(&s);
	buf_fini(&out);
}

/* The table of a block holds its metadata: different in each entry, it must not outgrow what a reader accepts. */
static void large_metadata_makes_more_blocks(void **state)
{
	enum { N = 1300, META = 64 << 10 };
	struct chunk_entry *e = xcalloc(N, sizeof(*e));
	char *meta = xcalloc(N, META);

	(void)state;
	for (size_t i = 0; i < N; i++) {
		uint64_t *w = (uint64_t *)(meta + i * META);

		for (size_t k = 0; k < META / 8; k++)
			w[k] = (i * META + k) * 0x9e3779b97f4a7c15ULL;
		e[i] = (struct chunk_entry){ 1, SLICE(""), slice_of(meta + i * META, META) };
	}
	round_trip(e, N);
	free(meta);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_round_trip),
		cmocka_unit_test(random_entries_round_trip),
		cmocka_unit_test(needles_rule_blocks_out),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(large_metadata_makes_more_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
