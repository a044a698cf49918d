/* Runs the text cases of LogQL, *.case: entries, queries, and what must come out. Each file is blocks that a line of
 * --- separates. A block:
 *
 *	# a comment
 *	stream {app="a"}                opens a stream; entries follow:
 *	10 the line                     at 10 s; fractions are fine
 *	20 the line ⟂ {pod="p"}         with structured metadata
 *	at 60                           metric queries: evaluated at 60 s
 *	range 0 90 30                   or from 0 s to 90 s every 30 s; log queries: 0 s <= time < 90 s
 *	forward, limit 10, interval 5, categorize
 *	query count_over_time({app="a"}[1m])
 *	=>
 *	{app="a"} 60 2                  a line for each point, {labels} TIME VALUE; numbers may differ by 1e-9
 *
 * Log queries give {labels} TIME LINE; with categorize, ⟂ {metadata} ⟂ {parsed} behind it. A failure is `error TEXT`;
 * an ellipsis at its end stands for any rest. Several queries in front of => give the same result. After a result
 * further options and queries may follow, on the same entries. ⏎ stands for a newline in lines and messages. */
#include "base/pool.h"
#include "base/text.h"
#include "logql/parse.h"
#include "query/query.h"
#include "tests/unit/fake_store.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define META	 "\xe2\x9f\x82" /* ⟂ */
#define NEWLINE	 "\xe2\x8f\x8e" /* ⏎ */
#define ELLIPSIS "\xe2\x80\xa6" /* … */

enum { MAX_QUERIES = 64, DEFAULT_AT_S = 60, DEFAULT_END_S = 1000000 };

struct block {
	const char *file;
	size_t line;
	struct fake_store store;
	struct arena arena;
	struct slice stream;
	struct query_request req;
	bool has_range, in_result;
	size_t n_queries;
	struct {
		struct slice text;
		size_t line;
	} query[MAX_QUERIES];
	struct buf expected;
};

static size_t n_passed, n_failed;
static struct query_engine engine;

/* ---- text ---- */

static struct slice next_line(struct slice *rest)
{
	size_t end = slice_find_byte(*rest, '\n');
	struct slice line = slice_sub(*rest, 0, end);

	*rest = slice_from(*rest, end == SLICE_NONE ? rest->n : end + 1);
	return line;
}

static bool eat_word(struct slice *line, const char *word)
{
	struct slice w = slice_cstr(word);

	if (!slice_starts(*line, w) || (line->n > w.n && line->p[w.n] != ' '))
		return false;
	*line = slice_from(*line, w.n + 1);
	return true;
}

static struct slice eat_field(struct slice *line)
{
	size_t space = slice_find_byte(*line, ' ');
	struct slice f = slice_sub(*line, 0, space);

	*line = slice_from(*line, space == SLICE_NONE ? line->n : space + 1);
	return f;
}

static const char *with_newlines(struct arena *a, struct slice s)
{
	struct slice mark = SLICE(NEWLINE);
	char *p = arena_alloc_bytes(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		bool newline = slice_starts(slice_from(s, i), mark);

		p[n++] = newline ? '\n' : s.p[i];
		i += newline ? mark.n : 1;
	}
	p[n] = '\0';
	return p;
}

static void put_text(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			buf_puts(b, NEWLINE);
		else
			buf_putc(b, s.p[i]);
	}
}

static void bad(const struct block *b, size_t line, const char *why)
{
	fprintf(stderr, "%s:%zu: %s\n", b->file, line, why);
	exit(2);
}

static int64_t seconds(const struct block *b, size_t line, struct slice text)
{
	double v;

	if (!slice_to_double(text, &v))
		bad(b, line, "not a time");
	return llround(v * 1e9);
}

/* ---- results ---- */

static void put_time(struct buf *b, int64_t ns)
{
	text_float(b, (double)(ns / NS_PER_S) + (double)(ns % NS_PER_S) / 1e9);
}

static void put_streams(struct buf *b, const struct query_result *r, bool categorize)
{
	for (size_t i = 0; i < r->n_streams; i++)
		for (size_t k = 0; k < r->stream[i].n; k++) {
			const struct result_entry *e = &r->stream[i].entry[k];

			labels_format(b, r->stream[i].labels);
			buf_putc(b, ' ');
			put_time(b, e->ts);
			buf_putc(b, ' ');
			put_text(b, e->line);
			if (categorize) {
				buf_puts(b, " " META " ");
				labels_format(b, e->meta);
				buf_puts(b, " " META " ");
				labels_format(b, e->parsed);
			}
			buf_putc(b, '\n');
		}
}

static void put_series(struct buf *b, const struct query_result *r)
{
	for (size_t i = 0; i < r->n_series; i++)
		for (size_t k = 0; k < r->series[i].n; k++) {
			labels_format(b, r->series[i].labels);
			buf_putc(b, ' ');
			put_time(b, r->series[i].point[k].ts);
			buf_putc(b, ' ');
			text_float(b, r->series[i].point[k].value);
			buf_putc(b, '\n');
		}
}

static void run_query(const struct block *b, struct slice text, struct buf *out)
{
	struct query_request r = b->req;
	struct query_control control = { 0 };
	struct query_result result;
	struct err err = { 0 };

	r.text = text;
	if (query_run(&engine, &r, &control, &result, &err) == -1) {
		buf_puts(out, "error ");
		put_text(out, slice_cstr(err.msg));
		buf_putc(out, '\n');
		return;
	}
	put_streams(out, &result, r.categorize);
	put_series(out, &result);
	query_result_fini(&result);
}

static bool numbers_agree(struct slice a, struct slice b)
{
	double x, y;

	if (!slice_to_double(a, &x) || !slice_to_double(b, &y) || !isfinite(x) || !isfinite(y))
		return false;
	return fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y));
}

static bool lines_agree(struct slice want, struct slice got)
{
	struct slice dots = SLICE(ELLIPSIS);
	size_t space = 0;

	if (slice_eq(want, got))
		return true;
	if (slice_starts(want, SLICE("error ")) && slice_ends(want, dots))
		return slice_starts(got, slice_sub(want, 0, want.n - dots.n));
	for (size_t i = 0; i < want.n; i++)
		if (want.p[i] == ' ')
			space = i + 1;
	return space > 0 && slice_eq(slice_sub(want, 0, space), slice_sub(got, 0, space)) &&
	       numbers_agree(slice_from(want, space), slice_from(got, space));
}

static bool results_agree(struct slice want, struct slice got)
{
	while (want.n > 0 && got.n > 0)
		if (!lines_agree(next_line(&want), next_line(&got)))
			return false;
	return want.n == 0 && got.n == 0;
}

/* ---- blocks ---- */

static bool is_log_query(struct slice text)
{
	struct logql *q = NULL;
	struct arena a;
	struct err err;

	arena_init(&a);
	bool yes = logql_parse(text, &a, &q, NULL, &err) == 0 && q->root->kind == LOGQL_LOG;
	logql_free(q);
	arena_fini(&a);
	return yes;
}

static void set_default_range(struct block *b, struct slice text)
{
	b->req.instant = !is_log_query(text);
	b->req.end = (b->req.instant ? DEFAULT_AT_S : DEFAULT_END_S) * NS_PER_S;
}

static void run_result(struct block *b)
{
	struct query_request asked = b->req;

	for (size_t i = 0; i < b->n_queries; i++) {
		struct buf got;

		buf_init(&got);
		if (!b->has_range && !b->req.instant)
			set_default_range(b, b->query[i].text);
		engine.store = (struct store *)&b->store;
		run_query(b, b->query[i].text, &got);
		if (results_agree(buf_slice(&b->expected), buf_slice(&got))) {
			n_passed++;
		} else {
			n_failed++;
			printf("%s:%zu: %.*s\n--- expected\n%.*s--- got\n%.*s\n", b->file, b->query[i].line,
			       SLICE_ARG(b->query[i].text), SLICE_ARG(buf_slice(&b->expected)),
			       SLICE_ARG(buf_slice(&got)));
		}
		b->req = asked;
		buf_fini(&got);
	}
	b->n_queries = 0;
	b->in_result = false;
	buf_reset(&b->expected);
}

static void add_entry(struct block *b, size_t line, struct slice text)
{
	int64_t ts = seconds(b, line, eat_field(&text));
	size_t mark = slice_find(text, SLICE(" " META " "));
	const char *meta = NULL;

	if (b->stream.n == 0)
		bad(b, line, "an entry without a stream");
	if (mark != SLICE_NONE) {
		meta = arena_cstr(&b->arena, slice_from(text, mark + strlen(" " META " ")));
		text = slice_sub(text, 0, mark);
	}
	fake_store_add(&b->store, b->stream.p, ts, with_newlines(&b->arena, text), meta);
}

static void set_range(struct block *b, size_t line, struct slice text)
{
	b->req.start = seconds(b, line, eat_field(&text));
	b->req.end = seconds(b, line, eat_field(&text));
	b->req.step = text.n > 0 ? seconds(b, line, eat_field(&text)) : NS_PER_S;
	b->has_range = true;
	b->req.instant = false;
}

static bool option(struct block *b, size_t line, struct slice *text)
{
	if (eat_word(text, "range")) {
		set_range(b, line, *text);
	} else if (eat_word(text, "at")) {
		b->req.end = seconds(b, line, *text);
		b->req.instant = true;
	} else if (eat_word(text, "limit")) {
		b->req.limit = (uint32_t)(seconds(b, line, *text) / NS_PER_S);
	} else if (eat_word(text, "interval")) {
		b->req.interval = seconds(b, line, *text);
	} else if (eat_word(text, "forward")) {
		b->req.backward = false;
	} else if (eat_word(text, "categorize")) {
		b->req.categorize = true;
	} else {
		return false;
	}
	return true;
}

static void take_line(struct block *b, size_t line, struct slice text)
{
	if (b->in_result && (slice_starts(text, SLICE("{")) || slice_starts(text, SLICE("error ")))) {
		buf_add(&b->expected, text);
		buf_putc(&b->expected, '\n');
		return;
	}
	if (text.n == 0 || text.p[0] == '#')
		return;
	if (slice_is(text, "=>")) {
		b->in_result = true;
		return;
	}
	if (b->in_result)
		run_result(b);
	if (eat_word(&text, "stream")) {
		b->stream = arena_dup(&b->arena, text);
	} else if (eat_word(&text, "query")) {
		if (b->n_queries == MAX_QUERIES)
			bad(b, line, "too many queries");
		b->query[b->n_queries].text = slice_cstr(with_newlines(&b->arena, text));
		b->query[b->n_queries++].line = line;
	} else if (!option(b, line, &text)) {
		add_entry(b, line, text);
	}
}

static void block_start(struct block *b, const char *file, const struct limits *limits)
{
	*b = (struct block){ .file = file };
	fake_store_init(&b->store);
	arena_init(&b->arena);
	buf_init(&b->expected);
	b->req = (struct query_request){ .tenant = SLICE("fake"),
					 .start = 0,
					 .end = DEFAULT_AT_S * NS_PER_S,
					 .step = NS_PER_S,
					 .limit = 100,
					 .backward = true,
					 .limits = limits };
}

static void block_end(struct block *b, size_t line)
{
	if (b->in_result)
		run_result(b);
	else if (b->n_queries > 0)
		bad(b, line, "a query without a result");
	fake_store_fini(&b->store);
	arena_fini(&b->arena);
	buf_fini(&b->expected);
}

static void run_file(const char *path)
{
	static const struct limits no_limits;
	struct block b;
	struct buf text;
	FILE *f = fopen(path, "rb");
	size_t n, line = 0;
	char chunk[65536];

	if (f == NULL) {
		perror(path);
		exit(2);
	}
	buf_init(&text);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_append(&text, chunk, n);
	fclose(f);
	block_start(&b, path, &no_limits);
	for (struct slice rest = buf_slice(&text); rest.n > 0;) {
		struct slice l = next_line(&rest);

		line++;
		if (slice_is(l, "---")) {
			block_end(&b, line);
			block_start(&b, path, &no_limits);
		} else {
			take_line(&b, line, l);
		}
	}
	block_end(&b, line);
	buf_fini(&text);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_folder(const char *dir)
{
	VEC(char *) names = { 0 };
	DIR *d = opendir(dir);

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		if (slice_ends(slice_cstr(e->d_name), SLICE(".case")))
			vec_push(&names, xasprintf("%s/%s", dir, e->d_name));
	if (d != NULL)
		closedir(d);
	if (names.n > 1)
		qsort(names.v, names.n, sizeof(*names.v), by_name);
	for (size_t i = 0; i < names.n; i++) {
		run_file(names.v[i]);
		free(names.v[i]);
	}
	vec_fini(&names);
}

int main(int argc, char **argv)
{
	static const struct slice keys[] = { { "trace_id", 8 } };
	const char *srcdir = getenv("srcdir");
	char *dir = xasprintf("%s/tests/logql", srcdir != NULL ? srcdir : ".");

	setenv("TZ", "UTC", 1);
	tzset();
	engine.pool = pool_new("cases", 2);
	engine.keys = trace_keys_new(keys, 1, NULL, 0);
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc == 1)
		run_folder(dir);
	pool_free(engine.pool);
	trace_keys_free((struct trace_keys *)(uintptr_t)engine.keys);
	free(dir);
	printf("%zu passed, %zu failed\n", n_passed, n_failed);
	return n_failed > 0 || n_passed == 0;
}
