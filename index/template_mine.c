#include "index/template_mine.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "index/line_shape.h"

#include <assert.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
	NONE = UINT32_MAX,
	MAX_CANDIDATES = 4 * COLUMNS_MAX_TEMPLATES,
	MAX_KEYED = MAX_CANDIDATES / 2, /* of JSON and logfmt */
	MAX_NODES = 1 << 16,		/* of the tree of literals */
	MAX_TRIES = 64,			/* branches tried at a node */
	LEAD_AFTER = 3,			/* texts of a skeleton */
	MAX_WAYS = 8,			/* of a skeleton: slots may look different */
	MAX_PROBES = 32,		/* in a hash table, so that chosen collisions cost no more */
	MAX_LITERALS = 256 << 10,
	AHEAD = 8,	 /* texts */
	MAX_REPEATS = 8, /* slots of one key in a template */
	MAX_META_SETS = 256,
	WORD_COUNTS = 1 << 17,
	WORD_ROUNDS = 2,
	SAMPLE = 1024,
	COLUMN_KEYS = 2 * COLUMNS_MAX,
	FIRST_SKELETONS = 512,
	LOOK_FIRST = 64, /* if none of these has a template, that will do */
	LOOK_LEAST = 32,
	LOOK_SHARE = 16, /* at most one text in so many */
	LOOK = 256,	 /* texts that template_mine_promises looks at */
	LOOK_RUN = 4,	 /* so many of them in a row */
};

/* A way down the tree is a template: at each node literal bytes, then a slot, or the end of the line. */
struct node {
	uint64_t first, mask; /* literal's first eight bytes, and where they are */
	const char *p;
	uint32_t n;
	uint32_t next, child; /* 0: none */
	uint32_t candidate;   /* at the end of a line */
	uint8_t what;	      /* SLOT_N: end of line; above: enum plain_class */
	uint8_t like_n;
	const char *like; /* PLAIN_TIME: one met before */
};
enum { ROOT_JSON = 1, ROOT_LOGFMT = 2, ROOT_PLAIN = 3, FIRST_NODE = 4 };

struct candidate {
	enum line_shape shape;
	uint32_t n_texts, n_slots, n_literals; /* literals: bytes */
	uint32_t templ;
	size_t first_slot;
	struct slice tail;
};

/* Plain skeletons by hash. */
struct skeleton {
	uint64_t hash; /* 0: free */
	uint32_t n_texts, first_text, candidate;
	uint32_t n_ways; /* through the tree */
};

struct column_key {
	uint64_t key; /* 0: free */
	uint32_t column;
};

struct template_miner {
	const struct mine_input *in;
	uint32_t raw_templ, raw_column; /* of texts without a template; NONE: there are none */
	/* slots of text i: slot.v[first_slot[i]] and n_slots[i] - 1 more */
	VEC(struct line_slot) slot;
	VEC(uint32_t) first_slot, n_slots, id;
	VEC(uint64_t) hash; /* of plain texts' skeletons */
	VEC(uint32_t) open; /* texts without a template */
	VEC(struct node) node;
	VEC(struct candidate) candidate;
	VEC(struct mined_slot) mined_slot;
	VEC(struct mined_template) templ;
	VEC(struct skeleton) skeleton; /* n: a power of two */
	size_t n_skeletons;
	struct column_key *column_key; /* COLUMN_KEYS of them */
	VEC(uint32_t) used_keys;       /* places in it */
	VEC(uint32_t) last_templ;      /* of each column */
	VEC(uint64_t) order;
	VEC(struct mined_column) column;
	VEC(uint32_t) fill;
	VEC(struct slice) value;
	VEC(uint32_t) entry;
	uint32_t n_columns;
	uint32_t stands_for; /* texts that each one given stands for: more than one in a sample */
	size_t literals;
	struct slice look[LOOK], names[LINE_MAX_SLOTS];
	uint16_t *words; /* counts by hash */
	uint32_t word_mask;
	struct line_slots now;
};

#define vec_bytes(vec) ((vec)->cap * sizeof(*(vec)->v))
#define vec_room(vec, k)                                                                                     \
	do {                                                                                                 \
		(vec)->n = 0;                                                                                \
		vec_reserve(vec, (k) + 1);                                                                   \
		(vec)->n = (k);                                                                              \
	} while (0)

struct template_miner *template_miner_new(void)
{
	struct template_miner *m = xcalloc(1, sizeof(*m));

	m->column_key = xcalloc(COLUMN_KEYS, sizeof(*m->column_key));
	return m;
}

void template_miner_free(struct template_miner *m)
{
	if (m == NULL)
		return;
	vec_fini(&m->slot);
	vec_fini(&m->first_slot);
	vec_fini(&m->n_slots);
	vec_fini(&m->id);
	vec_fini(&m->hash);
	vec_fini(&m->open);
	vec_fini(&m->node);
	vec_fini(&m->candidate);
	vec_fini(&m->mined_slot);
	vec_fini(&m->templ);
	vec_fini(&m->skeleton);
	free(m->column_key);
	vec_fini(&m->used_keys);
	vec_fini(&m->last_templ);
	vec_fini(&m->order);
	vec_fini(&m->column);
	vec_fini(&m->fill);
	vec_fini(&m->value);
	vec_fini(&m->entry);
	free(m->words);
	free(m);
}

size_t template_miner_bytes(const struct template_miner *m)
{
	return sizeof(*m) + vec_bytes(&m->slot) + vec_bytes(&m->first_slot) + vec_bytes(&m->n_slots) +
	       vec_bytes(&m->id) + vec_bytes(&m->hash) + vec_bytes(&m->open) + vec_bytes(&m->node) +
	       vec_bytes(&m->candidate) + vec_bytes(&m->mined_slot) + vec_bytes(&m->templ) +
	       vec_bytes(&m->skeleton) + COLUMN_KEYS * sizeof(*m->column_key) + vec_bytes(&m->column) +
	       vec_bytes(&m->value) + vec_bytes(&m->entry) +
	       (m->words != NULL ? WORD_COUNTS * sizeof(*m->words) : 0);
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

static inline uint64_t load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t load4(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* The last n < 8 bytes of something, without reading beyond. */
static inline uint64_t load_tail(const char *p, size_t n)
{
	if (n >= 4)
		return (uint64_t)load4(p) | (uint64_t)load4(p + n - 4) << 32;
	if (n == 0)
		return 0;
	return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n >> 1] << 8 |
	       (uint64_t)(unsigned char)p[n - 1] << 16;
}

static inline bool same(const char *a, const char *b, size_t n)
{
	if (n < 8)
		return load_tail(a, n) == load_tail(b, n);
#if defined(__SSE2__)
	if (n >= 16) {
		for (size_t i = 0;; i = i + 32 > n ? n - 16 : i + 16) {
			__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + i));
			__m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + i));

			if (_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) != 0xffff)
				return false;
			if (i + 16 == n)
				return true;
		}
	}
	return load8(a) == load8(b) && load8(a + n - 8) == load8(b + n - 8);
#else
	return memcmp(a, b, n) == 0;
#endif
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 u128;
	u128 x = (u128)a * b;

	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

/* Fast and weak: what it finds is compared, or a mistake does no harm. */
static inline uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
	h ^= n * 0x9e3779b97f4a7c15ULL;
	for (; n >= 8; p += 8, n -= 8)
		h = fold(h ^ load8(p), 0xa0761d6478bd642fULL);
	return fold(h ^ load_tail(p, n) ^ 0xe7037ed1a0b428dbULL, 0x8ebc6af09c88c6e3ULL);
}

/* ---- slots of texts ------------------------------------------------------------------------------------------- */

static void keep_slots(struct template_miner *m, size_t text, size_t n)
{
	vec_reserve(&m->slot, n + 1);
	memcpy(m->slot.v + m->slot.n, m->now.at, n * sizeof(struct line_slot));
	m->first_slot.v[text] = (uint32_t)m->slot.n;
	m->n_slots.v[text] = (uint32_t)n;
	m->slot.n += n;
}

/* A candidate of the slots in m->now, whose literals stand between them. */
static uint32_t candidate_of(struct template_miner *m, enum line_shape shape, struct slice s)
{
	const struct line_slots *now = &m->now;
	struct candidate c = { .shape = shape, .n_slots = (uint32_t)now->n, .first_slot = m->mined_slot.n };
	uint64_t path = shape;
	size_t at = 0;

	if (m->candidate.n == MAX_CANDIDATES)
		return NONE;
	for (size_t i = 0; i < now->n; i++) {
		struct slice before = slice_sub(s, at, now->at[i].off - at);

		path = hash_bytes(path, before.p, before.n); /* plain: those of equal beginnings share */
		vec_push(&m->mined_slot,
			 ((struct mined_slot){ before, shape == SHAPE_PLAIN ? path : now->key[i], NONE,
					       shape == SHAPE_PLAIN ? SLOT_TEXT
								    : (enum slot_class)now->what[i] }));
		c.n_literals += (uint32_t)before.n;
		at = now->at[i].off + now->at[i].n;
	}
	c.tail = slice_from(s, at);
	c.n_literals += (uint32_t)c.tail.n;
	c.templ = NONE;
	vec_push(&m->candidate, c);
	return (uint32_t)m->candidate.n - 1;
}

/* ---- the tree of literals: JSON and logfmt -------------------------------------------------------------------- */

/* Has s the literal at off? */
static inline bool has_literal(const struct node *b, struct slice s, size_t off)
{
	const char *p = s.p + off;

	if (s.n - off < 8)
		return b->n <= s.n - off && same(b->p, p, b->n);
	if (((load8(p) ^ b->first) & b->mask) != 0)
		return false;
	if (b->n <= 8)
		return true;
	if (b->n > s.n - off)
		return false;
	return b->n <= 16 ? load8(p + b->n - 8) == load8(b->p + b->n - 8) : same(b->p, p, b->n);
}

#if defined(__SSE2__)
static inline unsigned bits_of(__m128i v)
{
	return (unsigned)_mm_movemask_epi8(v);
}

/* The first quote, `other` or byte up to `control` from i on; s.n if it is not found sixteen bytes at a time. */
static inline size_t find_special(struct slice s, size_t i, char other, char control)
{
	const __m128i quote = _mm_set1_epi8('"'), second = _mm_set1_epi8(other), low = _mm_set1_epi8(control);

	for (; i + 16 <= s.n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		unsigned hit = bits_of(
			_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, second)),
				     _mm_cmpeq_epi8(_mm_min_epu8(v, low), v)));

		if (hit != 0)
			return i + (size_t)__builtin_ctz(hit);
	}
	return s.n;
}

/* A number of digits alone, less than sixteen. */
static inline size_t digits_end(struct slice s, size_t off)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + off));

	v = _mm_sub_epi8(v, _mm_set1_epi8('0'));
	unsigned others = ~bits_of(_mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v));
	size_t n = (size_t)__builtin_ctz(others);
	if (n == 0 || n >= 16 || (s.p[off] == '0' && n > 1) || s.p[off + n] == '.' ||
	    (s.p[off + n] | 0x20) == 'e')
		return LINE_NO_SLOT;
	return off + n;
}

/* The ends of what is common; LINE_NO_SLOT: line_slot_end must tell. */
static inline size_t slot_end_near(enum slot_class what, struct slice s, size_t off)
{
	size_t end;

	switch (what) {
	case SLOT_JSON_STRING:
	case SLOT_QUOTED:
		end = find_special(s, off, '\\', 0x1f);
		return end < s.n && s.p[end] == '"' ? end : LINE_NO_SLOT;
	case SLOT_BARE:
		end = find_special(s, off, '=', ' ');
		return end > off && end < s.n ? end : LINE_NO_SLOT;
	case SLOT_JSON_NUMBER: return digits_end(s, off);
	default: return LINE_NO_SLOT;
	}
}

static inline size_t slot_end_quick(enum slot_class what, struct slice s, size_t off)
{
	return s.n - off >= 16 ? slot_end_near(what, s, off) : LINE_NO_SLOT;
}
#else
static inline size_t slot_end_quick(enum slot_class what, struct slice s, size_t off)
{
	(void)what;
	(void)s;
	(void)off;
	return LINE_NO_SLOT;
}
#endif

static inline size_t slot_end(const struct node *b, struct slice s, size_t off)
{
	size_t end = slot_end_quick((enum slot_class)b->what, s, off);

	if (end != LINE_NO_SLOT)
		return end;
	if (b->what < SLOT_N)
		return line_slot_end((enum slot_class)b->what, s, off);
	return line_plain_end((enum plain_class)b->what, s, off, slice_of(b->like, b->like_n));
}

/* The branch of `parent` that s follows from *off on; its slot, if it has one, begins and *off moves behind it. The branch
 * becomes the first one. 0: there is none. */
static inline uint32_t take_branch(struct node *node, uint32_t parent, struct slice s, size_t *off,
				   struct line_slot *slot)
{
	uint32_t prev = 0, at = node[parent].child;

	for (unsigned tries = 0; at != 0 && tries < MAX_TRIES; prev = at, at = node[at].next, tries++) {
		const struct node *b = &node[at];

		if (!has_literal(b, s, *off))
			continue;
		size_t from = *off + b->n, end = from;
		if (b->what == SLOT_N) {
			if (from != s.n)
				continue;
		} else {
			end = slot_end(b, s, from);
			if (end == LINE_NO_SLOT)
				continue;
			*slot = (struct line_slot){ (uint32_t)from, (uint32_t)(end - from) };
		}
		*off = end;
		if (prev != 0) {
			node[prev].next = node[at].next;
			node[at].next = node[parent].child;
			node[parent].child = at;
		}
		return at;
	}
	return 0;
}

/* The candidate that the line follows, its slots in m->now; NONE if it leaves the tree. */
static uint32_t follow(struct template_miner *m, uint32_t root, struct slice s)
{
	struct node *node = m->node.v;
	struct line_slot *slot = m->now.at;
	uint32_t at = root;
	size_t off = 0;

	for (;; slot++) {
		at = take_branch(node, at, s, &off, slot);
		if (at == 0)
			return NONE;
		if (node[at].what == SLOT_N)
			break;
	}
	m->now.n = (size_t)(slot - m->now.at);
	return node[at].candidate;
}

static uint32_t add_branch(struct template_miner *m, uint32_t parent, struct slice literal, uint8_t what,
			   struct slice like)
{
	unsigned tries = 0;

	for (uint32_t at = m->node.v[parent].child; at != 0 && tries < MAX_TRIES;
	     at = m->node.v[at].next, tries++) {
		const struct node *b = &m->node.v[at];

		if (b->what == what && b->n == literal.n && same(b->p, literal.p, literal.n))
			return at;
	}
	struct node b = { .p = literal.p,
			  .n = (uint32_t)literal.n,
			  .next = m->node.v[parent].child,
			  .candidate = NONE,
			  .what = what };
	memcpy(&b.first, literal.p, MIN(literal.n, 8));
	b.mask = literal.n >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * literal.n) - 1;
	if (what == PLAIN_TIME) {
		b.like = like.p;
		b.like_n = (uint8_t)MIN(like.n, UINT8_MAX);
	}
	vec_push(&m->node, b);
	m->node.v[parent].child = (uint32_t)m->node.n - 1;
	return (uint32_t)m->node.n - 1;
}

/* A line that left the tree, tokenised into m->now: grows the tree by it. The node of the line's end; 0: no more room. */
static uint32_t grow(struct template_miner *m, uint32_t root, struct slice s)
{
	uint32_t at = root;
	size_t off = 0;

	if (m->node.n + m->now.n + 1 > MAX_NODES)
		return 0;
	for (size_t i = 0; i < m->now.n; i++) {
		struct line_slot slot = m->now.at[i];

		at = add_branch(m, at, slice_sub(s, off, slot.off - off), m->now.what[i],
				slice_sub(s, slot.off, slot.n));
		off = slot.off + slot.n;
	}
	return add_branch(m, at, slice_from(s, off), SLOT_N, slice_of("", 0));
}

static uint32_t follow_or_grow(struct template_miner *m, uint32_t root, enum line_shape shape, struct slice s)
{
	uint32_t c = follow(m, root, s);

	if (c != NONE || m->candidate.n >= MAX_KEYED)
		return c;
	bool ok = shape == SHAPE_JSON ? line_shape_json(s, &m->now) : line_shape_logfmt(s, &m->now);
	uint32_t end = ok ? grow(m, root, s) : 0;
	if (end == 0)
		return NONE;
	if (m->node.v[end].candidate == NONE)
		m->node.v[end].candidate = candidate_of(m, shape, s);
	return m->node.v[end].candidate;
}

static void take_candidate(struct template_miner *m, size_t text, uint32_t candidate)
{
	m->id.v[text] = candidate;
	if (candidate == NONE)
		return;
	m->candidate.v[candidate].n_texts++;
	keep_slots(m, text, m->now.n);
}

/* Texts stand anywhere in memory: those to come are fetched in time. */
static inline void fetch_ahead(const struct template_miner *m, size_t i)
{
	if (i + AHEAD >= m->in->n)
		return;
	struct slice s = m->in->text[i + AHEAD];
	for (size_t k = 0; k < s.n && k < 512; k += 64)
		__builtin_prefetch(s.p + k);
}

/* Lines of JSON and logfmt get a candidate each, others none. */
static void mine_keyed(struct template_miner *m)
{
	for (size_t i = 0; i < m->in->n; i++) {
		struct slice s = m->in->text[i];

		fetch_ahead(m, i);
		if (s.n > 0 && s.p[0] == '{')
			take_candidate(m, i, follow_or_grow(m, ROOT_JSON, SHAPE_JSON, s));
		else
			take_candidate(m, i, follow_or_grow(m, ROOT_LOGFMT, SHAPE_LOGFMT, s));
	}
}

/* ---- metadata sets -------------------------------------------------------------------------------------------- */

/* A varint that buf_varint would have written so. */
static bool take_length(struct slice s, size_t *off, size_t *n)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *off < s.n && shift < 28; shift += 7) {
		unsigned char b = (unsigned char)s.p[(*off)++];

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*n = (size_t)v;
			return shift == 0 || b != 0;
		}
	}
	return false;
}

static bool take_text(struct slice s, size_t *off, struct slice *out)
{
	size_t n;

	if (!take_length(s, off, &n) || n > s.n - *off)
		return false;
	*out = slice_sub(s, *off, n);
	*off += n;
	return true;
}

/* The set's values become slots in m->now. With a candidate: if the names are its names. names[] may be NULL. */
static bool meta_slots(struct template_miner *m, struct slice s, const struct candidate *c,
		       struct slice *names)
{
	size_t off = 0, n;
	struct slice name, value;

	m->now.n = 0;
	if (!take_length(s, &off, &n) || n > LINE_MAX_SLOTS || (c != NULL && n != c->n_slots))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!take_text(s, &off, &name))
			return false;
		if (c != NULL && !slice_eq(name, m->mined_slot.v[c->first_slot + i].before))
			return false;
		if (!take_text(s, &off, &value))
			return false;
		if (names != NULL)
			names[i] = name;
		m->now.at[i] = (struct line_slot){ (uint32_t)(off - value.n), (uint32_t)value.n };
	}
	m->now.n = n;
	return off == s.n;
}

static uint32_t meta_candidate(struct template_miner *m, struct slice s)
{
	struct slice *names = m->names;

	for (size_t i = m->candidate.n; i-- > 0;)
		if (meta_slots(m, s, &m->candidate.v[i], NULL))
			return (uint32_t)i;
	if (m->candidate.n == MAX_META_SETS || !meta_slots(m, s, NULL, names))
		return NONE;
	struct candidate c = { .shape = SHAPE_META,
			       .templ = NONE,
			       .tail = SLICE(""),
			       .n_slots = (uint32_t)m->now.n,
			       .first_slot = m->mined_slot.n };
	for (size_t i = 0; i < m->now.n; i++) {
		struct mined_slot slot = { names[i], hash64(names[i]), NONE, SLOT_TEXT };

		vec_push(&m->mined_slot, slot);
		c.n_literals += (uint32_t)names[i].n;
	}
	vec_push(&m->candidate, c);
	return (uint32_t)m->candidate.n - 1;
}

static void mine_meta(struct template_miner *m)
{
	uint32_t last = NONE;

	for (size_t i = 0; i < m->in->n; i++) {
		struct slice s = m->in->text[i];

		fetch_ahead(m, i);
		if (last == NONE || !meta_slots(m, s, &m->candidate.v[last], NULL))
			last = meta_candidate(m, s);
		take_candidate(m, i, last);
	}
}

/* ---- plain text ----------------------------------------------------------------------------------------------- */

static uint64_t skeleton_hash(struct slice s, const struct line_slot *slot, size_t n)
{
	uint64_t h = n;
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		h = hash_bytes(h, s.p + at, slot[i].off - at);
		at = slot[i].off + slot[i].n;
	}
	return hash_bytes(h, s.p + at, s.n - at) | 1;
}

static bool same_skeleton(const struct template_miner *m, size_t a, size_t b)
{
	struct slice s = m->in->text[a], t = m->in->text[b];
	const struct line_slot *x = m->slot.v + m->first_slot.v[a], *y = m->slot.v + m->first_slot.v[b];
	size_t n = m->n_slots.v[a], at = 0, bt = 0;

	if (n != m->n_slots.v[b])
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t len = x[i].off - at;

		if (len != y[i].off - bt || !same(s.p + at, t.p + bt, len))
			return false;
		at = x[i].off + x[i].n;
		bt = y[i].off + y[i].n;
	}
	return s.n - at == t.n - bt && same(s.p + at, t.p + bt, s.n - at);
}

/* The skeleton of this hash, or a free place for it; NULL: too crowded here. */
static struct skeleton *skeleton_find(struct template_miner *m, uint64_t hash)
{
	size_t mask = m->skeleton.n - 1;

	for (size_t k = 0; k < MAX_PROBES; k++) {
		struct skeleton *s = &m->skeleton.v[(hash + k) & mask];

		if (s->hash == hash || s->hash == 0)
			return s;
	}
	return NULL;
}

static void skeletons_reset(struct template_miner *m)
{
	vec_room(&m->skeleton, FIRST_SKELETONS);
	memset(m->skeleton.v, 0, m->skeleton.n * sizeof(*m->skeleton.v));
	m->n_skeletons = 0;
}

/* A table of four times the size. */
static void skeletons_widen(struct template_miner *m)
{
	struct skeleton *old = m->skeleton.v;
	size_t n = m->skeleton.n;

	m->skeleton.v = NULL;
	m->skeleton.n = m->skeleton.cap = 0;
	vec_room(&m->skeleton, 4 * n);
	memset(m->skeleton.v, 0, m->skeleton.n * sizeof(*m->skeleton.v));
	for (size_t i = 0; i < n; i++) {
		struct skeleton *to = old[i].hash != 0 ? skeleton_find(m, old[i].hash) : NULL;

		if (to != NULL)
			*to = old[i];
	}
	free(old);
}

/* As skeleton_find, but one not met before has its hash then. */
static struct skeleton *skeleton_add(struct template_miner *m, uint64_t hash)
{
	struct skeleton *s = skeleton_find(m, hash);

	if (s == NULL || s->hash != 0)
		return s;
	if (2 * ++m->n_skeletons > m->skeleton.n) {
		skeletons_widen(m);
		s = skeleton_find(m, hash);
		if (s == NULL)
			return NULL;
	}
	*s = (struct skeleton){ .hash = hash, .candidate = NONE };
	return s;
}

/* Is a template worth it that so many texts follow, with so many new columns? In bytes, roughly: what LZ4 pays for the
 * literals of a text against a descriptor. */
static bool pays(const struct template_miner *m, const struct candidate *c, uint32_t n_new)
{
	uint64_t gain =
		(uint64_t)c->n_texts * m->stands_for * (4 * ((uint64_t)c->n_slots + 1) + c->n_literals / 16);
	uint64_t price = 8 + c->n_literals / 3 + 3 * (uint64_t)c->n_slots +
			 (uint64_t)n_new * (10 + 9 * m->in->n_blocks);

	return gain > price;
}

/* Where rare words are slots, enough must be left that is none: else any text of so many words would do. */
static bool says_enough(const struct template_miner *m, uint32_t text)
{
	const struct line_slot *slot = m->slot.v + m->first_slot.v[text];
	size_t n = m->in->text[text].n, left = n;

	for (size_t k = 0; k < m->n_slots.v[text]; k++)
		left -= MIN(left, slot[k].n + 1);
	return left >= n / 4;
}

static uint32_t plain_candidate(struct template_miner *m, const struct skeleton *s, bool freed)
{
	uint32_t i = s->first_text, n = m->n_slots.v[i];
	struct candidate c = { .n_texts = s->n_texts,
			       .n_slots = n,
			       .n_literals = (uint32_t)MIN(m->in->text[i].n, LINE_MAX_PLAIN) };

	if (s->n_texts < 2 || !pays(m, &c, 0) || (freed && !says_enough(m, i)))
		return NONE;
	m->now.n = n;
	memcpy(m->now.at, m->slot.v + m->first_slot.v[i], n * sizeof(struct line_slot));
	memset(m->now.what, SLOT_TEXT, n);
	return candidate_of(m, SHAPE_PLAIN, m->in->text[i]);
}

/* A skeleton that has come often enough has a way through the tree from now on, for the texts behind it. */
static void lead(struct template_miner *m, struct skeleton *s, uint32_t text)
{
	if (s->n_texts < LEAD_AFTER || s->n_ways == MAX_WAYS || !same_skeleton(m, text, s->first_text))
		return;
	s->n_ways++;
	uint32_t end = grow(m, ROOT_PLAIN, m->in->text[text]);
	if (end == 0)
		return;
	if (s->candidate == NONE)
		s->candidate = candidate_of(m, SHAPE_PLAIN, m->in->text[text]);
	if (m->node.v[end].candidate == NONE)
		m->node.v[end].candidate = s->candidate;
}

static struct skeleton *count_skeleton(struct template_miner *m, uint32_t text)
{
	struct skeleton *s = skeleton_add(m, m->hash.v[text]);

	if (s != NULL && s->n_texts++ == 0)
		s->first_text = text;
	return s;
}

/* Counts the skeletons of the open texts. Those that follow what came often before leave the list at once. */
static void tokenise_open(struct template_miner *m)
{
	size_t left = 0;

	for (size_t k = 0; k < m->open.n; k++) {
		uint32_t i = m->open.v[k];
		uint32_t c = m->node.v[ROOT_PLAIN].child != 0 ? follow(m, ROOT_PLAIN, m->in->text[i]) : NONE;

		if (c != NONE) {
			take_candidate(m, i, c);
			continue;
		}
		line_shape_plain(m->in->text[i], &m->now);
		keep_slots(m, i, m->now.n);
		m->hash.v[i] = skeleton_hash(m->in->text[i], m->now.at, m->now.n);
		struct skeleton *s = count_skeleton(m, i);
		if (s != NULL)
			lead(m, s, i);
		m->open.v[left++] = i;
	}
	m->open.n = left;
}

/* Counted skeletons that stand often enough become candidates; texts that follow none stay open. Freed: rare words are
 * slots. */
static void take_skeletons(struct template_miner *m, bool freed)
{
	size_t left = 0;

	for (size_t k = 0; k < m->open.n; k++) {
		uint32_t i = m->open.v[k];
		struct skeleton *s = skeleton_find(m, m->hash.v[i]);

		if (s != NULL && s->first_text == i && s->candidate == NONE)
			s->candidate = plain_candidate(m, s, freed);
		if (s == NULL || s->candidate == NONE || !same_skeleton(m, i, s->first_text)) {
			m->open.v[left++] = i;
			continue;
		}
		m->id.v[i] = s->candidate;
		m->candidate.v[s->candidate].n_texts++;
	}
	m->open.n = left;
}

static inline bool is_delimiter(char c)
{
	static const bool table[256] = {
		[' '] = true, ['\t'] = true, ['='] = true, [','] = true, [';'] = true, [':'] = true,
		['('] = true, [')'] = true,  ['['] = true, [']'] = true, ['{'] = true, ['}'] = true,
		['"'] = true, ['\''] = true, ['<'] = true, ['>'] = true, ['|'] = true, ['\n'] = true,
	};

	return table[(unsigned char)c];
}

/* A word between delimiters, as a hash in which a slot counts as one mark. */
struct word {
	size_t from, first_slot;
	uint32_t hash;
	bool has_literal;
};

/* m->now gets the word's slots: those it has if it is frequent, else the whole word as one. */
static bool put_word(struct template_miner *m, const struct word *w, size_t end, const struct line_slot *slot,
		     size_t n_slots, unsigned least)
{
	struct line_slots *now = &m->now;
	bool rare = w->has_literal && m->words[w->hash & m->word_mask] < least;
	size_t n = rare ? 1 : n_slots - w->first_slot;

	if (now->n + n > LINE_MAX_PLAIN_SLOTS - 1)
		return false;
	if (rare)
		now->at[now->n++] = (struct line_slot){ (uint32_t)w->from, (uint32_t)(end - w->from) };
	else
		for (size_t k = w->first_slot; k < n_slots; k++)
			now->at[now->n++] = slot[k];
	return true;
}

/* Walks the words of a text. least == 0: counts them; else puts its slots into m->now, rare words among them. */
static void walk_words(struct template_miner *m, uint32_t text, unsigned least)
{
	struct slice s = m->in->text[text];
	const struct line_slot *slot = m->slot.v + m->first_slot.v[text];
	size_t n_slots = m->n_slots.v[text], k = 0, i = 0;
	const struct word empty = { .hash = 2166136261u };
	struct word w = empty;

	m->now.n = 0;
	for (;;) {
		if (k < n_slots && i == slot[k].off) {
			i += slot[k++].n;
			w.hash = (w.hash ^ 0x100) * 16777619u;
			continue;
		}
		if (i < s.n && !is_delimiter(s.p[i])) {
			w.hash = (w.hash ^ (unsigned char)s.p[i++]) * 16777619u;
			w.has_literal = true;
			continue;
		}
		w.hash ^= w.hash >> 15;
		if (least == 0 && w.has_literal) {
			uint16_t *count = &m->words[w.hash & m->word_mask];

			*count = (uint16_t)(*count + (*count < UINT16_MAX));
		} else if (least > 0 && !put_word(m, &w, i, slot, k, least)) {
			m->now.at[m->now.n++] =
				(struct line_slot){ (uint32_t)w.from, (uint32_t)(s.n - w.from) };
			return;
		}
		if (i >= s.n)
			return;
		w = empty;
		w.from = ++i;
		w.first_slot = k;
	}
}

/* Rare words of the first n open texts become slots. */
static void free_rare_words(struct template_miner *m, size_t n, unsigned least)
{
	if (m->words == NULL)
		m->words = xmalloc(WORD_COUNTS * sizeof(*m->words));
	size_t counts = 512;
	while (counts < 16 * n && counts < WORD_COUNTS)
		counts *= 2;
	m->word_mask = (uint32_t)counts - 1;
	memset(m->words, 0, (m->word_mask + 1) * sizeof(*m->words));
	for (size_t k = 0; k < n; k++)
		walk_words(m, m->open.v[k], 0);
	for (size_t k = 0; k < n; k++) {
		uint32_t i = m->open.v[k];

		walk_words(m, i, least);
		m->hash.v[i] = skeleton_hash(m->in->text[i], m->now.at, m->now.n);
		keep_slots(m, i, m->now.n);
	}
}

/* Have the first n open texts few skeletons among them? */
static bool repeats(struct template_miner *m, size_t n)
{
	skeletons_reset(m);
	for (size_t k = 0; k < n; k++)
		(void)skeleton_add(m, m->hash.v[m->open.v[k]]);
	return m->n_skeletons <= n / 2;
}

/* The open texts as plain text. */
static void mine_plain(struct template_miner *m)
{
	size_t n = m->open.n;

	vec_room(&m->hash, m->in->n);
	skeletons_reset(m);
	tokenise_open(m);
	take_skeletons(m, false);
	for (unsigned round = 0; round < WORD_ROUNDS && m->open.n > MAX(16, n / 64); round++) {
		size_t least = MAX(round == 0 ? 4 : 8, m->open.n >> (round == 0 ? 7 : 4));

		if (m->open.n > 4 * SAMPLE) { /* a look at some before all are walked */
			free_rare_words(m, SAMPLE, (unsigned)MAX(4, least * SAMPLE / m->open.n));
			if (!repeats(m, SAMPLE))
				return;
		}
		free_rare_words(m, m->open.n, (unsigned)least);
		skeletons_reset(m);
		for (size_t k = 0; k < m->open.n; k++)
			count_skeleton(m, m->open.v[k]);
		take_skeletons(m, true);
	}
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

static struct column_key *column_find(struct template_miner *m, uint64_t key)
{
	size_t mask = COLUMN_KEYS - 1;

	for (size_t k = 0; k < MAX_PROBES; k++) {
		struct column_key *c = &m->column_key[(key + k) & mask];

		if (c->key == key || c->key == 0)
			return c;
	}
	return NULL;
}

static uint64_t column_key(const struct mined_slot *s, unsigned repeat)
{
	return fold(s->key + (uint64_t)s->what + 1, 0xa0761d6478bd642fULL + repeat) | 1;
}

/* Slots that have no column yet. */
static uint32_t n_new_columns(struct template_miner *m, const struct candidate *c)
{
	uint32_t n = 0;

	for (size_t i = 0; i < c->n_slots; i++) {
		struct column_key *k = column_find(m, column_key(&m->mined_slot.v[c->first_slot + i], 0));

		n += k == NULL || k->key == 0;
	}
	return n;
}

/* A column of the slot's key which this template does not have yet; NONE: too many of one key. */
static uint32_t column_of(struct template_miner *m, const struct mined_slot *s, uint32_t templ)
{
	for (unsigned repeat = 0; repeat < MAX_REPEATS; repeat++) {
		uint64_t key = column_key(s, repeat);
		struct column_key *k = column_find(m, key);

		if (k == NULL)
			return NONE;
		if (k->key == 0) {
			*k = (struct column_key){ key, m->n_columns++ };
			vec_push(&m->used_keys, (uint32_t)(k - m->column_key));
			vec_push(&m->last_templ, NONE);
		}
		if (m->last_templ.v[k->column] != templ) {
			m->last_templ.v[k->column] = templ;
			return k->column;
		}
	}
	return NONE;
}

static bool give_columns(struct template_miner *m, const struct candidate *c, uint32_t templ)
{
	for (size_t i = 0; i < c->n_slots; i++) {
		struct mined_slot *s = &m->mined_slot.v[c->first_slot + i];

		s->column = column_of(m, s, templ);
		if (s->column == NONE)
			return false;
	}
	return true;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Candidates from `first` on that pay become templates, the most frequent ones first. */
static void choose(struct template_miner *m, size_t first)
{
	m->order.n = 0;
	for (size_t i = first; i < m->candidate.n; i++)
		vec_push(&m->order, (uint64_t)(UINT32_MAX - m->candidate.v[i].n_texts) << 32 | i);
	if (m->order.n > 1)
		qsort(m->order.v, m->order.n, sizeof(*m->order.v), compare_u64);
	for (size_t k = 0; k < m->order.n; k++) {
		struct candidate *c = &m->candidate.v[(uint32_t)m->order.v[k]];
		uint32_t n_new = n_new_columns(m, c);

		if (m->templ.n == COLUMNS_MAX_TEMPLATES - 1)
			return;
		if ((m->stands_for > 1 && c->n_texts == 1) ||
		    m->n_columns + c->n_slots + 1 > m->in->max_columns ||
		    m->literals + c->n_literals > MAX_LITERALS ||
		    (c->shape != SHAPE_META && !pays(m, c, n_new)))
			continue;
		if (!give_columns(m, c, (uint32_t)m->templ.n))
			continue; /* columns that it made alone have no values */
		struct mined_template t = { .shape = c->shape, .tail = c->tail, .n_slots = c->n_slots };
		c->templ = (uint32_t)m->templ.n;
		m->literals += c->n_literals;
		vec_push(&m->templ, t);
	}
}

/* ---- what comes out ------------------------------------------------------------------------------------------- */

static uint32_t templ_of(const struct template_miner *m, size_t text)
{
	return m->id.v[text] == NONE ? NONE : m->candidate.v[m->id.v[text]].templ;
}

/* Texts without a template so far. */
static void collect_open(struct template_miner *m)
{
	m->open.n = 0;
	for (size_t i = 0; i < m->in->n; i++)
		if (templ_of(m, i) == NONE) {
			m->id.v[i] = NONE;
			vec_push(&m->open, (uint32_t)i);
		}
}

/* Candidate numbers become template numbers; what is left over is one slot each. */
static size_t settle_ids(struct template_miner *m)
{
	size_t n_raw = 0;

	m->raw_templ = NONE;
	for (size_t i = 0; i < m->in->n; i++) {
		uint32_t t = templ_of(m, i);

		if (t == NONE) {
			if (n_raw++ == 0) {
				struct mined_template raw = { .shape = SHAPE_RAW,
							      .tail = SLICE(""),
							      .n_slots = 1 };

				m->raw_templ = t = (uint32_t)m->templ.n;
				vec_push(&m->templ, raw);
				m->raw_column = m->n_columns++;
			}
			t = m->raw_templ;
			m->now.n = 1;
			m->now.at[0] = (struct line_slot){ 0, (uint32_t)m->in->text[i].n };
			keep_slots(m, i, 1);
		}
		m->id.v[i] = t;
		m->templ.v[t].n_texts++;
	}
	return n_raw;
}

/* The slots of the templates, now that they no longer move. */
static void settle_slots(struct template_miner *m)
{
	for (size_t i = 0; i < m->candidate.n; i++) {
		const struct candidate *c = &m->candidate.v[i];

		if (c->templ != NONE)
			m->templ.v[c->templ].slot = m->mined_slot.v + c->first_slot;
	}
}

/* Values a column will have; columns without any go, the others are numbered anew. */
static void count_values(struct template_miner *m)
{
	uint32_t n_kept = 0;

	vec_room(&m->fill, m->n_columns);
	memset(m->fill.v, 0, m->fill.n * sizeof(*m->fill.v));
	for (size_t t = 0; t < m->templ.n; t++)
		for (uint32_t k = 0; k < m->templ.v[t].n_slots; k++)
			m->fill.v[m->templ.v[t].slot[k].column] += m->templ.v[t].n_texts;
	vec_room(&m->column, m->n_columns);
	vec_room(&m->last_templ, m->n_columns); /* now: new number of each */
	for (uint32_t c = 0; c < m->n_columns; c++) {
		m->last_templ.v[c] = n_kept;
		if (m->fill.v[c] > 0)
			m->column.v[n_kept++] =
				(struct mined_column){ .n = m->fill.v[c],
						       .raw = m->raw_templ != NONE && c == m->raw_column };
	}
	m->n_columns = n_kept;
	m->column.n = n_kept;
	for (size_t i = 0; i < m->mined_slot.n; i++)
		if (m->mined_slot.v[i].column != NONE)
			m->mined_slot.v[i].column = m->last_templ.v[m->mined_slot.v[i].column];
}

static void gather_values(struct template_miner *m)
{
	size_t total = 0;

	for (size_t c = 0; c < m->column.n; c++)
		total += m->column.v[c].n;
	vec_room(&m->value, total);
	vec_room(&m->entry, total);
	vec_room(&m->fill, m->column.n);
	total = 0;
	for (size_t c = 0; c < m->column.n; c++) {
		m->fill.v[c] = (uint32_t)total;
		m->column.v[c].v = m->value.v + total;
		m->column.v[c].entry =
			m->in->entry == NULL && m->column.v[c].n == m->in->n ? NULL : m->entry.v + total;
		total += m->column.v[c].n;
	}
	struct slice *value = m->value.v;
	uint32_t *entry = m->entry.v, *fill = m->fill.v;
	for (size_t i = 0; i < m->in->n; i++) {
		const struct mined_template *t = &m->templ.v[m->id.v[i]];
		const struct line_slot *slot = m->slot.v + m->first_slot.v[i];
		const struct mined_slot *of = t->slot;
		const char *p = m->in->text[i].p;
		uint32_t here = m->in->entry != NULL ? m->in->entry[i] : (uint32_t)i;

		for (uint32_t k = t->n_slots; k > 0; k--, slot++, of++) {
			uint32_t at = fill[of->column]++;

			value[at] = slice_of(p + slot->off, slot->n);
			entry[at] = here;
		}
	}
}

static bool is_useful(const struct template_miner *m, size_t n_raw)
{
	size_t most = m->in->what == MINE_PLAIN ? m->in->n / 2 : m->in->n - m->in->n / 8;
	bool any = false;

	if (m->in->what == MINE_META)
		return n_raw < m->in->n;
	for (size_t i = 0; i < m->candidate.n && !any; i++)
		any = m->candidate.v[i].templ != NONE &&
		      (m->candidate.v[i].n_slots != 1 || m->candidate.v[i].n_literals > 0);
	return any && n_raw <= most;
}

static void reset(struct template_miner *m, const struct mine_input *in)
{
	m->in = in;
	m->slot.n = m->candidate.n = m->mined_slot.n = m->templ.n = m->last_templ.n = 0;
	m->n_columns = 0;
	m->literals = 0;
	vec_room(&m->first_slot, in->n);
	vec_room(&m->n_slots, in->n);
	vec_room(&m->id, in->n);
	for (size_t i = 0; i < m->used_keys.n; i++)
		m->column_key[m->used_keys.v[i]].key = 0;
	m->used_keys.n = 0;
	m->node.n = 0;
	for (size_t i = 0; i < FIRST_NODE; i++) {
		struct node root = { .p = "", .what = SLOT_TEXT, .candidate = NONE };

		vec_push(&m->node, root);
	}
	for (size_t i = 0; i < in->n; i++)
		m->id.v[i] = NONE;
}

/* Candidates and templates. Returns how many texts have none. */
static size_t find_templates(struct template_miner *m, const struct mine_input *in, uint32_t stands_for)
{
	size_t n_raw = 0;

	reset(m, in);
	m->stands_for = stands_for;
	if (in->what == MINE_META)
		mine_meta(m);
	else if (in->what == MINE_LINES)
		mine_keyed(m);
	choose(m, 0);
	collect_open(m);
	if (in->what != MINE_META && m->open.n > 0) {
		size_t first = m->candidate.n;

		mine_plain(m);
		choose(m, first);
	}
	for (size_t i = 0; i < in->n; i++)
		n_raw += templ_of(m, i) == NONE;
	return n_raw;
}

/* The templates of n of the texts. */
static size_t look_at(struct template_miner *m, const struct mine_input *in, size_t n)
{
	struct mine_input few = *in;
	size_t n_runs = n / LOOK_RUN;

	for (size_t i = 0; i < n; i++) {
		size_t from = i / LOOK_RUN * (in->n - LOOK_RUN) / (n_runs - 1);

		m->look[i] = in->text[from + i % LOOK_RUN];
	}
	few.text = m->look;
	few.entry = NULL;
	few.n = n;
	return find_templates(m, &few, (uint32_t)(in->n / n));
}

bool template_mine_promises(struct template_miner *m, const struct mine_input *in)
{
	size_t n = MIN((size_t)LOOK, MAX((size_t)LOOK_LEAST, in->n / LOOK_SHARE / LOOK_RUN * LOOK_RUN));

	if (in->n <= 2 * LOOK_LEAST)
		return true;
	if (n > LOOK_FIRST && look_at(m, in, LOOK_FIRST) == LOOK_FIRST)
		return false;
	return is_useful(m, look_at(m, in, n));
}

bool template_mine(struct template_miner *m, const struct mine_input *in, struct mined *out)
{
	assert(in->n > 0 && in->n <= UINT32_MAX);
	size_t n_raw = find_templates(m, in, 1);
	if (!is_useful(m, n_raw))
		return false;
	struct mined_slot raw_slot = { .before = SLICE(""), .column = NONE, .what = SLOT_TEXT };
	vec_push(&m->mined_slot, raw_slot);
	settle_ids(m);
	settle_slots(m);
	if (n_raw > 0) {
		m->mined_slot.v[m->mined_slot.n - 1].column = m->raw_column;
		m->templ.v[m->raw_templ].slot = m->mined_slot.v + m->mined_slot.n - 1;
	}
	count_values(m);
	gather_values(m);
	*out = (struct mined){ .templ = m->templ.v,
			       .n_templates = (uint32_t)m->templ.n,
			       .id = m->id.v,
			       .column = m->column.v,
			       .n_columns = m->n_columns,
			       .n_raw = n_raw };
	return true;
}
