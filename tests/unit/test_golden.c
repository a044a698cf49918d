/* Chunks that earlier versions wrote are read as they always were. How a new row is made: make_golden in tests/data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "../data/golden.h"
#include "base/file.h"
#include "base/mem.h"

static const struct {
	const char *name;
	uint8_t codec;
} files[] = {
	{ "json", 1 }, { "logfmt", 1 }, { "plain", 1 }, { "odd", 1 },
	{ "json", 2 }, { "logfmt", 2 }, { "plain", 2 }, { "odd", 2 },
};

static char *path_of(const char *name, const char *suffix)
{
	const char *srcdir = getenv("srcdir");

	return xasprintf("%s/tests/data/%s%s", srcdir != NULL ? srcdir : ".", name, suffix);
}

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct buf *b = arg;

	if (off > b->n || n > b->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, b->p + off, n);
	return 0;
}

/* The header's length stands in an index elsewhere; here it is the one at which the checksum is right. */
static struct chunk_header header_of(struct slice chunk)
{
	struct chunk_header h;
	struct err err;

	for (size_t n = 16; n <= chunk.n; n++)
		if (chunk_header_parse(slice_sub(chunk, 0, n), GOLDEN_SEED, &h, &err) == 0)
			return h;
	fail_msg("no header of a chunk");
	abort();
}

static void expect_entries(const char *name, uint8_t codec, const struct golden *want)
{
	char *suffix = xasprintf(".codec%u.chunk", codec), *path = path_of(name, suffix);
	struct buf chunk = { 0 };
	struct chunk_scratch s = { 0 };
	struct err err;
	size_t at = 0;

	assert_int_equal(file_read_all(path, 64 << 20, &chunk, &err), 0);
	struct chunk_header h = header_of(buf_slice(&chunk));
	struct chunk_source src = { read_memory, &chunk };

	assert_int_equal(h.codec, codec);
	assert_int_equal(h.info.n_entries, want->entries.n);
	assert_int_equal(h.info.total_bytes, chunk.n);
	for (size_t b = 0; b < h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		assert_int_equal(chunk_codec_find(codec)->block_read(&h, b, src, true, &s, &err), 0);
		assert_true(at + s.n <= want->entries.n);
		for (size_t i = 0; i < s.n; i++, at++) {
			const struct chunk_entry *e = &want->entries.v[at];

			assert_true(s.ts[i] == e->ts);
			assert_true(slice_eq(s.line[i], e->line));
			assert_true(slice_eq(s.metas[s.meta[i]], e->meta));
		}
	}
	assert_int_equal(at, want->entries.n);
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
	buf_fini(&chunk);
	free(path);
	free(suffix);
}

static void golden_files_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *path = path_of(files[i].name, ".entries");
		struct golden want;
		struct err err;

		print_message("%s, codec %u\n", files[i].name, files[i].codec);
		assert_int_equal(golden_read(path, &want, &err), 0);
		assert_true(want.entries.n > 100);
		expect_entries(files[i].name, files[i].codec, &want);
		golden_fini(&want);
		free(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
