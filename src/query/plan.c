#include "query/plan.h"

static int by_bytes(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static size_t sort_unique(struct slice *v, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(v, n, sizeof(*v), by_bytes);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !slice_eq(v[kept - 1], v[i]))
			v[kept++] = v[i];
	return kept;
}

struct label_group plan_group(const struct logql_grouping *g, struct arena *a)
{
	struct label_group out = { .all = true };

	if (g == NULL || (g->without && g->labels.n == 0))
		return out;
	out.all = false;
	out.without = g->without;
	out.names = arena_array(a, struct slice, g->labels.n);
	if (g->labels.n > 0)
		memcpy(out.names, g->labels.v, g->labels.n * sizeof(*out.names));
	out.n = sort_unique(out.names, g->labels.n);
	return out;
}

/* ---- needed labels ---- */

struct name_vec {
	struct slice *v;
	size_t n, cap;
};

/* A name that ends in _extracted may be made of the one without. */
static void need(struct name_vec *names, struct slice name)
{
	struct slice suffix = SLICE(LABEL_SUFFIX);

	vec_push(names, name);
	if (slice_ends(name, suffix))
		vec_push(names, slice_sub(name, 0, name.n - suffix.n));
}

static struct slice filter_name(const struct label_filter *f)
{
	return f->kind == LABEL_FILTER_STRING ? f->matcher.name : f->name;
}

static void need_filter(struct name_vec *names, const struct label_filter *f)
{
	if (f->kind == LABEL_FILTER_AND || f->kind == LABEL_FILTER_OR) {
		need_filter(names, f->left);
		need_filter(names, f->right);
	} else {
		need(names, filter_name(f));
	}
}

static void need_field(void *arg, struct slice name)
{
	need(arg, name);
}

/* What a stage reads. False: it may be any label. */
static bool need_stage(struct name_vec *names, const struct logql_stage *s)
{
	struct tmpl_reads reads = { .field = need_field, .arg = names };

	switch (s->kind) {
	case STAGE_LABEL_FILTER: need_filter(names, s->filter); break;
	case STAGE_LINE_FORMAT:
		if (s->line_format.tmpl != NULL)
			tmpl_reads(s->line_format.tmpl, &reads);
		break;
	case STAGE_LABEL_FORMAT:
		for (size_t i = 0; i < s->label_format.n; i++) {
			const struct label_format *f = &s->label_format.v[i];

			if (f->is_template)
				tmpl_reads(f->tmpl, &reads);
			else
				need(names, f->value);
		}
		break;
	default: break;
	}
	return !reads.all;
}

bool plan_stage_needs(const struct logql_log *log, size_t n, struct label_needs *out, struct arena *a)
{
	struct name_vec names = { 0 };
	bool known = true;

	for (size_t i = 0; i < n && known; i++)
		known = need_stage(&names, &log->stages[i]);
	if (known) {
		*out = (struct label_needs){ .names = arena_array(a, struct slice, names.n) };
		if (names.n > 0)
			memcpy(out->names, names.v, names.n * sizeof(*names.v));
		out->n = sort_unique(out->names, names.n);
		for (size_t i = 0; i < out->n; i++)
			out->preserve_error = out->preserve_error || slice_eq(out->names[i], LABEL_ERROR);
	}
	vec_fini(&names);
	return known;
}

static void need_unwrap(struct name_vec *names, const struct logql_unwrap *u)
{
	need(names, u->label);
	for (size_t i = 0; i < u->n_filters; i++)
		need_filter(names, u->filters[i]);
}

/* Without `by`, an unwrapped label is its sample's value, and no label of its series any more. */
static void ungroup(struct label_group *g, struct slice name, struct arena *a)
{
	struct slice *names = arena_array(a, struct slice, g->n + 1);

	if (g->n > 0)
		memcpy(names, g->names, g->n * sizeof(*names));
	names[g->n] = name;
	*g = (struct label_group){ .without = true, .n = sort_unique(names, g->n + 1), .names = names };
}

static void plan_needs(struct plan *p, const struct logql_unwrap *unwrap, struct arena *a)
{
	struct name_vec names = { 0 };
	struct label_needs *n = &p->needs;

	n->all = p->group.all || p->group.without;
	n->grouped = !n->all && p->group.n > 0;
	if (n->all)
		return;
	for (size_t i = 0; i < p->group.n; i++)
		need(&names, p->group.names[i]);
	for (size_t i = 0; i < p->log->n_stages; i++)
		if (!need_stage(&names, &p->log->stages[i]))
			n->all = true;
	if (unwrap != NULL)
		need_unwrap(&names, unwrap);
	for (size_t i = 0; i < names.n; i++)
		n->preserve_error = n->preserve_error || slice_eq(names.v[i], LABEL_ERROR);
	if (!n->all) {
		n->names = arena_array(a, struct slice, names.n);
		if (names.n > 0)
			memcpy(n->names, names.v, names.n * sizeof(*names.v));
		n->n = sort_unique(n->names, names.n);
	}
	vec_fini(&names);
}

/* ---- trace ids ---- */

struct lookup_builder {
	const struct trace_keys *keys;
	bool cut; /* a label may be any part of a line, whatever its name */
	size_t n_tokens;
	uint64_t tokens[PLAN_MAX_GROUP_TOKENS];
	struct name_vec names;
};

static bool add_tokens(struct lookup_builder *b, const uint64_t *token, size_t n)
{
	if (n == 0 || b->n_tokens + n > PLAN_MAX_GROUP_TOKENS)
		return false;
	memcpy(b->tokens + b->n_tokens, token, n * sizeof(*token));
	b->n_tokens += n;
	return true;
}

static bool add_needle(struct lookup_builder *b, struct slice needle)
{
	uint64_t token[4];

	return add_tokens(b, token, trace_tokens_for_needle(needle, token));
}

static bool add_value(struct lookup_builder *b, struct slice name, struct slice value)
{
	uint64_t token[4];

	if (!add_tokens(b, token, trace_tokens_for_label(b->keys, name, value, token)))
		return false;
	if (b->cut && !add_needle(b, value))
		return false;
	if (!trace_keys_has(b->keys, name))
		vec_push(&b->names, name);
	return true;
}

static bool is_plain_id(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'z') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '-' || s.p[i] == '_'))
			return false;
	return s.n > 0;
}

/* name=~"A|B|C" of plain ids, as a menu with several choices sends it. Neighbours that begin alike are
 * factored, and the result may match any value that contains an id (see query/labelre.h): then the id must
 * count as a needle, too. */
static bool add_alternatives(struct lookup_builder *b, struct slice name, struct slice pattern)
{
	char before = '\0';

	for (;;) {
		size_t bar = slice_find_byte(pattern, '|');
		struct slice id = slice_sub(pattern, 0, bar == SLICE_NONE ? pattern.n : bar);
		struct slice next = bar == SLICE_NONE ? SLICE("") : slice_from(pattern, bar + 1);

		if (!is_plain_id(id) || !add_value(b, name, id))
			return false;
		if ((id.p[0] == before || (next.n > 0 && next.p[0] == id.p[0])) && !add_needle(b, id))
			return false;
		if (bar == SLICE_NONE)
			return true;
		before = id.p[0];
		pattern = next;
	}
}

static bool add_filter(struct lookup_builder *b, const struct label_filter *f)
{
	size_t n_tokens = b->n_tokens, n_names = b->names.n;

	switch (f->kind) {
	case LABEL_FILTER_OR: return add_filter(b, f->left) && add_filter(b, f->right);
	case LABEL_FILTER_AND: /* inside an `or`: either side will do */
		if (add_filter(b, f->left))
			return true;
		b->n_tokens = n_tokens;
		b->names.n = n_names;
		return add_filter(b, f->right);
	case LABEL_FILTER_STRING:
		if (f->matcher.op == MATCH_EQ)
			return add_value(b, f->matcher.name, f->matcher.value);
		return f->matcher.op == MATCH_RE && add_alternatives(b, f->matcher.name, f->matcher.value);
	default: return false;
	}
}

static void keep_lookup(struct plan *p, struct lookup_builder *b, struct arena *a)
{
	struct plan_lookup *l = &p->lookups[p->n_lookups++];
	uint64_t *token = arena_array(a, uint64_t, b->n_tokens);

	memcpy(token, b->tokens, b->n_tokens * sizeof(*token));
	l->tokens = (struct trace_group){ token, b->n_tokens };
	l->n_names = b->names.n;
	l->names = arena_array(a, struct slice, b->names.n);
	if (b->names.n > 0)
		memcpy(l->names, b->names.v, b->names.n * sizeof(*l->names));
}

static void label_lookup(struct plan *p, struct lookup_builder *b, const struct label_filter *f,
			 struct arena *a)
{
	if (f->kind == LABEL_FILTER_AND) {
		label_lookup(p, b, f->left, a);
		label_lookup(p, b, f->right, a);
		return;
	}
	b->n_tokens = b->names.n = 0;
	if (p->n_lookups < PLAN_MAX_GROUPS && add_filter(b, f))
		keep_lookup(p, b, a);
}

/* |= "A" or "B": a line must hold one of them. An empty alternative counts only where all are empty. */
static bool add_line_filter(struct lookup_builder *b, const struct line_filter *f)
{
	if (f->op != LINE_EQ)
		return false;
	for (size_t i = 0; i < f->n; i++)
		if (f->alts[i].is_ip || (f->alts[i].text.n > 0 && !add_needle(b, f->alts[i].text)))
			return false;
	return b->n_tokens > 0;
}

static void line_lookups(struct plan *p, struct lookup_builder *b, const struct logql_stage *s,
			 struct arena *a)
{
	for (size_t i = 0; i < s->line.n && p->n_lookups < PLAN_MAX_GROUPS; i++) {
		b->n_tokens = b->names.n = 0;
		if (s->line.v[i].n > 1 && add_line_filter(b, &s->line.v[i]))
			keep_lookup(p, b, a);
	}
}

/* How the labels behind a stage relate to what is stored. */
enum label_origin {
	LABELS_SAME,	/* as before: metadata, or members of the line under their own names */
	LABELS_CUT,	/* or parts of the line under any name */
	LABELS_CHANGED, /* they need not stand in the line at all */
};

static enum label_origin label_origin(const struct logql_stage *s)
{
	switch (s->kind) {
	case STAGE_LINE_FILTER:
	case STAGE_LABEL_FILTER:
	case STAGE_DROP:
	case STAGE_KEEP: return LABELS_SAME;
	case STAGE_JSON:
	case STAGE_LOGFMT: return s->extract.n == 0 ? LABELS_SAME : LABELS_CUT;
	case STAGE_REGEXP:
	case STAGE_PATTERN: return LABELS_CUT;
	default: return LABELS_CHANGED;
	}
}

static void plan_lookups(struct plan *p, const struct trace_keys *keys, struct arena *a)
{
	struct lookup_builder *b = xcalloc(1, sizeof(*b));
	enum label_origin origin = LABELS_SAME;

	b->keys = keys;
	for (size_t i = 0; i < p->n_needles && p->n_lookups < PLAN_MAX_GROUPS; i++) {
		b->n_tokens = b->names.n = 0;
		if (add_needle(b, p->needles[i]))
			keep_lookup(p, b, a);
	}
	for (size_t i = 0; i < p->log->n_stages; i++) {
		const struct logql_stage *s = &p->log->stages[i];

		if (label_origin(s) > origin)
			origin = label_origin(s);
		b->cut = origin == LABELS_CUT;
		if (s->kind == STAGE_LINE_FILTER && pipeline_sees_stored_line(p->log, i))
			line_lookups(p, b, s, a);
		else if (s->kind == STAGE_LABEL_FILTER && origin < LABELS_CHANGED)
			label_lookup(p, b, s->filter, a);
	}
	vec_fini(&b->names);
	free(b);
}

int plan_new(const struct logql_log *log, const struct plan_options *o, struct arena *a, struct plan **out,
	     struct err *err)
{
	struct plan *p = arena_new(a, struct plan);

	p->log = log;
	p->window = o->window;
	p->backward = o->backward;
	p->group = plan_group(o->grouping, a);
	if (o->unwrap != NULL && (p->group.all || p->group.without))
		ungroup(&p->group, o->unwrap->label, a);
	plan_needs(p, o->unwrap, a);
	if (pipeline_new(log, &p->needs, &p->pipeline, err) == -1)
		return -1;
	p->no_lines = o->lengths_only && !pipeline_has_line_filters(p->pipeline) &&
		      !pipeline_reads_lines(p->pipeline);
	p->counts = p->no_lines && !o->no_index && o->unwrap == NULL && !p->needs.all;
	if (!o->no_index) {
		p->n_needles = pipeline_needles(p->pipeline, p->needles, PLAN_MAX_NEEDLES);
		if (o->keys != NULL)
			plan_lookups(p, o->keys, a);
	}
	*out = p;
	return 0;
}

void plan_fini(struct plan *p)
{
	if (p == NULL)
		return;
	pipeline_free(p->pipeline);
	p->pipeline = NULL;
	pipeline_free(p->probe);
	p->probe = NULL;
}
