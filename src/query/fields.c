#include "query/fields.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"
#include "logql/parse.h"

enum { CHECK_EVERY = 64 };

/* ---- collecting ---- */

struct value {
	struct slice text; /* the key of the map: cut, with a hash of the whole behind it */
	size_t shown;	   /* bytes of the value itself in it */
	uint64_t lines;
};

struct field {
	struct field_summary s;
	bool typed;   /* a value that is not empty has been seen */
	bool counted; /* over the whole range */
	struct map by_text;
	VEC(struct value *) values;
};

struct collector {
	struct arena *arena;
	struct line_fields line;
	struct map by_name; /* origin, parser, name */
	struct buf key;
	VEC(struct field *) fields;
	uint64_t value_bytes;
	bool more;
};

static void collector_init(struct collector *k, struct arena *a)
{
	*k = (struct collector){ .arena = a };
	line_fields_init(&k->line);
	map_init(&k->by_name);
}

static void collector_fini(struct collector *k)
{
	for (size_t i = 0; i < k->fields.n; i++) {
		map_fini(&k->fields.v[i]->by_text);
		vec_fini(&k->fields.v[i]->values);
	}
	vec_fini(&k->fields);
	buf_fini(&k->key);
	map_fini(&k->by_name);
	line_fields_fini(&k->line);
}

/* NULL: there are too many. */
static struct field *field_of(struct collector *k, enum field_origin origin, enum field_parser parser,
			      struct slice name)
{
	buf_reset(&k->key);
	buf_putc(&k->key, (char)('0' + origin));
	buf_putc(&k->key, (char)('0' + parser));
	buf_add(&k->key, name);
	struct field *f = map_get(&k->by_name, buf_slice(&k->key));
	if (f != NULL)
		return f;
	if (k->fields.n == FIELDS_MAX) {
		k->more = true;
		return NULL;
	}
	struct slice key = arena_dup(k->arena, buf_slice(&k->key));
	f = arena_new(k->arena, struct field);
	f->s = (struct field_summary){
		.name = slice_from(key, 2), .origin = origin, .parser = parser, .type = FIELD_STRING
	};
	map_init(&f->by_text);
	*map_put(&k->by_name, key, NULL) = f;
	vec_push(&k->fields, f);
	return f;
}

static void note_type(struct field *f, struct slice value)
{
	enum field_type type = field_type_of(value);

	if (value.n == 0)
		return;
	if (!f->typed)
		f->s.type = type;
	else if (type != f->s.type)
		f->s.type = (type == FIELD_INT && f->s.type == FIELD_FLOAT) ||
					    (type == FIELD_FLOAT && f->s.type == FIELD_INT)
				    ? FIELD_FLOAT
				    : FIELD_STRING;
	f->typed = true;
}

/* NULL: there are too many. */
static struct value *value_of(struct collector *k, struct field *f, struct slice text)
{
	size_t shown = utf8_cut(text, FIELDS_VALUE_BYTES).n;

	if (shown < text.n) {
		uint64_t hash = hash64(text);

		buf_reset(&k->key);
		buf_append(&k->key, text.p, shown);
		buf_u64le(&k->key, hash);
		text = buf_slice(&k->key);
	}
	struct value *v = map_get(&f->by_text, text);
	if (v != NULL)
		return v;
	if (f->values.n == FIELDS_MAX_VALUES || k->value_bytes + text.n + sizeof(*v) > FIELDS_MAX_BYTES)
		return NULL;
	k->value_bytes += text.n + sizeof(*v);
	v = arena_new(k->arena, struct value);
	v->text = arena_dup(k->arena, text);
	v->shown = shown;
	*map_put(&f->by_text, v->text, NULL) = v;
	vec_push(&f->values, v);
	return v;
}

static void add(struct collector *k, struct field *f, struct slice value, uint64_t lines)
{
	struct value *v;

	if (f == NULL)
		return;
	note_type(f, value);
	f->s.lines += lines;
	v = value_of(k, f, value);
	if (v != NULL)
		v->lines += lines;
	else
		f->s.more = true;
}

/* ---- the sample ---- */

static bool has(struct labels l, struct slice name)
{
	return labels_get(l, name).p != NULL;
}

static void look_at(struct collector *k, const struct result_stream *s, const struct result_entry *e)
{
	struct labels found;
	enum field_parser parser = line_fields_parse(&k->line, s->labels, e->parsed, e->line, &found);

	for (size_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.v[i];

		if (!has(e->meta, l->name) && !has(e->parsed, l->name) && !field_is_error(l->name))
			add(k, field_of(k, FIELD_OF_STREAM, 0, l->name), l->value, 1);
	}
	for (size_t i = 0; i < e->meta.n; i++)
		add(k, field_of(k, FIELD_OF_METADATA, 0, e->meta.v[i].name), e->meta.v[i].value, 1);
	for (size_t i = 0; i < e->parsed.n; i++)
		if (!field_is_error(e->parsed.v[i].name))
			add(k, field_of(k, FIELD_OF_PIPELINE, 0, e->parsed.v[i].name), e->parsed.v[i].value,
			    1);
	for (size_t i = 0; i < found.n; i++)
		if (!field_is_error(found.v[i].name) && !has(e->parsed, found.v[i].name))
			add(k, field_of(k, FIELD_IN_LINE, parser, found.v[i].name), found.v[i].value, 1);
}

static int look_at_all(struct collector *k, const struct query_result *r, struct query_control *c,
		       uint64_t *n, struct err *err)
{
	*n = 0;
	for (size_t i = 0; i < r->n_streams; i++)
		for (size_t m = 0; m < r->stream[i].n; m++) {
			look_at(k, &r->stream[i], &r->stream[i].entry[m]);
			if (++*n % CHECK_EVERY == 0 && query_control_check(c, err) == -1)
				return -1;
		}
	return 0;
}

static int sample(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		  struct collector *k, struct fields_result *out, struct err *err)
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

	if (query_run(e, &q, c, &result, err) == -1)
		return -1;
	int rc = look_at_all(k, &result, c, &out->sampled, err);
	query_result_fini(&result);
	out->complete = out->sampled < r->line_limit;
	return rc;
}

/* ---- labels of the whole range ---- */

/* Replaces what the sample says of a label. */
static void take_counts(struct collector *k, struct slice name, const struct query_result *r, bool exact)
{
	struct field *f = field_of(k, FIELD_OF_STREAM, 0, name);

	if (f == NULL)
		return;
	f->s.lines = 0;
	f->s.more = false;
	f->s.exact = exact;
	f->counted = true;
	f->s.values = 0;
	map_fini(&f->by_text);
	map_init(&f->by_text);
	f->values.n = 0;
	for (size_t i = 0; i < r->n_series; i++) {
		const struct result_series *s = &r->series[i];
		struct slice value = labels_get(s->labels, name);
		uint64_t lines = s->n > 0 && s->point[0].value > 0 ? (uint64_t)s->point[0].value : 0;

		if (value.p == NULL || lines == 0)
			continue; /* lines without the label */
		f->s.values++;
		f->s.lines += lines;
		note_type(f, value);
		struct value *v = value_of(k, f, value);
		if (v != NULL)
			v->lines += lines;
		else
			f->s.more = true;
	}
	f->s.values = MIN(f->s.values, (uint64_t)FIELDS_MAX_VALUES);
}

/* Sorted, so that the first of the answer are the most frequent. Entries at range.start count, those at its end do not; as
 * LogQL knows nothing below a millisecond, a range that is not whole ones reaches so much further back. */
static int count_label(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		       struct collector *k, struct slice name, struct err *err)
{
	uint64_t length = (uint64_t)r->range.end - (uint64_t)r->range.start;
	bool whole = length % NS_PER_MS == 0;
	struct limits limits = *r->limits;
	struct query_request q = { .tenant = r->tenant,
				   .instant = true,
				   .start = r->range.end - 1,
				   .end = r->range.end - 1,
				   .limits = &limits };
	struct query_result result;
	struct buf text = { 0 };

	limits.max_query_series = 0; /* only FIELDS_MAX_VALUES of them are kept */
	buf_printf(&text, "sort_desc(sum by (%.*s)(count_over_time(%.*s\n[%llums])))", SLICE_ARG(name),
		   SLICE_ARG(r->text), (unsigned long long)(length / NS_PER_MS + !whole));
	q.text = buf_slice(&text);
	int rc = query_run(e, &q, c, &result, err);
	if (rc == 0) {
		take_counts(k, name, &result, whole);
		query_result_fini(&result);
	} else if (err->code != ERR_CANCELLED && err->code != ERR_TIMEOUT) {
		rc = 0; /* over a limit: the sample has to do */
	}
	buf_fini(&text);
	return rc;
}

/* Those that the sample has come first: the page shows them. */
static size_t labels_to_count(const struct collector *k, const struct slice *all, size_t n_all,
			      struct slice *out)
{
	size_t n = 0;

	for (int in_sample = 1; in_sample >= 0; in_sample--)
		for (size_t i = 0; i < n_all && n < FIELDS_MAX_COUNTED; i++) {
			bool known = false;

			for (size_t m = 0; m < k->fields.n && !known; m++)
				known = k->fields.v[m]->s.origin == FIELD_OF_STREAM &&
					slice_eq(k->fields.v[m]->s.name, all[i]);
			if (known == (in_sample != 0))
				out[n++] = all[i];
		}
	return n;
}

static int count_labels(struct query_engine *e, const struct detect_request *r, struct query_control *c,
			struct collector *k, struct err *err)
{
	struct meta_request m = { .tenant = r->tenant, .selector = r->text, .range = r->range };
	struct slice *all, counted[FIELDS_MAX_COUNTED];
	size_t n_all;

	if (meta_label_names(e, &m, c, k->arena, &all, &n_all, err) == -1)
		return -1;
	size_t n = labels_to_count(k, all, n_all, counted);
	for (size_t i = 0; i < n; i++)
		if (count_label(e, r, c, k, counted[i], err) == -1)
			return -1;
	return 0;
}

/* ---- the answer ---- */

static int by_lines(const void *a, const void *b)
{
	const struct value *x = *(struct value *const *)a, *y = *(struct value *const *)b;

	if (x->lines != y->lines)
		return x->lines > y->lines ? -1 : 1;
	return slice_cmp(x->text, y->text);
}

static int by_origin(const void *a, const void *b)
{
	const struct field_summary *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	if (x->lines != y->lines)
		return x->lines > y->lines ? -1 : 1;
	int c = slice_cmp(x->name, y->name);
	return c != 0 ? c : (int)x->parser - (int)y->parser;
}

static void summarize(struct arena *a, struct field *f, bool complete)
{
	struct field_summary *s = &f->s;

	if (f->values.n > 1)
		qsort(f->values.v, f->values.n, sizeof(*f->values.v), by_lines);
	s->n_top = MIN(f->values.n, (size_t)FIELDS_MAX_TOP);
	s->top = arena_array(a, struct field_top, s->n_top);
	for (size_t i = 0; i < s->n_top; i++) {
		const struct value *v = f->values.v[i];

		s->top[i] =
			(struct field_top){ slice_sub(v->text, 0, v->shown), v->shown < v->text.n, v->lines };
	}
	if (f->counted)
		return;
	s->values = f->values.n;
	s->exact = complete && !s->more;
}

static void answer(struct collector *k, struct fields_result *out)
{
	out->more = k->more;
	out->n = 0;
	out->field = arena_array(k->arena, struct field_summary, k->fields.n);
	for (size_t i = 0; i < k->fields.n; i++) {
		summarize(k->arena, k->fields.v[i], out->complete);
		if (k->fields.v[i]->s.lines > 0)
			out->field[out->n++] = k->fields.v[i]->s;
	}
	if (out->n > 1)
		qsort(out->field, out->n, sizeof(*out->field), by_origin);
}

/* ERR_BAD_REQUEST unless it is a log query; *bare: a selector without stages. */
static int look_at_query(struct slice text, bool *bare, struct err *err)
{
	struct err unused;

	if (meta_check_log_query(text, err) == -1)
		return -1;
	*bare = meta_check_selector(text, false, &unused) == 0;
	return 0;
}

int fields_summarize(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		     struct arena *a, struct fields_result *out, struct err *err)
{
	struct fields_result res = { 0 };
	struct collector k;
	bool bare;

	if (look_at_query(r->text, &bare, err) == -1)
		return -1;
	collector_init(&k, a);
	int rc = sample(e, r, c, &k, &res, err);
	if (rc == 0 && bare && !res.complete)
		rc = count_labels(e, r, c, &k, err);
	if (rc == 0) {
		answer(&k, &res);
		*out = res;
	}
	collector_fini(&k);
	return rc;
}
