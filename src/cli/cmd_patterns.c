/* spoor patterns MATCHER: how lines look, the most frequent first. */
#include "cli/cli.h"
#include "base/mem.h"

#include <stdlib.h>

struct pattern {
	struct slice text, level;
	long long n;
};

static int more_first(const void *x, const void *y)
{
	const struct pattern *a = x, *b = y;

	return a->n > b->n ? -1 : a->n < b->n;
}

static void show(struct cli *c, const struct pattern *p)
{
	switch (c->render.output) {
	case OUTPUT_RAW:
		render_text(&c->out, &c->render, p->text);
		buf_putc(&c->out, '\n');
		break;
	case OUTPUT_JSONL: {
		json_t *o = json_pack("{s:I, s:s%, s:s%}", "count", (json_int_t)p->n, "level", p->level.p,
				      p->level.n, "pattern", p->text.p, p->text.n);
		char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;

		buf_printf(&c->out, "%s\n", text != NULL ? text : "");
		free(text);
		json_decref(o);
		break;
	}
	case OUTPUT_TEXT:
		buf_printf(&c->out, "%10lld  ", p->n);
		buf_printf(&c->out, "%-8.*s ", SLICE_ARG(p->level));
		render_text(&c->out, &c->render, p->text);
		buf_putc(&c->out, '\n');
		break;
	}
}

static int show_all(struct cli *c, const json_t *data)
{
	size_t n = json_array_size(data);
	struct pattern *v = arena_array(&c->arena, struct pattern, n + 1);
	uint64_t limit = 100;
	int rc = cli_number(c, "--limit", c->opt.limit, UINT32_MAX, &limit);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(data, i), *samples = json_object_get(item, "samples");
		struct slice text = cli_string(json_object_get(item, "pattern")),
			     level = cli_string(json_object_get(item, "level"));

		v[i] = (struct pattern){ text.p != NULL ? text : SLICE(""),
					 level.p != NULL ? level : SLICE(""), 0 };
		for (size_t k = 0; k < json_array_size(samples); k++)
			v[i].n += json_integer_value(json_array_get(json_array_get(samples, k), 1));
	}
	qsort(v, n, sizeof(*v), more_first);
	for (size_t i = 0; i < MIN(n, (size_t)limit); i++)
		show(c, &v[i]);
	return n > 0 ? cli_flush(c) : CLI_NOTHING;
}

int cmd_patterns(struct cli *c, int argc, char **argv)
{
	struct buf path = { 0 };
	json_t *answer = NULL;

	(void)argc;
	buf_puts(&path, "/loki/api/v1/patterns");
	cli_add_param(&path, "query", slice_cstr(argv[0]));
	int rc = cli_add_range(c, "1h", &path);
	if (rc == 0)
		rc = cli_connect(c);
	if (rc == 0)
		rc = cli_get_json(c, buf_slice(&path), &answer);
	if (rc == 0)
		rc = show_all(c, json_object_get(answer, "data"));
	json_decref(answer);
	buf_fini(&path);
	return rc;
}
