#include "logql/tmpl_lex.h"

#include <assert.h>
#include "base/fold.h"
#include "base/text.h"
#include "base/vec.h"

struct tmpl_lexer {
	struct slice in;
	size_t start, pos; /* of the token being read */
	uint32_t start_line, line;
	unsigned parens;
	bool inside; /* an action */
	struct arena *a;
	struct tmpl_tokens *out;
};

enum { END = 0x110000 }; /* no rune: the end of the text */

/* ---- reading ---- */

static struct slice rest(const struct tmpl_lexer *l)
{
	return slice_from(l->in, l->pos);
}

static uint32_t peek(const struct tmpl_lexer *l, size_t *n)
{
	*n = 0;
	return l->pos < l->in.n ? utf8_decode(rest(l), n) : END;
}

static uint32_t next(struct tmpl_lexer *l)
{
	size_t n;
	uint32_t r = peek(l, &n);

	l->pos += n;
	l->line += r == '\n';
	return r;
}

static bool is_space(uint32_t r)
{
	return r == ' ' || r == '\t' || r == '\r' || r == '\n';
}

static bool is_word(uint32_t r)
{
	return r == '_' || (r < END && rune_is_alnum(r));
}

static bool accept(struct tmpl_lexer *l, const char *set)
{
	if (l->pos == l->in.n || l->in.p[l->pos] == '\0' || strchr(set, l->in.p[l->pos]) == NULL)
		return false;
	l->pos++;
	return true;
}

static void accept_run(struct tmpl_lexer *l, const char *set)
{
	while (accept(l, set))
		;
}

/* ---- tokens ---- */

static uint32_t count_lines(struct slice s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static void drop(struct tmpl_lexer *l)
{
	l->start = l->pos;
	l->start_line = l->line;
}

/* Moves on over n bytes of which none has been read by next(). */
static void skip(struct tmpl_lexer *l, size_t n)
{
	l->line += count_lines(slice_sub(l->in, l->pos, n));
	l->pos += n;
}

static void emit(struct tmpl_lexer *l, enum tmpl_tok kind)
{
	struct tmpl_token t = { kind, (uint32_t)l->start, l->start_line,
				slice_sub(l->in, l->start, l->pos - l->start) };

	vec_push(l->out, t);
	drop(l);
}

/* Nothing more is read. */
static void fail(struct tmpl_lexer *l, const char *msg)
{
	struct tmpl_token t = { TMPL_TOK_ERROR, (uint32_t)l->start, l->start_line, slice_cstr(msg) };

	vec_push(l->out, t);
	l->pos = l->in.n;
	l->start = l->pos;
	l->inside = false;
}

/* U+0041 'A' */
static const char *rune_name(struct arena *a, uint32_t r)
{
	char utf8[4];
	struct slice c = slice_of(utf8, utf8_encode(utf8, r));
	struct buf quoted;

	buf_init(&quoted);
	text_go_quote(&quoted, c);
	bool plain = (quoted.n == c.n + 2 || r == '"' || r == '\\') && r >= ' ';
	buf_fini(&quoted);
	return plain ? arena_printf(a, "U+%04X '%.*s'", r, SLICE_ARG(c)) : arena_printf(a, "U+%04X", r);
}

static void fail_rune(struct tmpl_lexer *l, const char *what, uint32_t r)
{
	fail(l, arena_printf(l->a, "%s %s", what, rune_name(l->a, r)));
}

/* ---- outside of actions ---- */

static bool trims_left(struct slice s)
{
	return s.n >= 2 && s.p[0] == '-' && is_space((unsigned char)s.p[1]);
}

static bool trims_right(struct slice s)
{
	return s.n >= 2 && is_space((unsigned char)s.p[0]) && s.p[1] == '-';
}

/* 0: no right delimiter here; its length without trim marker is 2, with it 4. */
static size_t right_delim(struct slice s)
{
	if (trims_right(s) && slice_starts(slice_from(s, 2), SLICE("}}")))
		return 4;
	return slice_starts(s, SLICE("}}")) ? 2 : 0;
}

static size_t leading_space(struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_space((unsigned char)s.p[n]))
		n++;
	return n;
}

static void lex_comment(struct tmpl_lexer *l)
{
	size_t end = slice_find(slice_from(rest(l), 2), SLICE("*/"));

	if (end == SLICE_NONE) {
		fail(l, "unclosed comment");
		return;
	}
	skip(l, end + 4);
	size_t delim = right_delim(rest(l));
	if (delim == 0) {
		fail(l, "comment ends before closing delimiter");
		return;
	}
	skip(l, delim);
	if (delim == 4)
		skip(l, leading_space(rest(l)));
	drop(l);
}

static void lex_left(struct tmpl_lexer *l)
{
	struct slice after = slice_from(rest(l), 2);
	size_t marker = trims_left(after) ? 2 : 0;

	if (slice_starts(slice_from(after, marker), SLICE("/*"))) {
		skip(l, 2 + marker);
		drop(l);
		lex_comment(l);
		return;
	}
	l->pos += 2;
	emit(l, TMPL_TOK_LEFT);
	skip(l, marker);
	drop(l);
	l->inside = true;
	l->parens = 0;
}

static void lex_text(struct tmpl_lexer *l)
{
	size_t n = slice_find(rest(l), SLICE("{{")), keep;

	if (n == SLICE_NONE) {
		skip(l, rest(l).n);
		if (l->pos > l->start)
			emit(l, TMPL_TOK_TEXT);
		return;
	}
	keep = n;
	if (trims_left(slice_from(rest(l), n + 2)))
		while (keep > 0 && is_space((unsigned char)l->in.p[l->pos + keep - 1]))
			keep--;
	skip(l, keep);
	if (l->pos > l->start)
		emit(l, TMPL_TOK_TEXT);
	skip(l, n - keep);
	drop(l);
	lex_left(l);
}

/* ---- inside ---- */

static void lex_right(struct tmpl_lexer *l, size_t delim)
{
	if (delim == 4) {
		skip(l, 2);
		drop(l);
	}
	l->pos += 2;
	emit(l, TMPL_TOK_RIGHT);
	if (delim == 4) {
		skip(l, leading_space(rest(l)));
		drop(l);
	}
	l->inside = false;
}

/* The last space may belong to a closing delimiter with a trim marker. */
static void lex_space(struct tmpl_lexer *l)
{
	size_t n = leading_space(rest(l));

	if (right_delim(slice_from(rest(l), n - 1)) == 4)
		n--;
	if (n == 0) {
		lex_right(l, 4);
		return;
	}
	skip(l, n);
	emit(l, TMPL_TOK_SPACE);
}

/* May a word end here? */
static bool at_terminator(const struct tmpl_lexer *l)
{
	size_t n;
	uint32_t r = peek(l, &n);

	return r == END || is_space(r) || (r < 0x80 && r != 0 && strchr(".,|:)(", (int)r) != NULL) ||
	       slice_starts(rest(l), SLICE("}}"));
}

static bool read_word(struct tmpl_lexer *l)
{
	size_t n;

	while (is_word(peek(l, &n)))
		l->pos += n;
	if (at_terminator(l))
		return true;
	fail_rune(l, "bad character", peek(l, &n));
	return false;
}

static enum tmpl_tok word_kind(struct slice w)
{
	static const struct {
		const char *word;
		enum tmpl_tok kind;
	} words[] = {
		{ "block", TMPL_TOK_BLOCK },
		{ "break", TMPL_TOK_BREAK },
		{ "continue", TMPL_TOK_CONTINUE },
		{ "define", TMPL_TOK_DEFINE },
		{ "else", TMPL_TOK_ELSE },
		{ "end", TMPL_TOK_END },
		{ "if", TMPL_TOK_IF },
		{ "range", TMPL_TOK_RANGE },
		{ "nil", TMPL_TOK_NIL },
		{ "template", TMPL_TOK_TEMPLATE },
		{ "with", TMPL_TOK_WITH },
		{ "true", TMPL_TOK_BOOL },
		{ "false", TMPL_TOK_BOOL },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_is(w, words[i].word))
			return words[i].kind;
	return TMPL_TOK_IDENT;
}

static void lex_word(struct tmpl_lexer *l)
{
	if (read_word(l))
		emit(l, word_kind(slice_sub(l->in, l->start, l->pos - l->start)));
}

/* Behind . or $ */
static void lex_name(struct tmpl_lexer *l, enum tmpl_tok alone, enum tmpl_tok named)
{
	if (at_terminator(l))
		emit(l, alone);
	else if (read_word(l))
		emit(l, named);
}

static void lex_quoted(struct tmpl_lexer *l, uint32_t quote, enum tmpl_tok kind, const char *unterminated)
{
	for (;;) {
		uint32_t r = next(l);

		if (r == quote)
			break;
		if (r == '\\' && quote != '`')
			r = next(l) == '\n' ? '\n' : l->pos == l->in.n ? (uint32_t)END : 'x';
		if (r == END || (r == '\n' && quote != '`')) {
			fail(l, unterminated);
			return;
		}
	}
	emit(l, kind);
}

static bool scan_number(struct tmpl_lexer *l)
{
	static const char hex[] = "0123456789abcdefABCDEF_", decimal[] = "0123456789_";
	const char *digits = decimal;
	size_t n;

	accept(l, "+-");
	if (accept(l, "0")) {
		if (accept(l, "xX"))
			digits = hex;
		else if (accept(l, "oO"))
			digits = "01234567_";
		else if (accept(l, "bB"))
			digits = "01_";
	}
	accept_run(l, digits);
	if (accept(l, "."))
		accept_run(l, digits);
	if ((digits == decimal && accept(l, "eE")) || (digits == hex && accept(l, "pP"))) {
		accept(l, "+-");
		accept_run(l, decimal);
	}
	accept(l, "i");
	if (!is_word(peek(l, &n)))
		return true;
	l->pos += n;
	return false;
}

static void fail_number(struct tmpl_lexer *l)
{
	struct buf b;

	buf_init(&b);
	buf_puts(&b, "bad number syntax: ");
	text_go_quote(&b, slice_sub(l->in, l->start, MIN(l->pos - l->start, (size_t)200)));
	fail(l, arena_cstr(l->a, buf_slice(&b)));
	buf_fini(&b);
}

static void lex_number(struct tmpl_lexer *l)
{
	l->pos = l->start;
	if (!scan_number(l)) {
		fail_number(l);
	} else if (l->pos < l->in.n && (l->in.p[l->pos] == '+' || l->in.p[l->pos] == '-')) {
		if (scan_number(l) && l->in.p[l->pos - 1] == 'i')
			emit(l, TMPL_TOK_COMPLEX);
		else
			fail_number(l);
	} else {
		emit(l, TMPL_TOK_NUMBER);
	}
}

static void lex_paren(struct tmpl_lexer *l, bool open)
{
	if (!open && l->parens == 0) {
		fail(l, "unexpected right paren");
		return;
	}
	l->parens += open ? 1u : -1u;
	emit(l, open ? TMPL_TOK_LPAREN : TMPL_TOK_RPAREN);
}

static void lex_inside(struct tmpl_lexer *l)
{
	size_t delim = right_delim(rest(l));

	if (delim > 0) {
		if (l->parens == 0)
			lex_right(l, delim);
		else
			fail(l, "unclosed left paren");
		return;
	}
	size_t n;
	uint32_t r = peek(l, &n);
	if (is_space(r)) {
		lex_space(l);
		return;
	}
	bool digit_next = l->pos + 1 < l->in.n && l->in.p[l->pos + 1] >= '0' && l->in.p[l->pos + 1] <= '9';
	bool last = l->pos + 1 == l->in.n;
	l->pos += n;
	switch (r) {
	case END: fail(l, "unclosed action"); return;
	case '=': emit(l, TMPL_TOK_ASSIGN); return;
	case '|': emit(l, TMPL_TOK_PIPE); return;
	case '(':
	case ')': lex_paren(l, r == '('); return;
	case '"': lex_quoted(l, r, TMPL_TOK_STRING, "unterminated quoted string"); return;
	case '`': lex_quoted(l, r, TMPL_TOK_RAW, "unterminated raw quoted string"); return;
	case '\'': lex_quoted(l, r, TMPL_TOK_RUNE, "unterminated character constant"); return;
	case '$': lex_name(l, TMPL_TOK_VAR, TMPL_TOK_VAR); return;
	case ':':
		if (next(l) == '=')
			emit(l, TMPL_TOK_DECLARE);
		else
			fail(l, "expected :=");
		return;
	case '.':
		if (last || digit_next)
			lex_number(l);
		else
			lex_name(l, TMPL_TOK_DOT, TMPL_TOK_FIELD);
		return;
	default: break;
	}
	if (r == '+' || r == '-' || (r >= '0' && r <= '9'))
		lex_number(l);
	else if (is_word(r))
		lex_word(l);
	else if (r > ' ' && r < 0x7f)
		emit(l, TMPL_TOK_CHAR);
	else
		fail_rune(l, "unrecognized character in action:", r);
}

void tmpl_lex(struct slice text, struct arena *a, struct tmpl_tokens *out)
{
	struct tmpl_lexer l = { .in = text, .start_line = 1, .line = 1, .a = a, .out = out };

	assert(text.n < UINT32_MAX);
	while (l.inside || l.pos < l.in.n) {
		if (l.inside)
			lex_inside(&l);
		else
			lex_text(&l);
	}
	vec_push(out, ((struct tmpl_token){ TMPL_TOK_EOF, (uint32_t)text.n, l.line, SLICE("EOF") }));
}
