/* spoor delete create LOGQL --from TIME [--to TIME], list, cancel ID: requests to delete log lines. */
#include "cli/cli.h"
#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

#define DELETES "/loki/api/v1/delete"

static int create(struct cli *c, const char *query)
{
	struct buf path = { 0 };
	int64_t start, end;
	char number[32];

	if (c->opt.from == NULL)
		return cli_fail(c, CLI_USAGE, "--from is needed: what is deleted should be said");
	int rc = cli_range(c, "1h", &start, &end);
	if (rc != 0)
		return rc;
	buf_puts(&path, DELETES);
	cli_add_param(&path, "query", slice_cstr(query));
	snprintf(number, sizeof(number), "%" PRId64, start / NS_PER_S);
	cli_add_param(&path, "start", slice_cstr(number));
	snprintf(number, sizeof(number), "%" PRId64, end / NS_PER_S);
	cli_add_param(&path, "end", slice_cstr(number));
	rc = cli_connect(c);
	if (rc == 0)
		rc = cli_send(c, "POST", buf_slice(&path));
	buf_fini(&path);
	return rc;
}

static void show_time(struct cli *c, const json_t *seconds)
{
	if (json_is_number(seconds))
		clock_format_rfc3339(&c->out, (int64_t)json_number_value(seconds) * NS_PER_S, false);
	else
		buf_putc(&c->out, '-');
}

static void show(struct cli *c, const json_t *item)
{
	if (c->render.output == OUTPUT_JSONL) {
		char *text = json_dumps(item, JSON_COMPACT);

		buf_printf(&c->out, "%s\n", text != NULL ? text : "");
		free(text);
		return;
	}
	render_text(&c->out, &c->render, cli_string(json_object_get(item, "request_id")));
	if (c->render.output == OUTPUT_TEXT) {
		buf_puts(&c->out, "  ");
		render_text(&c->out, &c->render, cli_string(json_object_get(item, "status")));
		buf_puts(&c->out, "  ");
		show_time(c, json_object_get(item, "start_time"));
		buf_puts(&c->out, " - ");
		show_time(c, json_object_get(item, "end_time"));
		buf_puts(&c->out, "  ");
		render_text(&c->out, &c->render, cli_string(json_object_get(item, "query")));
	}
	buf_putc(&c->out, '\n');
}

static int list(struct cli *c)
{
	json_t *answer = NULL;
	int rc = cli_connect(c);

	if (rc == 0)
		rc = cli_get_json(c, SLICE(DELETES), &answer);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < json_array_size(answer); i++)
		show(c, json_array_get(answer, i));
	rc = json_array_size(answer) > 0 ? cli_flush(c) : CLI_NOTHING;
	json_decref(answer);
	return rc;
}

static int cancel(struct cli *c, const char *id)
{
	struct buf path = { 0 };

	buf_puts(&path, DELETES);
	cli_add_param(&path, "request_id", slice_cstr(id));
	if (c->opt.force)
		cli_add_param(&path, "force", SLICE("true"));
	int rc = cli_connect(c);
	if (rc == 0)
		rc = cli_send(c, "DELETE", buf_slice(&path));
	buf_fini(&path);
	return rc;
}

int cmd_delete(struct cli *c, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[0], "create") == 0)
		return create(c, argv[1]);
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list(c);
	if (argc == 2 && strcmp(argv[0], "cancel") == 0)
		return cancel(c, argv[1]);
	return cli_fail(c, CLI_USAGE, "usage: spoor delete create LOGQL --from TIME | list | cancel ID");
}
