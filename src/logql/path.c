#include "logql/path.h"

#include "base/text.h"

/* ---- tokens of both expression languages ---- */

enum path_tok { P_END, P_DOT, P_LSB, P_RSB, P_STRING, P_FIELD, P_INDEX };

struct path_lexer {
	struct slice rest;
	struct slice text; /* of the last STRING, FIELD */
	uint64_t index;
	bool words_only; /* logfmt keys: no dots, brackets or numbers */
	char bad[8];	 /* the rune that starts no token; such a rune ends the input */
};

static bool is_word(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

static struct slice take(struct path_lexer *lx, size_t n)
{
	struct slice s = slice_sub(lx->rest, 0, n);

	lx->rest = slice_from(lx->rest, n);
	return s;
}

static enum path_tok lex_index(struct path_lexer *lx)
{
	size_t n = 0;

	while (n < lx->rest.n && lx->rest.p[n] >= '0' && lx->rest.p[n] <= '9')
		n++;
	/* only a closing bracket or space may follow: 1.5 and a bare 1 are not indexes */
	if (n == lx->rest.n || memchr("] \t\n", lx->rest.p[n], 4) == NULL ||
	    !slice_to_u64(slice_sub(lx->rest, 0, n), &lx->index) || lx->index > INT64_MAX) {
		lx->rest.n = 0;
		return P_END;
	}
	take(lx, n);
	return P_INDEX;
}

static enum path_tok lex_string(struct path_lexer *lx)
{
	size_t n = 0;

	take(lx, 1);
	while (n < lx->rest.n && lx->rest.p[n] != '"' && (lx->words_only || lx->rest.p[n] != ']'))
		n++;
	lx->text = take(lx, n);
	take(lx, 1);
	return P_STRING;
}

static enum path_tok lex_bad(struct path_lexer *lx)
{
	size_t n;

	utf8_decode(lx->rest, &n);
	memcpy(lx->bad, lx->rest.p, n);
	lx->bad[n] = '\0';
	lx->rest.n = 0;
	return P_END;
}

static enum path_tok path_next(struct path_lexer *lx)
{
	size_t n = 1;
	char c;

	while (lx->rest.n > 0 && memchr(" \t\n", lx->rest.p[0], 3) != NULL)
		take(lx, 1);
	if (lx->rest.n == 0)
		return P_END;
	c = lx->rest.p[0];
	if (c == '"')
		return lex_string(lx);
	if (is_word(c, true)) {
		while (n < lx->rest.n && is_word(lx->rest.p[n], false))
			n++;
		lx->text = take(lx, n);
		return P_FIELD;
	}
	if (!lx->words_only && c >= '0' && c <= '9')
		return lex_index(lx);
	if (lx->words_only || (c != '.' && c != '[' && c != ']'))
		return lex_bad(lx);
	take(lx, 1);
	return c == '.' ? P_DOT : c == '[' ? P_LSB : P_RSB;
}

/* ---- errors ---- */

static int unexpected(struct err *err, struct slice expr, const char *tok, const char *expecting)
{
	return err_set(err, ERR_BAD_REQUEST,
		       "cannot parse expression [%.*s]: syntax error: unexpected %s%s%s", SLICE_ARG(expr),
		       tok, expecting != NULL ? ", expecting " : "", expecting != NULL ? expecting : "");
}

static int unexpected_char(struct err *err, struct slice expr, const char *rune)
{
	return err_set(err, ERR_BAD_REQUEST, "cannot parse expression [%.*s]: unexpected char %s",
		       SLICE_ARG(expr), rune);
}

static const char *json_tok_name(enum path_tok tok)
{
	static const char *const names[] = {
		[P_END] = "$end",      [P_DOT] = "DOT",	    [P_LSB] = "LSB",	 [P_RSB] = "RSB",
		[P_STRING] = "STRING", [P_FIELD] = "FIELD", [P_INDEX] = "INDEX",
	};

	return names[tok];
}

/* ---- json ---- */

/* After "[": a string or an index, and "]". */
static int json_bracket(struct path_lexer *lx, struct slice text, struct json_path_step *step,
			struct err *err)
{
	enum path_tok tok = path_next(lx);

	if (tok != P_STRING && tok != P_INDEX)
		return unexpected(err, text, json_tok_name(tok), "STRING or INDEX");
	step->is_index = tok == P_INDEX;
	if (step->is_index)
		step->index = lx->index;
	else
		step->key = lx->text;
	if ((tok = path_next(lx)) != P_RSB)
		return unexpected(err, text, json_tok_name(tok), "RSB");
	return 0;
}

/* One step. tok is its first token; the dot, if any, has been read. */
static int json_step(struct path_lexer *lx, struct slice text, enum path_tok tok, const char *expecting,
		     struct json_path_step *step, struct err *err)
{
	*step = (struct json_path_step){ 0 };
	if (tok == P_FIELD) {
		step->key = lx->text;
		return 0;
	}
	if (tok == P_LSB)
		return json_bracket(lx, text, step, err);
	return unexpected(err, text, json_tok_name(tok), expecting);
}

int json_path_parse(struct slice text, struct arena *a, struct json_path *out, struct err *err)
{
	struct path_lexer lx = { .rest = text };
	size_t n = 0, max = 1;
	enum path_tok tok;

	for (size_t i = 0; i < text.n; i++)
		max += text.p[i] == '.' || text.p[i] == '[';
	struct json_path_step *steps = arena_array(a, struct json_path_step, max);

	for (tok = path_next(&lx); n == 0 || tok != P_END; tok = path_next(&lx)) {
		const char *expecting = n == 0 ? "LSB or FIELD" : NULL;

		if (n > 0 && tok == P_DOT) {
			if ((tok = path_next(&lx)) != P_FIELD)
				return unexpected(err, text, json_tok_name(tok), "FIELD");
		} else if (n > 0 && tok == P_FIELD) {
			return unexpected(err, text, "FIELD", NULL);
		}
		if (json_step(&lx, text, tok, expecting, &steps[n], err) == -1)
			return -1;
		n++;
	}
	if (lx.bad[0] != '\0')
		return unexpected_char(err, text, lx.bad);
	*out = (struct json_path){ n, steps };
	return 0;
}

/* ---- logfmt ---- */

int logfmt_key_parse(struct slice text, struct slice *out, struct err *err)
{
	struct path_lexer lx = { .rest = text, .words_only = true };
	enum path_tok tok = path_next(&lx);

	if (tok == P_END)
		return unexpected(err, text, "$end", "STRING or KEY");
	struct slice key = lx.text;
	tok = path_next(&lx);
	if (tok != P_END)
		return unexpected(err, text, tok == P_STRING ? "STRING" : "KEY", NULL);
	if (lx.bad[0] != '\0')
		return unexpected_char(err, text, lx.bad);
	*out = key;
	return 0;
}
