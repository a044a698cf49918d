/* query/linefilter.h - one line filter, |= "a" or "b", compiled. Knows nothing of the AST: it is described by
 * an operator and its alternatives. Immutable once made: any number of threads may run it on their own lines.
 */
#ifndef QUERY_LINEFILTER_H
#define QUERY_LINEFILTER_H

#include "base/err.h"

struct ip_set;
struct line_test;

enum line_op {
	LINE_CONTAINS,	   /* |= */
	LINE_NOT_CONTAINS, /* != */
	LINE_MATCH,	   /* |~ */
	LINE_NOT_MATCH,	   /* !~ */
	LINE_PATTERN,	   /* |> */
	LINE_NOT_PATTERN,  /* !> */
};

struct line_test_arg {
	struct slice text;
	bool is_ip; /* ip("text"), with LINE_CONTAINS and LINE_NOT_CONTAINS only */
};

/* At least one alternative; texts are copied. A positive filter keeps a line for which any holds, where those
 * that always hold are dropped if there are others; a negative one keeps a line for which none holds. */
int line_test_new(enum line_op op, const struct line_test_arg *arg, size_t n_args, struct line_test **out,
		  struct err *err);
void line_test_free(struct line_test *t);			    /* NULL is fine */
bool line_test_match(const struct line_test *t, struct slice line); /* is the line kept? */
bool line_test_keeps_all(const struct line_test *t);
/* 0 byte searches, 1 addresses and patterns, 2 regular expressions: run cheap filters first. */
int line_test_cost(const struct line_test *t);
/* It keeps a line if and only if that holds one of these literals, or with *negative none of them; borrowed. Their number;
 * 0: it is not as simple as that, or they are more than max. */
size_t line_test_any_of(const struct line_test *t, bool *negative, struct slice *out, size_t max);
/* Literals that every line it keeps holds, byte for byte; borrowed. Returns their number, at most max. */
size_t line_test_required(const struct line_test *t, struct slice *out, size_t max);

/* Whether the text holds an address of the set. */
bool line_has_ip(struct slice text, const struct ip_set *set);

#endif
