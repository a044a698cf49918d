#include "index/head.h"
#include "base/clock.h"
#include "base/hash.h"
#include "index/wal.h"

#include <assert.h>

enum {
	FIRST_RUN = 4, /* with ten thousands of streams most hold few entries */
	MAX_RUN = 1024,
	FIRST_METAS = 2,
	FIRST_BLOCK = 512,    /* of a part's memory */
	MAX_BLOCK = 64 << 10, /* no part holds much more than its entries need */
	RECENT_METAS = 8,     /* how far back an equal metadata set is looked for */
	EQUAL_TS_WINDOW = 64, /* how many entries of one timestamp are compared at arrival */
	WORTH_SEALING = 8,    /* a part is not closed early below this share of a full chunk */
	SHED_STEP = 1 << 20,  /* how much must come before large parts are looked for again */
	CARRY = 8,	      /* room for what is carried over: this share of a chunk */
};

struct head *head_new(uint64_t wal_number, const struct head_limits *limits)
{
	struct head *h = xcalloc(1, sizeof(*h));

	atomic_store(&h->refs, 1);
	pthread_rwlock_init(&h->lock, NULL);
	pthread_mutex_init(&h->seal_lock, NULL);
	h->limits = *limits;
	arena_init(&h->arena);
	h->wal_first = h->wal_last = wal_number;
	return h;
}

struct head *head_ref(struct head *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

static void free_tenant(struct head_tenant *t)
{
	for (size_t i = 0; i < t->streams.n; i++) {
		struct head_stream *s = t->streams.v[i];

		for (size_t k = 0; k < s->parts.n; k++)
			head_part_unref(s->parts.v[k]);
		vec_fini(&s->parts);
	}
	map_fini(&t->by_labels);
	vec_fini(&t->streams);
	vec_fini(&t->sealed);
}

void head_unref(struct head *h)
{
	struct slice key;
	void *value;

	if (h == NULL || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	for (size_t i = 0; map_next(&h->tenants, &i, &key, &value);)
		free_tenant(value);
	map_fini(&h->tenants);
	account_release(h->limits.memory, atomic_load(&h->other_memory));
	trace_map_fini(&h->traces);
	vec_fini(&h->to_seal);
	trace_found_fini(&h->found);
	arena_fini(&h->arena);
	pthread_rwlock_destroy(&h->lock);
	pthread_mutex_destroy(&h->seal_lock);
	free(h);
}

uint64_t head_memory(const struct head *h)
{
	return atomic_load(&h->open_memory) + atomic_load(&h->sealed_memory) + atomic_load(&h->other_memory);
}

uint64_t head_closed_memory(const struct head *h)
{
	return atomic_load(&h->closed_memory);
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
		s->tenant = t;
		s->sealed_max_ts = INT64_MIN;
		if (labels_decode(s->encoded, &h->arena, &s->labels) == -1)
			return err_set(err, ERR_CORRUPT, "malformed labels in a WAL record");
		*map_put(&t->by_labels, s->encoded, NULL) = s;
		vec_push(&t->streams, s);
		h->n_streams++;
	}
	*out = s;
	return 0;
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

struct head_part *head_part_new(struct head_stream *s, struct account_user *account)
{
	struct head_part *p = xcalloc(1, sizeof(*p));

	atomic_store(&p->refs, 1);
	p->stream = s;
	p->in_order = true;
	p->max_ts = INT64_MIN;
	p->account = account;
	head_part_grown(p, sizeof(*p));
	arena_init_blocks(&p->arena, FIRST_BLOCK, MAX_BLOCK);
	return p;
}

void head_part_grown(struct head_part *p, size_t memory)
{
	uint64_t charged = p->memory;

	if (memory == p->memory)
		return;
	account_adjust(p->account, &charged, memory);
	p->memory = memory;
}

struct head_part *head_part_ref(struct head_part *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void head_part_unref(struct head_part *p)
{
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	account_release(p->account, p->memory);
	arena_fini(&p->arena);
	free(p->sealed);
	free(p);
}

static struct head_run *add_run(struct head_part *p)
{
	struct head_run *r = arena_new(&p->arena, struct head_run);
	uint32_t cap = p->last == NULL ? FIRST_RUN : MIN(p->last->cap * 2, (uint32_t)MAX_RUN);

	r->part = p;
	r->cap = cap;
	r->clean = true;
	r->min_ts = INT64_MAX;
	r->max_ts = r->last_ts = INT64_MIN;
	r->ts = arena_array(&p->arena, int64_t, cap);
	r->line = arena_array(&p->arena, struct slice, cap);
	r->n_tokens = arena_array(&p->arena, uint32_t, cap);
	r->meta = arena_array(&p->arena, uint32_t, cap);
	r->cap_metas = FIRST_METAS;
	r->metas = arena_array(&p->arena, struct slice, r->cap_metas);
	if (p->last != NULL) {
		r->minor = p->last->minor + 1;
		p->last->next = r;
	} else {
		p->first = r;
	}
	p->last = r;
	return r;
}

static uint32_t meta_number(struct head_part *p, struct head_run *r, struct slice meta)
{
	for (uint32_t i = r->n_metas, back = 0; i-- > 0 && back < RECENT_METAS; back++)
		if (slice_eq(r->metas[i], meta))
			return i;
	if (r->n_metas == r->cap_metas) {
		/* Readers may be at the old array. */
		uint32_t cap = MIN(r->cap_metas * 2, r->cap);
		struct slice *more = arena_array(&p->arena, struct slice, cap);

		memcpy(more, r->metas, r->n_metas * sizeof(*more));
		r->metas = more;
		r->cap_metas = cap;
	}
	char *copy = arena_alloc_bytes(&p->arena, meta.n);
	if (meta.n > 0)
		memcpy(copy, meta.p, meta.n);
	r->metas[r->n_metas] = slice_of(copy, meta.n);
	return r->n_metas++;
}

void head_part_add(struct head_part *p, int64_t ts, struct slice line, struct slice meta, struct slice tokens)
{
	struct head_run *r = p->last;

	if (r == NULL || r->n == r->cap)
		r = add_run(p);
	uint32_t i = r->n;
	char *to = arena_alloc_bytes(&p->arena, line.n + tokens.n);
	if (line.n > 0)
		memcpy(to, line.p, line.n);
	if (tokens.n > 0)
		memcpy(to + line.n, tokens.p, tokens.n);
	r->ts[i] = ts;
	r->line[i] = slice_of(to, line.n);
	r->n_tokens[i] = (uint32_t)(tokens.n / sizeof(uint64_t));
	r->meta[i] = meta_number(p, r, meta);
	if (ts < r->last_ts)
		r->clean = false;
	if (ts < p->max_ts)
		p->in_order = false;
	r->last_ts = ts;
	r->min_ts = MIN(r->min_ts, ts);
	r->max_ts = MAX(r->max_ts, ts);
	p->max_ts = MAX(p->max_ts, ts);
	r->bytes += line.n + meta.n;
	p->bytes += line.n + meta.n;
	head_part_grown(p, sizeof(*p) + p->arena.total);
	r->n++;
	p->n_entries++;
}

static void note_tokens(struct head *h, struct head_run *r, uint32_t i)
{
	const char *p = r->line[i].p + r->line[i].n;
	uint64_t token;

	if (r->n_tokens[i] == 0)
		return;
	if (r->number == 0)
		r->number = trace_map_add_run(&h->traces, r);
	for (uint32_t k = 0; k < r->n_tokens[i]; k++) {
		memcpy(&token, p + k * sizeof(token), sizeof(token));
		trace_map_add(&h->traces, token, r->number);
	}
}

static void note_other_memory(struct head *h)
{
	uint64_t charged = atomic_load(&h->other_memory);

	account_adjust(h->limits.memory, &charged, h->arena.total + trace_map_memory(&h->traces));
	atomic_store(&h->other_memory, charged);
}

/* ---- closing and sealing -------------------------------------------------------------------------------------- */

/* What is carried over will be in the same chunk. */
static const struct head_part *carried(const struct head_stream *s)
{
	const struct head_part *p = s->n_sealed < s->parts.n ? s->parts.v[s->n_sealed] : NULL;

	return p != s->open ? p : NULL;
}

static bool is_full(const struct head *h, const struct head_stream *s)
{
	const struct head_part *p = s->open, *c = carried(s);
	uint64_t n = p->n_entries, bytes = p->bytes;
	uint64_t most_n = h->limits.chunk_entries, most_bytes = h->limits.chunk_bytes;

	/* Only one closed part: what is carried over. More of them are chunks of their own. */
	if (c != NULL && s->n_sealed + 2 == s->parts.n && c->n_entries < most_n / 2) {
		n += c->n_entries;
		bytes += c->bytes;
	} else {
		c = NULL;
	}
	if (!p->in_order || c != NULL) {
		most_n += most_n / CARRY;
		most_bytes += most_bytes / CARRY;
	}
	return n >= most_n || bytes >= most_bytes;
}

static void close_part(struct head *h, struct head_stream *s)
{
	s->open->closed = true;
	atomic_fetch_add(&h->closed_memory, s->open->memory);
	s->open = NULL;
	if (!s->queued) {
		s->queued = true;
		vec_push(&h->to_seal, s);
	}
}

struct head_stream *head_next_to_seal(struct head *h)
{
	if (h->next_to_seal == h->to_seal.n) {
		h->next_to_seal = h->to_seal.n = 0;
		return NULL;
	}
	struct head_stream *s = h->to_seal.v[h->next_to_seal++];
	s->queued = false;
	return s;
}

static struct head_part *largest_open(const struct head *h)
{
	struct head_part *best = NULL;
	struct slice key;
	void *value;

	for (size_t i = 0; map_next(&h->tenants, &i, &key, &value);) {
		const struct head_tenant *t = value;

		for (size_t k = 0; k < t->streams.n; k++) {
			struct head_part *p = t->streams.v[k]->open;

			if (p != NULL && (best == NULL || p->memory > best->memory))
				best = p;
		}
	}
	return best;
}

/* Streams that fill up together would hold a full chunk each before the first is sealed. So the largest part goes early
 * when all of them take too much; after a while they are of all sizes, and go when they are nearly full. */
static void shed(struct head *h)
{
	for (;;) {
		uint64_t open = atomic_load(&h->open_memory) - atomic_load(&h->closed_memory);

		if (open <= h->limits.open_bytes || open < h->shed_at)
			return;
		struct head_part *p = largest_open(h);
		if (p == NULL || (p->n_entries < h->limits.chunk_entries / WORTH_SEALING &&
				  p->bytes < h->limits.chunk_bytes / WORTH_SEALING)) {
			h->shed_at = open + SHED_STEP;
			return;
		}
		h->shed_at = 0;
		close_part(h, p->stream);
	}
}

static void take_out(struct head *h, struct head_part *p)
{
	assert(p->sealed == NULL);
	for (struct head_run *r = p->first; r != NULL; r = r->next)
		if (r->number != 0)
			trace_map_remove_run(&h->traces, r->number);
	atomic_fetch_sub(&h->open_memory, p->memory);
	if (p->closed)
		atomic_fetch_sub(&h->closed_memory, p->memory);
	head_part_unref(p);
}

static void take_in(struct head *h, struct head_stream *s, struct head_part *p)
{
	if (p->sealed != NULL) {
		s->n_sealed++;
		s->sealed_max_ts = MAX(s->sealed_max_ts, p->max_ts);
		vec_push(&s->tenant->sealed, p);
		atomic_fetch_add(&h->sealed_memory, p->memory);
		return;
	}
	for (struct head_run *r = p->first; r != NULL; r = r->next)
		for (uint32_t i = 0; i < r->n; i++)
			note_tokens(h, r, i);
	atomic_fetch_add(&h->open_memory, p->memory);
}

void head_replace(struct head *h, struct head_stream *s, size_t n_in, struct head_part *const *out,
		  size_t n_out)
{
	size_t at = s->n_sealed, after = at + n_in, n_after = s->parts.n - after;

	assert(after <= s->parts.n);
	for (size_t i = at; i < after; i++)
		take_out(h, s->parts.v[i]);
	if (n_out > n_in)
		vec_reserve(&s->parts, n_out - n_in);
	if (n_after > 0)
		memmove(s->parts.v + at + n_out, s->parts.v + after, n_after * sizeof(*s->parts.v));
	s->parts.n = at + n_out + n_after;
	for (size_t i = 0; i < n_out; i++) {
		s->parts.v[at + i] = out[i];
		take_in(h, s, out[i]);
	}
	for (size_t i = s->n_sealed; i < s->parts.n && !s->queued; i++) {
		/* Another part was closed meanwhile. */
		if (s->parts.v[i]->closed) {
			s->queued = true;
			vec_push(&h->to_seal, s);
		}
	}
	note_other_memory(h);
}

/* ---- appending ------------------------------------------------------------------------------------------------ */

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

static struct slice tokens_of(struct head *h, const struct head_stream *s, const struct wal_entry *e)
{
	if (h->find_tokens == NULL)
		return e->tokens;
	trace_find(h->find_tokens, e->line, e->meta, s->encoded, &h->found);
	return slice_of((const char *)h->found.token, h->found.n_tokens * sizeof(uint64_t));
}

static void append(struct head *h, struct head_stream *s, const struct wal_entry *e)
{
	struct head_part *p = s->open;

	if (p != NULL && e->ts == p->last->last_ts && p->last->last_ts == p->last->max_ts &&
	    is_duplicate(p->last, e)) {
		h->n_duplicates++;
		return;
	}
	if (p == NULL) {
		p = s->open = head_part_new(s, h->limits.memory);
		p->order = s->next_order++;
		vec_push(&s->parts, p);
		atomic_fetch_add(&h->open_memory, p->memory);
	}
	size_t before = p->memory;
	head_part_add(p, e->ts, e->line, e->meta, tokens_of(h, s, e));
	if (p->memory != before)
		atomic_fetch_add(&h->open_memory, p->memory - before);
	note_tokens(h, p->last, p->last->n - 1);
	h->bytes += e->line.n + e->meta.n;
	if (h->n_entries++ == 0)
		h->born_mono_ns = clock_mono_ns();
	if (is_full(h, s))
		close_part(h, s);
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
	note_other_memory(h);
	shed(h);
	pthread_rwlock_unlock(&h->lock);
	return rc;
}
