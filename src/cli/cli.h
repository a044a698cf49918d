/* cli/cli.h - what the commands of spoor share: options, the connection, output, exit codes. One thread.
 * Messages go to stderr, results to stdout. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include "base/arena.h"
#include "base/vec.h"
#include "cli/client.h"
#include "cli/render.h"

/* Exit codes, as spoor(1) documents them. Others are err_exit_code's. */
enum {
	CLI_OK = 0,
	CLI_NOTHING = 1, /* nothing found; check: damage found */
	CLI_USAGE = 2,
	CLI_REFUSED = 65,     /* the server refuses the request */
	CLI_NOT_FOUND = 66,   /* the server has no such page */
	CLI_UNREACHABLE = 69, /* no connection */
	CLI_BAD_ANSWER = 70,  /* not what was expected of the server */
	CLI_IO = 74,
	CLI_TRY_AGAIN = 75, /* limit, time-out, overload */
	CLI_NOT_PERMITTED = 77,
};

struct cli_options {
	const char *addr, *org_id, *user, *password_file, *token_file;
	const char *ca_file, *cert_file, *key_file;
	const char *output, *color, *timeout;
	const char *limit, *since, *from, *to, *direction, *step, *batch, *label_fields;
	const char *by, *loki_url, *trace_type, *trace_url;
	bool instant, forward, json, quiet, force;
	VEC(const char *) labels;
};

struct cli {
	struct cli_options opt;
	struct client *client; /* NULL before cli_connect */
	struct render render;
	bool progress; /* stderr is a terminal and nobody said --quiet */
	int64_t now;
	struct arena arena; /* for the whole run */
	struct buf out;	    /* towards stdout */
};

struct command {
	const char *name, *args, *doc;
	int (*run)(struct cli *c, int argc, char **argv); /* argv[0] is the first argument; exit code */
	int min_args, max_args;				  /* -1: any number */
};

int cli_fail(struct cli *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4))); /* code */
int cli_connect(struct cli *c); /* 0 or an exit code */
/* A GET; *out is the caller's. 0 or an exit code, after a message. */
int cli_get_json(struct cli *c, struct slice path, json_t **out);
int cli_status_code(int http_status);			      /* exit code for an answer that is no success */
void cli_say_answer(struct cli *c, const struct response *r); /* a refusal, to stderr */
int cli_flush(struct cli *c);				      /* writes c->out to stdout; 0 or CLI_IO */
void cli_progress(struct cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* overwrites itself */
void cli_progress_end(struct cli *c);
/* --since, --from, --to. */
int cli_range(struct cli *c, const char *default_since, int64_t *start, int64_t *end);
int cli_number(struct cli *c, const char *option, const char *text, uint64_t max, uint64_t *out);
/* One request that has no body, for its effect. 0 or an exit code, after a message. */
int cli_send(struct cli *c, const char *method, struct slice path);
int cli_add_range(struct cli *c, const char *default_since, struct buf *path); /* start and end, ns */
/* Matrix, vector or scalar as Loki answers it. CLI_NOTHING if it is empty. */
int cli_show_samples(struct cli *c, const char *type, const json_t *result);
void cli_add_param(struct buf *path, const char *name, struct slice value); /* ?name=value or &name=value */
struct labels cli_labels(struct cli *c, const json_t *object);		    /* sorted; the arena's */
struct slice cli_string(const json_t *s);				    /* absent if it is no string */

int cmd_query(struct cli *c, int argc, char **argv);
int cmd_labels(struct cli *c, int argc, char **argv);
int cmd_series(struct cli *c, int argc, char **argv);
int cmd_trace(struct cli *c, int argc, char **argv);
int cmd_tail(struct cli *c, int argc, char **argv);
int cmd_stats(struct cli *c, int argc, char **argv);
int cmd_volume(struct cli *c, int argc, char **argv);
int cmd_patterns(struct cli *c, int argc, char **argv);
int cmd_delete(struct cli *c, int argc, char **argv);
int cmd_grafana_config(struct cli *c, int argc, char **argv);
int cmd_push(struct cli *c, int argc, char **argv);
int cmd_rules(struct cli *c, int argc, char **argv);
int cmd_check(struct cli *c, int argc, char **argv);

#endif
