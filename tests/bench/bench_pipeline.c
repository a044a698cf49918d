/* Runs a log query's pipeline over the lines of standard input, which are read first, and says how many MB of
 * them pass in a second of CPU time:   bench_pipeline '{a="b"} | json | level="error"' <lines */
#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"
#include "logql/parse.h"
#include "query/pipeline.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 2 };

struct bench {
	struct buf text;
	VEC(struct slice) lines;
	struct pipeline *pipeline;
	struct pipe_state state;
	struct pipe_base base;
	size_t kept;
};

static void read_lines(struct bench *b)
{
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf_reserve(&b->text, 1 << 20), 1 << 20)) > 0)
		b->text.n += (size_t)n;
	for (struct slice rest = buf_slice(&b->text); rest.n > 0;) {
		size_t end = slice_find_byte(rest, '\n');

		if (end == SLICE_NONE)
			end = rest.n;
		vec_push(&b->lines, slice_sub(rest, 0, end));
		rest = slice_from(rest, end + 1);
	}
}

static void run_all(struct bench *b)
{
	b->kept = 0;
	for (size_t i = 0; i < b->lines.n; i++)
		b->kept += pipeline_line(b->pipeline, b->lines.v[i]) &&
			   pipeline_run(&b->state, &b->base, 0, b->lines.v[i]);
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void measure(struct bench *b, const char *query)
{
	int64_t start = cpu_ns(), now;
	uint64_t bytes = 0;

	do {
		run_all(b);
		bytes += b->text.n;
		now = cpu_ns();
	} while (now - start < SECONDS * NS_PER_S);
	printf("%8.0f MB/s, kept %zu of %zu lines: %s\n", (double)bytes * 1e3 / (double)(now - start),
	       b->kept, b->lines.n, query);
}

static int bench(struct bench *b, const char *query, struct arena *a, struct err *err)
{
	static const struct label stream[] = { { { "app", 3 }, { "bench", 5 } } };
	struct label_needs needs = { .all = true };
	struct logql *q = NULL;
	int rc = -1;

	if (logql_parse(slice_cstr(query), a, &q, NULL, err) == 0 && q->root->kind == LOGQL_LOG &&
	    pipeline_new(&q->root->log, &needs, &b->pipeline, err) == 0) {
		pipe_state_init(&b->state, b->pipeline);
		pipeline_base(&b->state, (struct labels){ stream, 1 }, SLICE(""), a, &b->base);
		measure(b, query);
		pipe_state_fini(&b->state);
		pipeline_free(b->pipeline);
		rc = 0;
	}
	logql_free(q);
	return rc;
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct arena arena;
	struct err err;
	int rc = 0;

	err_clear(&err);
	read_lines(&b);
	for (int i = 1; i < argc && rc == 0; i++) {
		arena_init(&arena);
		rc = bench(&b, argv[i], &arena, &err);
		arena_fini(&arena);
	}
	if (rc == -1)
		fprintf(stderr, "bench_pipeline: %s\n", err.msg);
	buf_fini(&b.text);
	vec_fini(&b.lines);
	return rc == 0 ? 0 : 1;
}
