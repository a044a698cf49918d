/* base/re.h - regular expressions of Go's regexp package (RE2 syntax, leftmost-first, linear time). The only file
 * that sees libre2 is re.cc. A compiled expression is immutable: any number of threads may match at once.
 *
 * Time is linear in the text, but up to a step for each instruction of the program at each byte, and a match cannot
 * be interrupted. Whoever must not be held up for long sets a guard: re_guard. */
#ifndef BASE_RE_H
#define BASE_RE_H

#include "base/arena.h"
#include "base/err.h"

struct re;

enum re_flags {
	RE_ANCHORED = 1, /* must match the whole text */
	RE_DOT_NL = 2,	 /* . matches \n */
};
enum { RE_MAX_PATTERN = 4096, RE_MAX_GROUPS = 64 };
enum { RE_MAX_STEPS = 512 << 20 }; /* two or three seconds */

/* Of this thread; zeroed: no guard, nothing is refused. Between matches that may take long stop is asked whether to go on, and one that
 * might take more than RE_MAX_STEPS is not begun. What was not begun counts as "no match", so the owner of the guard must look at given_up before it believes any result. */
struct re_guard {
	bool (*stop)(void *arg); /* NULL: no guard */
	void *arg;
	uint64_t steps; /* that matches may have taken at most since stop was asked */
	bool given_up;	/* from now on no match is begun */
};
extern __thread struct re_guard re_guard;

/* On failure err->msg is Go's text: error parsing regexp: missing closing ): `(`  */
int re_compile(struct slice pattern, unsigned flags, struct re **out, struct err *err);
void re_free(struct re *re); /* NULL is fine */
bool re_match(const struct re *re, struct slice text);
/* Leftmost match; group[0] is the whole. A group that took no part, or comes after the first RE_MAX_GROUPS, has
 * p == NULL. Returns false for no match. */
bool re_find(const struct re *re, struct slice text, struct slice *group, size_t n_groups);
/* Go's FindAll: one match after the other, without an empty one right behind another match, until visit returns
 * false. group: as of re_find. */
void re_each(const struct re *re, struct slice text, size_t n_groups,
	     bool (*visit)(void *arg, const struct slice *group), void *arg);
size_t re_n_groups(const struct re *re);		   /* without group 0 */
struct slice re_group_name(const struct re *re, size_t i); /* i from 1; empty if unnamed */

/* What a pattern means, as Go's parser and simplifier see it (after factoring of alternations). Lives in the arena.
 * Line filters and label filters replace easy shapes by byte searches; planners take literals that must occur. */
enum re_op {
	RE_OP_LITERAL,	  /* lit; fold: any case, and lit is then in lower case */
	RE_OP_CLASS,	  /* one rune of a set: . [a-z] \d */
	RE_OP_ANY,	  /* . with \n */
	RE_OP_ANY_NOT_NL, /* . */
	RE_OP_BEGIN,
	RE_OP_END,
	RE_OP_BEGIN_LINE,
	RE_OP_END_LINE,
	RE_OP_WORD,
	RE_OP_NOT_WORD,
	RE_OP_CAPTURE, /* sub[0]; name, empty if none */
	RE_OP_STAR,
	RE_OP_PLUS,
	RE_OP_QUEST,
	RE_OP_REPEAT, /* sub[0]; REPEAT: min, max (-1 = no end) */
	RE_OP_CONCAT,
	RE_OP_ALTERNATE,
	RE_OP_EMPTY,   /* matches the empty string */
	RE_OP_NOTHING, /* matches nothing at all */
};
struct re_node {
	enum re_op op;
	bool fold;
	struct slice lit;
	struct slice name;
	int min, max;
	size_t n_sub;
	struct re_node **sub;
	bool lazy;		       /* of a repetition */
	int height;		       /* 1 for a leaf; at most RE_MAX_HEIGHT */
	const struct re_class *class_; /* of RE_OP_CLASS; private to the parser */
};
enum { RE_MAX_HEIGHT = 1000 };
int re_parse(struct slice pattern, unsigned flags, struct arena *a, struct re_node **out, struct err *err);

#endif
