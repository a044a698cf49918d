#include "ingest/gunzip.h"
#include "ingest/too_large.h"
#include "base/mem.h"

#include <zlib.h>

enum { STEP = 64 * 1024, BITS_GZIP = 15 + 16, BITS_ZLIB = 15, BITS_RAW = -15 };

static int corrupt(struct err *err, const char *name, const char *why)
{
	return err_set(err, ERR_BAD_REQUEST, "%s: %s", name, why != NULL ? why : "corrupt input");
}

/* Room for at least one more byte, at most what the limit leaves (and one to notice that it is passed). */
static void make_room(z_stream *z, struct buf *out, uint64_t limit)
{
	uint64_t left = limit - out->n + 1;
	size_t step = MAX((size_t)STEP, out->n / 2);

	if (step > left)
		step = (size_t)left;
	if (step > UINT32_MAX)
		step = UINT32_MAX;
	z->next_out = (unsigned char *)buf_reserve(out, step);
	z->avail_out = (unsigned)step;
}

/* Inflates one member. 1: its end was reached, -1: error. */
static int one_member(z_stream *z, const char *name, uint64_t limit, struct buf *out, struct err *err)
{
	for (;;) {
		make_room(z, out, limit);
		unsigned room = z->avail_out;
		int rc = inflate(z, Z_NO_FLUSH);

		out->n += room - z->avail_out;
		if (out->n > limit)
			return err_too_large(err, out->n, limit);
		if (rc == Z_STREAM_END)
			return 1;
		if (rc == Z_MEM_ERROR)
			return err_set(err, ERR_UNAVAILABLE, "out of memory");
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return corrupt(err, name, z->msg);
		if (z->avail_in == 0 && z->avail_out > 0)
			return corrupt(err, name, "unexpected EOF");
	}
}

static int run(struct slice body, const char *name, int bits, uint64_t limit, struct buf *out,
	       struct err *err)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)body.p, .avail_in = (unsigned)body.n };
	int rc;

	buf_reset(out);
	if (body.n == 0)
		return corrupt(err, name, "unexpected EOF");
	if (body.n > UINT32_MAX)
		return err_too_large(err, body.n, limit);
	if (inflateInit2(&z, bits) != Z_OK)
		return err_set(err, ERR_UNAVAILABLE, "out of memory");
	for (;;) {
		rc = one_member(&z, name, limit, out, err);
		if (rc == -1 || z.avail_in == 0)
			break;
		if (bits != BITS_GZIP) {
			rc = corrupt(err, name, "trailing data after the compressed stream");
			break;
		}
		if (inflateReset(&z) != Z_OK) {
			rc = corrupt(err, name, NULL);
			break;
		}
	}
	inflateEnd(&z);
	return rc == -1 ? -1 : 0;
}

int gunzip(struct slice body, uint64_t limit, struct buf *out, struct err *err)
{
	return run(body, "gzip", BITS_GZIP, limit, out, err);
}

int inflate_any(struct slice body, uint64_t limit, struct buf *out, struct err *err)
{
	bool zlib = body.n >= 2 && (body.p[0] & 0x0f) == Z_DEFLATED &&
		    ((unsigned char)body.p[0] * 256u + (unsigned char)body.p[1]) % 31 == 0;

	/* A raw stream can look like a wrapped one, too: 1 in 500 or so. */
	if (zlib && run(body, "deflate", BITS_ZLIB, limit, out, err) == 0)
		return 0;
	if (zlib && err->code != ERR_BAD_REQUEST)
		return -1;
	return run(body, "deflate", BITS_RAW, limit, out, err);
}
