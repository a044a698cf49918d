/* logql/lex.h - query text to tokens. */
#ifndef LOGQL_LEX_H
#define LOGQL_LEX_H

#include "base/arena.h"
#include "logql/ast.h"

enum tok {
#define TOKEN(sym, spelling)	  sym,
#define PUNCT(sym, text)	  sym,
#define KEYWORD(sym, text)	  sym,
#define WORD(sym, text, spelling) sym,
#include "logql/tokens.def"
	TOK_N
};

struct token {
	enum tok kind;
	struct logql_pos pos;
	bool line0;	     /* error messages give line 0 for this token: it took more than one scan */
	bool non_ascii;	     /* IDENT that cannot be the name of a stored label */
	struct slice text;   /* as written; STRING: the value */
	int op;		     /* RANGE_OP: enum range_op; VECTOR_OP: enum vector_op; CONV: enum unwrap_conv */
	int64_t duration_ns; /* DURATION, RANGE */
	uint64_t bytes;	     /* BYTES */
};

struct lexer {
	struct slice src;
	struct arena *a;       /* of string values */
	struct logql_pos at;   /* of the next rune */
	struct logql_pos prev; /* of the last token; col 0 before the first */
	size_t bad_off;	       /* first NUL or invalid byte, or SLICE_NONE */
	const char *bad_msg;
};

/* Why and where a token could not be read. */
struct lex_error {
	struct logql_pos pos;
	bool line0;
	char msg[512]; /* cut */
};

void lex_init(struct lexer *lx, struct slice src, struct arena *a);
int lex_next(struct lexer *lx, struct token *out,
	     struct lex_error *e);			/* TOK_END, again and again, at the end */
void lex_spelling(const struct token *t, char out[40]); /* as in: unexpected IDENTIFIER */

#endif
