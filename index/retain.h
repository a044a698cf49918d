/* index/retain.h - how long the streams of a tenant are kept: "{app="x"}=720h; {env="dev"}=24h". The first rule that matches
 * a stream holds; others are kept as long as the tenant's retention says. */
#ifndef INDEX_RETAIN_H
#define INDEX_RETAIN_H

#include "index/store.h"

struct retain_rule {
	struct erase_rule *rule;
	int64_t period_ns; /* 0 = for ever */
};

struct retain {
	const struct erase_ops *ops;
	VEC(struct retain_rule) rules;
	int64_t default_ns; /* of other streams; 0 = for ever */
};

/* An empty text is fine. On failure nothing needs freeing. */
int retain_parse(const struct erase_ops *ops, const char *text, int64_t default_ns, struct retain *out,
		 struct err *err);
void retain_fini(struct retain *r);
int64_t retain_period(const struct retain *r, struct slice encoded);
int64_t retain_longest(const struct retain *r); /* 0 = for ever */

#endif
