#include "base/re_class.h"

#include "base/fold.h"
#include "base/mem.h"

/* A range with more runes than this has more members than any shape that is told apart from "some class". */
enum { MAX_FOLDED = 512 };

void re_class_add(struct re_class *c, struct arena *a, uint32_t lo, uint32_t hi)
{
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 4 : c->cap * 2;
		struct rune_range *range = arena_array(a, struct rune_range, cap);

		if (c->n > 0)
			memcpy(range, c->range, c->n * sizeof(*range));
		c->range = range;
		c->cap = cap;
	}
	c->range[c->n++] = (struct rune_range){ lo, hi };
}

void re_class_add_fold(struct re_class *c, struct arena *a, uint32_t lo, uint32_t hi)
{
	uint32_t orbit[RUNE_MAX_ORBIT];

	re_class_add(c, a, lo, hi);
	for (uint32_t r = lo; hi - lo < MAX_FOLDED && r <= hi; r++) {
		size_t n = rune_orbit(r, orbit);

		for (size_t i = 0; i < n; i++)
			if (orbit[i] < lo || orbit[i] > hi)
				re_class_add(c, a, orbit[i], orbit[i]);
	}
}

void re_class_join(struct re_class *c, struct arena *a, const struct re_class *other)
{
	for (size_t i = 0; i < other->n; i++)
		re_class_add(c, a, other->range[i].lo, other->range[i].hi);
	if (c->opaque || other->opaque) {
		c->opaque = true;
		c->text = (struct slice){ NULL, 0 };
	}
}

static int range_cmp(const void *x, const void *y)
{
	const struct rune_range *a = x, *b = y;

	return a->lo != b->lo ? (a->lo < b->lo ? -1 : 1) : (a->hi > b->hi) - (a->hi < b->hi);
}

void re_class_clean(struct re_class *c)
{
	size_t n = 0;

	if (c->n < 2)
		return;
	qsort(c->range, c->n, sizeof(*c->range), range_cmp);
	for (size_t i = 1; i < c->n; i++) {
		if (c->range[i].lo <= c->range[n].hi + 1)
			c->range[n].hi = MAX(c->range[n].hi, c->range[i].hi);
		else
			c->range[++n] = c->range[i];
	}
	c->n = n + 1;
}

void re_class_negate(struct re_class *c, struct arena *a)
{
	struct re_class out = { .opaque = c->opaque, .text = c->text };
	uint32_t next = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->range[i].lo > next)
			re_class_add(&out, a, next, c->range[i].lo - 1);
		next = c->range[i].hi + 1;
	}
	if (next <= RUNE_MAX)
		re_class_add(&out, a, next, RUNE_MAX);
	*c = out;
}

bool re_class_eq(const struct re_class *x, const struct re_class *y)
{
	if (x->opaque || y->opaque)
		return x->opaque && y->opaque && x->text.p != NULL && y->text.p != NULL &&
		       slice_eq(x->text, y->text);
	return x->n == y->n && (x->n == 0 || memcmp(x->range, y->range, x->n * sizeof(*x->range)) == 0);
}

bool re_class_has(const struct re_class *c, uint32_t rune)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->range[i].lo <= rune && rune <= c->range[i].hi)
			return true;
	return false;
}

/* Ranges as pairs of ASCII characters. */
static const struct named_class {
	const char *name, *pairs;
} perl_classes[] = { { "d", "09" }, { "s", "\t\n\f\r  " }, { "w", "09AZ__az" } };

static const struct named_class posix_classes[] = {
	{ "alnum", "09AZaz" },
	{ "alpha", "AZaz" },
	{ "ascii", "\001\177" },
	{ "blank", "\t\t  " },
	{ "cntrl", "\001\037\177\177" },
	{ "digit", "09" },
	{ "graph", "!~" },
	{ "lower", "az" },
	{ "print", " ~" },
	{ "punct", "!/:@[`{~" },
	{ "space", "\t\r  " },
	{ "upper", "AZ" },
	{ "word", "09AZ__az" },
	{ "xdigit", "09AFaf" },
};

static void add_named(struct re_class *c, struct arena *a, const struct named_class *named, bool negated)
{
	struct re_class members = { 0 };

	for (const char *s = named->pairs; *s != '\0'; s += 2) /* \001 stands for NUL here */
		re_class_add(&members, a, *s == '\001' ? 0 : (uint32_t)(unsigned char)s[0],
			     (uint32_t)(unsigned char)s[1]);
	if (negated)
		re_class_negate(&members, a);
	for (size_t i = 0; i < members.n; i++)
		re_class_add(c, a, members.range[i].lo, members.range[i].hi);
}

bool re_class_add_perl(struct re_class *c, struct arena *a, char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(perl_classes); i++) {
		if ((letter | 0x20) == perl_classes[i].name[0]) {
			add_named(c, a, &perl_classes[i], letter != perl_classes[i].name[0]);
			return true;
		}
	}
	return false;
}

bool re_class_add_posix(struct re_class *c, struct arena *a, struct slice name)
{
	bool negated = name.n > 0 && name.p[0] == '^';

	if (negated)
		name = slice_from(name, 1);
	for (size_t i = 0; i < ARRAY_LEN(posix_classes); i++) {
		if (slice_is(name, posix_classes[i].name)) {
			add_named(c, a, &posix_classes[i], negated);
			return true;
		}
	}
	return false;
}
