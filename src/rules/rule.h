/* rules/rule.h - alerting and recording rules, in Loki's and Prometheus' file format (YAML): what one rule and one group
 * is. Groups are immutable once made, so any thread may read one. */
#ifndef RULES_RULE_H
#define RULES_RULE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/labels.h"

enum {
	RULES_MAX_FILE_BYTES = 1 << 20,
	RULES_MAX_GROUPS = 1000, /* of a tenant, and of a file */
	RULES_MAX_RULES = 1000,	 /* of a group */
	RULES_MAX_LABEL_NAME_BYTES = 512
};

struct rule {
	struct slice alert;	    /* name of an alerting rule; absent: a recording rule */
	struct slice record;	    /* name of the series a recording rule makes */
	struct slice expr;	    /* LogQL as written; parses as a metric query */
	int64_t for_ns;		    /* how long it must hold before it fires */
	int64_t keep_firing_for_ns; /* how long it fires after it no longer holds */
	struct labels labels; /* added, those of the group among them; alerting rules: values are templates */
	struct labels annotations; /* values are templates */
	size_t line;		   /* of the text it was read from */
};

struct rule_group {
	struct arena arena; /* everything below lives here */
	_Atomic int refs;
	struct slice name;
	int64_t interval_ns;	 /* 0: the daemon's default */
	int64_t query_offset_ns; /* evaluated for the time so long ago; 0 = now */
	int64_t limit;		 /* alerts or series a rule may make; 0 = any number */
	struct labels labels;	 /* as written; rules have them already */
	struct rule *rule;
	size_t n_rules;
	size_t line; /* of the text it was read from */
};
struct rule_group *rule_group_ref(struct rule_group *g);
void rule_group_unref(struct rule_group *g); /* NULL is fine */

/* One group, as POST /loki/api/v1/rules/{ns} sends it. ERR_BAD_REQUEST with Loki's texts. One reference is the caller's. */
int rule_group_parse(struct slice yaml, struct rule_group **out, struct err *err);
/* A rule file (`groups:` with a list); names are unique. The array is the caller's to free(), with a reference to each.
 * ERR_BAD_REQUEST "line N: …" with what is wrong first. */
int rule_file_parse(struct slice yaml, struct rule_group ***out, size_t *n, struct err *err);
/* Everything that is wrong with a rule file, in order: calls report for each. */
struct rule_counts {
	size_t n_groups, n_alerting, n_recording, n_problems;
};
void rule_file_check(struct slice yaml, void (*report)(void *arg, size_t line, const char *msg), void *arg,
		     struct rule_counts *out);

/* The group as YAML, with a line break at the end: alone, or as an item of a list indented by four spaces, as it stands
 * in a rule file and in Loki's map of namespaces. */
void rule_group_format(const struct rule_group *g, bool as_item, struct buf *out);
/* A whole rule file. */
void rule_file_format(struct rule_group *const *group, size_t n, struct buf *out);

#endif
