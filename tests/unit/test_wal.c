/* The write-ahead log: records come back in order; a torn tail is dropped, damage in the middle is skipped and counted, what a
 * successor disowns does not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "index/wal.h"

struct fixture {
	char dir[64];
	struct wal *w;
	struct buf seen;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err err;

	snprintf(f->dir, sizeof(f->dir), "/tmp/spoor-wal-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(wal_open(f->dir, 1, &f->w, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;

	wal_close(f->w);
	file_remove_tree(f->dir, &err);
	buf_fini(&f->seen);
	free(f);
	return 0;
}

static void append(struct fixture *f, const char *text)
{
	struct err err;
	struct slice s = slice_cstr(text);

	assert_int_equal(wal_append(f->w, s, wal_payload_sum(s), &err), 0);
}

static int note(void *arg, struct slice payload, struct err *err)
{
	struct buf *b = arg;

	(void)err;
	buf_add(b, payload);
	buf_putc(b, ' ');
	return 0;
}

/* All files' records, and the sum of what went wrong. */
static const char *replay(struct fixture *f, struct wal_replay_stats *st)
{
	struct wal_file *files;
	size_t n;
	struct err err;

	*st = (struct wal_replay_stats){ 0 };
	buf_reset(&f->seen);
	assert_int_equal(wal_list(f->dir, &files, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		if (!files[i].damaged_header)
			assert_int_equal(wal_replay(f->dir, &files[i], note, &f->seen, st, &err), 0);
	free(files);
	buf_cstr_end(&f->seen);
	return f->seen.p;
}

static void load(struct fixture *f, uint64_t number, struct buf *out, char *path, size_t size)
{
	struct err err;

	snprintf(path, size, "%s/%010llu.wal", f->dir, (unsigned long long)number);
	assert_int_equal(file_read_all(path, 1 << 20, out, &err), 0);
}

static void store_bytes(const char *path, struct slice s)
{
	struct err err;

	assert_int_equal(file_replace(path, s, &err), 0);
}

static void records_come_back_in_order(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st;
	struct err err;

	append(f, "one");
	append(f, "two");
	wal_mark_good(f->w);
	assert_int_equal(wal_next(f->w, &err), 0);
	append(f, "three");
	assert_string_equal(replay(f, &st), "one two three ");
	assert_int_equal(st.damaged + st.torn, 0);
	assert_int_equal(wal_number(f->w), 2);
}

static void only_marked_records_count_after_a_failure(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st;
	struct err err;

	append(f, "acknowledged");
	wal_mark_good(f->w);
	append(f, "failed");
	assert_int_equal(wal_next(f->w, &err), 0);
	append(f, "later");
	assert_string_equal(replay(f, &st), "acknowledged later ");
}

static void every_torn_tail_is_dropped_quietly(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st;
	char path[128];
	struct buf b;

	append(f, "first");
	size_t good = wal_bytes(f->w);
	append(f, "second");
	buf_init(&b);
	load(f, 1, &b, path, sizeof(path));
	for (size_t n = good; n < b.n; n++) {
		store_bytes(path, slice_sub(buf_slice(&b), 0, n));
		assert_string_equal(replay(f, &st), "first ");
		assert_int_equal(st.damaged, 0);
		assert_int_equal(st.torn, n > good);
	}
	buf_fini(&b);
}

static void damage_in_the_middle_is_skipped(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st;
	char path[128];
	struct buf b;

	append(f, "first");
	size_t from = wal_bytes(f->w);
	append(f, "second");
	size_t to = wal_bytes(f->w);
	append(f, "third");
	buf_init(&b);
	load(f, 1, &b, path, sizeof(path));
	for (size_t i = from; i < to; i++) {
		b.p[i] ^= 0x10;
		store_bytes(path, buf_slice(&b));
		assert_string_equal(replay(f, &st), "first third ");
		assert_int_equal(st.damaged, 1);
		b.p[i] ^= 0x10;
	}
	buf_fini(&b);
}

static void a_record_in_the_wrong_place_fails(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st;
	char path[128];
	struct buf b;

	append(f, "same length 1");
	size_t second = wal_bytes(f->w);
	append(f, "same length 2");
	size_t end = wal_bytes(f->w);
	buf_init(&b);
	load(f, 1, &b, path, sizeof(path));
	memcpy(b.p + second, b.p + second - (end - second), end - second); /* the first record once more */
	store_bytes(path, buf_slice(&b));
	assert_string_equal(replay(f, &st), "same length 1 ");
	buf_fini(&b);
}

static void covered_files_are_removed(void **state)
{
	struct fixture *f = *state;
	struct wal_file *files;
	struct err err;
	size_t n;

	for (int i = 0; i < 3; i++) {
		append(f, "x");
		wal_mark_good(f->w);
		assert_int_equal(wal_next(f->w, &err), 0);
	}
	assert_int_equal(wal_remove_through(f->dir, 2, &err), 0);
	assert_int_equal(wal_list(f->dir, &files, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(files[0].number, 3);
	free(files);
}

/* While writing keeps failing, each attempt begins a new file: they must not pile up, and what the first of them says of
 * the last good file must hold. */
static void files_without_anything_good_do_not_pile_up(void **state)
{
	struct fixture *f = *state;
	struct wal_replay_stats st = { 0 };
	struct wal_file *files;
	struct err err;
	size_t n;

	append(f, "good");
	wal_mark_good(f->w);
	append(f, "failed");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(wal_next(f->w, &err), 0);
		append(f, "failed again");
	}
	assert_int_equal(wal_next(f->w, &err), 0);
	append(f, "after");
	wal_mark_good(f->w);
	assert_int_equal(wal_list(f->dir, &files, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(files[1].number, 7);
	free(files);
	assert_string_equal(replay(f, &st), "good after ");
}

/* Entries with shared, own and no metadata, with and without tokens, in more than one stream. */
static void a_payload_reads_as_it_was_written(void **state)
{
	struct label shared[] = { { { "detected_level", 14 }, { "info", 4 } } };
	struct label own[] = { { { "a", 1 }, { "", 0 } }, { { "b", 1 }, { "2", 1 } } };
	uint64_t token[] = { 7, UINT64_MAX };
	struct batch_entry e[] = {
		{ .ts = INT64_MIN, .line = SLICE("first"), .meta = shared, .n_meta = 1 },
		{ .ts = INT64_MAX,
		  .line = SLICE(""),
		  .meta = shared,
		  .n_meta = 1,
		  .tokens = token,
		  .n_tokens = 2 },
		{ .ts = 0, .line = SLICE("third"), .meta = own, .n_meta = 2 },
		{ .ts = -5, .line = SLICE("fourth"), .tokens = token, .n_tokens = 1 },
		{ .ts = 5, .line = SLICE("fifth") },
	};
	struct buf payload = { 0 }, meta = { 0 };
	struct wal_writer w;
	struct wal_reader r;
	struct wal_entry got;
	struct err err;

	(void)state;
	wal_writer_start(&w, &payload, SLICE("acme"));
	for (size_t s = 0; s < 2; s++) {
		wal_writer_stream(&w, s == 0 ? SLICE("one") : SLICE("two"));
		for (size_t i = 0; i < ARRAY_LEN(e); i++)
			wal_writer_entry(&w, &e[i]);
	}
	wal_writer_finish(&w);
	assert_true(payload.n <= 2 * wal_writer_bound(e, ARRAY_LEN(e)) + 32);

	assert_int_equal(wal_reader_start(&r, buf_slice(&payload), &err), 0);
	assert_true(slice_is(r.tenant, "acme"));
	for (size_t s = 0; s < 2; s++) {
		assert_int_equal(wal_reader_stream(&r, &err), 1);
		assert_true(slice_is(r.labels, s == 0 ? "one" : "two"));
		for (size_t i = 0; i < ARRAY_LEN(e); i++) {
			assert_int_equal(wal_reader_entry(&r, &got, &err), 1);
			assert_int_equal(got.ts, e[i].ts);
			assert_true(slice_eq(got.line, e[i].line));
			buf_reset(&meta);
			labels_encode(&meta, (struct labels){ e[i].meta, e[i].n_meta });
			assert_true(slice_eq(got.meta, buf_slice(&meta)));
			assert_int_equal(got.tokens.n, e[i].n_tokens * sizeof(uint64_t));
			if (got.tokens.n > 0)
				assert_memory_equal(got.tokens.p, e[i].tokens, got.tokens.n);
		}
		assert_int_equal(wal_reader_entry(&r, &got, &err), 0);
	}
	assert_int_equal(wal_reader_stream(&r, &err), 0);
	buf_fini(&payload);
	buf_fini(&meta);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(only_marked_records_count_after_a_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(every_torn_tail_is_dropped_quietly, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_in_the_middle_is_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_record_in_the_wrong_place_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(covered_files_are_removed, setup, teardown),
		cmocka_unit_test(a_payload_reads_as_it_was_written),
		cmocka_unit_test_setup_teardown(files_without_anything_good_do_not_pile_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
