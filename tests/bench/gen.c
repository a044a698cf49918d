/* Writes the benchmark's log lines: the shop's day, or with --shape one stream of lines as some other program writes
 * them. Output: plain lines, or bodies for POST /loki/api/v1/push, one body a line. --facts FILE says what a right
 * answer about the shop must contain. */
#include "gen.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"

struct gen {
	struct shop shop;
	const struct corpus_shape *shape; /* NULL: the shop */
	bool raw;
	size_t batch_bytes;
	const char *facts_path;

	struct buf body;
	VEC(struct buf) values; /* of each stream */
	size_t pending_bytes, n_pending;
};

/* ------------------------------------------------------------------ output */

static void write_all(const void *p, size_t n)
{
	if (fwrite(p, 1, n, stdout) != n) {
		perror("gen: write");
		exit(1);
	}
}

static void put_labels(const struct gen *g, unsigned stream, struct buf *b)
{
	if (g->shape != NULL)
		buf_printf(b, "{\"cluster\":\"eu-1\",\"namespace\":\"corpus\",\"app\":\"%s\"}",
			   g->shape->name);
	else
		shop_put_labels(&g->shop, stream, b);
}

static void emit_body(struct gen *g)
{
	bool comma = false;

	if (g->n_pending == 0)
		return;
	buf_reset(&g->body);
	buf_puts(&g->body, "{\"streams\":[");
	for (unsigned i = 0; i < g->values.n; i++) {
		if (g->values.v[i].n == 0)
			continue;
		buf_puts(&g->body, comma ? ",{\"stream\":" : "{\"stream\":");
		comma = true;
		put_labels(g, i, &g->body);
		buf_puts(&g->body, ",\"values\":[");
		buf_add(&g->body, buf_slice(&g->values.v[i]));
		buf_puts(&g->body, "]}");
		buf_reset(&g->values.v[i]);
	}
	buf_puts(&g->body, "]}\n");
	write_all(g->body.p, g->body.n);
	g->pending_bytes = g->n_pending = 0;
}

static void emit_entry(struct gen *g, unsigned stream, int64_t ts, struct slice line, struct labels meta)
{
	if (g->raw) {
		write_all(line.p, line.n);
		write_all("\n", 1);
		return;
	}
	struct buf *values = &g->values.v[stream];

	if (values->n > 0)
		buf_putc(values, ',');
	buf_printf(values, "[\"%" PRId64 "\",", ts);
	json_quote(values, line, false);
	if (meta.n > 0) {
		struct json_out j = { values, true };

		labels_json(&j, meta);
	}
	buf_putc(values, ']');
	g->pending_bytes += line.n;
	g->n_pending++;
	if (g->pending_bytes >= g->batch_bytes)
		emit_body(g);
}

static void emit_shop(void *arg, unsigned stream, int64_t ts, struct slice line)
{
	emit_entry(arg, stream, ts, line, (struct labels){ NULL, 0 });
}

static void gen_shop(struct gen *g)
{
	for (unsigned day = 0; day < g->shop.n_days; day++) {
		shop_day(&g->shop, day);
		emit_body(g);
	}
}

static void gen_corpus(struct gen *g)
{
	struct corpus c;
	struct buf line = { 0 };

	corpus_init(&c, g->shape, g->shop.seed, g->shop.end_ns - g->shop.span_ns);
	while (g->shop.lines < g->shop.n_lines) {
		buf_reset(&line);
		corpus_next(&c, g->shape, &line);
		emit_entry(g, 0, c.ts, buf_slice(&line), (struct labels){ c.meta, c.n_meta });
		g->shop.lines++;
		g->shop.raw_bytes += line.n + 1;
	}
	emit_body(g);
	corpus_fini(&c);
	buf_fini(&line);
}

/* ------------------------------------------------------------------ arguments */

static const char usage_text[] =
	"usage: gen [--lines N] [--days D] [--pods P] [--seed S] [--end TIME|now] [--span DURATION]\n"
	"           [--format raw|json] [--batch-bytes B] [--facts FILE] [--shape NAME]\n"
	"  --lines N        lines of one day (default 4000000)\n"
	"  --days D         so many days, each with lines and traces of its own (default 1)\n"
	"  --pods P         pods of each of the ten services: 10 P + 2 streams (default 4)\n"
	"  --end TIME       RFC 3339, the end of the last day (default 2026-01-16T00:00:00Z)\n"
	"  --span DURATION  how long a day is (default 24h)\n"
	"  --format json    push bodies, one a line (default); raw: log lines\n"
	"  --batch-bytes B  raw bytes in a push body (default 1048576)\n"
	"  --facts FILE     write there what was generated (the shop only)\n"
	"  --shape NAME     not the shop, but N lines of one stream that begin a span before the end:\n"
	"                  ";

static void usage(FILE *to)
{
	fputs(usage_text, to);
	for (size_t i = 0; corpus_get(i) != NULL; i++)
		fprintf(to, " %s", corpus_get(i)->name);
	fputc('\n', to);
}

static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "gen: bad %s: %s\n", what, value);
	usage(stderr);
	exit(2);
}

static uint64_t number_arg(const char *name, const char *value)
{
	uint64_t v;

	if (!slice_to_u64(slice_cstr(value), &v) || v == 0 || v > UINT64_C(1) << 40)
		usage_error(name, value);
	return v;
}

static void parse_time_args(struct shop *s, int opt, const char *value)
{
	if (opt == 'p') {
		if (!clock_parse_go_duration(slice_cstr(value), &s->span_ns) || s->span_ns < NS_PER_S)
			usage_error("span", value);
	} else if (strcmp(value, "now") == 0) {
		s->end_ns = clock_now_ns();
	} else if (!clock_parse_rfc3339(slice_cstr(value), &s->end_ns)) {
		usage_error("end", value);
	}
}

static void parse_format(struct gen *g, const char *value)
{
	g->raw = strcmp(value, "raw") == 0;
	if (!g->raw && strcmp(value, "json") != 0)
		usage_error("format", value);
}

static void parse_args(struct gen *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "lines", required_argument, NULL, 'l' }, { "days", required_argument, NULL, 'd' },
		{ "pods", required_argument, NULL, 'P' },  { "seed", required_argument, NULL, 's' },
		{ "end", required_argument, NULL, 'e' },   { "span", required_argument, NULL, 'p' },
		{ "facts", required_argument, NULL, 'F' }, { "format", required_argument, NULL, 'f' },
		{ "shape", required_argument, NULL, 'S' }, { "batch-bytes", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },	   { NULL, 0, NULL, 0 },
	};

	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (opt) {
		case 'l': g->shop.n_lines = number_arg("lines", optarg); break;
		case 'd': g->shop.n_days = (unsigned)MIN(number_arg("days", optarg), 10000); break;
		case 'P': g->shop.n_pods = (unsigned)MIN(number_arg("pods", optarg), 100000); break;
		case 's': g->shop.seed = number_arg("seed", optarg); break;
		case 'b': g->batch_bytes = number_arg("batch-bytes", optarg); break;
		case 'e':
		case 'p': parse_time_args(&g->shop, opt, optarg); break;
		case 'f': parse_format(g, optarg); break;
		case 'F': g->facts_path = optarg; break;
		case 'S':
			g->shape = corpus_find(optarg);
			if (g->shape == NULL)
				usage_error("shape", optarg);
			break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (optind < argc)
		usage_error("argument", argv[optind]);
	if (g->shape != NULL && g->facts_path != NULL)
		usage_error("argument with --shape", "--facts");
	if (g->shape != NULL && !g->shape->text && !g->raw)
		usage_error("shape for JSON, it is not text", g->shape->name);
}

int main(int argc, char **argv)
{
	struct gen g = {
		.shop = {
			.n_lines = 4000000,
			.n_days = 1,
			.n_pods = 4,
			.seed = 1,
			.end_ns = INT64_C(1768521600) * NS_PER_S,
			.span_ns = NS_PER_DAY,
			.emit = emit_shop,
		},
		.batch_bytes = 1 << 20,
	};
	struct shop *s = &g.shop;
	int rc = 0;

	parse_args(&g, argc, argv);
	s->arg = &g;
	for (unsigned i = 0; i < shop_n_streams(s); i++)
		(void)vec_add(&g.values);
	if (g.shape != NULL)
		gen_corpus(&g);
	else
		gen_shop(&g);
	if (fflush(stdout) != 0) {
		perror("gen: write");
		rc = 1;
	}
	if (g.facts_path != NULL && shop_write_facts(s, g.facts_path) == -1)
		rc = 1;
	fprintf(stderr, "gen: %" PRIu64 " lines, %" PRIu64 " bytes, %.1f bytes a line, %" PRIu64 " traces\n",
		s->lines, s->raw_bytes, (double)s->raw_bytes / (double)s->lines, s->n_traces);
	shop_fini(s);
	buf_fini(&g.body);
	for (unsigned i = 0; i < g.values.n; i++)
		buf_fini(&g.values.v[i]);
	vec_fini(&g.values);
	return rc;
}
