/* Says as JSON where the bytes of a data directory's segments are:   segments DIR/00000001.seg... */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "index/segment.h"

enum { MAX_CODEC = 8 };

struct sizes {
	uint64_t total, headers, filters, chunks[MAX_CODEC], entries[MAX_CODEC], bytes[MAX_CODEC],
		raw[MAX_CODEC];
	uint64_t rows_text, rows_table;
	unsigned most_merged;
};

static int add_chunk(struct segment *seg, const struct segment_chunk *c, struct sizes *z, struct err *err)
{
	struct chunk_header h;

	if (segment_chunk_header(seg, c->off, c->info.header_bytes, &h, err) == -1)
		return -1;
	unsigned codec = MIN(h.codec, MAX_CODEC - 1);

	z->headers += c->info.header_bytes;
	z->filters += c->filter_bytes;
	z->chunks[codec]++;
	z->entries[codec] += c->info.n_entries;
	z->bytes[codec] += c->info.total_bytes;
	z->raw[codec] += c->info.raw_bytes;
	for (size_t b = 0; codec == 1 && b < h.n_blocks; b++) {
		z->rows_text += h.block[b].text_comp;
		z->rows_table += h.block[b].table_comp;
	}
	chunk_header_fini(&h);
	return 0;
}

static int add_segment(const char *path, struct sizes *z, struct err *err)
{
	char *for_dir = xstrdup(path), *for_base = xstrdup(path);
	struct segment_footer footer;
	struct segment *seg = NULL;
	struct arena a;
	int rc = -1;

	arena_init(&a);
	if (segment_open(dirname(for_dir), strtoull(basename(for_base), NULL, 10), &seg, err) == -1 ||
	    segment_read_footer(seg, &a, &footer, err) == -1)
		goto out;
	z->total += footer.sum.size;
	z->most_merged = MAX(z->most_merged, footer.sum.level);
	for (size_t i = 0; i < footer.n_chunks; i++)
		if (add_chunk(seg, &footer.chunk[i], z, err) == -1)
			goto out;
	rc = 0;
out:
	segment_unref(seg);
	arena_fini(&a);
	free(for_dir);
	free(for_base);
	return rc;
}

static void print_sizes(const struct sizes *z)
{
	uint64_t chunks = 0;

	printf("{\"codecs\": {");
	for (unsigned i = 0, n = 0; i < MAX_CODEC; i++) {
		chunks += z->bytes[i];
		if (z->chunks[i] > 0)
			printf("%s\"%u\": {\"chunks\": %" PRIu64 ", \"entries\": %" PRIu64
			       ", \"bytes\": %" PRIu64 ", \"raw_bytes\": %" PRIu64 "}",
			       n++ > 0 ? ", " : "", i, z->chunks[i], z->entries[i], z->bytes[i], z->raw[i]);
	}
	printf("},\n \"total\": %" PRIu64 ", \"chunks\": %" PRIu64 ", \"chunk_headers\": %" PRIu64
	       ", \"rows_lines\": %" PRIu64 ", \"rows_tables\": %" PRIu64 ", \"trace_filters\": %" PRIu64
	       ",\n \"counts_and_footers\": %" PRIu64 ", \"most_merged\": %u}\n",
	       z->total, chunks, z->headers, z->rows_text, z->rows_table, z->filters,
	       z->total - chunks - z->filters, z->most_merged);
}

int main(int argc, char **argv)
{
	struct sizes z = { 0 };
	struct err err;

	err_clear(&err);
	for (int i = 1; i < argc; i++)
		if (add_segment(argv[i], &z, &err) == -1) {
			fprintf(stderr, "segments: %s: %s\n", argv[i], err.msg);
			return 1;
		}
	print_sizes(&z);
	return 0;
}
