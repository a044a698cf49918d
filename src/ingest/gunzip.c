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
static int make_room(z_stream *z, struct buf *out, const struct room *room, struct err *err)
{
	uint64_t left = room->limit - out->n + 1;
	size_t step = MAX((size_t)STEP, out->n / 2);

	if (step > left)
		step = (size_t)left;
	if (step > UINT32_MAX)
		step = UINT32_MAX;
	if (room_reserve(room, step, err) == -1)
		return -1;
	z->next_out = (unsigned char *)buf_reserve(out, step);
	z->avail_out = (unsigned)step;
	return 0;
}

/* Inflates one member. 1: its end was reached, -1: error. */
static int one_member(z_stream *z, const char *name, const struct room *room, struct buf *out,
		      struct err *err)
{
	for (;;) {
		if (z->avail_out == 0 && make_room(z, out, room, err) == -1)
			return -1;
		unsigned before = z->avail_out;
		int rc = inflate(z, Z_NO_FLUSH);

		out->n += before - z->avail_out;
		if (out->n > room->limit)
			return err_too_large(err, out->n, room->limit);
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

static int run(struct slice body, const char *name, int bits, const struct room *room, struct buf *out,
	       struct err *err)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)body.p, .avail_in = (unsigned)body.n };
	int rc;

	buf_reset(out);
	if (body.n == 0)
		return corrupt(err, name, "unexpected EOF");
	if (body.n > UINT32_MAX)
		return err_too_large(err, body.n, room->limit);
	if (inflateInit2(&z, bits) != Z_OK)
		return err_set(err, ERR_UNAVAILABLE, "out of memory");
	for (;;) {
		rc = one_member(&z, name, room, out, err);
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

int gunzip(struct slice body, const struct room *room, struct buf *out, struct err *err)
{
	return run(body, "gzip", BITS_GZIP, room, out, err);
}

int inflate_any(struct slice body, const struct room *room, struct buf *out, struct err *err)
{
	bool zlib = body.n >= 2 && (body.p[0] & 0x0f) == Z_DEFLATED &&
		    ((unsigned char)body.p[0] * 256u + (unsigned char)body.p[1]) % 31 == 0;

	/* A raw stream can look like a wrapped one, too: 1 in 500 or so. */
	if (zlib && run(body, "deflate", BITS_ZLIB, room, out, err) == 0)
		return 0;
	if (zlib && err->code != ERR_BAD_REQUEST)
		return -1;
	return run(body, "deflate", BITS_RAW, room, out, err);
}
