/* spoor trace ID: all lines of one trace, in time order, whatever service wrote them. */
#include "cli/cli.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>

/* Stream labels and structured metadata together; metadata wins. */
static struct labels merge(struct cli *c, struct labels labels, struct labels meta)
{
	struct label *v = arena_array(&c->arena, struct label, labels.n + meta.n + 1);
	size_t n = meta.n;

	if (meta.n > 0)
		memcpy(v, meta.v, meta.n * sizeof(*v));
	for (size_t i = 0; i < labels.n; i++) {
		if (labels_get(meta, labels.v[i].name).p == NULL)
			v[n++] = labels.v[i];
	}
	labels_sort(v, n);
	return (struct labels){ v, n };
}

static int read_entries(struct cli *c, const json_t *list, struct entry *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		struct slice ts = cli_string(json_object_get(item, "ts"));

		e[i].line = cli_string(json_object_get(item, "line"));
		if (ts.p == NULL || e[i].line.p == NULL || !slice_to_i64(ts, &e[i].ts))
			return cli_fail(c, CLI_BAD_ANSWER,
					"the server's answer has an entry without ts and line");
		e[i].labels = merge(c, cli_labels(c, json_object_get(item, "labels")),
				    cli_labels(c, json_object_get(item, "metadata")));
	}
	return 0;
}

/* "9 lines of 3 services, 2026-01-15T10:00:00.123Z, 45.2ms" */
static void show_heading(struct cli *c, const json_t *answer, const struct entry *e, size_t n, int64_t first,
			 int64_t last)
{
	size_t n_services = 0;

	for (size_t i = 0; i < n; i++) {
		bool known = false;

		for (size_t k = 0; k < i && !known; k++)
			known = slice_eq(entry_service(e[k].labels), entry_service(e[i].labels));
		n_services += !known;
	}
	buf_puts(&c->out, "trace ");
	render_text(&c->out, &c->render, cli_string(json_object_get(answer, "trace_id")));
	buf_printf(&c->out, ": %zu line%s of %zu service%s, ", n, n == 1 ? "" : "s", n_services,
		   n_services == 1 ? "" : "s");
	clock_format_rfc3339(&c->out, first, true);
	buf_puts(&c->out, ", ");
	render_elapsed(&c->out, last - first);
	buf_putc(&c->out, '\n');
}

static int show(struct cli *c, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "entries");
	size_t n = json_array_size(list), width = 0;
	struct entry *e = arena_array(&c->arena, struct entry, n + 1);
	struct slice url = cli_string(json_object_get(answer, "trace_url"));
	int rc = read_entries(c, list, e);
	int64_t first = n > 0 ? e[0].ts : 0, last = first;

	if (rc != 0)
		return rc;
	if (n == 0)
		return CLI_NOTHING;
	for (size_t i = 0; i < n; i++) {
		first = MIN(first, e[i].ts);
		last = MAX(last, e[i].ts);
		width = MAX(width, utf8_count(entry_service(e[i].labels)));
	}
	width = MIN(width, 40);
	if (c->render.output == OUTPUT_TEXT)
		show_heading(c, answer, e, n, first, last);
	for (size_t i = 0; i < n; i++) {
		if (c->render.output == OUTPUT_TEXT)
			render_trace_entry(&c->out, &c->render, &e[i], first, width);
		else
			render_entry(&c->out, &c->render, &e[i], (struct labels){ 0 });
	}
	if (c->render.output == OUTPUT_TEXT && url.n > 0) {
		render_text(&c->out, &c->render, url);
		buf_putc(&c->out, '\n');
	}
	rc = cli_flush(c);
	if (json_is_true(json_object_get(answer, "more")))
		cli_fail(c, 0, "there are more lines: see --limit");
	return rc;
}

int cmd_trace(struct cli *c, int argc, char **argv)
{
	struct buf path = { 0 };
	json_t *answer = NULL;

	(void)argc;
	buf_puts(&path, "/api/v1/traces/");
	text_url_escape(&path, slice_cstr(argv[0]));
	buf_puts(&path, "/logs");
	if (c->opt.limit != NULL)
		cli_add_param(&path, "limit", slice_cstr(c->opt.limit));
	if (c->opt.direction != NULL)
		cli_add_param(&path, "direction", slice_cstr(c->opt.direction));
	int rc = cli_connect(c);
	if (rc == 0)
		rc = cli_get_json(c, buf_slice(&path), &answer);
	if (rc == 0)
		rc = show(c, answer);
	json_decref(answer);
	buf_fini(&path);
	return rc;
}
