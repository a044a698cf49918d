/* base/re_factor.h - how nodes of a regular expression join and shrink, in the way Go's parser and simplifier
 * do it; for base/re only. Nodes are changed in place. */
#ifndef BASE_RE_FACTOR_H
#define BASE_RE_FACTOR_H

#include "base/re.h"

struct re_class;

/* A node under construction owns its class; re_node shows it as const. */
struct re_class *re_node_class(struct re_node *node);
void re_node_set_subs(struct re_node *node, struct re_node **sub, size_t n); /* sets the height as well */
struct re_node *re_node_new(struct arena *a, enum re_op op);
/* Appends to a literal whose bytes came from here. */
void re_lit_append(struct arena *a, struct slice *lit, struct slice more);
/* Literal of one rune, or a class, or a dot. */
bool re_is_one_rune(const struct re_node *node);
/* into := into | from, both of one rune */
void re_merge_one_rune(struct arena *a, struct re_node *into, struct re_node *from);
int re_rank(const struct re_node *node);      /* of one-rune nodes, the more complex the higher */
void re_clean_one_rune(struct re_node *node); /* a class of all runes becomes a dot */
/* CONCAT or ALTERNATE of the nodes: flattened, alternatives factored. sub[] is overwritten. */
struct re_node *re_collapse(struct arena *a, struct re_node **sub, size_t n, enum re_op op);
/* Rewrites repetitions that are simpler than they look; recursion is bounded by the height. */
struct re_node *re_simplify(struct arena *a, struct re_node *node);

#endif
