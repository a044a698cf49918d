/* spoor stats MATCHER, spoor volume MATCHER: how much there is. */
#include "cli/cli.h"

#include <stdio.h>

static int get(struct cli *c, struct buf *path, json_t **answer)
{
	int rc = cli_add_range(c, "1h", path);

	if (rc == 0)
		rc = cli_connect(c);
	return rc == 0 ? cli_get_json(c, buf_slice(path), answer) : rc;
}

int cmd_stats(struct cli *c, int argc, char **argv)
{
	static const char *const names[] = { "streams", "chunks", "bytes", "entries" };
	struct buf path = { 0 };
	json_t *answer = NULL;

	(void)argc;
	buf_puts(&path, "/loki/api/v1/index/stats");
	cli_add_param(&path, "query", slice_cstr(argv[0]));
	int rc = get(c, &path, &answer);
	buf_fini(&path);
	if (rc != 0)
		return rc;
	if (c->render.output == OUTPUT_JSONL) {
		char *text = json_dumps(answer, JSON_COMPACT);

		buf_printf(&c->out, "%s\n", text != NULL ? text : "");
		free(text);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && c->render.output != OUTPUT_JSONL; i++)
		buf_printf(&c->out, "%-8s %lld\n", names[i],
			   (long long)json_integer_value(json_object_get(answer, names[i])));
	rc = cli_flush(c);
	if (rc == 0 && json_integer_value(json_object_get(answer, "streams")) == 0)
		rc = CLI_NOTHING;
	json_decref(answer);
	return rc;
}

int cmd_volume(struct cli *c, int argc, char **argv)
{
	struct buf path = { 0 };
	json_t *answer = NULL;

	(void)argc;
	buf_puts(&path,
		 c->opt.step != NULL ? "/loki/api/v1/index/volume_range" : "/loki/api/v1/index/volume");
	cli_add_param(&path, "query", slice_cstr(argv[0]));
	if (c->opt.step != NULL)
		cli_add_param(&path, "step", slice_cstr(c->opt.step));
	if (c->opt.by != NULL)
		cli_add_param(&path, "targetLabels", slice_cstr(c->opt.by));
	if (c->opt.limit != NULL)
		cli_add_param(&path, "limit", slice_cstr(c->opt.limit));
	int rc = get(c, &path, &answer);
	buf_fini(&path);
	if (rc != 0)
		return rc;
	const json_t *data = json_object_get(answer, "data");
	const char *type = json_string_value(json_object_get(data, "resultType"));
	rc = type != NULL ? cli_show_samples(c, type, json_object_get(data, "result"))
			  : cli_fail(c, CLI_BAD_ANSWER, "the server's answer does not look like Loki's");
	json_decref(answer);
	return rc;
}
