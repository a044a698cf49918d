#include "ingest/unpack.h"
#include "ingest/too_large.h"
#include "base/mem.h"

#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

/* The window is memory of the decompressor's own. What a frame may ask for is what the common encoders use at their
 * highest levels; only as much of it is touched as the frame inflates to. */
enum { STEP = 64 * 1024, WINDOW_LOG_MAX = 25 };

static int corrupt(struct err *err, const char *name, const char *why)
{
	return err_set(err, ERR_BAD_REQUEST, "%s: %s", name, why);
}

/* Room for at least one more byte, at most what the limit leaves (and one to notice that it is passed). */
static int make_room(struct buf *out, const struct room *room, size_t *n, struct err *err)
{
	uint64_t left = room->limit - out->n + 1;
	size_t step = MAX((size_t)STEP, out->n / 2);

	if (step > left)
		step = (size_t)left;
	if (room_reserve(room, step, err) == -1)
		return -1;
	buf_reserve(out, step);
	*n = step;
	return 0;
}

static int zstd_frames(ZSTD_DCtx *z, struct slice body, const struct room *room, struct buf *out,
		       struct err *err)
{
	ZSTD_inBuffer in = { body.p, body.n, 0 };
	size_t rest = 1, avail = 0;

	/* Until the input is eaten and nothing of it waits inside to be given out. */
	while (in.pos < in.size || (rest != 0 && avail == 0)) {
		if (avail == 0 && make_room(out, room, &avail, err) == -1)
			return -1;
		ZSTD_outBuffer to = { out->p + out->n, avail, 0 };
		rest = ZSTD_decompressStream(z, &to, &in);
		if (ZSTD_getErrorCode(rest) == ZSTD_error_memory_allocation)
			return err_set(err, ERR_UNAVAILABLE, "out of memory");
		if (ZSTD_isError(rest))
			return corrupt(err, "zstd", ZSTD_getErrorName(rest));
		out->n += to.pos;
		avail -= to.pos;
		if (out->n > room->limit)
			return err_too_large(err, out->n, room->limit);
	}
	return rest == 0 ? 0 : corrupt(err, "zstd", "unexpected EOF");
}

int unpack_zstd(struct slice body, const struct room *room, struct buf *out, struct err *err)
{
	ZSTD_DCtx *z;
	int rc;

	buf_reset(out);
	if (body.n == 0)
		return corrupt(err, "zstd", "unexpected EOF");
	z = ZSTD_createDCtx();
	if (z == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		rc = err_set(err, ERR_UNAVAILABLE, "out of memory");
	else
		rc = zstd_frames(z, body, room, out, err);
	ZSTD_freeDCtx(z);
	return rc;
}

static int lz4_frames(LZ4F_dctx *z, struct slice body, const struct room *room, struct buf *out,
		      struct err *err)
{
	size_t rest = 1, avail = 0;

	while (body.n > 0 || (rest != 0 && avail == 0)) {
		if (avail == 0 && make_room(out, room, &avail, err) == -1)
			return -1;
		size_t n_out = avail, n_in = body.n;
		rest = LZ4F_decompress(z, out->p + out->n, &n_out, body.p, &n_in, NULL);
		if (LZ4F_isError(rest))
			return corrupt(err, "lz4", LZ4F_getErrorName(rest));
		if (n_in == 0 && n_out == 0 && body.n > 0)
			return corrupt(err, "lz4", "corrupt input");
		body = slice_from(body, n_in);
		out->n += n_out;
		avail -= n_out;
		if (out->n > room->limit)
			return err_too_large(err, out->n, room->limit);
	}
	return rest == 0 ? 0 : corrupt(err, "lz4", "unexpected EOF");
}

int unpack_lz4(struct slice body, const struct room *room, struct buf *out, struct err *err)
{
	LZ4F_dctx *z = NULL;
	int rc;

	buf_reset(out);
	if (body.n == 0)
		return corrupt(err, "lz4", "unexpected EOF");
	if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
		rc = err_set(err, ERR_UNAVAILABLE, "out of memory");
	else
		rc = lz4_frames(z, body, room, out, err);
	LZ4F_freeDecompressionContext(z);
	return rc;
}
