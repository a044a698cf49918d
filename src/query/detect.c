/* Fields are found by running the log query for a sample, and looking at each of its lines (line_fields.h). */
#include "query/detect.h"
#include "base/map.h"
#include "base/text.h"
#include "index/store.h"
#include "logql/parse.h"
#include "query/extract.h"
#include "query/stage_json.h"

enum { CHECK_EVERY = 64 };

/* ---- labels ---- */

struct label_values {
	struct slice name;
	struct map values;
	bool all_ids, all_binary;
	uint64_t streams;
};

/* 8-4-4-4-12 hex digits, with their dashes or without. */
static bool is_uuid(struct slice v)
{
	bool dashes = v.n == 36;

	if (v.n != 36 && v.n != 32)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		bool dash = dashes && (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? v.p[i] != '-' : text_hex_digit(v.p[i]) == -1)
			return false;
	}
	return true;
}

static void note_value(struct label_values *l, struct slice value)
{
	bool is_new;

	map_put(&l->values, value, &is_new);
	if (!is_new)
		return;
	l->all_ids = l->all_ids && (field_is_number(value) || is_uuid(value));
	l->all_binary = l->all_binary && (slice_is(value, "0") || slice_is(value, "1"));
}

static bool is_worth_showing(const struct label_values *l)
{
	static const char *const always[] = { "cluster", "namespace", "instance", "pod" };

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (slice_is(l->name, always[i]))
			return true;
	return !l->all_ids || l->all_binary;
}

struct label_table {
	struct map by_name;
	VEC(struct label_values *) v;
};

static void note_stream(struct label_table *t, struct labels l)
{
	for (size_t i = 0; i < l.n; i++) {
		bool is_new;
		void **slot = map_put(&t->by_name, l.v[i].name, &is_new);

		if (is_new) {
			struct label_values *v = xcalloc(1, sizeof(*v));

			*v = (struct label_values){ .name = l.v[i].name,
						    .all_ids = true,
						    .all_binary = true };
			*slot = v;
			vec_push(&t->v, v);
		}
		((struct label_values *)*slot)->streams++;
		note_value(*slot, l.v[i].value);
	}
}

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct detected_label *)a)->name, ((const struct detected_label *)b)->name);
}

static void labels_answer(const struct label_table *t, bool all, struct arena *a, struct detected_label **out,
			  size_t *n_out)
{
	size_t n = 0;

	*out = arena_array(a, struct detected_label, t->v.n);
	for (size_t i = 0; i < t->v.n; i++)
		if (all || is_worth_showing(t->v.v[i]))
			(*out)[n++] = (struct detected_label){ arena_dup(a, t->v.v[i]->name),
							       t->v.v[i]->values.n, t->v.v[i]->streams };
	if (n > 1)
		qsort(*out, n, sizeof(**out), by_name);
	*n_out = n;
}

static int note_streams(struct label_table *t, const struct snapshot *snap, struct query_control *c,
			struct err *err)
{
	for (size_t i = 0; i < snapshot_n_streams(snap); i++) {
		note_stream(t, snapshot_stream(snap, i)->labels);
		if (i % CHECK_EVERY == 0 && query_control_check(c, err) == -1)
			return -1;
	}
	return 0;
}

/* With n_streams, all labels; without, those worth showing. */
static int labels_of_streams(struct query_engine *e, const struct meta_request *r,
			     const struct logql_log *log, uint64_t *n_streams, struct query_control *c,
			     struct arena *a, struct detected_label **out, size_t *n_out, struct err *err)
{
	struct scan_hint hint = { .range = r->range };
	struct label_table t = { 0 };
	struct snapshot *snap;

	if (hint.range.end < INT64_MAX)
		hint.range.end++;
	if (query_control_check(c, err) == -1 ||
	    snapshot_take(e->store, r->tenant, log->matchers, log->n_matchers, &hint, false, &snap, err) ==
		    -1)
		return -1;
	map_init(&t.by_name);
	int rc = note_streams(&t, snap, c, err);
	if (rc == 0)
		labels_answer(&t, n_streams != NULL, a, out, n_out);
	if (rc == 0 && n_streams != NULL)
		*n_streams = snapshot_n_streams(snap);
	for (size_t i = 0; i < t.v.n; i++) {
		map_fini(&t.v.v[i]->values);
		free(t.v.v[i]);
	}
	vec_fini(&t.v);
	map_fini(&t.by_name);
	snapshot_release(snap);
	return rc;
}

static int labels_of_selector(struct query_engine *e, const struct meta_request *r, uint64_t *n_streams,
			      struct query_control *c, struct arena *a, struct detected_label **out,
			      size_t *n_out, struct err *err)
{
	static const struct logql_log all;
	struct logql *q;

	if (slice_trim(r->selector).n == 0)
		return labels_of_streams(e, r, &all, n_streams, c, a, out, n_out, err);
	if (logql_parse_selector(r->selector, LOGQL_ALLOW_EMPTY, a, &q, NULL, err) == -1)
		return -1;
	int rc = labels_of_streams(e, r, &q->root->log, n_streams, c, a, out, n_out, err);
	logql_free(q);
	return rc;
}

int detect_labels(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		  struct arena *a, struct detected_label **out, size_t *n_out, struct err *err)
{
	return labels_of_selector(e, r, NULL, c, a, out, n_out, err);
}

int detect_all_labels(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		      struct arena *a, struct detected_label **out, size_t *n_out, uint64_t *n_streams,
		      struct err *err)
{
	return labels_of_selector(e, r, n_streams, c, a, out, n_out, err);
}

/* ---- fields: collecting ---- */

struct field {
	struct detected_field d;
	struct map values;
};

struct detector {
	struct arena *arena; /* of what is kept */
	struct line_fields line;
	struct map by_name;
	VEC(struct field *) fields;
	VEC(struct slice) values; /* with `only` */
	size_t max_fields, max_values;
	struct slice only; /* p == NULL: every field */
	bool wants_path;   /* a field of the line at hand has none */
};

static void detector_init(struct detector *d, struct arena *a)
{
	*d = (struct detector){ .arena = a };
	line_fields_init(&d->line);
	map_init(&d->by_name);
}

static void detector_fini(struct detector *d)
{
	for (size_t i = 0; i < d->fields.n; i++)
		map_fini(&d->fields.v[i]->values);
	vec_fini(&d->fields);
	vec_fini(&d->values);
	map_fini(&d->by_name);
	line_fields_fini(&d->line);
}

static struct field *field_of(struct detector *d, struct slice name)
{
	struct field *f = map_get(&d->by_name, name);

	if (f != NULL || d->fields.n >= d->max_fields || (d->only.p != NULL && !slice_eq(name, d->only)))
		return f;
	f = arena_new(d->arena, struct field);
	f->d.name = arena_dup(d->arena, name);
	map_init(&f->values);
	*map_put(&d->by_name, f->d.name, NULL) = f;
	vec_push(&d->fields, f);
	return f;
}

/* A field whose values differ in type has that of the last one looked at, as with Loki. */
static void add_value(struct detector *d, struct field *f, struct slice value)
{
	f->d.type = field_type_of(value);
	if (map_get(&f->values, value) != NULL)
		return;
	value = arena_dup(d->arena, value);
	*map_put(&f->values, value, NULL) = f;
	f->d.cardinality++;
	if (d->only.p != NULL && d->values.n < d->max_values)
		vec_push(&d->values, value);
}

static void add_meta(struct detector *d, struct labels l)
{
	for (size_t i = 0; i < l.n; i++) {
		struct field *f = field_of(d, l.v[i].name);

		if (f != NULL)
			add_value(d, f, l.v[i].value);
	}
}

static void add_parsed(struct detector *d, struct labels l, enum field_parser parser)
{
	for (size_t i = 0; i < l.n; i++) {
		struct field *f = field_is_error(l.v[i].name) ? NULL : field_of(d, l.v[i].name);
		bool known = false;

		if (f == NULL)
			continue;
		add_value(d, f, l.v[i].value);
		for (size_t k = 0; k < f->d.n_parsers; k++)
			known = known || f->d.parser[k] == parser;
		if (!known)
			f->d.parser[f->d.n_parsers++] = parser;
		if (parser == FIELD_JSON && f->d.n_path == 0)
			d->wants_path = true;
	}
}

/* ---- fields: where in the JSON they stand ---- */

struct level {
	struct json_object object;
	struct slice prefix, key;
};

static void set_path(struct detector *d, const struct level *stack, size_t depth, struct slice name,
		     struct slice key)
{
	name = extract_name(&d->line.set, name, &d->line.scratch);
	struct field *f = map_get(&d->by_name, name);
	if (f == NULL || f->d.n_path > 0 || !label_set_extracted(&d->line.set, name))
		return;
	f->d.path = arena_array(d->arena, struct slice, depth);
	for (size_t i = 1; i < depth; i++)
		f->d.path[i - 1] = arena_dup(d->arena, stack[i].key);
	f->d.path[depth - 1] = arena_dup(d->arena, key);
	f->d.n_path = depth;
}

/* The line went through the json stage, which bounds depth and names. */
static void find_paths(struct detector *d, struct slice line)
{
	struct level stack[STAGE_JSON_MAX_DEPTH];
	size_t depth = 1;
	struct json_member m;

	stack[0] = (struct level){ json_object_of(line), SLICE(""), SLICE("") };
	while (depth > 0) {
		struct level *top = &stack[depth - 1];
		int rc = json_object_next(&top->object, &m);

		if (rc == -1)
			return;
		if (rc == 0) {
			depth--;
			continue;
		}
		if (m.key_escaped && !json_unescape(m.key, &d->line.scratch, &m.key))
			return;
		struct slice name = label_name_join(top->prefix, m.key, &d->line.scratch);
		if (m.type == JSON_OBJECT && depth == STAGE_JSON_MAX_DEPTH)
			return;
		if (m.type == JSON_OBJECT)
			stack[depth++] = (struct level){ json_object_of(m.value), name, m.key };
		else if (m.type != JSON_ARRAY && m.type != JSON_NULL)
			set_path(d, stack, depth, name, m.key);
	}
}

/* ---- fields: one line ---- */

static void look_at(struct detector *d, const struct result_stream *s, const struct result_entry *e)
{
	struct labels found;
	enum field_parser parser = line_fields_parse(&d->line, s->labels, e->parsed, e->line, &found);

	d->wants_path = false;
	add_meta(d, e->meta);
	add_parsed(d, e->parsed, parser);
	add_parsed(d, found, parser);
	if (d->wants_path)
		find_paths(d, e->line);
}

static int look_at_all(struct detector *d, const struct query_result *r, struct query_control *c,
		       struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_streams; i++)
		for (size_t k = 0; k < r->stream[i].n; k++) {
			look_at(d, &r->stream[i], &r->stream[i].entry[k]);
			if (++n % CHECK_EVERY == 0 && query_control_check(c, err) == -1)
				return -1;
		}
	return 0;
}

static int sample(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		  struct detector *d, struct err *err)
{
	struct query_request q = { .tenant = r->tenant,
				   .text = r->text,
				   .start = r->range.start,
				   .end = r->range.end,
				   .limit = r->line_limit,
				   .backward = true,
				   .categorize = true,
				   .limits = r->limits };
	struct query_result result;

	if (meta_check_log_query(r->text, err) == -1 || query_run(e, &q, c, &result, err) == -1)
		return -1;
	int rc = look_at_all(d, &result, c, err);
	query_result_fini(&result);
	return rc;
}

int detect_fields(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		  struct arena *a, struct detected_field **out, size_t *n_out, struct err *err)
{
	struct detector d;

	detector_init(&d, a);
	d.max_fields = r->limit;
	int rc = sample(e, r, c, &d, err);
	if (rc == 0) {
		*out = arena_array(a, struct detected_field, d.fields.n);
		for (size_t i = 0; i < d.fields.n; i++)
			(*out)[i] = d.fields.v[i]->d;
		*n_out = d.fields.n;
	}
	detector_fini(&d);
	return rc;
}

int detect_values(struct query_engine *e, const struct detect_request *r, struct slice name,
		  struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		  struct err *err)
{
	struct detector d;

	detector_init(&d, a);
	d.max_fields = 1;
	d.max_values = r->limit;
	d.only = name.p != NULL ? name : SLICE("");
	int rc = sample(e, r, c, &d, err);
	if (rc == 0) {
		*out = arena_array(a, struct slice, d.values.n);
		if (d.values.n > 0)
			memcpy(*out, d.values.v, d.values.n * sizeof(struct slice));
		*n_out = d.values.n;
	}
	detector_fini(&d);
	return rc;
}
