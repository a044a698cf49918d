/* base/re_parse.c - the syntax of Go's regexp package. A shift-reduce parser without recursion: nodes wait on
 * a stack until a ")", a "|" or the end joins what lies above the last "(" or "|". An alternation under
 * construction is kept as: nodes..., "|", and the concatenation that is being read. */
#include "base/re_parse.h"

#include "base/buf.h"
#include "base/fold.h"
#include "base/re_class.h"
#include "base/re_factor.h"
#include "base/text.h"
#include "base/vec.h"

enum { FLAG_FOLD = 1, FLAG_MULTILINE = 2, FLAG_DOT_NL = 4, FLAG_LAZY = 8 };
enum { MAX_REPEAT = 1000, BIG_REPEAT = 100000000 };
#define NO_RUNE UINT32_MAX

struct item {
	enum { ITEM_NODE, ITEM_PAREN, ITEM_BAR } kind;
	struct re_node *node; /* of ITEM_NODE */
	unsigned flags;	      /* of ITEM_PAREN: to go back to */
	bool captures;
	struct slice name;
};

struct parser {
	struct slice whole, rest;
	struct slice last_repeat; /* text from the repetition just read; absent if the last thing was none */
	unsigned flags;
	struct arena *a;
	VEC(struct item) stack;
	VEC(struct slice) names;
	struct buf bare;
	size_t bare_done; /* bytes of `whole` that are in `bare` */
	struct err *err;
};

static int fail(struct parser *p, const char *kind, struct slice at)
{
	return err_set(p->err, ERR_BAD_REQUEST, "error parsing regexp: %s: `%.*s`", kind, SLICE_ARG(at));
}

/* The text from `from` up to where `rest` begins. */
static struct slice upto(struct slice from, struct slice rest)
{
	return slice_sub(from, 0, from.n - rest.n);
}

/* NO_RUNE at the end. */
static int next_rune(struct parser *p, struct slice *t, uint32_t *out)
{
	size_t n;

	*out = NO_RUNE;
	if (t->n == 0)
		return 0;
	uint32_t r = utf8_decode(*t, &n);
	if (r == 0xfffd && n == 1)
		return fail(p, "invalid UTF-8", *t);
	*out = r;
	*t = slice_from(*t, n);
	return 0;
}

static int check_utf8(struct parser *p, struct slice s)
{
	uint32_t r;

	while (s.n > 0)
		if (next_rune(p, &s, &r) == -1)
			return -1;
	return 0;
}

/* Two literals on top of the stack become one. */
static void merge_literals(struct parser *p)
{
	size_t n = p->stack.n;

	if (n < 2 || p->stack.v[n - 1].kind != ITEM_NODE || p->stack.v[n - 2].kind != ITEM_NODE)
		return;
	struct re_node *top = p->stack.v[n - 1].node, *below = p->stack.v[n - 2].node;
	if (top->op != RE_OP_LITERAL || below->op != RE_OP_LITERAL || top->fold != below->fold)
		return;
	re_lit_append(p->a, &below->lit, top->lit);
	p->stack.n--;
}

static void node_make_literal(struct parser *p, struct re_node *node, uint32_t rune, bool fold)
{
	char utf8[4];

	node->op = RE_OP_LITERAL;
	node->fold = fold;
	node->class_ = NULL;
	node->lit = slice_of(NULL, 0);
	re_lit_append(p->a, &node->lit, slice_of(utf8, utf8_encode(utf8, fold ? rune_fold(rune) : rune)));
}

/* [a] and [Aa] are literals. */
static void class_to_literal(struct parser *p, struct re_node *node)
{
	const struct re_class *c = node->class_;
	uint32_t orbit[RUNE_MAX_ORBIT], lo, hi;

	if (node->op != RE_OP_CLASS || c->opaque || c->n == 0 || c->n > 2)
		return;
	lo = c->range[0].lo;
	hi = c->range[c->n - 1].hi;
	if (c->n == 1 && lo == hi)
		node_make_literal(p, node, lo, false);
	else if ((c->n == 1 ? lo + 1 == hi : c->range[0].hi == lo && c->range[1].lo == hi) &&
		 rune_orbit(lo, orbit) == 2 && rune_fold(lo) == rune_fold(hi))
		node_make_literal(p, node, lo, true);
}

static int push(struct parser *p, struct re_node *node)
{
	if (node->height > RE_MAX_HEIGHT)
		return fail(p, "expression nests too deeply", p->whole);
	class_to_literal(p, node);
	merge_literals(p);
	vec_push(&p->stack, ((struct item){ .kind = ITEM_NODE, .node = node }));
	return 0;
}

static int push_op(struct parser *p, enum re_op op)
{
	return push(p, re_node_new(p->a, op));
}

static int push_literal(struct parser *p, uint32_t rune)
{
	struct re_node *node = re_node_new(p->a, RE_OP_LITERAL);

	node_make_literal(p, node, rune, (p->flags & FLAG_FOLD) != 0);
	return push(p, node);
}

/* Takes the nodes above the last "(" or "|" off the stack. */
static struct re_node **pop_nodes(struct parser *p, size_t *n)
{
	size_t from = p->stack.n;

	while (from > 0 && p->stack.v[from - 1].kind == ITEM_NODE)
		from--;
	*n = p->stack.n - from;
	struct re_node **sub = arena_array(p->a, struct re_node *, *n + 1);
	for (size_t i = 0; i < *n; i++)
		sub[i] = p->stack.v[from + i].node;
	p->stack.n = from;
	return sub;
}

static int reduce_concat(struct parser *p)
{
	size_t n;

	merge_literals(p);
	struct re_node **sub = pop_nodes(p, &n);
	return n == 0 ? push_op(p, RE_OP_EMPTY) : push(p, re_collapse(p->a, sub, n, RE_OP_CONCAT));
}

static int reduce_alternate(struct parser *p)
{
	size_t n;
	struct re_node **sub = pop_nodes(p, &n);

	if (n == 0)
		return push_op(p, RE_OP_NOTHING);
	re_clean_one_rune(sub[n - 1]);
	return push(p, re_collapse(p->a, sub, n, RE_OP_ALTERNATE));
}

static bool is_one_rune(const struct item *item)
{
	return item->kind == ITEM_NODE && re_is_one_rune(item->node);
}

/* With "alternative | new" on top: moves the bar up, or joins both into one class. False if there is no bar.
 */
static bool swap_bar(struct parser *p)
{
	size_t n = p->stack.n;
	struct item *top = n > 0 ? &p->stack.v[n - 1] : NULL;

	if (n < 2 || top[-1].kind != ITEM_BAR)
		return false;
	if (n >= 3 && is_one_rune(top) && is_one_rune(top - 2)) {
		struct re_node *into = top[-2].node, *from = top->node;

		if (re_rank(from) > re_rank(into)) {
			into = top->node;
			from = top[-2].node;
		}
		re_merge_one_rune(p->a, into, from);
		top[-2].node = into;
		p->stack.n--;
		return true;
	}
	if (n >= 3 && top[-2].kind == ITEM_NODE)
		re_clean_one_rune(top[-2].node);
	struct item bar = top[-1];
	top[-1] = *top;
	*top = bar;
	return true;
}

static int parse_bar(struct parser *p)
{
	if (reduce_concat(p) == -1)
		return -1;
	if (!swap_bar(p))
		vec_push(&p->stack, ((struct item){ .kind = ITEM_BAR }));
	return 0;
}

/* Joins all that lies above the last "(". */
static int reduce_group(struct parser *p)
{
	if (reduce_concat(p) == -1)
		return -1;
	if (swap_bar(p))
		p->stack.n--;
	return reduce_alternate(p);
}

static void open_group(struct parser *p, bool captures, struct slice name)
{
	vec_push(
		&p->stack,
		((struct item){ .kind = ITEM_PAREN, .flags = p->flags, .captures = captures, .name = name }));
	if (captures)
		vec_push(&p->names, name);
}

static int close_group(struct parser *p)
{
	if (reduce_group(p) == -1)
		return -1;
	if (p->stack.n < 2 || p->stack.v[p->stack.n - 2].kind != ITEM_PAREN)
		return fail(p, "unexpected )", p->whole);
	struct re_node *node = p->stack.v[p->stack.n - 1].node;
	struct item paren = p->stack.v[p->stack.n - 2];
	p->stack.n -= 2;
	p->flags = paren.flags;
	if (paren.captures) {
		struct re_node *capture = re_node_new(p->a, RE_OP_CAPTURE);
		struct re_node **sub = arena_array(p->a, struct re_node *, 1);

		sub[0] = node;
		re_node_set_subs(capture, sub, 1);
		capture->name = paren.name;
		node = capture;
	}
	return push(p, node);
}

static bool is_word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_ok(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_word_char(name.p[i]))
			return false;
	return name.n > 0;
}

/* (?P<name> and (?<name>; libre2 gets "(": it does not know the second form, nor a name used twice. */
static int parse_named_group(struct parser *p, size_t name_at)
{
	struct slice from = p->rest;
	size_t end = slice_find_byte(from, '>');

	if (end == SLICE_NONE)
		return check_utf8(p, from) == -1 ? -1 : fail(p, "invalid named capture", from);
	struct slice name = slice_sub(from, name_at, end - name_at);
	if (check_utf8(p, name) == -1)
		return -1;
	if (!name_ok(name))
		return fail(p, "invalid named capture", slice_sub(from, 0, end + 1));
	size_t at = p->whole.n - from.n;
	buf_add(&p->bare, slice_sub(p->whole, p->bare_done, at - p->bare_done));
	buf_putc(&p->bare, '(');
	p->bare_done = at + end + 1;
	p->rest = slice_from(from, end + 1);
	open_group(p, true, arena_dup(p->a, name));
	return 0;
}

static bool set_flag(uint32_t letter, bool on, unsigned *flags)
{
	unsigned flag = letter == 'i'	? FLAG_FOLD
			: letter == 'm' ? FLAG_MULTILINE
			: letter == 's' ? FLAG_DOT_NL
			: letter == 'U' ? FLAG_LAZY
					: 0;

	*flags = on ? *flags | flag : *flags & ~flag;
	return flag != 0;
}

/* (?flags) (?flags-flags:...) (?:...) */
static int parse_flags(struct parser *p)
{
	struct slice from = p->rest, t = slice_from(from, 2);
	unsigned flags = p->flags;
	bool on = true, seen = false;

	while (t.n > 0) {
		uint32_t c;

		if (next_rune(p, &t, &c) == -1)
			return -1;
		if (set_flag(c, on, &flags)) {
			seen = true;
		} else if (c == '-' && on) {
			on = false;
			seen = false;
		} else if ((c == ':' || c == ')') && (on || seen)) {
			if (c == ':')
				open_group(p, false, (struct slice){ 0 });
			p->flags = flags;
			p->rest = t;
			return 0;
		} else {
			break;
		}
	}
	return fail(p, "invalid or unsupported Perl syntax", upto(from, t));
}

static int parse_paren(struct parser *p)
{
	struct slice t = p->rest;

	if (t.n < 2 || t.p[1] != '?') {
		open_group(p, true, (struct slice){ 0 });
		p->rest = slice_from(t, 1);
		return 0;
	}
	if (t.n > 4 && t.p[2] == 'P' && t.p[3] == '<')
		return parse_named_group(p, 4);
	if (t.n > 3 && t.p[2] == '<')
		return parse_named_group(p, 3);
	return parse_flags(p);
}

/* A count of {n,m}; -1 stands for one that is too big. False without digits or with a leading zero. */
static bool parse_count(struct slice *t, int *out)
{
	size_t n = 0;
	int v = 0;

	while (n < t->n && t->p[n] >= '0' && t->p[n] <= '9') {
		if (v < BIG_REPEAT)
			v = v * 10 + (t->p[n] - '0');
		n++;
	}
	if (n == 0 || (n > 1 && t->p[0] == '0'))
		return false;
	*t = slice_from(*t, n);
	*out = v >= BIG_REPEAT ? -1 : v;
	return true;
}

/* {n} {n,} {n,m} at the start of *t, which then moves past it; max -1: no end; min -1: a count too big. */
static bool parse_braces(struct slice *t, int *min, int *max)
{
	struct slice s = slice_from(*t, 1);

	if (!parse_count(&s, min) || s.n == 0)
		return false;
	*max = *min;
	if (s.p[0] == ',') {
		s = slice_from(s, 1);
		if (s.n > 0 && s.p[0] == '}')
			*max = -1;
		else if (!parse_count(&s, max))
			return false;
		else if (*max < 0)
			*min = -1;
	}
	if (s.n == 0 || s.p[0] != '}')
		return false;
	*t = slice_from(s, 1);
	return true;
}

/* Nested counts multiply: their product may be `room` at most. */
static bool repeats_fit(const struct re_node *node, int room)
{
	if (node->op == RE_OP_REPEAT) {
		int count = node->max < 0 ? node->min : node->max;

		if (node->max == 0)
			return true;
		if (count > room)
			return false;
		if (count > 0)
			room /= count;
	}
	for (size_t i = 0; i < node->n_sub; i++)
		if (!repeats_fit(node->sub[i], room))
			return false;
	return true;
}

/* The repetition written from `from` up to `after` takes the node on top of the stack. */
static int repeat(struct parser *p, enum re_op op, int min, int max, struct slice from, struct slice after)
{
	bool lazy = (p->flags & FLAG_LAZY) != 0;

	if (after.n > 0 && after.p[0] == '?') {
		after = slice_from(after, 1);
		lazy = !lazy;
	}
	if (p->last_repeat.p != NULL)
		return fail(p, "invalid nested repetition operator", upto(p->last_repeat, after));
	if (p->stack.n == 0 || p->stack.v[p->stack.n - 1].kind != ITEM_NODE)
		return fail(p, "missing argument to repetition operator", upto(from, after));
	struct re_node *node = re_node_new(p->a, op), **sub = arena_array(p->a, struct re_node *, 1);
	sub[0] = p->stack.v[p->stack.n - 1].node;
	re_node_set_subs(node, sub, 1);
	node->min = min;
	node->max = max;
	node->lazy = lazy;
	if (node->height > RE_MAX_HEIGHT)
		return fail(p, "expression nests too deeply", p->whole);
	if (op == RE_OP_REPEAT && (min >= 2 || max >= 2) && !repeats_fit(node, MAX_REPEAT))
		return fail(p, "invalid repeat count", upto(from, after));
	p->stack.v[p->stack.n - 1].node = node;
	p->last_repeat = from;
	p->rest = after;
	return 0;
}

static int parse_repeat_braces(struct parser *p)
{
	struct slice from = p->rest, after = from;
	int min, max;

	if (!parse_braces(&after, &min, &max)) {
		p->rest = slice_from(from, 1);
		p->last_repeat.p = NULL;
		return push_literal(p, '{');
	}
	if (min < 0 || min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && min > max))
		return fail(p, "invalid repeat count", upto(from, after));
	return repeat(p, RE_OP_REPEAT, min, max, from, after);
}

/* Up to two more octal digits. */
static uint32_t parse_octal(uint32_t first, struct slice *t)
{
	uint32_t r = first - '0';

	for (int i = 1; i < 3 && t->n > 0 && t->p[0] >= '0' && t->p[0] <= '7'; i++) {
		r = r * 8 + (uint32_t)(t->p[0] - '0');
		*t = slice_from(*t, 1);
	}
	return r;
}

static int hex_value(uint32_t c)
{
	return c < 0x80 ? text_hex_digit((char)c) : -1;
}

/* \x41 and \x{10FFFF}, after the x. 1 if well-formed, 0 if not, -1 for bad UTF-8; *t is past what was looked
 * at. */
static int parse_hex(struct parser *p, struct slice *t, uint32_t *out)
{
	uint32_t c, low, v = 0;
	size_t digits = 0;

	if (next_rune(p, t, &c) == -1)
		return -1;
	if (c != '{') {
		if (c == NO_RUNE)
			return 0;
		if (next_rune(p, t, &low) == -1)
			return -1;
		if (hex_value(c) < 0 || hex_value(low) < 0)
			return 0;
		*out = (uint32_t)(hex_value(c) * 16 + hex_value(low));
		return 1;
	}
	for (;; digits++) {
		if (next_rune(p, t, &c) == -1)
			return -1;
		if (c == '}' && digits > 0) {
			*out = v;
			return 1;
		}
		if (hex_value(c) < 0)
			return 0;
		v = v * 16 + (uint32_t)hex_value(c);
		if (v > RUNE_MAX)
			return 0;
	}
}

static bool c_escape(uint32_t c, uint32_t *out)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";

	for (size_t i = 0; from[i] != '\0'; i++) {
		if (c == (unsigned char)from[i]) {
			*out = (unsigned char)to[i];
			return true;
		}
	}
	return false;
}

/* An escape that stands for one rune; *t starts with the backslash and moves past it. */
static int parse_escape(struct parser *p, struct slice *t, uint32_t *out)
{
	struct slice from = *t, s = slice_from(*t, 1);
	uint32_t c;
	int ok = 0;

	if (s.n == 0)
		return fail(p, "trailing backslash at end of expression", s);
	if (next_rune(p, &s, &c) == -1)
		return -1;
	if (c == '0' || (c >= '1' && c <= '7' && s.n > 0 && s.p[0] >= '0' && s.p[0] <= '7')) {
		*out = parse_octal(c, &s);
		ok = 1;
	} else if (c == 'x') {
		ok = parse_hex(p, &s, out);
		if (ok == -1)
			return -1;
	} else if (c < 0x80 && (c == '_' || !is_word_char((char)c))) {
		*out = c;
		ok = 1;
	} else {
		ok = c_escape(c, out);
	}
	if (!ok)
		return fail(p, "invalid escape sequence", upto(from, s));
	*t = s;
	return 0;
}

/* \pL \p{Greek} \P{^Lu}: 1 if *t starts with one, which then moves past it. */
static int parse_unicode_class(struct parser *p, struct slice *t, struct re_class *c)
{
	struct slice from = *t, s = slice_from(from, 2), name;
	uint32_t rune;

	if (from.n < 2 || from.p[0] != '\\' || (from.p[1] | 0x20) != 'p')
		return 0;
	if (next_rune(p, &s, &rune) == -1)
		return -1;
	if (rune == '{') {
		size_t end = slice_find_byte(from, '}');

		if (end == SLICE_NONE)
			return check_utf8(p, from) == -1 ? -1
							 : fail(p, "invalid character class range", from);
		s = slice_from(from, end + 1);
		name = slice_sub(from, 3, end - 3);
		if (check_utf8(p, name) == -1)
			return -1;
	} else {
		name = slice_from(upto(from, s), 2);
	}
	if (name.n > 0 && name.p[0] == '^')
		name = slice_from(name, 1);
	if (!re_engine_has_class(name))
		return fail(p, "invalid character class range", upto(from, s));
	c->opaque = true;
	*t = s;
	return 1;
}

static bool parse_perl_class(struct parser *p, struct slice *t, struct re_class *c)
{
	if (t->n < 2 || t->p[0] != '\\' || !re_class_add_perl(c, p->a, t->p[1]))
		return false;
	*t = slice_from(*t, 2);
	return true;
}

/* [:alpha:]; 0 if *t does not start with one */
static int parse_posix_class(struct parser *p, struct slice *t, struct re_class *c)
{
	if (t->n <= 2 || t->p[0] != '[' || t->p[1] != ':')
		return 0;
	size_t end = slice_find(slice_from(*t, 2), SLICE(":]"));
	if (end == SLICE_NONE)
		return 0;
	if (!re_class_add_posix(c, p->a, slice_sub(*t, 2, end)))
		return fail(p, "invalid character class range", slice_sub(*t, 0, end + 4));
	*t = slice_from(*t, end + 4);
	return 1;
}

static int parse_class_rune(struct parser *p, struct slice *t, struct slice whole_class, uint32_t *out)
{
	if (t->n == 0)
		return fail(p, "missing closing ]", whole_class);
	return t->p[0] == '\\' ? parse_escape(p, t, out) : next_rune(p, t, out);
}

static int parse_class_range(struct parser *p, struct slice *t, struct slice whole_class, struct re_class *c)
{
	struct slice from = *t;
	uint32_t lo, hi;

	if (parse_class_rune(p, t, whole_class, &lo) == -1)
		return -1;
	hi = lo;
	if (t->n >= 2 && t->p[0] == '-' && t->p[1] != ']') {
		*t = slice_from(*t, 1);
		if (parse_class_rune(p, t, whole_class, &hi) == -1)
			return -1;
		if (hi < lo)
			return fail(p, "invalid character class range", upto(from, *t));
	}
	if ((p->flags & FLAG_FOLD) != 0)
		re_class_add_fold(c, p->a, lo, hi);
	else
		re_class_add(c, p->a, lo, hi);
	return 0;
}

static int parse_class_part(struct parser *p, struct slice *t, struct slice whole_class, struct re_class *c)
{
	int rc = parse_posix_class(p, t, c);

	if (rc == 0)
		rc = parse_unicode_class(p, t, c);
	if (rc == 0)
		rc = parse_perl_class(p, t, c);
	if (rc == 0)
		rc = parse_class_range(p, t, whole_class, c);
	return rc == -1 ? -1 : 0;
}

static int push_class(struct parser *p, struct re_class *c, struct slice source)
{
	struct re_node *node = re_node_new(p->a, RE_OP_CLASS);

	if (c->opaque)
		c->text = arena_dup(p->a, source);
	node->fold = c->opaque && (p->flags & FLAG_FOLD) != 0;
	node->class_ = c;
	return push(p, node);
}

static int parse_class(struct parser *p)
{
	struct slice whole_class = p->rest, t = slice_from(p->rest, 1);
	struct re_class *c = arena_new(p->a, struct re_class);
	bool negated = t.n > 0 && t.p[0] == '^';

	if (negated)
		t = slice_from(t, 1);
	for (bool first = true; first || t.n == 0 || t.p[0] != ']'; first = false)
		if (parse_class_part(p, &t, whole_class, c) == -1)
			return -1;
	p->rest = slice_from(t, 1);
	re_class_clean(c);
	if (negated)
		re_class_negate(c, p->a);
	return push_class(p, c, upto(whole_class, p->rest));
}

/* \Q...\E */
static int parse_quoted(struct parser *p)
{
	struct slice lit = slice_from(p->rest, 2);
	size_t end = slice_find(lit, SLICE("\\E"));

	if (end == SLICE_NONE)
		end = lit.n;
	p->rest = slice_from(lit, end + 2);
	lit.n = end;
	while (lit.n > 0) {
		uint32_t r;

		if (next_rune(p, &lit, &r) == -1 || push_literal(p, r) == -1)
			return -1;
	}
	return 0;
}

static int parse_backslash(struct parser *p)
{
	struct slice from = p->rest;
	uint32_t r;
	char next = from.n >= 2 ? from.p[1] : '\0';

	if (next == 'Q')
		return parse_quoted(p);
	if (next == 'C')
		return fail(p, "invalid escape sequence", slice_sub(from, 0, 2));
	if (next == 'A' || next == 'z' || next == 'b' || next == 'B') {
		p->rest = slice_from(from, 2);
		return push_op(p, next == 'A'	? RE_OP_BEGIN
				  : next == 'z' ? RE_OP_END
				  : next == 'b' ? RE_OP_WORD
						: RE_OP_NOT_WORD);
	}
	struct re_class *c = arena_new(p->a, struct re_class);
	int rc = parse_unicode_class(p, &p->rest, c);
	if (rc == -1)
		return -1;
	if (rc == 1 || parse_perl_class(p, &p->rest, c))
		return push_class(p, c, upto(from, p->rest));
	return parse_escape(p, &p->rest, &r) == -1 ? -1 : push_literal(p, r);
}

static int parse_plain(struct parser *p)
{
	uint32_t r;

	return next_rune(p, &p->rest, &r) == -1 ? -1 : push_literal(p, r);
}

static int parse_repeat_char(struct parser *p)
{
	char c = p->rest.p[0];

	return repeat(p,
		      c == '*'	 ? RE_OP_STAR
		      : c == '+' ? RE_OP_PLUS
				 : RE_OP_QUEST,
		      0, 0, p->rest, slice_from(p->rest, 1));
}

static enum re_op one_char_op(const struct parser *p, char c)
{
	bool multiline = (p->flags & FLAG_MULTILINE) != 0;

	if (c == '^')
		return multiline ? RE_OP_BEGIN_LINE : RE_OP_BEGIN;
	if (c == '$')
		return multiline ? RE_OP_END_LINE : RE_OP_END;
	return (p->flags & FLAG_DOT_NL) != 0 ? RE_OP_ANY : RE_OP_ANY_NOT_NL;
}

static int parse_other(struct parser *p, char c)
{
	p->last_repeat.p = NULL;
	switch (c) {
	case '(': return parse_paren(p);
	case '[': return parse_class(p);
	case '\\': return parse_backslash(p);
	case '^':
	case '$':
	case '.': p->rest = slice_from(p->rest, 1); return push_op(p, one_char_op(p, c));
	case '|': p->rest = slice_from(p->rest, 1); return parse_bar(p);
	case ')': p->rest = slice_from(p->rest, 1); return close_group(p);
	default: return parse_plain(p);
	}
}

static int parse_one(struct parser *p)
{
	switch (p->rest.p[0]) {
	case '*':
	case '+':
	case '?': return parse_repeat_char(p);
	case '{': return parse_repeat_braces(p);
	default: return parse_other(p, p->rest.p[0]);
	}
}

static int parse_all(struct parser *p, struct re_node **out)
{
	if (p->whole.n > RE_MAX_PATTERN)
		return err_set(p->err, ERR_BAD_REQUEST,
			       "regular expression is %zu bytes long, the limit is %d", p->whole.n,
			       RE_MAX_PATTERN);
	while (p->rest.n > 0)
		if (parse_one(p) == -1)
			return -1;
	if (reduce_group(p) == -1)
		return -1;
	if (p->stack.n != 1)
		return fail(p, "missing closing )", p->whole);
	*out = p->stack.v[0].node;
	return 0;
}

int re_parse_full(struct slice pattern, unsigned flags, struct arena *a, struct re_parsed *out,
		  struct err *err)
{
	struct parser p = { .whole = pattern,
			    .rest = pattern,
			    .flags = (flags & RE_DOT_NL) != 0 ? FLAG_DOT_NL : 0,
			    .a = a,
			    .err = err };
	struct re_node *root = NULL;
	int rc = -1;

	buf_init(&p.bare);
	if (parse_all(&p, &root) == -1)
		goto out;
	buf_add(&p.bare, slice_from(pattern, p.bare_done));
	out->root = re_simplify(a, root);
	out->bare = arena_dup(a, buf_slice(&p.bare));
	out->n_groups = p.names.n;
	out->group_name = arena_array(a, struct slice, p.names.n + 1);
	if (p.names.n > 0)
		memcpy(out->group_name, p.names.v, p.names.n * sizeof(*p.names.v));
	rc = 0;
out:
	buf_fini(&p.bare);
	vec_fini(&p.stack);
	vec_fini(&p.names);
	return rc;
}

int re_parse(struct slice pattern, unsigned flags, struct arena *a, struct re_node **out, struct err *err)
{
	struct re_parsed parsed;

	if (re_parse_full(pattern, flags, a, &parsed, err) == -1)
		return -1;
	*out = parsed.root;
	return 0;
}
