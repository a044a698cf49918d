/* What each chunk codec makes of each kind of line: size for a raw byte, speed of encoding and of decoding all.
 *
 *	bench_codec [--lines N] [--shape NAME]... [--effort E]... [--check] [--check-speed] [--quick]
 *
 * Chunks are as the store makes them: one stream's entries in order of time, at most 8,192 or 2 MB, each with the level
 * that ingest adds. Every chunk is decoded and compared with what went in. --check fails when codec 2 takes more than
 * 10 % more room than codec 1 for any shape, --check-speed also when it encodes less than half as fast; --quick runs
 * once without measuring. MB/s are raw bytes of lines by the CPU time of one thread. */
#include "gen.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "index/chunk.h"
#include "ingest/level.h"

enum {
	CHUNK_ENTRIES = 8192,
	CHUNK_BYTES = 2 << 20,
	MAX_CODECS = 2,
	MAX_EFFORTS = 4,
	MIN_MEASURE_MS = 300,
	SEED = 12345,
};

/* ------------------------------------------------------------------ what is encoded */

struct stream {
	VEC(struct chunk_entry) e;
};

struct run { /* of one stream: a chunk to be */
	const struct chunk_entry *e;
	size_t n;
};

/* All lines of one shape. */
struct input {
	const char *name;
	struct arena *text;
	VEC(struct stream) streams;
	VEC(struct run) runs;
	uint64_t lines, raw_bytes; /* of the lines, each with a newline as a file would hold it */
};

static void input_add(struct input *in, size_t stream, int64_t ts, struct slice line, struct labels meta)
{
	struct label all[CORPUS_MAX_META + 1];
	struct buf encoded = { 0 };
	size_t n = meta.n;

	for (size_t i = 0; i < n; i++)
		all[i] = meta.v[i];
	all[n++] = (struct label){ SLICE("detected_level"), level_of_line(line) };
	labels_sort(all, n);
	labels_encode(&encoded, (struct labels){ all, n });
	while (in->streams.n <= stream)
		(void)vec_add(&in->streams);
	struct chunk_entry e = { ts, arena_dup(in->text, line), arena_dup(in->text, buf_slice(&encoded)) };

	vec_push(&in->streams.v[stream].e, e);
	buf_fini(&encoded);
	in->lines++;
	in->raw_bytes += line.n + 1;
}

static void input_cut(struct input *in)
{
	for (size_t s = 0; s < in->streams.n; s++) {
		const struct stream *st = &in->streams.v[s];

		for (size_t from = 0, to; from < st->e.n; from = to) {
			size_t bytes = 0;

			for (to = from; to < st->e.n && to - from < CHUNK_ENTRIES && bytes < CHUNK_BYTES;
			     to++)
				bytes += st->e.v[to].line.n + st->e.v[to].meta.n;
			struct run run = { st->e.v + from, to - from };

			vec_push(&in->runs, run);
		}
	}
}

static void input_fini(struct input *in)
{
	for (size_t s = 0; s < in->streams.n; s++)
		vec_fini(&in->streams.v[s].e);
	vec_fini(&in->streams);
	vec_fini(&in->runs);
}

static void make_corpus(struct input *in, const struct corpus_shape *shape, uint64_t n_lines)
{
	struct corpus c;
	struct buf line = { 0 };
	uint64_t most_bytes = n_lines * 400;

	corpus_init(&c, shape, 1, INT64_C(1768435200) * NS_PER_S);
	for (uint64_t i = 0; i < n_lines && in->raw_bytes < most_bytes; i++) {
		buf_reset(&line);
		corpus_next(&c, shape, &line);
		input_add(in, 0, c.ts, buf_slice(&line), (struct labels){ c.meta, c.n_meta });
	}
	corpus_fini(&c);
	buf_fini(&line);
}

/* The shop's services, by the form of their lines. */
static const struct shop_part {
	const char *name;
	unsigned first, end; /* services */
} shop_parts[] = { { "shop-json", 0, 8 }, { "shop-logfmt", 8, 10 }, { "shop-nginx", 10, 11 } };

struct shop_input {
	const struct shop *shop;
	const struct shop_part *part;
	struct input *in;
	uint64_t n_lines;
};

static void add_shop_line(void *arg, unsigned stream, int64_t ts, struct slice line)
{
	struct shop_input *si = arg;
	unsigned service = shop_service_of(si->shop, stream);

	if (service >= si->part->first && service < si->part->end && si->in->lines < si->n_lines)
		input_add(si->in, stream, ts, line, (struct labels){ NULL, 0 });
}

/* A stretch of the day as dense as one of four million lines, its streams as they come. */
static void make_shop(struct input *in, const struct shop_part *part, uint64_t n_lines)
{
	uint64_t n_all = n_lines * 12 / (part->end - part->first);
	struct shop shop = {
		.n_lines = n_all,
		.n_days = 1,
		.n_pods = part->end - part->first > 4 ? 2 : 4, /* so that chunks become full */
		.seed = 1,
		.end_ns = INT64_C(1768521600) * NS_PER_S,
		.span_ns = (int64_t)((double)NS_PER_DAY * (double)n_all / 4e6),
		.emit = add_shop_line,
	};
	struct shop_input si = { &shop, part, in, n_lines };

	shop.arg = &si;
	shop_day(&shop, 0);
	shop_fini(&shop);
}

/* ------------------------------------------------------------------ one codec, one effort */

struct figures {
	uint64_t bytes;
	double encode_mb_s, decode_mb_s;
};

struct bench {
	const struct chunk_codec *codec[MAX_CODECS];
	int effort[MAX_EFFORTS];
	size_t n_codecs, n_efforts;
	uint64_t n_lines;
	VEC(const char *) only;
	bool quick, check, check_speed;
	int rc;
	struct buf sizes, speeds; /* rows of the tables */
};

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int read_memory(void *arg, uint64_t off, size_t n, void *p, struct err *err)
{
	const struct slice *bytes = arg;

	if (off > bytes->n || n > bytes->n - off)
		return err_set(err, ERR_CORRUPT, "read past the end of the chunk");
	memcpy(p, bytes->p + off, n);
	return 0;
}

static bool block_is(const struct chunk_scratch *s, const struct chunk_entry *e, size_t n)
{
	if (s->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s->ts[i] != e[i].ts || !slice_eq(s->line[i], e[i].line) ||
		    !slice_eq(s->metas[s->meta[i]], e[i].meta))
			return false;
	return true;
}

/* Decodes all of a chunk; compares with the entries where they are given. A codec may leave a chunk to another one, so the
 * header says who reads it. */
static void decode(struct slice bytes, const struct chunk_info *info, const struct run *want,
		   struct chunk_scratch *s)
{
	struct chunk_source src = { read_memory, &bytes };
	struct chunk_header h;
	struct err err;
	size_t at = 0;

	err_clear(&err);
	if (chunk_header_parse(slice_sub(bytes, 0, info->header_bytes), SEED, &h, &err) == -1)
		goto fail;
	for (size_t b = 0; b < h.n_blocks; b++) {
		chunk_scratch_reset(s);
		if (chunk_codec_find(h.codec)->block_read(&h, b, src, true, s, &err) == -1)
			goto fail;
		if (want != NULL && (at + s->n > want->n || !block_is(s, want->e + at, s->n))) {
			err_set(&err, ERR_CORRUPT, "block %zu is not what was encoded", b);
			goto fail;
		}
		at += s->n;
	}
	if (want != NULL && at != want->n) {
		err_set(&err, ERR_CORRUPT, "%zu entries of %zu", at, want->n);
		goto fail;
	}
	chunk_header_fini(&h);
	return;
fail:
	fprintf(stderr, "bench_codec: %s\n", err.msg);
	exit(1);
}

static double measure_encode(const struct input *in, const struct chunk_codec *codec, int effort)
{
	int64_t start = cpu_ns(), end;
	struct chunk_info info;
	struct buf out = { 0 };
	uint64_t rounds = 0;

	do {
		for (size_t i = 0; i < in->runs.n; i++) {
			buf_reset(&out);
			codec->encode(in->runs.v[i].e, in->runs.v[i].n, SEED, effort, &out, &info);
		}
		rounds++;
		end = cpu_ns();
	} while (end - start < MIN_MEASURE_MS * NS_PER_MS);
	buf_fini(&out);
	return (double)(in->raw_bytes * rounds) * 1e3 / (double)(end - start);
}

static double measure_decode(const struct input *in, const struct buf *chunks, const struct chunk_info *infos)
{
	struct chunk_scratch s = { 0 };
	int64_t start = cpu_ns(), end;
	uint64_t rounds = 0;

	do {
		for (size_t i = 0; i < in->runs.n; i++)
			decode(buf_slice(&chunks[i]), &infos[i], NULL, &s);
		rounds++;
		end = cpu_ns();
	} while (end - start < MIN_MEASURE_MS * NS_PER_MS);
	chunk_scratch_fini(&s);
	return (double)(in->raw_bytes * rounds) * 1e3 / (double)(end - start);
}

static struct figures run_codec(const struct bench *b, const struct input *in,
				const struct chunk_codec *codec, int effort)
{
	struct buf *chunks = xcalloc(in->runs.n, sizeof(*chunks));
	struct chunk_info *infos = xcalloc(in->runs.n, sizeof(*infos));
	struct chunk_scratch s = { 0 };
	struct figures f = { 0 };

	for (size_t i = 0; i < in->runs.n; i++) {
		codec->encode(in->runs.v[i].e, in->runs.v[i].n, SEED, effort, &chunks[i], &infos[i]);
		decode(buf_slice(&chunks[i]), &infos[i], &in->runs.v[i], &s);
		f.bytes += chunks[i].n;
	}
	chunk_scratch_fini(&s);
	if (!b->quick) {
		f.encode_mb_s = measure_encode(in, codec, effort);
		f.decode_mb_s = measure_decode(in, chunks, infos);
	}
	for (size_t i = 0; i < in->runs.n; i++)
		buf_fini(&chunks[i]);
	free(chunks);
	free(infos);
	return f;
}

/* ------------------------------------------------------------------ tables */

static void check_figures(struct bench *b, const char *name, int effort, const struct figures *rows,
			  const struct figures *columns)
{
	if ((b->check || b->check_speed) && (double)columns->bytes > 1.1 * (double)rows->bytes) {
		fprintf(stderr, "bench_codec: %s, effort %d: codec 2 takes %.3f times the room of codec 1\n",
			name, effort, (double)columns->bytes / (double)rows->bytes);
		b->rc = 1;
	}
	if (b->check_speed && columns->encode_mb_s < 0.5 * rows->encode_mb_s) {
		fprintf(stderr, "bench_codec: %s, effort %d: codec 2 encodes at %.2f of codec 1's speed\n",
			name, effort, columns->encode_mb_s / rows->encode_mb_s);
		b->rc = 1;
	}
}

static void bench_input(struct bench *b, struct input *in)
{
	input_cut(in);
	buf_printf(&b->sizes, "| %s | %.0f | %.0f |", in->name, (double)in->raw_bytes / (double)in->lines,
		   (double)in->lines / (double)in->runs.n);
	buf_printf(&b->speeds, "| %s |", in->name);
	for (size_t e = 0; e < b->n_efforts; e++) {
		struct figures f[MAX_CODECS];

		for (size_t c = 0; c < b->n_codecs; c++) {
			f[c] = run_codec(b, in, b->codec[c], b->effort[e]);
			buf_printf(&b->sizes, " %.3f |", (double)f[c].bytes / (double)in->raw_bytes);
			buf_printf(&b->speeds, " %.0f | %.0f |", f[c].encode_mb_s, f[c].decode_mb_s);
		}
		if (b->n_codecs == 2)
			check_figures(b, in->name, b->effort[e], &f[0], &f[1]);
	}
	buf_putc(&b->sizes, '\n');
	buf_putc(&b->speeds, '\n');
}

static bool wanted(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->only.n; i++)
		if (strcmp(b->only.v[i], name) == 0)
			return true;
	return b->only.n == 0;
}

static void bench_shop(struct bench *b)
{
	for (size_t i = 0; i < ARRAY_LEN(shop_parts); i++) {
		struct arena text;
		struct input in = { .name = shop_parts[i].name, .text = &text };

		if (!wanted(b, in.name))
			continue;
		arena_init(&text);
		make_shop(&in, &shop_parts[i], b->n_lines);
		bench_input(b, &in);
		input_fini(&in);
		arena_fini(&text);
	}
}

static void bench_corpora(struct bench *b)
{
	const struct corpus_shape *shape;

	for (size_t i = 0; (shape = corpus_get(i)) != NULL; i++) {
		struct arena text;
		struct input in = { .name = shape->name, .text = &text };

		if (!wanted(b, in.name))
			continue;
		arena_init(&text);
		make_corpus(&in, shape, b->n_lines);
		bench_input(b, &in);
		input_fini(&in);
		arena_fini(&text);
	}
}

static void print_tables(const struct bench *b)
{
	struct buf sizes = { 0 }, speeds = { 0 };
	size_t n = b->n_codecs * b->n_efforts;

	for (size_t e = 0; e < b->n_efforts; e++)
		for (size_t c = 0; c < b->n_codecs; c++) {
			buf_printf(&sizes, " codec %u, effort %d |", b->codec[c]->number, b->effort[e]);
			buf_printf(&speeds, " codec %u, effort %d: encode | decode |", b->codec[c]->number,
				   b->effort[e]);
		}
	printf("Bytes of chunks for each raw byte:\n\n| lines | bytes a line | lines a chunk "
	       "|%.*s\n|---|---|---|",
	       SLICE_ARG(buf_slice(&sizes)));
	for (size_t i = 0; i < n; i++)
		printf("---|");
	printf("\n%.*s", SLICE_ARG(buf_slice(&b->sizes)));
	if (!b->quick) {
		printf("\nMB of raw lines a second on one core:\n\n| lines |%.*s\n|---|",
		       SLICE_ARG(buf_slice(&speeds)));
		for (size_t i = 0; i < 2 * n; i++)
			printf("---|");
		printf("\n%.*s", SLICE_ARG(buf_slice(&b->speeds)));
	}
	buf_fini(&sizes);
	buf_fini(&speeds);
}

/* ------------------------------------------------------------------ arguments */

static void usage_error(const char *what, const char *value)
{
	fprintf(stderr,
		"bench_codec: bad %s: %s\n"
		"usage: bench_codec [--lines N] [--shape NAME]... [--effort E]... [--check] [--check-speed] "
		"[--quick]\n",
		what, value);
	exit(2);
}

static uint64_t number_arg(const char *name, const char *value, uint64_t most)
{
	uint64_t v;

	if (!slice_to_u64(slice_cstr(value), &v) || v == 0 || v > most)
		usage_error(name, value);
	return v;
}

static bool shape_exists(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(shop_parts); i++)
		if (strcmp(shop_parts[i].name, name) == 0)
			return true;
	return corpus_find(name) != NULL;
}

static void parse_args(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{ "lines", required_argument, NULL, 'l' },
		{ "shape", required_argument, NULL, 'S' },
		{ "effort", required_argument, NULL, 'e' },
		{ "check", no_argument, NULL, 'c' },
		{ "check-speed", no_argument, NULL, 'C' },
		{ "quick", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};

	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (opt) {
		case 'l': b->n_lines = number_arg("lines", optarg, 100000000); break;
		case 'S':
			if (!shape_exists(optarg))
				usage_error("shape", optarg);
			vec_push(&b->only, optarg);
			break;
		case 'e':
			if (b->n_efforts == MAX_EFFORTS)
				usage_error("effort, too many of them", optarg);
			b->effort[b->n_efforts++] = (int)number_arg("effort", optarg, 12);
			break;
		case 'c': b->check = true; break;
		case 'C': b->check_speed = true; break;
		case 'q': b->quick = true; break;
		default: usage_error("argument", argv[optind - 1]);
		}
	}
	if (optind < argc)
		usage_error("argument", argv[optind]);
	if (b->quick && b->check_speed)
		usage_error("argument with --quick", "--check-speed");
}

int main(int argc, char **argv)
{
	struct bench b = { .n_lines = 100000 };

	for (uint8_t number = 1; number <= MAX_CODECS; number++)
		if (chunk_codec_find(number) != NULL)
			b.codec[b.n_codecs++] = chunk_codec_find(number);
	parse_args(&b, argc, argv);
	if (b.n_efforts == 0) { /* a flush's, and one that compresses hard */
		b.effort[b.n_efforts++] = 1;
		b.effort[b.n_efforts++] = 9;
	}
	bench_shop(&b);
	bench_corpora(&b);
	print_tables(&b);
	vec_fini(&b.only);
	buf_fini(&b.sizes);
	buf_fini(&b.speeds);
	return b.rc;
}
