#include "index/seal.h"
#include "base/clock.h"
#include "index/counts.h"
#include "index/filter.h"
#include "index/segment.h"

#include <assert.h>

enum { CARRY = 9, EFFORT = 1 };

void sealer_fini(struct sealer *x)
{
	account_adjust(x->account, &x->charged, 0);
	sorted_fini(&x->sorted);
	vec_fini(&x->entries);
	vec_fini(&x->tokens);
	vec_fini(&x->bucket_tokens);
	vec_fini(&x->buckets);
	buf_fini(&x->chunk);
	buf_fini(&x->filter);
	buf_fini(&x->counts);
}

static void note_memory(struct sealer *x)
{
	account_adjust(x->account, &x->charged,
		       x->sorted.entries.cap * sizeof(struct sorted_entry) +
			       x->entries.cap * sizeof(struct chunk_entry) +
			       (x->tokens.cap + x->bucket_tokens.cap) * sizeof(uint64_t) +
			       x->buckets.cap * sizeof(struct head_bucket) + x->chunk.cap + x->filter.cap +
			       x->counts.cap);
}

/* ---- what goes in --------------------------------------------------------------------------------------------- */

/* All entries of the parts, in order. True: they came in that order. */
static bool gather(struct sealer *x, struct head_part *const *in, size_t n_in)
{
	uint64_t order = 0;
	bool in_order = true;
	int64_t last = INT64_MIN;

	x->sorted.entries.n = 0;
	for (size_t k = 0; k < n_in; k++) {
		vec_reserve(&x->sorted.entries, in[k]->n_entries);
		in_order = in_order && in[k]->in_order && (k == 0 || in[k]->first->min_ts >= last);
		last = in[k]->max_ts;
		for (const struct head_run *r = in[k]->first; r != NULL; r = r->next) {
			for (uint32_t i = 0; i < r->n; i++) {
				struct sorted_entry *e = &x->sorted.entries.v[x->sorted.entries.n++];

				*e = (struct sorted_entry){ .e = { r->ts[i], r->line[i],
								   r->metas[r->meta[i]] },
							    .order = order++,
							    .n_tokens = r->n_tokens[i] };
			}
		}
	}
	sorted_finish(&x->sorted, &x->n_duplicates);
	return in_order;
}

/* Where the entries that are carried over begin; never between equal timestamps. */
static size_t carry_from(const struct sealer *x)
{
	const struct sorted_entry *v = x->sorted.entries.v;
	size_t n = x->sorted.entries.n, from = n - n / CARRY;

	while (from > 0 && from < n && v[from - 1].e.ts == v[from].e.ts)
		from--;
	return from < n / 2 ? n : from;
}

/* ---- what comes out ------------------------------------------------------------------------------------------- */

static int cmp_token(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The tokens from `from` on belong to one bucket. */
static void end_bucket(struct sealer *x, size_t from)
{
	uint64_t *v = x->bucket_tokens.v + from;
	size_t n = x->bucket_tokens.n - from, unique = 0;

	if (n > 1)
		qsort(v, n, sizeof(*v), cmp_token);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || v[i] != v[i - 1])
			v[unique++] = v[i];
	x->bucket_tokens.n = from + unique;
	if (unique == 0)
		x->buckets.n--;
	else
		x->buckets.v[x->buckets.n - 1].n = (uint32_t)unique;
}

static void take_tokens(struct sealer *x, const struct sorted_entry *v, size_t n)
{
	size_t from = 0;

	x->tokens.n = x->bucket_tokens.n = x->buckets.n = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t bucket = trace_bucket(v[i].e.ts, x->bucket_ns);

		if (v[i].n_tokens == 0)
			continue;
		if (x->buckets.n == 0 || x->buckets.v[x->buckets.n - 1].bucket != bucket) {
			if (x->buckets.n > 0)
				end_bucket(x, from);
			from = x->bucket_tokens.n;
			vec_push(&x->buckets, ((struct head_bucket){ .bucket = bucket }));
		}
		vec_reserve(&x->bucket_tokens, v[i].n_tokens);
		memcpy(x->bucket_tokens.v + x->bucket_tokens.n, v[i].e.line.p + v[i].e.line.n,
		       v[i].n_tokens * sizeof(uint64_t));
		x->bucket_tokens.n += v[i].n_tokens;
	}
	if (x->buckets.n > 0)
		end_bucket(x, from);
	vec_reserve(&x->tokens, x->bucket_tokens.n);
	if (x->bucket_tokens.n > 0)
		memcpy(x->tokens.v, x->bucket_tokens.v, x->bucket_tokens.n * sizeof(uint64_t));
	x->tokens.n = x->bucket_tokens.n;
}

static struct slice put_bytes(char **p, const struct buf *b)
{
	char *to = *p;

	if (b->n > 0)
		memcpy(to, b->p, b->n);
	*p += b->n;
	return slice_of(to, b->n);
}

/* All of it in one allocation of the right size. */
static struct head_sealed *pack(const struct sealer *x, size_t *memory)
{
	size_t buckets = x->buckets.n * sizeof(struct head_bucket),
	       tokens = x->bucket_tokens.n * sizeof(uint64_t);

	*memory = sizeof(struct head_sealed) + buckets + tokens + x->chunk.n + x->filter.n + x->counts.n;
	struct head_sealed *s = xmalloc(*memory);
	char *p = (char *)(s + 1);
	*s = (struct head_sealed){ .n_buckets = x->buckets.n };
	s->buckets = (struct head_bucket *)(void *)p;
	if (buckets > 0)
		memcpy(p, x->buckets.v, buckets);
	p += buckets;
	s->tokens = (uint64_t *)(void *)p;
	if (tokens > 0)
		memcpy(p, x->bucket_tokens.v, tokens);
	p += tokens;
	s->chunk = put_bytes(&p, &x->chunk);
	s->filter = put_bytes(&p, &x->filter);
	s->counts = put_bytes(&p, &x->counts);
	return s;
}

static struct head_part *encode(const struct head *h, struct sealer *x, struct head_stream *st,
				const struct sorted_entry *v, size_t n)
{
	struct head_part *p = head_part_new(st, h->limits.memory);
	struct chunk_info info;
	size_t memory;

	x->entries.n = 0;
	vec_reserve(&x->entries, n);
	for (size_t i = 0; i < n; i++)
		x->entries.v[x->entries.n++] = v[i].e;
	take_tokens(x, v, n);
	buf_reset(&x->chunk);
	buf_reset(&x->filter);
	buf_reset(&x->counts);
	segment_codec()->encode(x->entries.v, n, HEAD_SEED, EFFORT, &x->chunk, &info);
	fuse_build(x->tokens.v, x->tokens.n, &x->filter);
	counts_build(x->entries.v, n, &info, HEAD_SEED, &x->counts);
	p->sealed = pack(x, &memory);
	p->sealed->info = info;
	head_part_grown(p, p->memory + memory);
	p->closed = true;
	p->max_ts = info.last_ts;
	p->n_entries = n;
	p->bytes = info.raw_bytes;
	return p;
}

static struct head_part *carry_over(const struct head *h, struct head_stream *st,
				    const struct sorted_entry *v, size_t n)
{
	struct head_part *p = head_part_new(st, h->limits.memory);

	for (size_t i = 0; i < n; i++)
		head_part_add(p, v[i].e.ts, v[i].e.line, v[i].e.meta,
			      slice_of(v[i].e.line.p + v[i].e.line.n, v[i].n_tokens * sizeof(uint64_t)));
	return p;
}

/* Does a new chunk begin with v[i]? Only the first of equal timestamps may begin one. */
static bool begins_chunk(const struct head *h, const struct head_stream *st, const struct sorted_entry *v,
			 size_t i, size_t n, uint64_t bytes)
{
	int64_t before = v[i - 1].e.ts, ts = v[i].e.ts;

	if (ts == before)
		return false;
	if (clock_day_of(ts) != clock_day_of(before))
		return true;
	if (before <= st->sealed_max_ts && ts > st->sealed_max_ts)
		return true; /* late ones before it, which may overlap what is sealed already */
	return n >= h->limits.chunk_entries + h->limits.chunk_entries / 4 ||
	       bytes >= h->limits.chunk_bytes + h->limits.chunk_bytes / 4;
}

typedef VEC(struct head_part *) part_list;

static void encode_all(const struct head *h, struct sealer *x, struct head_stream *st, size_t n,
		       part_list *out)
{
	const struct sorted_entry *v = x->sorted.entries.v;
	uint64_t bytes = 0;
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (i > from && begins_chunk(h, st, v, i, i - from, bytes)) {
			vec_push(out, encode(h, x, st, v + from, i - from));
			from = i;
			bytes = 0;
		}
		bytes += v[i].e.line.n + v[i].e.meta.n;
	}
	if (n > from)
		vec_push(out, encode(h, x, st, v + from, n - from));
}

/* Under seal_lock, which keeps these parts where they are; nothing is added to them. */
static void seal(struct head *h, struct sealer *x, struct head_stream *st, struct head_part *const *in,
		 size_t n_in, bool may_carry)
{
	part_list out = { 0 };
	uint64_t order = in[n_in - 1]->order;

	bool in_order = gather(x, in, n_in);
	size_t n = x->sorted.entries.n, n_sealed = may_carry && !in_order ? carry_from(x) : n;
	encode_all(h, x, st, n_sealed, &out);
	if (n_sealed < n)
		vec_push(&out, carry_over(h, st, x->sorted.entries.v + n_sealed, n - n_sealed));
	for (size_t i = 0; i < out.n; i++) {
		out.v[i]->order = order;
		out.v[i]->minor = (uint32_t)i;
	}
	pthread_rwlock_wrlock(&h->lock);
	head_replace(h, st, n_in, out.v, out.n);
	pthread_rwlock_unlock(&h->lock);
	note_memory(x);
	vec_fini(&out);
}

bool head_seal_next(struct head *h, struct sealer *x)
{
	part_list in = { 0 };

	pthread_mutex_lock(&h->seal_lock);
	pthread_rwlock_wrlock(&h->lock);
	struct head_stream *st = head_next_to_seal(h);
	/* What was carried over, and the first that is closed. */
	for (size_t i = st != NULL ? st->n_sealed : 0; st != NULL && i < st->parts.n; i++) {
		if (st->parts.v[i] == st->open)
			break;
		vec_push(&in, st->parts.v[i]);
		if (st->parts.v[i]->closed)
			break;
	}
	pthread_rwlock_unlock(&h->lock);
	if (in.n > 0 && in.v[in.n - 1]->closed)
		seal(h, x, st, in.v, in.n, true);
	pthread_mutex_unlock(&h->seal_lock);
	vec_fini(&in);
	return st != NULL;
}

static void seal_rest(struct head *h, struct sealer *x, struct head_stream *st)
{
	part_list in = { 0 };

	st->open = NULL;
	for (size_t i = st->n_sealed; i < st->parts.n; i++)
		vec_push(&in, st->parts.v[i]);
	if (in.n > 0)
		seal(h, x, st, in.v, in.n, false);
	vec_fini(&in);
}

void head_seal_all(struct head *h, struct sealer *x)
{
	struct slice id;
	void *value;

	pthread_mutex_lock(&h->seal_lock);
	for (size_t i = 0; map_next(&h->tenants, &i, &id, &value);) {
		const struct head_tenant *t = value;

		for (size_t k = 0; k < t->streams.n; k++)
			seal_rest(h, x, t->streams.v[k]);
	}
	pthread_mutex_unlock(&h->seal_lock);
}
