#include "base/re_literals.h"

#include "base/buf.h"
#include "base/vec.h"

struct finder {
	struct arena *a;
	struct buf run; /* literals side by side that make one: nothing lies between them in any match */
	VEC(struct slice) found;
};

static void run_end(struct finder *f)
{
	if (f->run.n > 0)
		vec_push(&f->found, arena_dup(f->a, buf_slice(&f->run)));
	buf_reset(&f->run);
}

/* Appends what the node must match. Recursion is bounded by the parser's RE_MAX_HEIGHT. */
static void visit(struct finder *f, const struct re_node *node)
{
	switch (node->op) {
	case RE_OP_LITERAL:
		if (node->fold || slice_find(node->lit, SLICE("\xef\xbf\xbd")) != SLICE_NONE)
			run_end(f); /* U+FFFD also stands for any byte that is not UTF-8 */
		else
			buf_add(&f->run, node->lit);
		return;
	case RE_OP_CONCAT:
		for (size_t i = 0; i < node->n_sub; i++)
			visit(f, node->sub[i]);
		return;
	case RE_OP_CAPTURE: visit(f, node->sub[0]); return;
	case RE_OP_BEGIN:
	case RE_OP_END:
	case RE_OP_BEGIN_LINE:
	case RE_OP_END_LINE:
	case RE_OP_WORD:
	case RE_OP_NOT_WORD:
	case RE_OP_EMPTY: return; /* no bytes of their own */
	case RE_OP_PLUS:
	case RE_OP_REPEAT:
		if (node->op == RE_OP_PLUS || node->min > 0)
			visit(f, node->sub[0]); /* the first time follows what is before */
		run_end(f);
		return;
	default: run_end(f); return;
	}
}

static int longer_first(const void *x, const void *y)
{
	const struct slice *a = x, *b = y;

	return a->n != b->n ? (a->n > b->n ? -1 : 1) : slice_cmp(*a, *b);
}

size_t re_literals(const struct re_node *node, struct arena *a, struct slice *out, size_t max)
{
	struct finder f = { .a = a };
	size_t n = 0;

	buf_init(&f.run);
	visit(&f, node);
	run_end(&f);
	if (f.found.n > 1)
		qsort(f.found.v, f.found.n, sizeof(*f.found.v), longer_first);
	for (size_t i = 0; i < f.found.n && n < max; i++)
		if (n == 0 || !slice_eq(out[n - 1], f.found.v[i]))
			out[n++] = f.found.v[i];
	buf_fini(&f.run);
	vec_fini(&f.found);
	return n;
}
