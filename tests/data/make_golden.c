/* Writes a golden chunk:   make_golden CODEC EFFORT NAME.entries NAME.codecN.chunk
 * Refuses to overwrite one, and to write one that a codec left to another. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static int write_new(const char *path, struct slice bytes, struct err *err)
{
	int fd = file_create(path, err), rc;

	if (fd == -1)
		return -1;
	rc = file_write(fd, bytes, err);
	close(fd);
	return rc;
}

static int make(const struct chunk_codec *codec, int effort, const char *from, const char *to,
		struct err *err)
{
	struct chunk_header h = { 0 };
	struct chunk_info info;
	struct buf out = { 0 };
	struct golden g;
	int rc = -1;

	if (golden_read(from, &g, err) == -1)
		goto out;
	if (g.entries.n == 0) {
		err_set(err, ERR_BAD_REQUEST, "%s has no entries", from);
		goto out;
	}
	codec->encode(g.entries.v, g.entries.n, GOLDEN_SEED, effort, &out, &info);
	if (chunk_header_parse(slice_sub(buf_slice(&out), 0, info.header_bytes), GOLDEN_SEED, &h, err) == -1)
		goto out;
	if (h.codec != codec->number) {
		err_set(err, ERR_BAD_REQUEST, "codec %u left %s to codec %u", codec->number, from, h.codec);
		goto out;
	}
	rc = write_new(to, buf_slice(&out), err);
out:
	chunk_header_fini(&h);
	buf_fini(&out);
	golden_fini(&g);
	return rc;
}

int main(int argc, char **argv)
{
	const struct chunk_codec *codec =
		argc == 5 ? chunk_codec_find((uint8_t)strtoul(argv[1], NULL, 10)) : NULL;
	struct err err;

	err_clear(&err);
	if (codec == NULL) {
		fputs("usage: make_golden CODEC EFFORT NAME.entries NAME.codecN.chunk\n", stderr);
		return 2;
	}
	if (make(codec, (int)strtoul(argv[2], NULL, 10), argv[3], argv[4], &err) == -1) {
		fprintf(stderr, "make_golden: %s\n", err.msg);
		return 1;
	}
	return 0;
}
