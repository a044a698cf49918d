#include "base/re_factor.h"

#include <assert.h>
#include "base/mem.h"
#include "base/re_class.h"
#include "base/text.h"

struct re_node *re_node_new(struct arena *a, enum re_op op)
{
	struct re_node *node = arena_new(a, struct re_node);

	node->op = op;
	node->height = 1;
	return node;
}

struct re_class *re_node_class(struct re_node *node)
{
	return (struct re_class *)(uintptr_t)node->class_;
}

void re_node_set_subs(struct re_node *node, struct re_node **sub, size_t n)
{
	node->sub = sub;
	node->n_sub = n;
	node->height = 1;
	for (size_t i = 0; i < n; i++)
		node->height = MAX(node->height, sub[i]->height + 1);
}

/* Room for a literal of n bytes; growing by doubling keeps appending one rune at a time linear. */
static size_t lit_cap(size_t n)
{
	size_t cap = 8;

	while (cap < n)
		cap *= 2;
	return n == 0 ? 0 : cap;
}

void re_lit_append(struct arena *a, struct slice *lit, struct slice more)
{
	size_t n = lit->n + more.n;
	char *p = (char *)(uintptr_t)lit->p;

	if (more.n == 0)
		return;
	if (lit_cap(n) != lit_cap(lit->n)) {
		p = arena_alloc_bytes(a, lit_cap(n));
		if (lit->n > 0)
			memcpy(p, lit->p, lit->n);
	}
	memcpy(p + lit->n, more.p, more.n);
	*lit = slice_of(p, n);
}

static bool is_one_rune_literal(const struct re_node *node)
{
	size_t n = 0;

	if (node->op != RE_OP_LITERAL || node->lit.n == 0)
		return false;
	utf8_decode(node->lit, &n);
	return n == node->lit.n;
}

bool re_is_one_rune(const struct re_node *node)
{
	return node->op == RE_OP_CLASS || node->op == RE_OP_ANY || node->op == RE_OP_ANY_NOT_NL ||
	       is_one_rune_literal(node);
}

int re_rank(const struct re_node *node)
{
	switch (node->op) {
	case RE_OP_LITERAL: return 0;
	case RE_OP_CLASS: return 1;
	case RE_OP_ANY_NOT_NL: return 2;
	default: return 3;
	}
}

static void class_add_literal(struct arena *a, struct re_class *c, const struct re_node *lit)
{
	size_t n;
	uint32_t r = utf8_decode(lit->lit, &n);

	if (lit->fold)
		re_class_add_fold(c, a, r, r);
	else
		re_class_add(c, a, r, r);
}

static bool matches_newline(struct re_node *node)
{
	switch (node->op) {
	case RE_OP_LITERAL: return slice_is(node->lit, "\n");
	case RE_OP_CLASS: return re_class_has(re_node_class(node), '\n');
	case RE_OP_ANY: return true;
	default: return false;
	}
}

void re_merge_one_rune(struct arena *a, struct re_node *into, struct re_node *from)
{
	if (into->op == RE_OP_LITERAL) {
		if (from->op == RE_OP_LITERAL && from->fold == into->fold && slice_eq(from->lit, into->lit))
			return;
		struct re_class *c = arena_new(a, struct re_class);
		class_add_literal(a, c, into);
		into->op = RE_OP_CLASS;
		into->fold = false;
		into->class_ = c;
	}
	if (into->op == RE_OP_ANY_NOT_NL && matches_newline(from))
		into->op = RE_OP_ANY;
	if (into->op != RE_OP_CLASS)
		return;
	if (from->op == RE_OP_LITERAL)
		class_add_literal(a, re_node_class(into), from);
	else if (from->op == RE_OP_CLASS)
		re_class_join(re_node_class(into), a, re_node_class(from));
}

void re_clean_one_rune(struct re_node *node)
{
	if (node->op != RE_OP_CLASS)
		return;
	struct re_class *c = re_node_class(node);
	re_class_clean(c);
	if (c->opaque)
		return;
	if (c->n == 1 && c->range[0].lo == 0 && c->range[0].hi == RUNE_MAX)
		node->op = RE_OP_ANY;
	else if (c->n == 2 && c->range[0].lo == 0 && c->range[0].hi == '\n' - 1 &&
		 c->range[1].lo == '\n' + 1 && c->range[1].hi == RUNE_MAX)
		node->op = RE_OP_ANY_NOT_NL;
}

static bool node_eq(struct re_node *x, struct re_node *y)
{
	if (x->op != y->op || x->n_sub != y->n_sub || x->min != y->min || x->max != y->max ||
	    x->lazy != y->lazy || x->fold != y->fold || !slice_eq(x->lit, y->lit))
		return false;
	if (x->op == RE_OP_CLASS)
		return re_class_eq(re_node_class(x), re_node_class(y));
	return true;
}

/* The literal that every match of the node starts with, or NULL. */
static struct re_node *leading_literal(struct re_node *node)
{
	if (node->op == RE_OP_CONCAT)
		node = node->sub[0];
	return node->op == RE_OP_LITERAL ? node : NULL;
}

/* Takes the first part off a concatenation that may then be no longer one. */
static struct re_node *drop_first(struct arena *a, struct re_node *node)
{
	if (node->n_sub == 1)
		return re_node_new(a, RE_OP_EMPTY);
	if (node->n_sub == 2)
		return node->sub[1];
	re_node_set_subs(node, node->sub + 1, node->n_sub - 1);
	return node;
}

static struct re_node *remove_leading_literal(struct arena *a, struct re_node *node, size_t n)
{
	struct re_node *lit = leading_literal(node);
	struct slice rest = slice_from(lit->lit, n);

	lit->lit = slice_of(NULL, 0);
	re_lit_append(a, &lit->lit, rest);
	if (rest.n > 0)
		return node;
	lit->op = RE_OP_EMPTY;
	lit->fold = false;
	return node == lit ? node : drop_first(a, node);
}

static struct re_node *concat_two(struct arena *a, struct re_node *first, struct re_node *second)
{
	struct re_node *node = re_node_new(a, RE_OP_CONCAT);
	struct re_node **sub = arena_array(a, struct re_node *, 2);

	sub[0] = first;
	sub[1] = second;
	re_node_set_subs(node, sub, 2);
	return node;
}

/* Bytes that both start with, in whole runes. */
static size_t common_prefix(struct slice x, struct slice y)
{
	size_t same = 0;

	while (same < x.n && same < y.n && x.p[same] == y.p[same])
		same++;
	while (same > 0 && ((same < x.n && ((unsigned char)x.p[same] & 0xc0) == 0x80) ||
			    (same < y.n && ((unsigned char)y.p[same] & 0xc0) == 0x80)))
		same--;
	return same;
}

/* abc|abd becomes ab(?:c|d) */
static size_t factor_literals(struct arena *a, struct re_node **sub, size_t n)
{
	size_t out = 0, start = 0;
	struct re_node *first = NULL;
	struct slice prefix = { 0 };

	for (size_t i = 0; i <= n; i++) {
		struct re_node *lit = i < n ? leading_literal(sub[i]) : NULL;

		if (first != NULL && lit != NULL && lit->fold == first->fold) {
			size_t same = common_prefix(prefix, lit->lit);

			if (same > 0) {
				prefix.n = same;
				continue;
			}
		}
		if (i - start > 1) {
			struct re_node *head = re_node_new(a, RE_OP_LITERAL);

			head->fold = first->fold;
			re_lit_append(a, &head->lit, prefix);
			for (size_t j = start; j < i; j++)
				sub[j] = remove_leading_literal(a, sub[j], head->lit.n);
			sub[out++] =
				concat_two(a, head, re_collapse(a, sub + start, i - start, RE_OP_ALTERNATE));
		} else if (i > start) {
			sub[out++] = sub[start];
		}
		start = i;
		first = lit;
		prefix = lit != NULL ? lit->lit : (struct slice){ 0 };
	}
	return out;
}

static struct re_node *leading_node(struct re_node *node)
{
	if (node->op == RE_OP_CONCAT)
		node = node->sub[0];
	return node->op == RE_OP_EMPTY ? NULL : node;
}

/* Only what matches in one way can be shared: one rune, or a fixed number of them. */
static bool can_share(struct re_node *node)
{
	return re_is_one_rune(node) ||
	       (node->op == RE_OP_REPEAT && node->min == node->max && re_is_one_rune(node->sub[0]));
}

static bool same_leading(struct re_node *x, struct re_node *y)
{
	if (x == NULL || y == NULL || !can_share(x) || !node_eq(x, y))
		return false;
	return x->op != RE_OP_REPEAT || node_eq(x->sub[0], y->sub[0]);
}

/* [0-9]a|[0-9]b becomes [0-9](?:a|b) */
static size_t factor_nodes(struct arena *a, struct re_node **sub, size_t n)
{
	size_t out = 0, start = 0;
	struct re_node *first = NULL;

	for (size_t i = 0; i <= n; i++) {
		struct re_node *head = i < n ? leading_node(sub[i]) : NULL;

		if (i < n && same_leading(first, head))
			continue;
		if (i - start > 1) {
			for (size_t j = start; j < i; j++)
				sub[j] = sub[j]->op == RE_OP_CONCAT ? drop_first(a, sub[j])
								    : re_node_new(a, RE_OP_EMPTY);
			sub[out++] =
				concat_two(a, first, re_collapse(a, sub + start, i - start, RE_OP_ALTERNATE));
		} else if (i > start) {
			sub[out++] = sub[start];
		}
		start = i;
		first = head;
	}
	return out;
}

/* a|[bc]|d becomes [a-d] */
static size_t factor_runes(struct arena *a, struct re_node **sub, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n;) {
		struct re_node *all = sub[i];
		size_t end = i + 1;

		if (re_is_one_rune(all)) {
			for (; end < n && re_is_one_rune(sub[end]); end++)
				if (re_rank(sub[end]) > re_rank(all))
					all = sub[end];
			for (size_t j = i; j < end; j++)
				if (sub[j] != all)
					re_merge_one_rune(a, all, sub[j]);
			if (end - i > 1)
				re_clean_one_rune(all);
		}
		sub[out++] = all;
		i = end;
	}
	return out;
}

static size_t factor_empties(struct re_node **sub, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || sub[i]->op != RE_OP_EMPTY || sub[i + 1]->op != RE_OP_EMPTY)
			sub[out++] = sub[i];
	return out;
}

static size_t factor(struct arena *a, struct re_node **sub, size_t n)
{
	if (n < 2)
		return n;
	n = factor_literals(a, sub, n);
	n = factor_nodes(a, sub, n);
	n = factor_runes(a, sub, n);
	return factor_empties(sub, n);
}

struct re_node *re_collapse(struct arena *a, struct re_node **sub, size_t n, enum re_op op)
{
	size_t n_flat = 0;

	assert(n > 0);
	if (n == 1)
		return sub[0];
	for (size_t i = 0; i < n; i++)
		n_flat += sub[i]->op == op ? sub[i]->n_sub : 1;
	struct re_node **flat = arena_array(a, struct re_node *, n_flat);
	n_flat = 0;
	for (size_t i = 0; i < n; i++) {
		if (sub[i]->op != op) {
			flat[n_flat++] = sub[i];
			continue;
		}
		memcpy(flat + n_flat, sub[i]->sub, sub[i]->n_sub * sizeof(*flat));
		n_flat += sub[i]->n_sub;
	}
	if (op == RE_OP_ALTERNATE)
		n_flat = factor(a, flat, n_flat);
	if (n_flat == 1)
		return flat[0];
	struct re_node *node = re_node_new(a, op);
	re_node_set_subs(node, flat, n_flat);
	return node;
}

static bool is_repetition(enum re_op op)
{
	return op == RE_OP_STAR || op == RE_OP_PLUS || op == RE_OP_QUEST || op == RE_OP_REPEAT;
}

static struct re_node *simplify_repetition(struct arena *a, struct re_node *node)
{
	struct re_node *sub = node->sub[0];

	if (node->op == RE_OP_REPEAT) {
		if (node->max == 0)
			return re_node_new(a, RE_OP_EMPTY);
		if (node->min == 1 && node->max == 1)
			return sub;
		if (node->max == -1 && node->min <= 1)
			node->op = node->min == 0 ? RE_OP_STAR : RE_OP_PLUS;
		else if (node->min == 0 && node->max == 1)
			node->op = RE_OP_QUEST;
	}
	if (sub->op == RE_OP_EMPTY)
		return sub;
	if (node->op != RE_OP_REPEAT && sub->op == node->op && sub->lazy == node->lazy)
		return sub;
	return node;
}

struct re_node *re_simplify(struct arena *a, struct re_node *node)
{
	for (size_t i = 0; i < node->n_sub; i++)
		node->sub[i] = re_simplify(a, node->sub[i]);
	if (is_repetition(node->op))
		return simplify_repetition(a, node);
	if (node->op == RE_OP_CLASS && !node->class_->opaque && node->class_->n == 0)
		node->op = RE_OP_NOTHING;
	return node;
}
