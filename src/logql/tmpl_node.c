/* What can be said of a parsed template without running it: its source again, and the labels it reads. */
#include "base/text.h"
#include "logql/tmpl.h"

/* ---- source ---- */

static void put_names(struct buf *b, const struct tmpl_names *names, bool dot_first)
{
	for (size_t i = 0; i < names->n; i++) {
		if (i > 0 || dot_first)
			buf_putc(b, '.');
		buf_add(b, names->v[i]);
	}
}

static void put_list(struct buf *b, const struct tmpl_list *l, const char *between)
{
	for (size_t i = 0; i < l->n; i++) {
		bool paren = l->v[i]->kind == TMPL_NODE_PIPE;

		if (i > 0)
			buf_puts(b, between);
		if (paren)
			buf_putc(b, '(');
		tmpl_node_text(b, l->v[i]);
		if (paren)
			buf_putc(b, ')');
	}
}

static void put_pipe(struct buf *b, const struct tmpl_node *n)
{
	for (size_t i = 0; i < n->pipe.vars.n; i++) {
		if (i > 0)
			buf_puts(b, ", ");
		buf_add(b, n->pipe.vars.v[i]);
	}
	if (n->pipe.vars.n > 0)
		buf_puts(b, n->pipe.assign ? " = " : " := ");
	put_list(b, &n->pipe.cmds, " | ");
}

static void put_chain(struct buf *b, const struct tmpl_node *n)
{
	bool paren = n->chain.of->kind == TMPL_NODE_PIPE;

	if (paren)
		buf_putc(b, '(');
	tmpl_node_text(b, n->chain.of);
	if (paren)
		buf_putc(b, ')');
	put_names(b, &n->chain.names, true);
}

static void put_branch(struct buf *b, const char *word, const struct tmpl_node *n)
{
	buf_printf(b, "{{%s ", word);
	tmpl_node_text(b, n->branch.pipe);
	buf_puts(b, "}}");
	put_list(b, &n->branch.list, "");
	if (n->branch.has_else) {
		buf_puts(b, "{{else}}");
		put_list(b, &n->branch.els, "");
	}
	buf_puts(b, "{{end}}");
}

static void put_call(struct buf *b, const struct tmpl_node *n)
{
	buf_puts(b, "{{template ");
	text_go_quote(b, n->call.name);
	if (n->call.pipe != NULL) {
		buf_putc(b, ' ');
		tmpl_node_text(b, n->call.pipe);
	}
	buf_puts(b, "}}");
}

void tmpl_node_text(struct buf *b, const struct tmpl_node *n)
{
	switch (n->kind) {
	case TMPL_NODE_TEXT: buf_add(b, n->text); break;
	case TMPL_NODE_ACTION:
		buf_puts(b, "{{");
		tmpl_node_text(b, n->in);
		buf_puts(b, "}}");
		break;
	case TMPL_NODE_IF: put_branch(b, "if", n); break;
	case TMPL_NODE_WITH: put_branch(b, "with", n); break;
	case TMPL_NODE_RANGE: put_branch(b, "range", n); break;
	case TMPL_NODE_BREAK: buf_puts(b, "{{break}}"); break;
	case TMPL_NODE_CONTINUE: buf_puts(b, "{{continue}}"); break;
	case TMPL_NODE_TEMPLATE: put_call(b, n); break;
	case TMPL_NODE_PIPE: put_pipe(b, n); break;
	case TMPL_NODE_CMD: put_list(b, &n->args, " "); break;
	case TMPL_NODE_FUNC: buf_puts(b, tmpl_funcs[n->func].name); break;
	case TMPL_NODE_DOT: buf_putc(b, '.'); break;
	case TMPL_NODE_FIELD: put_names(b, &n->names, true); break;
	case TMPL_NODE_VAR: put_names(b, &n->names, false); break;
	case TMPL_NODE_CHAIN: put_chain(b, n); break;
	case TMPL_NODE_BOOL: buf_puts(b, n->truth ? "true" : "false"); break;
	case TMPL_NODE_NIL: buf_puts(b, "nil"); break;
	case TMPL_NODE_NUMBER: buf_add(b, n->number.text); break;
	case TMPL_NODE_STRING: buf_add(b, n->string.quoted); break;
	case TMPL_NODE_END: buf_puts(b, "{{end}}"); break;
	case TMPL_NODE_ELSE: buf_puts(b, "{{else}}"); break;
	}
}

/* ---- labels ---- */

struct reader {
	struct tmpl_reads *r;
	bool dot;  /* . is the set of labels */
	bool root; /* $ is */
};

static void read_node(const struct tmpl_node *n, struct reader *r);

static void read_list(const struct tmpl_list *l, struct reader *r)
{
	for (size_t i = 0; i < l->n; i++)
		read_node(l->v[i], r);
}

/* The body of `with` and `range` sees another dot. Its fields may still be labels, where dot is the whole set
 * again: {{with .}}. A lone dot then shows in the head. */
static void read_branch(const struct tmpl_node *n, struct reader *r)
{
	bool dot = r->dot;

	read_node(n->branch.pipe, r);
	r->dot = dot && n->kind == TMPL_NODE_IF;
	read_list(&n->branch.list, r);
	r->dot = dot;
	read_list(&n->branch.els, r);
}

static void read_var(const struct tmpl_node *n, struct reader *r)
{
	if (!slice_is(n->names.v[0], "$"))
		return;
	if (n->names.n > 1)
		r->r->field(r->r->arg, n->names.v[1]);
	else if (r->root)
		r->r->all = true;
}

static void read_node(const struct tmpl_node *n, struct reader *r)
{
	switch (n->kind) {
	case TMPL_NODE_ACTION: read_node(n->in, r); break;
	case TMPL_NODE_IF:
	case TMPL_NODE_WITH:
	case TMPL_NODE_RANGE: read_branch(n, r); break;
	case TMPL_NODE_TEMPLATE:
		if (n->call.pipe != NULL)
			read_node(n->call.pipe, r);
		break;
	case TMPL_NODE_PIPE: read_list(&n->pipe.cmds, r); break;
	case TMPL_NODE_CMD: read_list(&n->args, r); break;
	case TMPL_NODE_DOT: r->r->all = r->r->all || r->dot; break;
	case TMPL_NODE_FUNC: r->r->clock = r->r->clock || tmpl_funcs[n->func].clock; break;
	case TMPL_NODE_FIELD: r->r->field(r->r->arg, n->names.v[0]); break;
	case TMPL_NODE_VAR: read_var(n, r); break;
	case TMPL_NODE_CHAIN: read_node(n->chain.of, r); break;
	default: break;
	}
}

void tmpl_reads(const struct tmpl *t, struct tmpl_reads *out)
{
	struct reader r = { out, true, true };

	read_list(&t->root, &r);
	/* A definition gets what its caller hands it: the set of labels only if a dot shows there. */
	r = (struct reader){ out, false, false };
	for (size_t i = 0; i < t->n_defines; i++)
		if (t->defines[i].root.v != t->root.v)
			read_list(&t->defines[i].root, &r);
}
