/* spoor grafana-config: data sources for Grafana's provisioning folder, so that a trace id in a log line leads to its
 * trace, and a span to its log lines. Grafana reads `$$` in such files as one dollar sign. */
#include "cli/cli.h"
#include "base/json_out.h"

/* A JSON string is a YAML string. */
static void put_string(struct buf *out, const char *text)
{
	struct buf doubled = { 0 };

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '$')
			buf_putc(&doubled, '$');
		buf_putc(&doubled, *p);
	}
	json_quote(out, buf_slice(&doubled), false);
	buf_fini(&doubled);
}

static void put_line(struct buf *out, const char *name, const char *value)
{
	buf_puts(out, name);
	put_string(out, value);
	buf_putc(out, '\n');
}

static void put_tenant(const struct cli *c, struct buf *out)
{
	if (c->opt.org_id == NULL)
		return;
	buf_puts(out, "      httpHeaderName1: X-Scope-OrgID\n");
	put_line(out, "    secureJsonData:\n      httpHeaderValue1: ", c->opt.org_id);
}

/* Ids stand in metadata (OTLP), or in the text of JSON and logfmt lines. */
static void put_derived_fields(struct buf *out)
{
	static const char by_label[] = "        - name: trace_id\n"
				       "          matcherType: label\n"
				       "          matcherRegex: trace_id\n"
				       "          datasourceUid: traces\n"
				       "          url: '$${__value.raw}'\n"
				       "          urlDisplayLabel: Show the trace\n";
	static const char by_line[] =
		"        - name: trace id in the line\n"
		"          matcherType: regex\n"
		"          matcherRegex: '(?i)trace[._-]?id\"?\\s*[=:]\\s*\"?([0-9a-f]{32})'\n"
		"          datasourceUid: traces\n"
		"          url: '$${__value.raw}'\n"
		"          urlDisplayLabel: Show the trace\n";

	buf_puts(out, "      derivedFields:\n");
	buf_puts(out, by_label);
	buf_puts(out, by_line);
}

static void put_traces(const struct cli *c, const char *type, struct buf *out)
{
	buf_printf(out, "  - name: Traces\n    uid: traces\n    type: %s\n    access: proxy\n", type);
	put_line(out, "    url: ", c->opt.trace_url);
	buf_puts(out, "    jsonData:\n"
		      "      tracesToLogsV2:\n"
		      "        datasourceUid: spoor\n"
		      "        spanStartTimeShift: '-1h'\n"
		      "        spanEndTimeShift: '1h'\n"
		      "        customQuery: true\n"
		      "        query: '{service_name=~\".+\"} | json | logfmt | drop __error__, "
		      "__error_details__ | "
		      "trace_id=\"$${__trace.traceId}\"'\n");
}

int cmd_grafana_config(struct cli *c, int argc, char **argv)
{
	const char *type = c->opt.trace_type != NULL ? c->opt.trace_type : "tempo";
	struct buf *out = &c->out;

	(void)argc;
	(void)argv;
	if (strcmp(type, "tempo") != 0 && strcmp(type, "jaeger") != 0)
		return cli_fail(c, CLI_USAGE, "--trace-type %s: tempo or jaeger", type);
	buf_puts(out, "# For /etc/grafana/provisioning/datasources/spoor.yaml\napiVersion: 1\ndatasources:\n"
		      "  - name: spoor\n    uid: spoor\n    type: loki\n    access: proxy\n");
	put_line(out, "    url: ", c->opt.loki_url != NULL ? c->opt.loki_url : c->opt.addr);
	buf_puts(out, "    jsonData:\n      maxLines: 1000\n");
	if (c->opt.trace_url != NULL)
		put_derived_fields(out);
	put_tenant(c, out);
	if (c->opt.trace_url != NULL)
		put_traces(c, type, out);
	return cli_flush(c);
}
