/* logql/tmpl_lex.h - a template cut into tokens. Used by tmpl_parse.c only. */
#ifndef LOGQL_TMPL_LEX_H
#define LOGQL_TMPL_LEX_H

#include "base/arena.h"

enum tmpl_tok {
	TMPL_TOK_ERROR, /* val is the message */
	TMPL_TOK_EOF,
	TMPL_TOK_TEXT,
	TMPL_TOK_LEFT,	/* {{ */
	TMPL_TOK_RIGHT, /* }} */
	TMPL_TOK_SPACE,
	TMPL_TOK_ASSIGN,  /* = */
	TMPL_TOK_DECLARE, /* := */
	TMPL_TOK_PIPE,
	TMPL_TOK_LPAREN,
	TMPL_TOK_RPAREN,
	TMPL_TOK_CHAR,	/* a byte without a meaning of its own */
	TMPL_TOK_FIELD, /* .x */
	TMPL_TOK_VAR,	/* $x */
	TMPL_TOK_IDENT,
	TMPL_TOK_BOOL,
	TMPL_TOK_NUMBER,
	TMPL_TOK_COMPLEX,
	TMPL_TOK_RUNE, /* 'x' */
	TMPL_TOK_STRING,
	TMPL_TOK_RAW,
	TMPL_TOK_KEYWORD, /* those below are keywords */
	TMPL_TOK_DOT,
	TMPL_TOK_BLOCK,
	TMPL_TOK_BREAK,
	TMPL_TOK_CONTINUE,
	TMPL_TOK_DEFINE,
	TMPL_TOK_ELSE,
	TMPL_TOK_END,
	TMPL_TOK_IF,
	TMPL_TOK_NIL,
	TMPL_TOK_RANGE,
	TMPL_TOK_TEMPLATE,
	TMPL_TOK_WITH,
};

struct tmpl_token {
	enum tmpl_tok kind;
	uint32_t pos;
	uint32_t line; /* from 1 */
	struct slice val;
};
struct tmpl_tokens {
	struct tmpl_token *v;
	size_t n, cap;
};

/* Ends with EOF, or with ERROR and EOF. v is malloc'ed; messages live in the arena. */
void tmpl_lex(struct slice text, struct arena *a, struct tmpl_tokens *out);

#endif
