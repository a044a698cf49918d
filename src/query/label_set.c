#include "query/label_set.h"
#include "base/hash.h"

enum { INDEX_FROM = 32, INSERTION_SORT_MAX = 48 };

struct label_index {
	uint32_t generation; /* another one: free */
	uint32_t at;
};

static uint64_t name_bit(struct slice name)
{
	if (name.n == 0)
		return 1;
	return UINT64_C(1) << ((name.n * 7 + (unsigned char)name.p[0] * 3u +
				(unsigned char)name.p[name.n - 1]) &
			       63);
}

static int by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return slice_cmp(x->name, y->name);
}

static void sort_by_name(struct label *v, size_t n)
{
	if (n <= INSERTION_SORT_MAX)
		labels_sort(v, n);
	else
		qsort(v, n, sizeof(*v), by_name);
}

static bool labels_have(struct labels l, struct slice name)
{
	return labels_get(l, name).p != NULL;
}

void label_base_init(struct label_base *b, struct labels stream, struct slice meta, struct arena *a)
{
	struct labels found;
	size_t n = 0;

	*b = (struct label_base){ .stream = stream };
	for (size_t i = 0; i < stream.n; i++)
		b->mask |= name_bit(stream.v[i].name);
	if (meta.n == 0 || labels_decode(meta, a, &found) == -1)
		return;
	struct label *v = arena_array(a, struct label, found.n);
	bool renamed = false;
	for (size_t i = 0; i < found.n; i++) {
		struct label l = found.v[i];

		if (slice_eq(l.name, LABEL_ERROR)) {
			b->error = l.value;
			continue;
		}
		if (slice_eq(l.name, LABEL_ERROR_DETAILS)) {
			b->details = l.value;
			continue;
		}
		if ((b->mask & name_bit(l.name)) != 0 && labels_have(stream, l.name)) {
			const char *p = arena_printf(a, "%.*s" LABEL_SUFFIX, SLICE_ARG(l.name));

			l.name = slice_cstr(p);
			renamed = true;
		}
		v[n++] = l;
	}
	if (renamed)
		sort_by_name(v, n);
	b->meta = (struct labels){ v, n };
	for (size_t i = 0; i < n; i++)
		b->mask |= name_bit(v[i].name);
}

bool label_base_has(const struct label_base *b, struct slice name)
{
	return (b->mask & name_bit(name)) != 0 &&
	       (labels_have(b->stream, name) || labels_have(b->meta, name));
}

void label_set_init(struct label_set *s)
{
	*s = (struct label_set){ .generation = 1 };
}

void label_set_fini(struct label_set *s)
{
	vec_fini(&s->parsed);
	free(s->hidden);
	free(s->index);
	*s = (struct label_set){ 0 };
}

void label_set_start(struct label_set *s, const struct label_base *base)
{
	s->base = base;
	s->parsed.n = 0;
	s->mask = 0;
	if (s->n_hidden > 0)
		memset(s->hidden, 0, s->cap_hidden);
	s->n_hidden = 0;
	s->error = base->error;
	s->details = base->details;
	s->preserve_error = false;
	s->deleted = false;
	if (++s->generation == 0) {
		memset(s->index, 0, s->cap_index * sizeof(*s->index));
		s->generation = 1;
	}
}

/* ---- parsed labels by name ---- */

static struct label_index *index_slot(const struct label_set *s, struct slice name)
{
	size_t i = hash_seeded(name) & (s->cap_index - 1);

	while (s->index[i].generation == s->generation &&
	       !slice_eq(s->parsed.v[s->index[i].at].label.name, name))
		i = (i + 1) & (s->cap_index - 1);
	return &s->index[i];
}

/* From INDEX_FROM labels on a table finds them: a hostile line may hold tens of thousands. */
static void index_add(struct label_set *s)
{
	size_t n = s->parsed.n;
	bool all = n == INDEX_FROM;

	if (n < INDEX_FROM)
		return;
	if (n * 2 > s->cap_index) {
		free(s->index);
		s->cap_index = MAX(s->cap_index * 2, (size_t)INDEX_FROM * 4);
		s->index = xcalloc(s->cap_index, sizeof(*s->index));
		all = true;
	}
	for (size_t i = all ? 0 : n - 1; i < n; i++)
		*index_slot(s, s->parsed.v[i].label.name) =
			(struct label_index){ s->generation, (uint32_t)i };
}

static struct parsed_label *find_parsed(const struct label_set *s, struct slice name)
{
	if ((s->mask & name_bit(name)) == 0)
		return NULL;
	if (s->parsed.n >= INDEX_FROM) {
		const struct label_index *x = index_slot(s, name);

		return x->generation == s->generation ? &s->parsed.v[x->at] : NULL;
	}
	for (size_t i = 0; i < s->parsed.n; i++)
		if (slice_eq(s->parsed.v[i].label.name, name))
			return &s->parsed.v[i];
	return NULL;
}

static bool is_hidden(const struct label_set *s, size_t i)
{
	return s->n_hidden > 0 && i < s->cap_hidden && s->hidden[i];
}

static void hide(struct label_set *s, size_t i)
{
	size_t need = s->base->stream.n + s->base->meta.n;

	if (s->cap_hidden < need) {
		s->hidden = xrealloc(s->hidden, need);
		memset(s->hidden + s->cap_hidden, 0, need - s->cap_hidden);
		s->cap_hidden = need;
	}
	s->n_hidden += !s->hidden[i];
	s->hidden[i] = 1;
}

struct slice label_set_get(const struct label_set *s, struct slice name)
{
	const struct label_base *b = s->base;
	const struct parsed_label *p = find_parsed(s, name);

	if (p != NULL && !p->removed)
		return p->label.value;
	if ((b->mask & name_bit(name)) == 0)
		return (struct slice){ NULL, 0 };
	for (size_t i = 0; i < b->meta.n; i++)
		if (slice_eq(b->meta.v[i].name, name) && !is_hidden(s, b->stream.n + i))
			return b->meta.v[i].value;
	for (size_t i = 0; i < b->stream.n; i++)
		if (slice_eq(b->stream.v[i].name, name) && !is_hidden(s, i))
			return b->stream.v[i].value;
	return (struct slice){ NULL, 0 };
}

bool label_set_extracted(const struct label_set *s, struct slice name)
{
	return find_parsed(s, name) != NULL;
}

/* Hides the name wherever stream and metadata have it. */
static void hide_named(struct label_set *s, struct slice name)
{
	const struct label_base *b = s->base;

	if ((b->mask & name_bit(name)) == 0)
		return;
	for (size_t i = 0; i < b->stream.n; i++)
		if (slice_eq(b->stream.v[i].name, name))
			hide(s, i);
	for (size_t i = 0; i < b->meta.n; i++)
		if (slice_eq(b->meta.v[i].name, name))
			hide(s, b->stream.n + i);
}

bool label_set_taken(const struct label_set *s, struct slice name)
{
	const struct label_base *b = s->base;

	if ((b->mask & name_bit(name)) == 0)
		return false;
	if (labels_have(b->stream, name))
		return true;
	for (size_t i = 0; i < b->meta.n; i++)
		if (slice_eq(b->meta.v[i].name, name) && !is_hidden(s, b->stream.n + i))
			return true;
	return false;
}

void label_set_add(struct label_set *s, struct slice name, struct slice value)
{
	vec_push(&s->parsed, ((struct parsed_label){ .label = { name, value } }));
	s->mask |= name_bit(name);
	index_add(s);
	hide_named(s, name);
}

void label_set_put(struct label_set *s, struct slice name, struct slice value)
{
	struct parsed_label *p = find_parsed(s, name);

	if (p == NULL) {
		label_set_add(s, name, value);
		return;
	}
	p->label.value = value;
	p->removed = false;
}

void label_set_remove(struct label_set *s, struct slice name)
{
	struct parsed_label *p = find_parsed(s, name);

	if (p != NULL)
		p->removed = true;
	hide_named(s, name);
	s->deleted = true;
}

void label_set_error(struct label_set *s, struct slice error, struct slice details)
{
	s->error = error;
	s->details = details;
}

/* ---- finished sets ---- */

/* A field of a line may have such a name; a real error wins. */
static bool is_error_name(struct slice name)
{
	return slice_eq(name, LABEL_ERROR) || slice_eq(name, LABEL_ERROR_DETAILS);
}

/* Details without an error (which `drop __error__` leaves) show only where the labels differ from the
 * stream's. */
static bool shows_details(const struct label_set *s)
{
	if (s->details.p == NULL)
		return false;
	if (s->error.p != NULL || s->deleted)
		return true;
	for (size_t i = 0; i < s->parsed.n; i++)
		if (!s->parsed.v[i].removed)
			return true;
	for (size_t i = 0; i < s->base->meta.n; i++)
		if (!is_hidden(s, s->base->stream.n + i))
			return true;
	return false;
}

void label_set_list(const struct label_set *s, unsigned categories, struct label_vec *out)
{
	const struct label_base *b = s->base;

	out->n = 0;
	if (categories & LABEL_CAT_STREAM)
		for (size_t i = 0; i < b->stream.n; i++)
			if (!is_hidden(s, i))
				vec_push(out, b->stream.v[i]);
	if (categories & LABEL_CAT_META)
		for (size_t i = 0; i < b->meta.n; i++)
			if (!is_hidden(s, b->stream.n + i))
				vec_push(out, b->meta.v[i]);
	if (categories & LABEL_CAT_PARSED) {
		for (size_t i = 0; i < s->parsed.n; i++)
			if (!s->parsed.v[i].removed &&
			    !(s->error.p != NULL && is_error_name(s->parsed.v[i].label.name)))
				vec_push(out, s->parsed.v[i].label);
		if (s->error.p != NULL)
			vec_push(out, ((struct label){ LABEL_ERROR, s->error }));
		if (shows_details(s))
			vec_push(out, ((struct label){ LABEL_ERROR_DETAILS, s->details }));
	}
	if (categories != LABEL_CAT_STREAM)
		sort_by_name(out->v, out->n);
}

void label_set_visible(const struct label_set *s, struct label_vec *out)
{
	const struct label_base *b = s->base;

	out->n = 0;
	for (size_t i = 0; i < b->stream.n; i++)
		if (!is_hidden(s, i))
			vec_push(out, b->stream.v[i]);
	for (size_t i = 0; i < b->meta.n; i++)
		if (!is_hidden(s, b->stream.n + i))
			vec_push(out, b->meta.v[i]);
	for (size_t i = 0; i < s->parsed.n; i++)
		if (!s->parsed.v[i].removed)
			vec_push(out, s->parsed.v[i].label);
}

static bool group_names(const struct label_group *g, struct slice name)
{
	for (size_t i = 0; i < g->n; i++)
		if (slice_eq(g->names[i], name))
			return true;
	return false;
}

static void remove_named(struct label_vec *out, const struct label_group *g)
{
	size_t n = 0;

	for (size_t i = 0; i < out->n; i++)
		if (!group_names(g, out->v[i].name))
			out->v[n++] = out->v[i];
	out->n = n;
}

void label_set_group(const struct label_set *s, const struct label_group *g, struct label_vec *out)
{
	if (s->error.p != NULL || g->all || g->without) {
		label_set_list(s, LABEL_CAT_ALL, out);
		if (s->error.p != NULL && s->preserve_error) {
			vec_push(out, ((struct label){ LABEL_PRESERVE_ERROR, SLICE("true") }));
			sort_by_name(out->v, out->n);
		} else if (s->error.p == NULL && g->without) {
			remove_named(out, g);
		}
		return;
	}
	out->n = 0;
	for (size_t i = 0; i < g->n; i++) {
		struct slice v = label_set_get(s, g->names[i]);

		if (v.p != NULL)
			vec_push(out, ((struct label){ g->names[i], v }));
	}
}

void labels_group(struct labels l, const struct label_group *g, struct label_vec *out)
{
	out->n = 0;
	for (size_t i = 0; i < l.n; i++)
		if (g->all || group_names(g, l.v[i].name) != g->without)
			vec_push(out, l.v[i]);
}
