/* spoor: the command-line client. Tables of commands and options; everything else is in the commands. */
#include <config.h>
#include "cli/cli.h"
#include "base/clock.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const struct command commands[] = {
	{ "query", "LOGQL", "log lines or samples", cmd_query, 1, 1 },
	{ "labels", "[NAME]", "label names, or the values of one", cmd_labels, 0, 1 },
	{ "series", "[MATCHER]...", "label sets of the streams", cmd_series, 0, -1 },
	{ "trace", "ID", "all lines of a trace, in time order", cmd_trace, 1, 1 },
	{ "tail", "LOGQL", "new log lines as they come", cmd_tail, 1, 1 },
	{ "stats", "MATCHER", "streams, chunks, bytes and entries", cmd_stats, 1, 1 },
	{ "volume", "MATCHER", "bytes by label", cmd_volume, 1, 1 },
	{ "patterns", "MATCHER", "how lines look, and how many look so", cmd_patterns, 1, 1 },
	{ "delete", "create LOGQL | list | cancel ID", "delete log lines", cmd_delete, 1, 2 },
	{ "grafana-config", "", "data sources for Grafana's provisioning", cmd_grafana_config, 0, 0 },
	{ "push", "[FILE]", "send lines of a file or of stdin", cmd_push, 0, 1 },
	{ "rules", "check|test FILE...", "check rule files, or run tests of rules; no server needed",
	  cmd_rules, 2, -1 },
	{ "check", "DIR", "verify all checksums of a data directory", cmd_check, 1, 1 },
};

enum { HAS_FLAG, HAS_TEXT, HAS_LIST };

#define OPT(name_, arg_, type_, field_, commands_, doc_)                                                     \
	{                                                                                                    \
		name_, arg_, type_, offsetof(struct cli_options, field_), commands_, doc_                    \
	}

static const struct cli_option {
	const char *name, *arg;
	int type;
	size_t offset;
	const char *commands; /* NULL: all */
	const char *doc;
} options[] = {
	OPT("addr", "URL", HAS_TEXT, addr, NULL, "the server (SPOOR_ADDR, else http://127.0.0.1:3100)"),
	OPT("org-id", "ID", HAS_TEXT, org_id, NULL, "the tenant (SPOOR_ORG_ID)"),
	OPT("user", "NAME", HAS_TEXT, user, NULL,
	    "user name (SPOOR_USER); the password is SPOOR_PASSWORD or asked for"),
	OPT("password-file", "FILE", HAS_TEXT, password_file, NULL,
	    "file with the password in its first line"),
	OPT("token-file", "FILE", HAS_TEXT, token_file, NULL, "file with a bearer token (or SPOOR_TOKEN)"),
	OPT("ca-file", "FILE", HAS_TEXT, ca_file, NULL, "https: certificates to trust (SPOOR_CA_FILE)"),
	OPT("cert-file", "FILE", HAS_TEXT, cert_file, NULL, "https: the client's certificate"),
	OPT("key-file", "FILE", HAS_TEXT, key_file, NULL, "https: its key, if it is not in the same file"),
	OPT("timeout", "DURATION", HAS_TEXT, timeout, NULL, "for one request (default 5m)"),
	OPT("output", "text|raw|jsonl", HAS_TEXT, output, NULL,
	    "text (default); raw: lines or values alone; jsonl: objects"),
	OPT("color", "auto|always|never", HAS_TEXT, color, NULL, "colours (default auto: on a terminal)"),
	OPT("quiet", NULL, HAS_FLAG, quiet, NULL, "no progress line"),
	OPT("since", "DURATION", HAS_TEXT, since, "query labels series tail stats volume patterns",
	    "so far back from --to (default 1h; labels, series 6h)"),
	OPT("from", "TIME", HAS_TEXT, from, "query labels series stats volume patterns delete",
	    "start: 2026-01-15T10:00:00Z, 15m (ago), Unix seconds or ns"),
	OPT("to", "TIME", HAS_TEXT, to, "query labels series stats volume patterns delete",
	    "end (default now)"),
	OPT("limit", "N", HAS_TEXT, limit, "query trace tail volume patterns",
	    "lines at most (default 100, trace 1000, tail 10; query: 0 = all)"),
	OPT("batch", "N", HAS_TEXT, batch, "query", "lines to fetch at once (default 1000)"),
	OPT("direction", "forward|backward", HAS_TEXT, direction, "query trace",
	    "oldest or newest first (query: backward)"),
	OPT("forward", NULL, HAS_FLAG, forward, "query", "the same as --direction forward"),
	OPT("step", "DURATION", HAS_TEXT, step, "query volume", "between samples"),
	OPT("by", "A,B", HAS_TEXT, by, "volume", "labels to group by (default those of the matcher)"),
	OPT("force", NULL, HAS_FLAG, force, "delete", "cancel what is under way, too"),
	OPT("loki-url", "URL", HAS_TEXT, loki_url, "grafana-config",
	    "where Grafana reaches spoord (default --addr)"),
	OPT("trace-type", "tempo|jaeger", HAS_TEXT, trace_type, "grafana-config",
	    "what keeps the traces (default tempo)"),
	OPT("trace-url", "URL", HAS_TEXT, trace_url, "grafana-config",
	    "where Grafana reaches it (default none: no trace data source)"),
	OPT("instant", NULL, HAS_FLAG, instant, "query", "one sample at --to instead of a range"),
	OPT("label", "NAME=VALUE", HAS_LIST, labels, "push",
	    "a label of the stream; repeatable (default job=spoor-push)"),
	OPT("json", NULL, HAS_FLAG, json, "push", "each line is a JSON object with its own time"),
	OPT("label-fields", "A,B", HAS_TEXT, label_fields, "push", "with --json: fields that become labels"),
};

static void print_usage(FILE *to, struct arena *a)
{
	fputs("usage: spoor COMMAND [OPTION]... [ARGUMENT]...\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-30s %s\n", arena_printf(a, "%s %s", commands[i].name, commands[i].args),
			commands[i].doc);
	fputs("\nOptions of all commands:\n", to);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct cli_option *o = &options[i];
		char left[64];

		if (i > 0 && (o->commands == NULL) != (options[i - 1].commands == NULL))
			fputs("\nOptions of some:\n", to);
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg != NULL ? " " : "",
			 o->arg != NULL ? o->arg : "");
		fprintf(to, "  %-30s %s", left, o->doc);
		if (o->commands != NULL)
			fprintf(to, " [%s]", o->commands);
		fputc('\n', to);
	}
	fputs("  --help, --version\n", to);
}

static bool has_word(const char *list, const char *word)
{
	struct slice rest = slice_cstr(list);

	while (rest.n > 0) {
		size_t space = slice_find_byte(rest, ' ');

		if (slice_is(slice_sub(rest, 0, space), word))
			return true;
		rest = space == SLICE_NONE ? SLICE("") : slice_from(rest, space + 1);
	}
	return false;
}

static void store_option(struct cli_options *opt, const struct cli_option *o, const char *value)
{
	void *field = (char *)opt + o->offset;

	switch (o->type) {
	case HAS_FLAG: *(bool *)field = true; break;
	case HAS_TEXT: *(const char **)field = value; break;
	default: vec_push(&opt->labels, value); break;
	}
}

enum { OPT_BASE = 256, OPT_HELP = 1000, OPT_VERSION };

static void make_long_options(struct option *out)
{
	size_t n = ARRAY_LEN(options);

	for (size_t i = 0; i < n; i++)
		out[i] = (struct option){ options[i].name,
					  options[i].type == HAS_FLAG ? no_argument : required_argument, NULL,
					  OPT_BASE + (int)i };
	out[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	out[n++] = (struct option){ "version", no_argument, NULL, OPT_VERSION };
	out[n] = (struct option){ 0 };
}

/* 0: go on; else *rc is the exit code. used: which options were given. */
static int parse_options(struct cli *c, int argc, char **argv, bool *used, int *rc)
{
	struct option long_options[ARRAY_LEN(options) + 3];
	int opt;

	make_long_options(long_options);
	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (opt == OPT_HELP || opt == 'h') {
			print_usage(stdout, &c->arena);
			*rc = CLI_OK;
			return -1;
		}
		if (opt == OPT_VERSION) {
			puts("spoor " PACKAGE_VERSION);
			*rc = CLI_OK;
			return -1;
		}
		if (opt < OPT_BASE) {
			fputs("Try spoor --help.\n", stderr);
			*rc = CLI_USAGE;
			return -1;
		}
		used[opt - OPT_BASE] = true;
		store_option(&c->opt, &options[opt - OPT_BASE], optarg);
	}
	return 0;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static int complete_options(struct cli *c)
{
	static const char *const outputs[] = {
		[OUTPUT_TEXT] = "text", [OUTPUT_RAW] = "raw", [OUTPUT_JSONL] = "jsonl"
	};
	struct cli_options *o = &c->opt;
	bool tty = isatty(STDOUT_FILENO);

	if (o->addr == NULL)
		o->addr = env("SPOOR_ADDR") != NULL ? env("SPOOR_ADDR") : "http://127.0.0.1:3100";
	if (o->org_id == NULL)
		o->org_id = env("SPOOR_ORG_ID");
	if (o->user == NULL)
		o->user = env("SPOOR_USER");
	c->render.output = OUTPUT_TEXT;
	for (size_t i = 0; o->output != NULL && i <= ARRAY_LEN(outputs); i++) {
		if (i == ARRAY_LEN(outputs))
			return cli_fail(c, CLI_USAGE, "--output %s: text, raw or jsonl", o->output);
		if (strcmp(o->output, outputs[i]) == 0) {
			c->render.output = (enum output)i;
			break;
		}
	}
	c->render.escape = tty && c->render.output == OUTPUT_TEXT;
	c->render.color = c->render.escape && env("NO_COLOR") == NULL;
	if (o->color != NULL && strcmp(o->color, "auto") != 0) {
		if (strcmp(o->color, "always") != 0 && strcmp(o->color, "never") != 0)
			return cli_fail(c, CLI_USAGE, "--color %s: auto, always or never", o->color);
		c->render.color = strcmp(o->color, "always") == 0 && c->render.output == OUTPUT_TEXT;
	}
	c->progress = isatty(STDERR_FILENO) && !o->quiet;
	return 0;
}

static const struct command *find_command(struct cli *c, int n_args, char **args, const bool *used)
{
	const struct command *cmd = NULL;

	for (size_t i = 0; i < ARRAY_LEN(commands) && cmd == NULL; i++) {
		if (strcmp(args[0], commands[i].name) == 0)
			cmd = &commands[i];
	}
	if (cmd == NULL) {
		cli_fail(c, 0, "unknown command %s; try spoor --help", args[0]);
		return NULL;
	}
	if (n_args - 1 < cmd->min_args || (cmd->max_args != -1 && n_args - 1 > cmd->max_args)) {
		cli_fail(c, 0, "usage: spoor %s [OPTION]... %s", cmd->name, cmd->args);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (used[i] && options[i].commands != NULL && !has_word(options[i].commands, cmd->name)) {
			cli_fail(c, 0, "--%s is no option of spoor %s", options[i].name, cmd->name);
			return NULL;
		}
	}
	return cmd;
}

static int run(struct cli *c, int argc, char **argv)
{
	bool used[ARRAY_LEN(options)] = { false };
	int rc = 0;

	if (parse_options(c, argc, argv, used, &rc) == -1)
		return rc;
	if (optind == argc) {
		print_usage(stderr, &c->arena);
		return CLI_USAGE;
	}
	rc = complete_options(c);
	if (rc != 0)
		return rc;
	const struct command *cmd = find_command(c, argc - optind, argv + optind, used);
	return cmd != NULL ? cmd->run(c, argc - optind - 1, argv + optind + 1) : CLI_USAGE;
}

int main(int argc, char **argv)
{
	struct cli c = { .now = clock_now_ns() };

	arena_init(&c.arena);
	int rc = run(&c, argc, argv);
	client_free(c.client);
	vec_fini(&c.opt.labels);
	buf_fini(&c.out);
	arena_fini(&c.arena);
	return rc;
}
