/* daemon/config.h - the configuration: defaults, then a YAML file, then --set, checked as a whole. A struct
 * config is immutable once loaded, so any thread may read it.
 *
 * The file is one YAML mapping. Nested mappings only group: `limits_config: { max_line_size: 1MB }` sets
 * max_line_size, so that blocks of a Loki configuration can be copied. Unknown and repeated names are errors.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "daemon/settings.h"

struct config;

struct config_args {
	const char *file;	/* NULL: none */
	const char *const *set; /* "name=value", in the order given; the last one of a name counts */
	size_t n_set;
};

/* ERR_CONFIG: the message names file, line and setting. */
int config_load(const struct config_args *args, struct config **out, struct err *err);
int config_load_text(struct slice yaml, const char *name, const struct config_args *args, struct config **out,
		     struct err *err); /* the file's content is given; args->file is not read */
/* What is to run after a reload: everything as config_load says, but settings that take a restart keep the
 * running value; names of those that differ are added to needs_restart, separated by spaces. */
int config_reload(const struct config *running, const struct config_args *args, struct config **out,
		  struct buf *needs_restart, struct err *err);
/* What no single setting can know. */
int config_check(const struct settings *s, struct err *err);
void config_free(struct config *c); /* NULL is fine */
const struct settings *config_settings(const struct config *c);
bool config_same(const struct config *a, const struct config *b); /* all values are equal */

enum config_mode { CONFIG_ALL, CONFIG_DIFFS, CONFIG_DEFAULTS };
/* YAML that config_load reads back, each line with where its value comes from. */
void config_render(const struct config *c, enum config_mode mode, struct buf *out);
void config_render_limits(const struct limits *limits, struct buf *out); /* YAML, a line for each */
/* Replaces NAME:PASSWORD@ in URLs by <secret>@, from that byte on. */
void config_hide_secrets(struct buf *b, size_t from);

void config_help(struct buf *out); /* all settings, for --help */
void config_mdoc(struct buf *out); /* all settings, for spoor.conf(5) */

#endif
