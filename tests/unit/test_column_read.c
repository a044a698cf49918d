/* Codec 2, reading: what the encoder wrote comes back byte for byte by every way in, whole or in part; damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "columns_sample.h"
#include "index/chunk_columns.h"
#include "index/column_read.h"

static const uint64_t SEED = 77;

struct chunk {
	struct arena arena;
	struct chunk_entry *e;
	size_t n;
	struct buf bytes;
	struct chunk_info info;
	struct chunk_header h;
	struct slice memory;
	struct chunk_source src;
};

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

static void setup(struct chunk *k, enum sample_kind kind, uint64_t seed, size_t n)
{
	struct err err = { 0 };

	memset(k, 0, sizeof(*k));
	arena_init(&k->arena);
	buf_init(&k->bytes);
	k->n = n;
	k->e = sample_entries(&k->arena, kind, seed, n);
	chunk_codec_columns.encode(k->e, n, SEED, 1, &k->bytes, &k->info);
	k->memory = buf_slice(&k->bytes);
	k->src = (struct chunk_source){ read_memory, &k->memory };
	assert_int_equal(chunk_header_parse(slice_sub(k->memory, 0, k->info.header_bytes), SEED, &k->h, &err),
			 0);
	assert_int_equal(k->h.info.total_bytes, k->bytes.n);
	assert_int_equal(k->h.info.n_entries, n);
}

static void teardown(struct chunk *k)
{
	chunk_header_fini(&k->h);
	buf_fini(&k->bytes);
	arena_fini(&k->arena);
}

static void expect_line(struct slice got, struct slice want)
{
	if (!slice_eq(got, want))
		fail_msg("line is \"%.*s\", should be \"%.*s\"", SLICE_ARG(got), SLICE_ARG(want));
}

static void check_block_read(struct chunk *k, struct chunk_scratch *s)
{
	const struct chunk_codec *codec = chunk_codec_find(k->h.codec);
	struct err err = { 0 };
	size_t at = 0;

	for (size_t b = 0; b < k->h.n_blocks; b++) {
		chunk_scratch_reset(s);
		assert_int_equal(k->h.block[b].first_entry, at);
		assert_int_equal(codec->block_read(&k->h, b, k->src, true, s, &err), 0);
		assert_int_equal(s->n, k->h.block[b].n_entries);
		for (size_t i = 0; i < s->n; i++) {
			assert_true(s->ts[i] == k->e[at + i].ts);
			expect_line(s->line[i], k->e[at + i].line);
			assert_true(slice_eq(s->metas[s->meta[i]], k->e[at + i].meta));
		}
		chunk_scratch_reset(s);
		assert_int_equal(codec->block_read(&k->h, b, k->src, false, s, &err), 0);
		for (size_t i = 0; i < s->n; i++)
			assert_int_equal(s->line[i].n, k->e[at + i].line.n);
		at += s->n;
	}
	assert_int_equal(at, k->n);
}

static void all_kinds_of_lines_round_trip(void **state)
{
	static const size_t sizes[] = { 1, 31, 33, 500, 2048, 2049, 6000 };
	struct chunk_scratch s = { 0 };

	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			struct chunk k;

			setup(&k, (enum sample_kind)kind, 1000 + i, sizes[i]);
			check_block_read(&k, &s);
			teardown(&k);
		}
	}
	chunk_scratch_fini(&s);
}

/* A few rows, twice, in the middle of other questions. */
static void rows_are_rebuilt_one_by_one(void **state)
{
	struct sample_random r = { 5 };

	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		struct chunk k;
		struct columns *c = columns_new();
		struct err err = { 0 };

		setup(&k, (enum sample_kind)kind, 9, 5000);
		for (size_t round = 0; k.h.columns != NULL && round < 40; round++) {
			size_t b = sample_below(&r, k.h.n_blocks), first = k.h.block[b].first_entry;
			uint32_t n = k.h.block[b].n_entries, row[64], n_rows = 0;
			struct slice line[64];

			assert_int_equal(columns_start(c, &k.h, b, k.src, &err), 0);
			if (sample_below(&r, 2) == 0)
				columns_reset(c);
			assert_int_equal(columns_start(c, &k.h, b, k.src, &err), 0);
			for (uint32_t i = sample_below(&r, n); i < n && n_rows < 64;
			     i += 1 + sample_below(&r, n / 4 + 1))
				row[n_rows++] = i;
			assert_int_equal(columns_lines(c, row, n_rows, line, &err), 0);
			for (uint32_t i = 0; i < n_rows; i++)
				expect_line(line[i], k.e[first + row[i]].line);
			for (uint32_t i = 0; i < n_rows; i++) {
				struct slot_span span[COLUMNS_MAX_SLOTS];
				struct buf text;

				buf_init(&text);
				assert_int_equal(columns_text(c, COLUMN_LINE, row[i], &text, &err), 0);
				expect_line(buf_slice(&text), k.e[first + row[i]].line);
				assert_int_equal(columns_spans(c, row[i], &text, span, &err), 0);
				expect_line(buf_slice(&text), k.e[first + row[i]].line);
				buf_reset(&text);
				assert_int_equal(columns_text(c, COLUMN_META, row[i], &text, &err), 0);
				assert_true(slice_eq(buf_slice(&text), k.e[first + row[i]].meta));
				buf_fini(&text);
			}
			uint32_t length[COLUMNS_BLOCK_ENTRIES];
			assert_int_equal(columns_lengths(c, 0, n, length, &err), 0);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(length[i], k.e[first + i].line.n);
		}
		columns_free(c);
		teardown(&k);
	}
}

/* Each value of each column, at its row, is what stands in the line's span of that slot. */
static void columns_agree_with_lines(void **state)
{
	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		struct chunk k;
		struct columns *c = columns_new();
		struct err err = { 0 };
		struct buf line, value;

		buf_init(&line);
		buf_init(&value);
		setup(&k, (enum sample_kind)kind, 4, 300);
		if (k.h.columns != NULL && k.h.columns->column[COLUMN_LINE].kind == COLUMN_TEMPLATES) {
			uint32_t *next = xcalloc(k.h.columns->n_columns, sizeof(*next));
			const struct column_data *lines, *d;

			assert_int_equal(columns_start(c, &k.h, 0, k.src, &err), 0);
			assert_int_equal(columns_data(c, COLUMN_LINE, &lines, &err), 0);
			for (uint32_t i = 0; i < columns_n_rows(c); i++) {
				const struct line_template *t =
					&columns_get(c, COLUMN_LINE)->templ[lines->id[i]];
				struct slot_span span[COLUMNS_MAX_SLOTS];

				assert_int_equal(columns_spans(c, i, &line, span, &err), 0);
				for (uint32_t s = 0; s < t->n_slots; s++) {
					uint32_t column = t->slot[s].column, v = next[column]++;

					assert_int_equal(columns_data(c, column, &d, &err), 0);
					assert_int_equal(d->row != NULL ? d->row[v] : v, i);
					buf_reset(&value);
					assert_int_equal(columns_text(c, column, v, &value, &err), 0);
					expect_line(buf_slice(&value),
						    slice_sub(buf_slice(&line), span[s].off, span[s].n));
				}
			}
			for (uint32_t i = 2; i < columns_n(c); i++)
				if (columns_get(c, i)->parent == COLUMN_LINE)
					assert_int_equal(next[i], c->state[i].data.n);
			free(next);
		}
		columns_free(c);
		buf_fini(&line);
		buf_fini(&value);
		teardown(&k);
	}
}

static void damage_is_noticed(void **state)
{
	struct chunk_scratch s = { 0 };
	struct err err = { 0 };
	struct chunk k;

	(void)state;
	setup(&k, SAMPLE_MIXED, 3, 400);
	for (size_t i = 0; i < k.bytes.n; i += 1 + i / 200) {
		struct chunk_header h;
		bool noticed = false;

		k.bytes.p[i] ^= 0x10;
		noticed =
			chunk_header_parse(slice_sub(k.memory, 0, k.info.header_bytes), SEED, &h, &err) == -1;
		for (size_t b = 0; !noticed && b < h.n_blocks; b++) {
			chunk_scratch_reset(&s);
			noticed = chunk_codec_find(h.codec)->block_read(&h, b, k.src, true, &s, &err) == -1;
			if (noticed)
				chunk_header_fini(&h);
		}
		assert_true(noticed);
		assert_int_equal(err.code, ERR_CORRUPT);
		k.bytes.p[i] ^= 0x10;
	}
	struct chunk_header h;
	assert_int_equal(chunk_header_parse(slice_sub(k.memory, 0, k.info.header_bytes), SEED + 1, &h, &err),
			 -1);
	chunk_scratch_fini(&s);
	teardown(&k);
}

static void a_chunk_can_be_moved(void **state)
{
	struct chunk_scratch s = { 0 };
	struct err err = { 0 };
	struct chunk k;

	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		setup(&k, (enum sample_kind)kind, 8, 2500);
		chunk_codec_find(k.h.codec)->place(k.bytes.p, &k.info, SEED, SEED + 9);
		chunk_header_fini(&k.h);
		assert_int_equal(
			chunk_header_parse(slice_sub(k.memory, 0, k.info.header_bytes), SEED + 9, &k.h, &err),
			0);
		check_block_read(&k, &s);
		teardown(&k);
	}
	chunk_scratch_fini(&s);
}

/* Blocks with few different metadata sets share them over the chunk, and say so. */
static void metadata_sets_are_shared(void **state)
{
	struct chunk_scratch s = { 0 };
	struct err err = { 0 };
	struct chunk k;

	(void)state;
	setup(&k, SAMPLE_LOGFMT, 8, 6000);
	assert_non_null(k.h.columns);
	assert_true(k.h.n_blocks > 1);
	uint64_t key = 0;
	for (size_t b = 0; b < k.h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		assert_int_equal(chunk_codec_columns.block_read(&k.h, b, k.src, false, &s, &err), 0);
		assert_true(s.n_metas <= 8);
		assert_true(s.metas_key != 0 && (b == 0 || s.metas_key == key));
		key = s.metas_key;
	}
	chunk_scratch_fini(&s);
	teardown(&k);
}

struct reading {
	struct chunk *k;
	bool right;
};

/* A header as threads share it, each with a scratch of its own. */
static void *read_shared(void *arg)
{
	struct reading *r = arg;
	struct chunk *k = r->k;
	struct chunk_scratch s = { 0 };
	struct err err;
	size_t at = 0;

	r->right = true;
	for (size_t b = 0; b < k->h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		if (chunk_codec_find(k->h.codec)->block_read(&k->h, b, k->src, true, &s, &err) == -1) {
			r->right = false;
			break;
		}
		for (size_t i = 0; i < s.n; i++, at++)
			r->right &= slice_eq(s.line[i], k->e[at].line) &&
				    slice_eq(s.metas[s.meta[i]], k->e[at].meta);
	}
	r->right &= at == k->n;
	chunk_scratch_fini(&s);
	return NULL;
}

static void threads_share_a_header(void **state)
{
	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		struct reading r[4];
		pthread_t t[ARRAY_LEN(r)];
		struct chunk k;

		setup(&k, (enum sample_kind)kind, 5, 3000);
		for (size_t i = 0; i < ARRAY_LEN(t); i++) {
			r[i].k = &k;
			assert_int_equal(pthread_create(&t[i], NULL, read_shared, &r[i]), 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(t); i++) {
			pthread_join(t[i], NULL);
			assert_true(r[i].right);
		}
		teardown(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_of_lines_round_trip),
		cmocka_unit_test(rows_are_rebuilt_one_by_one),
		cmocka_unit_test(columns_agree_with_lines),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(a_chunk_can_be_moved),
		cmocka_unit_test(metadata_sets_are_shared),
		cmocka_unit_test(threads_share_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
