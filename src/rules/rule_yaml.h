/* rules/rule_yaml.h - YAML as rule files and rule tests use it: a small tree with line numbers. Anchors, aliases, tags,
 * more than one document, repeated keys and deep nesting are refused, so the size of a tree is bounded by that of the text.
 * Pure; any thread may read. */
#ifndef RULES_RULE_YAML_H
#define RULES_RULE_YAML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	RULE_YAML_MAX_DEPTH = 16,
	RULE_YAML_MAX_NODES = 200000,
	RULE_YAML_MAX_KEYS = 256 /* of one mapping */
};

enum rule_yaml_kind {
	RULE_YAML_NULL, /* nothing, ~ or null */
	RULE_YAML_TEXT, /* any other scalar: whether 5 is a number is up to the reader */
	RULE_YAML_LIST,
	RULE_YAML_MAP
};

struct rule_yaml {
	enum rule_yaml_kind kind;
	size_t line;	      /* from 1 */
	struct slice text;    /* TEXT; of NULL "" */
	struct slice key;     /* inside a MAP */
	struct rule_yaml *in; /* the first item of a LIST or MAP */
	struct rule_yaml *next;
	size_t n; /* items */
};

/* The tree is the arena's; an empty text is a NULL node. ERR_BAD_REQUEST: line 3: mapping values are not allowed … */
int rule_yaml_parse(struct slice text, struct arena *a, const struct rule_yaml **out, struct err *err);
/* The item of a MAP, or NULL; node may be NULL or anything else. */
const struct rule_yaml *rule_yaml_get(const struct rule_yaml *node, const char *key);
/* ERR_BAD_REQUEST "line N: …". */
int rule_yaml_fail(const struct rule_yaml *node, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Is node a MAP (or NULL) with no other keys than these? names ends in NULL. what names it: "rule". */
int rule_yaml_check_map(const struct rule_yaml *node, const char *what, const char *const *names,
			struct err *err);
/* A scalar; absent and null give "". */
int rule_yaml_text(const struct rule_yaml *map, const char *key, struct slice *out, struct err *err);
/* A Prometheus duration (5m, 1h30m), not negative; absent gives 0. */
int rule_yaml_duration(const struct rule_yaml *map, const char *key, int64_t *out_ns, struct err *err);
int rule_yaml_int(const struct rule_yaml *map, const char *key, int64_t *out,
		  struct err *err); /* absent: 0 */
/* A LIST; *out is its first item, or NULL if it is absent, null or empty. */
int rule_yaml_list(const struct rule_yaml *map, const char *key, const struct rule_yaml **out,
		   struct err *err);

/* Text as a scalar that reads back as the same text: plain, quoted, or a literal block whose lines are indented by so
 * many spaces (0: never a block, as for keys). No line break at the end. Invalid UTF-8 becomes U+FFFD. */
void rule_yaml_quote(struct buf *b, struct slice text, unsigned indent);

#endif
