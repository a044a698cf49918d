/* Needles in columns: what is left are all rows that hold the needle, and only those if the answer is exact. Needles are
 * cut from lines anywhere, over borders of slots, and spoilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "columns_sample.h"
#include "index/chunk_columns.h"
#include "index/column_read.h"

struct tally {
	size_t searches, exact, skipped_chunks;
};

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

static void check_needle(struct columns *c, const struct chunk_header *h, struct chunk_source src,
			 const struct chunk_entry *e, struct slice needle, struct tally *tally)
{
	bool anywhere = false, may = columns_chunk_may_hold(h, needle);
	struct err err = { 0 };

	for (size_t b = 0; b < h->n_blocks; b++) {
		uint64_t rows[COLUMNS_BLOCK_ENTRIES / 64];
		const struct chunk_entry *first = e + h->block[b].first_entry;
		bool exact;

		memset(rows, 0xff, sizeof(rows));
		assert_int_equal(columns_start(c, h, b, src, &err), 0);
		assert_int_equal(columns_search(c, needle, rows, &exact, &err), 0);
		for (uint32_t i = 0; i < columns_n_rows(c); i++) {
			bool holds = slice_find(first[i].line, needle) != SLICE_NONE;
			bool said = (rows[i / 64] >> (i % 64) & 1) != 0;

			anywhere |= holds;
			if (holds ? !said : said && exact)
				fail_msg("needle \"%.*s\" in \"%.*s\": %s", SLICE_ARG(needle),
					 SLICE_ARG(first[i].line), said ? "said yes" : "said no");
		}
		tally->searches++;
		tally->exact += exact;
	}
	assert_true(may || !anywhere);
	tally->skipped_chunks += !may;
}

static struct slice cut(const struct chunk_entry *e, struct sample_random *r, char *text, size_t size)
{
	struct slice line = e->line;
	size_t from = line.n > 0 ? sample_below(r, (unsigned)line.n) : 0;
	size_t n = 1 + (sample_below(r, 2) == 0 ? sample_below(r, 6) : sample_below(r, 60));

	line = slice_sub(line, from, MIN(n, size));
	memcpy(text, line.p != NULL ? line.p : "", line.n);
	if (line.n > 0 && sample_below(r, 5) == 0)
		text[sample_below(r, (unsigned)line.n)] ^= 1;
	return slice_of(text, line.n);
}

static void any_needle(void **state)
{
	static const char *const fixed[] = { "error",
					     "\"level\": \"error\"",
					     "level=warn msg=\"",
					     "",
					     " ",
					     "0",
					     "200",
					     "\"}",
					     "{\"time\": \"",
					     "cart",
					     "-",
					     ":00",
					     "T1",
					     "e",
					     "zzz",
					     ".0.",
					     "f0",
					     "\"GET /cart/1",
					     "trace_id\": \"0" };
	struct columns *c = columns_new();

	(void)state;
	for (int kind = 0; kind < SAMPLE_N; kind++) {
		static const size_t sizes[] = { 40, 300, 2500 };
		struct tally tally = { 0 };

		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			struct sample_random r = { (uint64_t)kind * 10 + i };
			struct chunk_header h;
			struct chunk_info info;
			struct arena arena;
			struct buf bytes;
			struct err err;
			char text[64];

			arena_init(&arena);
			buf_init(&bytes);
			struct chunk_entry *e =
				sample_entries(&arena, (enum sample_kind)kind, 50 + i, sizes[i]);
			chunk_codec_columns.encode(e, sizes[i], 1, 1, &bytes, &info);
			struct slice memory = buf_slice(&bytes);
			struct chunk_source src = { read_memory, &memory };
			assert_int_equal(
				chunk_header_parse(slice_sub(memory, 0, info.header_bytes), 1, &h, &err), 0);
			if (h.columns != NULL) {
				for (size_t k = 0; k < ARRAY_LEN(fixed); k++)
					check_needle(c, &h, src, e, slice_cstr(fixed[k]), &tally);
				for (size_t k = 0; k < 300; k++)
					check_needle(
						c, &h, src, e,
						cut(&e[sample_below(&r, (unsigned)sizes[i])], &r, text, 64),
						&tally);
			}
			columns_reset(c);
			chunk_header_fini(&h);
			buf_fini(&bytes);
			arena_fini(&arena);
		}
		print_message("kind %d: %zu searches, %zu exact, %zu chunks skipped\n", kind, tally.searches,
			      tally.exact, tally.skipped_chunks);
		assert_true(tally.exact >= tally.searches * 9 / 10);
	}
	columns_free(c);
}

/* block_may_match leaves only rows that may hold all needles, and block_read rebuilds no others. */
static void rows_without_the_needle_are_not_rebuilt(void **state)
{
	static const struct slice needles[] = { { "\"level\": \"warn\"", 15 }, { "timeout", 7 } };
	struct chunk_scratch s = { 0 };
	struct chunk_header h;
	struct chunk_info info;
	struct arena arena;
	struct buf bytes;
	struct err err;
	size_t n = 0, at = 0, e_n = 3000;

	(void)state;
	arena_init(&arena);
	buf_init(&bytes);
	struct chunk_entry *e = sample_entries(&arena, SAMPLE_JSON, 4, e_n);
	chunk_codec_columns.encode(e, e_n, 1, 1, &bytes, &info);
	struct slice memory = buf_slice(&bytes);
	struct chunk_source src = { read_memory, &memory };
	assert_int_equal(chunk_header_parse(slice_sub(memory, 0, info.header_bytes), 1, &h, &err), 0);
	for (size_t b = 0; b < h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		if (chunk_codec_columns.block_may_match(&h, b, src, needles, 2, &s, &err) == 0)
			continue;
		assert_int_equal(chunk_codec_columns.block_read(&h, b, src, true, &s, &err), 0);
		for (size_t i = 0; i < s.n; i++, at++) {
			while (e[at].ts != s.ts[i] || !slice_eq(e[at].line, s.line[i])) {
				assert_true(slice_find(e[at].line, needles[0]) == SLICE_NONE ||
					    slice_find(e[at].line, needles[1]) == SLICE_NONE);
				at++;
			}
			assert_true(slice_eq(s.metas[s.meta[i]], e[at].meta));
		}
		n += s.n;
	}
	assert_true(n > 0 && n < e_n / 4);
	assert_int_equal(s.columns->count.lines_rebuilt, n);
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
	buf_fini(&bytes);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_needle),
		cmocka_unit_test(rows_without_the_needle_are_not_rebuilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
