/* Entries made of the input are encoded in columns, decoded, and must be what they were.
 * Input: u8 effort (low bit), u8 number of entries in units of three, u8 step of time in powers of two; then lines, told
 * apart by newlines, taken round and round. In a line: 0x01 is the entry's number, 0x02 its time in seconds, 0x03 a
 * number that looks random; behind a tab stand pairs of metadata, name and value told apart by '=', up to the next tab. */
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "index/chunk_columns.h"
#include "model/labels.h"

enum { SEED = 7, MAX_PAIRS = 6, MAX_TEXT = 4 << 20 };

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *s = arg;

	if (off > s->n || n > s->n - off)
		return err_set(err, ERR_CORRUPT, "past the end");
	memcpy(p, s->p + off, n);
	return 0;
}

/* The part up to the next c, which goes as well. */
static struct slice take(struct slice *s, char c)
{
	size_t n = slice_find_byte(*s, c);
	struct slice part = n == SLICE_NONE ? *s : slice_sub(*s, 0, n);

	*s = n == SLICE_NONE ? slice_from(*s, s->n) : slice_from(*s, n + 1);
	return part;
}

static void put_text(struct buf *out, struct slice s, size_t number, int64_t ts)
{
	for (size_t i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case 1: buf_printf(out, "%zu", number); break;
		case 2: buf_printf(out, "%" PRId64, ts / NS_PER_S); break;
		case 3: buf_printf(out, "%" PRIu64, hash_mix(number) >> number % 60); break;
		default: buf_putc(out, s.p[i]);
		}
}

static struct slice make_meta(struct arena *a, struct slice pairs, size_t number, int64_t ts)
{
	struct label pair[MAX_PAIRS];
	struct buf text = { 0 };
	size_t n = 0;

	while (pairs.n > 0 && n < MAX_PAIRS) {
		struct slice value = take(&pairs, '\t'), name = take(&value, '=');
		size_t k = 0;

		while (k < n && !slice_eq(pair[k].name, name))
			k++;
		if (k < n)
			continue;
		buf_reset(&text);
		put_text(&text, value, number, ts);
		pair[n++] = (struct label){ name, arena_dup(a, buf_slice(&text)) };
	}
	labels_sort(pair, n);
	buf_reset(&text);
	labels_encode(&text, (struct labels){ pair, n });
	struct slice meta = arena_dup(a, buf_slice(&text));
	buf_fini(&text);
	return meta;
}

static bool same_entry(const struct chunk_scratch *s, size_t i, const struct chunk_entry *e)
{
	return s->ts[i] == e->ts && slice_eq(s->line[i], e->line) && slice_eq(s->metas[s->meta[i]], e->meta);
}

static void check(const struct chunk_entry *e, size_t n, int effort)
{
	struct chunk_scratch s = { 0 };
	struct buf out = { 0 };
	struct chunk_info info;
	struct chunk_header h;
	struct err err;
	size_t at = 0;

	chunk_codec_columns.encode(e, n, SEED, effort, &out, &info);
	struct slice chunk = buf_slice(&out);
	struct chunk_source src = { read_memory, &chunk };
	if (info.total_bytes != chunk.n ||
	    chunk_header_parse(slice_sub(chunk, 0, info.header_bytes), SEED, &h, &err) == -1)
		abort();
	for (size_t b = 0; b < h.n_blocks; b++) {
		chunk_scratch_reset(&s);
		if (chunk_codec_find(h.codec)->block_read(&h, b, src, true, &s, &err) == -1 || s.n > n - at)
			abort();
		for (size_t i = 0; i < s.n; i++, at++)
			if (!same_entry(&s, i, &e[at]))
				abort();
	}
	if (at != n)
		abort();
	chunk_scratch_fini(&s);
	chunk_header_fini(&h);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VEC(struct chunk_entry) entries = { 0 };
	struct buf line = { 0 };
	struct arena a;
	size_t bytes = 0;

	if (size < 4)
		return 0;
	arena_init(&a);
	struct slice all = slice_of((const char *)data + 3, size - 3), rest = all;
	int64_t ts = INT64_C(1768435200) * NS_PER_S;
	for (size_t i = 0, n = 3 * (size_t)data[1] + 1; i < n && bytes < MAX_TEXT; i++) {
		struct slice pairs = take(&rest, '\n'), text = take(&pairs, '\t');

		buf_reset(&line);
		put_text(&line, text, i, ts);
		struct chunk_entry e = { ts, arena_dup(&a, buf_slice(&line)), make_meta(&a, pairs, i, ts) };
		vec_push(&entries, e);
		bytes += e.line.n + e.meta.n;
		ts += INT64_C(1) << data[2] % 40;
		if (rest.n == 0)
			rest = all;
	}
	check(entries.v, entries.n, (data[0] & 1) != 0 ? 9 : 1);
	vec_fini(&entries);
	buf_fini(&line);
	arena_fini(&a);
	return 0;
}
