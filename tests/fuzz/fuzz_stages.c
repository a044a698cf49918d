/* Fuzzes the stages that take lines apart. The first byte chooses a pipeline, the rest is the line. Whatever it
 * is, labels have valid, distinct names, and scanners end. */
#include "logql/parse.h"
#include "query/logfmt.h"
#include "query/pipeline.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pipelines[] = {
	"{a=\"b\"} | logfmt",
	"{a=\"b\"} | logfmt --strict --keep-empty | json",
	"{a=\"b\"} | logfmt --strict a, b=\"a\", c=\"x\"",
	"{a=\"b\"} | json x=\"a\", y=\"a.b\", z=\"a[0].b\", q=\"[1][0]\", r=\"[0].a\"",
	"{a=\"b\"} | json a=`[\"a b\"]`, b=\"b[2]\" | json | b!=\"1\"",
	"{a=\"b\"} | pattern `<a>, <_>=<b> <app>`",
	"{a=\"b\"} | regexp `(?P<a>\\w+)(?P<b>\\W)?(?P<app>.*)`",
	"{a=\"b\"} | unpack | unpack | logfmt | a!=\"1\"",
	"{a=\"b\"} | decolorize | app=\"s\" |= \"a\" | logfmt | drop a, b=\"x\" | keep c, d=~\".*\"",
	"{a=\"b\"} | json | drop __error__ | n > 5 | v = ip(\"10.0.0.0/8\") or d < 1s",
};
enum { N_PIPELINES = sizeof(pipelines) / sizeof(pipelines[0]) };

static void check(const struct pipe_state *st)
{
	struct label_vec v = { 0 };

	label_set_list(&st->set, LABEL_CAT_ALL, &v);
	for (size_t i = 0; i < v.n; i++) {
		assert(label_name_valid(v.v[i].name));
		assert(v.v[i].value.p != NULL);
		assert(i == 0 || slice_cmp(v.v[i - 1].name, v.v[i].name) < 0);
	}
	assert(st->line.p != NULL);
	vec_fini(&v);
}

static void run(const char *query, const struct label_needs *needs, struct slice line)
{
	static const struct label stream[] = { { { "app", 3 }, { "s", 1 } } };
	struct pipeline *p = NULL;
	struct pipe_state st;
	struct pipe_base base;
	struct arena arena;
	struct logql *q;
	struct err err;

	arena_init(&arena);
	int rc = logql_parse(slice_cstr(query), &arena, &q, NULL, &err);
	assert(rc == 0);
	rc = pipeline_new(&q->root->log, needs, &p, &err);
	assert(rc == 0);
	pipe_state_init(&st, p);
	pipeline_base(&st, (struct labels){ stream, 1 }, SLICE(""), &arena, &base);
	for (int i = 0; i < 2; i++)
		if (pipeline_line(p, line) && pipeline_run(&st, &base, 0, line))
			check(&st);
	pipe_state_fini(&st);
	pipeline_free(p);
	logql_free(q);
	arena_fini(&arena);
}

/* Every pair lies in the text, behind the one before. */
static void check_logfmt(struct slice line)
{
	struct logfmt f = logfmt_of(line);
	struct logfmt_pair pair;
	const char *end = line.p;
	int rc;

	while ((rc = logfmt_next(&f, &pair)) != 0) {
		assert(f.off <= line.n && line.p + f.off > end);
		assert(rc == 1 || (f.error != LOGFMT_OK && f.error_pos >= 1 && f.error_pos <= line.n + 1));
		assert(rc == -1 || pair.key.n > 0);
		end = line.p + f.off;
	}
	assert(f.off == line.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice names[] = { SLICE("a"), SLICE("app"), SLICE("app_extracted") };
	const struct label_needs all = { .all = true }, some = { .grouped = true, .n = 3, .names = names };

	if (size == 0)
		return 0;
	struct slice line = slice_of(data + 1, size - 1);
	check_logfmt(line);
	run(pipelines[data[0] % N_PIPELINES], &all, line);
	run(pipelines[data[0] % N_PIPELINES], &some, line);
	return 0;
}
