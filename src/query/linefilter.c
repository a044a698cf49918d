#include "query/linefilter.h"

#include <assert.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "logql/ip.h"
#include "logql/pattern.h"
#include "query/simple_re.h"

enum alt_kind { ALT_CONTAINS, ALT_RE, ALT_PATTERN, ALT_IP };

struct alt {
	enum alt_kind kind;
	struct slice lit;	/* ALT_CONTAINS */
	struct simple_re *re;	/* ALT_RE */
	struct pattern pattern; /* ALT_PATTERN */
	struct ip_set ip;	/* ALT_IP */
};

struct line_test {
	bool negative;
	struct arena arena;
	struct alt *alt;
	size_t n;
};

/* The length of the run of bytes from `from` on that are hex digits, colons and dots, or digits and dots
 * alone. */
static size_t address_run(struct slice s, size_t from, bool v6)
{
	size_t i = from;

	while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' ||
			   (v6 && (s.p[i] == ':' || text_hex_digit(s.p[i]) >= 0))))
		i++;
	return i - from;
}

/* A digit with a dot among the next three bytes. */
static bool looks_like_v4(struct slice s)
{
	return s.n >= 4 && s.p[0] >= '0' && s.p[0] <= '9' &&
	       (s.p[1] == '.' || s.p[2] == '.' || s.p[3] == '.');
}

/* 1 to 4 hex digits and a colon, or two colons and a hex digit. */
static bool looks_like_v6(struct slice s)
{
	size_t n = 0;

	if (s.n >= 3 && s.p[0] == ':' && s.p[1] == ':')
		return text_hex_digit(s.p[2]) >= 0;
	while (n < 5 && n < s.n && text_hex_digit(s.p[n]) >= 0)
		n++;
	return n >= 1 && n <= 4 && n < s.n && s.p[n] == ':';
}

bool line_has_ip(struct slice text, const struct ip_set *set)
{
	uint8_t addr[16];
	bool v6;

	for (size_t i = 0; i < text.n; i++) {
		struct slice rest = slice_from(text, i);

		if (rest.p[0] != ':' && text_hex_digit(rest.p[0]) < 0)
			continue;
		bool like_v4 = looks_like_v4(rest);
		if (!like_v4 && !looks_like_v6(rest))
			continue;
		struct slice run = slice_sub(rest, 0, address_run(text, i, !like_v4));
		if (ip_parse_addr(run, &v6, addr) && ip_set_has(set, v6, addr))
			return true;
		i += run.n; /* and the byte behind it, by the loop: what Loki does */
	}
	return false;
}

/* From left to right without a second try: each literal at its first place, something between any two. */
static bool pattern_match(const struct pattern *p, struct slice line)
{
	size_t off = 0;

	if (line.n == 0 || p->n == 0)
		return line.n == 0 && p->n == 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->nodes[i].is_capture)
			continue;
		size_t at = slice_find(slice_from(line, off), p->nodes[i].text);
		if (at == SLICE_NONE || (i > 0 && at == 0))
			return false;
		off += at + p->nodes[i].text.n;
	}
	return p->nodes[p->n - 1].is_capture ? off < line.n : off == line.n;
}

static int alt_init_ip(struct slice text, struct alt *alt, struct err *err)
{
	struct buf quoted;

	alt->kind = ALT_IP;
	if (ip_set_parse(text, &alt->ip))
		return 0;
	buf_init(&quoted);
	text_go_quote(&quoted, text);
	err_set(err, ERR_BAD_REQUEST, "ip: invalid pattern: %.*s", SLICE_ARG(buf_slice(&quoted)));
	buf_fini(&quoted);
	return -1;
}

static int alt_init(struct line_test *t, enum line_op op, const struct line_test_arg *arg, struct alt *alt,
		    struct err *err)
{
	if (arg->is_ip && op != LINE_CONTAINS && op != LINE_NOT_CONTAINS)
		return err_set(err, ERR_BAD_REQUEST, "ip: invalid operation");
	if (arg->is_ip)
		return alt_init_ip(arg->text, alt, err);
	if (op == LINE_MATCH || op == LINE_NOT_MATCH) {
		alt->kind = ALT_RE;
		return simple_re_new(arg->text, SIMPLE_RE_LINE, &alt->re, err);
	}
	struct slice text = arena_dup(&t->arena, arg->text);
	if (op == LINE_PATTERN || op == LINE_NOT_PATTERN) {
		alt->kind = ALT_PATTERN;
		return pattern_parse_filter(text, &t->arena, &alt->pattern, err);
	}
	alt->kind = ALT_CONTAINS;
	alt->lit = text;
	return 0;
}

static bool alt_always(const struct alt *alt)
{
	return (alt->kind == ALT_CONTAINS && alt->lit.n == 0) ||
	       (alt->kind == ALT_RE && simple_re_always(alt->re));
}

static bool alt_match(const struct alt *alt, struct slice line)
{
	switch (alt->kind) {
	case ALT_CONTAINS: return slice_find(line, alt->lit) != SLICE_NONE;
	case ALT_RE: return simple_re_match(alt->re, line);
	case ALT_PATTERN: return pattern_match(&alt->pattern, line);
	case ALT_IP: return line_has_ip(line, &alt->ip);
	}
	return false;
}

/* Only where something else is left: all of them together keep everything. */
static void drop_always(struct line_test *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (!alt_always(&t->alt[i])) {
			struct alt kept = t->alt[i];

			t->alt[i] = t->alt[n]; /* swapped, so that line_test_free sees each of them once */
			t->alt[n++] = kept;
		}
	}
	for (size_t i = n > 0 ? n : 1; i < t->n; i++)
		simple_re_free(TAKE(t->alt[i].re));
	t->n = n > 0 ? n : 1;
}

int line_test_new(enum line_op op, const struct line_test_arg *arg, size_t n_args, struct line_test **out,
		  struct err *err)
{
	struct line_test *t = xcalloc(1, sizeof(*t));
	int rc = -1;

	assert(n_args > 0);
	t->negative = op == LINE_NOT_CONTAINS || op == LINE_NOT_MATCH || op == LINE_NOT_PATTERN;
	arena_init(&t->arena);
	t->alt = arena_zalloc(&t->arena, n_args * sizeof(*t->alt));
	for (size_t i = 0; i < n_args; i++) {
		if (alt_init(t, op, &arg[i], &t->alt[t->n++], err) == -1)
			goto out;
	}
	if (!t->negative)
		drop_always(t);
	*out = TAKE(t);
	rc = 0;
out:
	line_test_free(t);
	return rc;
}

void line_test_free(struct line_test *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		simple_re_free(t->alt[i].re);
	arena_fini(&t->arena);
	free(t);
}

bool line_test_match(const struct line_test *t, struct slice line)
{
	for (size_t i = 0; i < t->n; i++)
		if (alt_match(&t->alt[i], line))
			return !t->negative;
	return t->negative;
}

bool line_test_keeps_all(const struct line_test *t)
{
	return !t->negative && alt_always(&t->alt[0]);
}

static int alt_cost(const struct alt *alt)
{
	if (alt->kind == ALT_RE)
		return simple_re_uses_engine(alt->re) ? 2 : 0;
	return alt->kind == ALT_CONTAINS ? 0 : 1;
}

int line_test_cost(const struct line_test *t)
{
	int cost = 0;

	for (size_t i = 0; i < t->n; i++)
		cost = MAX(cost, alt_cost(&t->alt[i]));
	return cost;
}

static size_t pattern_literals(const struct pattern *p, struct slice *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n && n < max; i++)
		if (!p->nodes[i].is_capture)
			out[n++] = p->nodes[i].text;
	return n;
}

size_t line_test_any_of(const struct line_test *t, bool *negative, struct slice *out, size_t max)
{
	size_t n = 0, more;

	*negative = t->negative;
	for (size_t i = 0; i < t->n; i++, n += more) {
		const struct alt *alt = &t->alt[i];

		more = alt->kind == ALT_CONTAINS && alt->lit.n > 0 && n < max;
		if (more)
			out[n] = alt->lit;
		else if (alt->kind == ALT_RE)
			more = simple_re_any_of(alt->re, out + n, max - n);
		if (more == 0)
			return 0;
	}
	return n;
}

size_t line_test_required(const struct line_test *t, struct slice *out, size_t max)
{
	if (t->negative || t->n != 1 || max == 0)
		return 0;
	switch (t->alt[0].kind) {
	case ALT_CONTAINS: *out = t->alt[0].lit; return t->alt[0].lit.n > 0;
	case ALT_RE: return simple_re_required(t->alt[0].re, out, max);
	case ALT_PATTERN: return pattern_literals(&t->alt[0].pattern, out, max);
	case ALT_IP: return 0;
	}
	return 0;
}
