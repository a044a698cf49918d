#include "ingest/otlp.h"
#include "ingest/labelset.h"
#include "ingest/meta_name.h"
#include "base/base64.h"
#include "base/json_out.h"
#include "base/text.h"
#include "base/vec.h"

#include <assert.h>
#include <math.h>

void otlp_init(struct otlp *m, struct slice body, const struct decode_options *o, struct batch *out,
	       struct err *err)
{
	*m = (struct otlp){ .o = o, .b = out, .err = err, .stream = SLICE_NONE };
	m->max_made = (uint64_t)body.n + OTLP_MADE_BYTES;
	map_init(&m->streams);
	arena_init(&m->nodes);
	buf_init(&m->text);
	buf_init(&m->path);
}

/* A batch wants the entries of a stream in one piece: each stream gets its range, then the runs are dealt out. */
static void gather(struct otlp *m)
{
	struct batch *b = m->b;
	size_t n = b->entries.n, at = 0;
	struct batch_entry *v = xmalloc((n > 0 ? n : 1) * sizeof(*v));

	for (size_t i = 0; i < b->streams.n; i++)
		b->streams.v[i].n = 0;
	for (size_t i = 0; i < m->runs.n; i++) {
		const struct otlp_run *r = &m->runs.v[i];

		b->streams.v[r->stream].n += (i + 1 < m->runs.n ? r[1].first : n) - r->first;
	}
	for (size_t i = 0; i < b->streams.n; i++) {
		b->streams.v[i].first = at;
		at += b->streams.v[i].n;
		b->streams.v[i].n = 0;
	}
	for (size_t i = 0; i < m->runs.n; i++) {
		const struct otlp_run *r = &m->runs.v[i];
		struct batch_stream *s = &b->streams.v[r->stream];
		size_t len = (i + 1 < m->runs.n ? r[1].first : n) - r->first;

		memcpy(v + s->first + s->n, b->entries.v + r->first, len * sizeof(*v));
		s->n += len;
	}
	free(b->entries.v);
	b->entries.v = v;
	b->entries.cap = n > 0 ? n : 1;
}

int otlp_fini(struct otlp *m, int rc)
{
	if (rc == 0 && m->scattered)
		gather(m);
	vec_fini(&m->labels);
	vec_fini(&m->resource);
	vec_fini(&m->scope);
	vec_fini(&m->own);
	vec_fini(&m->common);
	vec_fini(&m->runs);
	map_fini(&m->streams);
	arena_fini(&m->nodes);
	buf_fini(&m->text);
	buf_fini(&m->path);
	return rc;
}

void otlp_value_begin(struct otlp *m)
{
	if (m->n_nodes > 0)
		arena_reset(&m->nodes);
	m->n_nodes = 0;
}

struct otlp_node *otlp_node(struct otlp *m)
{
	if (m->n_nodes++ >= OTLP_MAX_NODES) {
		err_set(m->err, ERR_TOO_LARGE, "a value has too many elements, limit: %d", OTLP_MAX_NODES);
		return NULL;
	}
	return arena_new(&m->nodes, struct otlp_node);
}

int otlp_check_id(struct otlp *m, struct slice id, size_t n, const char *name)
{
	if (id.n == n || id.n == 0)
		return 0;
	return err_set(m->err, ERR_BAD_REQUEST, "invalid length for %s: %zu bytes, not %zu", name, id.n, n);
}

int otlp_too_deep(struct otlp *m)
{
	return err_set(m->err, ERR_BAD_REQUEST, "a value is nested deeper than %d levels", OTLP_MAX_DEPTH);
}

/* ---------------------------------------------------------------- values as text */

/* A short body must not become a long text again and again. */
static int count_made(struct otlp *m, size_t n)
{
	if (n <= m->max_made - m->made) {
		m->made += n;
		return 0;
	}
	return err_set(m->err, ERR_TOO_LARGE,
		       "names and values of one push are too large as text, limit: %llu bytes",
		       (unsigned long long)m->max_made);
}

static struct slice number_text(struct otlp *m, uint64_t v, bool negative)
{
	static const char pairs[] =
		"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
		"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
		"8081828384858687888990919293949596979899";
	char digits[24], *p = digits + sizeof(digits), *to;

	if (v < 100 && !negative)
		return slice_of(pairs + 2 * v + (v < 10), v < 10 ? 1 : 2);
	for (; v >= 100; v /= 100)
		memcpy(p -= 2, pairs + 2 * (v % 100), 2);
	memcpy(p -= 2, pairs + 2 * v, 2);
	p += v < 10;
	if (negative)
		*--p = '-';
	size_t n = (size_t)(digits + sizeof(digits) - p);
	to = arena_alloc_bytes(&m->b->arena, n);
	memcpy(to, p, n);
	return slice_of(to, n);
}

static struct slice int_text(struct otlp *m, int64_t v)
{
	return number_text(m, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0);
}

/* As JavaScript and Go's encoding/json write a number, and what JSON has no number for by its name. */
static void put_double(struct buf *b, double v)
{
	if (!isfinite(v)) {
		text_float(b, v);
		return;
	}
	text_json_float(b, v);
	/* 1e-07 */
	if (b->n >= 4 && b->p[b->n - 4] == 'e' && b->p[b->n - 2] == '0') {
		b->p[b->n - 2] = b->p[b->n - 1];
		b->n--;
	}
}

static int put_json(struct otlp *m, struct json_out *j, const struct otlp_value *v, unsigned depth);

static int put_array(struct otlp *m, struct json_out *j, const struct otlp_node *first, unsigned depth)
{
	json_open(j, '[');
	for (const struct otlp_node *n = first; n != NULL; n = n->next)
		if (put_json(m, j, &n->value, depth + 1) == -1)
			return -1;
	json_close(j, ']');
	return 0;
}

/* Members sorted by name; of equal names the last one counts. */
static int put_map(struct otlp *m, struct json_out *j, const struct otlp_node *first, unsigned depth)
{
	size_t n = 0, i = 0;

	for (const struct otlp_node *p = first; p != NULL; p = p->next)
		n++;
	struct label *by_name = arena_array(&m->nodes, struct label, n);
	for (const struct otlp_node *p = first; p != NULL; p = p->next)
		by_name[i++] = (struct label){ p->key, slice_of(&p->value, sizeof(p->value)) };
	labels_sort(by_name, n);
	json_open(j, '{');
	for (i = 0; i < n; i++) {
		if (i + 1 < n && slice_eq(by_name[i].name, by_name[i + 1].name))
			continue;
		json_key_slice(j, by_name[i].name);
		if (put_json(m, j, (const void *)by_name[i].value.p, depth + 1) == -1)
			return -1;
	}
	json_close(j, '}');
	return 0;
}

static void put_quoted_base64(struct json_out *j, struct slice s)
{
	json_sep(j);
	buf_putc(j->b, '"');
	buf_base64(j->b, s);
	buf_putc(j->b, '"');
}

static void put_json_double(struct json_out *j, double v)
{
	json_sep(j);
	if (!isfinite(v))
		buf_putc(j->b, '"');
	put_double(j->b, v);
	if (!isfinite(v))
		buf_putc(j->b, '"');
}

static int put_json(struct otlp *m, struct json_out *j, const struct otlp_value *v, unsigned depth)
{
	assert(depth <= OTLP_MAX_DEPTH); /* the decoders see to it */
	if (m->text.n > m->max_made - m->made)
		return count_made(m, m->text.n);
	switch (v->type) {
	case OTLP_UNSET: json_put_null(j); break;
	case OTLP_STRING: json_str(j, v->text); break;
	case OTLP_BOOL: json_bool(j, v->truth); break;
	case OTLP_INT: json_int(j, v->number); break;
	case OTLP_DOUBLE: put_json_double(j, v->real); break;
	case OTLP_BYTES: put_quoted_base64(j, v->text); break;
	case OTLP_ARRAY: return put_array(m, j, v->first, depth);
	case OTLP_MAP: return put_map(m, j, v->first, depth);
	}
	return 0;
}

/* Anything that is not a text already. */
static int made_text(struct otlp *m, const struct otlp_value *v, struct slice *out)
{
	struct json_out j = { .b = &m->text };

	buf_reset(&m->text);
	if (v->type == OTLP_DOUBLE)
		put_double(&m->text, v->real);
	else if (v->type == OTLP_BYTES)
		buf_base64(&m->text, v->text);
	else if (put_json(m, &j, v, 1) == -1)
		return -1;
	if (count_made(m, m->text.n) == -1)
		return -1;
	*out = arena_dup(&m->b->arena, buf_slice(&m->text));
	return 0;
}

int otlp_body(struct otlp *m, const struct otlp_value *v, struct slice *out)
{
	switch (v->type) {
	case OTLP_UNSET: *out = SLICE(""); return 0;
	case OTLP_STRING: *out = v->text; return 0;
	case OTLP_BOOL: *out = v->truth ? SLICE("true") : SLICE("false"); return 0;
	case OTLP_INT: *out = int_text(m, v->number); return 0;
	default: return made_text(m, v, out);
	}
}

/* ---------------------------------------------------------------- attributes */

static int add_pair(struct otlp *m, struct otlp_pairs *to, struct slice name, struct slice value)
{
	if (value.n == 0)
		return 0;
	if (to->n >= DECODE_MAX_PAIRS_OBJECT || m->n_pairs >= DECODE_MAX_PAIRS_PUSH)
		return err_set(m->err, ERR_TOO_LARGE, "too many attributes in one %s, limit: %d",
			       to->n >= DECODE_MAX_PAIRS_OBJECT ? "object" : "push",
			       to->n >= DECODE_MAX_PAIRS_OBJECT ? DECODE_MAX_PAIRS_OBJECT
								: DECODE_MAX_PAIRS_PUSH);
	m->n_pairs++;
	vec_push(to, ((struct label){ name, value }));
	return 0;
}

/* A name that is nothing but signs stays as it is: validation tells the sender, and keeps the other entries. */
static struct slice clean_name(struct otlp *m, struct slice raw)
{
	struct slice clean;

	if (meta_name_clean(raw))
		return raw;
	clean = meta_name_sanitise(&m->b->arena, raw);
	return slice_is(clean, "_") ? raw : clean;
}

/* The names of a push are few, and most hold dots. */
static struct slice known_name(struct otlp *m, struct slice raw)
{
	size_t mix = raw.n * 31 + (unsigned char)raw.p[raw.n - 1] * 7u + (unsigned char)raw.p[raw.n / 2];
	size_t at = mix % ARRAY_LEN(m->names);

	if (!slice_eq(m->names[at].raw, raw)) {
		m->names[at].clean = clean_name(m, raw);
		m->names[at].raw = raw;
	}
	return m->names[at].clean;
}

static int add_leaf(struct otlp *m, struct otlp_pairs *to, struct slice name, const struct otlp_value *v)
{
	struct slice text;

	if (v->type == OTLP_STRING)
		return add_pair(m, to, name, v->text);
	return otlp_body(m, v, &text) == -1 ? -1 : add_pair(m, to, name, text);
}

/* m->path holds the names above, joined by underscores. */
static int add_members(struct otlp *m, struct otlp_pairs *to, const struct otlp_node *first, unsigned depth)
{
	size_t above = m->path.n;

	assert(depth <= OTLP_MAX_DEPTH);
	for (const struct otlp_node *n = first; n != NULL; n = n->next) {
		int rc;

		if (above + 1 + n->key.n > OTLP_MAX_NAME)
			return err_set(m->err, ERR_BAD_REQUEST,
				       "the name of a nested attribute is longer than %d bytes",
				       OTLP_MAX_NAME);
		m->path.n = above;
		buf_putc(&m->path, '_');
		buf_add(&m->path, n->key);
		if (n->value.type == OTLP_MAP) {
			rc = add_members(m, to, n->value.first, depth + 1);
		} else {
			rc = count_made(m, m->path.n + 1);
			if (rc == 0)
				rc = add_leaf(m, to,
					      clean_name(m, arena_dup(&m->b->arena, buf_slice(&m->path))),
					      &n->value);
		}
		if (rc == -1)
			return -1;
	}
	m->path.n = above;
	return 0;
}

static int add_attribute(struct otlp *m, struct otlp_pairs *to, struct slice key, const struct otlp_value *v)
{
	if (key.n == 0)
		return err_set(m->err, ERR_BAD_REQUEST, "symbolizer lookup: label name is empty");
	if (v->type != OTLP_MAP)
		return add_leaf(m, to, known_name(m, key), v);
	if (key.n > OTLP_MAX_NAME)
		return err_set(m->err, ERR_BAD_REQUEST,
			       "the name of a nested attribute is longer than %d bytes", OTLP_MAX_NAME);
	buf_reset(&m->path);
	buf_add(&m->path, key);
	return add_members(m, to, v->first, 2);
}

static bool is_label(const struct otlp *m, struct slice key)
{
	for (size_t i = 0; i < m->o->n_otlp_labels; i++)
		if (slice_eq(m->o->otlp_labels[i], key))
			return true;
	return false;
}

void otlp_resource_begin(struct otlp *m)
{
	m->labels.n = m->resource.n = m->scope.n = 0;
	m->stream = SLICE_NONE;
	m->has_common = false;
}

int otlp_resource_attribute(struct otlp *m, struct slice key, const struct otlp_value *v)
{
	return add_attribute(m, is_label(m, key) ? &m->labels : &m->resource, key, v);
}

void otlp_scope_begin(struct otlp *m)
{
	m->scope.n = 0;
	m->has_common = false;
}

int otlp_scope_attribute(struct otlp *m, struct slice key, const struct otlp_value *v)
{
	return add_attribute(m, &m->scope, key, v);
}

int otlp_scope_done(struct otlp *m, const struct otlp_scope *s)
{
	struct slice dropped = s->n_dropped > 0 ? number_text(m, s->n_dropped, false) : SLICE("");

	if (add_pair(m, &m->scope, SLICE("scope_name"), s->name) == -1 ||
	    add_pair(m, &m->scope, SLICE("scope_version"), s->version) == -1)
		return -1;
	return add_pair(m, &m->scope, SLICE("scope_dropped_attributes_count"), dropped);
}

/* ---------------------------------------------------------------- streams */

static int open_stream(struct otlp *m)
{
	struct labels labels;
	bool is_new;

	if (labelset_make(m->labels.v, m->labels.n, &m->b->arena, &labels, m->err) == -1)
		return -1;
	buf_reset(&m->text);
	labels_encode(&m->text, labels);
	size_t at = (size_t)(uintptr_t)map_get(&m->streams, buf_slice(&m->text));
	if (at == 0) {
		struct batch_stream *s = decode_add_stream(m->b, m->o, m->err);

		if (s == NULL)
			return -1;
		s->labels = labels;
		at = m->b->streams.n;
		*map_put(&m->streams, arena_dup(&m->b->arena, buf_slice(&m->text)), &is_new) =
			(void *)(uintptr_t)at;
	}
	m->stream = at - 1;
	if (m->runs.n == 0 || m->runs.v[m->runs.n - 1].stream != m->stream)
		vec_push(&m->runs, ((struct otlp_run){ m->stream, m->b->entries.n }));
	m->scattered |= m->stream + 1 != m->b->streams.n;
	return 0;
}

/* ---------------------------------------------------------------- records */

/* Sorted; of equal names the last one stays. */
static void settle(struct otlp_pairs *p)
{
	size_t n = 0;

	if (labels_sort(p->v, p->n).p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (i + 1 == p->n || !slice_eq(p->v[i].name, p->v[i + 1].name))
			p->v[n++] = p->v[i];
	p->n = n;
}

static void make_common(struct otlp *m)
{
	m->common.n = 0;
	vec_reserve(&m->common, m->resource.n + m->scope.n + 1);
	for (size_t i = 0; i < m->resource.n; i++)
		m->common.v[m->common.n++] = m->resource.v[i];
	for (size_t i = 0; i < m->scope.n; i++)
		m->common.v[m->common.n++] = m->scope.v[i];
	settle(&m->common);
	m->has_common = true;
}

/* Both are settled; what all records share wins over the record's own. */
static int merge(struct otlp *m, struct batch_entry *e)
{
	const struct label *a = m->own.v, *a_end = a + m->own.n;
	const struct label *b = m->common.v, *b_end = b + m->common.n;
	size_t most = m->own.n + m->common.n, n = 0;

	m->n_pairs += m->common.n;
	if (m->n_pairs > DECODE_MAX_PAIRS_PUSH)
		return err_set(m->err, ERR_TOO_LARGE, "too many attributes in one push, limit: %d",
			       DECODE_MAX_PAIRS_PUSH);
	struct label *out = arena_array(&m->b->arena, struct label, most);
	while (a < a_end && b < b_end) {
		int d = slice_cmp(a->name, b->name);

		out[n++] = d < 0 ? *a : *b;
		a += d <= 0;
		b += d >= 0;
	}
	while (a < a_end)
		out[n++] = *a++;
	while (b < b_end)
		out[n++] = *b++;
	arena_give_back(&m->b->arena, (most - n) * sizeof(*out));
	e->meta = out;
	e->n_meta = (uint32_t)n;
	return 0;
}

/* Four bytes as eight hex digits, in the order of memory. */
static uint64_t hex_of(uint32_t bytes)
{
	const uint64_t low = 0x000f000f000f000fULL, ones = 0x0101010101010101ULL;
	uint64_t x = bytes;

	x = (x | x << 16) & 0x0000ffff0000ffffULL;
	x = (x | x << 8) & 0x00ff00ff00ff00ffULL;
	x = (x >> 4 & low) | (x & low) << 8;
	return x + '0' * ones + ((x + 6 * ones) >> 4 & ones) * ('a' - '0' - 10);
}

/* An id of 8 or 16 bytes; nothing if it is all zeros. */
static struct slice hex_text(struct otlp *m, struct slice id)
{
	uint32_t word[4] = { 0 };
	uint64_t digits;
	char *p;

	assert(id.n % 4 == 0 && id.n <= sizeof(word));
	if (id.n > 0)
		memcpy(word, id.p, id.n);
	if ((word[0] | word[1] | word[2] | word[3]) == 0)
		return SLICE("");
	p = arena_alloc_bytes(&m->b->arena, id.n * 2);
	for (size_t i = 0; i < id.n / 4; i++) {
		digits = hex_of(word[i]);
		memcpy(p + 8 * i, &digits, 8);
	}
	return slice_of(p, id.n * 2);
}

static struct slice count_text(struct otlp *m, uint64_t n)
{
	return n > 0 ? number_text(m, n, false) : SLICE("");
}

static void drop_event_name(struct otlp_pairs *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!slice_is(p->v[i].name, "event_name"))
			p->v[n++] = p->v[i];
	p->n = n;
}

/* The fields come after the attributes, so that they win, and in the order of their names. */
static int add_fields(struct otlp *m, const struct otlp_record *r)
{
	const struct label fields[] = {
		{ SLICE("dropped_attributes_count"), count_text(m, r->n_dropped) },
		{ SLICE("event_name"), r->event_name },
		{ SLICE("flags"), count_text(m, r->flags) },
		{ SLICE("observed_timestamp"), count_text(m, r->time_ns != 0 ? r->observed_ns : 0) },
		{ SLICE("severity_number"), r->severity != 0 ? int_text(m, r->severity) : SLICE("") },
		{ SLICE("severity_text"), r->severity_text },
		{ SLICE("span_id"), hex_text(m, r->span_id) },
		{ SLICE("trace_id"), hex_text(m, r->trace_id) },
	};

	if (r->event_name.n > 0)
		drop_event_name(&m->own);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (add_pair(m, &m->own, fields[i].name, fields[i].value) == -1)
			return -1;
	return 0;
}

static int64_t time_of(const struct otlp *m, const struct otlp_record *r)
{
	uint64_t ns = r->time_ns != 0 ? r->time_ns : r->observed_ns;

	if (ns == 0)
		return m->o->now_ns;
	return ns > INT64_MAX ? TS_TOO_NEW : (int64_t)ns;
}

void otlp_record_begin(struct otlp *m)
{
	m->own.n = 0;
}

int otlp_record_attribute(struct otlp *m, struct slice key, const struct otlp_value *v)
{
	return add_attribute(m, &m->own, key, v);
}

int otlp_record_done(struct otlp *m, const struct otlp_record *r)
{
	struct batch_entry *e;

	if (m->stream == SLICE_NONE && open_stream(m) == -1)
		return -1;
	if (!m->has_common)
		make_common(m);
	if (add_fields(m, r) == -1 || (e = decode_add_entry(m->b, m->o, m->err)) == NULL)
		return -1;
	settle(&m->own);
	e->ts = time_of(m, r);
	e->line = r->body;
	return merge(m, e);
}
