/* The scan follows Go's text/scanner, whose error texts and positions are what clients of Loki see. A token
 * that is completed by reading on after that base scan (|=, [5m], 5m, --strict) has lost its line: messages
 * say line 0. */
#include "logql/lex.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "logql/funcs.h"
#include "logql/units.h"

enum { RUNE_END = 0xffffffff };

void lex_init(struct lexer *lx, struct slice src, struct arena *a)
{
	size_t nul = slice_find_byte(src, '\0');

	*lx = (struct lexer){ .src = src, .a = a, .at = { 0, src.n > 0, src.n > 0 }, .bad_off = nul };
	lx->bad_msg = "invalid character NUL";
	for (size_t i = ascii_prefix(src), n; i < src.n; i += n) {
		if (utf8_decode(slice_from(src, i), &n) == 0xfffd && n == 1) {
			if (i < lx->bad_off) {
				lx->bad_off = i;
				lx->bad_msg = "invalid UTF-8 encoding";
			}
			break;
		}
	}
	if (slice_starts(src, SLICE("\xef\xbb\xbf"))) {
		lx->at.off = 3;
		lx->at.col++;
	}
}

static int fail(struct lex_error *e, struct logql_pos pos, bool line0, const char *msg)
{
	e->pos = pos;
	e->line0 = line0;
	snprintf(e->msg, sizeof(e->msg), "%.*s", (int)sizeof(e->msg) - 1, msg);
	return -1;
}

/* ---- runes ---- */

static uint32_t rune_at(const struct lexer *lx, size_t off, size_t *n)
{
	*n = 1;
	if (off >= lx->src.n)
		return RUNE_END;
	if ((unsigned char)lx->src.p[off] < 0x80)
		return (unsigned char)lx->src.p[off];
	return utf8_decode(slice_from(lx->src, off), n);
}

static uint32_t peek(const struct lexer *lx)
{
	size_t n;

	return rune_at(lx, lx->at.off, &n);
}

static int peek_byte(const struct lexer *lx, size_t ahead)
{
	size_t off = lx->at.off + ahead;

	return off < lx->src.n ? (unsigned char)lx->src.p[off] : -1;
}

static void step(struct lexer *lx)
{
	size_t n;
	uint32_t r = rune_at(lx, lx->at.off, &n);

	if (r == RUNE_END)
		return;
	lx->at.off += (uint32_t)n;
	lx->at.col++;
	if (r == '\n') {
		lx->at.line++;
		lx->at.col = 1;
	}
}

static void step_to(struct lexer *lx, size_t off)
{
	while (lx->at.off < off)
		step(lx);
}

static bool is_digit(uint32_t r)
{
	return r >= '0' && r <= '9';
}

/* Letters beyond ASCII: everything but the blocks of punctuation, symbols and private use. A rune on the
 * wrong side of this line is an identifier anyway, only a shorter one. */
static bool is_letter(uint32_t r)
{
	static const struct {
		uint32_t from, to;
	} others[] = {
		{ 0x80, 0xa9 },	      { 0xab, 0xb4 },	       { 0xb6, 0xb9 },	   { 0xbb, 0xbf },
		{ 0xd7, 0xd7 },	      { 0xf7, 0xf7 },	       { 0x2c2, 0x2c5 },   { 0x300, 0x36f },
		{ 0x2000, 0x2070 },   { 0x2074, 0x207e },      { 0x20a0, 0x2101 }, { 0x2190, 0x2bff },
		{ 0x3000, 0x3004 },   { 0x3008, 0x3030 },      { 0xd800, 0xf8ff }, { 0xfe00, 0xfe6f },
		{ 0xfeff, 0xff20 },   { 0xff3b, 0xff40 },      { 0xff5b, 0xff65 }, { 0xffe0, 0xffff },
		{ 0x1f000, 0x1faff }, { 0xe0000, 0xffffffff },
	};

	if (r < 0x80)
		return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (r >= others[i].from && r <= others[i].to)
			return false;
	return true;
}

static uint32_t lower(uint32_t r)
{
	return r >= 'A' && r <= 'Z' ? r + 32 : r;
}

/* ---- white space and comments ---- */

/* False for a block comment without end; lx stays at its start. */
static bool skip_block_comment(struct lexer *lx)
{
	size_t end = slice_find(slice_from(lx->src, lx->at.off + 2), SLICE("*/"));

	if (end == SLICE_NONE)
		return false;
	step_to(lx, lx->at.off + 2 + end + 2);
	return true;
}

static void skip_line(struct lexer *lx)
{
	while (peek(lx) != '\n' && peek(lx) != RUNE_END)
		step(lx);
}

static int skip_blank(struct lexer *lx, struct lex_error *e)
{
	for (;;) {
		uint32_t r = peek(lx);

		if (r == ' ' || r == '\t' || r == '\n' || r == '\r') {
			step(lx);
		} else if (r == '#' || (r == '/' && peek_byte(lx, 1) == '/')) {
			skip_line(lx);
		} else if (r == '/' && peek_byte(lx, 1) == '*') {
			if (!skip_block_comment(lx))
				return fail(e, lx->at, false, "comment not terminated");
		} else {
			return 0;
		}
	}
}

/* ---- numbers, durations, sizes ---- */

struct number_scan {
	unsigned base;
	uint32_t prefix; /* 0, or one of x o b and 0 for a leading zero */
	bool digits;	 /* in the mantissa */
	bool is_float;
	bool underscore;
	uint32_t invalid; /* a digit too large for the base */
};

static const char *literal_name(uint32_t prefix)
{
	switch (prefix) {
	case 'x': return "hexadecimal literal";
	case 'o':
	case '0': return "octal literal";
	case 'b': return "binary literal";
	}
	return "decimal literal";
}

/* Returns whether there was a digit. */
static bool scan_digits(struct lexer *lx, struct number_scan *ns, bool exponent)
{
	bool any = false;

	for (;; step(lx)) {
		uint32_t r = peek(lx);
		bool hex = !exponent && ns->base == 16 && lower(r) >= 'a' && lower(r) <= 'f';

		if (r == '_') {
			ns->underscore = true;
			continue;
		}
		if (!is_digit(r) && !hex)
			return any;
		if (!exponent && !hex && r - '0' >= ns->base && ns->invalid == 0)
			ns->invalid = r;
		any = true;
	}
}

/* 0, 0x, 0o, 0b */
static void scan_prefix(struct lexer *lx, struct number_scan *ns)
{
	int next = peek_byte(lx, 1);
	uint32_t c = next < 0 ? 0 : lower((uint32_t)next);

	if (peek(lx) != '0')
		return;
	step(lx);
	ns->prefix = c == 'x' || c == 'o' || c == 'b' ? c : '0';
	ns->base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
	if (ns->prefix == '0')
		ns->digits = true;
	else
		step(lx);
}

static bool underscores_ok(struct slice s, bool prefixed)
{
	bool after_digit = prefixed;

	for (size_t i = prefixed ? 2 : 0; i < s.n; i++) {
		bool digit = is_digit((unsigned char)s.p[i]) || (prefixed && text_hex_digit(s.p[i]) >= 0);

		if (s.p[i] == '_' && !(after_digit && i + 1 < s.n))
			return false;
		if (!digit && i > 0 && s.p[i - 1] == '_')
			return false;
		after_digit = digit;
	}
	return true;
}

static int scan_exponent(struct lexer *lx, struct number_scan *ns, struct logql_pos start,
			 struct lex_error *e)
{
	uint32_t r = peek(lx);
	char msg[64];

	/* a capital P is left for the petabytes of 1P and 1PB */
	if (lower(r) != 'e' && r != 'p' && !(r == 'P' && ns->prefix == 'x')) {
		if (ns->prefix == 'x' && ns->is_float)
			return fail(e, start, false, "hexadecimal mantissa requires a 'p' exponent");
		return 0;
	}
	if ((lower(r) == 'e' && ns->prefix != 0 && ns->prefix != '0') || (r == 'p' && ns->prefix != 'x')) {
		snprintf(msg, sizeof(msg), "'%c' exponent requires %s mantissa", (int)r,
			 r == 'p' ? "hexadecimal" : "decimal");
		return fail(e, start, false, msg);
	}
	step(lx);
	ns->is_float = true;
	if (peek(lx) == '+' || peek(lx) == '-')
		step(lx);
	if (!scan_digits(lx, ns, true))
		return fail(e, start, false, "exponent has no digits");
	return 0;
}

/* A numeric literal in Go's syntax. */
static int scan_number(struct lexer *lx, struct logql_pos start, struct lex_error *e)
{
	struct number_scan ns = { .base = 10 };
	char msg[64];

	scan_prefix(lx, &ns);
	ns.digits = scan_digits(lx, &ns, false) || ns.digits;
	if (peek(lx) == '.') {
		step(lx);
		ns.is_float = true;
		if (ns.prefix == 'o' || ns.prefix == 'b') {
			snprintf(msg, sizeof(msg), "invalid radix point in %s", literal_name(ns.prefix));
			return fail(e, start, false, msg);
		}
		ns.digits = scan_digits(lx, &ns, false) || ns.digits;
	}
	if (!ns.digits) {
		snprintf(msg, sizeof(msg), "%s has no digits", literal_name(ns.prefix));
		return fail(e, start, false, msg);
	}
	if (scan_exponent(lx, &ns, start, e) == -1)
		return -1;
	if (!ns.is_float && ns.invalid != 0) {
		snprintf(msg, sizeof(msg), "invalid digit '%c' in %s", (int)ns.invalid,
			 literal_name(ns.prefix));
		return fail(e, start, false, msg);
	}
	if (ns.underscore && !underscores_ok(slice_sub(lx->src, start.off, lx->at.off - start.off),
					     ns.prefix != 0 && ns.prefix != '0'))
		return fail(e, start, false, "'_' must separate successive digits");
	return 0;
}

/* End of the run of bytes, from the current offset on, that may continue a duration or a size. */
static size_t unit_run(const struct lexer *lx, struct slice units)
{
	size_t off = lx->at.off;

	while (off < lx->src.n) {
		struct slice rest = slice_from(lx->src, off);
		bool micro = slice_starts(rest, SLICE("\xc2\xb5")) && slice_is(units, "numshdwy");

		if (micro)
			off += 2;
		else if (is_digit((unsigned char)rest.p[0]) || rest.p[0] == '.' ||
			 (rest.p[0] != '\0' && memchr(units.p, rest.p[0], units.n) != NULL))
			off++;
		else
			break;
	}
	return off;
}

static bool parse_duration(struct slice text, int64_t *out_ns)
{
	struct err ignored;

	return units_parse_prom_duration(text, out_ns, &ignored) == 0 ||
	       units_parse_go_duration(text, out_ns, &ignored) == 0;
}

/* What began at `start` (a number, or a minus sign) may go on as a duration. */
static bool try_duration(struct lexer *lx, struct token *t)
{
	size_t end = unit_run(lx, SLICE("numshdwy"));
	struct slice text = slice_sub(lx->src, t->pos.off, end - t->pos.off);

	if (end == lx->at.off || !parse_duration(text, &t->duration_ns))
		return false;
	step_to(lx, end);
	t->kind = TOK_DURATION;
	t->line0 = true;
	return true;
}

static bool try_bytes(struct lexer *lx, struct token *t)
{
	size_t end = unit_run(lx, SLICE("BikKMGTP"));
	struct slice text = slice_sub(lx->src, t->pos.off, end - t->pos.off);
	struct err ignored;

	if (end == lx->at.off || units_parse_bytes(text, &t->bytes, &ignored) == -1)
		return false;
	step_to(lx, end);
	t->kind = TOK_BYTES;
	t->line0 = true;
	return true;
}

static int lex_number(struct lexer *lx, struct token *t, struct lex_error *e)
{
	if (scan_number(lx, t->pos, e) == -1)
		return -1;
	if (!try_duration(lx, t) && !try_bytes(lx, t))
		t->kind = TOK_NUMBER;
	return 0;
}

/* ---- strings ---- */

static size_t escape_digits(const struct lexer *lx, size_t max, unsigned base)
{
	size_t n = 0;

	for (; n < max; n++) {
		int c = peek_byte(lx, n), d = c < 0 ? -1 : text_hex_digit((char)c);

		if (d < 0 || (unsigned)d >= base)
			break;
	}
	return n;
}

/* After a backslash: steps over the escape. */
static bool scan_escape(struct lexer *lx, char quote)
{
	uint32_t c = peek(lx);
	size_t n;

	if (c == RUNE_END)
		return true; /* reported as an unterminated literal */
	if (c != 0 && c < 0x80 && (c == (unsigned char)quote || strchr("abfnrtv\\", (int)c) != NULL)) {
		step(lx);
		return true;
	}
	if (c >= '0' && c <= '7') {
		n = 3;
	} else {
		n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
		if (n > 0)
			step(lx);
	}
	if (n == 0 || escape_digits(lx, n, c <= '7' ? 8 : 16) != n)
		return false;
	step_to(lx, lx->at.off + n);
	return true;
}

/* Steps over a literal from its opening to its closing quote; *n_runes is what stands between. */
static int scan_quoted(struct lexer *lx, struct token *t, size_t *n_runes, struct lex_error *e)
{
	char quote = lx->src.p[lx->at.off];

	*n_runes = 0;
	for (step(lx); peek(lx) != (unsigned char)quote; (*n_runes)++) {
		uint32_t r = peek(lx);

		if (r == RUNE_END || (r == '\n' && quote != '`'))
			return fail(e, t->pos, false, "literal not terminated");
		step(lx);
		if (r == '\\' && quote != '`' && !scan_escape(lx, quote))
			return fail(e, t->pos, false, "invalid char escape");
	}
	step(lx);
	return 0;
}

static int lex_string(struct lexer *lx, struct token *t, struct lex_error *e)
{
	struct slice raw;
	struct buf value;
	size_t n;

	if (scan_quoted(lx, t, &n, e) == -1)
		return -1;
	raw = slice_sub(lx->src, t->pos.off, lx->at.off - t->pos.off);
	t->kind = TOK_STRING;
	if (raw.p[0] == '`' || memchr(raw.p, '\\', raw.n) == NULL) {
		t->text = slice_sub(raw, 1, raw.n - 2);
		return 0;
	}
	buf_init(&value);
	n = text_go_unquote(&value, raw);
	t->text = arena_dup(lx->a, buf_slice(&value));
	buf_fini(&value);
	return n == raw.n ? 0 : fail(e, t->pos, false, "invalid syntax");
}

/* 'a' counts as an identifier, so it is found where a string was wanted. */
static int lex_char(struct lexer *lx, struct token *t, struct lex_error *e)
{
	size_t n;

	if (scan_quoted(lx, t, &n, e) == -1)
		return -1;
	if (n != 1)
		return fail(e, t->pos, false, "invalid char literal");
	t->kind = TOK_IDENT;
	return 0;
}

/* [5m] */
static int lex_range(struct lexer *lx, struct token *t, struct lex_error *e)
{
	size_t n = slice_find_byte(slice_from(lx->src, lx->at.off), ']');
	struct err err;

	if (n == SLICE_NONE)
		return fail(e, t->pos, true, "missing closing ']' in duration");
	if (units_parse_prom_duration(slice_sub(lx->src, lx->at.off, n), &t->duration_ns, &err) == -1)
		return fail(e, t->pos, true, err.msg);
	step_to(lx, lx->at.off + n + 1);
	t->kind = TOK_RANGE;
	t->line0 = true;
	return 0;
}

/* ---- words and punctuation ---- */

/* --strict, --keep-empty: the whole run of letters and dashes after the first dash must be the flag. */
static bool try_flag(struct lexer *lx, struct token *t)
{
	size_t n = 0;
	int c;

	while ((c = peek_byte(lx, n)) == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		n++;
	struct slice run = slice_sub(lx->src, lx->at.off, n);
	if (!slice_is(run, "-strict") && !slice_is(run, "-keep-empty"))
		return false;
	step_to(lx, lx->at.off + n);
	t->kind = TOK_FLAG;
	t->line0 = true;
	return true;
}

static size_t skip_spaces(struct slice s, size_t i)
{
	while (i < s.n && memchr(" \t\r\n\v\f", s.p[i], 6) != NULL)
		i++;
	return i;
}

/* A function word is one only in front of "(", "by (" or "without (". */
static bool followed_by_paren(const struct lexer *lx)
{
	struct slice s = slice_from(lx->src, lx->at.off);
	size_t i = skip_spaces(s, 0);

	if (slice_eq_nocase(slice_sub(s, i, 2), SLICE("by")))
		i = skip_spaces(s, i + 2);
	else if (slice_eq_nocase(slice_sub(s, i, 7), SLICE("without")))
		i = skip_spaces(s, i + 7);
	return i < s.n && s.p[i] == '(';
}

struct word {
	const char *text;
	enum tok kind;
	int op;
};

static const struct word keywords[] = {
#define KEYWORD(sym, text) { text, sym, 0 },
#include "logql/tokens.def"
};

static const struct word function_words[] = {
#define WORD(sym, text, spelling) { text, sym, 0 },
#include "logql/tokens.def"
#define RANGE_FUNC(sym, name, unwrap, grouping, doc) { name, TOK_RANGE_OP, sym },
#define VECTOR_FUNC(sym, name, param, doc)	     { name, TOK_VECTOR_OP, sym },
#define CONV_FUNC(sym, name, doc)		     { name, TOK_CONV, sym },
#include "logql/funcs.def"
};

static const struct word puncts[] = {
#define PUNCT(sym, text) { text, sym, 0 },
#include "logql/tokens.def"
};

static const struct word *word_find(const struct word *words, size_t n, struct slice text)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_nocase(text, slice_cstr(words[i].text)))
			return &words[i];
	return NULL;
}

static void lex_word(struct lexer *lx, struct token *t)
{
	const struct word *w;
	uint32_t r;

	while (is_letter(r = peek(lx)) || is_digit(r)) {
		t->non_ascii = t->non_ascii || r >= 0x80;
		step(lx);
	}
	struct slice text = slice_sub(lx->src, t->pos.off, lx->at.off - t->pos.off);
	t->kind = TOK_IDENT;
	if ((w = word_find(function_words, ARRAY_LEN(function_words), text)) != NULL) {
		if (!followed_by_paren(lx))
			return;
	} else if ((w = word_find(keywords, ARRAY_LEN(keywords), text)) == NULL) {
		return;
	}
	t->kind = w->kind;
	t->op = w->op;
}

/* The longest operator; a rune that begins none is an identifier of its own. */
static void lex_punct(struct lexer *lx, struct token *t)
{
	for (size_t n = 2; n > 0; n--) {
		struct slice text = slice_sub(lx->src, t->pos.off, n);
		const struct word *w = text.n == n ? word_find(puncts, ARRAY_LEN(puncts), text) : NULL;

		if (w != NULL) {
			step_to(lx, t->pos.off + n);
			t->kind = w->kind;
			t->line0 = n == 2;
			return;
		}
	}
	step(lx);
	t->kind = TOK_IDENT;
}

static int lex_dash(struct lexer *lx, struct token *t)
{
	step(lx);
	t->kind = TOK_SUB;
	if (peek(lx) == '-')
		try_flag(lx, t);
	else
		try_duration(lx, t);
	return 0;
}

static int lex_token(struct lexer *lx, struct token *t, struct lex_error *e)
{
	uint32_t r = peek(lx);
	int next = peek_byte(lx, 1);

	if (r == RUNE_END)
		return 0;
	if (is_digit(r) || (r == '.' && next >= 0 && is_digit((uint32_t)next)))
		return lex_number(lx, t, e);
	if (r == '"' || r == '`')
		return lex_string(lx, t, e);
	if (r == '\'')
		return lex_char(lx, t, e);
	if (r == '-')
		return lex_dash(lx, t);
	if (r == '[') {
		step(lx);
		return lex_range(lx, t, e);
	}
	if (is_letter(r))
		lex_word(lx, t);
	else
		lex_punct(lx, t);
	return 0;
}

int lex_next(struct lexer *lx, struct token *out, struct lex_error *e)
{
	struct token t = { .kind = TOK_END };

	if (skip_blank(lx, e) == -1)
		return -1;
	/* the scanner reads one rune ahead, so a bad byte is blamed on the token before it */
	if (lx->bad_off <= lx->at.off)
		return fail(e, lx->prev, true, lx->bad_msg);
	t.pos = lx->at;
	if (lex_token(lx, &t, e) == -1)
		return -1;
	if (lx->bad_off <= lx->at.off)
		return fail(e, t.pos, t.line0, lx->bad_msg);
	if (t.kind != TOK_STRING)
		t.text = slice_sub(lx->src, t.pos.off, lx->at.off - t.pos.off);
	lx->prev = t.pos;
	*out = t;
	return 0;
}

void lex_spelling(const struct token *t, char out[40])
{
	static const char *const spellings[TOK_N] = {
#define TOKEN(sym, spelling)	  [sym] = spelling,
#define PUNCT(sym, text)	  [sym] = text,
#define KEYWORD(sym, text)	  [sym] = text,
#define WORD(sym, text, spelling) [sym] = spelling,
#include "logql/tokens.def"
	};
	const char *name;

	switch (t->kind) {
	case TOK_RANGE_OP: name = range_funcs[t->op].name; break;
	case TOK_VECTOR_OP: name = vector_funcs[t->op].name; break;
	case TOK_CONV: name = unwrap_conv_name((enum unwrap_conv)t->op); break;
	default: snprintf(out, 40, "%s", spellings[t->kind]); return;
	}
	size_t i = 0;
	for (; name[i] != '\0'; i++)
		out[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
	snprintf(out + i, 40 - i, "%s", t->kind == TOK_CONV ? "_CONV" : "");
}
