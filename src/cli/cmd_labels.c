/* spoor labels [NAME], spoor series MATCHER...: what there is to ask for. */
#include "cli/cli.h"
#include "base/text.h"

/* Asks and passes each item of "data" to show. */
static int list(struct cli *c, struct buf *path, void (*show)(struct cli *c, const json_t *item))
{
	json_t *answer = NULL;
	int rc = cli_add_range(c, "6h", path);

	if (rc == 0)
		rc = cli_connect(c);
	if (rc == 0)
		rc = cli_get_json(c, buf_slice(path), &answer);
	if (rc != 0)
		return rc;
	const json_t *data = json_object_get(answer, "data");
	for (size_t i = 0; i < json_array_size(data); i++)
		show(c, json_array_get(data, i));
	rc = json_array_size(data) > 0 ? cli_flush(c) : CLI_NOTHING;
	json_decref(answer);
	return rc;
}

static void show_name(struct cli *c, const json_t *item)
{
	if (c->render.output == OUTPUT_JSONL) {
		char *text = json_dumps(item, JSON_ENCODE_ANY);

		buf_puts(&c->out, text != NULL ? text : "");
		free(text);
	} else {
		render_text(&c->out, &c->render, cli_string(item));
	}
	buf_putc(&c->out, '\n');
}

static void show_series(struct cli *c, const json_t *item)
{
	render_labels(&c->out, &c->render, cli_labels(c, item));
	buf_putc(&c->out, '\n');
}

int cmd_labels(struct cli *c, int argc, char **argv)
{
	struct buf path = { 0 };

	if (argc == 0) {
		buf_puts(&path, "/loki/api/v1/labels");
	} else {
		buf_puts(&path, "/loki/api/v1/label/");
		text_url_escape(&path, slice_cstr(argv[0]));
		buf_puts(&path, "/values");
	}
	int rc = list(c, &path, show_name);
	buf_fini(&path);
	return rc;
}

int cmd_series(struct cli *c, int argc, char **argv)
{
	struct buf path = { 0 };

	buf_puts(&path, "/loki/api/v1/series");
	for (int i = 0; i < argc; i++)
		cli_add_param(&path, "match[]", slice_cstr(argv[i]));
	int rc = list(c, &path, show_series);
	buf_fini(&path);
	return rc;
}
