/* logql/parse.h - text to checked AST. Pure: no clock, no storage, no global state, so any thread may parse.
 * Errors are ERR_BAD_REQUEST with the text Loki gives:
 *	parse error at line 1, col 3: syntax error: unexpected $end, expecting = or =~ or !~ or != */
#ifndef LOGQL_PARSE_H
#define LOGQL_PARSE_H

#include "logql/ast.h"

enum {
	LOGQL_MAX_TEXT_BYTES = 131071,
	LOGQL_MAX_NESTING = 128,   /* parentheses, operands and calls inside each other */
	LOGQL_MAX_STAGES = 128,	   /* of one pipeline */
	LOGQL_MAX_MATCHERS = 1000, /* of one selector */
	LOGQL_MAX_LIST = 1000,	   /* names in any other list */
	LOGQL_MAX_REGEXES = 1000,  /* in the whole query */
};

/* A log or metric query. The text is copied into the arena. where may be NULL; on failure it gets the place
 * of the offending token or construct, for editors. Unlike in the message its line is always the real one. */
int logql_parse(struct slice text, struct arena *a, struct logql **out, struct logql_pos *where,
		struct err *err);

enum { LOGQL_ALLOW_EMPTY = 1 }; /* {} and {a=~".*"} are fine */
/* Label matchers alone, as for the labels, series and stats endpoints: out->root is a LOGQL_LOG without
 * stages. Anything else that parses: only label matchers are supported */
int logql_parse_selector(struct slice text, unsigned flags, struct arena *a, struct logql **out,
			 struct logql_pos *where, struct err *err);

/* Frees the compiled regexes; the nodes go with the arena. NULL is fine. */
void logql_free(struct logql *q);

#endif
