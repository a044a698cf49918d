/* Codec 2: what is encoded comes back byte for byte, whatever it is; what repeats becomes small; a chunk that is moved is read at its
 * new place only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/vec.h"
#include "index/chunk_columns.h"
#include "model/labels.h"

static const uint64_t SEED = 12345;
static const int64_t START = INT64_C(1768471202123456000);

struct entries {
	struct arena arena;
	VEC(struct chunk_entry) v;
	struct buf out;
	struct chunk_info info;
	int effort;
	uint32_t seed;
};

static int set_up(void **state)
{
	struct entries *t = xcalloc(1, sizeof(*t));

	arena_init(&t->arena);
	t->effort = 1;
	t->seed = 11;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct entries *t = *state;

	arena_fini(&t->arena);
	vec_fini(&t->v);
	buf_fini(&t->out);
	free(t);
	return 0;
}

static uint32_t below(struct entries *t, uint32_t n)
{
	t->seed = t->seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(t->seed >> 4) * n >> 28);
}

static void add_line(struct entries *t, int64_t ts, struct slice line, struct slice meta)
{
	struct chunk_entry e = { ts, arena_dup(&t->arena, line), arena_dup(&t->arena, meta) };

	vec_push(&t->v, e);
}

__attribute__((format(printf, 3, 4))) static void add(struct entries *t, int64_t ts, const char *fmt, ...)
{
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	add_line(t, ts, buf_slice(&b), slice_of("", 1));
	buf_fini(&b);
}

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

static void expect_block(const struct entries *t, const struct chunk_scratch *s, size_t at, bool with_lines)
{
	for (size_t i = 0; i < s->n; i++, at++) {
		const struct chunk_entry *e = &t->v.v[at];

		assert_true(s->ts[i] == e->ts);
		assert_int_equal(s->line[i].n, e->line.n);
		if (with_lines)
			assert_true(slice_eq(s->line[i], e->line));
		assert_true(slice_eq(s->metas[s->meta[i]], e->meta));
	}
}

static void expect_chunk(struct entries *t, uint64_t seed)
{
	struct slice bytes = buf_slice(&t->out);
	struct chunk_source src = { read_memory, &bytes };
	struct chunk_scratch s = { 0 };
	struct chunk_header h;
	struct err err = { 0 };
	size_t at = 0;

	if (chunk_header_parse(slice_sub(bytes, 0, t->info.header_bytes), seed, &h, &err) == -1)
		fail_msg("%s", err.msg);
	const struct chunk_codec *codec = chunk_codec_find(h.codec);
	assert_int_equal(h.info.total_bytes, bytes.n);
	assert_int_equal(h.info.n_entries, t->v.n);
	for (size_t b = 0; b < h.n_blocks; b++) {
		for (int with_lines = 1; with_lines >= 0; with_lines--) {
			chunk_scratch_reset(&s);
			if (codec->block_read(&h, b, src, with_lines, &s, &err) == -1)
				fail_msg("%s", err.msg);
			assert_int_equal(s.n, h.block[b].n_entries);
			expect_block(t, &s, at, with_lines);
		}
		at += s.n;
	}
	assert_int_equal(at, t->v.n);
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
}

static void round_trip(struct entries *t)
{
	buf_reset(&t->out);
	chunk_codec_columns.encode(t->v.v, t->v.n, SEED, t->effort, &t->out, &t->info);
	assert_int_equal(t->info.total_bytes, t->out.n);
	expect_chunk(t, SEED);
}

/* Bytes for each 1000 of lines and metadata. */
static uint64_t per_mille(const struct entries *t)
{
	return t->out.n * 1000 / t->info.raw_bytes;
}

static bool is_columns(const struct entries *t)
{
	return t->out.p[4] == 2;
}

static void few_entries(void **state)
{
	struct entries *t = *state;

	for (size_t n = 1; n < 70; n++) {
		add(t, START + (int64_t)n, "line %zu", n);
		round_trip(t);
	}
	t->v.n = 0;
	for (size_t n = 0; n < 100; n++)
		add(t, 0, "%s", "");
	round_trip(t);
}

static void json(struct entries *t, int64_t ts)
{
	unsigned micros = (unsigned)(ts / 1000 % 1000000);

	add(t, ts,
	    "{\"timestamp\": \"2026-01-15T10:00:02.%06uZ\", \"level\": \"%s\", \"message\": \"Order ord-%08x "
	    "placed by user %u\", "
	    "\"trace_id\": \"%08x%08x%08x%08x\"%s, \"ok\": true, \"d\": %u.%03u}",
	    micros, below(t, 10) ? "INFO" : "ERROR", below(t, UINT32_MAX), below(t, 90000),
	    below(t, UINT32_MAX), below(t, UINT32_MAX), below(t, UINT32_MAX), below(t, UINT32_MAX),
	    below(t, 3) ? "" : ", \"http\": {\"method\": \"GET\"}", below(t, 500), below(t, 1000));
}

static void logfmt(struct entries *t, int64_t ts)
{
	add(t, ts, "ts=2026-01-15T10:00:02.%03uZ level=info caller=x.go:%u msg=\"took %u ms\" status=%u",
	    (unsigned)(ts / 1000000 % 1000), below(t, 300), below(t, 999), 200 + below(t, 5));
}

static void plain(struct entries *t, int64_t ts)
{
	add(t, ts,
	    "10.%u.%u.%u - - [15/Jan/2026:10:00:02 +0000] \"GET /p%u HTTP/1.1\" 200 %u \"-\" \"curl/7.88.1\"",
	    below(t, 256), below(t, 256), below(t, 256), below(t, 5000), below(t, 60000));
}

static void usual_lines_become_small(void **state)
{
	struct entries *t = *state;
	static void (*const put[])(struct entries *, int64_t) = { json, logfmt, plain };
	static const uint64_t most[] = { 250, 150, 150 };

	for (size_t k = 0; k < ARRAY_LEN(put); k++) {
		t->v.n = 0;
		for (int64_t i = 0; i < 8192; i++)
			put[k](t, START + i * 1000 * below(t, 50));
		for (size_t i = 1; i < t->v.n; i++) /* sorted */
			t->v.v[i].ts = MAX(t->v.v[i].ts, t->v.v[i - 1].ts);
		round_trip(t);
		assert_true(is_columns(t));
		assert_in_range(per_mille(t), 1, most[k]);
		t->effort = 9;
		round_trip(t);
		t->effort = 1;
	}
}

static void mixed_lines(void **state)
{
	struct entries *t = *state;
	char bytes[300];

	for (int64_t i = 0; i < 9000; i++) {
		int64_t ts = START + i * 1000000;

		switch (below(t, 6)) {
		case 0: json(t, ts); break;
		case 1: logfmt(t, ts); break;
		case 2: plain(t, ts); break;
		case 3: add(t, ts, "%s", ""); break;
		case 4:
			for (size_t k = 0; k < sizeof(bytes); k++)
				bytes[k] = (char)below(t, 256);
			add_line(t, ts, slice_of(bytes, below(t, sizeof(bytes))), slice_of("", 1));
			break;
		default: add(t, ts, "{\"cut\": \"%u", below(t, 1000));
		}
	}
	round_trip(t);
}

static void times_of_all_kinds(void **state)
{
	struct entries *t = *state;
	static const struct {
		int64_t from, step;
	} cases[] = { { INT64_MIN, 1 },
		      { -5000, 7 },
		      { 0, 0 },
		      { INT64_MAX - 300000, 1000 },
		      { INT64_MIN, INT64_MAX / 150 },
		      { START, 3600000000000 } };

	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		t->v.n = 0;
		for (int64_t i = 0; i < 300; i++)
			add(t, (int64_t)((uint64_t)cases[k].from + (uint64_t)i * (uint64_t)cases[k].step),
			    "2026-01-15T10:00:02Z request %u of %u", below(t, 9), below(t, 9999));
		round_trip(t);
	}
	t->v.n = 0;
	for (int64_t i = 0; i < 100; i++)
		add(t, i < 50 ? INT64_MIN : INT64_MAX, "request %u", below(t, 9));
	round_trip(t);
}

static void huge_and_long_lines(void **state)
{
	struct entries *t = *state;
	struct buf b = { 0 };

	for (size_t i = 0; i < 3 << 20; i++)
		buf_putc(&b, (char)('a' + below(t, 26)));
	for (int64_t i = 0; i < 100; i++)
		add_line(t, START + i, slice_sub(buf_slice(&b), 0, i == 50 ? b.n : below(t, 50000)),
			 slice_of("", 1));
	round_trip(t);
	t->v.n = 0;
	for (size_t i = 0; i < 2000; i++)
		buf_puts(&b, " 1 x");
	for (int64_t i = 0; i < 100; i++)
		add_line(t, START + i, slice_sub(buf_slice(&b), b.n - 8000, below(t, 8000)), slice_of("", 1));
	round_trip(t);
	buf_fini(&b);
}

static void metadata(struct entries *t, struct buf *b, uint32_t kind)
{
	char trace[33];
	struct label l[] = { { SLICE("detected_level"), below(t, 2) ? SLICE("info") : SLICE("error") },
			     { SLICE("host"), SLICE("") },
			     { SLICE("trace_id"), slice_cstr(trace) } };

	snprintf(trace, sizeof(trace), "%08x%08x%08x%08x", below(t, UINT32_MAX), below(t, UINT32_MAX),
		 below(t, UINT32_MAX), below(t, UINT32_MAX));
	buf_reset(b);
	if (kind < 4)
		labels_encode(b, (struct labels){ l, kind });
	else if (kind == 4)
		labels_encode(b, (struct labels){ l + 1, 2 });
	else if (kind == 5)
		buf_append(b,
			   "\x81\x00\x01"
			   "a\x01"
			   "b",
			   6); /* not canonical */
	else
		buf_append(b,
			   "\x02\x01"
			   "a\x01"
			   "b\x01"
			   "a\x01"
			   "c",
			   9); /* a name twice */
}

static void metadata_of_all_kinds(void **state)
{
	struct entries *t = *state;
	struct buf b = { 0 };

	for (uint32_t kinds = 1; kinds <= 7; kinds++) {
		t->v.n = 0;
		for (int64_t i = 0; i < 5000; i++) {
			metadata(t, &b,
				 kinds == 7 ? below(t, 7)
					    : kinds - 1 - (below(t, 100) == 0 ? below(t, kinds) : 0));
			add_line(t, START + i, SLICE("request 17 done"), buf_slice(&b));
		}
		round_trip(t);
		assert_true(is_columns(t));
	}
	buf_fini(&b);
}

/* Lines and sets from a small alphabet of awkward pieces, over and over. */
static void adversarial_lines(void **state)
{
	static const char *const piece[] = {
		"{\"a\": ",
		"}",
		"\"",
		"1",
		"x=",
		" ",
		"\\",
		"key",
		"12.5ms",
		"[",
		"]",
		",",
		"null",
		"true",
		"-0",
		"007",
		"2026-01-15T10:00:02Z",
		"10.0.0.1",
		"\xff",
		"abc123",
		"{}",
		"a=1 b=2",
		"deadbeef",
		"DEADBEEF",
		"1e5",
		"-",
		"123e4567-e89b-12d3-a456-426614174000",
		"999999999999999999999",
		"Jan 15 10:00:02",
		"0.10",
		"=",
		"\n",
		"{\"k\": {",
	};
	struct entries *t = *state;
	struct buf b = { 0 };

	for (uint32_t round = 0; round < 150; round++) {
		size_t n = 32 + below(t, round % 10 == 0 ? 5000 : 300);
		uint32_t words = 1 + below(t, ARRAY_LEN(piece)), most = 1 + round % 9;

		t->v.n = 0;
		arena_reset(&t->arena);
		for (size_t i = 0; i < n; i++) {
			buf_reset(&b);
			for (uint32_t k = below(t, most + 1); k > 0; k--)
				buf_puts(&b, piece[below(t, words)]);
			add_line(t, START + (int64_t)(i / 3), buf_slice(&b),
				 below(t, 2) ? slice_of("", 1) : slice_sub(buf_slice(&b), 0, below(t, 20)));
		}
		round_trip(t);
	}
	buf_fini(&b);
}

static void random_words_are_no_worse_than_rows(void **state)
{
	struct entries *t = *state;
	struct chunk_info info;
	struct buf rows = { 0 }, b = { 0 };

	for (int kind = 0; kind < 2; kind++) {
		t->v.n = 0;
		for (int64_t i = 0; i < 5000; i++) {
			buf_reset(&b);
			for (size_t k = below(t, 200); k > 0; k--)
				buf_putc(&b, kind == 0 ? (char)below(t, 256)
						       : (char)(below(t, 5) ? 'a' + below(t, 26) : ' '));
			add_line(t, START + i, buf_slice(&b), slice_of("", 1));
		}
		round_trip(t);
		buf_reset(&rows);
		chunk_codec_rows.encode(t->v.v, t->v.n, SEED, 1, &rows, &info);
		assert_true(t->out.n * 10 <= rows.n * 11);
	}
	buf_fini(&rows);
	buf_fini(&b);
}

static void moved(void **state)
{
	struct entries *t = *state;
	struct chunk_header h;
	struct err err;

	for (int64_t i = 0; i < 3000; i++)
		logfmt(t, START + i);
	round_trip(t);
	chunk_codec_columns.place(t->out.p, &t->info, SEED, 99);
	expect_chunk(t, 99);
	assert_int_equal(
		chunk_header_parse(slice_sub(buf_slice(&t->out), 0, t->info.header_bytes), SEED, &h, &err),
		-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(few_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(usual_lines_become_small, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mixed_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(times_of_all_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(huge_and_long_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(metadata_of_all_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adversarial_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_words_are_no_worse_than_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(moved, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
