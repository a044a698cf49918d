#include "query/simple_re.h"

#include "base/fold.h"
#include "base/re.h"
#include "base/re_literals.h"
#include "base/vec.h"

enum { MAX_CONCAT_PARTS = 3, MAX_REQUIRED = 4 };

enum test_kind { TEST_ALWAYS, TEST_NOT_EMPTY, TEST_CONTAINS, TEST_EQUALS };

struct test {
	enum test_kind kind;
	bool fold; /* lit is in lower case */
	struct slice lit;
};

struct simple_re {
	enum simple_re_use use;
	struct arena arena;
	VEC(struct test) tests; /* any of them */
	struct re *re;		/* or this, if set */
	struct slice required[MAX_REQUIRED];
	size_t n_required;
};

static void add_test(struct simple_re *s, enum test_kind kind, bool fold, struct slice lit)
{
	vec_push(&s->tests, ((struct test){ kind, fold, lit }));
}

static const struct re_node *strip_captures(const struct re_node *node)
{
	while (node->op == RE_OP_CAPTURE)
		node = node->sub[0];
	return node;
}

static bool is_dots(const struct re_node *node, enum re_op op)
{
	return node->op == op && node->sub[0]->op == RE_OP_ANY_NOT_NL;
}

/* The literal that a branch adds to its prefix. False if case counts in one of them and not in the other. */
static bool join(struct simple_re *s, const struct test *prefix, const struct re_node *lit, struct test *out)
{
	if (prefix->lit.n > 0 && prefix->fold != lit->fold)
		return false;
	char *p = arena_alloc_bytes(&s->arena, prefix->lit.n + lit->lit.n + 1);
	if (prefix->lit.n > 0)
		memcpy(p, prefix->lit.p, prefix->lit.n);
	memcpy(p + prefix->lit.n, lit->lit.p, lit->lit.n);
	*out = (struct test){ TEST_CONTAINS, lit->fold, slice_of(p, prefix->lit.n + lit->lit.n) };
	return true;
}

static bool reduce_concat(struct simple_re *s, const struct re_node *node, struct test prefix);

/* The prefix is followed by this node: add "contains prefix + branch" for each branch. */
static bool reduce_branch(struct simple_re *s, const struct re_node *node, const struct test *prefix)
{
	struct test joined;

	node = strip_captures(node);
	if (node->op == RE_OP_EMPTY || is_dots(node, RE_OP_STAR)) {
		vec_push(&s->tests, *prefix);
		return true;
	}
	if (node->op == RE_OP_CONCAT)
		return reduce_concat(s, node, *prefix);
	if (node->op != RE_OP_LITERAL || !join(s, prefix, node, &joined))
		return false;
	vec_push(&s->tests, joined);
	return true;
}

/* One literal, .* around it, or an alternation right behind it. With a prefix, the literal comes first. */
static bool reduce_concat(struct simple_re *s, const struct re_node *node, struct test prefix)
{
	const struct re_node *before = NULL;
	bool have_literal = false, have_branches = false;
	size_t n_parts = 0;

	for (size_t i = 0; i < node->n_sub; i++) {
		const struct re_node *part = strip_captures(node->sub[i]);

		if (part->op == RE_OP_EMPTY)
			continue;
		if (++n_parts > MAX_CONCAT_PARTS)
			return false;
		if (part->op == RE_OP_LITERAL) {
			if (have_literal || (prefix.lit.n > 0 && before != NULL) ||
			    !join(s, &prefix, part, &prefix))
				return false;
			have_literal = true;
		} else if (part->op == RE_OP_ALTERNATE) {
			if (before == NULL || before->op != RE_OP_LITERAL)
				return false;
			for (size_t j = 0; j < part->n_sub; j++)
				if (!reduce_branch(s, part->sub[j], &prefix))
					return false;
			have_branches = true;
		} else if (!is_dots(part, RE_OP_STAR)) {
			return false;
		}
		before = part;
	}
	if (!have_literal)
		return false;
	if (!have_branches)
		vec_push(&s->tests, prefix);
	return true;
}

static bool reduce(struct simple_re *s, const struct re_node *node)
{
	node = strip_captures(node);
	if (node->op == RE_OP_EMPTY || is_dots(node, RE_OP_STAR)) {
		add_test(s, TEST_ALWAYS, false, SLICE(""));
		return true;
	}
	if (is_dots(node, RE_OP_PLUS)) {
		add_test(s, TEST_NOT_EMPTY, false, SLICE(""));
		return true;
	}
	if (node->op == RE_OP_LITERAL) {
		add_test(s, s->use == SIMPLE_RE_LABEL ? TEST_EQUALS : TEST_CONTAINS, node->fold,
			 arena_dup(&s->arena, node->lit));
		return true;
	}
	if (node->op == RE_OP_CONCAT)
		return reduce_concat(s, node, (struct test){ .kind = TEST_CONTAINS });
	if (node->op != RE_OP_ALTERNATE)
		return false;
	for (size_t i = 0; i < node->n_sub; i++)
		if (!reduce(s, node->sub[i]))
			return false;
	return true;
}

/* /foo|/ means "contains foo": what is always true counts only where nothing else stands beside it. */
static void drop_always(struct simple_re *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->tests.n; i++)
		if (s->tests.v[i].kind != TEST_ALWAYS)
			s->tests.v[n++] = s->tests.v[i];
	s->tests.n = n > 0 ? n : 1;
}

static void find_required(struct simple_re *s, const struct re_node *node)
{
	if (s->re != NULL) {
		s->n_required = re_literals(node, &s->arena, s->required, MAX_REQUIRED);
	} else if (s->tests.n == 1 && s->tests.v[0].lit.n > 0 && !s->tests.v[0].fold) {
		s->required[0] = s->tests.v[0].lit;
		s->n_required = 1;
	}
}

int simple_re_new(struct slice pattern, enum simple_re_use use, struct simple_re **out, struct err *err)
{
	struct simple_re *s = xcalloc(1, sizeof(*s));
	struct arena scratch;
	struct re_node *node;
	int rc = -1;

	s->use = use;
	arena_init(&s->arena);
	arena_init(&scratch);
	if (re_parse(pattern, 0, &scratch, &node, err) == -1)
		goto out;
	if (reduce(s, node))
		drop_always(s);
	else if (re_compile(pattern, use == SIMPLE_RE_LABEL ? RE_ANCHORED : 0, &s->re, err) == -1)
		goto out;
	find_required(s, node);
	*out = TAKE(s);
	rc = 0;
out:
	arena_fini(&scratch);
	simple_re_free(s);
	return rc;
}

void simple_re_free(struct simple_re *s)
{
	if (s == NULL)
		return;
	re_free(s->re);
	vec_fini(&s->tests);
	arena_fini(&s->arena);
	free(s);
}

static bool test_run(const struct test *t, struct slice text)
{
	switch (t->kind) {
	case TEST_ALWAYS: return true;
	case TEST_NOT_EMPTY: return text.n > 0;
	case TEST_CONTAINS:
		return t->fold ? text_has_fold(text, t->lit) : slice_find(text, t->lit) != SLICE_NONE;
	case TEST_EQUALS: return t->fold ? text_eq_fold(text, t->lit) : slice_eq(text, t->lit);
	}
	return false;
}

bool simple_re_match(const struct simple_re *s, struct slice text)
{
	if (s->re != NULL) {
		if (s->n_required > 0 && slice_find(text, s->required[0]) == SLICE_NONE)
			return false;
		return re_match(s->re, text);
	}
	for (size_t i = 0; i < s->tests.n; i++)
		if (test_run(&s->tests.v[i], text))
			return true;
	return false;
}

bool simple_re_always(const struct simple_re *s)
{
	return s->re == NULL && s->tests.v[0].kind == TEST_ALWAYS;
}

size_t simple_re_any_of(const struct simple_re *s, struct slice *out, size_t max)
{
	if (s->re != NULL || s->tests.n > max)
		return 0;
	for (size_t i = 0; i < s->tests.n; i++) {
		const struct test *t = &s->tests.v[i];

		if (t->kind != TEST_CONTAINS || t->fold || t->lit.n == 0)
			return 0;
		out[i] = t->lit;
	}
	return s->tests.n;
}

bool simple_re_uses_engine(const struct simple_re *s)
{
	return s->re != NULL;
}

size_t simple_re_required(const struct simple_re *s, struct slice *out, size_t max)
{
	size_t n = s->n_required < max ? s->n_required : max;

	for (size_t i = 0; i < n; i++)
		out[i] = s->required[i];
	return n;
}
