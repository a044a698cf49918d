/* Columns: which kind is chosen for which values, and that each value comes back from descriptor and sections, read here
 * by the words of index/chunk_columns.h alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "index/bitpack.h"
#include "index/column_encode.h"
#include "index/time_format.h"

enum { N = 5000, BLOCK = 1024 };
#define NOW INT64_C(1768471202345678901)

/* ---- a reader ---------------------------------------------------------------------------------------------------- */

struct reader {
	struct cursor descriptor, sections;
	char *section; /* the last one, with slack */
	struct cursor data;
};

static void next_section(struct reader *r)
{
	uint64_t raw = cursor_varint(&r->descriptor), stored = cursor_varint(&r->descriptor);
	uint32_t sum = cursor_u32le(&r->descriptor);
	struct slice bytes = cursor_bytes(&r->sections, stored);

	assert_false(r->descriptor.bad || r->sections.bad);
	assert_true(raw <= 8 << 20 && stored <= raw);
	assert_int_equal((uint32_t)hash64(bytes), sum);
	free(r->section);
	r->section = xcalloc(1, raw + BITPACK_SLACK);
	if (stored == raw && raw > 0)
		memcpy(r->section, bytes.p, raw);
	else
		assert_int_equal(LZ4_decompress_safe(bytes.p, r->section, (int)stored, (int)raw), raw);
	r->data = cursor_of(slice_of(r->section, raw));
}

static void put_int(struct buf *out, int64_t v, uint32_t width)
{
	buf_printf(out, "%s%0*lld", v < 0 ? "-" : "", (int)width, v < 0 ? -(long long)v : (long long)v);
}

static void put_hex(struct buf *out, struct slice s, bool upper)
{
	for (size_t i = 0; i < s.n; i++)
		buf_printf(out, upper ? "%02X" : "%02x", (unsigned char)s.p[i]);
}

struct head {
	enum column_kind kind;
	uint8_t flags;
	int64_t min, max;
	uint32_t width, scale, fixed_bytes;
	bool upper;
	struct time_format time;
	struct slice value[N];
	size_t n_values;
	struct slice bytes; /* the sets */
	struct slice exception_bytes;
	struct arena arena;
};

static void read_values(struct head *h, struct cursor *c)
{
	for (size_t i = 0; i < h->n_values; i++)
		h->value[i] = arena_dup(&h->arena, cursor_lenslice(c));
	assert_false(c->bad);
}

static void read_head(struct head *h, struct reader *r)
{
	struct cursor *c = &r->descriptor;

	h->kind = cursor_u8(c);
	h->flags = cursor_u8(c);
	assert_true(h->flags <= 3);
	if (h->kind == COLUMN_CONST) {
		h->n_values = 1;
		read_values(h, c);
	} else if (h->kind == COLUMN_DICT) {
		h->n_values = cursor_varint(c);
		assert_in_range(h->n_values, 1, N);
		if (!(h->flags & COLUMNS_FLAG_DICT_SECTION))
			read_values(h, c);
	} else if (h->kind == COLUMN_HEX) {
		h->fixed_bytes = (uint32_t)cursor_varint(c);
		h->upper = cursor_u8(c);
	} else if (h->kind == COLUMN_UUID) {
		h->fixed_bytes = 16;
	} else if (h->kind == COLUMN_TIME) {
		assert_true(time_format_parse(cursor_lenslice(c), &h->time));
	} else if (h->kind == COLUMN_TEXT) {
		h->bytes = cursor_bytes(c, 32);
	} else {
		assert_true(h->kind == COLUMN_INT || h->kind == COLUMN_DECIMAL || h->kind == COLUMN_IPV4);
		h->width = h->kind == COLUMN_INT ? (uint32_t)cursor_varint(c) : 0;
		h->scale = h->kind == COLUMN_DECIMAL ? (uint32_t)cursor_varint(c) : 0;
		h->min = cursor_svarint(c);
		h->max = cursor_svarint(c);
	}
	if (h->flags & COLUMNS_FLAG_EXCEPTIONS)
		h->exception_bytes = cursor_bytes(c, 32);
	if (h->flags & COLUMNS_FLAG_DICT_SECTION) {
		next_section(r);
		read_values(h, &r->data);
		assert_int_equal(cursor_left(&r->data), 0);
	}
	assert_false(c->bad);
}

static void value_text(const struct head *h, int64_t num, struct slice fixed, int64_t ts, struct buf *out)
{
	struct time_cache cache = { 0 };
	int64_t tens = 1;

	switch (h->kind) {
	case COLUMN_CONST: buf_add(out, h->value[0]); break;
	case COLUMN_DICT:
		assert_in_range(num, 0, h->n_values - 1);
		buf_add(out, h->value[num]);
		break;
	case COLUMN_INT:
		assert_true(num >= h->min && num <= h->max);
		put_int(out, num, h->width);
		break;
	case COLUMN_DECIMAL:
		assert_true(num >= h->min && num <= h->max);
		for (uint32_t i = 0; i < h->scale; i++)
			tens *= 10;
		buf_printf(out, "%s%lld.%0*lld", num < 0 ? "-" : "", llabs(num) / (long long)tens,
			   (int)h->scale, llabs(num) % (long long)tens);
		break;
	case COLUMN_HEX: put_hex(out, fixed, h->upper); break;
	case COLUMN_UUID:
		for (size_t i = 0, from = 0; i < 5; i++) {
			static const size_t n[] = { 4, 2, 2, 2, 6 };

			put_hex(out, slice_sub(fixed, from, n[i]), false);
			from += n[i];
			if (i < 4)
				buf_putc(out, '-');
		}
		break;
	case COLUMN_IPV4:
		assert_true(num >= h->min && num <= h->max);
		buf_printf(out, "%d.%d.%d.%d", (int)(num >> 24), (int)(num >> 16 & 255),
			   (int)(num >> 8 & 255), (int)(num & 255));
		break;
	case COLUMN_TIME:
		buf_reserve(out, TIME_TEXT_MAX);
		out->n += time_format_write(&h->time, ts, num, &cache, out->p + out->n);
		break;
	case COLUMN_TEXT: buf_add(out, fixed); break;
	default: fail();
	}
}

static bool in_set(struct slice set, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (!((unsigned char)set.p[c >> 3] >> (c & 7) & 1))
			return false;
	}
	return true;
}

/* One block's values against what they should be. */
static void read_block(struct reader *r, const struct head *h, const struct column_frame *f,
		       const struct column_values *v, size_t from, size_t n)
{
	static int64_t num[N];
	static uint32_t at[N];
	static struct slice exception[N], fixed[N];
	size_t n_exceptions = 0, before = 0;
	struct buf out;

	if (h->kind != COLUMN_CONST) {
		next_section(r);
		if (h->fixed_bytes == 0)
			numbers_read(&r->data, n, num);
		for (size_t i = 0; i < n && (h->fixed_bytes > 0 || h->kind == COLUMN_TEXT); i++)
			fixed[i] =
				cursor_bytes(&r->data, h->fixed_bytes > 0 ? h->fixed_bytes : (size_t)num[i]);
		if (h->flags & COLUMNS_FLAG_EXCEPTIONS)
			n_exceptions = cursor_varint(&r->data);
		assert_true(n_exceptions <= n);
		for (size_t i = 0; i < n_exceptions; i++) {
			at[i] = (uint32_t)(before + cursor_varint(&r->data));
			assert_true(at[i] < n && (i == 0 || at[i] > before));
			before = at[i];
			exception[i] = cursor_lenslice(&r->data);
			assert_true(in_set(h->exception_bytes, exception[i]));
		}
		assert_false(r->data.bad);
		assert_int_equal(cursor_left(&r->data), 0);
	}
	buf_init(&out);
	for (size_t i = 0, e = 0; i < n; i++) {
		struct slice want = v->v[from + i];
		size_t entry = v->entry != NULL ? v->entry[from + i] : from + i;

		buf_reset(&out);
		if (e < n_exceptions && at[e] == i)
			buf_add(&out, exception[e++]);
		else
			value_text(h, num[i], fixed[i], f->entry[entry].ts, &out);
		if (!slice_eq(buf_slice(&out), want))
			fail_msg("value %zu is '%.*s', not '%.*s'", from + i, SLICE_ARG(buf_slice(&out)),
				 SLICE_ARG(want));
		if (h->kind == COLUMN_TEXT)
			assert_true(in_set(h->bytes, want));
	}
	buf_fini(&out);
}

/* ---- columns ------------------------------------------------------------------------------------------------------ */

static struct chunk_entry entries[N];
static uint32_t block_first[N / BLOCK + 2];
static struct column_frame frame = {
	.entry = entries, .n_entries = N, .block_first = block_first, .effort = 1
};
static struct column_encoder *encoder;
static size_t last_bytes;

static int setup(void **state)
{
	(void)state;
	encoder = column_encoder_new();
	/* About a millisecond apart, with pauses. */
	for (size_t i = 0; i < N; i++)
		entries[i].ts = (i > 0 ? entries[i - 1].ts : NOW) + (int64_t)(hash_mix(i) % 2000000) +
				(i % 50 == 17 ? 700000000 : 0);
	for (size_t i = 0; i < N; i += BLOCK)
		block_first[frame.n_blocks++] = (uint32_t)i;
	block_first[frame.n_blocks] = N;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	column_encoder_free(encoder);
	return 0;
}

/* Encodes, reads back; returns the kind. */
static enum column_kind round_trip(const struct column_values *v)
{
	static struct head h;
	struct reader r = { 0 };
	struct buf descriptor, sections;
	size_t cost = 0, from = 0;

	buf_init(&descriptor);
	buf_init(&sections);
	enum column_kind kind = column_choose(encoder, &frame, v, &cost);
	assert_true(cost > 0);
	column_encode(encoder, &frame, v, &descriptor, &sections);
	r.descriptor = cursor_of(buf_slice(&descriptor));
	r.sections = cursor_of(slice_of(sections.p != NULL ? sections.p : "", sections.n));
	memset(&h, 0, sizeof(h));
	arena_init(&h.arena);
	read_head(&h, &r);
	assert_int_equal(h.kind, kind);
	for (size_t b = 0; b < frame.n_blocks; b++) {
		size_t n = cursor_varint(&r.descriptor), want = 0;

		while (from + want < v->n &&
		       (v->entry != NULL ? v->entry[from + want] : from + want) < block_first[b + 1])
			want++;
		assert_int_equal(n, want);
		if (n > 0)
			read_block(&r, &h, &frame, v, from, n);
		from += n;
	}
	assert_int_equal(from, v->n);
	assert_int_equal(cursor_left(&r.descriptor), 0);
	assert_int_equal(cursor_left(&r.sections), 0);
	last_bytes = descriptor.n + sections.n;
	free(r.section);
	arena_fini(&h.arena);
	buf_fini(&descriptor);
	buf_fini(&sections);
	return kind;
}

typedef void (*make)(struct buf *out, size_t i, uint64_t random);

static enum column_kind made(make value, size_t n, const uint32_t *entry)
{
	static struct slice v[N];
	struct column_values values = { .v = v, .entry = entry, .n = n };
	struct arena arena;
	struct buf b;

	arena_init(&arena);
	buf_init(&b);
	for (size_t i = 0; i < n; i++) {
		size_t at = entry != NULL ? entry[i] : i;

		buf_reset(&b);
		value(&b, at, hash_mix(at * 7919 + 11));
		/* Exactly as long as it is, so that ASan sees a byte too many. */
		v[i] = slice_of(memcpy(xmalloc(b.n > 0 ? b.n : 1), b.n > 0 ? b.p : "", b.n), b.n);
	}
	enum column_kind kind = round_trip(&values);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)v[i].p);
	buf_fini(&b);
	arena_fini(&arena);
	return kind;
}

#define VALUE(name, ...)                                                                                     \
	static void name(struct buf *out, size_t i, uint64_t r)                                              \
	{                                                                                                    \
		(void)i;                                                                                     \
		(void)r;                                                                                     \
		buf_printf(out, __VA_ARGS__);                                                                \
	}

VALUE(constant, "same")
VALUE(nothing, "%s", "")
VALUE(status, "%d", (int)(200 + r % 5))
VALUE(word, "word-%d", (int)(r % 1000))
VALUE(number, "%lld", (long long)(r % 1000000))
VALUE(signed_number, "%lld", (long long)(r % 1000000) - 500000)
VALUE(long_number, "%llu", (unsigned long long)(r % 999999999999999999))
VALUE(counter, "%zu", 1000000 + i * 3)
VALUE(padded, "%05d", (int)(r % 150000))
VALUE(decimal, "%.3f", (double)(r % 10000000) / 1000.0)
VALUE(signed_decimal, "%.2f", (double)(int64_t)(r % 1000000) / 100.0 - 5000)
VALUE(hex, "%016llx", (unsigned long long)r)
VALUE(upper_hex, "%016llX", (unsigned long long)r)
VALUE(trace, "%016llx%016llx", (unsigned long long)r, (unsigned long long)hash_mix(r))
VALUE(uuid, "%08x-%04x-4%03x-9%03x-%012llx", (unsigned)r, (unsigned)(r >> 32 & 0xffff),
      (unsigned)(r >> 48 & 0xfff), (unsigned)(r >> 52), (unsigned long long)(r * 31 & 0xffffffffffff))
VALUE(address, "%d.%d.%d.%d", (int)(r & 255), (int)(r >> 8 & 255), (int)(r >> 16 & 255), (int)(r >> 24 & 255))
VALUE(text, "message %llu of %zu", (unsigned long long)r % 100000, i)
VALUE(mostly_number, r % 40 ? "%lld" : "none%lld", (long long)(r % 1000000))
VALUE(barely_number, r % 8 ? "%lld" : "none%lld", (long long)(r % 1000000))
VALUE(number_later, i > 100 ? "%lld" : "-", (long long)(r % 1000000) + 5000000)
VALUE(odd_number, i % 20 ? "%lld" : i % 40 ? "-0" : "007", (long long)(r % 1000000))
VALUE(odd_decimal, i % 20 ? "%.1f" : i % 40 ? "-0.0" : ".5", (double)(r % 1000000))
VALUE(mixed_case, "%08llx%08llX", (unsigned long long)(r >> 32), (unsigned long long)(r & 0xffffffff))
VALUE(odd_hex, i % 20 ? "%016llx" : i % 40 ? "%015llx" : "%16llX", (unsigned long long)r | 0xaULL << 60)
VALUE(odd_uuid, i % 20 ? "%08x-0000-0000-0000-%012llx" : "%08X-0000-0000-0000-%011llxG", (unsigned)r,
      (unsigned long long)(r * 31 & 0xfffffffffff))
VALUE(odd_address,
      i % 20   ? "%d.%d.7.8"
      : i % 40 ? "0%d.%d.7.8"
	       : "%d.%d.7.256",
      (int)(r & 255), (int)(r >> 8 & 255))
VALUE(epoch_ms, "%lld", (long long)(entries[i].ts / 1000000 - (int64_t)(r % 50)))
VALUE(epoch_s, "%lld.%06lld", (long long)(entries[i].ts / 1000000000),
      (long long)(entries[i].ts / 1000 % 1000000))

static void stamp(struct buf *out, size_t i, uint64_t r)
{
	struct time_format f;
	struct time_cache cache = { 0 };

	assert_true(time_format_parse(SLICE("%Y-%m-%dT%H:%M:%S.%3Z"), &f));
	buf_reserve(out, TIME_TEXT_MAX);
	out->n += time_format_write(&f, entries[i].ts, -(int64_t)(r % 3), &cache, out->p + out->n);
}

static void odd_stamp(struct buf *out, size_t i, uint64_t r)
{
	if (i % 20 == 0)
		buf_puts(out, i % 40 ? "2026-02-30T00:00:00.000Z" : "2026-01-15T10:00:60.000Z");
	else
		stamp(out, i, r);
}

static void bytes(struct buf *out, size_t i, uint64_t r)
{
	(void)i;
	for (size_t n = r % 40; n > 0; n--)
		buf_putc(out, (char)(hash_mix(r + n) & 255));
}

static void long_text(struct buf *out, size_t i, uint64_t r)
{
	buf_printf(out, "%zu ", i);
	for (size_t n = r % 300; n > 0; n--)
		buf_puts(out, n % 3 ? "foo " : "bar ");
}

static const struct {
	const char *name;
	make value;
	enum column_kind kind;
	double most; /* bytes a value, all in */
} columns[] = {
	{ "constant", constant, COLUMN_CONST, 0.1 },
	{ "nothing", nothing, COLUMN_CONST, 0.1 },
	{ "status", status, COLUMN_DICT, 0.5 },
	{ "word", word, COLUMN_DICT, 2.8 },
	{ "number", number, COLUMN_INT, 2.6 },
	{ "signed_number", signed_number, COLUMN_INT, 2.6 },
	{ "long_number", long_number, COLUMN_INT, 8.1 },
	{ "counter", counter, COLUMN_INT, 0.1 },
	{ "padded", padded, COLUMN_INT, 2.4 },
	{ "decimal", decimal, COLUMN_DECIMAL, 3.1 },
	{ "signed_decimal", signed_decimal, COLUMN_DECIMAL, 2.6 },
	{ "hex", hex, COLUMN_HEX, 8.1 },
	{ "upper_hex", upper_hex, COLUMN_HEX, 8.1 },
	{ "trace", trace, COLUMN_HEX, 16.1 },
	{ "uuid", uuid, COLUMN_UUID, 16.1 },
	{ "address", address, COLUMN_IPV4, 4.1 },
	{ "text", text, COLUMN_TEXT, 16 },
	{ "mostly_number", mostly_number, COLUMN_INT, 3.1 },
	{ "barely_number", barely_number, COLUMN_TEXT, 8 },
	{ "number_later", number_later, COLUMN_INT, 2.8 },
	{ "odd_number", odd_number, COLUMN_INT, 3 },
	{ "odd_decimal", odd_decimal, COLUMN_DECIMAL, 3.4 },
	{ "mixed_case", mixed_case, COLUMN_TEXT, 17.1 },
	{ "odd_hex", odd_hex, COLUMN_HEX, 9 },
	{ "odd_uuid", odd_uuid, COLUMN_UUID, 18 },
	{ "odd_address", odd_address, COLUMN_IPV4, 5 },
	{ "epoch_ms", epoch_ms, COLUMN_TIME, 0.9 },
	{ "epoch_s", epoch_s, COLUMN_TIME, 0.1 },
	{ "stamp", stamp, COLUMN_TIME, 0.4 },
	{ "odd_stamp", odd_stamp, COLUMN_TIME, 1.2 },
	{ "bytes", bytes, COLUMN_TEXT, 21 },
	{ "long_text", long_text, COLUMN_TEXT, 30 },
};

static void each_kind_is_chosen_and_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		enum column_kind kind = made(columns[i].value, N, NULL);

		if (getenv("COLUMN_SIZES") != NULL)
			printf("%-16s kind %d, %.2f bytes a value\n", columns[i].name, (int)kind,
			       (double)last_bytes / N);
		if (kind != columns[i].kind)
			fail_msg("%s: kind %d", columns[i].name, (int)kind);
		if ((double)last_bytes > columns[i].most * N)
			fail_msg("%s: %.2f bytes a value", columns[i].name, (double)last_bytes / N);
	}
}

static void columns_of_some_entries_come_back(void **state)
{
	(void)state;
	static uint32_t entry[N];

	for (unsigned rare = 2; rare < 3000; rare *= 5) {
		size_t n = 0;

		for (uint32_t i = 0; i < N; i++) /* none in the second block */
			if (hash_mix(i + rare) % rare == 0 && i / BLOCK != 1)
				entry[n++] = i;
		for (size_t i = 0; i < ARRAY_LEN(columns) && n > 0; i++)
			made(columns[i].value, n, entry);
	}
}

static void few_values_come_back(void **state)
{
	(void)state;
	for (size_t n = 1; n < 40; n++)
		for (size_t i = 0; i < ARRAY_LEN(columns); i++)
			made(columns[i].value, n, NULL);
}

static void strong_compression_comes_back_too(void **state)
{
	(void)state;
	frame.effort = 9;
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		made(columns[i].value, N, NULL);
	frame.effort = 1;
}

static void empty_and_odd_values_come_back(void **state)
{
	(void)state;
	static const struct slice odd[] = {
		{ "", 0 },
		{ "-", 1 },
		{ ".", 1 },
		{ "0", 1 },
		{ "00", 2 },
		{ "-1", 2 },
		{ "1.", 2 },
		{ ".1", 2 },
		{ "\0", 1 },
		{ "1e5", 3 },
		{ "0x10", 4 },
		{ "+1", 2 },
		{ "1.2.3.4", 7 },
		{ "-0", 2 },
		{ "-0.0", 4 },
		{ "0.0", 3 },
		{ "256.1.1.1", 9 },
		{ "1.2.3", 5 },
		{ "ab", 2 },
		{ "AB", 2 },
		{ "aB", 2 },
		{ "12345678", 8 },
		{ "1234567:", 8 },
		{ "/1234567", 8 },
		{ "999999999999999999", 18 },
		{ "9999999999999999999", 19 },
		{ "-999999999999999999", 19 },
		{ "0.000000000000000001", 20 },
		{ "99999999999999999.9", 19 },
		{ "999999999999999999.9", 20 },
	};
	static struct slice v[N];

	for (uint64_t seed = 0; seed < 300; seed++) {
		/* Ever more of one and the same, so that it is an exception to something. */
		for (size_t i = 0; i < N; i++) {
			uint64_t r = hash_mix(seed * N + i + 1);

			v[i] = odd[(r >> 32) % 100 < seed / 3 ? seed % ARRAY_LEN(odd) : r % ARRAY_LEN(odd)];
		}
		struct column_values values = { .v = v, .n = seed % 2 ? 1 + seed * 7 : 200 };

		round_trip(&values);
	}
}

static void ids_come_back(void **state)
{
	(void)state;
	static uint32_t id[N], got[N];
	struct reader r = { 0 };
	struct buf descriptor, sections;

	buf_init(&descriptor);
	buf_init(&sections);
	for (size_t i = 0; i < N; i++)
		id[i] = (uint32_t)(hash_mix(i) % 13);
	column_encode_ids(encoder, &frame, NULL, id, N, &descriptor, &sections);
	r.descriptor = cursor_of(buf_slice(&descriptor));
	r.sections = cursor_of(buf_slice(&sections));
	for (size_t b = 0; b < frame.n_blocks; b++) {
		size_t n = block_first[b + 1] - block_first[b];

		assert_int_equal(cursor_varint(&r.descriptor), n);
		next_section(&r);
		numbers_read_ids(&r.data, n, 13, got);
		assert_false(r.data.bad);
		assert_int_equal(cursor_left(&r.data), 0);
		assert_memory_equal(got, id + block_first[b], n * sizeof(*id));
	}
	free(r.section);
	buf_fini(&descriptor);
	buf_fini(&sections);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_chosen_and_comes_back),
		cmocka_unit_test(columns_of_some_entries_come_back),
		cmocka_unit_test(few_values_come_back),
		cmocka_unit_test(strong_compression_comes_back_too),
		cmocka_unit_test(empty_and_odd_values_come_back),
		cmocka_unit_test(ids_come_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
