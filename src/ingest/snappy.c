#include "ingest/snappy.h"
#include "ingest/too_large.h"

#include <snappy-c.h>

/* The format cannot do better than 64 bytes from 3, so a block that promises more is not one. */
enum { MAX_RATIO = 22, SLACK = 64 };

int snappy_decode(struct slice block, const struct room *room, struct buf *out, struct err *err)
{
	size_t n;

	if (block.n == 0 || snappy_uncompressed_length(block.p, block.n, &n) != SNAPPY_OK)
		return err_set(err, ERR_BAD_REQUEST, "snappy: corrupt input");
	if (n > room->limit)
		return err_too_large(err, n, room->limit);
	if (n / MAX_RATIO > block.n + SLACK)
		return err_set(err, ERR_BAD_REQUEST, "snappy: corrupt input");
	if (room_reserve(room, n, err) == -1)
		return -1;
	buf_reset(out);
	char *p = buf_reserve(out, n + 1);
	if (snappy_uncompress(block.p, block.n, p, &n) != SNAPPY_OK)
		return err_set(err, ERR_BAD_REQUEST, "snappy: corrupt input");
	out->n = n;
	return 0;
}
