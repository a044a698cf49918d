#include "index/head.h"
#include "base/clock.h"
#include "base/hash.h"
#include "index/wal.h"

#include <assert.h>

enum {
	FIRST_RUN = 4, /* with ten thousands of streams most hold few entries */
	MAX_RUN = 1024,
	RECENT_METAS = 8,     /* how far back an equal metadata set is looked for */
	EQUAL_TS_WINDOW = 64, /* how many entries of one timestamp are compared at arrival */
};

struct head *head_new(uint64_t wal_number)
{
	struct head *h = xcalloc(1, sizeof(*h));

	atomic_store(&h->refs, 1);
	pthread_rwlock_init(&h->lock, NULL);
	arena_init(&h->arena);
	h->wal_first = h->wal_last = wal_number;
	return h;
}

struct head *head_ref(struct head *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

void head_unref(struct head *h)
{
	struct slice key;
	void *value;

	if (h == NULL || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	for (size_t i = 0; map_next(&h->tenants, &i, &key, &value);) {
		struct head_tenant *t = value;

		map_fini(&t->by_labels);
		vec_fini(&t->streams);
	}
	map_fini(&h->tenants);
	free(h->traces.slot);
	vec_fini(&h->traces.postings);
	trace_found_fini(&h->found);
	arena_fini(&h->arena);
	pthread_rwlock_destroy(&h->lock);
	free(h);
}

uint64_t head_memory(const struct head *h)
{
	return h->arena.total + h->traces.cap * sizeof(struct trace_slot) + h->traces.postings.cap * 16;
}

struct head_tenant *head_tenant(const struct head *h, struct slice id)
{
	return map_get(&h->tenants, id);
}

static struct head_tenant *tenant_of(struct head *h, struct slice id)
{
	struct head_tenant *t = head_tenant(h, id);

	if (t == NULL) {
		t = arena_new(&h->arena, struct head_tenant);
		t->id = arena_dup(&h->arena, id);
		*map_put(&h->tenants, t->id, NULL) = t;
	}
	return t;
}

static int stream_of(struct head *h, struct head_tenant *t, struct slice encoded, struct head_stream **out,
		     struct err *err)
{
	struct head_stream *s = map_get(&t->by_labels, encoded);

	if (s == NULL) {
		s = arena_new(&h->arena, struct head_stream);
		s->encoded = arena_dup(&h->arena, encoded);
		s->hash = labels_hash(s->encoded);
		if (labels_decode(s->encoded, &h->arena, &s->labels) == -1)
			return err_set(err, ERR_CORRUPT, "malformed labels in a WAL record");
		*map_put(&t->by_labels, s->encoded, NULL) = s;
		vec_push(&t->streams, s);
		h->n_streams++;
	}
	*out = s;
	return 0;
}

static struct head_run *add_run(struct head *h, struct head_stream *s)
{
	struct head_run *r = arena_new(&h->arena, struct head_run);
	uint32_t cap = s->last == NULL ? FIRST_RUN : MIN(s->last->cap * 2, (uint32_t)MAX_RUN);

	r->stream = s;
	r->cap = cap;
	r->clean = true;
	r->min_ts = INT64_MAX;
	r->max_ts = r->last_ts = INT64_MIN;
	r->ts = arena_array(&h->arena, int64_t, cap);
	r->line = arena_array(&h->arena, struct slice, cap);
	r->meta = arena_array(&h->arena, uint32_t, cap);
	r->metas = arena_array(&h->arena, struct slice, cap);
	r->tokens = (const struct head_tokens **)arena_alloc(&h->arena, cap * sizeof(struct head_tokens *));
	if (s->last != NULL)
		s->last->next = r;
	else
		s->first = r;
	s->last = r;
	return r;
}

/* Is the entry already there among the last ones of the same timestamp? Sets clean = false where it cannot tell. */
static bool is_duplicate(struct head_run *r, const struct wal_entry *e)
{
	for (uint32_t i = r->n, back = 0; i-- > 0 && r->ts[i] == e->ts; back++) {
		if (back == EQUAL_TS_WINDOW) {
			r->clean = false;
			break;
		}
		if (slice_eq(r->line[i], e->line) && slice_eq(r->metas[r->meta[i]], e->meta))
			return true;
	}
	return false;
}

static uint32_t meta_number(struct head *h, struct head_run *r, struct slice meta)
{
	for (uint32_t i = r->n_metas, back = 0; i-- > 0 && back < RECENT_METAS; back++)
		if (slice_eq(r->metas[i], meta))
			return i;
	r->metas[r->n_metas] = slice_of(memcpy(arena_alloc_bytes(&h->arena, meta.n), meta.p, meta.n), meta.n);
	return r->n_metas++;
}

/* ---- trace map ------------------------------------------------------------------------------------------------- */

static struct trace_slot *trace_slot(const struct trace_map *m, uint64_t token)
{
	size_t i = hash_mix(token) & (m->cap - 1);

	while (m->slot[i].token != 0 && m->slot[i].token != token)
		i = (i + 1) & (m->cap - 1);
	return &m->slot[i];
}

static void trace_grow(struct trace_map *m)
{
	struct trace_map old = *m;

	m->cap = old.cap == 0 ? 1024 : old.cap * 2;
	m->slot = xcalloc(m->cap, sizeof(*m->slot));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i].token != 0)
			*trace_slot(m, old.slot[i].token) = old.slot[i];
	free(old.slot);
}

static void trace_add(struct trace_map *m, uint64_t token, struct head_run *run)
{
	if (token == 0)
		return;
	if (m->n * 3 >= m->cap * 2)
		trace_grow(m);
	struct trace_slot *s = trace_slot(m, token);
	if (s->token == 0) {
		s->token = token;
		m->n++;
	}
	if (s->posting != 0 && m->postings.v[s->posting - 1].run == run)
		return;
	__typeof__(m->postings.v) p = vec_add(&m->postings);
	p->run = run;
	p->prev = s->posting;
	s->posting = (uint32_t)m->postings.n;
}

static int cmp_ptr(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

static void collect_group(const struct head *h, const struct trace_group *g, struct head_run ***out,
			  size_t *n)
{
	VEC(struct head_run *) runs = { 0 };
	size_t unique = 0;

	for (size_t i = 0; i < g->n && h->traces.cap > 0; i++)
		for (uint32_t p = trace_slot(&h->traces, g->token[i])->posting; p != 0;
		     p = h->traces.postings.v[p - 1].prev)
			vec_push(&runs, h->traces.postings.v[p - 1].run);
	if (runs.n > 1)
		qsort(runs.v, runs.n, sizeof(*runs.v), cmp_ptr);
	for (size_t i = 0; i < runs.n; i++)
		if (i == 0 || runs.v[i] != runs.v[i - 1])
			runs.v[unique++] = runs.v[i];
	*out = runs.v;
	*n = unique;
}

struct head_run **head_trace_runs(const struct head *h, const struct trace_group *groups, size_t n_groups,
				  size_t *n)
{
	struct head_run **all, **more;
	size_t n_more;

	assert(n_groups > 0);
	collect_group(h, &groups[0], &all, n);
	for (size_t g = 1; g < n_groups; g++) {
		size_t kept = 0;

		collect_group(h, &groups[g], &more, &n_more);
		for (size_t i = 0; i < *n; i++)
			if (n_more > 0 && bsearch(&all[i], more, n_more, sizeof(*more), cmp_ptr) != NULL)
				all[kept++] = all[i];
		free(more);
		*n = kept;
	}
	return all;
}

/* ---- appending ------------------------------------------------------------------------------------------------- */

static struct slice tokens_of(struct head *h, const struct head_stream *s, const struct wal_entry *e)
{
	if (h->find_tokens == NULL)
		return e->tokens;
	trace_find(h->find_tokens, e->line, e->meta, s->encoded, &h->found);
	return slice_of((const char *)h->found.token, h->found.n_tokens * sizeof(uint64_t));
}

static void append(struct head *h, struct head_stream *s, const struct wal_entry *e)
{
	struct head_run *r = s->last;

	if (r != NULL && e->ts == r->last_ts && r->last_ts == r->max_ts && is_duplicate(r, e)) {
		h->n_duplicates++;
		return;
	}
	if (r == NULL || r->n == r->cap)
		r = add_run(h, s);
	uint32_t i = r->n;
	char *line = arena_alloc_bytes(&h->arena, e->line.n);
	if (e->line.n > 0)
		memcpy(line, e->line.p, e->line.n);
	r->ts[i] = e->ts;
	r->line[i] = slice_of(line, e->line.n);
	r->meta[i] = meta_number(h, r, e->meta);
	r->tokens[i] = NULL;
	if (e->ts < r->last_ts)
		r->clean = false;
	r->last_ts = e->ts;
	r->min_ts = MIN(r->min_ts, e->ts);
	r->max_ts = MAX(r->max_ts, e->ts);
	struct slice tokens = tokens_of(h, s, e);
	size_t n_tokens = tokens.n / 8;
	if (n_tokens > 0) {
		struct head_tokens *t = arena_alloc(&h->arena, sizeof(*t) + n_tokens * 8);

		t->n = (uint32_t)n_tokens;
		memcpy(t->v, tokens.p, n_tokens * 8);
		r->tokens[i] = t;
		for (size_t k = 0; k < n_tokens; k++)
			trace_add(&h->traces, t->v[k], r);
	}
	r->bytes += e->line.n + e->meta.n;
	h->bytes += e->line.n + e->meta.n;
	r->n++;
	s->n_entries++;
	if (h->n_entries++ == 0)
		h->born_mono_ns = clock_mono_ns();
}

static int apply(struct head *h, struct slice payload, head_keep_fn keep, void *arg, struct err *err)
{
	struct wal_reader r;
	struct wal_entry e;
	struct head_stream *s;
	int rc;

	if (wal_reader_start(&r, payload, err) == -1)
		return -1;
	struct head_tenant *t = tenant_of(h, r.tenant);
	while ((rc = wal_reader_stream(&r, err)) == 1) {
		s = NULL;
		while ((rc = wal_reader_entry(&r, &e, err)) == 1) {
			if (keep != NULL && !keep(arg, r.tenant, e.ts))
				continue;
			if (s == NULL && stream_of(h, t, r.labels, &s, err) == -1)
				return -1;
			append(h, s, &e);
		}
		if (rc == -1)
			return -1;
	}
	return rc;
}

int head_apply(struct head *h, struct slice payload, head_keep_fn keep, void *arg, struct err *err)
{
	pthread_rwlock_wrlock(&h->lock);
	int rc = apply(h, payload, keep, arg, err);
	pthread_rwlock_unlock(&h->lock);
	return rc;
}
