/* Content types, codings, and bodies that inflate without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "ingest/body.h"
#include "ingest/gunzip.h"
#include "ingest/snappy.h"
#include "ingest/unpack.h"

#define JSON "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"line\"]]}]}"
static const char proto[] = "\x0a\x11\x0a\x07{a=\"b\"}\x12\x06\x12\x04line";

enum { LIMIT = 1 << 20 };

static void deflate_to(struct buf *out, struct slice in, int bits)
{
	z_stream z = { 0 };
	size_t room = in.n + in.n / 100 + 100;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)in.p;
	z.avail_in = (unsigned)in.n;
	z.next_out = (unsigned char *)buf_reserve(out, room);
	z.avail_out = (unsigned)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n += room - z.avail_out;
	deflateEnd(&z);
}

static void snappy_to(struct buf *out, struct slice in)
{
	size_t n = snappy_max_compressed_length(in.n);

	assert_int_equal(snappy_compress(in.p, in.n, buf_reserve(out, n), &n), SNAPPY_OK);
	out->n += n;
}

static void zstd_to(struct buf *out, struct slice in)
{
	size_t room = ZSTD_compressBound(in.n),
	       n = ZSTD_compress(buf_reserve(out, room), room, in.p, in.n, 3);

	assert_false(ZSTD_isError(n));
	out->n += n;
}

static void lz4_to(struct buf *out, struct slice in)
{
	size_t room = LZ4F_compressFrameBound(in.n, NULL),
	       n = LZ4F_compressFrame(buf_reserve(out, room), room, in.p, in.n, NULL);

	assert_false(LZ4F_isError(n));
	out->n += n;
}

enum packing { PLAIN, GZIP, RAW, ZLIB, SNAPPY, GZIP_SNAPPY, ZSTD, LZ4 };

static void pack(struct buf *out, struct slice in, enum packing how)
{
	struct buf tmp;

	buf_init(&tmp);
	switch (how) {
	case PLAIN: buf_add(out, in); break;
	case GZIP: deflate_to(out, in, 31); break;
	case RAW: deflate_to(out, in, -15); break;
	case ZLIB: deflate_to(out, in, 15); break;
	case SNAPPY: snappy_to(out, in); break;
	case ZSTD: zstd_to(out, in); break;
	case LZ4: lz4_to(out, in); break;
	case GZIP_SNAPPY:
		snappy_to(&tmp, in);
		deflate_to(out, buf_slice(&tmp), 31);
		break;
	}
	buf_fini(&tmp);
}

static const struct {
	const char *type, *coding; /* NULL: no such header */
	bool json;
	enum packing packing;
	const char *says; /* NULL: decoded */
} cases[] = {
	{ "application/json", NULL, true, PLAIN, NULL },
	{ "Application/JSON; charset=utf-8", "", true, PLAIN, NULL },
	{ "application/json", "identity", true, PLAIN, NULL },
	{ "application/json", "snappy", true, PLAIN, NULL },
	{ "application/json", "gzip", true, GZIP, NULL },
	{ "application/json", "deflate", true, RAW, NULL },
	{ "application/json", "deflate", true, ZLIB, NULL },
	{ "application/json", "snappy", true, SNAPPY, "invalid JSON" },
	{ "application/json", "gzip", true, PLAIN, "gzip: incorrect header check" },
	{ "application/json", "br", true, PLAIN, "Content-Encoding \"br\" not supported" },
	{ "application/json", "GZIP", true, GZIP, "Content-Encoding \"GZIP\" not supported" },
	{ "application/json", "gzip, gzip", true, GZIP, "not supported" },
	{ "application/x-protobuf", NULL, false, SNAPPY, NULL },
	{ "application/x-protobuf", "snappy", false, SNAPPY, NULL },
	{ "application/octet-stream", NULL, false, SNAPPY, NULL },
	{ "application/x-protobuf", "gzip", false, GZIP_SNAPPY, NULL },
	{ "application/x-protobuf", "gzip", false, GZIP, "snappy: corrupt input" },
	{ "application/x-protobuf", NULL, false, PLAIN, "snappy: corrupt input" },
	{ NULL, NULL, true, PLAIN, "mime: no media type" },
	{ "", NULL, true, PLAIN, "mime: no media type" },
	{ "application/json/x", NULL, true, PLAIN, "mime: unexpected content after media subtype" },
	{ "application", NULL, true, PLAIN, "mime: expected slash after first token" },
	{ "application/", NULL, true, PLAIN, "mime: expected token after slash" },
	{ "text/plain", NULL, true, PLAIN, "use application/json or application/x-protobuf" },
	{ "application/x-www-form-urlencoded", NULL, true, PLAIN, "use application/json" },
	{ "multipart/form-data; boundary=x", NULL, true, PLAIN, "use application/json" },
};

static const struct room room = { .limit = LIMIT };

static int decode(const struct body_headers *h, struct slice body, size_t *n_entries, struct err *err)
{
	struct decode_options o = { 0 };
	struct buf scratch[2];
	struct batch b;
	const char *format;

	buf_init(&scratch[0]);
	buf_init(&scratch[1]);
	batch_init(&b);
	err_clear(err);
	int rc = body_decode(h, body, &o, scratch, &b, &format, err);
	*n_entries = b.entries.n;
	if (rc == 0)
		for (size_t i = 0; i < b.entries.n; i++)
			assert_true(h->kind == PUSH_PLAIN || slice_is(b.entries.v[i].line, "line"));
	batch_fini(&b);
	buf_fini(&scratch[0]);
	buf_fini(&scratch[1]);
	return rc;
}

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct body_headers h = {
			PUSH_LOKI, slice_cstr(cases[i].type), slice_cstr(cases[i].coding), { .limit = LIMIT }
		};
		struct slice plain = cases[i].json ? SLICE(JSON) : slice_of(proto, sizeof(proto) - 1);
		struct buf body;
		struct err err;
		size_t n;

		buf_init(&body);
		pack(&body, plain, cases[i].packing);
		int rc = decode(&h, buf_slice(&body), &n, &err);
		if (rc != (cases[i].says == NULL ? 0 : -1))
			fail_msg("case %zu: %d %s", i, rc, err.msg);
		if (rc == 0)
			assert_int_equal(n, 1);
		else if (strstr(err.msg, cases[i].says) == NULL || err.code != ERR_BAD_REQUEST)
			fail_msg("case %zu: %s", i, err.msg);
		buf_fini(&body);
	}
}

static void test_empty_bodies(void **state)
{
	struct body_headers json = { PUSH_LOKI, SLICE("application/json"), { NULL, 0 }, { .limit = LIMIT } };
	struct body_headers pb = {
		PUSH_LOKI, SLICE("application/x-protobuf"), { NULL, 0 }, { .limit = LIMIT }
	};
	struct body_headers lines = { PUSH_PLAIN, { NULL, 0 }, { NULL, 0 }, { .limit = LIMIT } };
	struct slice none = { NULL, 0 };
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(decode(&json, none, &n, &err), -1);
	assert_string_equal(err.msg, "EOF");
	assert_int_equal(decode(&pb, none, &n, &err), -1);
	assert_string_equal(err.msg, "snappy: corrupt input");
	assert_int_equal(decode(&lines, none, &n, &err), 0);
	json.content_encoding = SLICE("gzip");
	assert_int_equal(decode(&json, none, &n, &err), -1);
	json.content_encoding = SLICE("deflate");
	assert_int_equal(decode(&json, none, &n, &err), -1);
}

static void test_lines_take_any_type(void **state)
{
	struct body_headers h = { PUSH_PLAIN, SLICE("text/plain"), { NULL, 0 }, { .limit = LIMIT } };
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(decode(&h, SLICE("{\"a\":1}\nplain\n"), &n, &err), 0);
	assert_int_equal(n, 2);
	h.content_type = (struct slice){ NULL, 0 };
	assert_int_equal(decode(&h, SLICE("{\"a\":1}"), &n, &err), 0);
	assert_int_equal(n, 1);
}

static void test_gzip_members(void **state)
{
	struct buf body, out;
	struct err err;

	(void)state;
	buf_init(&body);
	buf_init(&out);
	deflate_to(&body, SLICE("one "), 31);
	deflate_to(&body, SLICE(""), 31);
	deflate_to(&body, SLICE("two"), 31);
	assert_int_equal(gunzip(buf_slice(&body), &room, &out, &err), 0);
	assert_true(slice_is(buf_slice(&out), "one two"));
	/* members add up */
	assert_int_equal(gunzip(buf_slice(&body), &(struct room){ .limit = 7 }, &out, &err), 0);
	assert_int_equal(gunzip(buf_slice(&body), &(struct room){ .limit = 6 }, &out, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	for (size_t n = 1; n < body.n; n++) {
		int rc = gunzip(slice_sub(buf_slice(&body), 0, n), &room, &out, &err);
		bool whole = rc == 0 && (slice_is(buf_slice(&out), "one "));

		assert_true(rc == -1 || whole);
	}
	buf_puts(&body, "junk");
	assert_int_equal(gunzip(buf_slice(&body), &room, &out, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	buf_reset(&body);
	deflate_to(&body, SLICE("one"), -15);
	buf_puts(&body, "junk");
	assert_int_equal(inflate_any(buf_slice(&body), &room, &out, &err), -1);
	buf_fini(&body);
	buf_fini(&out);
}

static void test_bombs(void **state)
{
	static const enum packing kinds[] = { GZIP, RAW, ZLIB };
	static const char *const coding[] = { "gzip", "deflate", "deflate" };
	char *zeros = xcalloc(1, 64 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct body_headers h = {
			PUSH_LOKI, SLICE("application/json"), slice_cstr(coding[i]), { .limit = LIMIT }
		};
		struct buf body, out;
		struct err err;
		size_t n;

		buf_init(&body);
		buf_init(&out);
		pack(&body, slice_of(zeros, 64 << 20), kinds[i]);
		assert_true(body.n < 100000);
		assert_int_equal(decode(&h, buf_slice(&body), &n, &err), -1);
		assert_int_equal(err.code, ERR_TOO_LARGE);
		assert_string_equal(
			err.msg,
			"request body too large: decompressed message size too large than max (1048577 vs "
			"1048576)");
		if (kinds[i] == GZIP)
			gunzip(buf_slice(&body), &room, &out, &err);
		assert_true(out.cap < 4 * LIMIT);
		buf_fini(&body);
		buf_fini(&out);
	}
	free(zeros);
}

struct budget {
	size_t left;
};

static bool take(void *arg, size_t bytes)
{
	struct budget *b = arg;

	if (bytes > b->left)
		return false;
	b->left -= bytes;
	return true;
}

/* What a body grows to is asked for first, whatever compressed it. */
static void test_memory_is_asked_for(void **state)
{
	static const enum packing kinds[] = { GZIP, RAW, ZLIB };
	static char text[300000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds) + 1; i++) {
		struct budget enough = { 600000 }, little = { 200000 };
		struct room asked = { LIMIT, take, &enough };
		struct buf body, out;
		struct err err;

		buf_init(&body);
		buf_init(&out);
		if (i < ARRAY_LEN(kinds))
			pack(&body, slice_of(text, sizeof(text)), kinds[i]);
		else
			snappy_to(&body, slice_of(text, sizeof(text)));
		int (*fn)(struct slice, const struct room *, struct buf *, struct err *) =
			i == ARRAY_LEN(kinds) ? snappy_decode
			: kinds[i] == GZIP    ? gunzip
					      : inflate_any;
		assert_int_equal(fn(buf_slice(&body), &asked, &out, &err), 0);
		assert_in_range(enough.left, 0, 300000);
		asked.arg = &little;
		assert_int_equal(fn(buf_slice(&body), &asked, &out, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		buf_fini(&body);
		buf_fini(&out);
	}
}

/* ---------------------------------------------------------------- OTLP */

#define OTLP_JSON                                                                                            \
	"{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":\"line\"}}]}]}]}"
static const char otlp_proto[] = "\x0a\x0c\x12\x0a\x12\x08\x2a\x06\x0a\x04line";

static const struct {
	const char *type, *coding;
	bool json;
	enum packing packing;
	const char *says;
} otlp_cases[] = {
	{ "application/json", NULL, true, PLAIN, NULL },
	{ "application/json; charset=utf-8", "", true, PLAIN, NULL },
	{ "application/json", "identity", true, PLAIN, NULL },
	{ "application/json", "gzip", true, GZIP, NULL },
	{ "application/json", "zstd", true, ZSTD, NULL },
	{ "application/json", "lz4", true, LZ4, NULL },
	{ "application/x-protobuf", NULL, false, PLAIN, NULL },
	{ "application/x-protobuf", "gzip", false, GZIP, NULL },
	{ "application/x-protobuf", "zstd", false, ZSTD, NULL },
	{ "application/x-protobuf", "lz4", false, LZ4, NULL },
	{ "application/x-protobuf", NULL, false, SNAPPY, "unexpected EOF" },
	{ "application/x-protobuf", "zstd", false, LZ4, "zstd: " },
	{ "application/x-protobuf", "lz4", false, ZSTD, "lz4: " },
	{ "application/json", "deflate", true, RAW,
	  "unsupported content encoding deflate: only gzip, lz4 and zstd are supported" },
	{ "application/json", "snappy", true, SNAPPY, "unsupported content encoding snappy: only" },
	{ "application/json", "\x1b[m", true, PLAIN, "unsupported content encoding \\x1b[m: only" },
	{ "text/plain", NULL, true, PLAIN, "content type: text/plain is not supported" },
	{ "application/octet-stream", NULL, false, PLAIN,
	  "content type: application/octet-stream is not supported" },
	{ NULL, NULL, true, PLAIN, "content type:  is not supported" },
};

static void test_otlp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(otlp_cases); i++) {
		struct body_headers h = { PUSH_OTLP,
					  slice_cstr(otlp_cases[i].type),
					  slice_cstr(otlp_cases[i].coding),
					  { .limit = LIMIT } };
		struct slice plain =
			otlp_cases[i].json ? SLICE(OTLP_JSON) : slice_of(otlp_proto, sizeof(otlp_proto) - 1);
		struct buf body;
		struct err err;
		size_t n;

		buf_init(&body);
		pack(&body, plain, otlp_cases[i].packing);
		int rc = decode(&h, buf_slice(&body), &n, &err);
		if (rc != (otlp_cases[i].says == NULL ? 0 : -1))
			fail_msg("case %zu: %d %s", i, rc, err.msg);
		if (rc == 0)
			assert_int_equal(n, 1);
		else if (strstr(err.msg, otlp_cases[i].says) == NULL || err.code != ERR_BAD_REQUEST)
			fail_msg("case %zu: %s", i, err.msg);
		buf_fini(&body);
	}
}

/* Frames one after the other, cut short, followed by junk, and beyond the limits of size and memory. */
static void test_frames(void **state)
{
	static const struct {
		void (*pack)(struct buf *out, struct slice in);
		int (*unpack)(struct slice body, const struct room *room, struct buf *out, struct err *err);
	} kinds[] = { { zstd_to, unpack_zstd }, { lz4_to, unpack_lz4 } };
	static char text[300000];
	char *zeros = xcalloc(1, 64 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct budget enough = { 600000 }, little = { 200000 };
		struct room asked = { LIMIT, take, &enough };
		struct buf body, out;
		struct err err;

		buf_init(&body);
		buf_init(&out);
		assert_int_equal(kinds[i].unpack(SLICE(""), &room, &out, &err), -1);
		kinds[i].pack(&body, SLICE("one "));
		size_t n_first = body.n;
		kinds[i].pack(&body, SLICE("two"));
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &room, &out, &err), 0);
		assert_true(slice_is(buf_slice(&out), "one two"));
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &(struct room){ .limit = 7 }, &out, &err),
				 0);
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &(struct room){ .limit = 6 }, &out, &err),
				 -1);
		assert_int_equal(err.code, ERR_TOO_LARGE);
		for (size_t n = 1; n < body.n; n++)
			assert_int_equal(
				kinds[i].unpack(slice_sub(buf_slice(&body), 0, n), &room, &out, &err),
				n == n_first ? 0 : -1);
		buf_puts(&body, "junk");
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &room, &out, &err), -1);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
		buf_reset(&body);
		kinds[i].pack(&body, slice_of(zeros, 64 << 20));
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &room, &out, &err), -1);
		assert_int_equal(err.code, ERR_TOO_LARGE);
		assert_true(out.cap < 4 * LIMIT);
		buf_reset(&body);
		kinds[i].pack(&body, slice_of(text, sizeof(text)));
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &asked, &out, &err), 0);
		assert_int_equal(out.n, sizeof(text));
		assert_in_range(enough.left, 0, 300000);
		asked.arg = &little;
		assert_int_equal(kinds[i].unpack(buf_slice(&body), &asked, &out, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		buf_fini(&body);
		buf_fini(&out);
	}
	/* a window of 4 GiB, as the first bytes of a frame may ask for */
	struct buf out;
	struct err err;
	buf_init(&out);
	assert_int_equal(unpack_zstd(slice_of("\x28\xb5\x2f\xfd\x00\xb0\x01\x00\x00", 9), &room, &out, &err),
			 -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	buf_fini(&out);
	free(zeros);
}

static void test_snappy_lies(void **state)
{
	static const char huge[] = "\xff\xff\xff\xff\x0f\x00", big[] = "\x80\x80\x40\x00";
	struct buf out;
	struct err err;

	(void)state;
	buf_init(&out);
	/* 4 GiB promised: refused by the limit before anything is allocated */
	assert_int_equal(snappy_decode(slice_of(huge, 6), &room, &out, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	/* within the limit, but more than so few bytes can hold */
	assert_int_equal(snappy_decode(slice_of(big, 4), &(struct room){ .limit = 2 * LIMIT }, &out, &err),
			 -1);
	assert_string_equal(err.msg, "snappy: corrupt input");
	assert_int_equal(out.cap, 0);
	/* the framed format is another one */
	assert_int_equal(snappy_decode(SLICE("\xff\x06\x00\x00sNaPpY"), &room, &out, &err), -1);
	/* a block of zeros reaches the best ratio there is */
	struct buf block;
	char *zeros = xcalloc(1, LIMIT);
	buf_init(&block);
	snappy_to(&block, slice_of(zeros, LIMIT));
	assert_int_equal(snappy_decode(buf_slice(&block), &room, &out, &err), 0);
	assert_int_equal(out.n, LIMIT);
	buf_fini(&block);
	free(zeros);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_empty_bodies),
		cmocka_unit_test(test_lines_take_any_type),
		cmocka_unit_test(test_gzip_members),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_memory_is_asked_for),
		cmocka_unit_test(test_snappy_lies),
		cmocka_unit_test(test_otlp),
		cmocka_unit_test(test_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
