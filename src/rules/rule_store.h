/* rules/rule_store.h - the rule groups of all tenants: files DIR/<tenant>/<namespace>.yaml, written by the rules API or by
 * hand, kept in memory. A file that cannot be read or parsed keeps its former groups, is logged and counted.
 *
 * Bytes of the names that are not [A-Za-z0-9_-] are written %XX; files that people make may hold them as they are, and end
 * in .yml. Other files and folders, and those whose names begin with a dot, are left alone.
 *
 * Thread-safe. Writes are durable (file, rename, folder) before they return. */
#ifndef RULES_RULE_STORE_H
#define RULES_RULE_STORE_H

#include "rules/rule.h"

struct rule_store;

enum { RULE_STORE_MAX_NAMESPACES = 1000 /* of a tenant */ };

/* Reads what is there. dir is made when the first rule is written. ERR_IO: dir is there and cannot be read. */
int rule_store_open(const char *dir, struct rule_store **out, struct err *err);
void rule_store_close(struct rule_store *s); /* NULL is fine */
/* Looks for files that changed, came or went since the last time; returns whether anything did. */
bool rule_store_refresh(struct rule_store *s);
/* Grows with every change: whoever copied the groups can see whether to copy them again. */
uint64_t rule_store_version(struct rule_store *s);

struct rule_ref {
	struct slice tenant, ns;  /* in the view's arena */
	struct rule_group *group; /* a reference */
};
/* A copy of the list, ordered by tenant, namespace, then as in the file. Absent slices: any. */
struct rule_view {
	struct arena arena;
	struct rule_ref *ref;
	size_t n;
};
void rule_view_take(struct rule_store *s, struct slice tenant, struct slice ns, struct slice group,
		    struct rule_view *out);
void rule_view_fini(struct rule_view *v);

/* Adds the group to the namespace or replaces the one of that name. ERR_BAD_REQUEST: a name that cannot be a file's, or
 * too many groups; ERR_UNPROCESSABLE: the namespace's file is damaged, and writing would lose what is in it. */
int rule_store_put(struct rule_store *s, struct slice tenant, struct slice ns, struct rule_group *g,
		   struct err *err);
/* group absent: the whole namespace, ERR_NOT_FOUND if there is none. A group that is not there is no error. */
int rule_store_delete(struct rule_store *s, struct slice tenant, struct slice ns, struct slice group,
		      struct err *err);

#endif
