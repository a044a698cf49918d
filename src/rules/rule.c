#include "rules/rule.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "logql/parse.h"
#include "rules/rule_yaml.h"
#include "rules/template.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static const char *const file_fields[] = { "groups", "namespace",
					   NULL }; /* the latter is for tools that upload */
static const char *const group_fields[] = { "name",  "interval", "query_offset", "limit", "labels",
					    "rules", NULL };
static const char *const rule_fields[] = { "alert",	      "record", "expr",	       "for",
					   "keep_firing_for", "labels", "annotations", NULL };

/* ------------------------------------------------------------------ groups */

static struct rule_group *group_new(void)
{
	struct rule_group *g = xcalloc(1, sizeof(*g));

	arena_init(&g->arena);
	atomic_init(&g->refs, 1);
	return g;
}

struct rule_group *rule_group_ref(struct rule_group *g)
{
	atomic_fetch_add(&g->refs, 1);
	return g;
}

void rule_group_unref(struct rule_group *g)
{
	if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1)
		return;
	arena_fini(&g->arena);
	free(g);
}

/* ------------------------------------------------------------------ from YAML to structs: wrong types end it */

static int read_names(const struct rule_yaml *map, const char *key, struct arena *a, struct labels *out,
		      struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(map, key);
	size_t n = 0;

	*out = (struct labels){ 0 };
	if (node == NULL || node->kind == RULE_YAML_NULL)
		return 0;
	if (node->kind != RULE_YAML_MAP)
		return rule_yaml_fail(node, err, "%s is a mapping of names to texts", key);
	struct label *v = arena_array(a, struct label, node->n + 1);
	for (const struct rule_yaml *it = node->in; it != NULL; it = it->next) {
		if (it->kind != RULE_YAML_TEXT && it->kind != RULE_YAML_NULL)
			return rule_yaml_fail(it, err, "the values of %s are texts", key);
		v[n++] = (struct label){ arena_dup(a, it->key), arena_dup(a, it->text) };
	}
	struct slice twice = labels_sort(v, n);
	assert(twice.p == NULL); /* no key stands twice in a mapping */
	*out = (struct labels){ v, n };
	return 0;
}

/* Those of the group, but for names that the rule gives a value of its own. */
static struct labels with_group_labels(struct labels own, struct labels group, struct arena *a)
{
	struct label *v = arena_array(a, struct label, own.n + group.n + 1);
	size_t n = own.n;

	if (group.n == 0)
		return own;
	if (own.n > 0)
		memcpy(v, own.v, own.n * sizeof(*v));
	for (size_t i = 0; i < group.n; i++)
		if (labels_get(own, group.v[i].name).p == NULL)
			v[n++] = group.v[i];
	labels_sort(v, n);
	return (struct labels){ v, n };
}

static int read_text(const struct rule_yaml *map, const char *key, struct arena *a, struct slice *out,
		     struct err *err)
{
	struct slice text;

	if (rule_yaml_text(map, key, &text, err) == -1)
		return -1;
	*out = text.n > 0 ? arena_dup(a, text) : (struct slice){ NULL, 0 };
	return 0;
}

static int read_rule(const struct rule_yaml *node, struct rule_group *g, struct rule *r, struct err *err)
{
	struct labels own;

	if (node->kind != RULE_YAML_MAP && node->kind != RULE_YAML_NULL)
		return rule_yaml_fail(node, err, "a rule is a mapping of names to values");
	if (read_text(node, "alert", &g->arena, &r->alert, err) == -1 ||
	    read_text(node, "record", &g->arena, &r->record, err) == -1 ||
	    read_text(node, "expr", &g->arena, &r->expr, err) == -1 ||
	    rule_yaml_duration(node, "for", &r->for_ns, err) == -1 ||
	    rule_yaml_duration(node, "keep_firing_for", &r->keep_firing_for_ns, err) == -1 ||
	    read_names(node, "labels", &g->arena, &own, err) == -1 ||
	    read_names(node, "annotations", &g->arena, &r->annotations, err) == -1)
		return -1;
	r->labels = with_group_labels(own, g->labels, &g->arena);
	r->line = node->line;
	return 0;
}

static int read_rules(const struct rule_yaml *node, struct rule_group *g, struct err *err)
{
	const struct rule_yaml *first, *list = rule_yaml_get(node, "rules");

	if (rule_yaml_list(node, "rules", &first, err) == -1)
		return -1;
	if (first == NULL)
		return 0;
	if (list->n > RULES_MAX_RULES)
		return rule_yaml_fail(list, err, "a group has %zu rules, the limit is %d", list->n,
				      RULES_MAX_RULES);
	g->rule = arena_zalloc(&g->arena, list->n * sizeof(*g->rule));
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		if (read_rule(it, g, &g->rule[g->n_rules++], err) == -1)
			return -1;
	return 0;
}

static int read_group(const struct rule_yaml *node, struct rule_group *g, struct err *err)
{
	if (node->kind != RULE_YAML_MAP && node->kind != RULE_YAML_NULL)
		return rule_yaml_fail(node, err, "a group is a mapping of names to values");
	g->line = node->line;
	if (read_text(node, "name", &g->arena, &g->name, err) == -1 ||
	    rule_yaml_duration(node, "interval", &g->interval_ns, err) == -1 ||
	    rule_yaml_duration(node, "query_offset", &g->query_offset_ns, err) == -1 ||
	    rule_yaml_int(node, "limit", &g->limit, err) == -1 ||
	    read_names(node, "labels", &g->arena, &g->labels, err) == -1)
		return -1;
	return read_rules(node, g, err);
}

/* ------------------------------------------------------------------ what must hold: every problem is told */

struct problems {
	void (*report)(void *arg, size_t line, const char *msg);
	void *arg;
	size_t n;
};

__attribute__((format(printf, 3, 4))) static void problem(struct problems *p, size_t line, const char *fmt,
							  ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->n++;
	p->report(p->arg, line, text);
}

/* [a-zA-Z_:][a-zA-Z0-9_:]* */
static bool is_metric_name(struct slice name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
		      (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return name.n > 0;
}

static bool is_label_name(struct slice name)
{
	return label_name_valid(name) && name.n <= RULES_MAX_LABEL_NAME_BYTES;
}

/* Shown to a person: cut, harmless on a terminal. */
struct shown {
	char text[300];
};
static struct shown show(struct slice s)
{
	struct shown out;
	struct buf b = { 0 };

	text_terminal(&b, slice_sub(s, 0, 128));
	snprintf(out.text, sizeof(out.text), "%.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return out;
}

static void check_expr(const struct rule *r, const struct rule_group *g, struct problems *p)
{
	const char *kind = r->record.p != NULL ? "record" : "alert";
	struct slice name = r->record.p != NULL ? r->record : r->alert;
	struct logql *q = NULL;
	struct arena a;
	struct err err;

	arena_init(&a);
	int rc = logql_parse(r->expr, &a, &q, NULL, &err);
	if (rc == 0 && q->root->kind == LOGQL_LOG)
		rc = err_set(&err, ERR_BAD_REQUEST,
			     "a rule takes a metric query, such as count_over_time(…), this one selects log "
			     "lines");
	if (rc == -1)
		problem(p, r->line, "could not parse expression for %s '%s' in group '%s': %s", kind,
			show(name).text, show(g->name).text, err.msg);
	logql_free(q);
	arena_fini(&a);
}

static void check_recording(const struct rule *r, struct problems *p)
{
	if (r->annotations.n > 0)
		problem(p, r->line, "invalid field 'annotations' in recording rule");
	if (r->for_ns != 0)
		problem(p, r->line, "invalid field 'for' in recording rule");
	if (r->keep_firing_for_ns != 0)
		problem(p, r->line, "invalid field 'keep_firing_for' in recording rule");
	if (!is_metric_name(r->record))
		problem(p, r->line, "invalid recording rule name: %s", show(r->record).text);
}

static void check_names(const struct rule *r, struct problems *p)
{
	for (size_t i = 0; i < r->labels.n; i++) {
		struct slice name = r->labels.v[i].name;

		if (!is_label_name(name) || slice_is(name, "__name__"))
			problem(p, r->line, "invalid label name: %s", show(name).text);
	}
	for (size_t i = 0; i < r->annotations.n; i++)
		if (!is_label_name(r->annotations.v[i].name))
			problem(p, r->line, "invalid annotation name: %s",
				show(r->annotations.v[i].name).text);
}

static void check_templates(const struct rule *r, struct labels l, const char *what, struct problems *p)
{
	struct err err;

	for (size_t i = 0; i < l.n; i++)
		if (rule_template_check(r->alert, l.v[i].value, &err) == -1)
			problem(p, r->line, "%s \"%s\": %s", what, show(l.v[i].name).text, err.msg);
}

static void check_rule(const struct rule *r, const struct rule_group *g, struct problems *p)
{
	if (r->record.p != NULL && r->alert.p != NULL) {
		problem(p, r->line, "only one of 'record' and 'alert' must be set");
		return;
	}
	if (r->record.p == NULL && r->alert.p == NULL) {
		problem(p, r->line, "one of 'record' or 'alert' must be set");
		return;
	}
	if (r->expr.p == NULL)
		problem(p, r->line, "field 'expr' must be set in rule");
	else
		check_expr(r, g, p);
	check_names(r, p);
	if (r->record.p != NULL) {
		check_recording(r, p);
		return;
	}
	check_templates(r, r->labels, "label", p);
	check_templates(r, r->annotations, "annotation", p);
}

static void check_group(const struct rule_group *g, size_t index, struct problems *p)
{
	if (g->name.p == NULL)
		problem(p, g->line, "group %zu: Groupname must not be empty", index);
	if (g->limit < 0)
		problem(p, g->line, "group %zu: limit is %lld, it cannot be negative", index,
			(long long)g->limit);
	for (size_t i = 0; i < g->n_rules; i++)
		check_rule(&g->rule[i], g, p);
}

/* ------------------------------------------------------------------ one group */

static int check_fields(const struct rule_yaml *group, struct err *err)
{
	const struct rule_yaml *rules = rule_yaml_get(group, "rules");

	if (rule_yaml_check_map(group, "group", group_fields, err) == -1)
		return -1;
	for (const struct rule_yaml *it = rules != NULL ? rules->in : NULL; it != NULL; it = it->next)
		if (it->kind == RULE_YAML_MAP && rule_yaml_check_map(it, "rule", rule_fields, err) == -1)
			return -1;
	return 0;
}

static void join(void *arg, size_t line, const char *msg)
{
	struct buf *b = arg;

	(void)line;
	if (b->n > 0)
		buf_puts(b, ", ");
	buf_puts(b, msg);
}

/* Senders know the text of this refusal, so the reason is for our log. */
static int undecodable(const struct err *why, struct err *err)
{
	log_info("rule group refused", KV("error", why->msg));
	return err_set(err, ERR_BAD_REQUEST, "unable to decoded rule group");
}

int rule_group_parse(struct slice yaml, struct rule_group **out, struct err *err)
{
	struct rule_group *g = group_new();
	struct buf wrong = { 0 };
	struct problems p = { .report = join, .arg = &wrong };
	const struct rule_yaml *node;
	struct arena a;
	struct err why;
	int rc = -1;

	arena_init(&a);
	if (yaml.n > RULES_MAX_FILE_BYTES) {
		err_set(err, ERR_TOO_LARGE, "a rule group has %zu bytes, the limit is %d", yaml.n,
			RULES_MAX_FILE_BYTES);
		goto out;
	}
	if (rule_yaml_parse(yaml, &a, &node, &why) == -1 || read_group(node, g, &why) == -1) {
		undecodable(&why, err);
		goto out;
	}
	if (check_fields(node, &why) == -1) {
		err_set(err, ERR_BAD_REQUEST, "unable to decoded rule group: %s", why.msg);
		goto out;
	}
	check_group(g, 0, &p);
	if (p.n > 0) {
		err_set(err, ERR_BAD_REQUEST, "%.*s", SLICE_ARG(buf_slice(&wrong)));
		goto out;
	}
	*out = TAKE(g);
	rc = 0;
out:
	rule_group_unref(g);
	buf_fini(&wrong);
	arena_fini(&a);
	return rc;
}

/* ------------------------------------------------------------------ a file */

struct groups {
	VEC(struct rule_group *) v;
	struct map by_name; /* keys are the groups' */
};

static void groups_fini(struct groups *gs)
{
	map_fini(&gs->by_name);
	for (size_t i = 0; i < gs->v.n; i++)
		rule_group_unref(gs->v.v[i]);
	vec_fini(&gs->v);
}

/* The line stands in err's text, in front. */
static void tell(struct problems *p, const struct err *err)
{
	unsigned long line = 1;
	int n = 0;

	if (sscanf(err->msg, "line %lu: %n", &line, &n) != 1)
		n = 0;
	problem(p, line, "%s", err->msg + n);
}

static void read_file_group(const struct rule_yaml *node, struct groups *gs, struct problems *p)
{
	struct rule_group *g = group_new();
	struct err err;
	bool is_new;

	if (check_fields(node, &err) == -1 || read_group(node, g, &err) == -1) {
		tell(p, &err);
		rule_group_unref(g);
		return;
	}
	check_group(g, gs->v.n, p);
	vec_push(&gs->v, g);
	if (g->name.p != NULL) {
		*map_put(&gs->by_name, g->name, &is_new) = g;
		if (!is_new)
			problem(p, g->line, "groupname: \"%s\" is repeated in the same file",
				show(g->name).text);
	}
}

static void read_file(struct slice yaml, struct groups *gs, struct problems *p)
{
	const struct rule_yaml *root, *first, *list;
	struct arena a;
	struct err err;

	arena_init(&a);
	if (yaml.n > RULES_MAX_FILE_BYTES)
		err_set(&err, ERR_TOO_LARGE, "the file has %zu bytes, the limit is %d", yaml.n,
			RULES_MAX_FILE_BYTES);
	else if (rule_yaml_parse(yaml, &a, &root, &err) == 0 &&
		 rule_yaml_check_map(root, "rule file", file_fields, &err) == 0 &&
		 rule_yaml_list(root, "groups", &first, &err) == 0)
		err_clear(&err);
	if (err.code != ERR_NONE) {
		tell(p, &err);
		goto out;
	}
	list = rule_yaml_get(root, "groups");
	if (list != NULL && list->n > RULES_MAX_GROUPS) {
		problem(p, list->line, "%zu groups, the limit is %d", list->n, RULES_MAX_GROUPS);
		goto out;
	}
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		read_file_group(it, gs, p);
out:
	arena_fini(&a);
}

static void keep_first(void *arg, size_t line, const char *msg)
{
	struct err *err = arg;

	if (err->code == ERR_NONE)
		err_set(err, ERR_BAD_REQUEST, "line %zu: %s", line, msg);
}

int rule_file_parse(struct slice yaml, struct rule_group ***out, size_t *n, struct err *err)
{
	struct groups gs = { 0 };
	struct err first = { 0 };
	struct problems p = { .report = keep_first, .arg = &first };
	int rc = -1;

	read_file(yaml, &gs, &p);
	if (p.n == 0) {
		*n = gs.v.n;
		*out = TAKE(gs.v.v);
		gs.v.n = 0;
		rc = 0;
	} else {
		*err = first;
	}
	groups_fini(&gs);
	return rc;
}

void rule_file_check(struct slice yaml, void (*report)(void *arg, size_t line, const char *msg), void *arg,
		     struct rule_counts *out)
{
	struct groups gs = { 0 };
	struct problems p = { .report = report, .arg = arg };

	read_file(yaml, &gs, &p);
	*out = (struct rule_counts){ .n_groups = gs.v.n, .n_problems = p.n };
	for (size_t i = 0; i < gs.v.n; i++) {
		for (size_t k = 0; k < gs.v.v[i]->n_rules; k++) {
			if (gs.v.v[i]->rule[k].record.p != NULL)
				out->n_recording++;
			else
				out->n_alerting++;
		}
	}
	groups_fini(&gs);
}

/* ------------------------------------------------------------------ from structs to YAML */

/* Keys of one mapping, in column col; the first one follows a dash if the mapping is an item of a list. */
struct writer {
	struct buf *b;
	unsigned col;
	bool dash;
};

static unsigned deeper(unsigned col)
{
	return (col / 4 + 1) * 4;
}

static void put_key(struct writer *w, struct slice key)
{
	if (w->dash)
		buf_printf(w->b, "%*s- ", (int)w->col - 2, "");
	else
		buf_printf(w->b, "%*s", (int)w->col, "");
	w->dash = false;
	rule_yaml_quote(w->b, key, 0);
	buf_putc(w->b, ':');
}

static void put_text(struct writer *w, struct slice key, struct slice text)
{
	put_key(w, key);
	buf_putc(w->b, ' ');
	rule_yaml_quote(w->b, text, deeper(w->col));
	buf_putc(w->b, '\n');
}

static void put_duration(struct writer *w, const char *key, int64_t ns)
{
	if (ns == 0)
		return;
	put_key(w, slice_cstr(key));
	buf_putc(w->b, ' ');
	clock_format_prom_duration(w->b, ns);
	buf_putc(w->b, '\n');
}

/* l without what stands in `but` with the same value. */
static void put_names(struct writer *w, const char *key, struct labels l, struct labels but)
{
	struct writer in = { .b = w->b, .col = deeper(w->col) };
	bool any = false;

	for (size_t i = 0; i < l.n; i++) {
		struct slice same = labels_get(but, l.v[i].name);

		if (same.p != NULL && slice_eq(same, l.v[i].value))
			continue;
		if (!any) {
			put_key(w, slice_cstr(key));
			buf_putc(w->b, '\n');
		}
		any = true;
		put_text(&in, l.v[i].name, l.v[i].value);
	}
}

static void put_rule(struct writer *w, const struct rule *r, struct labels group)
{
	const struct labels none = { 0 };

	if (r->record.p != NULL)
		put_text(w, SLICE("record"), r->record);
	else
		put_text(w, SLICE("alert"), r->alert);
	put_text(w, SLICE("expr"), r->expr);
	put_duration(w, "for", r->for_ns);
	put_duration(w, "keep_firing_for", r->keep_firing_for_ns);
	put_names(w, "labels", r->labels, group);
	put_names(w, "annotations", r->annotations, none);
}

void rule_group_format(const struct rule_group *g, bool as_item, struct buf *out)
{
	struct writer w = { .b = out, .col = as_item ? 6 : 0, .dash = as_item };
	const struct labels none = { 0 };

	put_text(&w, SLICE("name"), g->name);
	put_duration(&w, "interval", g->interval_ns);
	put_duration(&w, "query_offset", g->query_offset_ns);
	if (g->limit != 0) {
		put_key(&w, SLICE("limit"));
		buf_printf(out, " %lld\n", (long long)g->limit);
	}
	put_names(&w, "labels", g->labels, none);
	put_key(&w, SLICE("rules"));
	buf_puts(out, g->n_rules == 0 ? " []\n" : "\n");
	for (size_t i = 0; i < g->n_rules; i++) {
		struct writer rule = { .b = out, .col = deeper(w.col) + 2, .dash = true };

		put_rule(&rule, &g->rule[i], g->labels);
	}
}

void rule_file_format(struct rule_group *const *group, size_t n, struct buf *out)
{
	buf_puts(out, n == 0 ? "groups: []\n" : "groups:\n");
	for (size_t i = 0; i < n; i++)
		rule_group_format(group[i], true, out);
}
