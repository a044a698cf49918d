/* A language of one word for tests of deletes without LogQL: {app} is all that an app logged, {app/needle} its lines with
 * the needle in them. */
#ifndef TESTS_ERASE_WORDS_H
#define TESTS_ERASE_WORDS_H

#include <stdio.h>
#include <stdlib.h>
#include "index/store.h"

struct word {
	struct erase_rule rule;
	struct matcher m;
	char app[64], needle[64];
};

static int word_compile(struct slice text, struct erase_rule **out, struct err *err)
{
	struct word *w = xcalloc(1, sizeof(*w));

	if (sscanf(text.p, "{%63[a-z]/%63[a-z]}", w->app, w->needle) < 1) {
		free(w);
		return err_set(err, ERR_BAD_REQUEST, "no word");
	}
	w->m = (struct matcher){ MATCH_EQ, SLICE("app"), slice_cstr(w->app), NULL };
	w->rule = (struct erase_rule){ &w->m, 1, w->needle[0] == '\0', w };
	*out = &w->rule;
	return 0;
}

static void word_release(struct erase_rule *rule)
{
	free(rule->own);
}

static void *word_state_new(const struct erase_rule *rule, struct labels stream)
{
	(void)stream;
	return rule->own;
}

static void word_state_free(void *state)
{
	(void)state;
}

static bool word_matches(void *state, struct slice meta, int64_t ts, struct slice line)
{
	(void)meta;
	(void)ts;
	return slice_find(line, slice_cstr(((struct word *)state)->needle)) != SLICE_NONE;
}

static const struct erase_ops word_ops = { word_compile, word_release, word_state_new, word_state_free,
					   word_matches };

#endif
