#include "index/counts.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/labels.h"

#include <assert.h>

static const char MAGIC[4] = { 'S', 'P', 'C', 'N' };
static const struct slice level_names[2] = { { "detected_level", 14 }, { "level", 5 } };

/* Widths in seconds, each a multiple of the one before. */
static const int64_t widths[] = { 60, 300, 3600 };

enum {
	MAX_WIDTH = 24 * 3600,
	/* Counts may be so large, and the raw bytes that they save reading divided by that in addition. Only chunks of a stream
	 * that logs a line every few seconds come near it. */
	SMALL_BYTES = 256,
	SHARE = 512,
	SHORT_META = 32, /* about a detected_level alone */
};

/* The k with k * width < ts <= (k + 1) * width. */
static int64_t bucket_of(int64_t ts, int64_t width_ns)
{
	return ts / width_ns - (ts % width_ns <= 0);
}

static int64_t bucket_start(int64_t k, int64_t width_ns) /* its first time */
{
	int64_t t;

	return __builtin_mul_overflow(k, width_ns, &t) ? INT64_MIN : t + 1;
}

static int64_t bucket_last(int64_t k, int64_t width_ns)
{
	int64_t t;

	return __builtin_mul_overflow(k + 1, width_ns, &t) ? INT64_MAX : t;
}

static uint32_t name_hash(struct slice name)
{
	return (uint32_t)hash64(name);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct kind {
	struct slice value[ARRAY_LEN(level_names)]; /* p NULL: no such metadata */
	struct slice meta;			    /* that had it last */
};

struct row {
	int64_t bucket;
	uint32_t n[COUNTS_MAX_KINDS];
	uint64_t bytes[COUNTS_MAX_KINDS];
};

struct builder {
	struct kind kind[COUNTS_MAX_KINDS];
	size_t n_kinds, last_kind;
	/* Names in the order of their first appearance; which: of the levels, or none. */
	struct {
		struct slice name;
		size_t which;
	} seen[COUNTS_MAX_NAMES];
	size_t n_seen;
	VEC(struct row) rows;
};

/* The number of a name. Most entries carry the same names in the same order: the guess is right. */
static size_t find_name(struct builder *b, struct slice name, size_t guess)
{
	if (guess < b->n_seen && slice_eq(b->seen[guess].name, name))
		return guess;
	for (size_t i = 0; i < b->n_seen; i++)
		if (slice_eq(b->seen[i].name, name))
			return i;
	if (b->n_seen == COUNTS_MAX_NAMES)
		return SIZE_MAX;
	size_t which = 0;
	while (which < ARRAY_LEN(level_names) && !slice_eq(level_names[which], name))
		which++;
	b->seen[b->n_seen].name = name;
	b->seen[b->n_seen].which = which;
	return b->n_seen++;
}

static bool same_value(struct slice a, struct slice b)
{
	return (a.p == NULL) == (b.p == NULL) && slice_eq(a, b);
}

static bool same_kind(const struct kind *a, const struct kind *b)
{
	return same_value(a->value[0], b->value[0]) && same_value(a->value[1], b->value[1]);
}

/* False: there are too many of something. */
static bool find_kind(struct builder *b, const struct kind *k)
{
	if (b->last_kind < b->n_kinds && same_kind(&b->kind[b->last_kind], k))
		return true;
	for (size_t i = 0; i < b->n_kinds; i++) {
		if (same_kind(&b->kind[i], k)) {
			b->last_kind = i;
			return true;
		}
	}
	if (b->n_kinds == COUNTS_MAX_KINDS || k->value[0].n > COUNTS_MAX_VALUE ||
	    k->value[1].n > COUNTS_MAX_VALUE)
		return false;
	b->last_kind = b->n_kinds++;
	b->kind[b->last_kind] = *k;
	return true;
}

/* Most sets are the very one of an earlier entry, or no more than a level. */
static bool seen_before(struct builder *b, struct slice meta)
{
	for (size_t i = 0; i < b->n_kinds; i++) {
		struct slice known = b->kind[i].meta;

		if (meta.n == known.n &&
		    (meta.p == known.p || (meta.n <= SHORT_META && memcmp(meta.p, known.p, meta.n) == 0))) {
			b->last_kind = i;
			return true;
		}
	}
	return false;
}

static bool look_at(struct builder *b, struct slice meta)
{
	struct kind k = { 0 };
	struct cursor c = cursor_of(meta);
	size_t guess = 0;

	for (uint64_t n = cursor_varint(&c); n > 0 && !c.bad; n--) {
		struct label l = labels_next(&c);
		size_t i = find_name(b, l.name, guess);

		if (i == SIZE_MAX)
			return false;
		if (b->seen[i].which < ARRAY_LEN(level_names))
			k.value[b->seen[i].which] = l.value;
		guess = i + 1;
	}
	if (c.bad || cursor_left(&c) != 0 || !find_kind(b, &k))
		return false;
	b->kind[b->last_kind].meta = meta;
	return true;
}

static struct row *add_row(struct builder *b, int64_t bucket)
{
	struct row *r = vec_add(&b->rows);

	*r = (struct row){ .bucket = bucket };
	return r;
}

static bool count(struct builder *b, const struct chunk_entry *e, size_t n)
{
	const int64_t width = widths[0] * NS_PER_S;
	int64_t last = INT64_MIN;
	struct row *r = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!seen_before(b, e[i].meta) && !look_at(b, e[i].meta))
			return false;
		if (r == NULL || e[i].ts > last) {
			if (b->rows.n == COUNTS_MAX_BUCKETS)
				return false;
			r = add_row(b, bucket_of(e[i].ts, width));
			last = bucket_last(r->bucket, width);
		}
		r->n[b->last_kind]++;
		r->bytes[b->last_kind] += e[i].line.n;
	}
	return true;
}

/* Joins rows into buckets `times` as wide. */
static void widen(struct builder *b, int64_t times)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->rows.n; i++) {
		struct row r = b->rows.v[i];

		r.bucket = r.bucket / times - (r.bucket % times < 0);
		if (kept == 0 || b->rows.v[kept - 1].bucket != r.bucket) {
			b->rows.v[kept++] = r;
			continue;
		}
		for (size_t k = 0; k < b->n_kinds; k++) {
			b->rows.v[kept - 1].n[k] += r.n[k];
			b->rows.v[kept - 1].bytes[k] += r.bytes[k];
		}
	}
	b->rows.n = kept;
}

static void put_value(struct buf *out, struct slice v)
{
	buf_varint(out, v.p == NULL ? 0 : v.n + 1);
	buf_add(out, v);
}

static void put_rows(const struct builder *b, struct buf *out)
{
	int64_t before = b->rows.v[0].bucket;

	buf_varint(out, b->rows.n);
	for (size_t i = 0; i < b->rows.n; i++) {
		const struct row *r = &b->rows.v[i];

		buf_varint(out, (uint64_t)(r->bucket - before));
		before = r->bucket;
		for (size_t k = 0; k < b->n_kinds; k++) {
			buf_varint(out, r->n[k]);
			if (r->n[k] > 0)
				buf_varint(out, r->bytes[k]);
		}
	}
}

static void put_payload(const struct builder *b, int64_t width, struct buf *out)
{
	size_t n_names = 0;

	buf_varint(out, (uint64_t)width);
	for (size_t i = 0; i < b->n_seen; i++)
		n_names += b->seen[i].which == ARRAY_LEN(level_names);
	buf_varint(out, n_names);
	for (size_t i = 0; i < b->n_seen; i++)
		if (b->seen[i].which == ARRAY_LEN(level_names))
			buf_u32le(out, name_hash(b->seen[i].name));
	buf_varint(out, b->n_kinds);
	for (size_t i = 0; i < b->n_kinds; i++)
		for (size_t k = 0; k < ARRAY_LEN(level_names); k++)
			put_value(out, b->kind[i].value[k]);
	put_rows(b, out);
}

/* The narrowest width whose counts are small beside what they count. */
static void put_smallest(struct builder *b, const struct chunk_info *info, uint64_t seed, struct buf *out)
{
	size_t start = out->n, at = start + COUNTS_HEADER_BYTES;
	uint64_t allowed = MIN(SMALL_BYTES + info->raw_bytes / SHARE, (uint64_t)COUNTS_MAX_BYTES);

	for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
		if (i > 0)
			widen(b, widths[i] / widths[i - 1]);
		buf_reserve(out, COUNTS_HEADER_BYTES);
		out->n = at;
		put_payload(b, widths[i], out);
		struct slice payload = slice_of(out->p + at, out->n - at);
		if (payload.n > allowed)
			continue;
		out->n = start;
		buf_append(out, MAGIC, 4);
		buf_u32le(out, (uint32_t)payload.n);
		buf_u64le(out, hash64_seed(slice_of(out->p + at, payload.n), seed));
		out->n += payload.n;
		return;
	}
	out->n = start;
}

void counts_build(const struct chunk_entry *e, size_t n, const struct chunk_info *info, uint64_t seed,
		  struct buf *out)
{
	struct builder b;

	assert(n > 0);
	b.n_kinds = b.last_kind = b.n_seen = 0;
	b.rows.v = NULL;
	b.rows.n = b.rows.cap = 0;
	if (count(&b, e, n))
		put_smallest(&b, info, seed, out);
	vec_fini(&b.rows);
}

void counts_place(char *p, size_t n, uint64_t from, uint64_t to)
{
	struct slice payload = slice_from(slice_of(p, n), COUNTS_HEADER_BYTES);
	uint64_t sum;

	if (n < COUNTS_HEADER_BYTES || counts_header(p, &sum) != payload.n ||
	    sum != hash64_seed(payload, from))
		return;
	sum = hash64_seed(payload, to);
	memcpy(p + COUNTS_HEADER_BYTES - sizeof(sum), &sum, sizeof(sum));
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

void counts_fini(struct counts *c)
{
	buf_fini(&c->bytes);
	buf_fini(&c->text);
	vec_fini(&c->names);
	vec_fini(&c->metas);
	vec_fini(&c->buckets);
	*c = (struct counts){ 0 };
}

uint32_t counts_header(const char header[COUNTS_HEADER_BYTES], uint64_t *checksum)
{
	struct cursor c = cursor_of(slice_of(header, COUNTS_HEADER_BYTES));
	struct slice magic = cursor_bytes(&c, 4);
	uint32_t n = cursor_u32le(&c);

	*checksum = cursor_u64le(&c);
	return memcmp(magic.p, MAGIC, 4) == 0 && n <= COUNTS_MAX_BYTES ? n : 0;
}

static bool get_names(struct cursor *c, struct counts *out)
{
	uint64_t n = cursor_varint(c);

	out->names.n = 0;
	if (n > COUNTS_MAX_NAMES)
		return false;
	for (uint64_t i = 0; i < n; i++)
		vec_push(&out->names, cursor_u32le(c));
	return !c->bad;
}

/* One kind, as an entry's metadata would be encoded. */
static bool get_kind(struct cursor *c, struct buf *text)
{
	struct label l[ARRAY_LEN(level_names)];
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_LEN(level_names); k++) {
		uint64_t len = cursor_varint(c);

		if (len > COUNTS_MAX_VALUE + 1)
			return false;
		if (len > 0)
			l[n++] = (struct label){ level_names[k], cursor_bytes(c, (size_t)len - 1) };
	}
	labels_encode(text, (struct labels){ l, n });
	return !c->bad;
}

static bool get_kinds(struct cursor *c, struct counts *out)
{
	size_t end[COUNTS_MAX_KINDS];
	uint64_t n = cursor_varint(c);

	buf_reset(&out->text);
	out->metas.n = 0;
	if (n == 0 || n > COUNTS_MAX_KINDS)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		if (!get_kind(c, &out->text))
			return false;
		end[i] = out->text.n;
	}
	for (uint64_t i = 0; i < n; i++) {
		size_t start = i == 0 ? 0 : end[i - 1];

		vec_push(&out->metas, slice_of(out->text.p + start, end[i] - start));
	}
	return true;
}

/* The counts of one bucket; its times are those of the chunk at most. */
static bool get_bucket(struct cursor *c, int64_t k, int64_t width_ns, const struct chunk_info *info,
		       struct counts *out)
{
	struct count_bucket b = { .first = MAX(bucket_start(k, width_ns), info->first_ts),
				  .last = MIN(bucket_last(k, width_ns), info->last_ts) };
	size_t before = out->buckets.n;

	for (b.meta = 0; b.meta < out->metas.n; b.meta++) {
		uint64_t n = cursor_varint(c);

		if (n == 0)
			continue;
		b.n_entries = n;
		b.bytes = cursor_varint(c);
		if (c->bad || n > info->n_entries - out->n_entries || b.bytes > info->raw_bytes)
			return false;
		out->n_entries += n;
		vec_push(&out->buckets, b);
	}
	return !c->bad && out->buckets.n > before;
}

static bool get_buckets(struct cursor *c, int64_t width_ns, const struct chunk_info *info, struct counts *out)
{
	int64_t k = bucket_of(info->first_ts, width_ns), last = bucket_of(info->last_ts, width_ns);
	uint64_t n = cursor_varint(c);

	out->buckets.n = 0;
	out->n_entries = 0;
	if (n == 0 || n > COUNTS_MAX_BUCKETS)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t delta = cursor_varint(c);

		if (c->bad || (delta == 0) != (i == 0) || delta > (uint64_t)last - (uint64_t)k)
			return false;
		k += (int64_t)delta;
		if (!get_bucket(c, k, width_ns, info, out))
			return false;
	}
	return k == last && out->n_entries == info->n_entries;
}

int counts_parse(struct slice payload, const struct chunk_info *info, struct counts *out, struct err *err)
{
	struct cursor c = cursor_of(payload);
	uint64_t width = cursor_varint(&c);

	if (width == 0 || width > MAX_WIDTH || info->first_ts > info->last_ts || !get_names(&c, out) ||
	    !get_kinds(&c, out) || !get_buckets(&c, (int64_t)width * NS_PER_S, info, out) ||
	    cursor_left(&c) != 0)
		return err_set(err, ERR_CORRUPT, "the counts of a chunk do not add up");
	return 0;
}

bool counts_have_name(const struct counts *c, struct slice name)
{
	uint32_t hash = name_hash(name);

	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (slice_eq(level_names[i], name))
			return false;
	for (size_t i = 0; i < c->names.n; i++)
		if (c->names.v[i] == hash)
			return true;
	return false;
}
