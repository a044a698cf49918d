/* Walks a template's tree for one entry. The node that was looked at last (r->at) is what an error names, so the
 * places where it is set are those of Go's evaluator. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/text.h"
#include "query/tmpl_func.h"

enum { BYTES_PER_STEP = 16, MAX_REASON = 4096 };

/* How a list ended. */
enum walk { WALK_FAILED = -1, WALK_DONE, WALK_BREAK, WALK_CONTINUE };

static bool eval_pipe(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		      struct tmpl_value *out);
static enum walk walk_list(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_list *l);

/* ---- errors ---- */

bool tmpl_fail(struct tmpl_run *r, const char *fmt, ...)
{
	char text[MAX_REASON];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->reason = arena_dup(r->arena, slice_cstr(text));
	return false;
}

/* template: line:1:2: executing "line" at <NODE>: REASON */
static void put_place(struct tmpl_run *r, struct buf *b)
{
	struct slice before = slice_sub(r->tmpl->text, 0, r->at->pos);
	size_t line = 1, start = 0;

	for (size_t i = 0; i < before.n; i++)
		if (before.p[i] == '\n') {
			line++;
			start = i + 1;
		}
	buf_printf(b, "template: %s:%zu:%zu: executing ", r->tmpl->name, line, before.n - start);
	text_go_quote(b, r->current);
	buf_puts(b, " at <");
	tmpl_node_text(b, r->at);
	buf_puts(b, ">: ");
}

static void set_error(struct tmpl_run *r, struct slice reason)
{
	struct buf b;

	buf_init(&b);
	put_place(r, &b);
	buf_add(&b, reason);
	r->error = arena_dup(r->arena, buf_slice(&b));
	buf_fini(&b);
}

/* The evaluator's own errors; returns false. */
static bool fail(struct tmpl_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct tmpl_run *r, const char *fmt, ...)
{
	char text[MAX_REASON];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_error(r, slice_cstr(text));
	return false;
}

static const char *node_cstr(struct tmpl_run *r, const struct tmpl_node *n)
{
	struct buf b;

	buf_init(&b);
	tmpl_node_text(&b, n);
	const char *s = arena_cstr(r->arena, slice_sub(buf_slice(&b), 0, MAX_REASON / 2));
	buf_fini(&b);
	return s;
}

/* ---- limits ---- */

bool tmpl_charge(struct tmpl_run *r, size_t n)
{
	if (n / BYTES_PER_STEP >= TMPL_MAX_WORK - r->work) {
		r->work = TMPL_MAX_WORK;
		return tmpl_fail(r, "template needs more than %d steps for one line", TMPL_MAX_WORK);
	}
	r->work += (unsigned)(n / BYTES_PER_STEP);
	return true;
}

static bool step(struct tmpl_run *r)
{
	if (tmpl_charge(r, BYTES_PER_STEP))
		return true;
	set_error(r, r->reason);
	return false;
}

static bool enter(struct tmpl_run *r)
{
	if (r->depth++ < TMPL_MAX_EXEC_DEPTH)
		return true;
	return fail(r, "exceeded maximum template depth (%d)", TMPL_MAX_EXEC_DEPTH);
}

static void leave(struct tmpl_run *r)
{
	r->depth--;
}

static bool too_long(struct tmpl_run *r)
{
	return tmpl_fail(r, "text longer than %d bytes", TMPL_MAX_TEXT);
}

char *tmpl_room(struct tmpl_run *r, size_t n)
{
	if (n > TMPL_MAX_TEXT) {
		too_long(r);
		return NULL;
	}
	return tmpl_charge(r, n) ? arena_alloc_bytes(r->arena, n + 1) : NULL;
}

struct tmpl_sink tmpl_sink(struct tmpl_run *r)
{
	buf_reset(&r->tmp);
	return (struct tmpl_sink){ &r->tmp, TMPL_MAX_TEXT, false };
}

bool tmpl_sink_value(struct tmpl_run *r, const struct tmpl_sink *sink, struct tmpl_value *out)
{
	if (sink->full)
		return too_long(r);
	if (!tmpl_charge(r, sink->b->n))
		return false;
	*out = tmpl_text(arena_dup(r->arena, buf_slice(sink->b)));
	return true;
}

/* ---- what functions ask for ---- */

static void regex_set(struct tmpl_regex *x, struct slice pattern)
{
	struct err err;

	re_free(x->re);
	free(x->error);
	x->re = NULL;
	x->error = NULL;
	x->pattern.p = memcpy(xrealloc((void *)(uintptr_t)x->pattern.p, pattern.n + 1), pattern.p, pattern.n);
	x->pattern.n = pattern.n;
	if (re_compile(pattern, 0, &x->re, &err) == -1)
		x->error = xstrdup(err.msg);
}

const struct re *tmpl_regex(struct tmpl_run *r, struct slice pattern)
{
	struct tmpl_regex *x = NULL;

	for (size_t i = 0; i < TMPL_N_REGEXES && x == NULL; i++)
		if (r->regex[i].pattern.p != NULL && slice_eq(r->regex[i].pattern, pattern))
			x = &r->regex[i];
	if (x == NULL) {
		/* To compile one takes much longer than to find it. */
		if (!tmpl_charge(r, (size_t)BYTES_PER_STEP * 1000))
			return NULL;
		x = &r->regex[r->next_regex++ % TMPL_N_REGEXES];
		regex_set(x, pattern);
	}
	if (x->re == NULL)
		tmpl_fail(r, "%s", x->error);
	return x->re;
}

static void list_labels(struct tmpl_run *r)
{
	if (!r->have_labels)
		label_set_list(r->data.set, LABEL_CAT_ALL, &r->labels);
	r->have_labels = true;
}

struct tmpl_value tmpl_labels(struct tmpl_run *r)
{
	struct tmpl_value v = { .kind = TMPL_LABELS };

	list_labels(r);
	v.labels = (struct labels){ r->labels.v, r->labels.n };
	return v;
}

static struct slice one_label(struct tmpl_run *r, struct slice name)
{
	const struct label_set *s = r->data.set;

	if (r->have_labels)
		return labels_get((struct labels){ r->labels.v, r->labels.n }, name);
	if (s->error.p != NULL && slice_eq(name, LABEL_ERROR))
		return s->error;
	if (s->details.p != NULL && slice_eq(name, LABEL_ERROR_DETAILS))
		return s->details;
	return label_set_get(s, name);
}

/* ---- types ---- */

static const char *param_name(char param)
{
	switch (param) {
	case 's': return "string";
	case 'i': return "int";
	case 'f': return "float64";
	case 't': return "time.Time";
	case 'd': return "time.Duration";
	default: return "interface {}";
	}
}

static bool fits(const struct tmpl_value *v, char param)
{
	switch (param) {
	case 's': return v->kind == TMPL_TEXT;
	case 'i': return v->kind == TMPL_INTEGER && v->type == TMPL_INT_PLAIN;
	case 'd': return v->kind == TMPL_INTEGER && v->type == TMPL_INT_DURATION;
	case 'f': return v->kind == TMPL_FLOAT;
	case 't': return v->kind == TMPL_TIME;
	default: return true;
	}
}

/* Makes a value fit a parameter, or fails. */
static bool check_type(struct tmpl_run *r, struct tmpl_value *v, char param)
{
	if (v->kind == TMPL_NONE && param == 'a')
		v->kind = TMPL_NULL;
	if (v->kind == TMPL_NONE && param != 'v')
		return fail(r, "invalid value; expected %s", param_name(param));
	if (!fits(v, param))
		return fail(r, "wrong type for value; expected %s; got %s", param_name(param),
			    tmpl_type_name(v));
	return true;
}

/* ---- calls ---- */

struct call {
	const char *name;
	const char *params, *rest;
	size_t n_params;
	const struct tmpl_node *node; /* where errors of the function point */
	struct tmpl_node **args;
	size_t n_args;
	const struct tmpl_value *final; /* from the command before; NULL: none */
};

static bool eval_arg(struct tmpl_run *r, const struct tmpl_value *dot, char param, const struct tmpl_node *n,
		     struct tmpl_value *out);

static bool check_arity(struct tmpl_run *r, const struct call *c)
{
	size_t n = c->n_args + (c->final != NULL);

	if (*c->rest != '\0') {
		if (n < c->n_params)
			return fail(r, "wrong number of args for %s: want at least %zu got %zu", c->name,
				    c->n_params, c->n_args);
	} else if (n != c->n_params) {
		return fail(r, "wrong number of args for %s: want %zu got %zu", c->name, c->n_params, n);
	}
	return true;
}

static char param_of(const struct call *c, size_t i)
{
	return i < c->n_params ? c->params[i] : *c->rest;
}

/* n_before values stand in front of the arguments proper. */
static bool eval_args(struct tmpl_run *r, const struct tmpl_value *dot, const struct call *c,
		      struct tmpl_value *out)
{
	for (size_t i = 0; i < c->n_args; i++)
		if (!eval_arg(r, dot, param_of(c, i), c->args[i], &out[i]))
			return false;
	if (c->final == NULL)
		return true;
	out[c->n_args] = *c->final;
	return check_type(r, &out[c->n_args], param_of(c, c->n_args));
}

static bool call_failed(struct tmpl_run *r, const struct call *c)
{
	struct slice reason = r->reason;

	r->at = c->node;
	return fail(r, "error calling %s: %.*s", c->name, SLICE_ARG(reason));
}

/* and, or: what is not needed is not evaluated. */
static bool eval_logic(struct tmpl_run *r, const struct tmpl_value *dot, const struct call *c, bool is_or,
		       struct tmpl_value *out)
{
	for (size_t i = 0; i < c->n_args; i++) {
		if (!eval_arg(r, dot, 'v', c->args[i], out))
			return false;
		if (tmpl_truth(out) == is_or)
			return true;
	}
	if (c->final != NULL)
		*out = *c->final;
	return true;
}

static bool call_nothing(struct tmpl_run *r, const struct call *c, const struct tmpl_value *fn)
{
	const char *name;

	if (c->n_args > 0)
		name = node_cstr(r, c->args[0]);
	else if (fn->kind == TMPL_TEXT)
		name = arena_cstr(r->arena, slice_sub(fn->s, 0, MAX_REASON / 2));
	else
		name = arena_printf(r->arena, "<%s Value>", tmpl_type_name(fn));
	if (fn->kind == TMPL_NONE || fn->kind == TMPL_NULL)
		tmpl_fail(r, "call of nil");
	else
		tmpl_fail(r, "non-function %s of type %s", name, tmpl_type_name(fn));
	return call_failed(r, c);
}

static tmpl_function *function_of(enum tmpl_func f)
{
	tmpl_function *const *const tables[] = { tmpl_text_functions, tmpl_number_functions,
						 tmpl_go_functions, tmpl_time_functions,
						 tmpl_rule_functions };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (tables[i][f] != NULL)
			return tables[i][f];
	return NULL;
}

static bool eval_func(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		      const struct tmpl_node *at_error, struct tmpl_node **args, size_t n_args,
		      const struct tmpl_value *final, struct tmpl_value *out)
{
	const struct tmpl_func_row *row = &tmpl_funcs[n->func];
	struct call c = { row->name, row->params, row->rest, row->n_params, at_error, args, n_args, final };
	struct tmpl_value few[4], *value = few;
	size_t n_values = n_args + (final != NULL);

	r->at = n;
	if (!check_arity(r, &c))
		return false;
	if (n->func == TMPL_FN_AND || n->func == TMPL_FN_OR)
		return eval_logic(r, dot, &c, n->func == TMPL_FN_OR, out);
	if (n_values > ARRAY_LEN(few))
		value = arena_array(r->arena, struct tmpl_value, n_values);
	if (!eval_args(r, dot, &c, value))
		return false;
	if (n->func == TMPL_FN_CALL)
		return call_nothing(r, &c, &value[0]);
	return function_of(n->func)(r, value, n_values, out) || call_failed(r, &c);
}

static bool eval_method(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_method *m,
			struct call *c, const struct tmpl_value *receiver, struct tmpl_value *out)
{
	struct tmpl_value *value = arena_array(r->arena, struct tmpl_value, c->n_args + 2);

	c->params = m->params;
	c->rest = "";
	c->n_params = strlen(m->params);
	value[0] = *receiver;
	if (!check_arity(r, c) || !eval_args(r, dot, c, value + 1))
		return false;
	return m->run(r, value, c->n_params + 1, out) || call_failed(r, c);
}

/* ---- fields ---- */

static bool eval_map_field(struct tmpl_run *r, const struct tmpl_value *map, struct slice name,
			   struct tmpl_value *out)
{
	if (map->kind == TMPL_LABELS && map->labels.v == NULL && r->dot == NULL) {
		struct slice v = one_label(r, name);

		*out = tmpl_text(v.p != NULL ? v : SLICE(""));
		return true;
	}
	*out = tmpl_map_get(map, name);
	if (map->fixed)
		return out->kind != TMPL_NONE ||
		       fail(r, "can't evaluate field %.*s in the data of a rule", SLICE_ARG(name));
	if (out->kind == TMPL_NONE)
		*out = map->kind == TMPL_LABELS ? tmpl_text(SLICE(""))
						: (struct tmpl_value){ .kind = TMPL_NULL };
	out->boxed = map->kind == TMPL_MAP;
	return true;
}

/* One step of .a.b; c holds the arguments that only a method takes. */
static bool eval_field(struct tmpl_run *r, const struct tmpl_value *dot, struct slice name, struct call *c,
		       const struct tmpl_value *receiver, struct tmpl_value *out)
{
	struct tmpl_value v = *receiver;

	if (v.kind == TMPL_NONE) {
		*out = v;
		return true;
	}
	if (v.kind == TMPL_NULL)
		return fail(r, "nil pointer evaluating interface {}.%.*s", SLICE_ARG(name));
	const struct tmpl_method *m = tmpl_method_find(&v, name);
	if (m != NULL) {
		c->name = m->name;
		return eval_method(r, dot, m, c, &v, out);
	}
	if (v.kind == TMPL_MAP || v.kind == TMPL_LABELS) {
		if (c->n_args > 0 || c->final != NULL)
			return fail(r, "%.*s is not a method but has arguments", SLICE_ARG(name));
		return eval_map_field(r, &v, name, out);
	}
	return fail(r, "can't evaluate field %.*s in type %s", SLICE_ARG(name),
		    v.boxed ? "interface {}" : tmpl_type_name(&v));
}

/* args: those of the last field, or NULL. */
static bool eval_fields(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_value *receiver,
			const struct tmpl_node *n, const struct slice *name, size_t n_names,
			struct tmpl_node **args, size_t n_args, const struct tmpl_value *final,
			struct tmpl_value *out)
{
	struct tmpl_value v = *receiver;

	for (size_t i = 0; i < n_names; i++) {
		bool last = i + 1 == n_names;
		struct call c = {
			.node = n, .args = args, .n_args = last ? n_args : 0, .final = last ? final : NULL
		};

		if (!eval_field(r, dot, name[i], &c, &v, &v))
			return false;
	}
	*out = v;
	return true;
}

/* ---- operands ---- */

static bool not_a_function(struct tmpl_run *r, const struct tmpl_node *n, size_t n_args,
			   const struct tmpl_value *final)
{
	if (n_args == 0 && final == NULL)
		return true;
	return fail(r, "can't give argument to non-function %s", node_cstr(r, n));
}

static struct tmpl_var *find_var(struct tmpl_run *r, struct slice name)
{
	for (size_t i = r->vars.n; i > r->vars_base; i--)
		if (slice_eq(r->vars.v[i - 1].name, name))
			return &r->vars.v[i - 1];
	return NULL;
}

/* . or $ as a value of its own: the labels are then listed. */
static struct tmpl_value whole_dot(struct tmpl_run *r, const struct tmpl_value *dot)
{
	return dot->kind == TMPL_LABELS && dot->labels.v == NULL && r->dot == NULL ? tmpl_labels(r) : *dot;
}

static bool eval_var(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		     struct tmpl_node **args, size_t n_args, const struct tmpl_value *final,
		     struct tmpl_value *out)
{
	const struct tmpl_var *v;

	r->at = n;
	v = find_var(r, n->names.v[0]);
	if (v == NULL)
		return fail(r, "undefined variable: %.*s", SLICE_ARG(n->names.v[0]));
	struct tmpl_value value = v->value;
	if (n->names.n == 1) {
		*out = whole_dot(r, &value);
		return not_a_function(r, n, n_args, final);
	}
	return eval_fields(r, dot, &value, n, n->names.v + 1, n->names.n - 1, args, n_args, final, out);
}

static bool eval_chain(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		       struct tmpl_node **args, size_t n_args, const struct tmpl_value *final,
		       struct tmpl_value *out)
{
	struct tmpl_value v;

	r->at = n;
	if (!eval_arg(r, dot, 'v', n->chain.of, &v))
		return false;
	return eval_fields(r, dot, &v, n, n->chain.names.v, n->chain.names.n, args, n_args, final, out);
}

/* A number without a parameter that says what it should be. */
static bool ideal_number(struct tmpl_run *r, const struct tmpl_node *n, struct tmpl_value *out)
{
	const struct tmpl_number *x = &n->number;

	r->at = n;
	if (x->is_complex) {
		*out = (struct tmpl_value){ .kind = TMPL_COMPLEX };
		out->complex.re = x->re;
		out->complex.im = x->im;
	} else if (x->float_syntax) {
		*out = tmpl_float(x->f);
	} else if (x->is_int) {
		*out = tmpl_int(x->i);
	} else {
		return fail(r, "%.*s overflows int", SLICE_ARG(x->text));
	}
	return true;
}

static bool expected(struct tmpl_run *r, const char *what, const struct tmpl_node *n)
{
	return fail(r, "expected %s; found %s", what, node_cstr(r, n));
}

/* BOOL, NUMBER, STRING for a parameter */
static bool eval_literal(struct tmpl_run *r, char param, const struct tmpl_node *n, struct tmpl_value *out)
{
	bool number = n->kind == TMPL_NODE_NUMBER;

	switch (param) {
	case 's':
		if (n->kind != TMPL_NODE_STRING)
			return expected(r, "string", n);
		break;
	case 'i':
	case 'd':
		if (!number || !n->number.is_int)
			return expected(r, "integer", n);
		*out = tmpl_int_of(param == 'd' ? TMPL_INT_DURATION : TMPL_INT_PLAIN, n->number.i);
		return true;
	case 'f':
		if (!number || !n->number.is_float)
			return expected(r, "float", n);
		*out = tmpl_float(n->number.f);
		return true;
	case 't': return fail(r, "can't handle %s for arg of type time.Time", node_cstr(r, n));
	default: break;
	}
	if (number)
		return ideal_number(r, n, out);
	*out = n->kind == TMPL_NODE_STRING ? tmpl_text(n->string.value) : tmpl_bool(n->truth);
	return true;
}

static bool eval_nil(struct tmpl_run *r, char param, struct tmpl_value *out)
{
	if (param != 'a' && param != 'v')
		return fail(r, "cannot assign nil to %s", param_name(param));
	*out = (struct tmpl_value){ .kind = param == 'a' ? TMPL_NULL : TMPL_NONE };
	return true;
}

static bool eval_arg(struct tmpl_run *r, const struct tmpl_value *dot, char param, const struct tmpl_node *n,
		     struct tmpl_value *out)
{
	bool ok = true;

	r->at = n;
	if (!step(r))
		return false;
	switch (n->kind) {
	case TMPL_NODE_DOT: *out = whole_dot(r, dot); break;
	case TMPL_NODE_NIL: return eval_nil(r, param, out);
	case TMPL_NODE_FIELD:
		ok = eval_fields(r, dot, dot, n, n->names.v, n->names.n, NULL, 0, NULL, out);
		break;
	case TMPL_NODE_VAR: ok = eval_var(r, dot, n, NULL, 0, NULL, out); break;
	case TMPL_NODE_PIPE: ok = eval_pipe(r, dot, n, out); break;
	case TMPL_NODE_FUNC: ok = eval_func(r, dot, n, n, NULL, 0, NULL, out); break;
	case TMPL_NODE_CHAIN: ok = eval_chain(r, dot, n, NULL, 0, NULL, out); break;
	default: return eval_literal(r, param, n, out);
	}
	return ok && check_type(r, out, param);
}

/* ---- pipelines ---- */

static bool eval_value_cmd(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
			   size_t n_args, const struct tmpl_value *final, struct tmpl_value *out)
{
	r->at = n;
	if (!not_a_function(r, n, n_args, final))
		return false;
	switch (n->kind) {
	case TMPL_NODE_DOT: *out = whole_dot(r, dot); return true;
	case TMPL_NODE_NIL: return fail(r, "nil is not a command");
	default: return eval_literal(r, 'a', n, out);
	}
}

static bool eval_cmd(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *cmd,
		     const struct tmpl_value *final, struct tmpl_value *out)
{
	const struct tmpl_node *n = cmd->args.v[0];
	struct tmpl_node **args = cmd->args.v + 1;
	size_t n_args = cmd->args.n - 1;

	switch (n->kind) {
	case TMPL_NODE_FIELD:
		r->at = n;
		return eval_fields(r, dot, dot, n, n->names.v, n->names.n, args, n_args, final, out);
	case TMPL_NODE_CHAIN: return eval_chain(r, dot, n, args, n_args, final, out);
	case TMPL_NODE_FUNC: return eval_func(r, dot, n, cmd, args, n_args, final, out);
	case TMPL_NODE_VAR: return eval_var(r, dot, n, args, n_args, final, out);
	case TMPL_NODE_PIPE: return not_a_function(r, n, n_args, final) && eval_pipe(r, dot, n, out);
	default: return eval_value_cmd(r, dot, n, n_args, final, out);
	}
}

static void push_var(struct tmpl_run *r, struct slice name, struct tmpl_value v)
{
	vec_push(&r->vars, ((struct tmpl_var){ name, v }));
}

static bool set_var(struct tmpl_run *r, struct slice name, struct tmpl_value v)
{
	struct tmpl_var *x = find_var(r, name);

	if (x == NULL)
		return fail(r, "undefined variable: %.*s", SLICE_ARG(name));
	x->value = v;
	return true;
}

static bool eval_cmds(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		      struct tmpl_value *out)
{
	struct tmpl_value value;

	for (size_t i = 0; i < n->pipe.cmds.n; i++) {
		struct tmpl_value made;

		if (!step(r) || !eval_cmd(r, dot, n->pipe.cmds.v[i], i > 0 ? &value : NULL, &made))
			return false;
		value = made;
		value.boxed = false;
		if (value.kind == TMPL_NULL)
			value.kind = TMPL_NONE;
	}
	*out = value;
	return true;
}

static bool eval_pipe(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
		      struct tmpl_value *out)
{
	r->at = n;
	bool ok = enter(r) && eval_cmds(r, dot, n, out);
	leave(r);
	if (!ok)
		return false;
	for (size_t i = 0; i < n->pipe.vars.n; i++) {
		if (!n->pipe.assign)
			push_var(r, n->pipe.vars.v[i], *out);
		else if (!set_var(r, n->pipe.vars.v[i], *out))
			return false;
	}
	return true;
}

/* ---- statements ---- */

static bool put_output(struct tmpl_run *r, struct tmpl_sink *sink)
{
	if (!sink->full)
		return true;
	return fail(r, "output longer than %d bytes", TMPL_MAX_TEXT);
}

static bool walk_action(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
	struct tmpl_sink sink = { &r->out, TMPL_MAX_TEXT, false };
	struct tmpl_value v;

	if (!eval_pipe(r, dot, n->in, &v))
		return false;
	if (n->in->pipe.vars.n > 0)
		return true;
	r->at = n;
	if (v.kind == TMPL_NONE)
		tmpl_sink_put(&sink, SLICE("<no value>"));
	else
		tmpl_print(&sink, &v);
	return put_output(r, &sink);
}

static bool walk_text(struct tmpl_run *r, const struct tmpl_node *n)
{
	struct tmpl_sink sink = { &r->out, TMPL_MAX_TEXT, false };

	tmpl_sink_put(&sink, n->text);
	return put_output(r, &sink);
}

static enum walk walk_if(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
	size_t n_vars = r->vars.n;
	enum walk rc = WALK_DONE;
	struct tmpl_value v;

	if (!eval_pipe(r, dot, n->branch.pipe, &v))
		return WALK_FAILED;
	if (tmpl_truth(&v))
		rc = walk_list(r, n->kind == TMPL_NODE_WITH ? &v : dot, &n->branch.list);
	else if (n->branch.has_else)
		rc = walk_list(r, dot, &n->branch.els);
	r->vars.n = n_vars;
	return rc;
}

/* One round of a range. index is no value where numbers are counted. */
static enum walk walk_round(struct tmpl_run *r, const struct tmpl_node *n, const struct tmpl_value *index,
			    const struct tmpl_value *elem)
{
	const struct tmpl_names *vars = &n->branch.pipe->pipe.vars;
	size_t n_vars = r->vars.n;

	if (!step(r))
		return WALK_FAILED;
	if (n->branch.pipe->pipe.assign) {
		if (vars->n > 1 ? !set_var(r, vars->v[0], *index) || !set_var(r, vars->v[1], *elem)
				: vars->n == 1 && !set_var(r, vars->v[0], *elem))
			return WALK_FAILED;
	} else {
		if (vars->n > 0)
			r->vars.v[n_vars - 1].value = *elem;
		if (vars->n > 1)
			r->vars.v[n_vars - 2].value = *index;
	}
	enum walk rc = walk_list(r, elem, &n->branch.list);
	r->vars.n = n_vars;
	return rc == WALK_CONTINUE ? WALK_DONE : rc;
}

static bool cannot_range(struct tmpl_run *r, const struct tmpl_value *v, const char *before,
			 const char *after)
{
	struct tmpl_sink sink = tmpl_sink(r);
	struct tmpl_value text;

	tmpl_print(&sink, v);
	if (!tmpl_sink_value(r, &sink, &text))
		return fail(r, "%.*s", SLICE_ARG(r->reason));
	return fail(r, "%s %.*s%s", before, SLICE_ARG(slice_sub(text.s, 0, MAX_REASON / 2)), after);
}

static struct tmpl_value range_index(const struct tmpl_value *v, size_t i)
{
	switch (v->kind) {
	case TMPL_LIST: return tmpl_int((int64_t)i);
	case TMPL_MAP: return tmpl_text(v->map.v[i].key);
	case TMPL_LABELS: return tmpl_text(v->labels.v[i].name);
	default: return TMPL_ABSENT;
	}
}

static struct tmpl_value range_elem(const struct tmpl_value *v, size_t i)
{
	struct tmpl_value elem = *v;

	switch (v->kind) {
	case TMPL_LIST: elem = v->list.v[i]; break;
	case TMPL_MAP: elem = *v->map.v[i].value; break;
	case TMPL_LABELS: return tmpl_text(v->labels.v[i].value);
	default: elem.i = (int64_t)i; return elem;
	}
	elem.boxed = true;
	return elem;
}

/* How often to go round; false: that cannot be said of this value. */
static bool range_count(struct tmpl_run *r, const struct tmpl_value *v, const struct tmpl_node *n,
			size_t *out)
{
	switch (v->kind) {
	case TMPL_NONE: *out = 0; return true;
	case TMPL_LIST:
	case TMPL_MAP:
	case TMPL_LABELS: *out = tmpl_len(v); return true;
	case TMPL_INTEGER:
	case TMPL_BYTE:
		*out = v->i > 0 ? (size_t)v->i : 0;
		if (n->branch.pipe->pipe.vars.n > 1)
			return cannot_range(r, v, "can't use", " to iterate over more than one variable");
		return true;
	default: return cannot_range(r, v, "range can't iterate over", "");
	}
}

static enum walk walk_range(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
	size_t n_vars = r->vars.n, count = 0;
	enum walk rc = WALK_DONE;
	struct tmpl_value v;

	if (!eval_pipe(r, dot, n->branch.pipe, &v) || !range_count(r, &v, n, &count))
		return WALK_FAILED;
	for (size_t i = 0; i < count && rc == WALK_DONE; i++) {
		struct tmpl_value index = range_index(&v, i), elem = range_elem(&v, i);

		rc = walk_round(r, n, &index, &elem);
	}
	if (count == 0 && n->branch.has_else)
		rc = walk_list(r, dot, &n->branch.els);
	else if (rc == WALK_BREAK)
		rc = WALK_DONE;
	r->vars.n = n_vars;
	return rc;
}

static bool walk_call(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
	const struct tmpl_list *root = tmpl_find(r->tmpl, n->call.name);
	struct tmpl_value v = TMPL_ABSENT;
	struct slice current = r->current;
	size_t base = r->vars_base;

	if (root == NULL) {
		struct buf quoted;

		buf_init(&quoted);
		text_go_quote(&quoted, n->call.name);
		fail(r, "template %.*s not defined", SLICE_ARG(buf_slice(&quoted)));
		buf_fini(&quoted);
		return false;
	}
	if (n->call.pipe != NULL && !eval_pipe(r, dot, n->call.pipe, &v))
		return false;
	size_t n_vars = r->vars.n;
	r->vars_base = n_vars;
	r->current = n->call.name;
	push_var(r, SLICE("$"), v);
	bool ok = walk_list(r, &v, root) != WALK_FAILED;
	r->vars.n = n_vars;
	r->vars_base = base;
	r->current = current;
	return ok;
}

static enum walk walk_node(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
	bool ok;

	r->at = n;
	switch (n->kind) {
	case TMPL_NODE_TEXT: ok = walk_text(r, n); break;
	case TMPL_NODE_ACTION: ok = walk_action(r, dot, n); break;
	case TMPL_NODE_IF:
	case TMPL_NODE_WITH: return walk_if(r, dot, n);
	case TMPL_NODE_RANGE: return walk_range(r, dot, n);
	case TMPL_NODE_BREAK: return WALK_BREAK;
	case TMPL_NODE_CONTINUE: return WALK_CONTINUE;
	case TMPL_NODE_TEMPLATE: ok = walk_call(r, dot, n); break;
	default: assert(0 && "a statement"); return WALK_FAILED;
	}
	return ok ? WALK_DONE : WALK_FAILED;
}

static enum walk walk_list(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_list *l)
{
	enum walk rc = enter(r) ? WALK_DONE : WALK_FAILED;

	for (size_t i = 0; i < l->n && rc == WALK_DONE; i++)
		rc = step(r) ? walk_node(r, dot, l->v[i]) : WALK_FAILED;
	leave(r);
	return rc;
}

/* ---- the door ---- */

void tmpl_run_init(struct tmpl_run *r)
{
	*r = (struct tmpl_run){ 0 };
}

void tmpl_run_fini(struct tmpl_run *r)
{
	buf_fini(&r->out);
	buf_fini(&r->tmp);
	buf_fini(&r->no_zone);
	vec_fini(&r->vars);
	vec_fini(&r->labels);
	for (size_t i = 0; i < TMPL_N_REGEXES; i++) {
		re_free(r->regex[i].re);
		free(r->regex[i].error);
		free((void *)(uintptr_t)r->regex[i].pattern.p);
	}
	*r = (struct tmpl_run){ 0 };
}

void tmpl_run_start(struct tmpl_run *r, const struct tmpl_data *data, bool snapshot, struct arena *a)
{
	r->data = *data;
	r->dot = NULL;
	r->arena = a;
	r->have_labels = false;
	r->work = 0;
	if (snapshot)
		list_labels(r);
}

void tmpl_run_start_rule(struct tmpl_run *r, const struct tmpl_value *dot, struct arena *a)
{
	const struct tmpl_data none = { 0 };

	tmpl_run_start(r, &none, false, a);
	r->dot = dot;
}

bool tmpl_run(struct tmpl_run *r, const struct tmpl *t, struct slice *out, struct slice *error)
{
	/* Without its list: single fields are looked up in the set. */
	struct tmpl_value dot = { .kind = TMPL_LABELS };

	if (r->dot != NULL)
		dot = *r->dot;
	buf_reset(&r->out);
	r->tmpl = t;
	r->current = slice_cstr(t->name);
	r->depth = 0;
	r->vars.n = r->vars_base = 0;
	push_var(r, SLICE("$"), dot);
	if (walk_list(r, &dot, &t->root) == WALK_FAILED) {
		*error = r->error;
		return false;
	}
	*out = arena_dup(r->arena, buf_slice(&r->out));
	return true;
}
