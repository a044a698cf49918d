/* spoor rules check FILE..., spoor rules test FILE...: rule files without a server. */
#include "cli/cli.h"
#include "cli/rule_test.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "rules/rule.h"

#include <stdio.h>

struct check {
	struct cli *c;
	const char *path;
};

static void report(void *arg, size_t line, const char *msg)
{
	struct check *k = arg;

	fprintf(stderr, "%s:%zu: %s\n", k->path, line, msg);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static int check_file(struct cli *c, const char *path)
{
	struct check k = { c, path };
	struct rule_counts n;
	struct buf text = { 0 };
	struct err err;

	if (file_read_all(path, RULES_MAX_FILE_BYTES, &text, &err) == -1) {
		buf_fini(&text);
		return cli_fail(c, err_exit_code(err.code), "%s", err.msg);
	}
	rule_file_check(buf_slice(&text), report, &k, &n);
	buf_fini(&text);
	if (n.n_problems > 0)
		return CLI_NOTHING;
	buf_printf(&c->out, "%s: %zu group%s, %zu alerting rule%s, %zu recording rule%s\n", path, n.n_groups,
		   plural(n.n_groups), n.n_alerting, plural(n.n_alerting), n.n_recording,
		   plural(n.n_recording));
	return CLI_OK;
}

static int test_file(struct cli *c, const char *path)
{
	struct rule_test_counts n = { 0 };
	struct err err;

	if (rule_test_file(path, &c->out, &n, &err) == -1)
		return cli_fail(c, err_exit_code(err.code), "%s: %s", path, err.msg);
	buf_printf(&c->out, "%s: %zu test%s, %zu check%s, %zu failed\n", path, n.n_tests, plural(n.n_tests),
		   n.n_checks, plural(n.n_checks), n.n_failed);
	return n.n_failed > 0 ? CLI_NOTHING : CLI_OK;
}

/* The exit code of the worst file. */
int cmd_rules(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *c, const char *path);
	} parts[] = { { "check", check_file }, { "test", test_file } };
	size_t part = 0;
	int worst = CLI_OK;

	log_set_level(LOG_WARN); /* what a store says of itself is of no interest */
	while (part < ARRAY_LEN(parts) && strcmp(argv[0], parts[part].name) != 0)
		part++;
	if (part == ARRAY_LEN(parts))
		return cli_fail(c, CLI_USAGE, "rules %s: check or test", argv[0]);
	for (int i = 1; i < argc; i++) {
		int rc = parts[part].run(c, argv[i]);

		worst = MAX(worst, rc);
	}
	int rc = cli_flush(c);
	return MAX(worst, rc);
}
